"""An editor of ext2, ext3 and ext4 file systems inside an image, without mounts and without root.

Names, owners and room are made by debugfs in the toolbox; the bytes of files are written by whoever has
them, straight into the image. Room that nothing was written to would read as zeros for ever, so it is
declared written as soon as it is made: until its bytes are there, a file shows what lay there before.

What is replaced loses its name at once, and its blocks only at the end: ranges given before stay good for
the whole session.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from stalker.errors import EngineError, Interrupted, StalkerError
from stalker.image.edit import ext4_commands as commands
from stalker.image.edit.entries import Found, Range
from stalker.image.edit.ext4_plan import check_entry, check_path, followed, path_bytes, plan, prefixes
from stalker.image.edit.ext4_room import check_room
from stalker.image.edit.ext4_script import Script, parse_stat, plain, run_script
from stalker.image.edit.ext4_super import Super, read_super, refuse_unknown
from stalker.image.edit.growing import times
from stalker.image.edit.in_use import refuse_used

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from stalker.image.edit.entries import Entry
    from stalker.image.edit.ext4_plan import New
    from stalker.image.edit.ext4_script import Inode
    from stalker.image.toolbox import Tool

READABLE_BYTES = 16 << 20
SAID_BYTES = 4000
"""How much is kept of what e2fsck says: about a broken file system it says no end."""


class Ext4Editor:
    """A file system of an image that is open for changes: an `entries.Editor`.

    `device` is the image as the tool sees it, with `?offset=`; `descriptor` is the same file, open for reading
    and writing; the file system has `size_bytes` from `start` on. Folders made on the way, and the superblock,
    get `mtime_s`. With `is_checked` e2fsck looks at all of it in the end. Looking costs one call of the engine,
    a `put` three, two more where nothing is to be written.

    Raises:
        StalkerError: it is in use, was not closed properly, or is of a kind that is not changed here.
    """

    def __init__(
        self,
        tool: Tool,
        device: str,
        descriptor: int,
        start: int,
        size_bytes: int,
        *,
        mtime_s: int,
        is_checked: bool = True,
    ) -> None:
        self._tool = tool
        self._device = device
        self._descriptor = descriptor
        self._start = start
        self._mtime_s = mtime_s
        self._is_checked = is_checked
        self._killed: list[Inode] = []
        found = self._super()
        refuse_unknown(found, size_bytes)
        self._environment = times(mtime_s, found.latest_s)
        refuse_used(descriptor)

    @property
    def free_bytes(self) -> int:
        """How much more data fits, about: with what is reserved for root, without what replaced files had."""
        found = self._super()
        return found.free_blocks * found.block_bytes

    def look(self, paths: Sequence[str]) -> Mapping[str, Found]:
        """Return what stands at each of these paths; see `Editor.look`."""
        there = self._inodes(paths)
        return {path: self._found(there[path]) for path in paths if path in there}

    def resolve(self, path: str) -> str:
        """Return a path with the links on its way followed, which lead nowhere out of this file system."""
        check_path(path)
        links: dict[str, str | None] = {}
        while True:
            result, unknown = followed(path, links)
            if result:
                return result
            there = self._inodes(unknown)
            for one in unknown:
                links[one] = self._found(there[one]).target or None if one in there else None

    def read(self, path: str) -> bytes:
        """Return the whole content of a file; see `Editor.read`."""
        inode = self._inodes([path]).get(path)
        shown = plain(path_bytes(path))
        if inode is None or inode.kind != "file":
            raise StalkerError(f"{shown} cannot be read", "there is no such file in the file system")
        if inode.size_bytes > READABLE_BYTES:
            raise StalkerError(f"{shown} is too large to be read", f"it has {inode.size_bytes} bytes")
        content = self._tool.run(["debugfs", "-R", f"cat <{inode.number}>", self._device])
        if len(content) != inode.size_bytes:
            raise StalkerError(
                f"{shown} cannot be read",
                f"{len(content)} of {inode.size_bytes} bytes came",
                "the file system is broken: get the image again",
            )
        return content

    def put(self, entries: Sequence[Entry]) -> Mapping[str, Sequence[Range]]:
        """Make these, in order, and return the ranges of the files; see `Editor.put`.

        Of entries with the same path only the last is made. Blocks reserved for root are given out too.
        """
        found = self._super()
        for entry in entries:
            check_entry(entry, found.block_bytes)
        targets = [one.target for one in entries if one.kind == "hardlink"]
        there = self._inodes([*(one.path for one in entries), *targets])
        todo = plan(entries, there, self._mtime_s)
        check_room(todo, found)
        making, stats = commands.making(todo, found)
        if not making.lines:
            return {}
        replies = self._debugfs(making, is_writing=True)
        inodes = [self._made(one, replies[at]) for one, at in zip(todo.made, stats, strict=True)]
        ranges = {}
        for one, inode in zip(todo.made, inodes, strict=True):
            if one.entry.kind == "file" and one.entry.size_bytes:
                ranges[one.entry.path] = commands.ranges(
                    inode, one.entry.size_bytes, self._start, found.block_bytes
                )
        self._debugfs(commands.setting(todo, inodes, found), is_writing=True)
        self._killed += [one.inode for one in todo.changed if one.links <= 0]
        for given in ranges.values():
            self._clear_slack(given, found.block_bytes)
        return ranges

    def finish(self) -> None:
        """Free what was replaced, and let e2fsck look at it all. Raises StalkerError with what it said."""
        if self._killed:
            self._debugfs(commands.killing(self._owning(self._killed)), is_writing=True)
            self._killed = []
        if self._is_checked:
            self._check()

    def _owning(self, inodes: Sequence[Inode]) -> list[Inode]:
        """Return inodes as they are when none shares the block of its attributes with another."""
        rich = [one for one in inodes if one.acl_block]
        if not rich:
            return list(inodes)
        script, stats = commands.owning(rich)
        replies = self._debugfs(script, is_writing=True)
        owners = [parse_stat(replies[at]) for at in stats]
        return [one for one in inodes if not one.acl_block] + [one for one in owners if one is not None]

    def _super(self) -> Super:
        return read_super(lambda at, count: os.pread(self._descriptor, count, at), self._start)

    def _inodes(self, paths: Sequence[str]) -> dict[str, Inode]:
        """Return what stands at these paths and on their way; what lies behind a link is not there."""
        script = Script()
        asked = prefixes(paths)
        for path in asked:
            check_path(path)
            commands.ask(script, path)
        found: dict[str, Inode] = {}
        for path, reply in zip(asked, self._debugfs(script, is_writing=False), strict=True):
            above = found.get(path.rpartition("/")[0] or "/")
            inode = parse_stat(reply)
            if inode is not None and (path == "/" or (above is not None and above.kind == "folder")):
                found[path] = inode
        return found

    def _found(self, inode: Inode) -> Found:
        target = inode.fast_target
        if inode.kind == "link" and not target and inode.runs:
            at = self._start + inode.runs[0].physical * self._super().block_bytes
            target = os.pread(self._descriptor, inode.size_bytes, at)
        text = target.decode("utf-8", "surrogateescape")
        return Found(inode.kind, inode.size_bytes, inode.mode, inode.uid, inode.gid, text)

    def _made(self, one: New, reply: bytes) -> Inode:
        inode = parse_stat(reply)
        if inode is None or inode.kind != one.entry.kind:
            raise StalkerError(f"{plain(path_bytes(one.entry.path))} was not made", plain(reply[:200]))
        return inode

    def _clear_slack(self, ranges: Sequence[Range], block_bytes: int) -> None:
        """Write zeros behind the end of a file in its last block, where they are none already."""
        end = ranges[-1].start + ranges[-1].length
        count = -(end - self._start) % block_bytes
        if any(os.pread(self._descriptor, count, end)):
            os.pwrite(self._descriptor, bytes(count), end)

    def _debugfs(self, script: Script, *, is_writing: bool) -> list[bytes]:
        return run_script(self._tool, self._device, script, self._environment, is_writing=is_writing)

    def _check(self) -> None:
        text = 'said=$(mktemp); code=0; e2fsck -fn "$0" >"$said" 2>&1 || code=$?; '
        text += f'head -c {SAID_BYTES} "$said" >&2; rm "$said"; exit $code'
        try:
            self._tool.run(["sh", "-c", text, self._device], None, self._environment)
        except (EngineError, Interrupted):
            raise
        except StalkerError as error:
            raise StalkerError(
                "a file system is not sound after files were put into it",
                error.details,
                "run it again; when it is so again, start from another base",
            ) from error
