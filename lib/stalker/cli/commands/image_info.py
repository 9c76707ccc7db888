"""`stalker image info`, `verify` and `sizes`: what is in an image."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from stalker.app.environment import cache_dir as default_cache
from stalker.app.environment import connect
from stalker.app.toolbox_image import open_toolbox
from stalker.cli.terminal import say
from stalker.disk import inspect
from stalker.disk.inspect import is_packed, read_disk, unpack_image
from stalker.engine.logins import read_docker_config
from stalker.errors import StalkerError
from stalker.fetch.cache.cache import Cache
from stalker.fetch.oci.archive_reader import read_archive
from stalker.fetch.oci.inspect import inspect_image
from stalker.fetch.oci.pull import fetch_image
from stalker.fetch.oci.registry import Registries
from stalker.io.progress import Task
from stalker.io.units import size_text
from stalker.journal.views.transfers import Transfers
from stalker.model.image_name import parse_image_name
from stalker.model.program import program

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stalker.disk.inspect import Check, DiskFacts
    from stalker.toolbox.container import Tool


QUIET_S = 1.0


def existing(name: str) -> Path:
    """Return the path of an image as named by the user. Raises StalkerError when it is none."""
    path = Path(name)
    if not path.exists():
        raise StalkerError(
            f"there is no image {name}", "", f"`{program()} artifacts` lists those that were made"
        )
    if path.is_dir():
        raise StalkerError(f"{name} is a directory", "", "name the .img in it")
    return path.resolve()


@contextlib.contextmanager
def _tool_with(path: Path) -> Iterator[tuple[Tool, Path, str]]:
    """Give a toolbox that sees the raw image, its path here and its path there; a packed one is unpacked."""
    engine = connect()
    toolbox = open_toolbox(engine, say)
    try:
        if not is_packed(path):
            with toolbox.opened("toolbox", folder=path.parent, writable=False) as tool:
                yield tool, path, f"/out/{path.name}"
            return
        with tempfile.TemporaryDirectory(prefix="stalker-image-") as scratch:
            raw = Path(scratch) / "disk.img"
            with toolbox.opened("toolbox", folder=Path(scratch)) as tool:
                with Transfers(QUIET_S) as reporter:
                    task = Task(f"unpacking {path.name}", reporter, path.stat().st_size)
                    unpack_image(path, tool, "/out/disk.img", task.add)
                yield tool, raw, "/out/disk.img"
    finally:
        engine.close()


@click.command()
@click.argument("image", metavar="IMG")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def info(image: str, as_json: bool) -> None:
    """Show the partition table of IMG, its file systems, labels and what is used.

    IMG is an .img, or one packed as .img.zst, .img.xz, .img.gz or .zip, which is unpacked for this.
    """
    path = existing(image)
    if is_packed(path):
        with _tool_with(path) as (_, raw, _target):
            facts = read_disk(raw, str(path))
    else:
        facts = read_disk(path)
    click.echo(json.dumps(asdict(facts), indent=2) if as_json else _shown(image, facts))


def _shown(name: str, facts: DiskFacts) -> str:
    table = facts.table
    lines = [
        f"{name}: {size_text(facts.size_bytes)}, {size_text(facts.stored_bytes)} of them stored",
        f"table {table.kind}, disk id {table.disk_id}",
        *(f"  problem: {problem}" for problem in table.problems),
    ]
    rows = [("", "start", "size", "type", "file system", "label", "used", "UUID", "PARTUUID")]
    for one in facts.partitions:
        system = one.filesystem
        used = "" if system.used_bytes is None else size_text(system.used_bytes)
        number = f"{one.entry.number}{'*' if one.entry.is_bootable else ''}"
        rows.append(
            (
                number,
                size_text(one.start_bytes),
                size_text(one.size_bytes),
                one.entry.type[:8],
                system.kind or "-",
                system.label or one.entry.name or "-",
                used or "-",
                system.uuid or "-",
                one.entry.uuid,
            )
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines += [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
    return "\n".join(lines)


@click.command()
@click.argument("image", metavar="IMG")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.pass_context
def verify(ctx: click.Context, image: str, as_json: bool) -> None:
    """Check IMG: its checksum, its partition table, its file systems, and all of it against its manifest.

    Nothing is written or mounted. Exit code 1 when something is wrong.
    """
    checks: list[Check] = []
    for check in _checks(existing(image)):
        checks.append(check)
        if not as_json:
            click.echo(f"BAD  {check.what}: {check.problem}" if check.problem else f"ok   {check.what}")
    wrong = [check for check in checks if check.problem]
    if as_json:
        click.echo(json.dumps([asdict(check) for check in checks], indent=2))
    else:
        click.echo(f"{image}: {f'{len(wrong)} of {len(checks)} checks failed' if wrong else 'all is right'}")
    ctx.exit(1 if wrong else 0)


def _checks(path: Path) -> Iterator[Check]:
    with Transfers(QUIET_S) as reporter:
        task = Task(f"reading {path.name}", reporter, path.stat().st_size)
        checks = inspect.check_checksum(path, task.add)
    yield from checks
    manifest = inspect.manifest_beside(path)
    with _tool_with(path) as (tool, raw, target):
        facts = inspect.read_disk(raw)
        yield inspect.check_table(facts)
        yield from inspect.check_by_tools(facts, tool, target)
        if manifest is not None and manifest.disk:
            yield from inspect.check_manifest(facts, manifest)


ENDINGS = (".tar", ".tgz", ".tar.gz", ".tar.xz", ".tar.bz2", ".tar.zst")


@click.command()
@click.argument("image", metavar="REF|TAR")
@click.option(
    "--platform", metavar="OS/ARCH", default="linux/arm64/v8", show_default=True, help="The machine's."
)
@click.option("--cache-dir", metavar="DIR", help="The cache of downloads; default: that of stalker.")
def sizes(image: str, platform: str, cache_dir: str | None) -> None:
    """Print the lines of `oci_images` for the container image REF, or for its archive TAR.

    Of an image in a registry a few bytes are fetched, and all of it only when those do not contain the sizes. An
    archive's layers are unpacked and counted. The result is YAML that `image create` takes.
    """
    path = Path(image)
    if path.exists() or image.endswith(ENDINGS) or image.startswith(("/", "./", "../", "~")):
        ident, *amounts = _of_archive(path.expanduser(), platform)
    else:
        ident, *amounts = _of_registry(image, platform, cache_dir)
    click.echo(stanza(ident, *amounts))


def stanza(ident: str, file_bytes: int, full_bytes: int) -> str:
    """Return what goes into a configuration; without a name the place for one."""
    from stalker.io.units import size_text

    name = f'"{ident}"' if ident.startswith("[") else ident
    return "\n".join(
        (
            "oci_images:",
            f"  - ident: {name}" if ident else '  - ident: ""  # registry/name:tag; the archive names none',
            f"    filesize: {file_bytes}  # {size_text(file_bytes)}",
            f"    fullsize: {full_bytes}  # {size_text(full_bytes)}",
        )
    )


def _of_archive(path: Path, platform: str) -> tuple[str, int, int]:
    archive = read_archive(path, platform, counts=True)
    assert archive.full_bytes is not None  # they were counted
    ident = str(parse_image_name(archive.names[0])) if archive.names else ""
    return ident, archive.file_bytes, archive.full_bytes


def _of_registry(ident: str, platform: str, directory: str | None) -> tuple[str, int, int]:
    config = read_docker_config(os.environ, os.path.expanduser("~"))  # noqa: PTH111
    root = Path(directory) if directory else default_cache() / "downloads"
    with Cache(root, say=say) as cache, Registries(config, say=say) as registries:
        remote = inspect_image(ident, platform, registries, cache)
        if remote.archive_bytes is not None and remote.full_bytes is not None:
            return remote.ident, remote.archive_bytes, remote.full_bytes
        say(f"{remote.name} does not declare its size; it is downloaded to be measured")
        with fetch_image(cache, remote, registries, concurrency=3) as file:
            archive = read_archive(file.path, platform, counts=True)
    assert archive.full_bytes is not None  # they were counted
    return remote.ident, archive.file_bytes, archive.full_bytes
