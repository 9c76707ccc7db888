"""Locks, digests and places of files that are fetched."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

from stalker.errors import InputError, Interrupted, NoRoom
from stalker.fetch.http.stop import Stop
from stalker.io.locks import lock_unless, try_lock
from stalker.io.progress import Say


def is_url(source: str) -> bool:
    """Return whether `source` has a scheme, `file://` included."""
    return "://" in source


def local_path(source: str, workspace: Path) -> Path | None:
    """Return the file that a path or `file://` URL names, None for a URL that needs a network.

    A relative path is relative to the workspace.
    """
    if not is_url(source):
        return workspace / Path(source).expanduser()
    parts = _parts(source)
    if parts.scheme.lower() == "file":
        return Path(unquote(parts.path))
    return None


def shown(url: str) -> str:
    """Return a URL as messages show it: without credentials and query."""
    if not is_url(url):
        return url
    parts = _parts(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def file_name(url: str) -> str:
    """Return the last part of a path or URL, as a plain file name."""
    path = unquote(_parts(url).path) if is_url(url) else url
    name = "".join(letter for letter in path.rstrip("/").rpartition("/")[2] if letter.isprintable())
    return name[-200:].lstrip(".").replace("/", "_").replace("\\", "_") or "download"


def old_path(cache_dir: Path, url: str) -> Path:
    """Return where a download of `url` stood before the cache had an index; it is taken over from there."""
    return cache_dir / "downloads" / hashlib.sha256(url.encode()).hexdigest() / file_name(url)


def digest_of(path: Path) -> str:
    """Return the SHA-256 (hex) of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def locked(path: Path, say: Say, what: str, stop: Stop | None = None) -> Iterator[None]:
    """Hold the lock `.<name>.lock` next to `path`: other threads and processes wait.

    The lock goes with its holder, however that one ends; the empty file stays, since removing it
    would let two hold it at once. Waiting for it ends with Interrupted once `stop` is set.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = path.with_name(f".{path.name}.lock").open("wb")
    except OSError as error:
        raise cannot_write(path.parent, error) from error
    with lock:
        if not try_lock(lock):
            say(f"waiting for another run that fetches {what}")
            if not lock_unless(lock, stop.is_set if stop else lambda: False):
                raise Interrupted("the download was stopped", "it waited for another run", "")
        yield


def cannot_write(folder: Path, error: OSError) -> NoRoom:
    """Return the error that names the directory which takes no more."""
    return NoRoom(
        f"{folder} cannot be written: {error.strerror or error}",
        str(error),
        "make room there or choose another cache folder, then run again",
    )


def _parts(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError as error:
        raise InputError("a URL cannot be read", str(error), "correct the URL") from error
