"""The options that select steps of a tree: the same for `run` and for `plan`."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import click

from stalker.app.settings import StepRequest
from stalker.errors import PlanError

if TYPE_CHECKING:
    from collections.abc import Callable

SET = click.option("--set", "overrides", multiple=True, metavar="VAR=VALUE", help="Set a variable.")

WITH = click.option(
    "--with",
    "with_files",
    multiple=True,
    metavar="FILE",
    help="Merge that file onto the tree; again for more.",
)


def need_tree(tree: str | None, with_files: tuple[str, ...], where: str) -> None:
    """Check that files are merged onto a tree that is named. Raises PlanError."""
    if with_files and not tree:
        raise PlanError(
            f"--with {with_files[0]}: there is no tree to merge it onto", "", f"name the tree: {where}"
        )


OPTIONS = (
    click.option("--from", "start", metavar="STALK[:STEP]", help="Run again from there."),
    click.option(
        "--until",
        multiple=True,
        metavar="STALK[:STEP]",
        help="Only that and what it grows on; again for more.",
    ),
    click.option("--only", metavar="STALK[:STEP]", help="Only that; all else is taken as it is committed."),
    click.option("--no-cache", is_flag=True, help="Reuse nothing."),
    SET,
    WITH,
    click.option("--locked", is_flag=True, help="Refuse inputs that move and are not in the lock file."),
)


def selects_steps(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command these options; it gets them as one argument, `steps`."""

    @functools.wraps(command)
    def with_steps(
        *args: Any,
        start: str | None,
        until: tuple[str, ...],
        only: str | None,
        no_cache: bool,
        overrides: tuple[str, ...],
        with_files: tuple[str, ...],
        locked: bool,
        **others: Any,
    ) -> None:
        changes = parse_overrides(overrides)
        steps = StepRequest(start or "", until, only or "", no_cache, changes, with_files, locked)
        command(*args, steps=steps, **others)

    for option in reversed(OPTIONS):
        with_steps = option(with_steps)
    return with_steps


def parse_overrides(pairs: tuple[str, ...]) -> dict[str, str]:
    """Turn `--set VAR=VALUE` into a mapping. Raises PlanError."""
    values: dict[str, str] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name or name != name.upper() or not name.replace("_", "A").isalnum():
            raise PlanError(
                f"--set {pair}: not of the form VAR=VALUE",
                "",
                "variables are in upper case: --set CONFIG_SERIAL=2",
            )
        values[name] = value
    return values
