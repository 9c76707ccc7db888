"""An ext2, ext3 or ext4 changed through a view by libext2fs, in the worker process alone.

libext2fs keeps inodes, extents, attributes and checksums; names and room are found here, where its own search is
linear for each name and each file. Room that nothing was written to would read as zeros for ever, so it is
declared written as soon as it is made: the caller writes the bytes of files at the ranges that `put` returns, and
zeros behind their end.

What is replaced loses its name at once, and its blocks only in `finish`: ranges returned before stay good.
"""

from __future__ import annotations

import bisect
import ctypes as c
import os
import struct
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stalker.disk.edit.ext4 import libext2fs as lib
from stalker.disk.edit.ext4.directory import FILE, FOLDER, LINK, Directory
from stalker.disk.edit.ext4.inode import (
    EXTENTS_IN_INODE,
    FAST_LINK_BYTES,
    HAS_EXTENTS,
    HAS_INDEX,
    MAP_BYTES,
    Inode,
    extent_map,
    extents,
)
from stalker.disk.edit.ext4.paths import (
    check_entry,
    check_path,
    followed,
    path_bytes,
    plain,
    prefixes,
    refused,
)
from stalker.errors import NeedsRepair, StalkerError
from stalker.formats.fs.entry import Entry, Found, Range
from stalker.formats.fs.ext4 import Super, has_copy, read_super, refuse_unknown

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from stalker.disk.edit.ext4.inode import Runs
    from stalker.disk.edit.view import Overlay
    from stalker.formats.fs.entry import Kind

ROOT_INODE = 2
LINKS = 65000
READABLE_BYTES = 16 << 20
FOLDER_BYTES = 1 << 30
"""What a directory may have at most; a damaged inode may say anything."""
FOLDER_MODE = 0o755
DIRECT_BLOCKS, POINTER_BYTES = 12, 4
LARGE_FILE_BYTES = 1 << 31
SUPER_BYTES = 1024
HAS_KINDS, HAS_SPREAD_DESCRIPTORS, HAS_CHECKSUMS = 0x2, 0x10, 0x400
_NAME_KINDS: dict[Kind, int] = {"file": FILE, "folder": FOLDER, "link": LINK}
_CHECK = "check it: e2fsck -f"


