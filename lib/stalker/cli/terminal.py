"""The user at the terminal: lines on stderr, and yes/no questions."""

from __future__ import annotations

import sys


def say(text: str) -> None:
    """Print a line of stalker on stderr, in one piece: threads print too."""
    sys.stderr.write(f"stalker: {text}\n")
    sys.stderr.flush()


def is_interactive() -> bool:
    """Whether a user can see a question and answer it."""
    return sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty()


def ask(question: str) -> bool:
    """Ask a question on stderr; only y and yes are a yes."""
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in {"y", "yes"}
