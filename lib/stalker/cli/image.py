"""`stalker image`: disk images as files, whoever made them."""

from __future__ import annotations

import importlib

import click

COMMANDS = {
    "info": ("stalker.cli.image_read", "info", "partition table, file systems, labels, what is used"),
    "verify": ("stalker.cli.image_read", "verify", "checksums, table and file systems"),
    "boot": ("stalker.cli.boot", "boot", "in QEMU, with its console here, or its boot test again"),
    "write": ("stalker.cli.write", "write", "onto a card, and read back"),
}
"""Command -> where it is, its name there, what it does."""


class Commands(click.Group):
    """A group that imports a command's module when the command is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of the contract."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        module, attribute, _ = COMMANDS[cmd_name]
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, _, text) in COMMANDS.items()])


@click.group(cls=Commands)
def image() -> None:
    """Read, check, boot and write disk images: `.img`, also packed as .zst, .xz, .gz or .zip."""
