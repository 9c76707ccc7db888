"""What the cache knows of a download: where it came from, what it is, and when it was used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["file", "image"]
"""What was fetched: a file by its URL, or (a part of) a container image by its name."""

Key = tuple[str, str]
"""(kind, source): there is one entry for each."""


@dataclass(frozen=True, slots=True)
class Validators:
    """What a server said that tells one version of a file from another; empty where it said nothing."""

    etag: str = ""
    last_modified: str = ""
    length: int | None = None
    sha256: str = ""
    """Of a `Digest` or `Repr-Digest` header, of the server's or of a mirror that redirected (hex)."""

    def is_same(self, newer: Validators) -> bool:
        """Return whether a later answer is of the same version; an unknown version is another one.

        The first of digest, ETag, and length with date decides that both answers have. A weak ETag
        does here: it is the same file, if not the same bytes on the wire.
        """
        if self.sha256 and newer.sha256:
            return self.sha256 == newer.sha256
        if self.etag and newer.etag:
            return self.etag.removeprefix("W/") == newer.etag.removeprefix("W/")
        if not self.last_modified or self.length is None:
            return False
        return (self.last_modified, self.length) == (newer.last_modified, newer.length)

    def question(self) -> Mapping[str, str]:
        """Return the headers that ask for a newer version only (RFC 9110, 13.1)."""
        if self.etag:
            return {"If-None-Match": self.etag}
        return {"If-Modified-Since": self.last_modified} if self.last_modified else {}


@dataclass(frozen=True, slots=True)
class Entry:
    """A source and its content in the cache. Times are Unix times."""

    kind: str
    source: str
    sha256: str
    size_bytes: int
    added_s: float
    checked_s: float
    used_s: float
    used_count: int = 0
    validators: Validators = field(default_factory=Validators)

    @property
    def key(self) -> Key:
        """What no other entry has."""
        return self.kind, self.source
