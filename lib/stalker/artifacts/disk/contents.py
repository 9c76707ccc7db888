"""What the partitions of a disk are to hold: counted and checked while the members of an image pass by."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from stalker.disk.layout import BLOCK, INODE_ROOM_BYTES, Measure
from stalker.errors import StalkerError
from stalker.formats.fs.fat.names import fold_path, trouble_of
from stalker.formats.tar.header import PAX_GLOBAL
from stalker.formats.tar.stream import filter_tar
from stalker.model.escaping import path_text
from stalker.rootfs.patterns import path_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from stalker.formats.tar.header import Header
    from stalker.formats.tar.stream import Data
    from stalker.model.artifacts import Partition

FOLDER_ROOM_BYTES = BLOCK - 12
"""A directory's block ends with a checksum."""

SHORT_LINK_BYTES = 60
"""A symbolic link below this is in the inode."""

EXTENT_BYTES = 128 << 20
EXTENTS_IN_INODE = 3
"""One less than there are, for a file that is cut once."""

FAT_FILE_MAX = (1 << 32) - 1

KEPT_XATTRS = frozenset({b"security.capability"})
"""mke2fs takes these from a tar, and drops all others without a word."""

XATTRS_MAX = 10_000


@dataclass(slots=True)
class Part:
    """What one partition is to hold."""

    partition: Partition
    measure: Measure = field(default_factory=Measure)
    has_lost_found: bool = False
    xattrs: list[tuple[bytes, bytes, bytes]] = field(default_factory=list)
    """Attributes that have to be put in afterwards: path, name, value."""

    _rooms: dict[bytes, int] = field(default_factory=dict)
    _names: set[str] = field(default_factory=set)

    def see(self, path: bytes, header: Header, *, is_link: bool) -> None:
        """Count a member by its path in the partition, empty for the root; `is_link`: a hard link."""
        if self.partition.filesystem == "vfat":
            self._see_in_fat(path, header)
        measure = self.measure
        if path:
            folder, _, name = path.rpartition(b"/")
            self._add_name(folder, len(name))
            if not is_link:
                measure.inodes += 1
                self.has_lost_found = self.has_lost_found or path == b"lost+found"
        if is_link:
            return
        kind = header.kind
        if kind == b"2":
            measure.data_blocks += len(header.link) >= SHORT_LINK_BYTES
        elif header.is_folder:
            measure.folder_blocks += bool(path)
            self._rooms.setdefault(path, FOLDER_ROOM_BYTES - 24)
        elif header.is_file:
            size = header.size if header.content is None else len(header.content)
            measure.data_blocks += -(-size // BLOCK) + (size // EXTENT_BYTES > EXTENTS_IN_INODE)
        xattrs = header.xattrs if header.records else {}
        if xattrs:
            taken = sum(len(name) + len(value) + 16 for name, value in xattrs.items())
            measure.data_blocks += taken > INODE_ROOM_BYTES
            self._keep(path, xattrs)

    def counted(self, chunks: Iterable[Data]) -> Iterator[Data]:
        """Pass a tar on and count its members."""

        def decide(header: Header) -> Header:
            if header.kind != PAX_GLOBAL:
                self.see(header.path, header, is_link=header.kind == b"1")
            return for_tools(header)

        return filter_tar(chunks, decide)

    def _add_name(self, folder: bytes, length: int) -> None:
        """Let a directory grow by a name: one that does not fit into its last block begins another."""
        need = 8 + -(-length // 4) * 4
        room = self._rooms.get(folder, FOLDER_ROOM_BYTES - 24)
        if need > room:
            self.measure.folder_blocks += 1
            room = FOLDER_ROOM_BYTES
        self._rooms[folder] = room - need

    def _keep(self, path: bytes, xattrs: dict[bytes, bytes]) -> None:
        if self.partition.filesystem != "ext4":
            return
        self.xattrs += [(path, name, value) for name, value in xattrs.items() if name not in KEPT_XATTRS]
        if len(self.xattrs) > XATTRS_MAX:
            raise StalkerError(
                f"{self.partition.name}: more than {XATTRS_MAX} extended attributes",
                f"the last is {path_text(path)}",
                "take them off in the last step: setfattr -x",
            )

    def _see_in_fat(self, path: bytes, header: Header) -> None:
        """Refuse what a FAT does not hold, and count what it takes."""
        if not path:
            return
        name = path.rpartition(b"/")[2]
        problem = trouble_of(name.decode("utf-8", "surrogateescape"))
        folded = fold_path(path.decode("utf-8", "surrogateescape"))
        if folded in self._names and not header.is_folder:
            problem = problem or "another name differs from it only in case"
        self._names.add(folded)
        if not header.is_file and not header.is_folder and header.kind != b"1":
            kinds = {b"2": "a symbolic link", b"6": "a pipe"}
            problem = f"it is {kinds.get(header.kind, 'a device')}, which a FAT does not hold"
        elif header.is_file and header.size > FAT_FILE_MAX:
            problem = "it is larger than 4 GiB"
        if problem:
            shown = path_text(path)
            raise StalkerError(
                f"{shown} cannot stand on the FAT of partition '{self.partition.name}'",
                problem,
                "leave it out (exclude), or make it a plain file of a plain name in the last step",
            )
        entries = 32 * (1 + -(-len(name) // 13))
        self.measure.fat_bytes += entries + (BLOCK if header.is_folder else -(-header.size // BLOCK) * BLOCK)


class Census:
    """Counts the members of a stream for several partitions; a `Watcher` of their content."""

    def __init__(self, partitions: Sequence[Partition]) -> None:
        """Take the partitions that get a part of the image, in the order of the parts."""
        self.parts = [Part(partition) for partition in partitions]
        sources = [(path_bytes(part.partition.source), part) for part in self.parts]
        self._mounts = {source: part for source, part in sources if source}
        self._prefixes = [(source + b"/" if source else b"", part) for source, part in sources]
        self._prefixes.sort(key=lambda one: -len(one[0]))
        self._last: tuple[Header, Part] | None = None

    def wants(self, header: Header) -> bool:
        """Want no content."""
        del header
        return False

    def see(self, path: bytes, header: Header, content: bytes | None) -> None:
        """Count a member."""
        del content
        if path in self._mounts:
            self._mounts[path].see(b"", header, is_link=False)
        for prefix, part in self._prefixes:
            if path.startswith(prefix):
                # A file that lost its first name is shown once for each of the others.
                is_again = self._last is not None and self._last[0] is header and self._last[1] is part
                self._last = (header, part)
                part.see(path[len(prefix) :], header, is_link=header.kind == b"1" or is_again)
                return


def for_tools(header: Header) -> Header:
    """Return a member as libarchive takes it right, and mke2fs with it."""
    if header.kind == b"1":
        header = header.untyped()
    return header.with_binary_names() if header.extras else header
