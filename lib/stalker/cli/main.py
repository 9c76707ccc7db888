"""The commands by name, loaded on first use, and how errors are shown.

`./stalker --config TREE` is the call of the original kantoo-devkit and equals `./stalker run TREE`.
"""

from __future__ import annotations

import errno
import os
import sys

import click

from stalker import __version__
from stalker.app.settings import Settings
from stalker.cli import terminal
from stalker.cli.lazy import LazyGroup
from stalker.cli.streams import guard_streams
from stalker.cli.typed_name import typed_name
from stalker.config.locate import find_workspace
from stalker.config.shipped import is_installed
from stalker.errors import StalkerError
from stalker.model.escaping import shown_lines
from stalker.model.program import set_program

COMMANDS = {
    "run": ("stalker.cli.commands.run", "run", "run what is not there yet, and resume"),
    "plan": ("stalker.cli.commands.plan", "plan", "verdict and reason for each step; touches nothing"),
    "lock": ("stalker.cli.commands.release.lock", "lock", "write what moving inputs are now, for later runs"),
    "upgrade": ("stalker.cli.commands.release.lock", "upgrade", "look again at what is locked: old -> new"),
    "graph": ("stalker.cli.commands.inspect", "graph", "the graph as svg, png, dot or mermaid"),
    "show": ("stalker.cli.commands.inspect", "show", "every variable of every step and where it was set"),
    "check": ("stalker.cli.commands.inspect", "check", "all problems in files, with file:line:column"),
    "schema": ("stalker.cli.commands.inspect", "schema", "JSON Schema of tree, stalk or plugin files"),
    "plugins": ("stalker.cli.commands.inspect", "plugins", "reusable plugins, or the page of one"),
    "init": ("stalker.cli.commands.workspace", "init", "a new workspace that runs at once"),
    "new": ("stalker.cli.commands.workspace", "new", "add a stalk or a plugin to the workspace"),
    "images": ("stalker.cli.commands.images", "images", "committed tags: size, age, fingerprint, step, run"),
    "artifacts": (
        "stalker.cli.commands.artifacts",
        "artifacts",
        "what was published: state, size, age, path",
    ),
    "diff": ("stalker.cli.commands.images", "diff", "files added, changed, removed between two images"),
    "blame": ("stalker.cli.commands.trace.blame", "blame", "which step made a path of an image what it is"),
    "bisect": (
        "stalker.cli.commands.trace.bisect",
        "bisect",
        "the first step, or build of a step, that is bad",
    ),
    "changes": (
        "stalker.cli.commands.release.changes",
        "changes",
        "packages, rights, users that are new in a release",
    ),
    "export": ("stalker.cli.commands.images", "export", "a root file system as a tar"),
    "sbom": ("stalker.cli.commands.release.sbom", "sbom", "the bill of materials: CycloneDX or SPDX"),
    "provenance": (
        "stalker.cli.commands.release.provenance",
        "provenance",
        "where an artifact comes from: SLSA",
    ),
    "sign": ("stalker.cli.commands.release.provenance", "sign", "sign a published artifact with an SSH key"),
    "verify": (
        "stalker.cli.commands.release.provenance",
        "verify",
        "who signed an artifact, and that it is whole",
    ),
    "prune": ("stalker.cli.commands.images", "prune", "remove images of a tree, children first"),
    "image": ("stalker.cli.commands.image", "image", "info, verify, boot, write: disk images as files"),
    "cache": ("stalker.cli.commands.cache", "cache", "show, prune, verify, policy: downloads that are kept"),
    "shell": ("stalker.cli.commands.shell", "shell", "a shell in a committed or failed step"),
    "log": ("stalker.cli.commands.log", "log", "a step's output, or the runs"),
    "serve": ("stalker.cli.commands.serve", "serve", "build what is pushed, and show it on a page"),
    "report": ("stalker.cli.commands.trace.report", "report", "a run as one HTML file, or as data"),
    "engine": ("stalker.cli.commands.engine", "engine", "an engine that answers"),
    "completion": (
        "stalker.cli.commands.completion",
        "completion",
        "for bash, zsh, fish: commands, trees, stalks, steps",
    ),
    "doctor": ("stalker.cli.commands.engine", "doctor", "what is wrong here and the command that repairs it"),
}

CONTEXT = {
    "token_normalize_func": lambda token: token.replace("_", "-"),
    "help_option_names": ["-h", "--help"],
}


class Stalker(LazyGroup):
    """The commands, and `--config TREE OPTIONS`, which is read as `run TREE OPTIONS`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the options in front of a command."""
        return super().parse_args(ctx, self.as_run(ctx, args))

    def as_run(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Return the arguments with `run TREE` for `--config TREE`; `--workspace DIR` goes in front."""
        front: list[str] = []
        rest: list[str] = []
        config: str | None = None
        words = iter(args)
        for word in words:
            name, equals, value = word.partition("=")
            if word in self.table and not (rest and rest[-1].startswith("-")):
                if config is not None:
                    ctx.fail("--config TREE runs a tree by itself; a command takes the tree as its argument")
                return args
            if name == "--workspace":
                front += (
                    [word] if equals else [word, *[one for one in (next(words, None),) if one is not None]]
                )
            elif name == "--config" and config is None:
                config = value if equals else next(words, None)
                if config is None:
                    return args
            else:
                rest.append(word)
        return args if config is None else [*front, "run", config, *rest]


@click.group(cls=Stalker, table=COMMANDS, invoke_without_command=True, context_settings=CONTEXT)
@click.option("--config", metavar="TREE", help="Run this tree: the same as `run TREE`, with all its options.")
@click.option(
    "--workspace",
    metavar="DIR",
    help="The directory with trees/ and stalks/; default: here, else the nearest parent with trees/.",
)
@click.version_option(__version__, prog_name="stalker")
@click.pass_context
def stalker(
    ctx: click.Context,
    config: str | None,
    workspace: str | None,
) -> None:
    """Build operating-system images as a graph of committed, tagged, resumable steps."""
    ask = terminal.ask if terminal.is_interactive() else None
    given = os.path.abspath(workspace) if workspace is not None else find_workspace(".")  # noqa: PTH100
    ctx.obj = Settings(given, ask)
    del config  # `as_run` took it
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())
        ctx.exit(2)


def main() -> None:
    """Run the command line and exit with the code of the contract."""
    guard_streams()
    set_program(typed_name(sys.argv[0], os.environ, is_installed=is_installed()))
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
    """Report that output is lost, and return the exit code: 1 at least."""
    print(f"stalker: {error.strerror or error}: not all of the output could be written", file=sys.stderr)
    return code or 1


def _run() -> int:
    """Run the command line, show what goes wrong, and return the exit code."""
    if "_STALKER_COMPLETE" in os.environ:  # set by the scripts of `completion`
        return _complete()
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


def _complete() -> int:
    """Answer the shell that completes a line."""
    from stalker.cli import completion

    completion.prepare(stalker)
    try:
        stalker.main(prog_name="stalker")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    return 0


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
