"""An ext2, ext3 or ext4 that is read: its files by path, what they are, and their bytes.

In Python and without libext2fs: foreign bytes can do no worse than raise StalkerError. Nothing is trusted: what lies
outside of the file system, leads into itself or does not fit together is damage. Checksums are not compared.

More is read than can be edited: bigalloc, values of attributes in inodes of their own, and data in inodes too.

Source: Linux, Documentation/filesystems/ext4/{group_descr,inodes,ifork,directory,attributes}.rst and fs/ext4/acl.h.
"""

from __future__ import annotations

import stat
import struct
from typing import TYPE_CHECKING, NamedTuple

from stalker.errors import NeedsRepair, StalkerError
from stalker.formats.fs.ext4 import EXTENT_MAGIC, META_BG, SUPER_START, has_copy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stalker.formats.fs.ext4 import Super
    from stalker.formats.partition_table.table import Read

TOP_INODE = 2
PIECE_BYTES = 1 << 20

USES_EXTENTS, KEEPS_VALUE_OF_ATTRIBUTE, IS_INLINE, IS_ENCRYPTED = 0x80000, 0x200000, 0x10000000, 0x800
_FIRST_META_BG_AT = 260
_CHUNK_INODES = 256
_CHUNKS_KEPT = 512
_DEPTH_MAX = 5
_DIRECT_BLOCKS = 12
_MAP_BYTES = 60
_INITIALIZED_MAX = 32768
"""An extent of more blocks than this was allocated and never written: it reads as zeros."""
_FOLDER_BYTES_MAX = 1 << 30
_ATTRIBUTES_MAGIC = 0xEA020000
_ATTRIBUTE_BYTES_MAX = 64 << 10
_PREFIXES = {
    1: b"user.",
    2: b"system.posix_acl_access",
    3: b"system.posix_acl_default",
    4: b"trusted.",
    6: b"security.",
    7: b"system.",
    8: b"system.richacl",
}
_ACLS = (2, 3)
_INLINE_DATA = b"system.data"
_INODE = struct.Struct("<HHIIIIIHHIII60sIII4xHHHH")
_ATTRIBUTE = struct.Struct("<BBHIII")

# incompatible features: compression and journal_dev, and what came after these kernels, cannot be read
_READABLE = (
    0x2 | 0x4 | 0x10 | 0x40 | 0x80 | 0x100 | 0x200 | 0x400 | 0x2000 | 0x4000 | 0x8000 | 0x10000 | 0x20000
)


class Run(NamedTuple):
    """Blocks in a row of a file: the first one in the file, the first one in the file system, and how many."""

    logical: int
    physical: int
    length: int


class Node(NamedTuple):
    """An inode. `mode` has the kind of file too, times are nanoseconds since 1970, `map` are 60 bytes."""

    number: int
    mode: int
    uid: int
    gid: int
    size_bytes: int
    links: int
    mtime_ns: int
    flags: int
    map: bytes
    attributes_block: int
    behind: bytes
    """What is in the inode behind its fields: attributes."""

    @property
    def is_folder(self) -> bool:
        """Return whether it is a directory."""
        return stat.S_ISDIR(self.mode)

    @property
    def is_file(self) -> bool:
        """Return whether it is a regular file."""
        return stat.S_ISREG(self.mode)

    @property
    def device(self) -> tuple[int, int]:
        """Major and minor number of a device."""
        old, new = struct.unpack_from("<2I", self.map)
        if old:
            return old >> 8 & 0xFF, old & 0xFF
        return new >> 8 & 0xFFF, new & 0xFF | new >> 12 & 0xFFF00


def refuse_unreadable(found: Super, size_bytes: int) -> None:
    """Raise StalkerError for a file system whose files cannot be read, NeedsRepair where a check makes it readable."""
    if found.size_bytes > size_bytes:
        raise StalkerError(
            "a file system is larger than its partition",
            f"it has {found.size_bytes} bytes, and its partition {size_bytes}",
            "the image is cut short, or its partition table is wrong: get it again",
        )
    if not found.is_clean:
        raise NeedsRepair(
            "a file system was not closed properly",
            "its journal was not replayed, or it has errors",
            "repair a copy of the image: losetup -P, e2fsck -f",
        )
    unknown = found.incompatible & ~_READABLE
    if unknown:
        raise StalkerError(
            f"a file system cannot be read: it has the feature {unknown & -unknown:#x}",
            "its files are kept in a way that is not known here",
            "choose another image, with an ordinary ext4",
        )


