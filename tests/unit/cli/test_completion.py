"""Completion in the shells themselves: what is typed, a TAB, and what stands on the line then.

`stalker.cli.commands.completion` prints the scripts.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pexpect
import pytest

from stalker.cli import completion
from stalker.cli.main import COMMANDS, stalker
from stalker.templates.files import workspace_files
from stalker.templates.new import stalk_files
from stalker.templates.table import TEMPLATES
from stalker.templates.write import write_new

LIB = Path(__file__).resolve().parents[3] / "lib"
SHELLS = [
    pytest.param(
        name, marks=pytest.mark.skipif(shutil.which(name) is None, reason=f"{name} is not installed")
    )
    for name in ("bash", "zsh", "fish")
]


@pytest.fixture(scope="module")
def space(tmp_path_factory):
    """A workspace with the trees hello_world and web, and a program `stalker` on the PATH."""
    path = tmp_path_factory.mktemp("completion")
    write_new(str(path / "w"), workspace_files(TEMPLATES["hello"], "w"))
    write_new(str(path / "w"), stalk_files("web"))
    program = path / "bin/stalker"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nPYTHONPATH={LIB} exec {sys.executable} -P -m stalker.cli "$@"\n')
    program.chmod(0o755)
    return path


@pytest.fixture(scope="module")
def environ(space):
    return {
        "PATH": f"{space}/bin:{os.environ['PATH']}",
        "HOME": str(space),
        "XDG_CACHE_HOME": str(space / "cache"),
        "TERM": "dumb",
        "LC_ALL": "C.UTF-8",
    }


@pytest.fixture(scope="module")
def scripts(space, environ):
    """The script of each shell, as files."""
    found = {}
    for shell in completion.SHELLS:
        done = subprocess.run(
            ["stalker", "completion", shell], env=environ, capture_output=True, text=True, check=True
        )
        found[shell] = space / f"completion.{shell}"
        found[shell].write_text(done.stdout)
    return found


BEGIN = {
    "bash": ["bash", "--norc", "--noprofile", "-i"],
    "zsh": ["zsh", "-f", "-i"],
    "fish": ["fish", "--no-config", "-i"],
}


def after_tab(shell, typed, space, environ, scripts):
    """Return the line after a TAB: what is run then is a function that writes it into a file."""
    lines = {
        "bash": [f"source {scripts['bash']}"],
        "zsh": ["autoload -Uz compinit", "compinit -u -D", f"source {scripts['zsh']}"],
    }
    child = pexpect.spawn(
        BEGIN[shell][0],
        BEGIN[shell][1:],
        env={**environ, "PS1": "", "INPUTRC": "/dev/null"},
        cwd=space / "w/stalks",
        timeout=60,
        encoding="utf-8",
        dimensions=(60, 200),
    )
    result = space / f"typed-{shell}"
    result.unlink(missing_ok=True)
    for line in lines[shell]:
        child.sendline(line)
    child.sendline("echo rea''dy")
    child.expect("ready\r")
    child.send(typed + "\t")
    # the shell reads what follows only when the completion is there
    child.sendline(f"; echo done >{result}")
    child.expect_exact(f">{result}")
    seen = child.before
    child.sendline("exit")
    child.close(force=True)
    return seen


LINES = [
    ("stalker sho", "stalker show "),
    ("stalker run hel", "stalker run hello_world "),
    ("stalker run web --unt", "stalker run web --until "),
    ("stalker run web --until w", "stalker run web --until web "),
    ("stalker run web --until web:li", "stalker run web --until web:line "),
    ("stalker --config hel", "stalker --config hello_world "),
    ("stalker shell hello_world:hello_f", "stalker shell hello_world:hello_from_sh "),
    ("stalker image inf", "stalker image info "),
    ("stalker init --from ras", "stalker init --from raspberry-pi "),
    ("stalker prune web w", "stalker prune web web "),
]


@pytest.mark.parametrize("shell", [one for one in SHELLS if one.values != ("fish",)])
@pytest.mark.parametrize(("typed", "line"), LINES)
def test_a_tab_completes_the_line(shell, typed, line, space, environ, scripts):
    """Commands, options, trees, stalks and steps; in a subdirectory of the workspace too."""
    seen = after_tab(shell, typed, space, environ, scripts)

    assert line in " ".join(seen.replace("\x07", "").split()) + " "


@pytest.mark.parametrize("shell", [one for one in SHELLS if one.values == ("fish",)])
@pytest.mark.parametrize(("typed", "line"), LINES)
def test_fish_completes_the_line(shell, typed, line, space, environ, scripts):
    """It says what a TAB would offer."""
    done = subprocess.run(
        ["fish", "--no-config", "-c", f'source {scripts["fish"]}; complete -C "{typed}"'],
        env=environ,
        cwd=space / "w/stalks",
        capture_output=True,
        text=True,
        check=True,
    )

    assert [one.split("\t")[0] for one in done.stdout.splitlines()] == [line.split()[-1]]


def completed(line, space, environ, **more):
    """Return what the program answers bash."""
    done = subprocess.run(
        [sys.executable, "-P", "-m", "stalker.cli"],
        env={
            **environ,
            "PYTHONPATH": str(LIB),
            "_STALKER_COMPLETE": "bash_complete",
            "COMP_LINE": line,
            "COMP_WORDBREAKS": ":=",
            **more,
        },
        cwd=space / "w",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    return [one.partition(",")[2] for one in done.stdout.split()]


def test_all_commands_are_offered(space, environ, scripts):
    assert completed("stalker ", space, environ) == list(COMMANDS)


def test_without_a_tree_the_stalks_of_all_trees_are_offered(space, environ, scripts):
    assert completed("stalker log ", space, environ) == ["hello_world", "web"]
    assert completed("stalker log --tree web ", space, environ) == ["web"]


def test_steps_are_offered_without_what_bash_has_already(space, environ, scripts):
    """It breaks words at colons, unless its user says otherwise."""
    assert completed("stalker log web:fi", space, environ) == ["final", "first"]
    whole = completed("stalker log web:fi", space, environ, COMP_WORDBREAKS="=")
    assert whole == ["web:final", "web:first"]


def test_the_workspace_that_is_typed_counts(space, environ, scripts):
    assert completed("stalker --workspace / run ", space, environ) == []


def test_a_tree_that_cannot_be_read_completes_as_far_as_it_can(space, environ, scripts):
    """No error appears on the line that is typed."""
    broken = space / "w/trees/broken.hjson"
    broken.write_text("{ stalks: { web: { ")
    try:
        names = completed("stalker run ", space, environ)
        completed("stalker run broken --from ", space, environ)
    finally:
        broken.unlink()

    assert names == ["broken", "hello_world", "web"]


def test_an_outline_of_other_code_or_a_damaged_one_is_made_again(space, environ, scripts):
    """A command of a new version is offered at once."""
    kept = space / "cache/stalker/completion.json"
    for text in ('{"state": "other", "outline": {}}', "{", "[]"):
        kept.write_text(text)

        assert completed("stalker sho", space, environ) == ["show"]
    assert json.loads(kept.read_text())["state"] != "other"


def test_a_cache_that_cannot_be_written_is_no_obstacle(space, environ, scripts):
    names = completed("stalker sho", space, environ, XDG_CACHE_HOME="/dev/null/x")

    assert names == ["show"]


def test_an_outline_has_each_option_of_each_command():
    """What is completed is what the commands take."""

    def options(command):
        return sorted(word for one in command.params if isinstance(one, click.Option) for word in one.opts)

    def compare(real, light, context):
        assert options(light) == options(real), real.name
        if isinstance(real, click.Group):
            for name in real.list_commands(context):
                compare(real.get_command(context, name), light.get_command(context, name), context)

    compare(stalker, completion.command_of("stalker", completion.outline_of(stalker)), click.Context(stalker))
