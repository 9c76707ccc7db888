"""A disk image like the one that a stalk started from: that image, with what the steps changed in its system.

The table, the ids, what is before the first partition, other partitions and a boot partition in which nothing
changed are those of the base, byte for byte. The root is made again at its place, with its UUID, label, features and
size, and holds what the steps left; what an engine does not keep of a file comes from the base. Of a FAT only what
changed is written.
"""

from __future__ import annotations

import contextlib
import os
import posixpath
import stat
import tarfile
import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from stalker.artifacts.disk.build import (
    OUT,
    STAGE,
    DiskContent,
    DiskMade,
    check_entries,
    counted,
    epoch_of,
    feed_all,
    full,
    made_with_tools,
    tool_environment,
)
from stalker.artifacts.disk.contents import Census, Part, for_tools
from stalker.artifacts.disk.xattrs import put_xattrs
from stalker.disk.edit.fat import FatEditor
from stalker.disk.edit.open import fill_from_pieces
from stalker.disk.edit.view import FileView
from stalker.disk.mkfs import ext_like_argv
from stalker.disk.system.find import Mounted, System, ext4_reader, find_system, opened
from stalker.disk.system.members import Kept, Looks, kept_of
from stalker.errors import EngineError, Interrupted, StalkerError
from stalker.fetch.base.disk_image import published_image
from stalker.fetch.urls import shown
from stalker.formats.fs.entry import Entry
from stalker.formats.fs.ext4 import SUPER_BYTES, SUPER_START, read_super
from stalker.formats.fs.fat.reader import FatReader
from stalker.formats.fs.probe import inspect
from stalker.formats.partition_table.extent import SECTOR_BYTES
from stalker.formats.partition_table.resize import patches, sound_table, tail_bytes
from stalker.formats.tar.header import BLOCK
from stalker.formats.tar.member import KINDS
from stalker.formats.tar.stream import END, walk
from stalker.io.progress import Task
from stalker.io.sparse import take_base, zero_range
from stalker.io.units import size_text
from stalker.model.artifacts import Disk, Partition
from stalker.model.base_key import base_key
from stalker.model.tree import DiskBase

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from stalker.artifacts.context import Workshop
    from stalker.disk.inspect import PartitionFacts
    from stalker.formats.fs.ext4_reader import Ext4Reader, Node
    from stalker.formats.tar.header import Header
    from stalker.model.artifacts import Artifact
    from stalker.model.images import Image
    from stalker.model.tree import Tree
    from stalker.rootfs.filter import Watcher
    from stalker.toolbox.container import FedTool, Tool

    Data = bytes | memoryview

PIECE_BYTES = 1 << 20


def base_of(artifact: Artifact, key: str, tree: Tree) -> DiskBase:
    """Return the disk image with a key that a stalk starts from. Raises StalkerError when it starts from another base."""
    stalk = tree.stalk(artifact.stalk)
    while stalk.parent:
        stalk = tree.stalk(stalk.parent)
    for base in stalk.bases:
        if isinstance(base, DiskBase) and key == base_key(base, stalk.platform):
            return base
    raise StalkerError(
        f"{artifact.id} is like a disk image that its stalk did not start from",
        f"the first image of '{stalk.name}' is of another base",
        "put the disk image first in the list of bases",
    )


def make_like_base(
    artifact: Artifact,
    image: Image,
    base: DiskBase,
    folder: Path,
    workshop: Workshop,
    watchers: Sequence[Watcher] = (),
) -> DiskMade:
    """Make a disk's files in `folder`; none of them is there when anything is raised.

    Raises:
        StalkerError: the base is missing or another one, the content does not fit, or the host's disk is full.
        EngineError: the engine's export broke off, or the engine does not see `folder`.
    """

    def make(tool: Tool, disk: Disk, target: Path) -> dict[str, Any]:
        return _Maker(artifact, disk, image, base, target, workshop, tool, tuple(watchers)).make()

    return made_with_tools(artifact, image, folder, workshop, make)


