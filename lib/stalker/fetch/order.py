"""What a transfer is told: what to get, from whom, and how long to try."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from stalker.fetch.checksum import Checksum
from stalker.fetch.entry import Validators


@dataclass(frozen=True, slots=True)
class Patience:
    """How often and how long a server is waited for."""

    retries: int = 5
    timeout_s: float = 30.0
    pause: Callable[[float], object] | None = None
    """Waits; None: until the time is over or the transfer is stopped."""


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be had: its servers in order of preference, and what it must be.

    `known` is the version that is there already: nothing comes when the server has no other.
    `headers` go to the host of the first one alone, and credentials in them with no redirect to another.
    """

    urls: tuple[str, ...]
    sha256: str = ""
    checksum: Checksum | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    known: Validators | None = None

    @property
    def checksums(self) -> tuple[Checksum, ...]:
        """All that the content is held against."""
        own = (Checksum("sha256", self.sha256.lower()),) if self.sha256 else ()
        return (*own, self.checksum) if self.checksum else own
