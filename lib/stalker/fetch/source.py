"""Sources as a configuration names them, made into what the cache is asked for.

A checksum that is a URL is read there each time: one that is out of date would refuse what is right.
"""

from __future__ import annotations

import posixpath
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from stalker.errors import InputError
from stalker.fetch.cache.cache import Cache
from stalker.fetch.cache.request import Request
from stalker.fetch.http.stop import Stop
from stalker.fetch.metalink import MOST_BYTES, Metalink, is_metalink, parse_metalink, without_ending
from stalker.fetch.urls import local_path, shown
from stalker.io.hashing import ALGORITHMS, Checksum
from stalker.model.card import Digest

if TYPE_CHECKING:
    from stalker.model.card import Source

MOST_DIGEST_BYTES = 2048

_TAGGED = re.compile(r"\\?([A-Za-z0-9-]+) \((.*)\) ?= ?([0-9A-Fa-f]+)")
_PLAIN = re.compile(r"\\?([0-9A-Fa-f]+)(?:[ \t]+\*?(.*))?")


def request_of(source: Source, cache: Cache, *, stop: Stop | None = None) -> Request:
    """Return what the cache is to be asked for: with its checksum, and servers in order of preference.

    A checksum by URL is fetched, as is a metalink; what the latter stands for is cached under its own URL.

    Raises:
        InputError: one of them is not available or cannot be read.
    """
    name = posixpath.basename(unquote(urlsplit(without_ending(source.url)).path))
    checksum = None
    if source.digest is not None:
        digest = pinned(source.digest, cache, name=name, stop=stop)
        checksum = Checksum.of(digest.algorithm, digest.value)
    wanted = Request(source.url, mirrors=source.mirrors)
    if is_metalink(source.url) and local_path(source.url, Path()) is None:
        wanted = replace(wanted, source=without_ending(source.url))
        try:
            found = metalink_of(source.url, cache, stop=stop)
        except InputError:
            if cache.keeper.index.get(wanted.key) is None:
                raise
            # The cache itself warns that no server answers, and uses what it has.
        else:
            wanted = replace(wanted, urls=found.urls)
            checksum = checksum or found.checksum
    if checksum is None:
        return wanted
    if checksum.algorithm == "sha256":
        return replace(wanted, sha256=checksum.value)
    return replace(wanted, checksum=checksum)


def pinned(digest: Digest, cache: Cache, *, name: str = "", stop: Stop | None = None) -> Digest:
    """Return a digest as digits: as it is, or as the text at its URL begins.

    Of a list of several files the line for `name` counts, if there is one. Raises InputError.
    """
    if not digest.is_url:
        return digest
    local = local_path(digest.value, Path())
    if local is not None:
        try:
            with local.open("rb") as file:
                body = file.read(MOST_DIGEST_BYTES)
        except OSError as error:
            raise InputError(
                f"{local} cannot be read: {error.strerror}", "a checksum is to stand there", "check the path"
            ) from error
    else:
        anew = {"Cache-Control": "no-cache", "Pragma": "no-cache"}
        answer = cache.ask("GET", digest.value, headers=anew, most_bytes=MOST_DIGEST_BYTES, stop=stop)
        if answer.status != 200:
            raise InputError(
                f"{shown(digest.value)}: the server answers {answer.line}",
                f"the {digest.algorithm} of {name or 'a file'} is to stand there",
                "correct the URL of the checksum, or write its digits",
            )
        body = answer.body
    found = digest_in(body.decode("utf-8", "replace"), digest.algorithm, name)
    if not found:
        raise InputError(
            f"{shown(digest.value)} gives no {digest.algorithm}",
            f"it begins with {_first_words(body)!r}; {ALGORITHMS[digest.algorithm]} hexadecimal digits are "
            "expected",
            "correct the URL of the checksum, or the algorithm",
        )
    return Digest(digest.algorithm, found)


def digest_in(text: str, algorithm: str, name: str = "") -> str:
    """Return the digest in the lines of a checksum file, empty when there is none of that algorithm.

    Lines are as sha256sum writes them, or as `SHA256 (file) = digits`. The line for `name` counts; one that is
    alone, or has no name, does so too: a list that tells of other files tells nothing of this one.
    """
    found: list[tuple[str, str]] = []
    for line in text.splitlines():
        if tagged := _TAGGED.fullmatch(line.strip()):
            if tagged[1].lower().replace("-", "") != algorithm:
                continue
            value, of = tagged[3], tagged[2]
        elif plain := _PLAIN.fullmatch(line.strip()):
            value, of = plain[1], plain[2] or ""
        else:
            continue
        if len(value) == ALGORITHMS[algorithm]:
            found.append((value.lower(), posixpath.basename(of.strip())))
    named = [value for value, of in found if name and of == name]
    unnamed = [value for value, of in found if not of or len(found) == 1]
    return next(iter((*named, *unnamed)), "")


def metalink_of(url: str, cache: Cache, *, has_copy: bool = False, stop: Stop | None = None) -> Metalink:
    """Fetch a metalink and read it; asked for once where there is a copy of its file. Raises InputError."""
    answer = cache.ask("GET", url, most_bytes=MOST_BYTES, has_copy=has_copy, stop=stop)
    if answer.status != 200 or not answer.is_whole:
        said = f"the server answers {answer.line}" if answer.status != 200 else "it is too large"
        raise InputError(f"{shown(url)}: {said}", "it should be a metalink", "check the URL")
    return parse_metalink(answer.body, answer.url if is_metalink(answer.url) else url)


def _first_words(body: bytes) -> str:
    text = body[:60].decode("utf-8", "replace")
    return "".join(letter if letter.isprintable() else " " for letter in text).strip()
