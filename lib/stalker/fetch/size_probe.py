"""How large what is to be fetched is, asked before anything is: packed, and unpacked where its ends tell."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import unquote, urlsplit

from stalker.errors import InputError, NotReached, as_one
from stalker.fetch.cache.cache import Cache
from stalker.fetch.cache.request import Request
from stalker.fetch.http.headers import sent_range
from stalker.fetch.http.request import Answer
from stalker.fetch.http.stop import Stop
from stalker.fetch.metalink import is_metalink, without_ending
from stalker.fetch.source import metalink_of
from stalker.fetch.urls import local_path, shown
from stalker.io.compression.size import Unpacked, unpacked_size
from stalker.model.card import Source

PACKED = (".xz", ".zst", ".gz", ".zip", ".txz", ".tzst", ".tgz")
_TAIL_BYTES = 1 << 15
"""So much of the end comes at once: the directory of a zip, or the index of an xz, is mostly in it."""


@dataclass(frozen=True, slots=True)
class RemoteSize:
    """The size of a source, None where it is not known.

    `unpacked_bytes` is set for what is packed and tells it; it may be more unless `is_unpacked_exact`.
    """

    size_bytes: int | None
    unpacked_bytes: int | None = None
    is_unpacked_exact: bool = False
    accepts_ranges: bool = False

    def with_unpacked(self, found: Unpacked | None) -> RemoteSize:
        """Return the same with what was found of its content."""
        if found is None:
            return self
        return replace(self, unpacked_bytes=found.size_bytes, is_unpacked_exact=found.is_exact)


@dataclass(frozen=True, slots=True)
class SizeAsked:
    """A source whose size is asked for.

    `is_packed` None is decided by its name; of a zip, `image_only` wants the size of the disk image in it.
    """

    source: Source
    is_packed: bool | None = None
    image_only: bool = False


def sizes_of(
    asked: Sequence[Source | SizeAsked], cache: Cache, *, concurrency: int = 5, stop: Stop | None = None
) -> list[RemoteSize]:
    """Return the sizes of several sources, `concurrency` of them asked for at a time.

    Raises:
        InputError: one of them is missing; the details name all of them.
    """
    stop = stop or Stop()
    questions = [one if isinstance(one, SizeAsked) else SizeAsked(one) for one in asked]
    failures: list[InputError] = []

    def one(question: SizeAsked) -> RemoteSize:
        try:
            return size_of(question, cache, stop=stop)
        except InputError as error:
            failures.append(error)
            return RemoteSize(None)

    distinct = list(dict.fromkeys(questions))
    with ThreadPoolExecutor(max(1, concurrency), "sizes") as pool:
        try:
            found = dict(zip(distinct, pool.map(one, distinct), strict=True))
        except BaseException:
            stop.set()
            raise
    if failures:
        raise as_one(failures, f"{len(failures)} of {len(distinct)} sources are not available")
    return [found[question] for question in questions]


def size_of(asked: Source | SizeAsked, cache: Cache, *, stop: Stop | None = None) -> RemoteSize:
    """Return the size of a source; what the cache has and the policy calls fresh is not asked for.

    Raises:
        InputError: no server has it.
    """
    question = asked if isinstance(asked, SizeAsked) else SizeAsked(asked)
    source = question.source
    local = local_path(source.url, Path())
    if local is not None:
        return _size_of_file(local, question)
    is_meta = is_metalink(source.url)
    digest = source.digest
    sha256 = digest.value if digest and not digest.is_url and digest.algorithm == "sha256" else ""
    wanted = Request(without_ending(source.url) if is_meta else source.url, sha256=sha256)
    if there := _size_at_hand(wanted, cache, question, is_stale_too=False):
        return there
    stale = _size_at_hand(wanted, cache, question, is_stale_too=True)
    server = _Server(cache, stop, has_copy=stale is not None)
    try:
        if is_meta:
            found = metalink_of(source.url, cache, has_copy=server.has_copy, stop=stop)
            size, urls = RemoteSize(found.size_bytes, accepts_ranges=True), found.urls
            if found.size_bytes is not None and not _is_packed(question):
                return size
        else:
            urls = wanted.servers
        return _ask_any((*urls, *source.mirrors), question, server)
    except NotReached:
        if stale is None:
            raise
        return stale


def _size_of_file(path: Path, question: SizeAsked) -> RemoteSize:
    try:
        with path.open("rb") as file:
            size = path.stat().st_size

            def read(at: int, count: int) -> bytes:
                file.seek(at)
                return file.read(count)

            found = RemoteSize(size, accepts_ranges=True)
            if not _is_packed(question):
                return found
            return found.with_unpacked(unpacked_size(size, read, image_only=question.image_only))
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}", str(error), "check the path") from error


def _size_at_hand(
    wanted: Request, cache: Cache, question: SizeAsked, *, is_stale_too: bool
) -> RemoteSize | None:
    held = cache.keeper.peek(wanted, is_stale_too=is_stale_too)
    if held is None:
        return None
    try:
        return _size_of_file(held.path, question)
    finally:
        held.close()


@dataclass(frozen=True, slots=True)
class _Server:
    """Answers small questions; where there is a copy in the cache, a server that is silent is asked once."""

    cache: Cache
    stop: Stop | None
    has_copy: bool

    def ask(
        self, method: str, url: str, *, headers: Mapping[str, str] | None = None, most_bytes: int = 0
    ) -> Answer:
        return self.cache.ask(
            method, url, headers=headers, most_bytes=most_bytes, has_copy=self.has_copy, stop=self.stop
        )


def _ask_any(urls: Sequence[str], question: SizeAsked, server: _Server) -> RemoteSize:
    """Ask servers in turn until one has it."""
    failures: list[InputError] = []
    for url in dict.fromkeys(urls):
        try:
            size = _ask_one(url, server)
            if size.size_bytes and size.accepts_ranges and _is_packed(question):
                reader = _Ranges(url, size.size_bytes, server)
                size = size.with_unpacked(
                    unpacked_size(size.size_bytes, reader.read, image_only=question.image_only)
                )
            return size
        except _NoRanges as trouble:
            return trouble.size
        except InputError as error:
            failures.append(error)
    if len(failures) == 1:
        raise failures[0]
    kind = NotReached if all(isinstance(one, NotReached) for one in failures) else InputError
    raise kind(
        f"{shown(urls[0])} is not available, nor at its mirrors",
        "\n".join(f"{one.brief}: {one.details}".rstrip(": ") for one in failures),
        failures[0].resolution,
    )


def _ask_one(url: str, server: _Server) -> RemoteSize:
    """Ask one server for the head, and where that does not do for the first byte."""
    head = server.ask("HEAD", url)
    length = _length(head)
    if head.status == 200 and length and head.headers.get("accept-ranges", "").strip() == "bytes":
        return RemoteSize(length, accepts_ranges=True)
    # Some refuse HEAD, and some answer it with the length of another page, or of none.
    first = server.ask("GET", url, headers={"Range": "bytes=0-0"}, most_bytes=1)
    if first.status == 206 and (sent := sent_range(first.headers)):
        return RemoteSize(sent[1], accepts_ranges=True)
    if first.status == 200:
        return RemoteSize(_length(first))
    if first.status == 416 and first.headers.get("content-range", "").strip() == "bytes */0":
        return RemoteSize(0)
    kind = NotReached if first.status in {408, 429} or first.status >= 500 else InputError
    raise kind(
        f"{shown(url)}: the server answers {first.line}",
        f"asked for {shown(first.url)}" if first.url != url else "",
        "check the URL" if kind is InputError else "run again later",
    )


class _NoRanges(Exception):
    """A server gives no parts after all; `size` is what is known."""

    def __init__(self, size: RemoteSize) -> None:
        super().__init__()
        self.size = size


class _Ranges:
    """Bytes of a file on a server; its end is fetched once."""

    def __init__(self, url: str, size_bytes: int, server: _Server) -> None:
        self._url = url
        self._size = size_bytes
        self._server = server
        self._tail_at = size_bytes
        self._tail = b""

    def read(self, at: int, count: int) -> bytes:
        """Return some bytes."""
        end = min(at + count, self._size)
        if at < 0 or end <= at:
            return b""
        if at < self._tail_at and at >= self._size - _TAIL_BYTES:
            self._tail_at = max(0, self._size - _TAIL_BYTES)
            self._tail = self._ask(self._tail_at, self._size - self._tail_at)
        if at >= self._tail_at:
            return self._tail[at - self._tail_at : end - self._tail_at]
        return self._ask(at, end - at)

    def _ask(self, at: int, count: int) -> bytes:
        wanted = {"Range": f"bytes={at}-{at + count - 1}"}
        answer = self._server.ask("GET", self._url, headers=wanted, most_bytes=count)
        sent = sent_range(answer.headers) if answer.status == 206 else None
        if sent is None or sent[0] != at or len(answer.body) != count:
            length = _length(answer) if answer.status == 200 else self._size
            raise _NoRanges(RemoteSize(length))
        if sent[1] not in {None, self._size}:
            raise _NoRanges(RemoteSize(sent[1], accepts_ranges=True))
        return answer.body


def _length(answer: Answer) -> int | None:
    """Return how long a body is as it is on the server, None when that is not declared."""
    if answer.headers.get("content-encoding", "identity") not in {"", "identity"}:
        return None
    text = answer.headers.get("content-length", "")
    return int(text) if text.isdecimal() else None


def _is_packed(question: SizeAsked) -> bool:
    if question.is_packed is not None:
        return question.is_packed
    path = unquote(urlsplit(without_ending(question.source.url)).path)
    return posixpath.basename(path).lower().endswith(PACKED)
