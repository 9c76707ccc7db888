"""Archives that are unpacked into a file system: read twice, and never unpacked on this host.

The first reading says what is in one, and refuses what would leave the directory it is meant for, before
anything is written; the second gives the bytes, as a stream.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stalker.errors import InputError
from stalker.formats.archive.base64_file import decoded
from stalker.formats.archive.members import Gathering, Member
from stalker.formats.archive.streams import changed, check_kind
from stalker.formats.archive.tar import gather_tar, tar_contents
from stalker.formats.archive.zip import gather_zip, zip_contents
from stalker.formats.fs.entry import Entry
from stalker.io.units import size_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from stalker.model.card import Via

    Data = bytes | memoryview


def members(
    path: Path,
    via: Via,
    to: str,
    *,
    called: str = "",
    max_bytes: int | None = None,
    notices: list[str] | None = None,
    encoding: str = "",
) -> list[Entry]:
    """Return what an archive puts below `to`, or for base64 at `to`; `contents` takes it.

    Directories come first, those above before those below. What is there twice is there once, as the last one.
    A tar keeps owners and modes, a zip is root's, 0644 and 0755 where it does not know better. `called` is
    the archive's name in messages. `notices` collects setuid files and the like. `encoding` is that of names in a zip
    that are not marked as UTF-8.

    Raises:
        InputError: members would leave `to` or are not files, all of them reported; it is damaged, is something
            else than `via` says, or holds more than `max_bytes`.
        PlanError: zstd is not installed.
    """
    called = called or path.name
    if via == "base64":
        return [_decoded_entry(path, to, called, max_bytes)]
    check_kind(path, via, called)
    gathering = Gathering(called, to, max_bytes, [] if notices is None else notices)
    if via == "zip":
        gather_zip(path, called, gathering, encoding)
    else:
        gather_tar(path, via, called, gathering, max_bytes)
    return gathering.entries()


def contents(
    path: Path, via: Via, entries: Sequence[Entry], *, called: str = ""
) -> Iterator[tuple[Entry, Iterator[Data]]]:
    """Yield the files of `members` in the archive's order, each with its bytes, as many as it said.

    The bytes of one are to be read before the next is asked for; what is not read is passed over. Memory
    does not depend on sizes.

    Raises:
        InputError: it is damaged, or was changed meanwhile.
    """
    called = called or path.name
    wanted = {one.number: one for one in entries if isinstance(one, Member) and one.kind == "file"}
    if via == "base64":
        for one in wanted.values():
            yield one, _counted(decoded(path, called), one.size_bytes, called)
    elif via == "zip":
        yield from zip_contents(path, called, wanted)
    else:
        yield from tar_contents(path, via, called, wanted)


def _decoded_entry(path: Path, to: str, called: str, max_bytes: int | None) -> Entry:
    size = 0
    for data in decoded(path, called):
        size += len(data)
        if max_bytes is not None and size > max_bytes:
            raise InputError(
                f"{called} holds more than {size_text(max_bytes)}",
                "",
                "make the image larger, or leave it out",
            )
    return Member(to, size_bytes=size)


def _counted(pieces: Iterator[bytes], size_bytes: int, called: str) -> Iterator[bytes]:
    count = 0
    for data in pieces:
        count += len(data)
        if count > size_bytes:
            break
        yield data
    if count != size_bytes:
        raise changed(called)
