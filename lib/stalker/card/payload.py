"""What goes onto the data partition: each entry, and where its bytes come from."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from stalker.disk.edit.open import fill_from_file, fill_from_pieces
from stalker.disk.layout import Measure
from stalker.errors import InputError, as_one
from stalker.formats.fs.entry import Entry
from stalker.model.card import CONFIG_COPY

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from stalker.disk.edit.view import View
    from stalker.formats.fs.entry import Editor, Range
    from stalker.model.card import DataFile, Via

BLOCK_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Bytes:
    """A file whose content is at hand."""

    entry: Entry
    content: bytes


@dataclass(frozen=True, slots=True)
class Copied:
    """A file of this host, taken as it is."""

    entry: Entry
    path: Path


@dataclass(frozen=True, slots=True)
class Unpacked:
    """An archive of this host, what is in it, and what it is called in messages."""

    path: Path
    via: Via
    entries: Sequence[Entry]
    called: str


@dataclass(slots=True)
class Stock:
    """What is to be put into one file system, in order."""

    parts: list[Bytes | Copied | Unpacked] = field(default_factory=list)

    @property
    def entries(self) -> list[Entry]:
        """All of it."""
        found: list[Entry] = []
        for part in self.parts:
            found += part.entries if isinstance(part, Unpacked) else [part.entry]
        return found

    @property
    def content_bytes(self) -> int:
        """The bytes of all files."""
        return sum(one.size_bytes for one in self.entries if one.kind == "file")

    def measure(self) -> Measure:
        """Count what it takes in an ext4."""
        measure = Measure()
        folders: set[str] = set()
        for one in self.entries:
            above = one.path.rpartition("/")[0]
            while above and above not in folders:
                folders.add(above)
                above = above.rpartition("/")[0]
            if one.kind == "folder":
                folders.add(one.path)
            elif one.kind == "file":
                measure.inodes += 1
                measure.data_blocks += -(-one.size_bytes // BLOCK_BYTES)
            elif one.kind == "link":
                measure.inodes += 1
                measure.data_blocks += len(one.target.encode("utf-8", "surrogateescape")) > 59
        measure.inodes += len(folders)
        measure.folder_blocks += len(folders) + len(self.entries) // 30
        return measure

    def put(self, editor: Editor, view: View, on_bytes: Callable[[int], None]) -> None:
        """Put all of it into a file system of the image below `view`.

        Raises:
            InputError: a source changed, or an archive differs from its listing.
            StalkerError: the file system cannot take it.
        """
        room = editor.put(self.entries)
        for part in self.parts:
            match part:
                case Bytes(entry, content):
                    fill_from_pieces(view, room.get(entry.path, ()), [content], entry.path, on_bytes)
                case Copied(entry, path):
                    fill_from_file(view, room.get(entry.path, ()), path, on_bytes)
                case Unpacked():
                    _unpack(part, room, view, on_bytes)


def _unpack(
    part: Unpacked, room: Mapping[str, Sequence[Range]], view: View, on_bytes: Callable[[int], None]
) -> None:
    from stalker.formats.archive.open import contents  # late: most sources are not archives

    for entry, pieces in contents(part.path, part.via, part.entries, called=part.called):
        fill_from_pieces(view, room.get(entry.path, ()), pieces, entry.path, on_bytes)


def stock_of(
    files: Sequence[tuple[DataFile, Path | None]],
    images: Sequence[tuple[str, Path]],
    config: str | None,
    *,
    mtime_s: int,
    notices: list[str] | None = None,
) -> Stock:
    """Take stock: files with what was fetched for them, images as file name and archive, and `config`.

    `notices` collects what of an archive its author should know.

    Raises:
        InputError: an archive is damaged, or a member of it would leave its directory; all of them are named.
    """
    stock = Stock()
    wrong: list[InputError] = []
    for file, path in files:
        try:
            stock.parts.append(_part_of(file, path, mtime_s, notices))
        except InputError as error:
            wrong.append(error)
    if wrong:
        raise as_one(wrong, f"{len(wrong)} archives cannot be unpacked")
    for name, path in images:
        stock.parts.append(Copied(_file(f"/images/{name}", path.stat().st_size, mtime_s), path))
    if config is not None:
        content = config.encode()
        stock.parts.append(Bytes(_file(CONFIG_COPY, len(content), mtime_s), content))
    _refuse_doubles(stock)
    return stock


def _part_of(
    file: DataFile, path: Path | None, mtime_s: int, notices: list[str] | None
) -> Bytes | Copied | Unpacked:
    if file.content is not None:
        return Bytes(_file(file.to, len(file.content), mtime_s), file.content)
    assert path is not None
    if file.via == "direct":
        return Copied(_file(file.to, path.stat().st_size, mtime_s), path)
    from stalker.formats.archive.open import members  # late, as above

    assert file.source is not None
    called = posixpath.basename(urlsplit(file.source.url).path) or file.to
    found = members(path, file.via, file.to, called=called, notices=notices, encoding=file.encoding)
    return Unpacked(path, file.via, found, called)


def _file(path: str, size_bytes: int, mtime_s: int) -> Entry:
    return Entry(path, "file", size_bytes, mtime_s=mtime_s)


def _refuse_doubles(stock: Stock) -> None:
    """Raise when two parts have one path: directories may be shared, all else would be replaced."""
    seen: dict[str, Entry] = {}
    doubles = []
    for one in stock.entries:
        other = seen.setdefault(one.path, one)
        if other is not one and not (one.kind == other.kind == "folder"):
            doubles.append(one.path)
    if doubles:
        raise InputError(
            f"{len(doubles)} paths of the data partition are wanted twice",
            "\n".join(doubles[:10]),
            "give them other places",
        )
