"""`stalker image info` and `stalker image verify`."""

from __future__ import annotations

import click

from stalker.errors import StalkerError


@click.command()
@click.argument("image", metavar="IMG")
def info(image: str) -> None:
    """Show the partition table of IMG, its file systems, labels and what is used."""
    raise StalkerError(f"{image}: not yet")


@click.command()
@click.argument("image", metavar="IMG")
def verify(image: str) -> None:
    """Check IMG: its checksum, its partition table, its file systems."""
    raise StalkerError(f"{image}: not yet")
