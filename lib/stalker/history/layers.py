"""Whole states out of the layers of images, each layer read once and remembered by its digest.

`docker save` of all states of a chain gives each of their layers once. A layer is indexed by its DiffID, the
SHA-256 of its content, so an index cannot differ from its layer, and the next question of any image that has it
is answered without the engine. Composed states equal the exports of the same images.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from stalker.errors import InputError
from stalker.formats.tar.header import Header, number, plain
from stalker.formats.tar.stream import walk
from stalker.io.atomic import write_file
from stalker.rootfs.diff import KINDS, Entry
from stalker.rootfs.overlay import is_left_out, is_stub

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Sequence

    from stalker.engine.interface import Engine
    from stalker.history.chain import State

FORMAT = "1"
"""Changes when an index would be read in another way; it is part of the file's name."""

WHITEOUT, OPAQUE = b".wh.", b".wh..wh..opq"

HARD_LINK = "hard link"
"""A member that is another name of a file; composing gives it that file's entry."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One path of a state: what is compared of it, and when it was written last (Unix time in seconds)."""

    entry: Entry
    mtime_s: int


Listing = dict[bytes, Seen]
"""A state by path, relative to the root."""


def seen_of(header: Header, digest: bytes) -> Seen:
    """Return what a member of a tar is; `digest` is that of its content."""
    kind = "folder" if header.is_folder else KINDS.get(header.kind, "file")
    target = header.link if kind == "link" else b""
    if "device" in kind:
        target = b"%d:%d" % header.device
    if header.kind == b"1":
        kind, target = HARD_LINK, plain(header.link)
    is_file = kind == "file"
    entry = Entry(
        kind,
        0o777 if kind == "link" else header.mode,  # Linux knows no other; an archive may say anything
        header.uid,
        header.gid,
        header.size if is_file else 0,
        digest if is_file else b"",
        target,
        tuple(sorted(header.xattrs.items())),
    )
    return Seen(entry, _mtime_s(header))


def _mtime_s(header: Header) -> int:
    """Return when a member was written: pax records know fractions, which not every engine keeps."""
    with contextlib.suppress(KeyError, ValueError):
        return int(float(header.records[b"mtime"]))
    return number(header.block[136:148])


def read_listing(chunks: Iterable[bytes | memoryview]) -> Listing:
    """Read a tar as a listing, whiteouts and hard links as they are in it. Raises InputError."""
    found: Listing = {}
    current: Header | None = None
    digest = hashlib.sha256()
    for item in walk(chunks):
        if isinstance(item, memoryview):
            digest.update(item)
            continue
        _close(found, current, digest)
        current, digest = item, hashlib.sha256()
    _close(found, current, digest)
    return found


def _close(found: Listing, header: Header | None, digest: hashlib._Hash) -> None:
    if header is None or header.kind == b"g":
        return
    path = header.path
    if path and not is_left_out(path) and not is_stub(header):
        found[path] = seen_of(header, digest.digest())


# Composing


def compose(layers: Iterable[Listing]) -> Listing:
    """Lay layers over one another, the lowest first.

    Source: OCI image specification, layer.md: whiteouts and opaque directories hide what is in lower layers only.
    """
    state: Listing = {}
    for layer in layers:
        lay_over(state, layer)
    return state


def lay_over(state: Listing, layer: Listing) -> None:
    """Change a state to what it is with one more layer."""
    _hide(state, layer)
    for path, seen in layer.items():
        if path.rpartition(b"/")[2].startswith(WHITEOUT):
            continue
        old = state.get(path)
        if old is not None and old.entry.kind == "folder" and seen.entry.kind != "folder":
            _remove_below(state, path)
        state[path] = seen
    for path, seen in layer.items():
        if seen.entry.kind == HARD_LINK:
            state[path] = state.get(seen.entry.target, seen)


def _hide(state: Listing, layer: Listing) -> None:
    """Remove what a layer hides of the layers below it."""
    hidden: set[bytes] = set()
    emptied: set[bytes] = set()
    for path in layer:
        directory, _, name = path.rpartition(b"/")
        if name == OPAQUE:
            emptied.add(directory)
        elif name.startswith(WHITEOUT):
            hidden.add((directory + b"/" if directory else b"") + name.removeprefix(WHITEOUT))
    folders = set(emptied)
    for path in hidden:
        seen = state.pop(path, None)
        if seen is not None and seen.entry.kind == "folder":
            folders.add(path)
    if folders:
        beginnings = tuple(folder + b"/" if folder else b"" for folder in folders)
        for path in [one for one in state if one.startswith(beginnings)]:
            del state[path]


def _remove_below(state: Listing, path: bytes) -> None:
    beginning = path + b"/"
    for below in [one for one in state if one.startswith(beginning)]:
        del state[below]


# Reading


