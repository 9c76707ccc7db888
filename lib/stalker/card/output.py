"""Publish a finished image at OUTPUT in one step; until then it grows in a directory of its own.

    .OUTPUT.<id>.creating/      next to OUTPUT, or in the build directory
        made-by-stalker         marks the directory as ours; locked while a process works in it
        disk.img                the image as it grows

What a killed creation leaves is removed by the next one for the same OUTPUT: only directories of that name, with
that file in it, that no process has locked.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import shutil
import signal
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from stalker.disk.edit.write_ahead import changes_of
from stalker.disk.inspect import manifest_beside
from stalker.disk.manifest import NAME as MANIFEST
from stalker.disk.manifest import beside
from stalker.errors import PlanError, StalkerError
from stalker.formats.bmap import find_map, map_names
from stalker.io.atomic import sync_path
from stalker.io.locks import lock, try_lock
from stalker.io.sparse import copy_image, nothing
from stalker.model.program import program

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from stalker.model.card import OutputFormat

_NO_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})
"""Errors of file systems where a file has one name only."""

MARK = "made-by-stalker"
IMAGE = "disk.img"

UNKNOWN = (".bz2", ".lz4", ".lzma", ".7z", ".rar", ".tar", ".tgz", ".iso", ".qcow2", ".vmdk")
"""Endings of what an image might be thought to become by its name alone."""

PACKED: dict[str, OutputFormat] = {
    ".img.zst": "img.zst",
    ".img.xz": "img.xz",
    ".img.gz": "img.gz",
    ".zip": "zip",
}
"""Ending of OUTPUT -> format; any other name is a raw image."""


@dataclass(frozen=True, slots=True)
class OutputPlan:
    """Where an image is published, links followed; how it is compressed; whether it may replace another file."""

    path: Path
    format: OutputFormat
    overwrites: bool


def check_output(output: Path, *, overwrites: bool, base: Path | None) -> Path:
    """Return OUTPUT as an absolute path with links followed, when an image may be written there.

    Raises:
        PlanError: a file is there and may not be replaced, or it is not a file, or the base itself.
    """
    target = Path(os.path.realpath(output))
    if base is not None and _is_same(target, base):
        raise PlanError(f"{output} is the base itself", "", "give the image another name")
    if not target.parent.is_dir():
        raise PlanError(f"there is no directory {target.parent}", "", f"mkdir -p {target.parent}")
    if target.is_dir():
        raise PlanError(f"{output} is a directory", "", "name a file in it")
    if not target.exists():
        described = (*companions(target), find_map(target))
        companion = next((one for one in described if one is not None and one.exists()), None)
        if companion is not None and not overwrites:
            raise PlanError(f"{companion} is there already", "it describes another image", "-X replaces it")
        return target
    if not target.is_file():
        raise PlanError(
            f"{output} is not a regular file",
            "",
            f"create a file, then write it onto a card: {program()} image write IMG DEVICE",
        )
    if not overwrites:
        raise PlanError(f"{output} is there already", "", "-X replaces it once the new one is finished")
    return target


def companions(output: Path) -> tuple[Path, Path]:
    """Return the paths of the manifest and the checksum file of an image."""
    return beside(output), output.with_name(f"{output.name}.sha256")


def remove_descriptions(image: Path, say: Callable[[str], None], *, rewritten: Collection[Path] = ()) -> None:
    """Remove what describes an image as it was: its block map, checksum file and manifest; report each.

    What is `rewritten` by the caller stays, and a manifest of several files, which is reported. Raises OSError.
    """
    described = [one for one in companions(image) if one.exists() and one not in rewritten]
    described += [one for one in map_names(image) if one.is_file()]
    for one in described:
        one.unlink()
        say(f"{one.name} was removed: it described {image.name} as it was")
    if rewritten:
        return
    if manifest_beside(image) is not None:
        say(f"{MANIFEST} still describes {image.name} as it was")


@contextlib.contextmanager
def working(
    output: Path, build_dir: Path | None, *, keeps: bool, say: Callable[[str], None]
) -> Iterator[Path]:
    """Make the directory in which the image grows, and remove it at the end.

    With `keeps` it stays after a failure, and its path is reported.

    Raises:
        StalkerError: no directory can be made there.
    """
    place = build_dir or output.parent
    directory = place / f".{output.name}.{secrets.token_hex(6)}.creating"
    try:
        place.mkdir(parents=True, exist_ok=True)
        mark = _made(directory)
    except OSError as error:
        raise StalkerError(
            f"nothing can be made in {place}: {error.strerror}",
            str(error),
            "correct its permissions, or --build-dir DIR",
        ) from error
    with mark:
        try:
            yield directory
        except BaseException:
            if keeps and any(path.name != MARK for path in directory.iterdir()):
                say(f"the incomplete image stays in {directory}")
                (directory / MARK).unlink()  # no later creation removes it now
            else:
                shutil.rmtree(directory, ignore_errors=True)
            raise
        shutil.rmtree(directory, ignore_errors=True)


def publish(
    made: Path,
    output: Path,
    on_bytes: Callable[[int], None],
    check: Callable[[], None],
    *,
    overwrites: bool = True,
    then: Callable[[], None] = nothing,
) -> None:
    """Put a finished file in the place of OUTPUT, written through to the disk; `then` is called at once after that.

    Signals wait for both.

    Raises:
        PlanError: another process created OUTPUT meanwhile, and nothing may be replaced.
        StalkerError: the disk is full or cannot be written; what was there stays.
    """
    temporary = output.with_name(f".{output.name}.{secrets.token_hex(6)}.part")
    try:
        made.chmod(0o666 & ~_umask())
        sync_path(made)
        if _device(made) != _device(output.parent):
            with temporary.open("xb") as target:
                copy_image(made, target, on_bytes, check)
                os.fsync(target.fileno())
            made = temporary
        check()
        with _undisturbed():
            _place(made, output, overwrites=overwrites)
            changes_of(output).unlink(missing_ok=True)  # of the file that was there
            sync_path(output.parent)
            then()
    except OSError as error:
        raise StalkerError(
            f"{output} could not be written: {error.strerror}",
            str(error),
            "free space, or correct the permissions there",
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


def _place(made: Path, output: Path, *, overwrites: bool) -> None:
    if overwrites:
        made.replace(output)
        return
    conflict = PlanError(
        f"{output} has come to be there since the image was begun",
        "it stays as it is, the new image is gone",
        "-X replaces it once the new one is finished",
    )
    try:
        os.link(made, output)
    except FileExistsError:
        raise conflict from None
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        if os.path.lexists(output):
            raise conflict from None
        made.replace(output)
    else:
        made.unlink()


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """Ignore signals that would stop the program: in a moment all is done."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    stops = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    was = {one: signal.signal(one, signal.SIG_IGN) for one in stops}
    try:
        yield
    finally:
        for one, handler in was.items():
            signal.signal(one, signal.SIG_DFL if handler is None else handler)


