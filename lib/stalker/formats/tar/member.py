"""The blocks of a new member of a tar, with all that a file system can say of a file: pax where ustar has no room.

Apart from `header`, which reads members and edits them: these are made once and passed on.
"""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

from stalker.formats.tar.header import BLOCK, XATTR, with_checksum, write_records

if TYPE_CHECKING:
    from collections.abc import Mapping

KINDS = {
    stat.S_IFREG: b"0",
    stat.S_IFLNK: b"2",
    stat.S_IFCHR: b"3",
    stat.S_IFBLK: b"4",
    stat.S_IFDIR: b"5",
    stat.S_IFIFO: b"6",
}
"""Type flags by the kind of file in a mode; a tar has no sockets."""
HARD_LINK = b"1"
_NAME_BYTES = 100
_SMALL, _LARGE = 8**7, 8**11
"""What is less fits into a field of 8 or 12 bytes."""


def member_blocks(
    name: bytes,
    kind: bytes,
    *,
    mode: int,
    uid: int = 0,
    gid: int = 0,
    size_bytes: int = 0,
    mtime_ns: int = 0,
    link: bytes = b"",
    device: tuple[int, int] = (0, 0),
    xattrs: Mapping[bytes, bytes] | None = None,
) -> bytes:
    """Return what is in a tar before the data of a member, `size_bytes` of them.

    Of `mode` the permission bits count. Names may be any bytes.
    """
    seconds, rest = divmod(mtime_ns, 1_000_000_000)
    records: dict[bytes, bytes] = {}
    if len(name) > _NAME_BYTES:
        records[b"path"] = name
    if len(link) > _NAME_BYTES:
        records[b"linkpath"] = link
    if rest or not 0 <= seconds < _LARGE:
        records[b"mtime"] = _time(mtime_ns)
    for key, value, limit in ((b"uid", uid, _SMALL), (b"gid", gid, _SMALL), (b"size", size_bytes, _LARGE)):
        if value >= limit:
            records[key] = b"%d" % value
    records |= {XATTR + key: value for key, value in (xattrs or {}).items()}
    own = _block(
        name,
        kind,
        mode & 0o7777,
        uid if uid < _SMALL else 0,
        gid if gid < _SMALL else 0,
        size_bytes if size_bytes < _LARGE else 0,
        seconds if 0 <= seconds < _LARGE else 0,
        link,
        device,
    )
    if not records:
        return own
    payload = write_records(records)
    before = _block(b"PaxHeaders", b"x", 0o644, 0, 0, len(payload), 0, b"", (0, 0))
    return before + payload + bytes(-len(payload) % BLOCK) + own


def _time(time_ns: int) -> bytes:
    """Return a time as pax has it, exactly: `-0.5` is half a second before 1970."""
    whole, rest = divmod(abs(time_ns), 1_000_000_000)
    text = (b"%d.%09d" % (whole, rest)).rstrip(b"0").rstrip(b".")
    return b"-" + text if time_ns < 0 else text


def _block(
    name: bytes,
    kind: bytes,
    mode: int,
    uid: int,
    gid: int,
    size_bytes: int,
    seconds: int,
    link: bytes,
    device: tuple[int, int],
) -> bytes:
    block = bytearray(BLOCK)
    block[0:100] = name[:_NAME_BYTES].ljust(_NAME_BYTES, b"\0")
    block[100:124] = b"%07o\0%07o\0%07o\0" % (mode, uid, gid)
    block[124:148] = b"%011o\0%011o\0" % (size_bytes, seconds)
    block[156:157] = kind
    block[157:257] = link[:_NAME_BYTES].ljust(_NAME_BYTES, b"\0")
    block[257:265] = b"ustar\x0000"
    if any(device):
        block[329:345] = b"%07o\0%07o\0" % device
    return with_checksum(block)
