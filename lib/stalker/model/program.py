"""The name of the program as the user typed it, for messages that say what to type next.

One place decides: the command line sets it once, when it starts. Without one, as in a library, it is `stalker`.
"""

from __future__ import annotations

DEFAULT = "stalker"


class _Typed:
    name = DEFAULT


def set_program(name: str) -> None:
    """Set what the user typed to start the program: `stalker`, `./stalker` or another path."""
    _Typed.name = name


def program() -> str:
    """Return what the user typed to start the program, as the beginning of what to type next."""
    return _Typed.name
