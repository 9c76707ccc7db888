"""The file systems of one image, each opened for changes when it is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stalker.errors import StalkerError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from stalker.image.edit.entries import Editor
    from stalker.image.readback import PartitionFacts
    from stalker.image.toolbox import Tool


class Editors:
    """Opens the file systems of a raw image, once each.

    `partitions` maps `boot`, `root`, `data` and numbers as text to what is known of them. `tool` gives the
    toolbox, which is not started for a FAT; `device` is the image as it is seen there. `ready` is asked to look
    after a file system before it is opened, if that is not sound.
    """

    def __init__(
        self,
        descriptor: int,
        partitions: Mapping[str, PartitionFacts],
        tool: Callable[[], Tool],
        device: str,
        *,
        mtime_s: int,
        ready: Callable[[PartitionFacts], None] = lambda _: None,
    ) -> None:
        self._descriptor = descriptor
        self._partitions = partitions
        self._tool = tool
        self._device = device
        self._mtime_s = mtime_s
        self._ready = ready
        self._open: dict[int, Editor] = {}

    def has(self, name: str) -> bool:
        """Say whether there is such a partition."""
        return name in self._partitions

    def facts(self, name: str) -> PartitionFacts:
        """Return what is known of a partition: `boot`, `root`, `data`, or its number. Raises StalkerError."""
        one = self._partitions.get(name)
        if one is None:
            known = ", ".join(self._partitions)
            raise StalkerError(f"the image has no partition '{name}'", "", f"it has: {known}")
        return one

    def of(self, name: str) -> Editor:
        """Return the file system of a partition. Raises StalkerError when there is none that can be changed."""
        one = self.facts(name)
        number = one.entry.number
        if number not in self._open:
            self._open[number] = self._opened(name, one)
        return self._open[number]

    def opened(self) -> Sequence[Editor]:
        """Return those that were asked for, in the order of the disk."""
        return [self._open[number] for number in sorted(self._open)]

    def finish(self) -> None:
        """Finish all that were opened. Raises StalkerError when one is not sound."""
        for one in self.opened():
            one.finish()

    def _opened(self, name: str, one: PartitionFacts) -> Editor:
        kind = one.filesystem.kind
        if kind.startswith("fat"):
            from stalker.image.edit.fat import FatEditor

            try:
                return FatEditor(self._descriptor, one.start_bytes, one.size_bytes, mtime_s=self._mtime_s)
            except StalkerError:
                self._ready(one)  # what its tool cannot mend is told there
                return FatEditor(self._descriptor, one.start_bytes, one.size_bytes, mtime_s=self._mtime_s)
        if kind.startswith("ext"):
            from stalker.image.edit.ext4 import Ext4Editor

            self._ready(one)
            device = f"{self._device}?offset={one.start_bytes}"
            return Ext4Editor(
                self._tool(),
                device,
                self._descriptor,
                one.start_bytes,
                one.size_bytes,
                mtime_s=self._mtime_s,
            )
        raise StalkerError(
            f"partition '{name}' holds {kind or 'no file system that is known'}",
            "files can be put into FAT and ext2, ext3 or ext4",
            "choose another partition, or another base",
        )
