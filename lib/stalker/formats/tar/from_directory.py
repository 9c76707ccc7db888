"""A directory of the host as a tar: the same files give the same bytes, whatever their owner and path."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from stalker.errors import StalkerError
from stalker.formats.tar.header import Header, new_header, with_checksum
from stalker.formats.tar.stream import END

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CHUNK_BYTES = 1 << 18
BIG_BYTES = 8**11
"""From here on a size does not fit its octal field."""


def tar_of_folder(folder: str, *, latest_s: int, check: Callable[[], None] = lambda: None) -> Iterator[bytes]:
    """Yield a tar of what is in a directory, in the order of the names.

    All belongs to root, with the mode that the files have; no time is later than `latest_s`. `check` is
    called now and then and may raise.

    Raises:
        StalkerError: it holds what is neither file, directory nor link, or a file changed while it was read.
        OSError: something could not be read.
    """
    yield from _below(os.fsencode(folder), b"", latest_s, check)
    yield END


def _below(root: bytes, path: bytes, latest_s: int, check: Callable[[], None]) -> Iterator[bytes]:
    with os.scandir(os.path.join(root, path) if path else root) as listing:  # noqa: PTH118  names are bytes
        entries = sorted(listing, key=lambda entry: entry.name)
    for entry in entries:
        check()
        name = path + b"/" + entry.name if path else entry.name
        found = entry.stat(follow_symlinks=False)
        mtime_s = min(int(found.st_mtime), latest_s)
        mode = stat.S_IMODE(found.st_mode)
        if stat.S_ISDIR(found.st_mode):
            yield new_header(name + b"/", b"5", mode=mode, mtime_s=mtime_s).raw
            yield from _below(root, name, latest_s, check)
        elif stat.S_ISLNK(found.st_mode):
            yield (
                new_header(name, b"2", mode=0o777, mtime_s=mtime_s).renamed(name, os.readlink(entry.path)).raw  # noqa: PTH115  names are bytes
            )
        elif stat.S_ISREG(found.st_mode):
            yield _sized(new_header(name, b"0", mode=mode, mtime_s=mtime_s), found.st_size).raw
            yield from _data(entry.path, found.st_size, check)
        else:
            shown = os.fsdecode(entry.path)
            raise StalkerError(f"{shown} is not a file, folder or link", "", "take it out of the folder")


def _data(path: bytes, size_bytes: int, check: Callable[[], None]) -> Iterator[bytes]:
    left = size_bytes
    with open(path, "rb", buffering=0) as stream:  # noqa: PTH123  names are bytes
        while left:
            check()
            data = stream.read(min(left, CHUNK_BYTES))
            if not data:
                break
            left -= len(data)
            yield data
        if left or stream.read(1):
            raise StalkerError(f"{os.fsdecode(path)} changed while it was read", "", "run it again")
    yield bytes(-size_bytes % 512)


def _sized(header: Header, size_bytes: int) -> Header:
    block = bytearray(header.block)
    if size_bytes < BIG_BYTES:
        block[124:136] = b"%011o\x00" % size_bytes
    else:
        block[124:136] = b"\x80" + size_bytes.to_bytes(11, "big")
    return Header(with_checksum(block), header.name, header.link, size_bytes, header.extras)
