"""The entries of the cache: one JSON file for each source, the only place where its times and counts are.

    sources/<digest>.json   an entry; its name is the digest of kind and source
    locks/index.lock        held while entries change, and content with them

A file is replaced in one act, so reading needs no lock. One that cannot be read is not an entry: its content is
found again by its digest.
"""

# A listing opens each file; pathlib would double its time.
# ruff: noqa: PTH123, PTH208

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from stalker.fetch.cache.entry import Entry, Key, Validators
from stalker.io.atomic import write_file
from stalker.io.locks import locked_file

KINDS = frozenset({"file", "image"})
DIGEST = re.compile(r"[0-9a-f]{64}")


class Index:
    """Entries by their source. Any number of threads and processes may read and change them at once."""

    def __init__(self, root: Path) -> None:
        self._folder = root / "sources"
        self._lock = root / "locks" / "index.lock"

    def entries(self) -> list[Entry]:
        """Return all entries, in the order of their sources."""
        return sorted(self._matching(b""), key=lambda entry: (entry.source, entry.kind))

    def get(self, key: Key) -> Entry | None:
        """Return the entry of a source."""
        return _read(str(self.path(key)))

    def with_content(self, sha256: str) -> list[Entry]:
        """Return the entries of one content."""
        return [entry for entry in self._matching(sha256.encode()) if entry.sha256 == sha256]

    @contextlib.contextmanager
    def changing(self) -> Iterator[Change]:
        """Change entries, and files with them, while no other thread or process does."""
        with locked_file(self._lock):
            yield Change(self)

    def path(self, key: Key) -> Path:
        """Return where the entry of a source is."""
        return self._folder / f"{digest_of(key)}.json"

    def _matching(self, needle: bytes) -> Iterator[Entry]:
        """Yield the entries whose file contains `needle`; the others are not parsed."""
        folder = str(self._folder)
        try:
            names = os.listdir(folder)
        except OSError:
            return
        for name in names:
            if name.endswith(".json") and (entry := _read(f"{folder}/{name}", needle)):
                yield entry


class Change:
    """What can be done to entries within `Index.changing`. Raises OSError where the disk is full or broken.

    All entries are read at most once, for nothing else changes them meanwhile.
    """

    def __init__(self, index: Index) -> None:
        self._index = index
        self._entries: dict[Key, Entry] | None = None

    def entries(self) -> list[Entry]:
        """Return all entries as they are now."""
        return list(self._all().values())

    def get(self, key: Key) -> Entry | None:
        """Return the entry of a source as it is now."""
        return self._index.get(key) if self._entries is None else self._entries.get(key)

    def with_content(self, sha256: str) -> list[Entry]:
        """Return the entries of one content as they are now."""
        return [entry for entry in self._all().values() if entry.sha256 == sha256]

    def put(self, entry: Entry) -> None:
        """Add an entry, in place of the one of the same source."""
        path = self._index.path(entry.key)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_file(path, json.dumps(asdict(entry)), mode=0o600)  # URLs may hold credentials
        if self._entries is not None:
            self._entries[entry.key] = entry

    def remove(self, key: Key) -> None:
        """Remove the entry of a source."""
        self._index.path(key).unlink(missing_ok=True)
        if self._entries is not None:
            self._entries.pop(key, None)

    def note_use(self, key: Key, now_s: float) -> None:
        """Count a use."""
        if entry := self.get(key):
            self.put(replace(entry, used_s=now_s, used_count=entry.used_count + 1))

    def note_check(self, key: Key, now_s: float) -> None:
        """Note that the server had nothing newer."""
        if entry := self.get(key):
            self.put(replace(entry, checked_s=now_s))

    def _all(self) -> dict[Key, Entry]:
        if self._entries is None:
            self._entries = {entry.key: entry for entry in self._index.entries()}
        return self._entries


def digest_of(key: Key) -> str:
    """Return the name of a source, or of content, among the files of the cache."""
    return hashlib.sha256(":".join(key).encode("utf-8", "surrogatepass")).hexdigest()


def _read(path: str, needle: bytes = b"") -> Entry | None:
    """Return the entry in a file, None for a file that is missing, damaged or not ours."""
    try:
        with open(path, "rb", buffering=0) as file:
            data = file.readall()
        if needle not in data:
            return None
        entry = _entry(json.loads(data))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    is_ours = (
        entry.kind in KINDS
        and DIGEST.fullmatch(entry.sha256)
        and path.endswith(f"/{digest_of(entry.key)}.json")
    )
    return entry if is_ours else None


def _entry(known: Mapping[str, Any]) -> Entry:
    """Return an entry; notes of earlier versions had no time of the last check and of the last use."""
    added_s = float(known["added_s"])
    return Entry(
        str(known["kind"]),
        str(known["source"]),
        str(known["sha256"]),
        int(known["size_bytes"]),
        added_s,
        float(known.get("checked_s", added_s)),
        float(known.get("used_s", added_s)),
        int(known.get("used_count", 0)),
        Validators(**known["validators"]),
    )
