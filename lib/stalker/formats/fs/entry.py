"""What is put into a file system, and where its bytes go.

An editor makes names, directories and room; the bytes themselves are written straight into the image by the caller that
has them, at the ranges that the editor gives. So a file is written once, whatever file system it is for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Kind = Literal["file", "folder", "link", "hardlink", "other"]
"""`other` is what is only ever found: a device, a pipe, a socket."""


class Range(NamedTuple):
    """Bytes of the image file, from `start` on."""

    start: int
    length: int


@dataclass(frozen=True, slots=True)
class Entry:
    """Something to be put into a file system.

    `path` is absolute and normal: `/conf/a`, no `.`, `..`, or empty part; bytes that are not UTF-8 are in it
    as surrogates. `target` is what a link says, or for a hard link the path of an entry before it. `mode` has
    permission bits alone. FAT keeps neither owners nor modes.
    """

    path: str
    kind: Kind = "file"
    size_bytes: int = 0
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    mtime_s: int = 0
    target: str = ""
    xattrs: tuple[tuple[bytes, bytes], ...] = ()


@dataclass(frozen=True, slots=True)
class Found:
    """What is at a path of a file system."""

    kind: Kind
    size_bytes: int = 0
    mode: int = 0o755
    uid: int = 0
    gid: int = 0
    target: str = ""


class Editor(Protocol):
    """A file system of an image that is open for changes; nothing is surely written before `finish`."""

    @property
    def free_bytes(self) -> int:
        """How much more data fits, about."""

    def look(self, paths: Sequence[str]) -> Mapping[str, Found]:
        """Return what is at each of these paths; those that are not there are left out.

        The last part of a path is never followed, a link on the way makes the path one that is not there.
        """

    def resolve(self, path: str) -> str:
        """Return a path with the links on its way followed inside the file system; the last part as it is."""

    def read(self, path: str) -> bytes:
        """Return the whole content of a file. Raises StalkerError when it is none, or larger than 16 MiB."""

    def put(self, entries: Sequence[Entry]) -> Mapping[str, Sequence[Range]]:
        """Make these, in order, and return where the bytes of each file with any are to be written.

        Directories that are missing on the way are made (0755, root's). A file or link that is there is
        replaced; a directory that is there stays as it is. The ranges of a file are as long as it is;
        what is behind its end in its last block is zeros.

        Raises:
            StalkerError: no room, a directory where a file should come, a path that leads through a link, a name
                that this file system cannot hold; nothing has been written then, unless a tool failed.
        """

    def pieces(self) -> Sequence[tuple[int, bytes]]:
        """Return what `finish` writes, by offset in the image: all that makes the entries part of it."""

    def finish(self) -> None:
        """Write what is still to be written. Raises StalkerError."""

    def close(self) -> None:
        """Give back what it holds of this host; what is not finished is forgotten."""
