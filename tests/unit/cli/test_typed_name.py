"""Messages say what to type next in the words of what was typed."""

from __future__ import annotations

import pytest

from stalker.cli.typed_name import LAUNCHED, typed_name


@pytest.fixture
def program(tmp_path):
    file = tmp_path / "bin/stalker"
    file.parent.mkdir()
    file.touch(mode=0o755)
    return file


def test_an_installed_program_on_the_path_is_stalker(program):
    """Typed as `stalker`, the shell hands over its whole path."""
    environ = {"PATH": f"/nowhere:{program.parent}"}

    assert typed_name(str(program), environ, is_installed=True) == "stalker"


def test_an_installed_program_elsewhere_is_its_path(program):
    assert typed_name(str(program), {"PATH": "/nowhere"}, is_installed=True) == str(program)


def test_another_program_of_that_name_on_the_path_is_not_meant(program, tmp_path):
    other = tmp_path / "other/stalker"
    other.parent.mkdir()
    other.touch(mode=0o755)
    environ = {"PATH": f"{other.parent}:{program.parent}"}

    assert typed_name(str(program), environ, is_installed=True) == str(program)


@pytest.mark.parametrize(
    ("launched", "typed"),
    [("./stalker", "./stalker"), ("../s/stalker", "../s/stalker"), ("stalker", "./stalker")],
)
def test_the_launcher_of_a_checkout_is_what_was_typed(launched, typed):
    environ = {"PATH": "/usr/bin", LAUNCHED: launched}

    assert typed_name("/c/lib/stalker/cli/__main__.py", environ, is_installed=False) == typed


def test_an_installed_program_is_not_taken_for_the_launcher_that_started_it(program):
    """A script that a checkout's stalker runs may call the installed one."""
    environ = {"PATH": str(program.parent), LAUNCHED: "./stalker"}

    assert typed_name(str(program), environ, is_installed=True) == "stalker"


@pytest.mark.parametrize(("is_installed", "typed"), [(True, "stalker"), (False, "./stalker")])
def test_started_as_a_module_it_is_what_a_user_would_type(is_installed, typed):
    assert typed_name("/x/cli/__main__.py", {"PATH": ""}, is_installed=is_installed) == typed
