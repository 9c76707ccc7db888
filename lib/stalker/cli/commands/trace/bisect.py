"""`stalker bisect`: the first step, or build of a step, that is bad."""

from __future__ import annotations

import shlex
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from stalker.app.environment import connect
from stalker.app.trees import read_tree
from stalker.cli.terminal import say
from stalker.errors import PlanError
from stalker.model.escaping import shown
from stalker.model.program import program

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from stalker.app.settings import Settings
    from stalker.engine.docker.adapter import DockerEngine
    from stalker.history.bisect import Bisection
    from stalker.history.chain import State
    from stalker.model.tree import Tree


@click.command(
    epilog="What follows -- is the test: stalker bisect stage4 --tree raspi3 -- test -x /sbin/init"
)
@click.argument("ref", metavar="REF")
@click.argument("command", nargs=-1)
@click.option("--tree", metavar="TREE", help="The tree whose `stalk:step` a REF is.")
@click.option("--good", metavar="REF", help="The oldest state to look at; default: the base.")
@click.option("--bad", metavar="REF", help="The youngest state to look at; default: REF.")
@click.option("--path", metavar="PATH", help="A state is good while it has PATH.")
@click.option("--absent", is_flag=True, help="With --path: while it does not have it.")
@click.option("--package", metavar="'NAME>=VERSION'", help="A state is good while this package is installed.")
@click.option("--shell", "by_shell", is_flag=True, help="Look at each state in a shell, and answer.")
@click.option("--like-step", is_flag=True, help="COMMAND has what the step had: variables, files, mounts.")
@click.option("--every", is_flag=True, help="Test all states: a verdict may change more than once.")
@click.option("--builds", is_flag=True, help="Search the builds of the step REF, not the steps before it.")
@click.option("--log", "log_file", metavar="FILE", help="Write results to FILE, and go on from those in it.")
@click.pass_context
def bisect(ctx: click.Context, /, ref: str, command: tuple[str, ...], **options: Any) -> None:
    """Find the first bad state up to REF by tests of a few: good at the base, bad at REF.

    COMMAND is run in a container of the image alone, without a network. Its exit code is as for git: 0 good,
    125 skip, above 127 stops.
    """
    from stalker.app.bisect import Log, builds_of, row_of, tested
    from stalker.app.committed.refs import find_ref
    from stalker.io.signals import ended_by_signals

    what = _what(command, options)
    read = read_tree(ctx.obj, options["tree"]) if options["tree"] else None
    engine = connect()
    try:
        ends = {
            name: find_ref(engine, options[name], read)[1] if options[name] else None
            for name in ("good", "bad")
        }
        row = builds_of if options["builds"] else row_of
        states = row(engine, find_ref(engine, ref, read)[1], ends["good"], ends["bad"])
        log = Log(Path(options["log_file"]) if options["log_file"] else None, what)
        log.begin()
        test = _test(ctx.obj, engine, read, command, options)
        began_s = time.monotonic()
        with ended_by_signals():
            found = tested(states, test, log, _say, every=options["every"])
        took = f"{len(found.results)} tests, {time.monotonic() - began_s:.1f} s"
        if options["every"]:
            ctx.exit(_tell_all(states, found, took))
        ctx.exit(_tell(ctx.obj, engine, states, found, took, of_builds=options["builds"]))
    finally:
        engine.close()


def _what(command: Sequence[str], options: dict[str, Any]) -> str:
    """Return the test in words. Raises PlanError unless there is exactly one."""
    asked = {
        f"command {shlex.join(command)}": bool(command),
        f"path {options['path']}{' absent' if options['absent'] else ''}": bool(options["path"]),
        f"package {options['package']}": bool(options["package"]),
        "shell": options["by_shell"],
    }
    named = [what for what, is_asked in asked.items() if is_asked]
    if len(named) != 1:
        raise PlanError(
            "bisect needs one test" if not named else f"bisect takes one test, not {len(named)}",
            "",
            "give -- COMMAND, --path PATH, --package 'NAME>=VERSION' or --shell",
        )
    if options["absent"] and not options["path"]:
        raise PlanError("--absent goes with --path")
    if options["like_step"] and not command:
        raise PlanError("--like-step goes with -- COMMAND")
    return named[0]