@dataclass(slots=True)
class _Maker:
    """One disk on its way."""

    artifact: Artifact
    disk: Disk
    image: Image
    base: DiskBase
    target: Path
    workshop: Workshop
    tool: Tool
    watchers: tuple[Watcher, ...]

    @property
    def epoch_s(self) -> int:
        """The time of all that has none of its own."""
        return epoch_of(self.artifact, self.image)

    @property
    def environment(self) -> dict[str, str]:
        """What makes tools take the time from us."""
        return tool_environment(self.epoch_s)

    def make(self) -> dict[str, Any]:
        """Make it all; return what is known of it."""
        called = shown(self.base.source)
        self._copy_base()
        system = find_system(self.target, called, self.base.root)
        if self.disk.size_bytes is not None:
            system = self._grow(system, self.disk.size_bytes)
        kept = kept_of(system)
        partitions = [self._partition(one) for one in system.parts]
        census = Census(partitions)
        with contextlib.ExitStack() as stack:
            spools = [
                _Spool(stack.enter_context(tempfile.TemporaryFile(dir=self.target.parent)))
                for _ in system.mounts
            ]
            root = self._ext_filler(system.root, partitions[0])
            self._pass_image(partitions, census, kept, [root, *spools])
            self._wait(root, census.parts[0], system.root)
            for mounted, part, spool in zip(system.mounts, census.parts[1:], spools, strict=True):
                self._settle(system, mounted, part, spool)
        self._put_attributes(system.root, census.parts[0])
        return self._facts(system, census)

    def _copy_base(self) -> None:
        toolbox = self.workshop.toolbox
        assert toolbox is not None
        assert toolbox.cache_dir is not None
        downloads = toolbox.cache_dir / "downloads"
        workspace = Path(self.workshop.workspace)
        with published_image(self.base, workspace, downloads, self.workshop.say) as path:
            reporter = self.workshop.reporter(self.artifact.id)
            task = Task(f"copying {path.name}", reporter, path.stat().st_size)
            with self.target.open("x+b") as stream:
                take_base(path, stream, task.add, self.workshop.check)

    def _grow(self, system: System, size_bytes: int) -> System:
        """Make the disk larger, and the root with it. Raises StalkerError where that is not possible."""
        root = system.root
        size_bytes = size_bytes // SECTOR_BYTES * SECTOR_BYTES
        if size_bytes < system.facts.size_bytes:
            raise StalkerError(
                f"{self.disk.file}: {self.disk.size_words} is smaller than the base",
                f"the base has {size_text(system.facts.size_bytes)}",
                "leave `size` out, or give more",
            )
        last = max(system.facts.partitions, key=lambda one: one.start_bytes)
        if last.entry.number != root.entry.number:
            raise StalkerError(
                f"{self.disk.file}: the root cannot grow",
                f"partition {last.entry.number} is behind it",
                "leave `size` out",
            )
        with self.target.open("r+b", buffering=0) as stream:
            descriptor = stream.fileno()

            def read(at: int, count: int) -> bytes:
                return os.pread(descriptor, count, at)

            table = sound_table(read, system.facts.size_bytes, system.called)
            end = (size_bytes - tail_bytes(table, read)) // SECTOR_BYTES
            entry = replace(root.entry, sectors=end - root.entry.start_sector)
            stream.truncate(size_bytes)
            for at, data in patches(read, table, size_bytes, entry):
                os.pwrite(descriptor, data, at)
        facts = tuple(replace(one, entry=entry) if one is root else one for one in system.facts.partitions)
        grown = next(one for one in facts if one.entry is entry)
        return replace(
            system, root=grown, facts=replace(system.facts, size_bytes=size_bytes, partitions=facts)
        )

    def _partition(self, mounted: Mounted) -> Partition:
        one = mounted.partition
        kind = one.filesystem.kind
        return Partition(
            name="boot" if mounted.path else "root",
            place=self.artifact.place,
            filesystem="vfat" if kind.startswith("fat") else "ext4",
            size_bytes=one.size_bytes,
            label=one.filesystem.label,
            uuid=one.filesystem.uuid,
            source="/" + os.fsdecode(mounted.path),
        )

    # what passes

    def _pass_image(
        self, partitions: Sequence[Partition], census: Census, kept: Kept, fed: Sequence[FedTool | _Spool]
    ) -> None:
        seen = _Seen(kept)
        content = _LikeContent(
            self.artifact,
            made_s=int(self.image.created_s),
            epoch_s=self.artifact.epoch_s,
            secrets=self.workshop.secrets,
            parts=[one.source for one in partitions],
            watchers=(census, seen, *self.watchers),
        )
        content.like(kept, seen, census.parts[0])
        total = self.workshop.engine.rootfs_bytes(self.image.id)
        task = Task(f"filling {self.target.name}", self.workshop.reporter(self.artifact.id), total)

        def export() -> Any:
            return self.workshop.engine.export(self.image.id)

        with contextlib.closing(export()) as chunks:
            feed_all(content.stream(counted(chunks, task.add), export), fed)
        census.parts[0].xattrs += seen.attributes

    def _ext_filler(self, one: PartitionFacts, partition: Partition) -> FedTool:
        """Clear an ext, and start what makes it again. `size` is that of the old one, or all of a grown partition."""
        with self.target.open("r+b", buffering=0) as stream:
            descriptor = stream.fileno()
            start = one.start_bytes

            def read(at: int, count: int) -> bytes:
                return os.pread(descriptor, count, at)

            raw, shape = read(start + SUPER_START, SUPER_BYTES), read_super(read, start)
            size = (
                one.size_bytes
                if self.disk.size_bytes is not None and partition.name == "root"
                else shape.size_bytes
            )
            zero_range(descriptor, start, one.size_bytes)
        argv = ext_like_argv(raw, shape, start, size, f"{OUT}/{self.target.name}")
        return self.tool.start(argv, self.environment)

    def _wait(self, fed: FedTool, part: Part, one: PartitionFacts) -> None:
        try:
            fed.wait()
        except (EngineError, Interrupted):
            raise
        except StalkerError as error:
            said = f"{error.brief}\n{error.details}".lower()
            if "no space left on device while writing" in said or "enospc" in said:
                raise full(self.target, error.details) from error
            short = ("could not allocate", "no free space", "no space left", "no free inode")
            if any(text in said for text in short):
                data = (part.measure.data_blocks + part.measure.folder_blocks) * 4096
                raise StalkerError(
                    f"{self.disk.file}: the {part.partition.name} of the base, {size_text(one.size_bytes)}, is too "
                    "small for what the steps left",
                    f"{error.details}\nthat is {size_text(data)} in {part.measure.inodes} files",
                    "give the disk a larger size: size: 4GiB, or remove something in the last step",
                ) from error
            raise StalkerError(
                f"{self.disk.file}: the {part.partition.name} could not be made", error.details
            ) from error

    # partitions that are mounted in the root

    def _settle(self, system: System, mounted: Mounted, part: Part, spool: _Spool) -> None:
        """Let a partition have what the steps left there; one in which nothing changed is not touched."""
        one = mounted.partition
        if part.partition.filesystem == "vfat":
            with spool.opened() as archive, self.target.open("r+b", buffering=0) as stream:
                _update_fat(archive, FileView(stream.fileno()), one, self.epoch_s)
            return
        with spool.opened() as archive, opened(self.target) as read:
            is_same = _is_same_ext(archive, ext4_reader(read, one, system.called))
        if not is_same:
            filler = self._ext_filler(one, part.partition)
            feed_all(((0, data) for data in spool.pieces()), [filler])
            self._wait(filler, part, one)
            self._put_attributes(one, part)

    def _put_attributes(self, one: PartitionFacts, part: Part) -> None:
        if part.xattrs:
            device = f"{OUT}/{self.target.name}?offset={one.start_bytes}"
            put_xattrs(self.tool, device, STAGE, part.xattrs, self.environment)

    def _facts(self, system: System, census: Census) -> dict[str, Any]:
        parts = {
            one.partition.entry.number: part for one, part in zip(system.parts, census.parts, strict=True)
        }
        found = []
        with self.target.open("rb") as stream:
            for one in system.facts.partitions:
                own = inspect(
                    lambda at, count: os.pread(stream.fileno(), count, at), one.start_bytes, one.size_bytes
                )
                part = parts.get(one.entry.number)
                if one is system.root and part is not None:
                    check_entries(self.disk, part, own)
                found.append(
                    {
                        "number": one.entry.number,
                        "name": part.partition.name if part else str(one.entry.number),
                        "filesystem": part.partition.filesystem if part else own.kind,
                        "label": own.label,
                        "uuid": own.uuid,
                        "partuuid": one.entry.uuid,
                        "type": one.entry.type,
                        "start_bytes": one.start_bytes,
                        "size_bytes": one.size_bytes,
                        "used_bytes": own.used_bytes,
                        "entries": part.measure.inodes if part and one is system.root else 0,
                        "source": part.partition.source if part else "",
                    }
                )
        table = system.facts.table
        return {
            "table": table.kind,
            "disk_id": table.disk_id,
            "size_bytes": system.facts.size_bytes,
            "partitions": found,
        }


