"""What differs between the root file systems of two images, found in two streams that are never unpacked.

In memory is only what is compared: for each path its kind, rights, size and the SHA-256 of its content.
"""

from __future__ import annotations

import contextlib
import hashlib
import threading
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from stalker.errors import EngineError, InputError
from stalker.formats.tar.header import Header, plain
from stalker.formats.tar.stream import walk
from stalker.rootfs.overlay import is_left_out, is_stub

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator

    from stalker.engine.interface import Engine

KINDS = {
    b"2": "link",
    b"3": "character device",
    b"4": "block device",
    b"5": "folder",
    b"6": "pipe",
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One path: what is compared of it. `digest` is of the content of a file, else empty.

    `target` is what a symbolic link points at, or a device's numbers.
    """

    kind: str
    mode: int
    uid: int
    gid: int
    size_bytes: int = 0
    digest: bytes = b""
    target: bytes = b""
    xattrs: tuple[tuple[bytes, bytes], ...] = ()


@dataclass(frozen=True, slots=True)
class Change:
    """One path that is only in the new image (A), only in the old one (D), or not the same in both (C).

    `path` is absolute; bytes that are not UTF-8 are surrogates in it. `notes` name what else than the
    content changed: `mode 0644 -> 0755`.
    """

    kind: Literal["A", "C", "D"]
    path: str
    old: Entry | None
    new: Entry | None
    content_changed: bool = False
    notes: tuple[str, ...] = ()


def compare_images(engine: Engine, old: str, new: str) -> list[Change]:
    """Compare two images by id; sorted by path. Raises EngineError."""
    if old == new:
        return []
    stop = threading.Event()
    with ThreadPoolExecutor(2, thread_name_prefix="stalker-diff") as pool:
        readings = [pool.submit(_entries_of, engine, image, stop) for image in (old, new)]
        try:
            wait(readings, return_when=FIRST_EXCEPTION)
        finally:
            stop.set()  # when one has failed, or the user will not wait, the other need not go on
        failed = [reading for reading in readings if not isinstance(reading.exception(), _Stopped | None)]
        before, after = (reading.result() for reading in failed or readings)
    return compare(before, after)


class _Stopped(Exception):
    """The other export has failed."""


def compare(old: dict[bytes, Entry], new: dict[bytes, Entry]) -> list[Change]:
    """Compare two listings; sorted by path."""
    found = []
    for name in sorted(old.keys() | new.keys()):
        before, after = old.get(name), new.get(name)
        if before == after:
            continue
        path = "/" + name.decode("utf-8", "surrogateescape")
        if before is None or after is None:
            found.append(Change("A" if before is None else "D", path, before, after))
            continue
        content_changed = (before.kind, before.digest) != (after.kind, after.digest)
        found.append(Change("C", path, before, after, content_changed, tuple(_notes(before, after))))
    return found


def _notes(old: Entry, new: Entry) -> Iterator[str]:
    if old.kind != new.kind:
        yield f"{old.kind} -> {new.kind}"
    if old.mode != new.mode and "link" not in {old.kind, new.kind}:
        yield f"mode {old.mode:04o} -> {new.mode:04o}"
    if (old.uid, old.gid) != (new.uid, new.gid):
        yield f"owner {old.uid}:{old.gid} -> {new.uid}:{new.gid}"
    if old.kind == new.kind and old.target != new.target:
        yield f"{'target' if old.kind == 'link' else 'device'} {_shown(old.target)} -> {_shown(new.target)}"
    before, after = dict(old.xattrs), dict(new.xattrs)
    for name in sorted(before.keys() | after.keys()):
        if before.get(name) != after.get(name):
            did = "added" if name not in before else "removed" if name not in after else "changed"
            yield f"xattr {_shown(name)} {did}"


def _shown(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _entries_of(engine: Engine, image: str, stop: threading.Event) -> dict[bytes, Entry]:
    stream: Generator[bytes, None, None] = engine.export(image)  # type: ignore[assignment]
    with contextlib.closing(stream) as chunks:
        try:
            return read_entries(_until(stop, chunks))
        except InputError as error:
            raise EngineError(
                f"the engine's export of {image} is not whole", error.brief, "try again"
            ) from error


def _until(stop: threading.Event, chunks: Iterable[bytes]) -> Iterator[bytes]:
    for chunk in chunks:
        if stop.is_set():
            raise _Stopped
        yield chunk


def read_entries(chunks: Iterable[bytes]) -> dict[bytes, Entry]:
    """Read a tar stream as a listing by path, without Docker's own stubs. Raises InputError.

    A hard link is listed as the file that it is another name of.
    """
    entries: dict[bytes, Entry] = {}
    current: Header | None = None
    digest = hashlib.sha256()
    for item in walk(chunks):
        if isinstance(item, memoryview):
            digest.update(item)
            continue
        _close(entries, current, digest.digest())
        current, digest = item, hashlib.sha256()
    _close(entries, current, digest.digest())
    return entries


def _close(entries: dict[bytes, Entry], header: Header | None, digest: bytes) -> None:
    """List a member whose data has been read."""
    if header is None or header.kind == b"g":
        return
    path = header.path
    if not path or is_left_out(path) or is_stub(header):
        return
    if header.kind == b"1":
        same = entries.get(plain(header.link))
        if same is not None:
            entries[path] = same
            return
    kind = "folder" if header.is_folder else KINDS.get(header.kind, "file")
    target = header.link if kind == "link" else b""
    if "device" in kind:
        target = b"%d:%d" % header.device
    is_file = kind == "file"
    entries[path] = Entry(
        kind=kind,
        mode=header.mode,
        uid=header.uid,
        gid=header.gid,
        size_bytes=header.size if is_file else 0,
        digest=digest if is_file else b"",
        target=target,
        xattrs=tuple(sorted(header.xattrs.items())),
    )
