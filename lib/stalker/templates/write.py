"""Write new files into a workspace: all of them or none, and never in place of one that is there."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from stalker.errors import PlanError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stalker.templates.files import NewFile

SHOWN_MAX = 10


def write_new(directory: str, files: Sequence[NewFile], *, besides: Sequence[str] = ()) -> None:
    """Write files below a directory, which is made where it is missing.

    Raises:
        PlanError: one of them, or of the paths `besides`, exists, or one cannot be written; then none is written.
    """
    paths = [*(file.path for file in files), *besides]
    present = [path for path in paths if os.path.lexists(os.path.join(directory, path))]  # noqa: PTH118
    if present:
        raise _already_there(directory, present)
    made: list[str] = []
    directories: list[str] = []
    try:
        for file in files:
            path = os.path.join(directory, file.path)  # noqa: PTH118
            _make_directories(os.path.dirname(path), directories)  # noqa: PTH120
            _write(path, file)
            made.append(path)
    except OSError as error:
        _undo(made, directories)
        if isinstance(error, FileExistsError):
            raise _already_there(directory, [str(error.filename)]) from error
        raise PlanError(
            f"{error.filename or directory} cannot be written",
            f"{(error.strerror or str(error)).lower()}; nothing was left behind",
        ) from error
    except BaseException:
        _undo(made, directories)
        raise


def _already_there(directory: str, present: list[str]) -> PlanError:
    more = f"\nand {len(present) - SHOWN_MAX} more" if len(present) > SHOWN_MAX else ""
    count = f"{len(present)} of the files exist" if len(present) > 1 else f"{present[0]} exists"
    return PlanError(
        f"{count} already in {directory}; nothing was written",
        "\n".join(present[:SHOWN_MAX]) + more if len(present) > 1 else "",
        "choose another directory or name, or move what is there away",
    )


def _make_directories(path: str, made: list[str]) -> None:
    """Make a directory with its parents, and note those that were missing."""
    if os.path.isdir(path):  # noqa: PTH112
        return
    _make_directories(os.path.dirname(path), made)  # noqa: PTH120
    os.mkdir(path)  # noqa: PTH102
    made.append(path)


def _write(path: str, file: NewFile) -> None:
    if file.link:
        os.symlink(file.link, path)  # noqa: PTH211
        return
    # O_EXCL: of two that write it at once, one fails
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, file.mode)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(file.content)
    except BaseException:
        os.unlink(path)  # noqa: PTH108
        raise


def _undo(made: list[str], directories: list[str]) -> None:
    for path in reversed(made):
        with contextlib.suppress(OSError):
            os.unlink(path)  # noqa: PTH108
    for path in reversed(directories):
        with contextlib.suppress(OSError):
            os.rmdir(path)  # noqa: PTH106
