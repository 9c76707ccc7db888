"""FAT file systems as others make, read and check them: mkfs.vfat, mtools, fsck.vfat."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from engines import has_to_be_there
from stalker.disk.edit.fat import FatEditor
from stalker.disk.edit.view import FileView
from stalker.formats.fs.entry import Entry
from unit.helpers.loops import blank

NOW_S = 1_700_000_000
"""2023-11-14 22:13:20 in UTC."""
SURROUNDINGS = {
    **os.environ,
    "PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin",
    "LC_ALL": "C.UTF-8",
    "TZ": "UTC",
    "MTOOLSRC": "/dev/null",
}
KIB = 1 << 10
MIB = 1 << 20
LARGE = {"fat32-5g": (5 << 30, ("-F32", "-s64"))}
SHAPES = {
    "fat12": (1 * MIB, ("-F12", "-s1")),
    "fat12-2k": (8 * MIB, ("-F12", "-s4")),
    "fat16": (4 * MIB, ("-F16", "-s1")),
    "fat16-8k": (40 * MIB, ("-F16", "-s16")),
    "fat16-sectors": (12 * MIB, ("-F16", "-S2048", "-s1")),
    "fat32": (40 * MIB, ("-F32", "-s1")),
    "fat32-4k": (280 * MIB, ("-F32", "-s8")),
    "fat32-sectors": (280 * MIB, ("-F32", "-S4096", "-s1")),
    "fat32-reserved": (40 * MIB, ("-F32", "-s1", "-R", "77")),
    "one-table": (4 * MIB, ("-F16", "-s1", "-f1")),
}
"""Sizes and arguments of mkfs.vfat: each has as many clusters as mtools asks of its kind."""


class Fat:
    """A FAT in an image, `start` bytes behind its beginning. What is free of it holds no zeros."""

    def __init__(self, path, shape="fat16", start=0, *more, litter=b"\xa5"):
        size_bytes, arguments = (SHAPES | LARGE)[shape]
        self.path, self.start, self.size_bytes = path, start, size_bytes
        alone = blank(
            path.with_suffix(".fat"), size_bytes, litter * 64 * KIB if size_bytes < 10 * MIB else b""
        )
        tool("mkfs.vfat", *arguments, *more, str(alone))
        blank(path, start)
        with path.open("r+b") as image, alone.open("rb") as made:
            image.seek(start)
            copied(made, image, size_bytes)
            image.truncate(start + size_bytes + 3 * KIB)
        alone.unlink()

    @property
    def drive(self):
        """The image as mtools want it."""
        return f"{self.path}@@{self.start}" if self.start else str(self.path)

    @contextlib.contextmanager
    def editor(self):
        descriptor = os.open(self.path, os.O_RDWR)
        try:
            yield FatEditor(FileView(descriptor), self.start, self.size_bytes, mtime_s=NOW_S)
        finally:
            os.close(descriptor)

    def put(self, files, *, finishes=True):
        """Put files, a mapping of paths to contents, None for a folder; return the ranges."""
        with self.editor() as editor:
            ranges = put(self.path, editor, files)
            if finishes:
                editor.finish()
        return ranges

    def fsck(self):
        """Return what fsck.vfat complains of, nothing when the file system is clean."""
        with tempfile.NamedTemporaryFile(dir=self.path.parent) as alone, self.path.open("rb") as image:
            image.seek(self.start)
            copied(image, alone, self.size_bytes)
            alone.flush()
            argv = ["fsck.vfat", "-n", alone.name]
            done = subprocess.run(argv, check=False, capture_output=True, text=True, env=SURROUNDINGS)
        return done.stdout + done.stderr if done.returncode else ""

    def tree(self):
        """Return all files and their contents as mtools read them, None for a folder."""
        with tempfile.TemporaryDirectory(dir=self.path.parent) as out:
            tool("mcopy", "-s", "-n", "-i", self.drive, "::", f"{out}/")
            found = {}
            for one in Path(out).rglob("*"):
                found["/" + str(one.relative_to(out))] = None if one.is_dir() else one.read_bytes()
        return found

    def listing(self, path="/"):
        return tool("mdir", "-a", "-i", self.drive, f"::{path}")

    def bytes(self):
        return self.path.read_bytes()

    def write(self, at, data):
        """Write bytes at a place of the file system."""
        with self.path.open("r+b") as image:
            image.seek(self.start + at)
            image.write(data)


def tool(name, *arguments, **more):
    if not shutil.which(name, path=SURROUNDINGS["PATH"]):
        has_to_be_there(f"{name} is not installed: apt-get install dosfstools mtools")
    done = subprocess.run([name, *arguments], check=False, capture_output=True, env=SURROUNDINGS, **more)
    assert not done.returncode, (name, arguments, done.stderr)
    return done.stdout.decode()


def put(path, editor, files, mtime_s=NOW_S):
    """Put files and write their bytes, as the filling does."""
    ranges = editor.put(entries(files, mtime_s))
    fill(path, ranges, files)
    return ranges


def entries(files, mtime_s=NOW_S):
    return [
        Entry(name, kind="folder", mtime_s=mtime_s)
        if data is None
        else Entry(name, size_bytes=len(data), mtime_s=mtime_s)
        for name, data in files.items()
    ]


def fill(path, ranges, files):
    with path.open("r+b") as image:
        for name, data in files.items():
            at = 0
            for start, length in ranges.get(name, ()):
                image.seek(start)
                image.write(data[at : at + length])
                at += length
            assert at == len(data or b"")


def copied(source, target, size_bytes):
    """Copy without the holes; both are at the right place."""
    begin, at = source.tell(), target.tell()
    target.truncate(at + size_bytes)
    here, end = begin, begin + size_bytes
    while here < end:
        try:
            data = os.lseek(source.fileno(), here, os.SEEK_DATA)
        except OSError:
            break
        here = min(os.lseek(source.fileno(), data, os.SEEK_HOLE), end)
        if data < here:
            os.pwrite(target.fileno(), os.pread(source.fileno(), here - data, data), at + data - begin)