def _test(
    settings: Settings,
    engine: DockerEngine,
    tree: Tree | None,
    command: tuple[str, ...],
    options: dict[str, Any],
) -> Callable[[State], int]:
    from stalker.app.bisect import CommandTest, PackageTest, PathTest
    from stalker.app.history import looker_on
    from stalker.history.versions import parse_requirement

    if options["path"]:
        return PathTest(looker_on(engine), options["path"], options["absent"])
    if options["package"]:
        return PackageTest(engine, looker_on(engine), parse_requirement(options["package"]))
    if options["by_shell"]:
        if not settings.is_interactive:
            raise PlanError("--shell asks for a verdict, and there is no terminal", "", "give -- COMMAND")
        return lambda state: _asked(settings, engine, tree, state)
    if options["like_step"]:
        return lambda state: _like_step(settings, engine, tree, command, state)
    return CommandTest(engine, looker_on(engine), command, _pass_on)


def _like_step(
    settings: Settings, engine: DockerEngine, tree: Tree | None, command: tuple[str, ...], state: State
) -> int:
    from stalker.cli.commands.shell import find_opening
    from stalker.run.shell import open_shell

    return open_shell(engine, find_opening(settings, state.title, state.image, tree), command, "")


def _asked(settings: Settings, engine: DockerEngine, tree: Tree | None, state: State) -> int:
    """Open a shell and ask what the user found."""
    from stalker.cli.commands.shell import find_opening
    from stalker.history.bisect import SKIP
    from stalker.run.shell import open_shell

    open_shell(engine, find_opening(settings, state.title, state.image, tree), (), "")
    codes = {"good": 0, "bad": 1, "skip": SKIP}
    return codes[click.prompt(f"{state.title} is", type=click.Choice(list(codes)), err=True)]


def _pass_on(data: bytes, _is_stderr: bool) -> None:
    sys.stderr.buffer.write(data)
    sys.stderr.flush()


# What was found


def _tell_all(states: Sequence[State], found: Bisection, took: str) -> int:
    from stalker.history.bisect import changes_of_verdict

    changes = changes_of_verdict(found.results)
    for number, verdict in changes:
        click.echo(f"{shown(states[number].title)} is {verdict}, {shown(states[number - 1].title)} was not")
    if not changes:
        click.echo(f"the verdict is the same in all {len(states)} states")
    _say(took)
    return 0 if changes else 1


def _tell(
    settings: Settings,
    engine: DockerEngine,
    states: Sequence[State],
    found: Bisection,
    took: str,
    *,
    of_builds: bool,
) -> int:
    suspects = [states[number] for number in found.suspects()]
    before = states[found.suspects()[0] - 1]
    if len(suspects) > 1:
        names = "\n".join(f"  {shown(_name(state, of_builds=of_builds))}" for state in suspects)
        click.echo(
            f"one of {len(suspects)} is the first bad one; those before the last were skipped\n{names}"
        )
        _say(took)
        return 1
    (bad,) = suspects
    click.echo(
        f"{shown(_name(bad, of_builds=of_builds))} is the first bad {'build' if of_builds else 'state'} ({took})"
    )
    click.echo(f"  after {shown(_name(before, of_builds=of_builds))}, which is good")
    for line in _reasons(settings, engine, before, bad, of_builds=of_builds):
        click.echo(f"  {line}")
    return 0


def _name(state: State, *, of_builds: bool) -> str:
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(state.image.created_s))
    return (
        f"{state.title} of {when} ({state.image.id.removeprefix('sha256:')[:12]})"
        if of_builds
        else state.title
    )


def _reasons(
    settings: Settings, engine: DockerEngine, before: State, bad: State, *, of_builds: bool
) -> list[str]:
    """Return what is known of a culprit: why it ran, its log, what it needs; of a build what changed."""
    from stalker.app.history import ImageOrigins, cause_lines, log_dir_of_state
    from stalker.history.chain import needs_of
    from stalker.journal.reader import reason_in
    from stalker.model import labels

    known = bad.image.labels
    log_dir = log_dir_of_state(settings, bad)
    lines = []
    if bad.run:
        reason = reason_in(log_dir, bad.run, bad.step)
        lines.append(f"run {shown(bad.run)}{': ' + shown(reason) if reason else ''}")
        lines.append(f"log {shown(known.get(labels.LOG, ''))}")
    if of_builds:
        origins = ImageOrigins.of(engine, log_dir)
        old, new = (state.image.labels.get(labels.FINGERPRINT, "") for state in (before, bad))
        return [*lines, *cause_lines(bad.step, old, new, origins)]
    lines += [
        f"it needs {shown(need)}: `{program()} bisect {shown(need)} ...` goes on there"
        for need in needs_of(bad.image)
    ]
    return lines


def _say(text: str) -> None:
    say(shown(text))
