"""Questions at the terminal."""

import io

import pytest

from stalker.cli.terminal import ask, say


@pytest.mark.parametrize(
    ("answer", "is_yes"), [("y\n", True), ("YES \n", True), ("yeah\n", False), ("\n", False), ("", False)]
)
def test_only_y_and_yes_are_a_yes(monkeypatch, capsys, answer, is_yes):
    """An end of the input is a no; the question is on stderr."""
    monkeypatch.setattr("sys.stdin", io.StringIO(answer))

    assert ask("remove it?") is is_yes
    assert capsys.readouterr() == ("", "remove it? [y/N] ")


def test_a_line_is_written_to_stderr(capsys):
    say("done")

    assert capsys.readouterr() == ("", "stalker: done\n")
