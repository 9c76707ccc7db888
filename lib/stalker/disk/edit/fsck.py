"""File systems of a base looked at before anything is put into them: damage is repaired if that is safe, or refused."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from stalker.disk.edit.grow_ext4 import beside, mended, times
from stalker.errors import EngineError, Interrupted, StalkerError
from stalker.formats.fs.ext4 import find_super
from stalker.io.sparse import nothing, place

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from stalker.disk.inspect import PartitionFacts
    from stalker.toolbox.container import Tool


def mend(
    image: Path,
    one: PartitionFacts,
    tool: Tool,
    out: str,
    *,
    epoch_s: int = 0,
    check: Callable[[], None] = nothing,
) -> str:
    """Make sure that a file system may be changed; return in words what was repaired, empty for nothing.

    One that is sound is not written to. `out` is the image's directory as the tools see it.

    Raises:
        StalkerError: it is damaged beyond what a tool repairs by itself.
    """
    kind = one.filesystem.kind
    try:
        if kind.startswith("ext"):
            was_mended = _mend_ext(image, one, tool, out, epoch_s, check)
        elif kind.startswith("fat"):
            was_mended = _mend_fat(image, one, tool, out, check)
        else:
            return ""
    except (EngineError, Interrupted):
        raise
    except StalkerError as error:
        raise StalkerError(
            f"partition {one.entry.number} of the base is damaged, so nothing can be put into it",
            f"{error.brief}: {error.details}",
            "fetch the base again, or repair it: "
            + ("e2fsck -f" if kind.startswith("ext") else "fsck.vfat -w -r"),
        ) from error
    return (
        f"partition {one.entry.number} of the base was not clean; it has been repaired" if was_mended else ""
    )


def _mend_ext(
    image: Path, one: PartitionFacts, tool: Tool, out: str, epoch_s: int, check: Callable[[], None]
) -> bool:
    with image.open("rb", buffering=0) as stream:
        shape = find_super(lambda at, count: os.pread(stream.fileno(), count, at), one.start_bytes)
    file = f"{out}/{image.name}?offset={one.start_bytes}"
    if shape is not None and shape.is_clean and _is_sound(tool, ["e2fsck", "-fn", file]):
        return False
    # When it has replayed a journal, e2fsck opens the file again and forgets the offset.
    with _apart(image, one, check) as own:
        mended(tool, ["e2fsck", "-fp", f"{out}/{own}"], times(epoch_s, shape.latest_s if shape else 0))
    return True


def _mend_fat(image: Path, one: PartitionFacts, tool: Tool, out: str, check: Callable[[], None]) -> bool:
    with _apart(image, one, check) as own:
        file = f"{out}/{own}"
        if _is_sound(tool, ["fsck.vfat", "-n", file]):
            return False
        mended(tool, ["fsck.vfat", "-a", file], {})
        tool.run(["fsck.vfat", "-n", file])
    return True


@contextlib.contextmanager
def _apart(image: Path, one: PartitionFacts, check: Callable[[], None]) -> Iterator[str]:
    """Give the name of a copy of a partition, for tools that know no offset; what they change is put back."""
    part = beside(image, "part")
    part.unlink(missing_ok=True)
    start, size = one.start_bytes, one.size_bytes
    try:
        with image.open("r+b", buffering=0) as whole, part.open("x+b", buffering=0) as own:
            os.ftruncate(own.fileno(), size)
            place(whole.fileno(), own.fileno(), 0, size, source_start=start, check=check)
            before = os.fstat(own.fileno()).st_mtime_ns
            yield part.name
            if os.fstat(own.fileno()).st_mtime_ns != before:
                place(own.fileno(), whole.fileno(), start, size, check=check)
    finally:
        part.unlink(missing_ok=True)


def _is_sound(tool: Tool, argv: list[str]) -> bool:
    try:
        tool.run(argv)
    except (EngineError, Interrupted):
        raise
    except StalkerError:
        return False
    return True
