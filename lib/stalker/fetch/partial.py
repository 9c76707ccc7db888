"""The part of a download that is there already, and what is needed to go on from it.

Beside the target stand `.<name>.part` and `.<name>.part.json`; the latter says of which URL and which
version of it the bytes are. A part that cannot be continued safely is thrown away.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO


class Partial:
    """A growing file next to `target`. Not safe for two at once: hold the target's lock."""

    def __init__(self, target: Path, url: str) -> None:
        """Look at what an earlier attempt left; what belongs to another URL is removed."""
        self.path = target.with_name(f".{target.name}.part")
        self._state_path = target.with_name(f".{target.name}.part.json")
        self._url = url
        self._validator = ""
        self.total_bytes: int | None = None
        self._load()

    @property
    def size_bytes(self) -> int:
        """Bytes that are there."""
        try:
            return self.path.stat().st_size
        except FileNotFoundError:
            return 0

    def request_headers(self) -> dict[str, str]:
        """Return the headers that ask for the rest, empty when it must start over.

        If-Range makes the server send all of it when the file changed (RFC 9110, 13.1.5).
        """
        if not self._validator or not self.size_bytes:
            return {}
        return {"Range": f"bytes={self.size_bytes}-", "If-Range": self._validator}

    def begin(self, headers: Mapping[str, str], total_bytes: int | None) -> None:
        """Start over with a new version of the file: note its validator, then empty the part."""
        self.discard()
        self.total_bytes = total_bytes
        self._validator = _strong_validator(headers)
        state = {"url": self._url, "validator": self._validator, "total_bytes": total_bytes}
        self._state_path.write_text(json.dumps(state))
        self.path.touch(mode=0o644)

    def open(self) -> BinaryIO:
        """Open the part for appending."""
        return self.path.open("ab")

    def publish(self, target: Path) -> None:
        """Give the part its final name, on disk before it is seen."""
        with self.path.open("rb") as file:
            os.fsync(file.fileno())
        self.path.replace(target)
        self._state_path.unlink(missing_ok=True)
        folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def discard(self) -> None:
        """Remove the part and what is known of it."""
        self.path.unlink(missing_ok=True)
        self._state_path.unlink(missing_ok=True)
        self._validator = ""
        self.total_bytes = None

    def keep_or_discard(self) -> bool:
        """Keep the part for another run when it can be continued, and say whether it can."""
        if self.request_headers():
            return True
        self.discard()
        return False

    def _load(self) -> None:
        try:
            state = json.loads(self._state_path.read_text())
            if state["url"] == self._url and isinstance(state["validator"], str):
                self._validator = state["validator"]
                total = state["total_bytes"]
                self.total_bytes = total if isinstance(total, int) else None
                return
        except (OSError, ValueError, KeyError, TypeError):
            pass
        self.discard()


def _strong_validator(headers: Mapping[str, str]) -> str:
    """Return the ETag, else the date; a weak ETag says nothing about bytes."""
    etag = headers.get("etag", "")
    if etag and not etag.startswith("W/"):
        return etag
    return headers.get("last-modified", "")
