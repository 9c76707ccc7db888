"""One download into one file, by the transfer that the cache uses: what its tests call."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path

from stalker.errors import InputError
from stalker.fetch.http.client import new_client
from stalker.fetch.http.download import Order, Transfer
from stalker.fetch.http.partial_file import Partial
from stalker.fetch.http.patience import Patience
from stalker.fetch.urls import cannot_write, digest_of, file_name, local_path, locked, shown
from stalker.io.hashing import CHUNK_BYTES, Checksum, wrong_digest
from stalker.io.progress import Lines, Say, Task


def download(
    url: str,
    target: Path,
    *,
    sha256: str = "",
    progress: Say = lambda _: None,
    retries: int = 5,
    timeout_s: float = 30.0,
    refresh: bool = False,
    pause: Callable[[float], object] = time.sleep,
) -> str:
    """Get `url` (http, https, file, or a path) as the file `target`; return its SHA-256 (hex).

    A target that is there is taken as it is when its digest is `sha256`, or when none is asked for
    and `refresh` is not set. Bytes gather beside the target and get its name only when their count and
    digest are right. A part that a server let drop is continued, in this run or the next. Attempts
    that bring nothing new are repeated `retries` times, with pauses that double from one second.
    Downloads of one target wait for each other.

    Raises:
        InputError: it could not be had, or it is not what `sha256` says.
    """
    with locked(target, progress, file_name(url)):
        if target.exists() and not refresh:
            digest = digest_of(target)
            if not sha256 or digest == sha256.lower():
                return digest
            progress(f"{target.name} in the cache is damaged, fetching it again")
            target.unlink()
        try:
            path = local_path(url, Path())
            if path is not None:
                return _copy(path, target, sha256)
            part = Partial(target, url)
            progress(f"downloading {shown(url)}")
            task = Task(file_name(url), Lines(progress))
            patience = Patience(retries, timeout_s, pause)
            transfer = Transfer(Order((url,), sha256), part, say=progress, task=task, patience=patience)
            with new_client(timeout_s) as client:
                digest = transfer.run(client)
            part.publish(target)
            return digest
        except OSError as error:
            raise cannot_write(target.parent, error) from error


def _copy(path: Path, target: Path, sha256: str) -> str:
    """Take a local file under the rules of a download."""
    part = Partial(target, str(path))
    part.discard()
    try:
        try:
            source = path.open("rb")
        except OSError as error:
            raise InputError(
                f"{path} cannot be read: {error.strerror}", str(error), "check the path"
            ) from error
        with source, part.open() as file:
            shutil.copyfileobj(source, file, CHUNK_BYTES)
        if not part.size_bytes:
            raise InputError(f"{path} is empty", "it has 0 bytes", "check the path; nothing was kept")
        digest = digest_of(part.path)
        if sha256 and digest != sha256.lower():
            raise wrong_digest(str(path), Checksum("sha256", sha256.lower()), digest)
        part.publish(target)
    finally:
        part.discard()
    return digest
