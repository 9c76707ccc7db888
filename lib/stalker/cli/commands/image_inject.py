"""`stalker image inject`: what one machine has of its own, put into a ready image."""

from __future__ import annotations

import click

from stalker.app.card_images.injection import inject_into_image
from stalker.journal.views.transfers import Transfers


@click.command()
@click.argument("image", metavar="IMG")
@click.argument("config", metavar="CONFIG")
def inject(image: str, config: str) -> None:
    """Put into the raw image IMG what CONFIG says under `injections` and `offspot`.

    It is written in place, onto FAT and ext4: all of it or nothing, also after a power cut. Where a file
    system has to be repaired first, IMG is copied, repaired by the toolbox, and replaced by the finished copy.
    No other process may use IMG meanwhile.
    """
    with Transfers(quiet_s=1.0) as reporter:
        inject_into_image(image, config, reporter)
