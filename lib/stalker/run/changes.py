"""What of a container's changes an image cannot hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

WHITEOUT = ".wh."
"""How the name of a file begins that says, in an image's layer, that the rest of its name was deleted."""


def whiteout_names(changed: Iterable[tuple[str, str]]) -> list[str]:
    """Return the paths of files whose names would delete their neighbours in the image.

    Source: OCI image specification, layer.md, "Whiteouts".
    """
    return [path for kind, path in changed if kind != "D" and path.rpartition("/")[2].startswith(WHITEOUT)]
