"""What an artifact cannot have of an image, in words: names that lead out, marks, files through links."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stalker.errors import EngineError, StalkerError
from stalker.image.patterns import path_text

if TYPE_CHECKING:
    from stalker.image.tarheader import Header

FILLED_MAX_BYTES = 1 << 20
"""Marks are filled in files up to here: they are configuration."""


def check_name(path: bytes) -> None:
    """Raise EngineError for a name that no file system can have."""
    if b".." in path.split(b"/"):
        raise EngineError(
            "the image holds a name that leads out of it",
            f"{path_text(path)}: no file system has a file of that name",
            "make the base it comes from again; this export is not to be trusted",
        )


def check_can_be_filled(header: Header) -> None:
    """Raise StalkerError for what is no plain file of a size that marks are filled in."""
    name = path_text(header.path)
    if not header.is_file or is_sparse(header):
        raise StalkerError(
            f"{name} is to be filled in, and is no plain file of its own",
            f"it is a link to {header.link.decode('utf-8', 'replace')}" if header.link else "",
            "name the file itself",
        )
    if header.size > FILLED_MAX_BYTES:
        raise StalkerError(
            f"{name} is to be filled in, and has {header.size} bytes",
            f"marks are filled in files of up to {FILLED_MAX_BYTES} bytes",
            "fill in a smaller one",
        )


def is_sparse(header: Header) -> bool:
    """Say whether the data of a member is not its content."""
    return header.kind == b"S" or any(key.startswith(b"GNU.sparse.") for key in header.records)


def cannot_write(path: bytes, details: str, resolution: str) -> StalkerError:
    """Return the error of a file that an artifact writes where it cannot be."""
    return StalkerError(f"{path_text(path)} cannot be written into the artifact", details, resolution)
