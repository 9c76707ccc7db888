"""`stalker image`: disk images as files, whoever made them."""

from __future__ import annotations

import click

from stalker.cli.lazy import LazyGroup

COMMANDS = {
    "info": ("stalker.cli.image_read", "info", "partition table, file systems, labels, what is used"),
    "verify": ("stalker.cli.image_read", "verify", "checksums, table and file systems"),
    "boot": ("stalker.cli.boot", "boot", "in QEMU, with its console here, or its boot test again"),
    "write": ("stalker.cli.write", "write", "onto a card, and read back"),
    "create": ("stalker.cli.create", "create", "a card image from one configuration"),
    "inject": ("stalker.cli.inject", "inject", "what one machine has of its own, into a ready image"),
    "sizes": ("stalker.cli.sizes", "sizes", "of a container image, as `oci_images` takes them"),
}
"""Command -> where it is, its name there, what it does."""


@click.group(cls=LazyGroup, table=COMMANDS)
def image() -> None:
    """Create, read, check, boot and write disk images: `.img`, also packed as .zst, .xz, .gz or .zip."""
