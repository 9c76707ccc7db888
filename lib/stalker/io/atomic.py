"""Files that take their place whole or not at all: temporary file, fsync, rename.

Until then a file has no name, so that neither a failure nor a kill leaves anything. Where the file system
has no such files it is `.NAME.<12 hex digits>.part`, next to its place. A device, a pipe or a terminal is
written to directly: to rename a file over `/dev/stdout` would replace the device.

The short way of a run with nothing to do imports this module, so it does without pathlib.
"""

# ruff: noqa: PTH104, PTH108, PTH116, PTH118, PTH119, PTH120, PTH211

from __future__ import annotations

import contextlib
import os
import stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO, Self

    StrPath = str | os.PathLike[str]

NAME_BYTES = 200
"""What a temporary name keeps of a name: a name has at most 255 bytes."""


class AtomicFile:
    """A file that is written now and gets its name with `publish`; `discard` it in any case.

    `mode` is what it gets, by default that of the file in its place, else 0666 less the umask. With
    `durable` its content is on the disk before its name is, and both are when `publish` returns.
    """

    def __init__(self, path: StrPath, *, mode: int | None = None, durable: bool = True) -> None:
        self._path = os.fspath(path)
        self._folder = os.path.dirname(self._path) or "."
        self._is_durable = durable
        self._temporary = _temporary(self._path)
        self._is_named = False
        present = _mode_of(self._path)
        self.is_direct = present is not None and not stat.S_ISREG(present) and not stat.S_ISDIR(present)
        """The path is a device, a pipe or a terminal."""
        self.descriptor = self._open()
        if mode is None and present is not None:
            mode = stat.S_IMODE(present)
        if mode is not None and not self.is_direct:
            with contextlib.suppress(OSError):  # a file system without modes, such as FAT
                os.fchmod(self.descriptor, mode)

    def publish(self) -> None:
        """Give the file its name, in place of what was there. Raises OSError: what was there stays."""
        if self.is_direct:
            return
        self._finish()
        os.rename(self._temporary, self._path)
        self._is_named = False
        if self._is_durable:
            sync_path(self._folder)

    def publish_first(self) -> None:
        """Give the file its name unless another file has it, which stays then. Raises OSError."""
        self._finish()
        with contextlib.suppress(FileExistsError):
            os.link(self._temporary, self._path)
        if self._is_durable:
            sync_path(self._folder)

    def discard(self) -> None:
        """Close the file; what was not published is removed."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1
        if self._is_named:
            self._is_named = False
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._temporary)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.discard()

    def _open(self) -> int:
        if self.is_direct:
            return os.open(self._path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            return os.open(self._folder, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o666)
        except OSError:
            flags = os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_RDWR | os.O_CLOEXEC
            descriptor = os.open(self._temporary, flags, 0o666)
            self._is_named = True
            return descriptor

    def _finish(self) -> None:
        if self._is_durable:
            os.fsync(self.descriptor)
        if not self._is_named:
            self._name_it()

    def _name_it(self) -> None:
        folder = os.open(self._folder, os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            # With a dir_fd Python calls linkat with AT_SYMLINK_FOLLOW, which /proc/self/fd needs.
            source = f"/proc/self/fd/{self.descriptor}"
            os.link(source, os.path.basename(self._temporary), src_dir_fd=folder, dst_dir_fd=folder)
        finally:
            os.close(folder)
        self._is_named = True


@contextlib.contextmanager
def replacing(path: StrPath, *, mode: int | None = None, durable: bool = True) -> Iterator[BinaryIO]:
    """Yield a stream whose content takes the place of `path` at the end, unless an error ends it.

    Raises:
        OSError: it could not be written; what was there stays.
    """
    with AtomicFile(path, mode=mode, durable=durable) as file:
        with open(file.descriptor, "wb", closefd=False) as stream:
            yield stream
        file.publish()


def write_file(path: StrPath, data: bytes | str, *, mode: int | None = None, durable: bool = True) -> None:
    """Write a file whole, in place of what was there; text is UTF-8. Raises OSError: what was there stays."""
    with replacing(path, mode=mode, durable=durable) as stream:
        stream.write(_encoded(data))


def create_file(path: StrPath, data: bytes | str, *, mode: int) -> None:
    """Write a file whole unless it is there; of several that create it at once, the first one's stays. Raises OSError."""
    with AtomicFile(path, mode=mode) as file:
        with open(file.descriptor, "wb", closefd=False) as stream:
            stream.write(_encoded(data))
        file.publish_first()


def move_file(source: StrPath, target: StrPath) -> None:
    """Move a finished file to its place on the same file system; content and name are on the disk then."""
    sync_path(source)
    os.rename(source, target)
    sync_path(os.path.dirname(os.fspath(target)) or ".")


def replace_link(link: StrPath, target: StrPath) -> None:
    """Make a symbolic link, in place of what has its name. Raises OSError: what was there stays."""
    new = _temporary(os.fspath(link))
    os.symlink(target, new)
    try:
        os.rename(new, link)
    except BaseException:
        os.unlink(new)
        raise


def sync_path(path: StrPath) -> None:
    """Write the content of a file, or the names in a directory, through to the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _encoded(data: bytes | str) -> bytes:
    return data.encode("utf-8", "surrogateescape") if isinstance(data, str) else data


def _temporary(path: str) -> str:
    """Return a name next to a path, for the time until the file there is whole; a long name is cut to fit."""
    folder, name = os.path.split(path)
    cut = os.fsdecode(os.fsencode(name)[:NAME_BYTES])
    return os.path.join(folder or ".", f".{cut}.{os.urandom(6).hex()}.part")


def _mode_of(path: str) -> int | None:
    try:
        return os.stat(path).st_mode
    except OSError:
        return None
