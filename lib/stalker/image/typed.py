"""What is typed into a shell to run a command there, and to know what came of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stalker.model.artifacts import Expectation

LONGEST_LINE = 4000
"""A terminal takes lines of 4095 bytes."""


def command_line(command: str, mark: str) -> str:
    """Return what is typed to run a command in any shell, so that its output stands between two marks.

    The command gets a shell of its own: neither an `exit` nor a wrong quote in it takes the marks away. It reads
    no input: what is typed ahead is not for it. Characters that a line editor would act on are not typed.
    """
    if any(char < " " or char == "\x7f" for char in command):
        plain = "".join(f"\\0{ord(char):03o}" if char < " " or char in "\\\x7f" else char for char in command)
        program = f'"$(printf %b {_quoted(plain)})"'
    else:
        program = _quoted(command)
    first, rest = mark[:2], mark[2:]
    return f'echo "{first}""{rest}<"; sh -c {program} </dev/null; echo "{first}""{rest}:$?>"'


def too_long(expectations: Sequence[Expectation], token: str) -> Expectation | None:
    """Return the first expectation whose line no terminal would take."""
    for one in expectations:
        line = command_line(one.text, f"@{token}") if one.kind == "run" else one.text
        if one.kind != "wait" and len(line.encode()) > LONGEST_LINE:
            return one
    return None


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"
