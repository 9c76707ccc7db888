"""A finished image takes the place of OUTPUT in one act; until then it grows in a folder of its own.

    .OUTPUT.<id>.creating/      beside OUTPUT, or in the build folder
        made-by-stalker         says that the folder is ours; locked while somebody works in it
        disk.img                the image as it grows

What a killed creation leaves is swept by the next one for the same OUTPUT: only folders of that name, with that
file in it, that nobody holds.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import secrets
import shutil
import signal
import threading
from pathlib import Path
from typing import IO, TYPE_CHECKING

from stalker.errors import PlanError, StalkerError
from stalker.image.edit.copying import copy_image, nothing
from stalker.image.edit.journaled import changes_of, sync_folder
from stalker.image.manifest import beside

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from stalker.model.creation import OutputFormat

_NO_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})
"""What is said by file systems where a file has one name only."""

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


def check_output(output: Path, *, overwrites: bool, base: Path | None) -> Path:
    """Return OUTPUT as an absolute path with links followed, when an image may come to stand there.

    Raises:
        PlanError: something stands there and may not be replaced, or it is no file, or the base itself.
    """
    target = Path(os.path.realpath(output))
    if base is not None and _is_same(target, base):
        raise PlanError(f"{output} is the base itself", "", "give the image another name")
    if not target.parent.is_dir():
        raise PlanError(f"there is no folder {target.parent}", "", f"mkdir -p {target.parent}")
    if target.is_dir():
        raise PlanError(f"{output} is a folder", "", "name a file in it")
    if not target.exists():
        told = next((one for one in companions(target) if one.exists()), None)
        if told is not None and not overwrites:
            raise PlanError(f"{told} is there already", "it tells of another image", "-X replaces it")
        return target
    if not target.is_file():
        raise PlanError(
            f"{output} is no ordinary file",
            "",
            "create a file, then write it onto a card: ./stalker image write IMG DEVICE",
        )
    if not overwrites:
        raise PlanError(f"{output} is there already", "", "-X replaces it once the new one is finished")
    return target


def companions(output: Path) -> tuple[Path, Path]:
    """Return where the manifest and the checksum of an image come to stand."""
    return beside(output), output.with_name(f"{output.name}.sha256")


@contextlib.contextmanager
def working(
    output: Path, build_dir: Path | None, *, keeps: bool, say: Callable[[str], None]
) -> Iterator[Path]:
    """Make the folder in which the image grows, and remove it at the end.

    With `keeps` it stays after a failure, and its path is said.

    Raises:
        StalkerError: no folder can be made there.
    """
    place = build_dir or output.parent
    folder = place / f".{output.name}.{secrets.token_hex(6)}.creating"
    try:
        place.mkdir(parents=True, exist_ok=True)
        mark = _made(folder)
    except OSError as error:
        raise StalkerError(
            f"nothing can be made in {place}: {error.strerror}",
            str(error),
            "mend its rights, or --build-dir DIR",
        ) from error
    with mark:
        try:
            yield folder
        except BaseException:
            if keeps and any(path.name != MARK for path in folder.iterdir()):
                say(f"what was made of it stays in {folder}")
                (folder / MARK).unlink()  # nobody sweeps it now
            else:
                shutil.rmtree(folder, ignore_errors=True)
            raise
        shutil.rmtree(folder, ignore_errors=True)


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
        PlanError: something has come to stand there, and nothing is to be replaced.
        StalkerError: the disk is full or cannot be written; what stood there stays.
    """
    passing = output.with_name(f".{output.name}.{secrets.token_hex(6)}.part")
    try:
        with made.open("rb") as source:
            os.fchmod(source.fileno(), 0o666 & ~_umask())
            os.fsync(source.fileno())
        if _device(made) != _device(output.parent):
            with passing.open("xb") as target:
                copy_image(made, target, on_bytes, check)
                os.fsync(target.fileno())
            made = passing
        check()
        with _undisturbed():
            _place(made, output, overwrites=overwrites)
            changes_of(output).unlink(missing_ok=True)  # of what stood there
            sync_folder(output.parent)
            then()
    except OSError as error:
        raise StalkerError(
            f"{output} could not be written: {error.strerror}",
            str(error),
            "make room, or mend the rights there",
        ) from error
    finally:
        passing.unlink(missing_ok=True)


def _place(made: Path, output: Path, *, overwrites: bool) -> None:
    if overwrites:
        made.replace(output)
        return
    there = PlanError(
        f"{output} has come to be there since the image was begun",
        "it stays as it is, the new image is gone",
        "-X replaces it once the new one is finished",
    )
    try:
        os.link(made, output)
    except FileExistsError:
        raise there from None
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        if os.path.lexists(output):
            raise there from None
        made.replace(output)
    else:
        made.unlink()


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """Let those who would stop us wait. What they said is forgotten then: it is done."""
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
    """Return the format that a file's name asks for."""
    name = output.name.lower()
    if name.endswith(UNKNOWN):
        raise PlanError(
            f"{output.name} is named as something that is not made here",
            "",
            f"name it .img, or one of {', '.join(PACKED)}",
        )
    return next((kind for ending, kind in PACKED.items() if name.endswith(ending)), "img")


def _made(folder: Path) -> IO[str]:
    """Sweep, then make the folder and hold its mark; nobody else sweeps or makes one there meanwhile."""
    place = os.open(folder.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(place, fcntl.LOCK_EX)
        _sweep(folder)
        folder.mkdir(mode=0o700)
        mark = (folder / MARK).open("w", encoding="utf-8")
        fcntl.flock(mark, fcntl.LOCK_EX)
        return mark
    finally:
        os.close(place)


def _sweep(mine: Path) -> None:
    """Remove what killed creations for the same OUTPUT left."""
    name = mine.name.rsplit(".", 2)[0]
    pattern = re.compile(rf"{re.escape(name)}\.[0-9a-f]{{12}}\.creating")
    for folder in mine.parent.iterdir():
        if not pattern.fullmatch(folder.name) or folder.is_symlink() or not folder.is_dir():
            continue
        try:
            mark = (folder / MARK).open("r+", encoding="utf-8")
        except OSError:
            continue
        with mark:
            try:
                fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                continue  # somebody works in it
            shutil.rmtree(folder, ignore_errors=True)


def _device(path: Path) -> int:
    return path.stat().st_dev


def _is_same(one: Path, other: Path) -> bool:
    with contextlib.suppress(OSError):
        return one.samefile(other)
    return False


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
