"""A disk image: a sparse file with a partition table, and file systems made in it by their own tools.

The engine's export passes through once, as one tar for each partition, into the programs that make the file
systems in their places: nothing is unpacked, and nothing is written twice. Where a size depends on the
content, the export is measured first, so the same content gives the same bytes on every engine.

Nothing is mounted and no privilege is needed. The same inputs give the same file, bit for bit.
"""

from __future__ import annotations

import contextlib
import os
import shlex
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from stalker.artifacts.disk.contents import Census, Part, for_tools
from stalker.artifacts.disk.fat_content import FatContent
from stalker.artifacts.disk.size_guess import Guess, Size
from stalker.artifacts.disk.xattrs import put_xattrs
from stalker.disk import mkfs as tools
from stalker.disk.ids import DiskIds, entry_of, ids_of, marks_of
from stalker.disk.layout import RESERVED_INODES, Layout, Placed, ext4_inodes, lay_out, needed_bytes
from stalker.disk.pack import pack
from stalker.errors import EngineError, Interrupted, StalkerError
from stalker.formats.fs.probe import FileSystemFacts, inspect
from stalker.formats.partition_table.extent import SECTOR_BYTES
from stalker.formats.partition_table.table import gpt_bytes, mbr_bytes
from stalker.io.disk_sizes import aligned
from stalker.io.progress import Task
from stalker.io.units import size_text
from stalker.model.artifacts import Disk
from stalker.rootfs.filter import Content

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from stalker.artifacts.context import Workshop
    from stalker.formats.tar.header import Header
    from stalker.model.artifacts import Artifact, Partition
    from stalker.model.images import Image
    from stalker.rootfs.filter import Watcher
    from stalker.toolbox.container import FedTool, Tool

    Data = bytes | memoryview
    Filler = FedTool | FatContent
    Tar = Callable[[Partition], Iterable[Data]]

OUT = "/out"
"""Where the directory of the image is, in the container of the tools."""

STAGE = "/stage"
"""Where what sets attributes waits, in memory."""

SMALL_BYTES = 512 << 20

ENOUGH_BYTES = 16 << 20
"""What is left free on the host's disk besides the image."""


class Sink(Protocol):
    """Takes the tar of a part."""

    def write(self, data: Data) -> bool:
        """Take a piece; False when nothing more is taken."""

    def end(self) -> None:
        """Take that all of it was there."""


@dataclass(frozen=True, slots=True)
class DiskMade:
    """The files of a disk, the image first where it is kept, and what is known of it for a manifest."""

    files: tuple[Path, ...]
    facts: dict[str, Any]


def make_disk(
    artifact: Artifact,
    image: Image,
    folder: Path,
    workshop: Workshop,
    watchers: Sequence[Watcher] = (),
    tar_of: Tar | None = None,
) -> DiskMade:
    """Make a disk's files in `folder`; none of them is there when anything is raised.

    `watchers` see the members of the image once. `tar_of` gives the tar for a partition that holds an
    artifact or a directory of the workspace.

    Raises:
        StalkerError: the content does not fit, a file system cannot hold it, or the host's disk is full.
        EngineError: the engine's export broke off, or the engine does not see `folder`.
    """

    def make(tool: Tool, disk: Disk, target: Path) -> dict[str, Any]:
        return _Maker(artifact, disk, image, target, workshop, tool, tuple(watchers), tar_of).make()

    return made_with_tools(artifact, image, folder, workshop, make)


def made_with_tools(
    artifact: Artifact,
    image: Image,
    folder: Path,
    workshop: Workshop,
    make: Callable[[Tool, Disk, Path], dict[str, Any]],
) -> DiskMade:
    """Let `make` write a disk image with the tools, and compress it; nothing of it is left when anything is raised."""
    assert isinstance(artifact.kind, Disk)
    assert workshop.toolbox is not None
    disk = artifact.kind
    target = folder / disk.file
    made: list[Path] = [target]
    try:
        with workshop.toolbox.opened(
            "toolbox", folder=folder, folder_target=OUT, tmpfs={STAGE: "mode=1777"}
        ) as tool:
            facts = make(tool, disk, target)
            reporter, epoch_s = workshop.reporter(artifact.id), epoch_of(artifact, image)
            made += pack(target, disk.formats, tool, OUT, reporter, epoch_s)
    except BaseException as error:
        for path in [*made, *folder.glob(f".{disk.file}.*")]:
            path.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise unwritable(target, error) from error
        raise
    if "img" not in disk.formats:
        target.unlink()
        made.remove(target)
    return DiskMade(tuple(made), facts)


