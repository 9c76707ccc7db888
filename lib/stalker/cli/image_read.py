"""`stalker image info` and `stalker image verify`."""

from __future__ import annotations

import contextlib
import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from stalker.cli.progress import Display
from stalker.errors import StalkerError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stalker.image.readback import Check, DiskFacts
    from stalker.image.toolbox import Tool

QUIET_S = 1.0


def existing(name: str) -> Path:
    """Return the path of an image as named by the user. Raises StalkerError when it is none."""
    path = Path(name)
    if not path.exists():
        raise StalkerError(
            f"there is no image {name}", "", "`./stalker artifacts` lists those that were made"
        )
    if path.is_dir():
        raise StalkerError(f"{name} is a folder", "", "name the .img in it")
    return path.resolve()


@contextlib.contextmanager
def _tool_with(path: Path) -> Iterator[tuple[Tool, Path, str]]:
    """Give a toolbox that sees the raw image, its path here and its path there; a packed one is unpacked."""
    from stalker.cli.settings import connect
    from stalker.cli.toolbox import open_toolbox
    from stalker.image.readback import is_packed, unpack_image

    engine = connect()
    toolbox = open_toolbox(engine, lambda text: print(f"stalker: {text}", file=sys.stderr))
    try:
        if not is_packed(path):
            with toolbox.opened("toolbox", folder=path.parent, writable=False) as tool:
                yield tool, path, f"/out/{path.name}"
            return
        with tempfile.TemporaryDirectory(prefix="stalker-image-") as scratch:
            raw = Path(scratch) / "disk.img"
            with toolbox.opened("toolbox", folder=Path(scratch)) as tool:
                display = Display(quiet_s=QUIET_S)
                unpack_image(
                    path,
                    tool,
                    "/out/disk.img",
                    display.adder(f"unpacking {path.name}", path.stat().st_size),
                )
                display.end()
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
    from stalker.image.readback import is_packed, read_disk

    path = existing(image)
    if is_packed(path):
        with _tool_with(path) as (_, raw, _target):
            facts = read_disk(raw)
    else:
        facts = read_disk(path)
    click.echo(json.dumps(asdict(facts), indent=2) if as_json else _shown(image, facts))


def _shown(name: str, facts: DiskFacts) -> str:
    from stalker.config.disk_sizes import shown

    table = facts.table
    lines = [
        f"{name}: {shown(facts.size_bytes)}, {shown(facts.stored_bytes)} of them stored",
        f"table {table.kind}, disk id {table.disk_id}",
        *(f"  problem: {problem}" for problem in table.problems),
    ]
    rows = [("", "start", "size", "type", "file system", "label", "used", "UUID", "PARTUUID")]
    for one in facts.partitions:
        system = one.filesystem
        used = "" if system.used_bytes is None else shown(system.used_bytes)
        number = f"{one.entry.number}{'*' if one.entry.is_bootable else ''}"
        rows.append(
            (
                number,
                shown(one.start_bytes),
                shown(one.size_bytes),
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
    from stalker.image import readback

    display = Display(quiet_s=QUIET_S)
    yield from readback.check_checksum(path, display.adder(f"reading {path.name}", path.stat().st_size))
    display.end()
    manifest = readback.manifest_beside(path)
    with _tool_with(path) as (tool, raw, target):
        facts = readback.read_disk(raw)
        yield readback.check_table(facts)
        yield from readback.check_by_tools(facts, tool, target)
        if manifest is not None and manifest.disk:
            yield from readback.check_manifest(facts, manifest)
