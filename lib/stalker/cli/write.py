"""`stalker image write`: a disk image onto a card."""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from stalker.cli.progress import Display
from stalker.errors import Interrupted, PlanError
from stalker.model.units import size_text

if TYPE_CHECKING:
    from stalker.cli.settings import Settings
    from stalker.image.device import Device
    from stalker.image.source import Source

INCOMPLETE = "the card is incomplete: it has no partition table and starts nothing"


@click.command()
@click.argument("image", metavar="IMG")
@click.argument("device", metavar="DEVICE")
@click.option("--yes", "-y", is_flag=True, help="Ask nothing.")
@click.option(
    "--fixed", is_flag=True, help="Also write to a disk that cannot be taken out, or a loop device."
)
@click.option("--whole", is_flag=True, help="Write every byte, also what the block map leaves out.")
@click.option("--no-verify", is_flag=True, help="Do not read back what was written.")
@click.pass_context
def write(
    ctx: click.Context, image: str, device: str, yes: bool, fixed: bool, whole: bool, no_verify: bool
) -> None:
    """Write IMG (.img, .img.zst, .img.xz, .img.gz, .zip) to the card in DEVICE, and read it back.

    All that is on DEVICE is lost. A device that is mounted, in use, read-only, too small or built in is
    refused; its name has to be typed to go on.
    """
    from stalker.image.card import held, reread_table, verify_card, write_card
    from stalker.image.device import check_writable, see_device
    from stalker.image.source import check_digest, open_source

    source = open_source(Path(image), whole=whole)
    found = see_device(device)
    check_writable(found, source.size_bytes, allow_fixed=fixed)
    for line in summary(source, found):
        print(line, file=sys.stderr)
    if not yes:
        confirm(found, ctx.obj)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    display = Display()
    began_s = time.monotonic()
    is_touched = False
    try:
        check_digest(source, display.adder("checking", source.path.stat().st_size))
        with held(found) as number:
            # It may have been mounted, or changed, while the question stood there.
            check_writable(see_device(device), source.size_bytes, allow_fixed=fixed)
            is_touched = True
            written = write_card(number, found, source, display.tell)
            is_touched = False
            display.end()
            if not no_verify:
                verify_card(number, found, written, display.tell)
                display.end()
            reread_table(number)
    except KeyboardInterrupt:
        display.end()
        said = INCOMPLETE if is_touched else "all is written; it was not read back to the end"
        raise Interrupted("interrupted", f"{found.path}: {said}", "write it again") from None
    except BaseException:
        display.end()
        if is_touched:
            print(f"stalker: {found.path}: {INCOMPLETE}", file=sys.stderr)
        raise
    how = "not read back" if no_verify else "read back and the same"
    took = f"{time.monotonic() - began_s:.1f} s"
    print(f"{found.path}: {size_text(written.bytes)} written in {took}, {how}; it can be taken out")


def summary(source: Source, device: Device) -> list[str]:
    """Return what is going to be done, in lines."""
    size = f", {size_text(source.size_bytes)}" if source.size_bytes is not None else ""
    work = f", {size_text(source.map.mapped_bytes)} of it data" if source.map is not None else ""
    lines = [f"image   {source.path}{size}{work}", f"device  {device.title}"]
    lines += [f"        {part.name}, {size_text(part.size_bytes)}" for part in device.parts]
    if not device.parts:
        lines.append("        no partitions")
    return lines


def confirm(device: Device, settings: Settings) -> None:
    """Have the device's name typed. Raises PlanError when it is not, or when nobody can."""
    if not settings.is_interactive:
        raise PlanError(
            f"{device.path} was not written",
            "there is no terminal to ask at",
            "--yes says that it is the right one",
        )
    print(
        f"All that is on {device.path} will be lost. Type {device.name} to go on: ",
        end="",
        file=sys.stderr,
        flush=True,
    )
    typed = sys.stdin.readline().strip()
    if typed not in {device.name, f"/dev/{device.name}", device.path}:
        raise PlanError(f"{device.path} was not written", f"'{typed}' is not {device.name}", "")
