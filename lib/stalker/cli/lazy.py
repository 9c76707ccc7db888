"""Groups of commands: each is imported when it is used, and a misspelt name gets a suggestion."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import click

from stalker.model.program import program

if TYPE_CHECKING:
    from collections.abc import Mapping

    Table = Mapping[str, tuple[str, str, str]]
    """Command -> the module where it is, its name there, what it does."""


class Group(click.Group):
    """A group that suggests the nearest command for one that is not there."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command of that name, or suggest the nearest."""
        names = self.list_commands(ctx)
        if args and args[0] not in names and not ctx.resilient_parsing:
            import difflib

            near = difflib.get_close_matches(args[0], names, 1)
            hint = (
                f"did you mean '{near[0]}'?"
                if near
                else f"`{program()}{ctx.command_path.removeprefix('stalker')} --help` lists the commands"
            )
            ctx.fail(f"no command named '{args[0]}'; {hint}")
        return super().resolve_command(ctx, args)


class LazyGroup(Group):
    """A group of commands in a table: a command's module is imported when the command is used."""

    def __init__(self, *args: Any, table: Table, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.table = table
        self._completed: Mapping[str, click.Command] | None = None

    def complete_by(self, commands: Mapping[str, click.Command]) -> None:
        """Take these for the commands from now on: they complete as those of the table, and import nothing."""
        self._completed = commands

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of the table."""
        del ctx
        return list(self.table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command."""
        del ctx
        if cmd_name not in self.table:
            return None
        if self._completed is not None:
            return self._completed.get(cmd_name)
        module, attribute, _ = self.table[cmd_name]
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, _, text) in self.table.items()])