class FileSystem:
    """A file system that is open for changes; see `Editor`. All that it changes is in the overlay."""

    def __init__(self, view: Overlay, start: int, size_bytes: int, *, mtime_s: int) -> None:
        """Open what has `size_bytes` from `start` on; directories made on the way get `mtime_s`.

        Raises:
            NeedsRepair: it is damaged, or was not closed properly.
            StalkerError: it is of a kind that is not changed here, or libext2fs is missing.
        """
        self._view, self._start, self._mtime_s = view, start, mtime_s
        found = read_super(lambda at, count: view.pread(count, at), start)
        _refuse(found, size_bytes)
        self._calls, self._others = lib.load()
        self._now_s = max(mtime_s, found.latest_s, 1)
        os.environ["E2FSPROGS_FAKE_TIME"] = str(self._now_s)
        self._manager = lib.ViewManager(view, start, size_bytes)
        self._killed: list[int] = []
        self._open()

    def look(self, paths: Sequence[str]) -> dict[str, Found]:
        """Return what is at each of these paths; what is behind a link is not there."""
        found = {}
        for path in paths:
            check_path(path)
            if number := self.find(path):
                inode = self._inode(number)
                target = self._target(number, inode) if inode.kind == "link" else b""
                found[path] = inode.found(target)
        return found

    def resolve(self, path: str) -> str:
        """Return a path with the links on its way followed; see `Editor.resolve`."""
        check_path(path)
        links: dict[str, str | None] = {}
        while True:
            result, unknown = followed(path, links)
            if result:
                return result
            found = self.look(unknown)
            links |= {one: (found[one].target or None) if one in found else None for one in unknown}

    def read(self, path: str) -> bytes:
        """Return the whole content of a file; see `Editor.read`."""
        check_path(path)
        number, shown = self.find(path), plain(path_bytes(path))
        inode = self._inode(number) if number else None
        if inode is None or inode.kind != "file":
            raise StalkerError(f"{shown} cannot be read", "there is no such file in the file system")
        if inode.size_bytes > READABLE_BYTES:
            raise StalkerError(f"{shown} is too large to be read", f"it has {inode.size_bytes} bytes")
        return self._content(number, inode.size_bytes)

    def put(self, entries: Sequence[Entry]) -> dict[str, list[Range]]:
        """Make these, in order; see `Editor.put`. When it raises, nothing was changed."""
        for entry in entries:
            check_entry(entry, self._sizes.block_bytes)
        self._check_room(entries)
        killed = list(self._killed)
        self._view.mark()
        try:
            ranges = _Put(self).all(entries)
            self._write_directories()
            self._calls["ext2fs_flush"](self._fs)
        except BaseException:
            self._view.go_back()
            self._others["ext2fs_free"](self._fs)
            self._killed = killed
            self._open()
            raise
        return ranges

    def finish(self) -> None:
        """Free what was replaced, and write all into the overlay."""
        for number in self._killed:
            self._free(number)
        self._killed = []
        self._calls["ext2fs_flush"](self._fs)

    @property
    def free_bytes(self) -> int:
        """How much more data fits, about: with what is reserved for root, without what replaced files had."""
        return self._super.free_blocks * self._super.block_bytes

    @property
    def block_bytes(self) -> int:
        """How large its blocks are."""
        return self._sizes.block_bytes

    @property
    def _super(self) -> Super:
        data = c.string_at(self._fs[0].super, SUPER_BYTES)
        return read_super(lambda _at, _count: data, 0)

    def _open(self) -> None:
        """Open it and check that its maps agree with what it counts. Raises NeedsRepair."""
        self._fs = c.POINTER(lib.FsHead)()
        self._directories: dict[int, _OpenDirectory] = {}
        self._goal = 0
        flags = lib.IS_WRITABLE | lib.HAS_64_BITS
        self._calls["ext2fs_open2"](b"view", None, flags, 0, 0, self._manager.pointer, c.byref(self._fs))
        self._calls["ext2fs_check_desc"](self._fs)
        self._calls["ext2fs_read_bitmaps"](self._fs)
        self._sizes = self._super
        self._check_counts()
        if self._inode(ROOT_INODE).kind != "folder":
            raise NeedsRepair("a file system has no root directory", "", _CHECK)

    def _check_counts(self) -> None:
        """Raise NeedsRepair where a map and a count of a group differ: what is free may be in use then."""
        data = c.string_at(self._fs[0].super, SUPER_BYTES)
        blocks, inodes = self._sizes.blocks, struct.unpack_from("<I", data)[0]
        first, group_blocks, group_inodes = (struct.unpack_from("<I", data, at)[0] for at in (20, 32, 40))
        self._first = first
        free_blocks = free_inodes = 0
        for group in range(self._fs[0].groups):
            begin = first + group * group_blocks
            free = self._free_in("block", begin, min(group_blocks, blocks - begin))
            free_blocks += self._same_count("blocks", group, free)
            begin = 1 + group * group_inodes
            free = self._free_in("inode", begin, min(group_inodes, inodes + 1 - begin))
            free_inodes += self._same_count("inodes", group, free)
        self._tables = self._tables_of(group_blocks)
        if (free_blocks, free_inodes) != (self._sizes.free_blocks, self._sizes.free_inodes):
            raise NeedsRepair(
                "a file system counts wrongly",
                f"{free_blocks} blocks and {free_inodes} inodes are free, and it says "
                f"{self._sizes.free_blocks} and {self._sizes.free_inodes}",
                _CHECK,
            )

    def _free_in(self, what: str, begin: int, count: int) -> int:
        """Return how many bits of a map are zero."""
        bits = c.create_string_buffer(-(-count // 8))
        head = self._fs[0]
        map_ = head.block_map if what == "block" else head.inode_map
        self._calls[f"ext2fs_get_{what}_bitmap_range2"](map_, begin, count, bits)
        used = int.from_bytes(bits.raw, "little") & ((1 << count) - 1)
        return count - used.bit_count()

    def _same_count(self, what: str, group: int, free: int) -> int:
        said = self._others[f"ext2fs_bg_free_{what}_count"](self._fs, group)
        if said != free:
            raise NeedsRepair(
                f"a file system counts its {what} wrongly",
                f"in group {group} {free} are free, and it says {said}",
                _CHECK,
            )
        return free

    def _check_room(self, entries: Sequence[Entry]) -> None:
        """Refuse at once what surely does not fit; the rest is found out while it is made."""
        size = self._super.block_bytes
        sizes = {one.path: one.size_bytes for one in entries if one.kind == "file"}
        blocks = sum(-(-one // size) for one in sizes.values())
        if blocks > self._super.free_blocks:
            raise self._no_room(blocks)
        if not self._super.has_large_files and any(one >= LARGE_FILE_BYTES for one in sizes.values()):
            raise StalkerError(
                "the file system cannot hold a file of 2 GiB",
                "it lacks the feature large_file",
                "add it: tune2fs -O large_file",
            )

    def _no_room(self, blocks: int) -> StalkerError:
        found = self._super
        return StalkerError(
            "there is no room in the file system",
            f"{blocks * found.block_bytes} bytes are needed at least, and {found.free_blocks * found.block_bytes} "
            "are free; what replaced files had is free only when the image is done",
            "make it larger, or put less into it",
        )

    # inodes

    def _inode(self, number: int) -> Inode:
        """Read an inode. Raises NeedsRepair where there is no such, or it is free."""
        buffer = c.create_string_buffer(self._sizes.inode_bytes)
        self._calls["ext2fs_read_inode_full"](self._fs, number, buffer, len(buffer))
        inode = Inode(buffer.raw)
        if not inode.links and number not in self._killed:
            raise NeedsRepair(
                "a file system has a name of a file that was removed", f"inode {number}", _CHECK
            )
        return inode

    def write_inode(self, number: int, inode: Inode) -> None:
        """Write an inode."""
        buffer = (c.c_char * len(inode.data)).from_buffer(inode.data)
        self._calls["ext2fs_write_inode_full"](self._fs, number, buffer, len(buffer))

    def _new_inode(self, parent: int, *, is_folder: bool) -> int:
        number = c.c_uint32()
        try:
            self._calls["ext2fs_new_inode"](self._fs, parent, 0, None, c.byref(number))
        except lib.Call as error:
            if error.code != lib.NO_INODE:
                raise
            raise StalkerError(
                "the file system cannot hold so many files",
                "all its inodes are in use",
                "put fewer files into it, or use a file system with more inodes",
            ) from error
        self._others["ext2fs_inode_alloc_stats2"](self._fs, number, 1, int(is_folder))
        return number.value

    def _free(self, number: int) -> None:
        """Free an inode without names: its block of attributes when no other one shares it, its blocks, itself."""
        inode = self._inode(number)
        if inode.has_attribute_block:
            buffer = (c.c_char * len(inode.data)).from_buffer(inode.data)
            self._calls["ext2fs_free_ext_attr"](self._fs, number, buffer)
            self.write_inode(number, inode)
        if self._others["ext2fs_inode_has_valid_blocks2"](self._fs, bytes(inode.data)):
            self._calls["ext2fs_punch"](self._fs, number, None, None, 0, lib.ALL_BLOCKS)
            inode = self._inode(number)
        inode.set_deleted(self._now_s)
        self.write_inode(number, inode)
        self._others["ext2fs_inode_alloc_stats2"](self._fs, number, -1, 0)

    def _check_blocks(self, number: int) -> None:
        """Raise NeedsRepair where blocks of a file are free, maps or tables, or come twice: they would be freed."""
        if not self._others["ext2fs_inode_has_valid_blocks2"](self._fs, bytes(self._inode(number).data)):
            return
        seen: set[int] = set()
        wrong: list[int] = []
        block_map, is_used = self._fs[0].block_map, self._others["ext2fs_test_generic_bmap"]

        def each(_fs: object, block: Any, *_: object) -> int:
            place = block[0]
            is_own = self._first <= place < self._sizes.blocks and not self._is_table(place)
            if place not in seen and is_own and is_used(block_map, place):
                seen.add(place)
                return 0
            wrong.append(place)
            return lib.ABORT

        self._calls["ext2fs_block_iterate3"](self._fs, number, lib.READ_ONLY, None, lib.EachBlock(each), None)
        if wrong:
            details = f"inode {number} has block {wrong[0]}, which cannot belong to it"
            raise NeedsRepair("a file of the file system is damaged", details, _CHECK)

    def _is_table(self, block: int) -> bool:
        """Return whether a block holds the superblock, descriptors, a map or a table of inodes."""
        at = bisect.bisect_right(self._tables, block, key=lambda one: one[0]) - 1
        return at >= 0 and block < self._tables[at][1]

    def _tables_of(self, group_blocks: int) -> list[tuple[int, int]]:
        """Return where superblocks, descriptors, maps and tables of inodes are: (begin, end), sorted."""
        head, found = self._fs[0], []
        reserved = struct.unpack_from("<H", c.string_at(head.super, SUPER_BYTES), 206)[0]
        for group in range(head.groups):
            for what in ("block_bitmap", "inode_bitmap"):
                place = self._others[f"ext2fs_{what}_loc"](self._fs, group)
                found.append((place, place + 1))
            place = self._others["ext2fs_inode_table_loc"](self._fs, group)
            found.append((place, place + head.inode_blocks))
            if has_copy(group):
                begin = self._first + group * group_blocks
                is_apart = self._sizes.incompatible & HAS_SPREAD_DESCRIPTORS
                found.append((begin, begin + 1 + (0 if is_apart else head.descriptor_blocks + reserved)))
        return sorted(found)

    def _target(self, number: int, inode: Inode) -> bytes:
        size = inode.size_bytes
        if size > self._sizes.block_bytes:
            raise NeedsRepair("a link of the file system is damaged", f"inode {number}", _CHECK)
        return inode.map[:size] if inode.is_fast_link else self._content(number, size)

    def _content(self, number: int, size_bytes: int) -> bytes:
        file, count = c.c_void_p(), c.c_uint()
        buffer = c.create_string_buffer(max(size_bytes, 1))
        self._calls["ext2fs_file_open"](self._fs, number, 0, c.byref(file))
        try:
            self._calls["ext2fs_file_read"](file, buffer, size_bytes, c.byref(count))
        finally:
            self._calls["ext2fs_file_close"](file)
        if count.value != size_bytes:
            details = f"{count.value} of {size_bytes} bytes came of inode {number}"
            raise NeedsRepair("a file of the file system ends early", details, _CHECK)
        return buffer.raw[:size_bytes]

    # directories

    def find(self, path: str) -> int:
        """Return the inode of a path, 0 where there is none; no link is followed."""
        number = ROOT_INODE
        for part in path_bytes(path).split(b"/"):
            if not part:
                continue
            if self._inode(number).kind != "folder":
                return 0
            number = self.directory(number).find(part)
            if not number:
                return 0
        return number

    def directory(self, number: int) -> Directory:
        """Return the names of a directory."""
        if number not in self._directories:
            inode = self._inode(number)
            if not 0 < inode.size_bytes <= FOLDER_BYTES or inode.size_bytes % self._sizes.block_bytes:
                raise NeedsRepair("a directory of the file system is damaged", f"inode {number}", _CHECK)
            count = inode.size_bytes // self._sizes.block_bytes
            places = [self._place(number, inode, block) for block in range(count)]
            self._kept(number, inode, places, [self._folder_block(number, place) for place in places])
        return self._directories[number].names

    def _kept(self, number: int, inode: Inode, places: list[int], blocks: Sequence[bytes]) -> None:
        has_tail = bool(self._sizes.read_only & HAS_CHECKSUMS)
        has_kinds = bool(self._sizes.incompatible & HAS_KINDS)
        names = Directory(blocks, has_tail=has_tail, has_kinds=has_kinds)
        self._directories[number] = _OpenDirectory(names, places, bool(inode.flags & HAS_INDEX))

    def _place(self, number: int, inode: Inode, block: int) -> int:
        place = c.c_uint64()
        self._calls["ext2fs_bmap2"](self._fs, number, bytes(inode.data), None, 0, block, None, c.byref(place))
        if not 0 < place.value < self._sizes.blocks:
            raise NeedsRepair("a directory of the file system is damaged", f"inode {number}", _CHECK)
        return place.value

    def _folder_block(self, number: int, place: int) -> bytes:
        buffer = c.create_string_buffer(self._sizes.block_bytes)
        self._calls["ext2fs_read_dir_block4"](self._fs, place, buffer, 0, number)
        return buffer.raw

    def add_name(self, parent: int, name: bytes, number: int, kind: Kind) -> None:
        """Give an inode a name that is not there. The directory grows if it must, and loses its index."""
        names = self.directory(parent)
        here = self._directories[parent]
        if here.is_indexed:
            names.drop_index()
            inode = self._inode(parent)
            inode.set_flags(inode.flags & ~HAS_INDEX)
            self.write_inode(parent, inode)
            here.is_indexed = False
        while not names.add(name, number, _NAME_KINDS.get(kind, 0)):
            with self._allocating():
                self._calls["ext2fs_expand_dir"](self._fs, parent)
            here.places.append(self._place(parent, self._inode(parent), len(here.places)))
            names.grow(self._folder_block(parent, here.places[-1]))

    def replace_name(self, parent: int, name: bytes, number: int, kind: Kind) -> None:
        """Give a name that is there another inode."""
        self.directory(parent).replace(name, number, _NAME_KINDS.get(kind, 0))

    def _write_directories(self) -> None:
        for number, here in self._directories.items():
            for block in sorted(here.names.dirty):
                data = bytes(here.names.blocks[block])
                self._calls["ext2fs_write_dir_block4"](self._fs, here.places[block], data, 0, number)
            here.names.dirty.clear()

    # making

    def make(self, entry: Entry, parent: int) -> tuple[int, list[Range]]:
        """Make an inode with one link and no name; return its number and the ranges of its content."""
        number = self._new_inode(parent, is_folder=entry.kind == "folder")
        inode = Inode(bytes(self._sizes.inode_bytes))
        inode.describe(entry)
        inode.set_links(1)
        ranges: list[Range] = []
        match entry.kind:
            case "folder":
                self._make_folder(number, inode, parent)
            case "link":
                self._make_link(number, inode, path_bytes(entry.target))
            case _:
                ranges = self._make_file(number, inode, entry.size_bytes)
        if entry.xattrs:
            self._set_attributes(number, entry)
        return number, ranges

    def _make_folder(self, number: int, inode: Inode, parent: int) -> None:
        runs = self._allocate(1)
        inode.set_links(2)
        inode.set_size(self._sizes.block_bytes)
        self._map(number, inode, runs)
        block = c.c_void_p()
        self._calls["ext2fs_new_dir_block"](self._fs, number, parent, c.byref(block))
        data = c.string_at(block, self._sizes.block_bytes)
        self._others["ext2fs_free_mem"](c.byref(block))
        self._kept(number, inode, [runs[0][0]], [data])
        self._directories[number].names.dirty.add(0)

    def _make_link(self, number: int, inode: Inode, target: bytes) -> None:
        inode.set_size(len(target))
        if len(target) <= FAST_LINK_BYTES:
            inode.set_map(target)
            self.write_inode(number, inode)
            return
        runs = self._allocate(1)
        self._map(number, inode, runs)
        size = self._sizes.block_bytes
        self._view.pwrite(target.ljust(size, b"\0"), self._start + runs[0][0] * size)

    def _make_file(self, number: int, inode: Inode, size_bytes: int) -> list[Range]:
        size = self._sizes.block_bytes
        runs = self._allocate(-(-size_bytes // size))
        inode.set_size(size_bytes)
        self._map(number, inode, runs)
        if not runs:
            return []
        ranges: list[Range] = []
        for first, length in runs:
            begin = self._start + first * size
            if ranges and ranges[-1].start + ranges[-1].length == begin:
                ranges[-1] = Range(ranges[-1].start, ranges[-1].length + length * size)
            else:
                ranges.append(Range(begin, length * size))
        beyond = -size_bytes % size
        last = ranges[-1]
        ranges[-1] = Range(last.start, last.length - beyond)
        return ranges

    def _allocate(self, count: int) -> list[tuple[int, int]]:
        """Take free blocks from where the last ones were on. Raises StalkerError when there are not so many."""
        runs = []
        first, length = c.c_uint64(), c.c_uint64()
        while count:
            with self._allocating(count):
                self._calls["ext2fs_new_range"](
                    self._fs, 0, self._goal, count, None, c.byref(first), c.byref(length)
                )
            taken = min(length.value, count)
            self._others["ext2fs_block_alloc_stats_range"](self._fs, first, taken, 1)
            runs.append((first.value, taken))
            self._goal = first.value + taken
            count -= taken
        return runs

    @contextmanager
    def _allocating(self, count: int = 1) -> Iterator[None]:
        """Turn the library's error of a full file system into ours."""
        try:
            yield
        except lib.Call as error:
            if error.code not in {lib.NO_BLOCK, lib.NO_ROOM_FOR_ATTRIBUTES}:
                raise
            raise self._no_room(count) from error

    def _map(self, number: int, inode: Inode, runs: Runs) -> None:
        """Write an inode whose blocks are these."""
        count = sum(length for _, length in runs)
        sectors = self._sizes.block_bytes // 512
        inode.set_blocks(count * sectors)
        if not self._sizes.has_extents:
            data, more = self._pointers([first + at for first, length in runs for at in range(length)])
            inode.set_map(data)
            inode.set_blocks((count + more) * sectors)
            self.write_inode(number, inode)
            return
        found = extents(runs)
        inode.set_flags(inode.flags | HAS_EXTENTS)
        is_small = len(found) <= EXTENTS_IN_INODE
        inode.set_map(extent_map(found if is_small else ()))
        self.write_inode(number, inode)
        if not is_small:
            self._insert(number, found)

    def _insert(self, number: int, found: Sequence[tuple[int, int, int]]) -> None:
        """Insert extents into a tree, which libext2fs makes."""
        handle = c.c_void_p()
        self._calls["ext2fs_extent_open2"](self._fs, number, None, c.byref(handle))
        try:
            for logical, length, first in found:
                extent = lib.Extent(first, logical, length, 0)
                with self._allocating():
                    self._calls["ext2fs_extent_insert"](handle, lib.INSERT_AFTER, c.byref(extent))
        finally:
            self._others["ext2fs_extent_free"](handle)

    def _pointers(self, blocks: list[int]) -> tuple[bytes, int]:
        """Return the map of an inode without extents, and how many indirect blocks it takes."""
        each = self._sizes.block_bytes // POINTER_BYTES
        top, rest, more = blocks[:DIRECT_BLOCKS], blocks[DIRECT_BLOCKS:], 0
        top += [0] * (DIRECT_BLOCKS - len(top))
        for depth in (1, 2, 3):
            here, rest = rest[: each**depth], rest[each**depth :]
            level = here
            for _ in range(depth if here else 0):
                level = [self._pointer_block(level[at : at + each]) for at in range(0, len(level), each)]
                more += len(level)
            top.append(level[0] if here else 0)
        return struct.pack(f"<{MAP_BYTES // POINTER_BYTES}I", *top), more

    def _pointer_block(self, pointers: Sequence[int]) -> int:
        size = self._sizes.block_bytes
        ((place, _),) = self._allocate(1)
        data = struct.pack(f"<{len(pointers)}I", *pointers).ljust(size, b"\0")
        self._view.pwrite(data, self._start + place * size)
        return place

    def _set_attributes(self, number: int, entry: Entry) -> None:
        handle = c.c_void_p()
        self._calls["ext2fs_xattrs_open"](self._fs, number, c.byref(handle))
        try:
            for name, value in entry.xattrs:
                self._calls["ext2fs_xattr_set"](handle, name, value, len(value))
            with self._allocating():
                self._calls["ext2fs_xattrs_write"](handle)
        except lib.Call as error:
            details = f"its extended attributes cannot be set: {error.details}"
            raise refused(entry.path, details, "leave it out") from error
        finally:
            self._calls["ext2fs_xattrs_close"](c.byref(handle))

    def release(self, number: int, *, at_once: bool) -> int:
        """Take one name from an inode; return how many are left. Without any, it is freed in the end, or `at_once`."""
        inode = self._inode(number)
        links = max(inode.links - 1, 0)
        if links:
            inode.set_links(links)
            self.write_inode(number, inode)
        elif at_once:
            self._free(number)
        else:
            self._check_blocks(number)
            inode.set_links(0)
            self.write_inode(number, inode)
            self._killed.append(number)
        return links

    def kind_of(self, number: int) -> Kind:
        """Return what an inode is."""
        return self._inode(number).kind

    def add_link(self, number: int, why_path: str, why: str) -> None:
        """Count one more name of an inode. Raises StalkerError when it has all it can have."""
        inode = self._inode(number)
        if inode.links >= LINKS:
            raise refused(why_path, why)
        inode.set_links(inode.links + 1)
        self.write_inode(number, inode)

    def describe(self, number: int, entry: Entry) -> None:
        """Give a directory that was made on the way what its own entry says."""
        inode = self._inode(number)
        inode.describe(entry)
        self.write_inode(number, inode)
        if entry.xattrs:
            self._set_attributes(number, entry)

    @property
    def mtime_s(self) -> int:
        """The time of directories that are made on the way."""
        return self._mtime_s


@dataclass(slots=True)
class _OpenDirectory:
    """A directory: its names, and the block of the file system that each block of it is."""

    names: Directory
    places: list[int]
    is_indexed: bool


class _Put:
    """The entries of one `put`, made one after the other."""

    def __init__(self, files: FileSystem) -> None:
        self._files = files
        self._implied: dict[str, int] = {}
        """Directories that were made because something is in them, and whose own entry may come later."""
        self._fresh: dict[int, str] = {}
        """What was made in this put, and the path of its entry."""
        self._folders: dict[str, int] = {"": ROOT_INODE}
        self._ranges: dict[int, list[Range]] = {}

    def all(self, entries: Sequence[Entry]) -> dict[str, list[Range]]:
        """Make all of them. Raises StalkerError in the middle: the caller undoes it."""
        for entry in entries:
            self._put(entry)
        for number, path in self._fresh.items():
            parent, name = self._folder_of(path)
            if self._files.directory(parent).find(name) != number:
                raise refused(path, "it comes twice, and another name of the first stays")
        return {path: self._ranges[number] for number, path in self._fresh.items() if self._ranges[number]}

    def _folder_of(self, path: str) -> tuple[int, bytes]:
        """Return the directory of a path, made with those above where they are missing, and the last part."""
        above, _, name = path.rpartition("/")
        if above not in self._folders:
            for one in prefixes([above])[1:]:
                if one not in self._folders:
                    self._folders[one] = self._folder(one, path)
        return self._folders[above], path_bytes(name)

    def _folder(self, path: str, wanted: str) -> int:
        above, _, last = path.rpartition("/")
        parent, name = self._folders[above], path_bytes(last)
        number = self._files.directory(parent).find(name)
        if not number:
            entry = Entry(path, "folder", mode=FOLDER_MODE, mtime_s=self._files.mtime_s)
            number = self._implied[path] = self._make(entry, parent, name, 0)
        elif (kind := self._files.kind_of(number)) != "folder":
            raise refused(wanted, f"{path} on its way is a {kind}, not a directory")
        return number

    def _put(self, entry: Entry) -> None:
        if entry.path == "/":
            if entry.kind != "folder":
                raise refused(entry.path, "a directory is there")
            return
        parent, name = self._folder_of(entry.path)
        old = self._files.directory(parent).find(name)
        if old and self._files.kind_of(old) == "folder":
            if entry.kind != "folder":
                raise refused(entry.path, "a directory is there")
            if number := self._implied.pop(entry.path, 0):
                self._files.describe(number, entry)
        elif entry.kind == "hardlink":
            self._link(entry, parent, name, old)
        else:
            self._make(entry, parent, name, old)

    def _make(self, entry: Entry, parent: int, name: bytes, old: int) -> int:
        if entry.kind == "folder":
            above = entry.path.rpartition("/")[0] or "/"
            why = f"{above} has {LINKS - 2} directories, which is all it can hold"
            self._files.add_link(parent, entry.path, why)
        number, ranges = self._files.make(entry, parent)
        self._name(parent, name, number, entry.kind, old)
        if entry.kind == "folder":
            self._folders[entry.path] = number
        else:
            self._fresh[number], self._ranges[number] = entry.path, ranges
        return number

    def _link(self, entry: Entry, parent: int, name: bytes, old: int) -> None:
        target = self._files.find(entry.target)
        if not target or self._files.kind_of(target) == "folder":
            why = f"there is no file {entry.target}, whose other name it is"
            raise refused(entry.path, why)
        if target == old:
            return
        why = f"{entry.target} has {LINKS} names, which is all it can have"
        self._files.add_link(target, entry.path, why)
        self._name(parent, name, target, self._files.kind_of(target), old)

    def _name(self, parent: int, name: bytes, number: int, kind: Kind, old: int) -> None:
        """Give an inode a name, which is taken from what has it."""
        if not old:
            self._files.add_name(parent, name, number, kind)
            return
        self._files.replace_name(parent, name, number, kind)
        if not self._files.release(old, at_once=old in self._fresh):
            self._fresh.pop(old, None)


def _refuse(found: Super, size_bytes: int) -> None:
    """Refuse what cannot be changed; what a checker can repair is reported separately. Raises StalkerError."""
    try:
        refuse_unknown(found, size_bytes)
    except StalkerError as error:
        if found.is_clean:
            raise
        raise NeedsRepair(error.brief, error.details, error.resolution) from error
