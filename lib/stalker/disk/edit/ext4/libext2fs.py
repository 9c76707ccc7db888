"""libext2fs by ctypes: the calls that are used, and an I/O manager that reads and writes through a view.

Only the worker process loads it: it parses foreign bytes in C. Traps, each met: the magic numbers of manager
and channel are offsets of the error table's base; a manager without `write_byte` gets the superblock by
`write_blk64` with a negative count, which is one of bytes; the callbacks live as long as the manager; the time of
what is written is read from E2FSPROGS_FAKE_TIME when a file system is opened, and is that of the whole process.

Source: e2fsprogs 1.47, lib/ext2fs/{ext2fs.h, ext2_io.h, ext2_err.et.in}.
"""

from __future__ import annotations

import ctypes as c
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

from stalker.errors import NeedsRepair, StalkerError

if TYPE_CHECKING:
    from collections.abc import Callable

    from stalker.disk.edit.view import View

LIBRARY = "libext2fs.so.2"
BASE = 2133571328
CHANNEL_MAGIC, MANAGER_MAGIC = BASE + 5, BASE + 7
SHORT_READ, SHORT_WRITE = BASE + 36, BASE + 37
NO_BLOCK, NO_INODE, NO_ROOM_FOR_ATTRIBUTES = BASE + 72, BASE + 73, BASE + 163
IS_WRITABLE, HAS_64_BITS = 0x1, 0x20000
"""Flags of `ext2fs_open2`."""
INSERT_AFTER = 1
"""A flag of `ext2fs_extent_insert`."""
ALL_BLOCKS = (1 << 64) - 1

_INSTALL = (
    "install it: libext2fs2 (Debian, Ubuntu; libext2fs2t64 since 2024), e2fsprogs-libs (Fedora, Alpine)"
)

_Code, _Pointer, _Int, _U32, _U64 = c.c_long, c.c_void_p, c.c_int, c.c_uint32, c.c_uint64


class _Channel(c.Structure):
    _fields_ = (
        ("magic", _Code), ("manager", _Pointer), ("name", c.c_char_p), ("block_size", _Int),
        ("read_error", _Pointer), ("write_error", _Pointer), ("refcount", _Int), ("flags", _Int),
        ("reserved", c.c_long * 14), ("private_data", _Pointer), ("app_data", _Pointer), ("align", _Int),
    )  # fmt: skip


_ChannelPointer = c.POINTER(_Channel)
_Open = c.CFUNCTYPE(_Code, c.c_char_p, _Int, c.POINTER(_ChannelPointer))
_OfChannel = c.CFUNCTYPE(_Code, _ChannelPointer)
_SetBlockSize = c.CFUNCTYPE(_Code, _ChannelPointer, _Int)
_Move = c.CFUNCTYPE(_Code, _ChannelPointer, _U64, _Int, _Pointer)
_Move32 = c.CFUNCTYPE(_Code, _ChannelPointer, c.c_ulong, _Int, _Pointer)
_Option = c.CFUNCTYPE(_Code, _ChannelPointer, c.c_char_p, c.c_char_p)


class _Manager(c.Structure):
    _fields_ = (
        ("magic", _Code), ("name", c.c_char_p), ("open", _Open), ("close", _OfChannel),
        ("set_blksize", _SetBlockSize), ("read_blk", _Move32), ("write_blk", _Move32), ("flush", _OfChannel),
        ("write_byte", _Pointer), ("set_option", _Option), ("get_stats", _Pointer), ("read_blk64", _Move),
        ("write_blk64", _Move), ("discard", _Pointer), ("cache_readahead", _Pointer), ("zeroout", _Pointer),
        ("reserved", c.c_long * 14),
    )  # fmt: skip


class FsHead(c.Structure):
    """The beginning of `struct struct_ext2_filsys`."""

    _fields_ = (
        ("magic", _Code), ("io", _Pointer), ("flags", _Int), ("device_name", c.c_char_p), ("super", _Pointer),
        ("block_bytes", c.c_uint), ("fragment_bytes", _Int), ("groups", _U32), ("descriptor_blocks", c.c_ulong),
        ("descriptors", _Pointer), ("inode_blocks", c.c_uint), ("inode_map", _Pointer), ("block_map", _Pointer),
    )  # fmt: skip


