"""The files of the cache, which are the truth about it.


    policy.yaml             the user's, if there is one
    index.sqlite3           entries with times and counts; made again from the files when it is broken
    content/ab/<sha256>     content under its own digest, read-only
    sources/<digest>.json   what is known of a source for good; its name is the digest of kind and source
    parts/.<digest>.part    downloads under way, or waiting to be continued
    locks/.<digest>.lock    empty; held (flock) by who fetches, and gone with him

Nothing else is ever removed or changed here. Content is held (flock, shared) by whoever reads it.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import BinaryIO

from stalker.fetch.entry import Entry, Key, Validators
from stalker.fetch.partial import sync_folder

_DIGEST = re.compile(r"[0-9a-f]{64}")
_PART = re.compile(r"\.(?:[0-9a-f]{64}\.part(?:\.json)?|passing-\w+)")


class Held:
    """Open content that nobody removes while it is held."""

    def __init__(self, file: BinaryIO, path: Path) -> None:
        self.file = file
        self.path = path

    @property
    def size_bytes(self) -> int:
        """Its size as it stands on the disk."""
        return os.fstat(self.file.fileno()).st_size

    def close(self) -> None:
        """Let go of it."""
        self.file.close()


class Store:
    """Places of the files below `root`, and how they come and go."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def content_path(self, sha256: str) -> Path:
        """Return where content of this digest stands."""
        return self.root / "content" / sha256[:2] / sha256

    def part_target(self, key: Key) -> Path:
        """Return the path whose `Partial` gathers a download."""
        return self.root / "parts" / _digest_of(key)

    def lock_path(self, key: Key) -> Path:
        """Return the path whose lock is held while a source, or content by its digest, is fetched."""
        return self.root / "locks" / _digest_of(key)

    def hold(self, sha256: str) -> Held | None:
        """Open content and hold it; None when it is not there. It may still be damaged."""
        path = self.content_path(sha256)
        while True:
            try:
                file = path.open("rb")
            except (FileNotFoundError, NotADirectoryError):
                return None
            try:
                fcntl.flock(file, fcntl.LOCK_SH)
                # Who removes it holds it alone: what was opened just before has no name any more.
                if os.fstat(file.fileno()).st_nlink:
                    return Held(file, path)
            except BaseException:
                file.close()
                raise
            file.close()

    def sync(self, file: Path) -> None:
        """Have a file's content on disk; done before others have to wait for it."""
        with file.open("rb") as opened:
            os.fsync(opened.fileno())

    def publish(self, file: Path, sha256: str) -> None:
        """Move a finished file that is on disk to its place."""
        target = self.content_path(sha256)
        file.chmod(0o444)
        target.parent.mkdir(parents=True, exist_ok=True)
        file.replace(target)
        sync_folder(target.parent)

    def note_source(self, entry: Entry) -> None:
        """Write down where content came from, for an index that has to be made again."""
        known = asdict(entry)
        for changing in ("checked_s", "used_s", "used_count"):
            del known[changing]
        path = self._source_path(entry.key)
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=".passing-", dir=path.parent)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                json.dump(known, file)
                file.flush()
                os.fsync(descriptor)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise

    def forget_source(self, key: Key) -> None:
        """Remove what is written down of a source."""
        self._source_path(key).unlink(missing_ok=True)

    def remove_content(self, sha256: str, *, only: Held | None = None) -> bool:
        """Remove content unless somebody holds it; say whether it is gone.

        With `only`, it is removed if it is still that very file, whoever holds it: it is damaged.
        """
        path = self.content_path(sha256)
        try:
            with path.open("rb") as file:
                if only is not None:
                    if not os.path.sameopenfile(file.fileno(), only.file.fileno()):
                        return False
                    path.unlink()
                    return True
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    return False
                path.unlink()
        except FileNotFoundError:
            return True
        with contextlib.suppress(OSError):
            path.parent.rmdir()
        return True

    def note_use(self, sha256: str, now_s: float) -> None:
        """Leave the time of the last use on the content, for an index that has to be made again."""
        with contextlib.suppress(OSError):
            os.utime(self.content_path(sha256), (now_s, now_s))

    def scan(self) -> Iterator[Entry]:
        """Give the entries that the files tell of, also of content whose source nobody knows."""
        sizes = dict(self._contents())
        sourced = set()
        for path in sorted((self.root / "sources").glob("*.json")):
            entry = _read_source(path)
            if entry is None or entry.sha256 not in sizes or self._source_path(entry.key) != path:
                continue
            size_bytes, used_s = sizes[entry.sha256]
            if size_bytes == entry.size_bytes:
                sourced.add(entry.sha256)
                yield Entry(
                    entry.kind,
                    entry.source,
                    entry.sha256,
                    size_bytes,
                    entry.added_s,
                    entry.added_s,
                    max(entry.added_s, used_s),
                    0,
                    entry.validators,
                )
        for sha256, (size_bytes, used_s) in sizes.items():
            if sha256 not in sourced:
                yield Entry("file", f"sha256:{sha256}", sha256, size_bytes, used_s, used_s, used_s)

    def parts(self) -> Iterator[tuple[Path, os.stat_result]]:
        """Give the files of downloads under way, and of notes that were not finished."""
        passing = (self.root / "sources").glob(".passing-*")
        for path in (*sorted((self.root / "parts").glob(".*")), *sorted(passing)):
            with contextlib.suppress(OSError):
                if _PART.fullmatch(path.name) and path.is_file():
                    yield path, path.stat()

    def _contents(self) -> Iterator[tuple[str, tuple[int, float]]]:
        for path in sorted((self.root / "content").glob("??/*")):
            if _DIGEST.fullmatch(path.name) and path.parent.name == path.name[:2]:
                with contextlib.suppress(OSError):
                    found = path.lstat()
                    if path.is_file() and not path.is_symlink():
                        yield path.name, (found.st_size, found.st_mtime)

    def _source_path(self, key: Key) -> Path:
        return self.root / "sources" / f"{_digest_of(key)}.json"


def _digest_of(key: Key) -> str:
    return hashlib.sha256(":".join(key).encode("utf-8", "surrogatepass")).hexdigest()


def _read_source(path: Path) -> Entry | None:
    try:
        known = json.loads(path.read_text("utf-8"))
        entry = Entry(
            str(known["kind"]),
            str(known["source"]),
            str(known["sha256"]),
            int(known["size_bytes"]),
            float(known["added_s"]),
            0.0,
            0.0,
            0,
            Validators(**known["validators"]),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return entry if entry.kind in {"file", "image"} and _DIGEST.fullmatch(entry.sha256) else None
