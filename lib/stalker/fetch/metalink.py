"""Metalinks: small files that say where a large one is had, how large it is, and what its digests are.

Source: RFC 5854. A document type, and with it any entity, is refused: a metalink needs none.
"""

from __future__ import annotations

import posixpath
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit
from xml.parsers import expat

from stalker.errors import InputError
from stalker.fetch.urls import shown
from stalker.io.hashing import ALGORITHMS, Checksum

ENDING = ".meta4"
MOST_BYTES = 1 << 20

_SPACE = "urn:ietf:params:xml:ns:metalink"
_LAST = 999_999
_BEST = ("sha256", "sha512", "sha384", "sha224", "sha1", "md5", "adler32")


@dataclass(frozen=True, slots=True)
class Metalink:
    """What a metalink says of a file: `urls` best first, `checksum` by the best algorithm it has."""

    urls: tuple[str, ...]
    size_bytes: int | None = None
    checksum: Checksum | None = None


def is_metalink(url: str) -> bool:
    """Return whether a URL is that of a metalink."""
    return "://" in url and urlsplit(url).path.endswith(ENDING)


def without_ending(url: str) -> str:
    """Return the URL of the file that a metalink stands for: what it is called in the cache."""
    parts = urlsplit(url)
    return parts._replace(path=parts.path.removesuffix(ENDING)).geturl()


def parse_metalink(body: bytes, url: str) -> Metalink:
    """Read a metalink that came from `url`. Raises InputError."""
    reader = _Reader()
    try:
        reader.read(body)
    except (expat.ExpatError, ValueError) as error:
        raise InputError(f"{shown(url)} is not a metalink", str(error), "check the URL") from error
    wanted = posixpath.basename(unquote(urlsplit(without_ending(url)).path))
    named = [one for one in reader.files if one.name == wanted]
    if not named and len(reader.files) != 1:
        raise InputError(
            f"{shown(url)} does not tell of {wanted}",
            f"it is of {', '.join(one.name for one in reader.files) or 'no file'}",
            "name another URL",
        )
    found = (named or reader.files)[0]
    checksums = {one.algorithm: one for one in found.checksums}
    checksum = next((checksums[name] for name in _BEST if name in checksums), None)
    # Without a digest, what comes over http can be changed on its way, though the metalink could not.
    kinds = (
        ("https://",) if checksum is None and url.lower().startswith("https:") else ("https://", "http://")
    )
    urls = [one for _, one in sorted(found.urls, key=lambda pair: pair[0]) if one.lower().startswith(kinds)]
    if not urls:
        raise InputError(
            f"{shown(url)} names no server", "none for http or https that can be trusted", "name another URL"
        )
    return Metalink(tuple(dict.fromkeys(urls)), found.size_bytes, checksum)


@dataclass
class _File:
    name: str
    size_bytes: int | None = None
    urls: list[tuple[int, str]] = field(default_factory=list)
    checksums: list[Checksum] = field(default_factory=list)


class _Reader:
    def __init__(self) -> None:
        self.files: list[_File] = []
        self._path: list[str] = []
        self._text = ""
        self._given: dict[str, str] = {}

    def read(self, body: bytes) -> None:
        parser = expat.ParserCreate(namespace_separator=" ")
        parser.StartDoctypeDeclHandler = _refuse
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._hear
        parser.Parse(body, True)

    def _start(self, name: str, given: dict[str, str]) -> None:
        if not self._path and name != f"{_SPACE} metalink":
            raise ValueError("it is not of version 4")
        self._path.append(name.removeprefix(f"{_SPACE} "))
        self._text, self._given = "", given
        if self._path == ["metalink", "file"]:
            self.files.append(_File(given.get("name", "")))

    def _hear(self, text: str) -> None:
        self._text += text

    def _end(self, _: str) -> None:
        text, file = self._text.strip(), self.files[-1] if self.files else None
        match self._path:
            case ["metalink", "file", "url"] if file and text:
                told = self._given.get("priority", "")
                file.urls.append((int(told) if told.isdecimal() else _LAST, text))
            case ["metalink", "file", "size"] if file and text.isdecimal():
                file.size_bytes = int(text)
            case ["metalink", "file", "hash"] if file:
                algorithm = self._given.get("type", "").lower().replace("-", "")
                if algorithm in ALGORITHMS:
                    try:
                        file.checksums.append(Checksum.of(algorithm, text))
                    except InputError as error:
                        raise ValueError(error.brief) from error
        self._path.pop()
        self._text = ""


def _refuse(*_: object) -> None:
    raise ValueError("it has a document type, which no metalink needs")