def format_of(output: Path) -> OutputFormat:
    """Return the format that a file's name requests."""
    name = output.name.lower()
    if name.endswith(UNKNOWN):
        raise PlanError(
            f"{output.name} is named as something that is not made here",
            "",
            f"name it .img, or one of {', '.join(PACKED)}",
        )
    return next((kind for ending, kind in PACKED.items() if name.endswith(ending)), "img")


def _made(directory: Path) -> IO[str]:
    """Sweep, then make the directory and lock its mark; no other process does either meanwhile."""
    place = os.open(directory.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        lock(place)
        _sweep(directory)
        directory.mkdir(mode=0o700)
        mark = (directory / MARK).open("w", encoding="utf-8")
        lock(mark)
        return mark
    finally:
        os.close(place)


def _sweep(mine: Path) -> None:
    """Remove what killed creations for the same OUTPUT left."""
    name = mine.name.rsplit(".", 2)[0]
    pattern = re.compile(rf"{re.escape(name)}\.[0-9a-f]{{12}}\.creating")
    for directory in mine.parent.iterdir():
        if not pattern.fullmatch(directory.name) or directory.is_symlink() or not directory.is_dir():
            continue
        try:
            mark = (directory / MARK).open("r+", encoding="utf-8")
        except OSError:
            continue
        with mark:
            if try_lock(mark):  # else it is in use
                shutil.rmtree(directory, ignore_errors=True)


def _device(path: Path) -> int:
    return path.stat().st_dev


def _is_same(one: Path, other: Path) -> bool:
    with contextlib.suppress(OSError):
        return one.samefile(other)
    return False


def _umask() -> int:
    """Return the umask; `os.umask` would change it for a moment, for all threads."""
    status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    return int(status.partition("\nUmask:")[2].split(maxsplit=1)[0], 8)
