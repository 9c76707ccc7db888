"""What steps can be given as environment."""

from __future__ import annotations

import errno
import shutil
import subprocess

import pytest

from stalker.config.check import check_files
from stalker.config.tree import nodes

MAX = nodes.VARIABLE_MAX_BYTES


def script(name, shebang="#!/bin/sh", keys=""):
    return f'{name}: {{\n exec: true\n {keys}\n text: "{shebang}\\n:"\n}}'


def test_a_variable_of_the_largest_size_is_all_that_linux_takes():
    """One byte more, and no program starts with it."""
    fits = "x" * (MAX - len("V=") - 1)

    assert subprocess.run(["/bin/true"], env={"V": fits}, check=False).returncode == 0
    with pytest.raises(OSError, match="too long") as caught:
        subprocess.run(["/bin/true"], env={"V": fits + "x"}, check=False)
    assert caught.value.errno == errno.E2BIG


@pytest.mark.parametrize(("more", "count"), [(0, 0), (1, 1)])
def test_a_variable_that_no_program_takes_is_refused(space, more, count):
    """At the plugin, with where its value was set; bytes count, not characters."""
    value = "é" + "x" * (MAX - len("BIG=") - 3 + more)
    space.tree(top=f"globals: {{ BIG: '{value}' }}")
    space.stalk(script("go", keys="BIG: ''"))

    problems = space.problems()

    assert len(problems) == count
    if count:
        assert problems[0].startswith(
            f"stalks/web/web.hjson:4:5: plugins.go: the variable BIG is {MAX + 1} bytes with its name;"
        )
        assert "it is set at trees/t/t.hjson:7:14" in problems[0]


def test_an_environment_variable_that_no_program_takes_is_refused(space):
    """At its place in envplugins."""
    space.stalk(script("go"), f"envplugins: {{ big: '{'x' * MAX}' }}")

    [problem] = space.problems()

    assert problem.startswith("stalks/web/web.hjson:2:17: envplugins.big: the variable big is ")


def test_variables_that_are_too_many_bytes_together_are_refused(space):
    """Each of them alone is fine; those of envplugins count, one that is set twice counts once."""
    value = "x" * (MAX - 100)
    of_all = "\n".join(f"E{number}: '{value}'" for number in range(8))
    own = "\n".join(f"V{number}: '{value}'" for number in range(9))
    space.stalk(
        script("small", keys=f"V1: '{value}'\n E1: '{value}'") + "\n" + script("large", keys=own),
        f"envplugins: {{\n{of_all}\n}}",
    )

    [problem] = space.problems()

    assert "plugins.large: its variables are 222" in problem
    assert "bytes with envplugins; a program takes 2097152" in problem


def test_variables_of_files_may_be_large(space):
    """They are no environment."""
    space.stalk(f"a: {{ bind: '/x', V: '{'x' * MAX}', text: '{{V}}' }}\n" + script("go"))

    assert space.problems() == []


@pytest.mark.parametrize("name", sorted(nodes._SHELL_SETS))
@pytest.mark.parametrize("shell", ["sh", "bash", "dash", "busybox sh"])
def test_a_shell_sets_its_own_variables(shell, name):
    """Whatever it was given: that is why they are refused."""
    words = shell.split()
    if shutil.which(words[0]) is None:
        pytest.skip(f"no {words[0]}")

    done = subprocess.run(
        [shutil.which(words[0]), *words[1:], "-c", f'printf %s "${name}"'],
        env={name: "7x"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.stdout != "7x"


@pytest.mark.parametrize("name", sorted(nodes._BASH_SETS))
def test_bash_sets_its_own_variables(name):
    done = subprocess.run(
        [shutil.which("bash") or pytest.skip("no bash"), "-c", f'printf %s "${name}"'],
        env={name: "7x"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.stdout != "7x"


@pytest.mark.parametrize(
    ("shebang", "name", "message"),
    [
        ("#!/bin/sh", "PPID", "sh sets PPID itself, so a script never sees this value"),
        ("#!/usr/bin/env bash", "IFS", "bash sets IFS itself"),
        ("#!/bin/bash -eu", "RANDOM", "bash sets RANDOM itself"),
        ("#!/bin/sh", "RANDOM", ""),
        ("#!/bin/dash", "SECONDS", ""),
        ("#!/usr/bin/python3", "PPID", ""),
        ("#!/bin/bash", "UID", ""),
        ("#!/bin/bash", "PATH", ""),
    ],
)
@pytest.mark.parametrize("where", ["plugin", "envplugins"])
def test_a_variable_that_a_shell_sets_itself_is_refused(space, where, shebang, name, message):
    """In scripts of that shell alone, at the plugin or at its place in envplugins, once."""
    if where == "plugin":
        space.stalk(script("go", shebang, f"{name}: 5"))
    else:
        steps = "\n".join(script(step, shebang) for step in ("one", "two"))
        space.stalk(steps, f"envplugins: {{ {name}: '5' }}")

    problems = space.problems()

    assert len(problems) == (1 if message else 0)
    assert all(message in problem for problem in problems)
    place = "4:5: plugins.go" if where == "plugin" else f"2:17: envplugins.{name}"
    assert all(problem.startswith(f"stalks/web/web.hjson:{place}: ") for problem in problems)


def test_a_variable_that_sh_may_set_itself_is_a_warning(space):
    """It is bash in some images and dash in others."""
    space.stalk(script("go", keys="SECONDS: 5"))

    [warning] = space.warnings()

    assert "bash, which is sh in some images, sets SECONDS itself" in warning


def test_a_stalk_file_is_checked_by_itself(space):
    """`check` of the file alone finds them too."""
    space.stalk(script("go", keys="IFS: 5"), f"envplugins: {{ big: '{'x' * MAX}' }}")

    problems = [str(problem) for problem in check_files(["stalks/web/web.hjson"], str(space.root))]

    assert len(problems) == 2
