"""What is asked of the cache, and what it gives."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Self

from stalker.errors import NotGenuine
from stalker.fetch.cache.entry import Key, Kind
from stalker.fetch.cache.store import Held
from stalker.io.hashing import CHUNK_BYTES, Checksum, Digests

Use = Literal["policy", "any", "again"]
"""What is there already is taken when it is as fresh as the policy asks, whatever its age, or never."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request to the cache: for a URL, or for a container image by its name.

    `source` names it in the cache and in the policy's patterns, and is its URL unless `urls` gives others.
    `mirrors` are tried after it. Content with a known `sha256` is taken wherever it came from; it needs no
    server once it is there.
    """

    source: str
    kind: Kind = "file"
    sha256: str = ""
    checksum: Checksum | None = None
    urls: tuple[str, ...] = ()
    mirrors: tuple[str, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    use: Use = "policy"

    @property
    def key(self) -> Key:
        """What it is in the cache."""
        return self.kind, self.source

    @property
    def servers(self) -> tuple[str, ...]:
        """All URLs, each once, best first."""
        return tuple(dict.fromkeys((*(self.urls or (self.source,)), *self.mirrors)))

    @property
    def checksums(self) -> tuple[Checksum, ...]:
        """All that content is checked against."""
        own = (Checksum("sha256", self.sha256.lower()),) if self.sha256 else ()
        return (*own, self.checksum) if self.checksum else own


class Fetched:
    """A file that is there, whole and right, until it is closed."""

    def __init__(
        self,
        path: Path,
        sha256: str,
        size_bytes: int,
        *,
        is_cached: bool,
        held: Held | None = None,
        passing: Path | None = None,
    ) -> None:
        self.path = path
        self.sha256 = sha256
        self.size_bytes = size_bytes
        self.is_cached = is_cached
        """Return whether it is in the cache; else it is gone once closed, or the user's own file."""
        self._held = held
        self._passing = passing

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of it; what the cache does not keep is removed."""
        if self._held is not None:
            self._held.close()
        if self._passing is not None:
            with contextlib.suppress(OSError):
                self._passing.unlink(missing_ok=True)

    def chunks(self) -> Iterator[bytes]:
        """Yield its bytes, counted on the way. Raises NotGenuine behind the last when they changed."""
        digests = Digests()
        with self.path.open("rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                digests.update(chunk)
                yield chunk
        if digests.sha256 != self.sha256:
            raise NotGenuine(
                f"{self.path.name} changed while it was read",
                f"verified {self.sha256}\nread     {digests.sha256}",
                "run again",
            )