class Ext4Reader:
    """Reads what begins at `start` and has the superblock `shape`.

    Every method raises NeedsRepair where the file system is damaged.
    """

    def __init__(self, read: Read, start: int, shape: Super) -> None:
        self._read, self._start, self._shape = read, start, shape
        self._size = shape.block_bytes
        self._tables: dict[int, int] = {}
        self._chunks: dict[int, bytes] = {}
        self._spread_from = 1 << 62
        if shape.incompatible & META_BG:
            self._spread_from = int.from_bytes(read(start + SUPER_START + _FIRST_META_BG_AT, 4), "little")

    def walk(self) -> Iterator[tuple[bytes, Node]]:
        """Yield all files, a directory before what is in it, names in order of bytes; the top one has the path ``."""
        pending: list[tuple[bytes, int]] = [(b"", TOP_INODE)]
        folders: set[int] = set()
        while pending:
            path, number = pending.pop()
            node = self.node(number)
            yield path, node
            if not node.is_folder:
                continue
            if number in folders:
                raise damaged(f"directory {number} is in two places")
            folders.add(number)
            prefix = path + b"/" if path else b""
            names = sorted(self.names(node).items(), reverse=True)
            pending += [(prefix + name, inside) for name, inside in names]

    def find(self, path: bytes) -> Node | None:
        """Return what is at a path; links are not followed. None when there is nothing."""
        node = self.node(TOP_INODE)
        for name in path.strip(b"/").split(b"/") if path.strip(b"/") else ():
            inside = self.names(node).get(name) if node.is_folder else None
            if inside is None:
                return None
            node = self.node(inside)
        return node

    def node(self, number: int) -> Node:
        """Return an inode that is in use."""
        raw = self._raw(number)
        fields = _INODE.unpack_from(raw)
        mode, uid, size, mtime, gid, links, flags, map_ = (fields[at] for at in (0, 1, 2, 5, 7, 8, 10, 12))
        acl, size_high, acl_high, uid_high, gid_high = (
            fields[14],
            fields[15],
            fields[17],
            fields[18],
            fields[19],
        )
        if not links or not mode:
            raise damaged(f"inode {number} is free and has a name")
        extra = struct.unpack_from("<H", raw, 128)[0] if len(raw) > 128 else 0
        if 128 + extra > len(raw):
            raise damaged(f"inode {number} says to be larger than it is")
        seconds, rest = mtime - (mtime >> 31 << 32), 0
        if extra >= 12:
            more = struct.unpack_from("<I", raw, 136)[0]
            seconds, rest = seconds + ((more & 3) << 32), min(more >> 2, 999_999_999)
        return Node(
            number,
            mode,
            uid | uid_high << 16,
            gid | gid_high << 16,
            size | size_high << 32 if stat.S_ISREG(mode) or stat.S_ISDIR(mode) else size,
            links,
            seconds * 1_000_000_000 + rest,
            flags,
            map_,
            acl | acl_high << 32,
            raw[128 + extra :] if len(raw) > 128 else b"",
        )

    def names(self, node: Node, blocks_max: int = 1 << 30) -> dict[bytes, int]:
        """Return the names in a directory and their inodes, without `.` and `..`."""
        if node.flags & IS_ENCRYPTED:
            raise StalkerError(
                "a directory of the file system is encrypted", f"inode {node.number}", "choose another image"
            )
        if node.size_bytes > _FOLDER_BYTES_MAX:
            raise damaged(f"directory {node.number} has {node.size_bytes} bytes")
        found: dict[bytes, int] = {}
        if node.flags & IS_INLINE:
            found |= _entries(node.map[4:])
            found |= _entries(self.xattrs(node, hidden=True).get(_INLINE_DATA, b""))
        else:
            for run in self.runs(node):
                for block in range(run.physical, run.physical + min(run.length, blocks_max)):
                    found |= _entries(self._block(block))
                blocks_max -= run.length
                if blocks_max <= 0:
                    break
        found.pop(b".", None)
        found.pop(b"..", None)
        if any(b"/" in name or b"\0" in name for name in found):
            raise damaged(f"directory {node.number} has a name with a slash or a NUL")
        return found

    def target(self, node: Node) -> bytes:
        """Return the target of a symbolic link."""
        size = node.size_bytes
        if size > self._size:
            raise damaged(f"link {node.number} has a target of {size} bytes")
        if size < _MAP_BYTES and not node.flags & (USES_EXTENTS | IS_INLINE):
            return node.map[:size]
        return b"".join(self.content(node))

    def content(self, node: Node) -> Iterator[bytes]:
        """Yield the bytes of a file in pieces of at most 1 MiB, zeros where it has holes."""
        if node.flags & IS_ENCRYPTED:
            raise StalkerError(
                "a file of the file system is encrypted", f"inode {node.number}", "choose another image"
            )
        if node.flags & IS_INLINE:
            more = self.xattrs(node, hidden=True).get(_INLINE_DATA, b"")
            yield (node.map + more)[: node.size_bytes].ljust(node.size_bytes, b"\0")
            return
        at, end = 0, node.size_bytes
        for run in self.runs(node):
            begin = run.logical * self._size
            yield from _zeros(min(begin, end) - at)
            at = max(at, min(begin, end))
            stop = min(begin + run.length * self._size, end)
            while at < stop:
                count = min(PIECE_BYTES, stop - at)
                yield self._bytes(run.physical * self._size + at - begin, count)
                at += count
        yield from _zeros(end - at)

    def runs(self, node: Node) -> Iterator[Run]:
        """Yield where the bytes of a file are, in order; what is in none is zeros."""
        last = 0
        for run in self._extents(node.map, set()) if node.flags & USES_EXTENTS else self._pointed(node):
            if run.logical < last or not 0 < run.physical <= run.physical + run.length <= self._shape.blocks:
                raise damaged(f"inode {node.number} has blocks that cannot be its own")
            last = run.logical + run.length
            yield run

    def xattrs(self, node: Node, *, hidden: bool = False) -> dict[bytes, bytes]:
        """Return the extended attributes of a file as getxattr(2) gives them; with `hidden` its inline data too."""
        found: dict[bytes, bytes] = {}
        if node.behind[:4] == _ATTRIBUTES_MAGIC.to_bytes(4, "little"):
            found |= self._attributes(node.behind[4:], 0)
        if node.attributes_block:
            block = self._block(node.attributes_block)
            if block[:4] != _ATTRIBUTES_MAGIC.to_bytes(4, "little"):
                raise damaged(f"the attributes of inode {node.number} are not in their block")
            found |= self._attributes(block, 32)
        if not hidden:
            found.pop(_INLINE_DATA, None)
        return found

    # inodes and blocks

    def _raw(self, number: int) -> bytes:
        shape = self._shape
        if not 0 < number <= shape.inodes:
            raise damaged(f"there is no inode {number}")
        group, index = divmod(number - 1, shape.group_inodes)
        chunk_index, inside = divmod(index, _CHUNK_INODES)
        key = group << 32 | chunk_index
        chunk = self._chunks.get(key)
        if chunk is None:
            first = chunk_index * _CHUNK_INODES
            count = min(_CHUNK_INODES, shape.group_inodes - first) * shape.inode_bytes
            chunk = self._bytes(self._table(group) * self._size + first * shape.inode_bytes, count)
            if len(self._chunks) >= _CHUNKS_KEPT:
                self._chunks.clear()
            self._chunks[key] = chunk
        return chunk[inside * shape.inode_bytes : (inside + 1) * shape.inode_bytes]

    def _table(self, group: int) -> int:
        """Return the first block of the inodes of a group."""
        if group not in self._tables:
            shape = self._shape
            each = self._size // shape.descriptor_bytes
            number, inside = divmod(group, each)
            if number < self._spread_from:
                block = max(shape.first_block, SUPER_START // self._size) + 1 + number
            else:
                first = number * each
                has_super = has_copy(first) or not shape.has_few_copies
                block = shape.first_block + first * shape.group_blocks + has_super
            descriptor = self._bytes(
                block * self._size + inside * shape.descriptor_bytes, shape.descriptor_bytes
            )
            table: int = struct.unpack_from("<I", descriptor, 8)[0]
            if shape.descriptor_bytes >= 64:
                table |= struct.unpack_from("<I", descriptor, 40)[0] << 32
            if not 0 < table < shape.blocks:
                raise damaged(f"group {group} has its inodes at block {table}")
            self._tables[group] = table
        return self._tables[group]

    def _block(self, number: int) -> bytes:
        if not 0 < number < self._shape.blocks:
            raise damaged(f"there is no block {number}")
        return self._bytes(number * self._size, self._size)

    def _bytes(self, at: int, count: int) -> bytes:
        data = self._read(self._start + at, count)
        if len(data) < count:
            raise damaged("the image ends within it")
        return data

    def _extents(self, node: bytes, seen: set[int]) -> Iterator[Run]:
        magic, entries, _, depth = struct.unpack_from("<4H", node)
        if magic != EXTENT_MAGIC or depth > _DEPTH_MAX or 12 * (entries + 1) > len(node):
            raise damaged("a map of blocks is invalid")
        for at in range(12, 12 + 12 * entries, 12):
            if not depth:
                logical, count, high, low = struct.unpack_from("<IHHI", node, at)
                if 0 < count <= _INITIALIZED_MAX:
                    yield Run(logical, high << 32 | low, count)
                continue
            low, high = struct.unpack_from("<IH", node, at + 4)
            block = high << 32 | low
            if block in seen:
                raise damaged("a map of blocks leads into itself")
            seen.add(block)
            below = self._block(block)
            if struct.unpack_from("<H", below, 6)[0] >= depth:
                raise damaged("a map of blocks is invalid")
            yield from self._extents(below, seen)

    def _pointed(self, node: Node) -> Iterator[Run]:
        """Yield the runs of a file that is mapped block by block, as in ext2 and ext3."""
        pointers = struct.unpack("<15I", node.map)
        blocks = -(-node.size_bytes // self._size)
        run: Run | None = None
        logical = 0
        levels = [(pointer, 0) for pointer in pointers[:_DIRECT_BLOCKS]]
        levels += [(pointer, depth) for depth, pointer in enumerate(pointers[_DIRECT_BLOCKS:], 1)]
        for pointer, depth in levels:
            for block, count in self._leaves(pointer, depth):
                if logical >= blocks:
                    break
                if (
                    block
                    and run is not None
                    and (run.physical + run.length, run.logical + run.length) == (block, logical)
                ):
                    run = run._replace(length=run.length + 1)
                elif block:
                    if run is not None:
                        yield run
                    run = Run(logical, block, 1)
                logical += count
        if run is not None:
            yield run

    def _leaves(self, pointer: int, depth: int) -> Iterator[tuple[int, int]]:
        """Yield (block, 1), or (0, how many) for blocks that are holes."""
        each = self._size // 4
        if not pointer or not depth:
            yield pointer, each**depth
            return
        for inner in struct.unpack(f"<{each}I", self._block(pointer)):
            yield from self._leaves(inner, depth - 1)

    def _attributes(self, data: bytes, at: int) -> dict[bytes, bytes]:
        """Read attributes, whose entries begin at `at` and whose values lie somewhere in `data`."""
        found: dict[bytes, bytes] = {}
        while at + 4 <= len(data) and data[at : at + 4] != b"\0\0\0\0":
            if at + _ATTRIBUTE.size > len(data):
                raise damaged("its attributes have no end")
            length, prefix, offset, inode, size, _ = _ATTRIBUTE.unpack_from(data, at)
            name = data[at + 16 : at + 16 + length]
            at += 16 + -(-length // 4) * 4
            if prefix not in _PREFIXES or size > _ATTRIBUTE_BYTES_MAX:
                raise damaged(f"an attribute of the kind {prefix} with {size} bytes")
            value = self._value(inode, size) if inode else data[offset : offset + size]
            if len(value) != size:
                raise damaged("the value of an attribute lies outside of its block")
            found[_PREFIXES[prefix] + name] = _acl(value) if prefix in _ACLS else value
        return found

    def _value(self, inode: int, size: int) -> bytes:
        node = self.node(inode)
        if not node.flags & KEEPS_VALUE_OF_ATTRIBUTE or node.size_bytes != size:
            raise damaged(f"inode {inode} is not the value of an attribute")
        return b"".join(self.content(node))


def damaged(why: str) -> NeedsRepair:
    """Return the error of a file system that contradicts itself."""
    return NeedsRepair("a file system is damaged", why, "check a copy of the image: losetup -P, e2fsck -f")


def _entries(block: bytes) -> dict[bytes, int]:
    """Return the names in a block of a directory; what holds an index or a checksum looks like unused entries."""
    found: dict[bytes, int] = {}
    at = 0
    while at + 8 <= len(block):
        inode, length, size = struct.unpack_from("<IHB", block, at)
        if length in {0, 0xFFFF} and len(block) == 1 << 16:
            length = 1 << 16  # its length has 16 bits
        if length < 8 or at + length > len(block) or 8 + size > length:
            raise damaged("an entry of a directory is invalid")
        if inode and size:
            found[block[at + 8 : at + 8 + size]] = inode
        at += length
    return found


def _acl(value: bytes) -> bytes:
    """Return an ACL as system calls have it: on the disk, entries of nobody in particular have no id."""
    if len(value) < 4 or struct.unpack_from("<I", value)[0] != 1:
        raise damaged("an ACL is invalid")
    found = [struct.pack("<I", 2)]
    at = 4
    while at + 4 <= len(value):
        tag, bits = struct.unpack_from("<HH", value, at)
        at += 4
        owner = 0xFFFFFFFF
        if tag in {0x02, 0x08}:  # a named user, a named group
            if at + 4 > len(value):
                raise damaged("an ACL is invalid")
            owner = struct.unpack_from("<I", value, at)[0]
            at += 4
        found.append(struct.pack("<HHI", tag, bits, owner))
    return b"".join(found)


def _zeros(count: int) -> Iterator[bytes]:
    while count > 0:
        yield bytes(min(count, PIECE_BYTES))
        count -= PIECE_BYTES
