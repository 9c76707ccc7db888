"""The members of a tar, packed or not: what they are, and what is in them."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from stalker.formats.archive.members import MEMBERS_MAX, Raw
from stalker.formats.archive.streams import changed, told_of, unpacked
from stalker.formats.tar.header import BLOCK, PAX_GLOBAL, Header, number
from stalker.formats.tar.sparse import filled, read_sparse, real_size
from stalker.formats.tar.stream import walk

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping
    from pathlib import Path

    from stalker.formats.archive.members import Gathering, Member
    from stalker.formats.fs.entry import Kind
    from stalker.model.card import Via

    Data = bytes | memoryview

LABEL = b"V"
OTHERS = {b"3": "a device", b"4": "a device", b"6": "a pipe", b"M": "a part of a file of another volume"}


def gather_tar(path: Path, via: Via, called: str, gathering: Gathering, max_bytes: int | None) -> None:
    """Read a tar and give each of its members to `gathering`.

    Raises:
        InputError: it is damaged, or holds no tar.
    """
    # Headers take room too, which no member tells of: names and records, blocks that are not full.
    most = None if max_bytes is None else max_bytes + MEMBERS_MAX * 4 * BLOCK
    with contextlib.closing(_walked(path, via, called, most)) as items:
        members = _Members(items)
        for place, header in members:
            with told_of(called):
                raw = _raw(place, header, members.data())
            gathering.add(raw)


def tar_contents(
    path: Path, via: Via, called: str, wanted: Mapping[int, Member]
) -> Iterator[tuple[Member, Iterator[Data]]]:
    """Yield those of the members that are wanted, by number, and what is in each.

    Raises:
        InputError: it is damaged, or not what it was when its members were gathered.
    """
    left = len(wanted)
    with contextlib.closing(_walked(path, via, called, None)) as items:
        members = _Members(items)
        for place, header in members:
            member = wanted.get(place)
            if member is None:
                continue
            with told_of(called):
                size = real_size(header)
            if (header.size if size is None else size) != member.size_bytes or not header.is_file:
                raise changed(called)
            data = members.data()
            yield member, data if size is None else _filled(header, data, called)
            left -= 1
    if left:
        raise changed(called)


class _Members:
    """Iterates over the numbered headers of a tar; `data` is what follows the one that came last."""

    def __init__(self, items: Iterator[Header | memoryview]) -> None:
        self._items = items
        self._next: Header | None = None

    def __iter__(self) -> Iterator[tuple[int, Header]]:
        place = -1
        while True:
            for _ in self.data():
                pass  # What was not requested.
            if self._next is None:
                return
            header, self._next = self._next, None
            if header.kind in {PAX_GLOBAL, LABEL}:
                continue
            place += 1
            yield place, header

    def data(self) -> Iterator[Data]:
        """Yield what is left of the data of the last header."""
        if self._next is not None:
            return
        for item in self._items:
            if not isinstance(item, memoryview):
                self._next = item
                return
            yield item


def _walked(
    path: Path, via: Via, called: str, max_bytes: int | None
) -> Generator[Header | memoryview, None, None]:
    with told_of(called), contextlib.closing(unpacked(path, via, max_bytes)) as chunks:
        yield from walk(chunks)


def _filled(header: Header, data: Iterator[Data], called: str) -> Iterator[Data]:
    with told_of(called):
        yield from filled(read_sparse(header, data))


def _raw(place: int, header: Header, data: Iterator[Data]) -> Raw:
    """Return what a header says; the map of a sparse file is read, so that what is wrong in it is reported now."""
    size = real_size(header) if header.is_file else None
    if size is not None:
        size = read_sparse(header, data).size_bytes
    kind, other = _kind(header)
    return Raw(
        name=_text(header.name),
        kind=kind,
        number=place,
        size_bytes=(header.size if size is None else size) if kind == "file" else 0,
        mode=header.mode,
        uid=header.uid,
        gid=header.gid,
        mtime_s=_mtime(header),
        target=_text(header.link),
        xattrs=tuple(sorted(header.xattrs.items())) if header.records else (),
        other=other,
    )


def _kind(header: Header) -> tuple[Kind, str]:
    if header.is_folder:
        return "folder", ""
    if header.is_file:
        return "file", ""
    if header.kind == b"1":
        return "hardlink", ""
    if header.kind == b"2":
        return "link", ""
    return "other", OTHERS.get(header.kind) or f"a member of the unknown kind {header.kind!r}"


def _mtime(header: Header) -> int:
    """Return the time in whole seconds; pax tells it with a fraction."""
    text = header.records.get(b"mtime", b"").partition(b".")[0]
    if text and len(text) < 20 and text.removeprefix(b"-").isdigit():
        return int(text)
    return number(header.block[136:148])


def _text(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")
