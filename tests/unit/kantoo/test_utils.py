"""Arguments, programs and files, as scripts of steps use them."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest
from kantoo import utils
from kantoo.utils import Failed

HELPERS = sorted((Path(__file__).resolve().parents[3] / "plugins/lib/python/kantoo").glob("*.py"))


@pytest.mark.parametrize("path", HELPERS, ids=lambda path: path.stem)
def test_helpers_need_nothing_but_an_old_python(path):
    """They parse as Python 3.8 and import the standard library and each other."""
    tree = ast.parse(path.read_text(), feature_version=(3, 8))

    imported = {
        name.split(".")[0]
        for node in ast.walk(tree)
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }

    assert imported <= {*sys.stdlib_module_names, "kantoo"}


def test_arguments_are_read_as_they_are_given(monkeypatch):
    """Text, lists by line, lists by word, mappings, booleans."""
    for name, value in {
        "TEXT": " x ",
        "LIST": "a b\n\n c \n",
        "PAIRS": "CFLAGS=-O2 -g=1\nUSE=",
        "YES": "true",
        "NO": "",
    }.items():
        monkeypatch.setenv(name, value)

    assert (utils.setting("TEXT"), utils.setting("NOT_SET", "default")) == ("x", "default")
    assert (utils.listed("LIST"), utils.words("LIST")) == (["a b", "c"], ["a", "b", "c"])
    assert utils.mapped("PAIRS") == {"CFLAGS": "-O2 -g=1", "USE": ""}
    assert (utils.is_true("YES"), utils.is_true("NO")) == (True, False)


@pytest.mark.parametrize(
    ("read", "value", "said"),
    [
        (utils.mapped, "a", "x: 'a' is not of the form key=value"),
        (utils.is_true, "yes", "x: 'yes' is none of true, false"),
    ],
)
def test_a_wrong_argument_is_told_by_its_name(monkeypatch, read, value, said):
    """As the stalk has it, in small letters."""
    monkeypatch.setenv("X", value)

    with pytest.raises(Failed, match=said):
        read("X")


def test_programs_do_not_get_the_arguments_of_the_step(monkeypatch):
    """A make that is run would take TARGET for its own; all else is handed on."""
    monkeypatch.setenv("TARGET", "/srv")
    monkeypatch.setenv("CCACHE_DIR", "/ccache")
    utils.setting("TARGET")

    seen = utils.read(
        "sh", "-c", 'echo "${TARGET-none} $CCACHE_DIR $MORE $NOCOLOR"', environment={"MORE": "1"}
    )

    assert seen == "none /ccache 1 true"


def test_a_program_has_the_given_input_and_then_its_end(capfd):
    """A question that nobody foresaw does not wait for ever."""
    utils.run("sh", "-c", 'read -r one; echo "got $one"; read -r two || echo end', given="Yes\n")

    assert capfd.readouterr().out.endswith("got Yes\nend\n")


def test_an_exit_code_that_is_not_accepted_fails():
    """Any other one is returned."""
    assert utils.run("sh", "-c", "exit 3", accepted=(0, 3)) == 3
    with pytest.raises(Failed, match="sh -c exit 3 ended with 3"):
        utils.run("sh", "-c", "exit 3")
    with pytest.raises(Failed, match="no-such-program cannot be started: No such file"):
        utils.run("no-such-program")


def test_a_failure_ends_the_step_with_what_to_do(capsys):
    """Two lines on stderr, exit code 1; a bug keeps its traceback."""

    def fail():
        raise Failed("it is broken", "repair it")

    with pytest.raises(SystemExit) as caught:
        utils.step("a.plugin", fail)
    with pytest.raises(ZeroDivisionError):
        utils.step("a.plugin", lambda: 1 / 0)

    assert caught.value.code == 1
    assert capsys.readouterr().err == "a.plugin: it is broken\n  repair it\n"


def test_a_file_is_replaced_whole(tmp_path):
    """The mode stays, the same text changes nothing, folders are made, and nothing else is left."""
    file = tmp_path / "new/folder/file"

    made = utils.replace_file(str(file), "one\n")
    file.chmod(0o600)
    before = file.stat()
    same = utils.replace_file(str(file), "one\n")
    changed = utils.replace_file(str(file), "two\n")

    assert (made, same, changed) == (True, False, True)
    assert file.read_text() == "two\n"
    assert file.stat().st_mode == before.st_mode
    assert file.stat().st_ino != before.st_ino
    assert [path.name for path in file.parent.iterdir()] == ["file"]