class _Seen:
    """Watches what the steps left: where what was kept aside goes, and which files are still those of the base."""

    def __init__(self, kept: Kept) -> None:
        self._kept = kept
        self.paths: set[bytes] = set()
        """Directories, and files that were kept aside and are there."""
        self.attributes: list[tuple[bytes, bytes, bytes]] = []
        """What files of the base get again: path, name, value."""

    def wants(self, header: Header) -> bool:
        """Want no content."""
        del header
        return False

    def see(self, path: bytes, header: Header, content: bytes | None) -> None:
        """Note a member."""
        del content
        if header.is_folder or path in self._kept.members:
            self.paths.add(path)
        noted = self._kept.attributes.get(path)
        if noted is None or header.kind == b"1":
            return
        looks, attributes = noted
        if _looks(header, looks) == looks:
            self.attributes += [(path, name, value) for name, value in attributes.items()]


def _looks(header: Header, of: Looks) -> Looks:
    kind = next((mode for mode, flag in KINDS.items() if flag == header.kind), stat.S_IFREG)
    kind = stat.S_IFDIR if header.is_folder else kind
    mtime_s = 0 if header.is_folder else _mtime_s(header)
    return Looks(kind | header.mode, header.uid, header.gid, of.mtime_s if mtime_s == of.mtime_s else mtime_s)


