"""Shebang lines: which program runs a script, and whether that program is a POSIX shell."""

from __future__ import annotations

import posixpath
import re

SHELLS = frozenset(
    {"sh", "bash", "dash", "ash", "ksh", "ksh93", "mksh", "pdksh", "oksh", "zsh", "yash", "posh", "rbash"}
)
_VERSION = re.compile(r"-?\d[\d.]*\Z")
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")


def interpreter_of(content: bytes) -> tuple[str, ...]:
    """Return program and, if there is one, its argument, as the kernel splits a shebang line.

    All that follows the program is one argument; blanks around it are cut off.

    Raises:
        ValueError: there is no usable shebang line; the text says why.
    """
    if not content.startswith(b"#!"):
        if content.startswith(b"\xef\xbb\xbf#!"):
            raise ValueError("a byte order mark stands before the shebang line")
        raise ValueError("no shebang line")
    line = content[2:].split(b"\n", 1)[0]
    if line.endswith(b"\r"):
        raise ValueError("the shebang line ends in a carriage return, as Windows writes it")
    try:
        words = line.decode("utf-8").strip(" \t").split(None, 1)
    except UnicodeDecodeError:
        raise ValueError("the shebang line is not UTF-8") from None
    if not words:
        raise ValueError("the shebang line names no program")
    if not words[0].startswith("/"):
        raise ValueError(f"the shebang line names '{words[0]}'; the kernel wants an absolute path")
    return tuple(word.strip(" \t") for word in words)


def is_posix_shell(interpreter: tuple[str, ...]) -> bool:
    """Whether braces in a script belong to a shell: sh, bash, ..., also by `env` or `busybox`."""
    return bool(shell_of(interpreter))


def shell_of(interpreter: tuple[str, ...]) -> str:
    """Return the name of the POSIX shell that runs a script, without its version, empty for none."""
    words = [posixpath.basename(interpreter[0]), *" ".join(interpreter[1:]).split()]
    if words[0] == "env":
        words = _after_env(words[1:])
    if words and posixpath.basename(words[0]) in {"busybox", "toybox"}:
        words = words[1:]
    if not words:
        return ""
    name = posixpath.basename(words[0])
    return next((shell for shell in (name, _VERSION.sub("", name)) if shell in SHELLS), "")


def _after_env(words: list[str]) -> list[str]:
    """Drop the options and assignments of `env`."""
    left = list(words)
    while left:
        word = left[0]
        if word in {"-u", "--unset", "-C", "--chdir"}:
            left = left[2:]
        elif word.startswith("-S") and word != "-S":
            left = [word[2:], *left[1:]]
        elif word.startswith("--split-string="):
            left = [word.partition("=")[2], *left[1:]]
        elif word.startswith("-") or _ASSIGNMENT.match(word):
            left = left[1:]
        else:
            break
    return left
