"""Sizes that are guessed before a disk is made, so that the image need not be read twice.

What a partition of size auto becomes depends on its content alone. Before the content has passed, it is
guessed: from the last time the artifact was made, or from what the engine says of the image. A disk that was
made with a wrong guess is thrown away and made again with the right sizes, so a guess decides how long it
takes and nothing else.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from stalker.disk.layout import ext4_inodes, guessed_bytes, lay_out
from stalker.errors import StalkerError
from stalker.io.atomic import write_file
from stalker.model.artifacts import Disk

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from stalker.artifacts.context import Workshop
    from stalker.model.artifacts import Artifact


@dataclass(frozen=True, slots=True)
class Size:
    """The size of a partition, and the inodes of its ext4."""

    size_bytes: int
    inodes: int


@dataclass(frozen=True, slots=True)
class Guess:
    """What is known of the sizes of one artifact's partitions; `file` is where it is noted, if anywhere."""

    disk: Disk
    file: Path | None

    @classmethod
    def of(cls, artifact: Artifact, workshop: Workshop) -> Guess | None:
        """Return it for an artifact with something to guess, None for others."""
        assert isinstance(artifact.kind, Disk)
        disk = artifact.kind
        autos = [one for one in disk.partitions if one.size_bytes is None]
        is_simple = all(one.source and one.filesystem in {"ext4", "vfat"} for one in autos)
        if not autos or not is_simple or any(one.filesystem == "squashfs" for one in disk.partitions):
            return None
        cache = workshop.toolbox.cache_dir if workshop.toolbox else None
        key = f"{workshop.workspace}/{workshop.tree.name}/{artifact.id}"
        name = f"{hashlib.sha256(key.encode()).hexdigest()}.json"
        return cls(disk, cache / "disk-sizes" / name if cache else None)

    def sizes(self, rootfs_bytes: Callable[[], int]) -> dict[str, Size] | None:
        """Return a guess by the names of partitions, None where there is nothing to go by.

        `rootfs_bytes` returns how many bytes the files of the image take.
        """
        autos = [one for one in self.disk.partitions if one.size_bytes is None]
        found = self._noted()
        if found.keys() != {one.name for one in autos}:
            if len(autos) > 1 or autos[0].filesystem != "ext4":
                return None
            size = guessed_bytes(autos[0], rootfs_bytes(), self.disk.align_bytes)
            found = {autos[0].name: Size(size, ext4_inodes(size))}
        try:
            lay_out(self.disk, {name: size.size_bytes for name, size in found.items()})
        except StalkerError:
            return None  # it would not fit the disk; what is right may
        return found

    def _noted(self) -> dict[str, Size]:
        found: dict[str, Size] = {}
        if self.file is not None:
            with contextlib.suppress(OSError, ValueError, TypeError, AttributeError):
                for name, size in json.loads(self.file.read_text(encoding="utf-8")).items():
                    found[name] = Size(int(size["size_bytes"]), int(size["inodes"]))
        return found

    def note(self, sizes: Mapping[str, Size]) -> None:
        """Keep what it came to, for the next time."""
        if self.file is None:
            return
        with contextlib.suppress(OSError):
            self.file.parent.mkdir(parents=True, exist_ok=True)
            text = json.dumps({name: asdict(size) for name, size in sizes.items()})
            write_file(self.file, text, durable=False)