def _mtime_s(header: Header) -> int:
    text = header.records.get(b"mtime")
    return int(float(text) // 1) if text else int(header.block[136:147] or b"0", 8)


class _LikeContent(DiskContent):
    """A content for the tools of file systems, and behind the root's what an engine does not keep of the base."""

    def like(self, kept: Kept, seen: _Seen, root: Part) -> None:
        """Take what was kept of the base; `root` counts it."""
        self._kept, self._seen, self._root = kept, seen, root

    def moved(self, header: Header, part: int) -> Header:
        """Return a member under the name that it has in its part; a directory that an engine touches has its time."""
        if header.is_folder and header.path in self._kept.times and part == 0:
            header = header.clamped(self._kept.times[header.path])
        return super().moved(header, part)

    def behind(self, part: int) -> Iterator[Data]:
        """Yield what was kept of the root, where its directory is still there and no step made something else."""
        if part:
            return
        seen = self._seen.paths | {b""}
        for path, blocks in sorted(self._kept.members.items()):
            if path in seen or path.rpartition(b"/")[0] not in seen or self.is_excluded(path):
                continue
            header: Header | None = None
            for item in walk([blocks, END]):
                if isinstance(item, memoryview):
                    yield item
                    continue
                header = for_tools(item)
                self._root.see(path, header, is_link=header.kind == b"1")
                yield header.raw
            assert header is not None
            if header.is_folder:
                seen.add(path)
            yield bytes(-header.size % BLOCK)


@dataclass(slots=True)
class _Spool:
    """A tar that waits until all of it is there, in a file without a name."""

    stream: BinaryIO = field(repr=False)

    def write(self, data: Data) -> bool:
        """Take a piece."""
        self.stream.write(data)
        return True

    def end(self) -> None:
        """Hear that all of it is there."""

    @contextlib.contextmanager
    def opened(self) -> Iterator[tarfile.TarFile]:
        """Give it as an archive."""
        self.stream.seek(0)
        with tarfile.open(fileobj=self.stream, encoding="utf-8", errors="surrogateescape") as archive:
            yield archive

    def pieces(self) -> Iterator[bytes]:
        """Yield its bytes."""
        self.stream.seek(0)
        while piece := self.stream.read(PIECE_BYTES):
            yield piece


def _members(archive: tarfile.TarFile) -> dict[str, tarfile.TarInfo]:
    """Return what has the content of each path; a hard link is the file that it leads to."""
    own = {posixpath.normpath(one.name): one for one in archive}
    own.pop(".", None)
    return {
        path: own[posixpath.normpath(one.linkname)] if one.islnk() else one
        for path, one in sorted(own.items())
    }


def _update_fat(archive: tarfile.TarFile, view: FileView, one: PartitionFacts, epoch_s: int) -> None:
    """Remove and write what differs from the tar, and nothing else."""
    reader = FatReader(view.descriptor, one.start_bytes, one.size_bytes)
    old = {file.path: file for file in reader.walk()}
    new = _members(archive)
    gone = [path for path, file in old.items() if path not in new or new[path].isdir() != file.is_folder]
    if gone:
        for at, data in reader.removed(gone):
            view.pwrite(data, at)
    changed: list[Entry] = []
    for path, member in new.items():
        file = old.get(path) if path not in gone else None
        if file is None and member.isdir():
            changed.append(Entry(f"/{path}", "folder", mtime_s=int(member.mtime)))
        elif not member.isdir():
            ranges = file.ranges if file is not None and file.size_bytes == member.size else None
            if ranges is None or not _is_same(archive, member, view, ranges):
                changed.append(Entry(f"/{path}", "file", member.size, mtime_s=int(member.mtime)))
    if not changed:
        return
    editor = FatEditor(view, one.start_bytes, one.size_bytes, mtime_s=epoch_s)
    places = editor.put(changed)
    for entry in changed:
        source = archive.extractfile(new[entry.path[1:]])
        if entry.path in places and source is not None:
            fill_from_pieces(view, places[entry.path], _pieces(source), entry.path, lambda _: None)
    editor.finish()


def _pieces(source: Any) -> Iterator[bytes]:
    while piece := source.read(PIECE_BYTES):
        yield piece


def _is_same(
    archive: tarfile.TarFile, member: tarfile.TarInfo, view: FileView, ranges: Sequence[Any]
) -> bool:
    source = archive.extractfile(member)
    assert source is not None
    return all(view.pread(length, start) == source.read(length) for start, length in ranges)


def _is_same_ext(archive: tarfile.TarFile, reader: Ext4Reader) -> bool:
    """Return whether an ext holds what a tar does: kinds, modes, owners, times, targets and content."""
    new = _members(archive)
    old = {os.fsdecode(path): node for path, node in reader.walk() if path}
    return old.keys() == new.keys() and all(
        _is_same_node(archive, new[path], reader, node) for path, node in old.items()
    )


def _is_same_node(archive: tarfile.TarFile, member: tarfile.TarInfo, reader: Ext4Reader, node: Node) -> bool:
    numbers = (member.mode & 0o7777, member.uid, member.gid, int(member.mtime // 1))
    if numbers != (node.mode & 0o7777, node.uid, node.gid, node.mtime_ns // 1_000_000_000):
        return False
    if KINDS.get(stat.S_IFMT(node.mode)) != member.type:
        return False
    if member.issym():
        return os.fsencode(member.linkname) == reader.target(node)
    if not member.isreg():
        return not member.isdev() or (member.devmajor, member.devminor) == node.device
    source = archive.extractfile(member)
    assert source is not None
    return member.size == node.size_bytes and all(
        source.read(len(piece)) == piece for piece in reader.content(node)
    )
