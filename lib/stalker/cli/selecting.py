"""The options that say what of a tree is wanted: the same for whoever runs it or shows what would run."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import click

from stalker.cli.settings import Wanted, parse_overrides

if TYPE_CHECKING:
    from collections.abc import Callable

OPTIONS = (
    click.option("--from", "start", metavar="STALK[:STEP]", help="Run again from there."),
    click.option("--until", metavar="STALK[:STEP]", help="Only that and what it grows on."),
    click.option("--only", metavar="STALK[:STEP]", help="Only that; all else is taken as it is committed."),
    click.option("--no-cache", is_flag=True, help="Reuse nothing."),
    click.option("--set", "overrides", multiple=True, metavar="VAR=VALUE", help="Set a variable."),
)


def selects_steps(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command these options; it gets them as one argument, `wanted`."""

    @functools.wraps(command)
    def with_wanted(
        *args: Any,
        start: str | None,
        until: str | None,
        only: str | None,
        no_cache: bool,
        overrides: tuple[str, ...],
        **others: Any,
    ) -> None:
        wanted = Wanted(start or "", until or "", only or "", no_cache, parse_overrides(overrides))
        command(*args, wanted=wanted, **others)

    for option in reversed(OPTIONS):
        with_wanted = option(with_wanted)
    return with_wanted