class Layers:
    """Listings of layers by DiffID, in memory and in a directory of the user's cache."""

    def __init__(self, directory: Path) -> None:
        """Take the directory; it is made when something is kept."""
        self._directory = directory
        self._known: dict[str, Listing] = {}
        self._states: dict[tuple[str, ...], Listing] = {}

    def states(self, engine: Engine, states: Sequence[State]) -> list[Listing]:
        """Return the listings of some states; the engine is asked only for layers that are not known.

        Raises EngineError, InputError.
        """
        lacking = [state for state in states if self._lacks(state.image.diff_ids)]
        if lacking:
            self._read(engine, [state.image.id for state in lacking])
        return [self._state(engine, state) for state in states]

    def _lacks(self, diff_ids: Sequence[str]) -> bool:
        return not diff_ids or any(self._layer(one) is None for one in diff_ids)

    def _state(self, engine: Engine, state: State) -> Listing:
        diff_ids = state.image.diff_ids
        if not self._lacks(diff_ids):
            return self._composed(diff_ids)
        # An engine that packs layers in a way that is not read here still exports.
        exported: Generator[bytes, None, None] = engine.export(state.image.id)  # type: ignore[assignment]
        with contextlib.closing(exported) as chunks:
            return compose([read_listing(chunks)])

    def _composed(self, diff_ids: tuple[str, ...]) -> Listing:
        """Return the state of some layers; those of a chain have most of them in common."""
        if diff_ids not in self._states:
            state: Listing = {}
            if len(diff_ids) > 1:
                state = self._composed(diff_ids[:-1]).copy()
            layer = self._layer(diff_ids[-1])
            assert layer is not None
            lay_over(state, layer)
            self._states[diff_ids] = state
        return self._states[diff_ids]

    def _layer(self, diff_id: str) -> Listing | None:
        if diff_id not in self._known:
            try:
                content = self._path(diff_id).read_bytes()
                self._known[diff_id] = _unpacked(content)
            except (OSError, ValueError, zlib.error):
                return None
        return self._known[diff_id]

    def _path(self, diff_id: str) -> Path:
        return self._directory / f"{diff_id.removeprefix('sha256:')}.{FORMAT}"

    def _read(self, engine: Engine, images: Sequence[str]) -> None:
        saved: Generator[bytes, None, None] = engine.save(images)  # type: ignore[assignment]
        with contextlib.closing(saved) as chunks:
            for diff_id, listing in layers_in(chunks):
                self._known[diff_id] = listing
                with contextlib.suppress(OSError):
                    self._keep(diff_id, listing)

    def _keep(self, diff_id: str, listing: Listing) -> None:
        self._directory.mkdir(parents=True, exist_ok=True)
        write_file(self._path(diff_id), _packed(listing), durable=False)


def _packed(listing: Listing) -> bytes:
    rows = [
        [
            _text(path),
            seen.entry.kind,
            seen.entry.mode,
            seen.entry.uid,
            seen.entry.gid,
            seen.entry.size_bytes,
            seen.entry.digest.hex(),
            _text(seen.entry.target),
            [[_text(name), _text(value)] for name, value in seen.entry.xattrs],
            seen.mtime_s,
        ]
        for path, seen in listing.items()
    ]
    return zlib.compress(json.dumps(rows).encode(), 1)


def _unpacked(content: bytes) -> Listing:
    found: Listing = {}
    for path, kind, mode, uid, gid, size, digest, target, xattrs, mtime_s in json.loads(
        zlib.decompress(content)
    ):
        own = tuple((_bytes(name), _bytes(value)) for name, value in xattrs)
        entry = Entry(kind, mode, uid, gid, size, bytes.fromhex(digest), _bytes(target), own)
        found[_bytes(path)] = Seen(entry, mtime_s)
    return found


def _text(data: bytes) -> str:
    return data.decode("latin-1")


def _bytes(text: str) -> bytes:
    return text.encode("latin-1")


class _Members:
    """The members of an archive one after the other, the data of each as a stream of its own."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._items = iter(walk(chunks))
        self._next: Header | None = None
        self._pull()

    def _pull(self) -> memoryview | None:
        for item in self._items:
            if isinstance(item, Header):
                self._next = item
                return None
            return item
        self._next = None
        return None

    def data(self) -> Iterator[memoryview]:
        """Yield the data of the current member; what is not read is passed over by the next one."""
        while (piece := self._pull()) is not None:
            yield piece

    def __iter__(self) -> Iterator[tuple[Header, Iterator[memoryview]]]:
        while self._next is not None:
            header, self._next = self._next, None
            data = self.data()
            yield header, data
            for _ in data:
                pass


def layers_in(chunks: Iterable[bytes]) -> Iterator[tuple[str, Listing]]:
    """Yield (DiffID, listing) of each layer of an archive that an engine saved, of Docker's form or OCI's.

    Raises InputError. Layers that are compressed in another way than gzip are left out.
    """
    for header, data in _Members(chunks):
        # Docker: ID/layer.tar, OCI: blobs/sha256/DIGEST, Podman: DIGEST.tar.
        is_layer = header.path.endswith(b".tar") or header.path.startswith(b"blobs/sha256/")
        if not (is_layer and header.is_file and header.size):
            continue
        head, content = _with_head(data)
        if head[:2] == b"\x1f\x8b":
            head, content = _with_head(_gunzipped(content))
        if not (head[257:262] == b"ustar" or head[:512] == bytes(512)):
            continue
        digest = hashlib.sha256()
        listing = read_listing(_hashed(content, digest))
        yield f"sha256:{digest.hexdigest()}", listing


def _with_head(data: Iterator[bytes | memoryview]) -> tuple[bytes, Iterator[bytes | memoryview]]:
    """Return the first 512 bytes of a stream, or all of a shorter one, and the whole stream again."""
    head = b""
    for piece in data:
        head += piece
        if len(head) >= 512:
            break

    def whole() -> Iterator[bytes | memoryview]:
        yield head
        yield from data

    return head, whole()


def _gunzipped(data: Iterable[bytes | memoryview]) -> Iterator[bytes]:
    decoder = zlib.decompressobj(31)
    for piece in data:
        left = bytes(piece)
        while left:
            try:
                yield decoder.decompress(left)
            except zlib.error as error:
                raise InputError("a layer of the engine is damaged", str(error), "try again") from error
            left = decoder.unused_data
            if decoder.eof and left:
                decoder = zlib.decompressobj(31)
            elif decoder.eof:
                break


def _hashed(data: Iterable[bytes | memoryview], digest: hashlib._Hash) -> Iterator[bytes | memoryview]:
    for piece in data:
        digest.update(piece)
        yield piece