class Extent(c.Structure):
    """`struct ext2fs_extent`."""

    _fields_ = (("physical", _U64), ("logical", _U64), ("length", _U32), ("flags", _U32))


_FS = c.POINTER(FsHead)
EachBlock = c.CFUNCTYPE(_Int, _FS, c.POINTER(_U64), c.c_longlong, _U64, _Int, _Pointer)
"""What `ext2fs_block_iterate3` calls for each block of a file, and each block of its map."""
READ_ONLY, ABORT = 8, 2
"""A flag of `ext2fs_block_iterate3`, and what ends it."""

_CALLS: dict[str, tuple[Any, ...]] = {
    "ext2fs_open2": (c.c_char_p, c.c_char_p, _Int, _Int, c.c_uint, c.POINTER(_Manager), c.POINTER(_FS)),
    "ext2fs_check_desc": (_FS,),
    "ext2fs_read_bitmaps": (_FS,),
    "ext2fs_flush": (_FS,),
    "ext2fs_read_inode_full": (_FS, _U32, _Pointer, _Int),
    "ext2fs_write_inode_full": (_FS, _U32, _Pointer, _Int),
    "ext2fs_new_inode": (_FS, _U32, _Int, _Pointer, c.POINTER(_U32)),
    "ext2fs_new_range": (_FS, _Int, _U64, _U64, _Pointer, c.POINTER(_U64), c.POINTER(_U64)),
    "ext2fs_bmap2": (_FS, _U32, _Pointer, _Pointer, _Int, _U64, c.POINTER(_Int), c.POINTER(_U64)),
    "ext2fs_new_dir_block": (_FS, _U32, _U32, c.POINTER(_Pointer)),
    "ext2fs_read_dir_block4": (_FS, _U64, _Pointer, _Int, _U32),
    "ext2fs_write_dir_block4": (_FS, _U64, _Pointer, _Int, _U32),
    "ext2fs_expand_dir": (_FS, _U32),
    "ext2fs_extent_open2": (_FS, _U32, _Pointer, c.POINTER(_Pointer)),
    "ext2fs_extent_insert": (_Pointer, _Int, c.POINTER(Extent)),
    "ext2fs_block_iterate3": (_FS, _U32, _Int, _Pointer, EachBlock, _Pointer),
    "ext2fs_punch": (_FS, _U32, _Pointer, _Pointer, _U64, _U64),
    "ext2fs_free_ext_attr": (_FS, _U32, _Pointer),
    "ext2fs_xattrs_open": (_FS, _U32, c.POINTER(_Pointer)),
    "ext2fs_xattr_set": (_Pointer, c.c_char_p, _Pointer, c.c_size_t),
    "ext2fs_xattrs_write": (_Pointer,),
    "ext2fs_xattrs_close": (c.POINTER(_Pointer),),
    "ext2fs_file_open": (_FS, _U32, _Int, c.POINTER(_Pointer)),
    "ext2fs_file_read": (_Pointer, _Pointer, c.c_uint, c.POINTER(c.c_uint)),
    "ext2fs_file_close": (_Pointer,),
    "ext2fs_get_block_bitmap_range2": (_Pointer, _U64, c.c_size_t, _Pointer),
    "ext2fs_get_inode_bitmap_range2": (_Pointer, _U64, c.c_size_t, _Pointer),
}
"""Calls that return an error code, and their arguments."""
_OTHERS: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "ext2fs_free": (None, (_FS,)),
    "ext2fs_free_mem": (_Code, (c.POINTER(_Pointer),)),
    "ext2fs_extent_free": (None, (_Pointer,)),
    "ext2fs_inode_alloc_stats2": (None, (_FS, _U32, _Int, _Int)),
    "ext2fs_block_alloc_stats_range": (None, (_FS, _U64, _U32, _Int)),
    "ext2fs_bg_free_blocks_count": (_U32, (_FS, _U32)),
    "ext2fs_bg_free_inodes_count": (_U32, (_FS, _U32)),
    "ext2fs_test_generic_bmap": (_Int, (_Pointer, _U64)),
    "ext2fs_block_bitmap_loc": (_U64, (_FS, _U32)),
    "ext2fs_inode_bitmap_loc": (_U64, (_FS, _U32)),
    "ext2fs_inode_table_loc": (_U64, (_FS, _U32)),
    "ext2fs_inode_has_valid_blocks2": (_Int, (_FS, _Pointer)),
}


