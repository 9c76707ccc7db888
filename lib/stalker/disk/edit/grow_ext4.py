"""An ext4 of an image made larger, in a file of its own: resize2fs cuts an image off behind what it works on."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from stalker.errors import EngineError, Interrupted, StalkerError
from stalker.io.sparse import nothing, place

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

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

    The image has to be long enough already. `out` is its folder as the tools see it.

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
