"""`stalker sbom`: the bill of materials of an image or a published artifact."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from stalker.app.environment import connect, source_date_epoch
from stalker.app.trees import read_tree

if TYPE_CHECKING:
    from stalker.app.settings import Settings


@click.command()
@click.argument("ref", metavar="REF")
@click.option("-o", "--output", required=True, metavar="FILE", help="Where it is written; - is stdout.")
@click.option(
    "--format", "form", type=click.Choice(["cyclonedx", "spdx"]), help="Default: spdx for FILE.spdx.json."
)
@click.option("--tree", metavar="TREE", help="The tree whose `stalk:step` REF is.")
@click.pass_obj
def sbom(settings: Settings, ref: str, output: str, form: str | None, tree: str | None) -> None:
    """Write the packages of REF with versions, licences and dependencies: CycloneDX 1.6 or SPDX 2.3.

    REF is an image, or the directory of a published artifact, whose image is taken. The document is the same for
    the same image; its time is SOURCE_DATE_EPOCH, else that of the image.
    """
    from stalker.app.committed.refs import find_ref
    from stalker.app.releases import bill_texts, image_of

    epoch_s = source_date_epoch()
    form = form or ("spdx" if output.endswith(".spdx.json") else "cyclonedx")
    read = read_tree(settings, tree) if tree else None
    engine = connect()
    try:
        name, image = image_of(engine, ref, read, find_ref)
        texts, count = bill_texts(engine, name, image, epoch_s, [form])
    finally:
        engine.close()
    if output == "-":
        click.echo(texts[form], nl=False)
        return
    Path(output).write_text(texts[form], encoding="ascii")
    click.echo(f"{output}: {count} packages of {name}", err=True)
