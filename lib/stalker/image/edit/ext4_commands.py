"""What debugfs is told so that a plan is carried out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stalker.errors import StalkerError
from stalker.image.edit.entries import Range
from stalker.image.edit.ext4_plan import path_bytes
from stalker.image.edit.ext4_script import (
    ALLOCATED,
    EMPTY_LINE,
    EXTENT,
    STAT,
    STAT_OR_NOTHING,
    Script,
    quoted,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stalker.image.edit.entries import Entry
    from stalker.image.edit.ext4_plan import Plan
    from stalker.image.edit.ext4_script import Inode
    from stalker.image.edit.ext4_super import Super

TYPES = {"file": 0o100000, "folder": 0o040000, "link": 0o120000}
SMALL_INODE_BYTES = 128
FIRST_S = -(1 << 31)
LAST_S, LAST_SMALL_S = (1 << 34) - (1 << 31) - 1, (1 << 31) - 1
"""The times that an inode can hold, with and without two more bits."""


def ask(script: Script, path: str) -> None:
    """Ask what stands at a path."""
    script.add(b"stat", _path(path), answer=STAT_OR_NOTHING)


def making(plan: Plan, found: Super) -> tuple[Script, list[int]]:
    """Return what takes names away, makes inodes, names and room, and where it tells of each inode made."""
    script, stats = Script(), []
    for name in plan.unlinked:
        script.add(b"unlink", _path(name))
    for one in plan.made:
        entry, path = one.entry, _path(one.entry.path)
        match entry.kind:
            case "folder":
                script.add(b"mkdir", path)
            case "link":
                script.add(b"symlink", path, quoted(path_bytes(entry.target)))
            case _:
                script.add(b"write", b"/dev/null", path, answer=ALLOCATED)
                if entry.size_bytes:
                    last = (entry.size_bytes - 1) // found.block_bytes
                    script.add(b"fallocate", path, b"0", b"%d" % last)
        stats.append(script.add(b"stat", path, answer=STAT))
    for one in plan.made:
        for name in one.names:
            if name != one.entry.path:
                _link(script, _path(one.entry.path), _path(name))
    for old in plan.changed:
        for name in old.gained:
            _link(script, b"<%d>" % old.inode.number, _path(name))
    return script, stats


def setting(plan: Plan, inodes: Sequence[Inode], found: Super) -> Script:
    """Return what gives inodes that were made all that they have beside a name."""
    script = Script()
    for one, inode in zip(plan.made, inodes, strict=True):
        entry, number = one.entry, inode.number
        unwritten = [run for run in inode.runs if not run.is_written]
        if unwritten:
            script.add(b"eo", b"<%d>" % number)
            for run in unwritten:
                script.add(b"goto_block", b"%d" % run.logical, answer=EXTENT)
                script.add(
                    b"replace_node", b"%d %d %d" % (run.logical, run.length, run.physical), answer=EXTENT
                )
            script.add(b"ec")
        for name, value in _fields(entry, found):
            script.add(b"sif", b"<%d>" % number, name, value)
        if len(one.names) > 1:
            _set_links(script, number, len(one.names))
        for name, value in entry.xattrs:
            script.add_xattr(number, name, value)
    for old in plan.changed:
        _set_links(script, old.inode.number, max(old.links, 0))
    return script


def owning(inodes: Sequence[Inode]) -> tuple[Script, list[int]]:
    """Return what gives inodes blocks of attributes of their own, and where it tells which.

    The kernel lets inodes with equal attributes share a block. One that is written to gets its own.
    """
    script, stats = Script(), []
    for inode in inodes:
        number = b"<%d>" % inode.number
        if inode.xattrs:
            script.add(b"ea_rm", number, quoted(inode.xattrs[0]))
        else:
            script.add(b"ea_set", number, b"user.x", b"x")
        stats.append(script.add(b"stat", number, answer=STAT))
    return script, stats


def killing(inodes: Sequence[Inode]) -> Script:
    """Return what frees inodes that have no name any more; a block of attributes is theirs alone.

    `kill_file` leaves that block in use, and `freeb` does not count what it frees. So a file gets it for its
    data, and is removed.
    """
    script = Script()
    for inode in inodes:
        number = b"<%d>" % inode.number
        script.add(b"kill_file", number, answer=EMPTY_LINE)
        if inode.acl_block:
            path = b"/.%s-%d" % (script.token, inode.number)
            script.add(b"sif", number, b"file_acl", b"0")
            script.add(b"write", b"/dev/null", path, answer=ALLOCATED)
            script.add(b"sif", path, b"bmap[0]", b"%d" % inode.acl_block)
            script.add(b"rm", path, answer=EMPTY_LINE)
    return script


def ranges(inode: Inode, size_bytes: int, start: int, block_bytes: int) -> list[Range]:
    """Return where the bytes of a file are in the image. Raises StalkerError when it has no room for all."""
    found: list[Range] = []
    block = 0
    for run in sorted(inode.runs):
        if run.logical != block:
            break
        block += run.length
        begin, length = start + run.physical * block_bytes, run.length * block_bytes
        if found and found[-1].start + found[-1].length == begin:
            found[-1] = Range(found[-1].start, found[-1].length + length)
        else:
            found.append(Range(begin, length))
    beyond = block * block_bytes - size_bytes
    if not 0 <= beyond < block_bytes:
        raise StalkerError(
            "a file got not the room that was asked for",
            f"inode {inode.number}: {block} blocks of {block_bytes} bytes for {size_bytes}",
            "look at the file system: e2fsck -f",
        )
    found[-1] = Range(found[-1].start, found[-1].length - beyond)
    return found


def _path(path: str) -> bytes:
    return quoted(path_bytes(path))


def _link(script: Script, source: bytes, path: bytes) -> None:
    """Make another name. `ln` does not enlarge a folder that is full, so a file is put there and taken away."""
    script.add(b"write", b"/dev/null", path, answer=ALLOCATED)
    script.add(b"rm", path, answer=EMPTY_LINE)
    script.add(b"ln", source, path)


def _set_links(script: Script, number: int, links: int) -> None:
    script.add(b"sif", b"<%d>" % number, b"links_count", b"%d" % links)


def _fields(entry: Entry, found: Super) -> list[tuple[bytes, bytes]]:
    is_small = found.inode_bytes <= SMALL_INODE_BYTES
    mode = 0o777 if entry.kind == "link" else entry.mode
    fields = [(b"mode", b"0%o" % (TYPES[entry.kind] | mode))]
    if entry.kind == "file":
        fields.append((b"size", b"%d" % entry.size_bytes))
    fields += [(name, b"%d" % value) for name, value in ((b"uid", entry.uid), (b"gid", entry.gid)) if value]
    time_s = min(max(entry.mtime_s, FIRST_S), LAST_SMALL_S if is_small else LAST_S)
    for name in (b"atime", b"ctime", b"mtime") if is_small else (b"atime", b"ctime", b"mtime", b"crtime"):
        if time_s == -1:  # which debugfs takes for a time that it could not read
            fields += [(name + b"_lo", b"0xffffffff"), (name + b"_hi", b"0")]
        else:
            fields.append((name, b"@%d" % time_s))
    return fields
