"""`stalker provenance`, `sign`, `verify`: where a published version comes from, and that it is genuine."""

from __future__ import annotations

import json
from pathlib import Path

import click

from stalker.errors import PlanError

DIRECTORY = click.Path(exists=True, file_okay=False, path_type=Path)


@click.command()
@click.argument("directory", type=DIRECTORY)
@click.option("-o", "--output", metavar="FILE", default="-", help="Where it is written; default: stdout.")
def provenance(directory: Path, output: str) -> None:
    """Write where the published artifact in DIRECTORY comes from: an in-toto statement, SLSA provenance v1."""
    from stalker.app.releases import manifest_of
    from stalker.disk.checksums import sha256_of
    from stalker.history.provenance import statement_of

    manifest = manifest_of(str(directory))
    if manifest is None:
        raise PlanError(f"{directory} is not a published artifact: it has no manifest.json")
    try:
        digests = {one.name: one.sha256 or sha256_of(directory / one.name) for one in manifest.files}
    except OSError as error:
        raise PlanError(f"{error.filename} cannot be read: {error.strerror}") from error
    text = json.dumps(statement_of(manifest, digests), indent=2) + "\n"
    if output == "-":
        click.echo(text, nl=False)
    else:
        Path(output).write_text(text, encoding="ascii")


@click.command()
@click.argument("directory", type=DIRECTORY)
@click.option("--key", required=True, type=click.Path(exists=True, path_type=Path), help="An SSH key.")
def sign(directory: Path, key: Path) -> None:
    """Sign all files in DIRECTORY: write SHA256SUMS, and SHA256SUMS.sig by an SSH key."""
    from stalker.history.signature import SIGNATURE
    from stalker.history.signature import sign as sign_files

    sign_files(directory, key)
    click.echo(f"{directory / SIGNATURE}: signed", err=True)


@click.command()
@click.argument("directory", type=DIRECTORY)
@click.option(
    "--allowed",
    required=True,
    type=click.Path(path_type=Path),
    help="Who may sign, as ssh-keygen's ALLOWED SIGNERS.",
)
def verify(directory: Path, allowed: Path) -> None:
    """Verify that DIRECTORY has exactly the files that a key in the file of --allowed signed."""
    from stalker.history.signature import verify as verify_files

    who, count = verify_files(directory, allowed)
    click.echo(f"{directory}: signed by {who}, all {count} files are as signed")
