"""The commands by name, loaded when asked for, and how errors are shown.

`./stalker --config TREE` is the first tool's call and equals `./stalker run TREE`.
"""

from __future__ import annotations

import errno
import os
import sys

import click

from stalker import __version__
from stalker.cli.lazy import LazyGroup
from stalker.cli.settings import Settings
from stalker.cli.streams import guard_streams
from stalker.errors import StalkerError
from stalker.model.escaping import shown_lines

COMMANDS = {
    "run": ("stalker.cli.run", "run", "run what is not there yet, and resume"),
    "plan": ("stalker.cli.plan", "plan", "verdict and reason for each step; touches nothing"),
    "graph": ("stalker.cli.look", "graph", "the graph as svg, png, dot or mermaid"),
    "show": ("stalker.cli.look", "show", "every variable of every step and where it was set"),
    "check": ("stalker.cli.look", "check", "all problems in files, with file:line:column"),
    "schema": ("stalker.cli.look", "schema", "JSON Schema of tree, stalk or plugin files"),
    "plugins": ("stalker.cli.look", "plugins", "reusable plugins, or the page of one"),
    "images": ("stalker.cli.images", "images", "committed tags: size, age, fingerprint, step, run"),
    "artifacts": ("stalker.cli.artifacts", "artifacts", "what was published: state, size, age, path"),
    "diff": ("stalker.cli.images", "diff", "files added, changed, removed between two images"),
    "export": ("stalker.cli.images", "export", "a root file system as a tar"),
    "prune": ("stalker.cli.images", "prune", "remove images of a tree, children first"),
    "image": ("stalker.cli.image", "image", "info, verify, boot, write: disk images as files"),
    "cache": ("stalker.cli.cache", "cache", "show, prune, verify, policy: downloads that are kept"),
    "shell": ("stalker.cli.shell", "shell", "a shell in a committed or failed step"),
    "log": ("stalker.cli.log", "log", "a step's output, or the runs"),
    "engine": ("stalker.cli.engine", "engine", "an engine that answers"),
    "doctor": ("stalker.cli.engine", "doctor", "what is wrong here and the command that mends it"),
}

CONTEXT = {
    "token_normalize_func": lambda token: token.replace("_", "-"),
    "help_option_names": ["-h", "--help"],
}


@click.group(cls=LazyGroup, table=COMMANDS, invoke_without_command=True, context_settings=CONTEXT)
@click.option("--config", metavar="TREE", help="Run this tree: the same as `run TREE`.")
@click.option("--watch-stdout", is_flag=True, help="With --config: show each step's output.")
@click.option("--eliot-info", is_flag=True, help="With --config: show what is done on stdout.")
@click.option(
    "--workspace", metavar="DIR", default=".", help="The folder with trees/ and stalks/; default: here."
)
@click.version_option(__version__, prog_name="stalker")
@click.pass_context
def stalker(
    ctx: click.Context,
    config: str | None,
    watch_stdout: bool,
    eliot_info: bool,
    workspace: str,
) -> None:
    """Build operating-system images as a graph of committed, tagged, resumable steps."""
    ctx.obj = Settings(workspace=os.path.abspath(workspace))  # noqa: PTH100
    if ctx.invoked_subcommand is not None:
        if config:
            ctx.fail("--config TREE runs a tree by itself; a command takes the tree as its argument")
        return
    if not config:
        click.echo(ctx.get_help())
        ctx.exit(2)
    from stalker.cli.run import run_tree

    ctx.exit(run_tree(ctx.obj, config, watch_stdout=watch_stdout, eliot_info=eliot_info))


def main() -> None:
    """Run the command line and exit with the code of the contract."""
    guard_streams()
    code = _run()
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        pass  # the reader of our output went away (`stalker images | head`): no fault of ours
    except OSError as error:
        code = _lost(error, code)
    problem = getattr(sys.stdout, "problem", None)
    if problem is not None:
        code = _lost(problem, code)
    # Nothing is left to do, and taking down the interpreter with all its modules takes 15 ms.
    sys.stderr.flush()
    os._exit(code)


def _lost(error: OSError, code: int) -> int:
    """Say that output is lost, and return the exit code: 1 at least."""
    print(f"stalker: {error.strerror or error}: not all of the output could be written", file=sys.stderr)
    return code or 1


def _run() -> int:
    """Run the command line, show what goes wrong, and return the exit code."""
    try:
        code = stalker.main(prog_name="stalker", standalone_mode=False)
    except click.exceptions.Abort:
        code = 130
    except click.ClickException as error:
        error.show()
        code = 2
    except click.exceptions.Exit as error:
        code = error.exit_code
    except StalkerError as error:
        show_error(error)
        code = error.exit_code
    except KeyboardInterrupt:
        print("\nstalker: interrupted", file=sys.stderr)
        code = 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        code = 0
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        code = _lost(error, 1)
    return code if isinstance(code, int) else 0


def show_error(error: StalkerError) -> None:
    """Print an error of ours: what happened, what is known, what to do."""
    from stalker.errors import ArgumentsError, FilesError

    if isinstance(error, FilesError) and not isinstance(error, ArgumentsError):
        print(shown_lines(error.details), file=sys.stderr)
        print(f"stalker: {shown_lines(error.brief)}", file=sys.stderr)
        if error.resolution:
            print(f"  {shown_lines(error.resolution)}", file=sys.stderr)
        return
    print(f"stalker: {shown_lines(error.brief)}", file=sys.stderr)
    for text in (error.details, error.resolution):
        if text:
            lines = shown_lines(text.replace("\r\n", "\n").rstrip("\n")).split("\n")
            print("\n".join(f"  {line}" for line in lines), file=sys.stderr)
    if error.__cause__ is not None and "bug in stalker" in error.details:
        import traceback

        traceback.print_exception(error.__cause__)
