"""`stalker image`: disk images as files, of stalker and of others."""

from __future__ import annotations

import click

from stalker.cli.lazy import LazyGroup

COMMANDS = {
    "info": (
        "stalker.cli.commands.image_info",
        "info",
        "partition table, file systems, labels, what is used",
    ),
    "verify": ("stalker.cli.commands.image_info", "verify", "checksums, table and file systems"),
    "boot": (
        "stalker.cli.commands.image_boot",
        "boot",
        "in QEMU, with its console here, or its boot test again",
    ),
    "write": ("stalker.cli.commands.image_write", "write", "onto a card, and read back"),
    "create": ("stalker.cli.commands.image_create", "create", "a card image from one configuration"),
    "inject": (
        "stalker.cli.commands.image_inject",
        "inject",
        "what one machine has of its own, into a ready image",
    ),
    "patch": ("stalker.cli.commands.image_patch", "patch", "what an injection would change, as a file"),
    "apply": ("stalker.cli.commands.image_patch", "apply", "a patch, to a copy of its base"),
    "show": ("stalker.cli.commands.image_patch", "show", "what a patch is for"),
    "sizes": ("stalker.cli.commands.image_info", "sizes", "of a container image, as `oci_images` takes them"),
}
"""Command -> where it is, its name there, what it does."""


@click.group(cls=LazyGroup, table=COMMANDS)
def image() -> None:
    """Create, read, check, boot and write disk images: `.img`, also packed as .zst, .xz, .gz or .zip."""
