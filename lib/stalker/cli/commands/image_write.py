"""`stalker image write`: a disk image onto a card."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from stalker.app.card_images.write import write_image_to_card
from stalker.errors import PlanError
from stalker.io.signals import end_like_ctrl_c
from stalker.io.units import duration_text, size_text
from stalker.journal.views.transfers import Transfers

if TYPE_CHECKING:
    from stalker.app.settings import Settings
    from stalker.flash.source import Source
    from stalker.host.block_device import Device


@click.command()
@click.argument("image", metavar="IMG")
@click.argument("device", metavar="DEVICE")
@click.option("--yes", "-y", is_flag=True, help="Ask nothing.")
@click.option("--fixed", is_flag=True, help="Also write to a disk that is built in, or a loop device.")
@click.option("--whole", is_flag=True, help="Write every byte, also what the block map leaves out.")
@click.option("--force", is_flag=True, help="Also write what is not a disk image.")
@click.option("--no-verify", is_flag=True, help="Do not read back what was written.")
@click.pass_context
def write(
    ctx: click.Context,
    image: str,
    device: str,
    yes: bool,
    fixed: bool,
    whole: bool,
    force: bool,
    no_verify: bool,
) -> None:
    """Write IMG (.img, .img.zst, .img.xz, .img.gz, .zip) to the card in DEVICE, and read it back.

    All that is on DEVICE is lost. A device that is mounted, in use, read-only, too small or built in is
    refused; its name has to be typed to go on.
    """

    def ask_first(source: Source, card: Device) -> None:
        for line in summary(source, card):
            print(line, file=sys.stderr)
        if not yes:
            confirm(card, ctx.obj)

    end_like_ctrl_c()
    with Transfers() as reporter:
        written = write_image_to_card(
            Path(image),
            device,
            ask_first,
            reporter,
            allow_fixed=fixed,
            whole=whole,
            verifies=not no_verify,
            force=force,
        )
    how = "read back and the same" if written.is_verified else "not read back"
    size = size_text(written.written_bytes)
    print(
        f"{written.device}: {size} written in {duration_text(written.duration_s)}, {how}; it can be taken out"
    )


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
    """Have the device's name typed. Raises PlanError when it is not, or when no user can answer."""
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
