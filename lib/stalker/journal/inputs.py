"""What the steps of earlier runs were made of, kept after their images are gone: `logs/inputs/<digest>`.

    <fingerprint>   the inputs that the fingerprint covers, field by field, as JSON
    <digest>        the text of a script or of a placed file, by the digest that the inputs have for it

Both names are SHA-256 of what they stand for, so a file never changes and many runs share it. Only the owner
reads them (mode 0600). Nothing is resumed from here; all of it may be deleted at any time.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

from stalker.io.atomic import write_file

if TYPE_CHECKING:
    from collections.abc import Mapping

INPUTS = "inputs"

TEXT_MAX_BYTES = 256 * 1024
"""Longer texts are not kept: a difference in them is shown by digest."""

_DIGEST = re.compile(r"[0-9a-f]{64}")


class InputStore:
    """The directory of inputs below the logs of a workspace."""

    def __init__(self, log_dir: str | Path) -> None:
        """Take the directory of all logs; nothing is made before something is kept."""
        self._directory = Path(log_dir) / INPUTS

    def keep_fields(self, fingerprint: str, fields: Mapping[str, str]) -> None:
        """Keep the inputs of a step. Raises OSError."""
        self._keep(fingerprint, json.dumps(dict(fields), sort_keys=True).encode())

    def keep_text(self, digest: str, content: bytes) -> None:
        """Keep a script or a placed file, unless it is long. Raises OSError."""
        if len(content) <= TEXT_MAX_BYTES:
            self._keep(digest, content)

    def fields(self, fingerprint: str) -> dict[str, str] | None:
        """Return the inputs of a step by its fingerprint, None when they were not kept."""
        content = self.text(fingerprint)
        if content is None:
            return None
        try:
            found = json.loads(content)
        except ValueError:
            return None
        return found if isinstance(found, dict) else None

    def text(self, digest: str) -> bytes | None:
        """Return what was kept under a digest, None when nothing was."""
        if not _DIGEST.fullmatch(digest):
            return None
        try:
            return (self._directory / digest).read_bytes()
        except OSError:
            return None

    def _keep(self, digest: str, content: bytes) -> None:
        path = self._directory / digest
        if not _DIGEST.fullmatch(digest) or path.exists():
            return
        self._directory.mkdir(parents=True, exist_ok=True)
        write_file(path, content, mode=0o600, durable=False)
