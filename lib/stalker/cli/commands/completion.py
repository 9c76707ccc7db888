"""`stalker completion`: the script that a shell reads."""

from __future__ import annotations

import click

from stalker.cli.completion import SHELLS, prepare, script
from stalker.cli.lazy import LazyGroup


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the script that completes commands, options, trees, stalks and steps in SHELL.

    bash: eval "$(stalker completion bash)" in ~/.bashrc.
    """
    program = ctx.find_root().command
    assert isinstance(program, LazyGroup)
    prepare(program)
    print(script(shell, program, "stalker"))
