"""The files of the cache, which are all that it knows.

    policy.yaml             the user's, if there is one
    content/ab/<sha256>     content under its own digest, read-only
    sources/<digest>.json   an entry: where content came from, and when it was used (`index.py`)
    parts/.<digest>.part    downloads under way, or waiting to be continued
    locks/.<digest>.lock    empty; held (flock) by who fetches, and gone with him

Nothing else is ever removed or changed here. Content is held (flock, shared) while it is read.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from stalker.fetch.cache.entry import Key
from stalker.fetch.cache.index import DIGEST, digest_of
from stalker.io.atomic import sync_path
from stalker.io.locks import lock, try_lock

_PART = re.compile(r"\.(?:[0-9a-f]{64}\.(?:part(?:\.json)?|json\.[0-9a-f]{12}\.part)|passing-\w+)")


class Held:
    """Open content that is not removed while it is held."""

    def __init__(self, file: BinaryIO, path: Path) -> None:
        self.file = file
        self.path = path

    @property
    def size_bytes(self) -> int:
        """Its size as it is on the disk."""
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
        return self.root / "parts" / digest_of(key)

    def lock_path(self, key: Key) -> Path:
        """Return the path whose lock is held while a source, or content by its digest, is fetched."""
        return self.root / "locks" / digest_of(key)

    def hold(self, sha256: str) -> Held | None:
        """Open content and hold it; None when it is not there. It may still be damaged."""
        path = self.content_path(sha256)
        while True:
            try:
                file = path.open("rb")
            except (FileNotFoundError, NotADirectoryError):
                return None
            try:
                lock(file, shared=True)
                # Who removes it holds it alone: what was opened just before has no name any more.
                if os.fstat(file.fileno()).st_nlink:
                    return Held(file, path)
            except BaseException:
                file.close()
                raise
            file.close()

    def sync(self, file: Path) -> None:
        """Have a file's content on disk; done before others have to wait for it."""
        sync_path(file)

    def publish(self, file: Path, sha256: str) -> None:
        """Move a finished file that is on disk to its place."""
        target = self.content_path(sha256)
        file.chmod(0o444)
        target.parent.mkdir(parents=True, exist_ok=True)
        file.replace(target)
        sync_path(target.parent)

    def remove_content(self, sha256: str, *, only: Held | None = None) -> bool:
        """Remove content unless it is held; return whether it was removed.

        With `only`, it is removed if it is still that very file, even if it is held: it is damaged.
        """
        path = self.content_path(sha256)
        try:
            with path.open("rb") as file:
                if only is not None:
                    if not os.path.sameopenfile(file.fileno(), only.file.fileno()):
                        return False
                    path.unlink()
                    return True
                if not try_lock(file):
                    return False
                path.unlink()
        except FileNotFoundError:
            return True
        with contextlib.suppress(OSError):
            path.parent.rmdir()
        return True

    def parts(self) -> Iterator[tuple[Path, os.stat_result]]:
        """Give the files of downloads under way, and of entries that were not finished."""
        unfinished = (self.root / "sources").glob(".*")
        for path in (*sorted((self.root / "parts").glob(".*")), *sorted(unfinished)):
            with contextlib.suppress(OSError):
                if _PART.fullmatch(path.name) and path.is_file():
                    yield path, path.stat()

    def contents(self) -> Iterator[tuple[str, os.stat_result]]:
        """Give all content by its digest, also what has no entry."""
        for path in sorted((self.root / "content").glob("??/*")):
            if DIGEST.fullmatch(path.name) and path.parent.name == path.name[:2]:
                with contextlib.suppress(OSError):
                    found = path.lstat()
                    if stat.S_ISREG(found.st_mode):
                        yield path.name, found
