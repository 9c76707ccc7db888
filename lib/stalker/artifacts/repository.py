"""A package repository as a directory on the host: the one tar that is unpacked, by rules of our own.

The directory is new and ours. Plain files and directories are made in it, links only to what is in it; no
owner, device, setuid bit or extended attribute of the archive counts. Each name is looked up from the
directory's own descriptor one part at a time, and no symbolic link is ever followed.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from stalker.errors import StalkerError
from stalker.formats.tar.header import PAX_GLOBAL, Header, number, plain
from stalker.formats.tar.stream import walk
from stalker.model.escaping import path_text
from stalker.rootfs.patterns import is_sparse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def unpack(chunks: Iterable[bytes | memoryview], folder: Path, on_bytes: Callable[[int], None]) -> int:
    """Unpack a tar into a new directory and return the number of files; all of it is on the disk then.

    Raises:
        StalkerError: it holds what a repository has not: devices, links that lead out, hostile names.
        InputError: the stream is not a tar or ends early. OSError: it could not be written.
    """
    folder.mkdir()
    root = os.open(folder, FOLDER)
    count = 0
    descriptor = -1
    links: list[tuple[bytes, bytes]] = []
    times: list[tuple[bytes, int]] = []
    try:
        for item in walk(chunks):
            if isinstance(item, memoryview):
                _write_all(descriptor, item)
                on_bytes(len(item))
                continue
            descriptor = _closed(descriptor)
            path = item.path
            if item.kind == PAX_GLOBAL or not path:
                continue
            _check(item, path)
            if item.is_folder:
                _make_folder(root, path)
            elif item.is_file:
                mode = 0o755 if item.mode & 0o100 else 0o644
                with _above(root, path) as (above, name):
                    descriptor = os.open(name, NEW_FILE, mode, dir_fd=above)
                count += 1
                times.append((path, number(item.block[136:148])))
            elif item.kind == b"2":
                links.append((path, item.link))
            else:
                _link(root, path, plain(item.link))
                count += 1
        descriptor = _closed(descriptor)
        # Links come last, so that nothing is ever looked up through one.
        for path, target in links:
            with _above(root, path) as (above, name):
                os.symlink(target, name, dir_fd=above)
        for path, mtime_s in times:
            with _above(root, path) as (above, name):
                os.utime(name, (mtime_s, mtime_s), dir_fd=above, follow_symlinks=False)
    finally:
        if descriptor >= 0:
            os.close(descriptor)
        os.close(root)
    return count


def _check(header: Header, path: bytes) -> None:
    """Raise StalkerError for what is not unpacked."""
    parts = path.split(b"/")
    if b".." in parts or b"" in parts or b"." in parts:
        raise _refused(path, "its name leads out of the folder")
    if is_sparse(header):
        raise _refused(path, "it is a sparse file")
    if header.kind == b"2" and not _stays_inside(parts[:-1], header.link):
        raise _refused(path, f"it is a link to {header.link.decode('utf-8', 'replace')}, out of the folder")
    if header.kind == b"1" and b".." in plain(header.link).split(b"/"):
        raise _refused(path, "it is a link out of the folder")
    if not (header.is_folder or header.is_file or header.kind in {b"1", b"2"}):
        raise _refused(path, "it is a device or a pipe")


def _stays_inside(above: list[bytes], link: bytes) -> bool:
    if link.startswith(b"/"):
        return False
    depth = len(above)
    for part in link.split(b"/"):
        depth += -1 if part == b".." else 0 if part in {b"", b"."} else 1
        if depth < 0:
            return False
    return True


def _refused(path: bytes, why: str) -> StalkerError:
    return StalkerError(
        f"{path_text(path)} cannot be published in a repository: {why}",
        "",
        "make plain files of it, or exclude it",
    )


@contextlib.contextmanager
def _above(root: int, path: bytes) -> Iterator[tuple[int, bytes]]:
    """Give the directory that a path is in, made if need be, and the path's last name."""
    *parts, name = path.split(b"/")
    with contextlib.ExitStack() as opened:
        at = root
        for part in parts:
            with contextlib.suppress(FileExistsError):
                os.mkdir(part, 0o755, dir_fd=at)
            at = os.open(part, FOLDER, dir_fd=at)
            opened.callback(os.close, at)
        yield at, name


def _make_folder(root: int, path: bytes) -> None:
    with _above(root, path) as (above, name), contextlib.suppress(FileExistsError):
        os.mkdir(name, 0o755, dir_fd=above)


def _link(root: int, path: bytes, target: bytes) -> None:
    with _above(root, path) as (above, name), _above(root, target) as (source, source_name):
        os.link(source_name, name, src_dir_fd=source, dst_dir_fd=above, follow_symlinks=False)


def _write_all(descriptor: int, data: memoryview) -> None:
    while len(data):
        data = data[os.write(descriptor, data) :]


def _closed(descriptor: int) -> int:
    """Bring a file to the disk and close it, if there is one; return that there is none."""
    if descriptor >= 0:
        os.fsync(descriptor)
        os.close(descriptor)
    return -1
