"""An ext4 of an image made larger, in a file of its own: resize2fs cuts an image off behind what it works on."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from stalker.disk.layout import BLOCK, journal_blocks
from stalker.errors import EngineError, Interrupted, StalkerError
from stalker.formats.fs.ext4 import HAS_JOURNAL, find_super
from stalker.io.sparse import nothing, place

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from stalker.formats.fs.ext4 import Super
    from stalker.toolbox.container import Tool

SOUND, MENDED = 0, 1
"""What e2fsck and fsck.vfat end with when they found nothing, and when they put right what they found."""


def beside(image: Path, what: str) -> Path:
    """Return where a part of an image is worked on: its name begins with a dot."""
    return image.with_name(f".{image.name.lstrip('.')}.{what}")


def times(epoch_s: int, latest_s: int) -> dict[str, str]:
    """Return what makes the tools of ext4 take one time whenever they run, none that lies behind what is noted."""
    now = str(max(epoch_s, latest_s, 1))
    return {"E2FSPROGS_FAKE_TIME": now, "E2FSCK_TIME": now}


def grow_ext4(
    image: Path,
    start: int,
    old_bytes: int,
    new_bytes: int,
    tool: Tool,
    out: str,
    environment: Mapping[str, str],
    check: Callable[[], None] = nothing,
) -> bool:
    """Let the ext4 at `start` of an image fill `new_bytes`; return whether it was repaired on the way.

    The image has to be long enough already. `out` is its directory as the tools see it.

    Raises:
        StalkerError: it is damaged, or cannot be made so large; the image is then as it was.
    """
    part = beside(image, "data")
    part.unlink(missing_ok=True)  # of a run that was killed
    try:
        with image.open("r+b", buffering=0) as whole, part.open("x+b", buffering=0) as own:
            os.ftruncate(own.fileno(), old_bytes)
            place(whole.fileno(), own.fileno(), 0, old_bytes, source_start=start, check=check)
            os.ftruncate(own.fileno(), new_bytes)
            file = f"{out}/{part.name}"
            was_mended = mended(tool, ["e2fsck", "-fp", file], environment)
            tool.run(["resize2fs", file], None, environment)
            _enlarge_journal(own.fileno(), file, tool, environment)
            os.ftruncate(own.fileno(), new_bytes)  # it ends with the file system, which may leave a rest
            place(own.fileno(), whole.fileno(), start, new_bytes, check=check)
    except (EngineError, Interrupted):
        raise
    except StalkerError as error:
        raise StalkerError(
            "the data partition of the base cannot be made larger",
            f"{error.brief}: {error.details}",
            "repair it (e2fsck -f), or take a base without a data partition",
        ) from error
    finally:
        part.unlink(missing_ok=True)
    return was_mended


def journal_growth(shape: Super, new_bytes: int) -> int:
    """Return by how many bytes a journal grows so that it is that of an ext4 made at `new_bytes`, 0 for none.

    One without a journal keeps having none, and one whose size the superblock does not have stays.
    """
    old = sum(count for _, count in shape.journal) * shape.block_bytes
    if not old or not shape.compatible & HAS_JOURNAL or new_bytes <= shape.size_bytes:
        return 0
    return max(journal_blocks(new_bytes // BLOCK) * BLOCK - old, 0)


def _enlarge_journal(part: int, file: str, tool: Tool, environment: Mapping[str, str]) -> None:
    """Make the journal again where it is that of a smaller file system. The file system is clean."""
    shape = find_super(lambda at, count: os.pread(part, count, at), 0)
    if shape is None:
        return
    size = journal_blocks(shape.size_bytes // BLOCK) * BLOCK
    old = sum(count for _, count in shape.journal) * shape.block_bytes
    # Content comes first: a full one keeps its journal.
    if not old or size <= old or shape.free_blocks * shape.block_bytes < 2 * size:
        return
    tool.run(["tune2fs", "-O", "^has_journal", file], None, environment)
    tool.run(["tune2fs", "-O", "has_journal", "-J", f"size={size >> 20}", file], None, environment)


def mended(tool: Tool, argv: Sequence[str], environment: Mapping[str, str]) -> bool:
    """Run a checker that puts right what is safe to put right; say whether it did. Raises StalkerError."""
    try:
        tool.run(argv, None, environment)
    except (EngineError, Interrupted):
        raise
    except StalkerError:
        tool.run(argv, None, environment, codes=(SOUND, MENDED))
        return True
    return False
