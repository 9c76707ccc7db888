"""Downloads that end complete and verified, or leave nothing under the final name."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from stalker.errors import InputError
from stalker.fetch.files import (
    CHUNK_BYTES,
    NotGenuine,
    Progress,
    cannot_write,
    digest_of,
    file_name,
    local_path,
    locked,
    shown,
)
from stalker.fetch.partial import Partial

if TYPE_CHECKING:
    import httpx

MEGABYTE = 1_000_000
LONGEST_PAUSE_S = 60.0
_TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504, 507, 520, 521, 522, 523, 524})


class _TryAgain(Exception):
    """An attempt failed in a way that another one may not."""

    def __init__(self, reason: str, pause_s: float = 0.0) -> None:
        super().__init__(reason)
        self.pause_s = pause_s


def download(
    url: str,
    target: Path,
    *,
    sha256: str = "",
    progress: Progress = lambda _: None,
    retries: int = 5,
    timeout_s: float = 30.0,
    refresh: bool = False,
    pause: Callable[[float], None] = time.sleep,
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
            return _fetch(url, target, sha256, progress, retries, timeout_s, pause)
        except OSError as error:
            raise cannot_write(target.parent, error) from error


def new_client(timeout_s: float) -> httpx.Client:
    """Return an HTTP client that trusts the authorities of this system and follows redirects."""
    import httpx  # late: it takes a tenth of a second

    context = httpx.create_ssl_context()
    context.load_default_certs()
    return httpx.Client(follow_redirects=True, timeout=timeout_s, verify=context, max_redirects=10)


def _fetch(
    url: str,
    target: Path,
    sha256: str,
    progress: Progress,
    retries: int,
    timeout_s: float,
    pause: Callable[[float], None],
) -> str:
    part = Partial(target, url)
    progress(f"downloading {shown(url)}")
    was_continued = bool(part.request_headers())
    with new_client(timeout_s) as client:
        _gather(client, url, part, progress, retries, pause)
        digest = digest_of(part.path)
        if sha256 and digest != sha256.lower() and was_continued:
            # The old part may have been of another version under the same validator.
            part.discard()
            _gather(client, url, part, progress, retries, pause)
            digest = digest_of(part.path)
    if not part.size_bytes:
        part.discard()
        raise InputError(
            f"{shown(url)} is empty", "the server sent 0 bytes", "check the URL; nothing was kept"
        )
    if sha256 and digest != sha256.lower():
        part.discard()
        raise wrong_digest(shown(url), sha256, digest)
    part.publish(target)
    return digest


def wrong_digest(what: str, expected: str, found: str) -> NotGenuine:
    """Return the error that shows both digests."""
    return NotGenuine(
        f"{what} has another SHA-256 than the tree says",
        f"expected {expected.lower()}\nfound    {found}",
        "nothing was kept; correct the checksum only if its publisher states the one found",
    )


def _copy(path: Path, target: Path, sha256: str) -> str:
    """Take a local file under the rules of a download."""
    part = Partial(target, str(path))
    part.begin({}, None)
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
            raise wrong_digest(str(path), sha256, digest)
        part.publish(target)
    finally:
        part.discard()
    return digest


def _gather(
    client: httpx.Client,
    url: str,
    part: Partial,
    progress: Progress,
    retries: int,
    pause: Callable[[float], None],
) -> None:
    """Repeat attempts until the part is whole."""
    most_bytes = part.size_bytes
    failures = 0
    while True:
        try:
            _attempt(client, url, part, progress)
            return
        except _TryAgain as trouble:
            if part.size_bytes > most_bytes:
                most_bytes, failures = part.size_bytes, 0
            failures += 1
            if failures > retries:
                is_kept = part.keep_or_discard()
                raise InputError(
                    f"{shown(url)} could not be downloaded",
                    f"{trouble}; tried {failures} times in a row",
                    "check the network and the URL, then run again"
                    + ("; what came so far is kept and continued" if is_kept else ""),
                ) from trouble
            wait_s = min(max(2.0 ** (failures - 1), trouble.pause_s), LONGEST_PAUSE_S)
            progress(f"{file_name(url)}: {trouble}; again in {wait_s:.0f} s")
            pause(wait_s)


def _attempt(client: httpx.Client, url: str, part: Partial, progress: Progress) -> None:
    """Ask once, for the rest or for all of it. Raises _TryAgain when another attempt may do better."""
    import httpx  # late: it takes a tenth of a second

    # Bytes are taken as they travel, so that sizes and digests are those of the file itself.
    headers = {"Accept-Encoding": "identity", **part.request_headers()}
    try:
        with client.stream("GET", url, headers=headers) as response:
            _check_status(response, url, part, is_continued="Range" in headers)
            _receive(response, url, part, progress)
    except (httpx.UnsupportedProtocol, httpx.InvalidURL, httpx.TooManyRedirects) as error:
        raise InputError(f"{shown(url)} cannot be fetched", str(error), "check the URL") from error
    except httpx.TransportError as error:
        reason = str(error) or type(error).__name__
        if "CERTIFICATE_VERIFY_FAILED" in reason:
            raise InputError(
                f"{shown(url)}: the server's certificate is not trusted",
                reason,
                "check the clock and the system's certificates",
            ) from error
        raise _TryAgain(reason) from error
    if part.total_bytes is not None and part.size_bytes != part.total_bytes:
        raise _TryAgain(f"{part.size_bytes} of {part.total_bytes} bytes came")


def _check_status(response: httpx.Response, url: str, part: Partial, *, is_continued: bool) -> None:
    """Take the answer's head: the part is ready for its body afterwards."""
    status = response.status_code
    if status == 206 and is_continued:
        match = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("content-range", "").strip())
        if match is None or int(match[1]) != part.size_bytes:
            part.discard()
            raise _TryAgain("the server sent another range than asked for")
        if match[2] != "*":
            part.total_bytes = int(match[2])
    elif status == 200:
        length = response.headers.get("content-length", "")
        part.begin(response.headers, int(length) if length.isdigit() else None)
    elif status == 416 and is_continued:
        part.discard()
        raise _TryAgain("the server cannot continue what is there")
    elif status in _TRANSIENT:
        after = response.headers.get("retry-after", "")
        raise _TryAgain(f"the server answers {status}", float(after) if after.isdigit() else 0.0)
    else:
        raise InputError(
            f"{shown(url)}: the server answers {status} {response.reason_phrase}".rstrip(),
            f"asked for {shown(str(response.url))}",
            "check the URL; a file that is gone needs another source in the tree",
        )


def _receive(response: httpx.Response, url: str, part: Partial, progress: Progress) -> None:
    size, total = part.size_bytes, part.total_bytes
    free = shutil.disk_usage(part.path.parent).free
    if total is not None and total - size > free:
        part.discard()
        raise InputError(
            f"no room for {shown(url)}",
            f"{total - size} bytes are to come, {free} are free in {part.path.parent}",
            "make room there or choose another cache folder, then run again",
        )
    of_total = f" of {total / MEGABYTE:.0f}" if total is not None else ""
    told_at = time.monotonic()
    with part.open() as file:
        for chunk in response.iter_raw():
            file.write(chunk)
            size += len(chunk)
            if time.monotonic() - told_at >= 1:
                told_at = time.monotonic()
                progress(f"{file_name(url)}: {size / MEGABYTE:.0f}{of_total} MB")