class Call(NeedsRepair):
    """A call of libext2fs failed; `code` is what it returned."""

    code = 0


class Library(NamedTuple):
    """The library: `calls` raise Call, `others` return what they return."""

    calls: dict[str, Callable[..., None]]
    others: dict[str, Callable[..., Any]]


def load() -> Library:
    """Load the library of this host. Raises StalkerError with the package that has it."""
    if sys.byteorder != "little":
        raise StalkerError("ext4 is edited on little-endian machines only", "", "use another host")
    try:
        library = c.CDLL(LIBRARY)
        messages = c.CDLL("libcom_err.so.2").error_message
        library.initialize_ext2_error_table()
        messages.restype, messages.argtypes = c.c_char_p, (_Code,)
        calls = {name: _checked(library[name], name, types, messages) for name, types in _CALLS.items()}
        others = {name: _typed(library[name], result, types) for name, (result, types) in _OTHERS.items()}
    except OSError as error:
        raise StalkerError(f"{LIBRARY} is missing: ext4 is edited with it", str(error), _INSTALL) from error
    except AttributeError as error:
        raise StalkerError(f"{LIBRARY} is too old", str(error), "install e2fsprogs 1.45 or later") from error
    return Library(calls, others)


def _typed(function: Any, result: Any, types: tuple[Any, ...]) -> Callable[..., Any]:
    function.restype, function.argtypes = result, types
    found: Callable[..., Any] = function
    return found


def _checked(function: Any, name: str, types: tuple[Any, ...], messages: Any) -> Callable[..., None]:
    plain = _typed(function, _Code, types)

    def call(*arguments: Any) -> None:
        if code := plain(*arguments):
            text = messages(code).decode("utf-8", "replace")
            error = Call(
                "a file system could not be changed",
                f"{text} ({name.removeprefix('ext2fs_')})",
                "check it: e2fsck -f",
            )
            error.code = code
            raise error

    return call


class ViewManager:
    """An I/O manager over a part of a view. `pointer` is what `ext2fs_open2` takes.

    An error of the view is kept in `error`; the library gets a code.
    """

    def __init__(self, view: View, start: int, size_bytes: int) -> None:
        """Give the library `size_bytes` from `start` on, and nothing else."""
        self._view, self._start, self._size_bytes = view, start, size_bytes
        self._channel = _Channel()
        read, write, zero = self._read, self._write, (lambda *_: 0)
        self._manager = _Manager(
            MANAGER_MAGIC, b"view", _Open(self._open), _OfChannel(zero), _SetBlockSize(self._set_block_size),
            _Move32(read), _Move32(write), _OfChannel(zero), None, _Option(zero), None, _Move(read), _Move(write),
        )  # fmt: skip
        self.pointer = c.pointer(self._manager)

    def _open(self, _name: Any, _flags: Any, out: Any) -> int:
        channel = self._channel
        channel.magic, channel.block_size, channel.refcount = CHANNEL_MAGIC, 1024, 1
        channel.manager = c.cast(self.pointer, _Pointer).value
        channel.name = b"view"
        out[0] = c.pointer(channel)
        return 0

    def _set_block_size(self, channel: Any, size: int) -> int:
        channel[0].block_size = size
        return 0

    def _place(self, channel: Any, block: int, count: int) -> tuple[int, int]:
        size = channel[0].block_size
        return block * size, -count if count < 0 else count * size

    def _read(self, channel: Any, block: int, count: int, target: int) -> int:
        at, length = self._place(channel, block, count)
        if at + length > self._size_bytes:
            return SHORT_READ
        data = self._view.pread(length, self._start + at)
        c.memmove(target, data.ljust(length, b"\0"), length)
        return 0

    def _write(self, channel: Any, block: int, count: int, source: int) -> int:
        at, length = self._place(channel, block, count)
        if at + length > self._size_bytes:
            return SHORT_WRITE
        self._view.pwrite(c.string_at(source, length), self._start + at)
        return 0
