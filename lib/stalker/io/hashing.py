"""Checksums of other kinds than SHA-256, as publishers state them; all are taken in one pass."""

from __future__ import annotations

import hashlib
import re
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from stalker.errors import InputError, NotGenuine

CHUNK_BYTES = 1 << 20

ALGORITHMS = {
    "md5": 32,
    "sha1": 40,
    "sha224": 56,
    "sha256": 64,
    "sha384": 96,
    "sha512": 128,
    "adler32": 8,
}
"""Algorithm and its number of hexadecimal digits."""

EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()


@dataclass(frozen=True, slots=True)
class Checksum:
    """An algorithm and the value (hex, lower case) that content must have."""

    algorithm: str
    value: str

    @classmethod
    def of(cls, algorithm: str, value: str) -> Checksum:
        """Take a checksum as written: `SHA-256` is `sha256`. Raises InputError when it can be none."""
        name = algorithm.strip().lower().replace("-", "").replace("_", "")
        digits = value.strip().lower()
        if name not in ALGORITHMS:
            raise InputError(f"{algorithm!r} is not a known checksum", "", f"known: {', '.join(ALGORITHMS)}")
        if not re.fullmatch(rf"[0-9a-f]{{{ALGORITHMS[name]}}}", digits):
            raise InputError(
                f"{value!r} is not a valid {name}",
                f"it has {ALGORITHMS[name]} hexadecimal digits",
                "write the checksum that the publisher states",
            )
        return cls(name, digits)

    def __str__(self) -> str:
        return f"{self.algorithm} {self.value}"


class _Hash(Protocol):
    def update(self, data: bytes, /) -> None: ...

    def hexdigest(self) -> str: ...


class _Adler32:
    """zlib's running checksum in the shape of hashlib's."""

    def __init__(self) -> None:
        self._value = 1

    def update(self, data: bytes, /) -> None:
        self._value = zlib.adler32(data, self._value)

    def hexdigest(self) -> str:
        return f"{self._value:08x}"


class Digests:
    """SHA-256 of content as it passes by, and the other kinds that are asked for."""

    def __init__(self, checksums: Iterable[Checksum] = ()) -> None:
        self._wanted = tuple(checksums)
        self._hashes = {name: _new(name) for name in {"sha256", *(one.algorithm for one in self._wanted)}}

    def update(self, data: bytes) -> None:
        """Take the next bytes."""
        for one in self._hashes.values():
            one.update(data)

    @property
    def sha256(self) -> str:
        """SHA-256 (hex) of all that passed so far."""
        return self._hashes["sha256"].hexdigest()

    def wrong(self) -> tuple[Checksum, str] | None:
        """Return the first checksum that does not hold, and what was found; None when all hold."""
        for one in self._wanted:
            found = self._hashes[one.algorithm].hexdigest()
            if found != one.value:
                return one, found
        return None


def digests_of(path: Path, checksums: Iterable[Checksum] = ()) -> Digests:
    """Read a file once for all its checksums."""
    digests = Digests(checksums)
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digests.update(chunk)
    return digests


def _new(name: str) -> _Hash:
    return _Adler32() if name == "adler32" else hashlib.new(name, usedforsecurity=False)


def wrong_digest(what: str, expected: Checksum, found: str, *, by: str = "tree") -> NotGenuine:
    """Return the error that shows both digests."""
    name = "SHA-256" if expected.algorithm == "sha256" else expected.algorithm
    says = "than its server says" if by == "server" else "than the tree says"
    return NotGenuine(
        f"{what} has another {name} {says}",
        f"expected {expected.value}\nfound    {found}",
        "nothing was kept; correct the checksum only if its publisher states the one found",
    )
