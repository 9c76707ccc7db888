"""The part of a download that is there already, and what is needed to go on from it.

Beside the target stand `.<name>.part` and `.<name>.part.json`; the latter says of which source, from
which server and of which version the bytes are. A part that cannot be continued safely is thrown away.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import BinaryIO

from stalker.fetch.cache.entry import Validators
from stalker.fetch.http.headers import strong_validator
from stalker.io.atomic import move_file


class Partial:
    """A growing file next to `target`. Not safe for two at once: hold the target's lock."""

    def __init__(self, target: Path, url: str) -> None:
        """Look at what an earlier attempt left; what belongs to another source is removed."""
        self.path = target.with_name(f".{target.name}.part")
        self._state_path = target.with_name(f".{target.name}.part.json")
        self._url = url
        self._server = ""
        self.validators = Validators()
        self.total_bytes: int | None = None
        self.is_glued = False
        """Return whether bytes of several answers are in it, so that they may be of different versions."""
        self._load()

    @property
    def size_bytes(self) -> int:
        """Bytes that are there."""
        try:
            return self.path.stat().st_size
        except FileNotFoundError:
            return 0

    def request_headers(self, url: str = "", *, is_pinned: bool = False) -> dict[str, str]:
        """Return the headers that ask `url` for the rest, empty when it must start over.

        If-Range makes the server send all of it when the file changed (RFC 9110, 13.1.5). Where the
        digest is known beforehand (`is_pinned`) another mirror may give the rest, or one that tells no
        versions: the digest tells whether the pieces fit.
        """
        if not self.size_bytes:
            return {}
        wanted = {"Range": f"bytes={self.size_bytes}-"}
        if is_pinned and url and url != self._server:
            return wanted
        validator = strong_validator(self.validators)
        if validator:
            return {**wanted, "If-Range": validator}
        return wanted if is_pinned else {}

    def begin(self, url: str, validators: Validators, total_bytes: int | None) -> None:
        """Start over with a new version of the file: note what it is of, then empty the part."""
        self.discard()
        self._server = url
        self.total_bytes = total_bytes
        self.validators = validators
        state = {
            "url": self._url,
            "server": url,
            "total_bytes": total_bytes,
            "validators": asdict(validators),
        }
        self._state_path.write_text(json.dumps(state))
        self.path.touch(mode=0o644)

    def open(self) -> BinaryIO:
        """Open the part for appending."""
        return self.path.open("ab")

    def publish(self, target: Path) -> None:
        """Give the part its final name, on disk before it is seen."""
        move_file(self.path, target)
        self._state_path.unlink(missing_ok=True)

    def discard(self) -> None:
        """Remove the part and what is known of it."""
        self.path.unlink(missing_ok=True)
        self._state_path.unlink(missing_ok=True)
        self.validators = Validators()
        self.total_bytes = None
        self.is_glued = False
        self._server = ""

    def keep_or_discard(self, *, is_pinned: bool = False) -> bool:
        """Keep the part for another run when it can be continued, and say whether it can."""
        if self.request_headers("another", is_pinned=is_pinned):
            return True
        self.discard()
        return False

    def _load(self) -> None:
        try:
            state = json.loads(self._state_path.read_text())
            total = state["total_bytes"]
            if state["url"] == self._url and (total is None or self.size_bytes <= total):
                self.validators = Validators(**state["validators"])
                self._server = str(state["server"])
                self.total_bytes = total
                self.is_glued = self.size_bytes > 0
                if total and self.size_bytes == total:
                    # All is there, but was not named: to ask for its last byte shows whether it is current.
                    os.truncate(self.path, total - 1)
                return
        except (OSError, ValueError, KeyError, TypeError):
            pass
        self.discard()