def epoch_of(artifact: Artifact, image: Image) -> int:
    """Return the time (Unix seconds) of all on a disk that has none of its own."""
    return max(int(image.created_s) if artifact.epoch_s is None else artifact.epoch_s, 1)


def tool_environment(epoch_s: int) -> dict[str, str]:
    """Return what makes tools take the time from us, and write zeros where a card may hold anything."""
    epoch = str(epoch_s)
    return {"SOURCE_DATE_EPOCH": epoch, "E2FSPROGS_FAKE_TIME": epoch, "UNIX_IO_NOZEROOUT": "1"}


@dataclass(slots=True)
class _Maker:
    """One disk on its way."""

    artifact: Artifact
    disk: Disk
    image: Image
    target: Path
    workshop: Workshop
    tool: Tool
    watchers: tuple[Watcher, ...]
    tar_of: Tar | None
    parts: dict[str, Part] = field(default_factory=dict)
    squashed: dict[str, Path] = field(default_factory=dict)
    failed: list[tuple[StalkerError, Part, Placed]] = field(default_factory=list)
    is_guess: bool = False

    @property
    def epoch_s(self) -> int:
        """The time of all that has none of its own."""
        return epoch_of(self.artifact, self.image)

    @property
    def file(self) -> str:
        """The image as the tools see it."""
        return f"{OUT}/{self.target.name}"

    @property
    def environment(self) -> dict[str, str]:
        """What makes tools take the time from us, and write zeros where a card may hold anything."""
        return tool_environment(self.epoch_s)

    def make(self) -> dict[str, Any]:
        """Make it all; return what is known of it."""
        disk = self.disk
        ids = ids_of(disk, f"{self.workshop.tree.name}/{self.artifact.id}")
        marks = marks_of(disk, ids)
        from_image = [one for one in disk.partitions if one.source]
        guess = Guess.of(self.artifact, self.workshop)
        sizes = guess.sizes(self._rootfs_bytes) if guess else None
        if sizes is None and any(_is_measured(one) for one in disk.partitions):
            self._measure(from_image, marks)
        layout = self._fill(sizes, ids, marks, self.watchers)
        if sizes is not None:
            right = {one.name: self._size_of(one) for one in disk.partitions if one.size_bytes is None}
            if right != sizes:
                self.target.unlink()
                self.failed.clear()
                layout = self._fill(None, ids, marks, ())
            for error, part, placed in self.failed:
                raise self._explained(error, part, placed) from error
        for placed in layout.placed:
            if placed.partition.artifact or placed.partition.directory:
                self._fill_by_tar(placed, ids)
        self._finish(layout)
        if guess is not None:
            guess.note({one.name: self._size_of(one) for one in disk.partitions if one.size_bytes is None})
        return self._facts(layout, ids)

    def _fill(
        self,
        sizes: Mapping[str, Size] | None,
        ids: DiskIds,
        marks: Mapping[str, str],
        watchers: Sequence[Watcher],
    ) -> Layout:
        """Make the table and what comes from the image; `sizes` are a guess."""
        self.is_guess = sizes is not None
        layout = self._lay_out({name: size.size_bytes for name, size in (sizes or {}).items()})
        self._begin(layout, ids)
        self._make_empty(layout, ids)
        placed = [one for one in layout.placed if one.partition.source]
        fed = {one.partition.name: self._filler(one, ids, sizes) for one in placed}
        fillers = {name: one for name, one in fed.items() if one is not None}
        if fillers or (placed and watchers):
            partitions = [one.partition for one in placed]
            self._pass_image(partitions, marks, f"filling {self.target.name}", fillers, watchers, placed)
        return layout

    # what is known before

    def _content(
        self, partitions: Sequence[Partition], marks: Mapping[str, str], *watchers: Watcher
    ) -> Content:
        return DiskContent(
            self.artifact,
            made_s=int(self.image.created_s),
            epoch_s=self.artifact.epoch_s,
            secrets=self.workshop.secrets,
            marks=marks,
            parts=[one.source for one in partitions],
            watchers=watchers,
        )

    def _rootfs_bytes(self) -> int:
        return self.workshop.engine.rootfs_bytes(self.image.id)

    def _export(self) -> Generator[bytes, None, None]:
        return self.workshop.engine.export(self.image.id)  # type: ignore[return-value]  # promised by Engine.export

    def _measure(self, partitions: Sequence[Partition], marks: Mapping[str, str]) -> None:
        """Count what partitions take whose size depends on it; a squashfs shows it by being made."""
        if any(_is_measured(one) for one in partitions):
            self._pass_image(
                partitions,
                marks,
                f"measuring {self.image.tags[0] if self.image.tags else self.image.id}",
                {one.name: self._squash(one) for one in partitions if one.filesystem == "squashfs"},
            )
        for one in self.disk.partitions:
            if (one.artifact or one.directory) and _is_measured(one):
                fed = self._squash(one) if one.filesystem == "squashfs" else None
                self._pass_tar(one, fed)

    def _squash(self, partition: Partition) -> FedTool:
        path = self.target.with_name(f".{self.target.name}.{partition.name}")
        self.squashed[partition.name] = path
        return self.tool.start(tools.squashfs_argv(f"{OUT}/{path.name}"), self.environment)

    def _size_of(self, partition: Partition) -> Size:
        """Return what a measured partition of size auto becomes."""
        measure = self.parts[partition.name].measure
        size = needed_bytes(partition, measure, self.disk.align_bytes)
        return Size(size, ext4_inodes(size, measure.inodes))

    def _lay_out(self, known: Mapping[str, int]) -> Layout:
        needs = dict(known)
        for one in self.disk.partitions:
            if one.name in self.squashed:
                stored = self.squashed[one.name].stat().st_size
                needs[one.name] = aligned(stored, self.disk.align_bytes)
                if one.size_bytes is not None and stored > one.size_bytes:
                    raise _too_small(self.disk, one, one.size_bytes, stored)
            elif one.size_bytes is None and one.name not in needs:
                needs[one.name] = self._size_of(one).size_bytes
        return lay_out(self.disk, needs)

    def _begin(self, layout: Layout, ids: DiskIds) -> None:
        """Make the sparse file and write the table."""
        known = sum(part.measure.data_blocks for part in self.parts.values()) * 4096
        free = os.statvfs(self.target.parent)
        if known + ENOUGH_BYTES > free.f_bavail * free.f_frsize:
            raise StalkerError(
                f"there is no room for {self.target.name}",
                f"it takes {size_text(known)}, and {self.target.parent} has {size_text(free.f_bavail * free.f_frsize)}",
                "make room there; what was published before is untouched",
            )
        entries = [entry_of(placed, ids, self.disk.table) for placed in layout.placed]
        with self.target.open("xb") as stream:
            stream.truncate(layout.size_bytes)
            if self.disk.table == "mbr":
                stream.write(mbr_bytes(ids.disk, entries))
            else:
                head, tail = gpt_bytes(ids.disk, entries, layout.size_bytes // SECTOR_BYTES)
                stream.write(head)
                stream.seek(layout.size_bytes // SECTOR_BYTES * SECTOR_BYTES - len(tail))
                stream.write(tail)

    # file systems

    def _make_empty(self, layout: Layout, ids: DiskIds) -> None:
        """Make the file systems that hold nothing, all in one go."""
        commands = []
        for placed in layout.placed:
            own = ids.partitions[placed.partition.name]
            if _has_content(placed.partition):
                continue
            match placed.partition.filesystem:
                case "vfat":
                    commands.append(tools.vfat_argv(placed, own, self.file))
                case "ext4":
                    inodes = ext4_inodes(placed.size_bytes)
                    commands.append(tools.ext4_argv(placed, own, self.file, inodes, is_filled=False))
                case "swap":
                    commands.append(tools.swap_argv(placed, own, self.file))
        if commands:
            self.tool.run(["sh", "-ec", "\n".join(map(shlex.join, commands))], None, self.environment)

    def _filler(self, placed: Placed, ids: DiskIds, sizes: Mapping[str, Size] | None = None) -> Filler | None:
        """Start what a partition's tar is fed to; None for a squashfs, which is made already."""
        partition = placed.partition
        own = ids.partitions[partition.name]
        match partition.filesystem:
            case "ext4":
                argv = tools.ext4_argv(placed, own, self.file, self._inodes(placed, sizes), is_filled=True)
            case "vfat":
                self.tool.run(tools.vfat_argv(placed, own, self.file), None, self.environment)
                return FatContent(self.target, placed, self.epoch_s)
            case _:
                return None
        return self.tool.start(argv, self.environment)

    def _inodes(self, placed: Placed, sizes: Mapping[str, Size] | None) -> int:
        partition = placed.partition
        if partition.size_bytes is None:
            return (sizes[partition.name] if sizes else self._size_of(partition)).inodes
        # Small ones hold small files. What a fixed size holds is not known before.
        return ext4_inodes(placed.size_bytes) * (4 if placed.size_bytes < SMALL_BYTES else 1)

    def _pass_image(
        self,
        partitions: Sequence[Partition],
        marks: Mapping[str, str],
        doing: str,
        fed: Mapping[str, Filler],
        watchers: Sequence[Watcher] = (),
        layout: Sequence[Placed] = (),
    ) -> None:
        """Let the image pass once into the programs that are fed, by the names of partitions."""
        census = Census(partitions)
        content = self._content(partitions, marks, census, *watchers)
        fillers = [fed.get(one.name) for one in partitions]
        task = Task(doing, self.workshop.reporter(self.artifact.id), self._rootfs_bytes() or None)
        with contextlib.closing(self._export()) as chunks:
            stream = content.stream(counted(chunks, task.add), self._export)
            feed_all(stream, fillers)
        for number, part in enumerate(census.parts):
            self.parts[part.partition.name] = part
            filler = fillers[number]
            if filler is not None:
                self._wait(
                    filler, part, next((one for one in layout if one.partition is part.partition), None)
                )

    def _pass_tar(self, partition: Partition, fed: Filler | None, placed: Placed | None = None) -> None:
        """Let the tar of an artifact or directory pass."""
        assert self.tar_of is not None
        part = Part(partition)
        stream = part.counted(self.tar_of(partition))
        feed_all(((0, data) for data in stream), [fed])
        self.parts[partition.name] = part
        if fed is not None:
            self._wait(fed, part, placed)

    def _fill_by_tar(self, placed: Placed, ids: DiskIds) -> None:
        filler = self._filler(placed, ids)
        if filler is not None:
            self._pass_tar(placed.partition, filler, placed)

    def _wait(self, fed: Filler, part: Part, placed: Placed | None) -> None:
        try:
            fed.wait()
        except (EngineError, Interrupted):
            raise
        except StalkerError as error:
            if self.is_guess and placed is not None and placed.partition.size_bytes is None:
                self.failed.append((error, part, placed))  # it matters only if the guess was right
                return
            raise self._explained(error, part, placed) from error

    def _explained(self, error: StalkerError, part: Part, placed: Placed | None) -> StalkerError:
        said = f"{error.brief}\n{error.details}".lower()
        if "no space left on device while writing" in said or "enospc" in said:
            return full(self.target, error.details)
        signs = (
            "could not allocate",
            "no free space",
            "no space left",
            "no free inode",
            "fat file system is too small",
        )
        if placed is not None and any(text in said for text in signs):
            need = needed_bytes(part.partition, part.measure, self.disk.align_bytes)
            return _too_small(self.disk, part.partition, placed.size_bytes, need, error.details)
        return StalkerError(
            f"{self.disk.file}: partition '{part.partition.name}' could not be made", error.details
        )

    # the end

    def _finish(self, layout: Layout) -> None:
        for placed in layout.placed:
            part = self.parts.get(placed.partition.name)
            if placed.partition.name in self.squashed:
                _place(self.squashed[placed.partition.name], self.target, placed.start_bytes)
            elif part is not None and part.xattrs:
                device = f"{self.file}?offset={placed.start_bytes}"
                put_xattrs(self.tool, device, STAGE, part.xattrs, self.environment)

    def _facts(self, layout: Layout, ids: DiskIds) -> dict[str, Any]:
        with self.target.open("rb") as stream:
            found = {one.partition.name: _inspected(stream.fileno(), one) for one in layout.placed}
        for name, part in self.parts.items():
            if part.partition.filesystem == "ext4":
                check_entries(self.disk, part, found[name])
        return {
            "table": self.disk.table,
            "disk_id": ids.disk,
            "size_bytes": layout.size_bytes,
            "partitions": [
                {
                    "number": one.number,
                    "name": one.partition.name,
                    "filesystem": one.partition.filesystem,
                    "label": one.partition.label,
                    "uuid": ids.partitions[one.partition.name].uuid,
                    "partuuid": ids.partitions[one.partition.name].partuuid,
                    "type": entry_of(one, ids, self.disk.table).type,
                    "start_bytes": one.start_bytes,
                    "size_bytes": one.size_bytes,
                    "used_bytes": found[one.partition.name].used_bytes,
                    "entries": self.parts[one.partition.name].measure.inodes
                    if one.partition.name in self.parts
                    else 0,
                    "source": one.partition.source,
                }
                for one in layout.placed
            ],
        }


class DiskContent(Content):
    """A content for the tools of file systems."""

    def moved(self, header: Header, part: int) -> Header:
        """Return a member under the name that it has in its part, as the tools take it right."""
        return for_tools(super().moved(header, part))


def _has_content(partition: Partition) -> bool:
    return bool(partition.source or partition.artifact or partition.directory)


def _is_measured(partition: Partition) -> bool:
    """Return whether something has to be known of the content before anything can be placed."""
    return _has_content(partition) and (partition.size_bytes is None or partition.filesystem == "squashfs")


def feed_all(stream: Iterable[tuple[int, Data]], fed: Sequence[Sink | None]) -> None:
    """Give each part its data and its end; what a program does not want any more is passed over."""
    open_ = list(fed)
    try:
        for number, data in stream:
            one = open_[number]
            if one is not None and not one.write(data):
                open_[number] = None
    finally:
        for one in fed:
            if one is not None:
                one.end()


def counted(chunks: Iterable[bytes], add: Callable[[int], None]) -> Iterator[bytes]:
    """Pass chunks on; `add` is called with the size of each."""
    for chunk in chunks:
        add(len(chunk))
        yield chunk


def _place(source: Path, target: Path, start: int) -> None:
    """Put a file into the image."""
    with source.open("rb") as reader, target.open("r+b") as writer:
        at = 0
        while count := os.copy_file_range(reader.fileno(), writer.fileno(), 1 << 30, at, start + at):
            at += count
    source.unlink()


def _inspected(descriptor: int, placed: Placed) -> FileSystemFacts:
    return inspect(lambda at, count: os.pread(descriptor, count, at), placed.start_bytes, placed.size_bytes)


def check_entries(disk: Disk, part: Part, found: FileSystemFacts) -> None:
    """Raise when a file system holds fewer or more than what was sent: its tool takes half a tar for a whole one."""
    wanted = part.measure.inodes + RESERVED_INODES - part.has_lost_found
    if found.inodes != wanted:
        raise StalkerError(
            f"{disk.file}: partition '{part.partition.name}' is not whole",
            f"it has {found.inodes} inodes in use, and {wanted} were sent",
            "run it again",
        )


def _too_small(disk: Disk, partition: Partition, size: int, need: int, details: str = "") -> StalkerError:
    return StalkerError(
        f"{disk.file}: partition '{partition.name}' of {size_text(size)} is too small for its content",
        f"{details}\nwith its margin it needs about {size_text(need)}".strip(),
        "give it more, or size: auto",
    )


def full(target: Path, details: str) -> StalkerError:
    """Return the error of a full disk of the host."""
    return StalkerError(
        f"there is no room for {target.name}", details, "make room; what was published before is untouched"
    )


def unwritable(target: Path, error: OSError) -> StalkerError:
    """Return the error of an image that cannot be written."""
    return StalkerError(
        f"could not write {target}",
        f"{error.strerror or error}",
        "free space or fix the permissions there; what was published before is untouched",
    )
