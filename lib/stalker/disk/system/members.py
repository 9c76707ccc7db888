"""The files of a system as members of a tar: the whole as an engine takes it, and what an engine does not keep.

An engine takes names that begin with `.wh.` and character devices 0:0 for the removal of a file below, lays its own
files over some of the image's, and keeps of extended attributes capabilities alone. A disk image that is made of an
image made of a disk image gets these from the old one again.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from stalker.disk.system.find import ext4_reader, opened
from stalker.errors import StalkerError
from stalker.formats.fs.fat.reader import FatReader
from stalker.formats.tar.header import BLOCK
from stalker.formats.tar.member import HARD_LINK, KINDS, member_blocks
from stalker.formats.tar.stream import END

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from stalker.disk.system.find import Mounted, System
    from stalker.formats.fs.ext4_reader import Ext4Reader, Node

WHITEOUT = b".wh."
KEPT_ATTRIBUTES = frozenset({b"security.capability"})
"""Extended attributes that engines keep in an image."""
OF_ENGINE = (b"dev/", b"proc/", b"sys/")
OWN_FILES = frozenset(
    {b"etc/hosts", b"etc/hostname", b"etc/resolv.conf", b"etc/mtab", b".dockerenv", b"run/.containerenv"}
)
"""What an engine has of its own in each container."""
TOUCHED = frozenset({b"", b"etc", b"dev", b"proc", b"sys"})
"""Directories that an engine makes or changes in each container."""
FAT_MODE = 0o755
"""What a FAT has in Linux, mounted without options."""
_NS = 1_000_000_000


class Looks(NamedTuple):
    """What says that a file is still the one of the base: a directory may have got more in it."""

    mode: int
    uid: int
    gid: int
    mtime_s: int

    @classmethod
    def of(cls, node: Node) -> Looks:
        """Return it of an inode."""
        return cls(node.mode, node.uid, node.gid, 0 if node.is_folder else node.mtime_ns // _NS)


@dataclass(slots=True)
class Kept:
    """What an engine does not keep of a root.

    `members` are files by path, each as the blocks of a tar with its data. `attributes` are those of files that an engine keeps without them, `times` (s) those of
    directories that it touches, and of those that something is mounted on.
    """

    members: dict[bytes, bytes] = field(default_factory=dict)
    attributes: dict[bytes, tuple[Looks, dict[bytes, bytes]]] = field(default_factory=dict)
    times: dict[bytes, int] = field(default_factory=dict)


def system_tar(system: System, on_bytes: Callable[[int], None] = lambda _: None) -> Iterator[bytes]:
    """Yield a tar of all files of a system that an engine can take; `on_bytes` hears of their content.

    Raises:
        StalkerError: a file system is damaged or cannot be read.
    """
    mounts = {one.path for one in system.mounts}
    with opened(system.image) as read:
        for part in system.parts:
            inside = {path for path in mounts if path != part.path and _is_below(path, part.path)}
            yield from _part(system, part, read, inside, on_bytes)
    yield END


def _part(
    system: System,
    part: Mounted,
    read: Callable[[int, int], bytes],
    inside: set[bytes],
    on_bytes: Callable[[int], None],
) -> Iterator[bytes]:
    if part.partition.filesystem.kind.startswith("fat"):
        yield from _fat_members(system.image, part, on_bytes)
        return
    reader = ext4_reader(read, part.partition, system.called)
    first: dict[int, bytes] = {}
    for path, node in _visible(reader, inside):
        name = _joined(part.path, path)
        is_top = bool(part.path) and not path  # the directory that it is mounted on stands for it
        if is_lost(path, node) or name.startswith(OF_ENGINE) or is_top:
            continue
        yield from member(reader, name, node, first, part.partition.size_bytes, on_bytes)


def _visible(reader: Ext4Reader, mounted: set[bytes]) -> Iterator[tuple[bytes, Node]]:
    """Yield the files of a file system that nothing is mounted over."""
    prefixes = tuple(path + b"/" for path in mounted)
    for path, node in reader.walk():
        if not (prefixes and path.startswith(prefixes)):
            yield path, node


def is_lost(path: bytes, node: Node) -> bool:
    """Return whether an engine would take a file for the removal of another one, or a tar cannot hold it."""
    if stat.S_ISSOCK(node.mode):
        return True
    if stat.S_ISCHR(node.mode) and node.device == (0, 0):
        return True
    return any(part.startswith(WHITEOUT) for part in path.split(b"/"))


def member(
    reader: Ext4Reader,
    name: bytes,
    node: Node,
    first: dict[int, bytes],
    size_max: int,
    on_bytes: Callable[[int], None] = lambda _: None,
) -> Iterator[bytes]:
    """Yield the blocks and the data of a file; `first` are the names that inodes had before, for hard links."""
    kind = KINDS.get(stat.S_IFMT(node.mode))
    if kind is None:
        return
    known = first.get(node.number)
    if known is not None and not node.is_folder:
        yield member_blocks(
            name, HARD_LINK, mode=node.mode, uid=node.uid, gid=node.gid, mtime_ns=node.mtime_ns, link=known
        )
        return
    if node.links > 1:
        first[node.number] = name
    size = node.size_bytes if node.is_file else 0
    if size > size_max:
        raise StalkerError(
            f"{os.fsdecode(name)} is a sparse file larger than its file system",
            f"it has {size} bytes; an engine would store all of them",
            "make it smaller in the image",
        )
    is_device = stat.S_ISCHR(node.mode) or stat.S_ISBLK(node.mode)
    yield member_blocks(
        (name or b".") + b"/" * node.is_folder,
        kind,
        mode=node.mode,
        uid=node.uid,
        gid=node.gid,
        size_bytes=size,
        mtime_ns=node.mtime_ns,
        link=reader.target(node) if stat.S_ISLNK(node.mode) else b"",
        device=node.device if is_device else (0, 0),
        xattrs=reader.xattrs(node),
    )
    if size:
        for piece in reader.content(node):
            on_bytes(len(piece))
            yield piece
        yield bytes(-size % BLOCK)


def _fat_members(image: Path, part: Mounted, on_bytes: Callable[[int], None]) -> Iterator[bytes]:
    one = part.partition
    with image.open("rb", buffering=0) as stream:
        for file in FatReader(stream.fileno(), one.start_bytes, one.size_bytes).walk():
            name = _joined(part.path, file.path.encode("utf-8", "surrogateescape"))
            yield member_blocks(
                name + b"/" * file.is_folder,
                b"5" if file.is_folder else b"0",
                mode=FAT_MODE,
                size_bytes=file.size_bytes,
                mtime_ns=file.mtime_s * _NS,
            )
            for start, length in file.ranges:
                on_bytes(length)
                yield from _pread(stream.fileno(), start, length)
            yield bytes(-file.size_bytes % BLOCK)


def _pread(descriptor: int, start: int, length: int) -> Iterator[bytes]:
    while length:
        data = os.pread(descriptor, min(length, 1 << 20), start)
        if not data:
            raise StalkerError("the image ends within its FAT file system", "", "take a whole image")
        start, length = start + len(data), length - len(data)
        yield data


def kept_of(system: System) -> Kept:
    """Read what an engine does not keep of the root of a system. Raises StalkerError."""
    kept = Kept()
    points = {one.path for one in system.mounts}
    mounted = tuple(path + b"/" for path in points)
    first: dict[int, bytes] = {}
    with opened(system.image) as read:
        reader = ext4_reader(read, system.root, system.called)
        for path, node in reader.walk():
            if path in TOUCHED or path in points:
                kept.times[path] = node.mtime_ns // _NS
            hidden = bool(mounted) and path.startswith(mounted)
            if is_lost(path, node) or path.startswith(OF_ENGINE) or path in OWN_FILES or hidden:
                kept.members[path] = b"".join(member(reader, path, node, first, system.root.size_bytes))
                if not kept.members[path]:
                    del kept.members[path]
                continue
            attributes = {
                name: value for name, value in reader.xattrs(node).items() if name not in KEPT_ATTRIBUTES
            }
            if attributes:
                kept.attributes[path] = (Looks.of(node), attributes)
    return kept


def _joined(prefix: bytes, path: bytes) -> bytes:
    return prefix + b"/" + path if prefix and path else prefix or path


def _is_below(path: bytes, above: bytes) -> bool:
    return not above or path.startswith(above + b"/")
