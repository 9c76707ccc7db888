"""The index of the cache in SQLite: entries with their times and counts.

The files of the cache are the truth. An index that is broken, of another version or gone is made again
from them; the old one is set aside under `index.sqlite3.aside`. Each operation opens it, under a lock
that goes with its process, so nobody writes into an index that another one has just replaced.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from stalker.fetch.entry import Entry, Key, Validators

if TYPE_CHECKING:
    import sqlite3

VERSION = 1
FILE_NAME = "index.sqlite3"

_SCHEMA = f"""
CREATE TABLE entries (
    kind TEXT NOT NULL, source TEXT NOT NULL, sha256 TEXT NOT NULL, size_bytes INTEGER NOT NULL,
    added_s REAL NOT NULL, checked_s REAL NOT NULL, used_s REAL NOT NULL, used_count INTEGER NOT NULL,
    etag TEXT NOT NULL, last_modified TEXT NOT NULL, length INTEGER, told_sha256 TEXT NOT NULL,
    PRIMARY KEY (kind, source)
);
CREATE INDEX by_sha256 ON entries (sha256);
PRAGMA user_version = {VERSION};
"""
_ALL = "SELECT * FROM entries ORDER BY source, kind"
_OF_SOURCE = "SELECT * FROM entries WHERE kind = ? AND source = ?"
_OF_CONTENT = "SELECT * FROM entries WHERE sha256 = ?"


class IndexTrouble(OSError):
    """The index cannot be read or written now, though it may be as good as ever."""


class _Unusable(Exception):
    """The index is not there, broken, or of another version."""


class Index:
    """Entries by their source; `recover` gives those that the files tell of."""

    def __init__(self, root: Path, recover: Callable[[], Iterable[Entry]]) -> None:
        self._root = root
        self._path = root / FILE_NAME
        self._recover = recover

    def entries(self) -> list[Entry]:
        """Return all entries."""
        return self._read(_ALL, ())

    def get(self, key: Key) -> Entry | None:
        """Return the entry of a source."""
        found = self._read(_OF_SOURCE, key)
        return found[0] if found else None

    def with_content(self, sha256: str) -> list[Entry]:
        """Return the entries of one content."""
        return self._read(_OF_CONTENT, (sha256,))

    @contextlib.contextmanager
    def changing(self) -> Iterator[Change]:
        """Change entries, alone: all of it or nothing comes to pass. Files may be changed alongside."""
        import sqlite3  # late: a run that needs nothing from the cache does not pay for it

        with self._locked(fcntl.LOCK_EX):
            try:
                connection = self._open()
            except (_Unusable, sqlite3.DatabaseError) as error:
                _check_passing(error)
                self._rebuild()
                connection = self._open()
            try:
                with contextlib.closing(connection), connection:
                    connection.execute("BEGIN IMMEDIATE")
                    yield Change(connection)
            except sqlite3.DatabaseError as error:
                _check_passing(error)
                self._rebuild()
                raise IndexTrouble(errno.EIO, f"the index was broken: {error}") from error

    def check(self) -> bool:
        """Look through the whole index; make it again when it is broken, and say whether it was."""
        import sqlite3

        with self._locked(fcntl.LOCK_EX):
            try:
                with contextlib.closing(self._open()) as connection:
                    if connection.execute("PRAGMA quick_check").fetchone() == ("ok",):
                        return False
            except (_Unusable, sqlite3.DatabaseError) as error:
                _check_passing(error)
            self._rebuild()
            return True

    def _read(self, query: str, values: Sequence[str]) -> list[Entry]:
        if not self._path.exists() and not (self._root / "sources").is_dir():
            return []
        import sqlite3  # late: looking into an empty cache does not pay for it

        try:
            with self._locked(fcntl.LOCK_SH), contextlib.closing(self._open()) as connection:
                return [_entry(row) for row in connection.execute(query, values)]
        except (_Unusable, sqlite3.DatabaseError) as error:
            _check_passing(error)
        with self._locked(fcntl.LOCK_EX):
            with (
                contextlib.suppress(_Unusable, sqlite3.DatabaseError),
                contextlib.closing(self._open()) as connection,
            ):
                # Another one may have made it again meanwhile.
                return [_entry(row) for row in connection.execute(query, values)]
            self._rebuild()
            with contextlib.closing(self._open()) as connection:
                return [_entry(row) for row in connection.execute(query, values)]

    def _open(self) -> sqlite3.Connection:
        import sqlite3

        if not self._path.exists():
            raise _Unusable
        connection = sqlite3.connect(self._path, timeout=60.0, isolation_level=None)
        try:
            if connection.execute("PRAGMA user_version").fetchone() != (VERSION,):
                raise _Unusable
        except BaseException:
            connection.close()
            raise
        return connection

    def _rebuild(self) -> None:
        """Make the index from the files; whoever calls holds the lock alone."""
        import sqlite3

        new = self._path.with_name(f"{FILE_NAME}.new")
        for leftover in (new, new.with_name(f"{new.name}-journal")):
            leftover.unlink(missing_ok=True)
        new.touch(mode=0o600)  # URLs may hold credentials
        with contextlib.closing(sqlite3.connect(new, isolation_level=None)) as connection:
            connection.executescript(f"BEGIN;{_SCHEMA}COMMIT;")
            with connection:
                connection.execute("BEGIN")
                for entry in self._recover():
                    Change(connection).put(entry)
        for ending in ("-journal", "-wal", "-shm"):
            self._path.with_name(FILE_NAME + ending).unlink(missing_ok=True)
        if self._path.exists() and self._path.stat().st_size:
            self._path.replace(self._path.with_name(f"{FILE_NAME}.aside"))
        new.replace(self._path)

    @contextlib.contextmanager
    def _locked(self, how: int) -> Iterator[None]:
        path = self._root / "locks" / "index.lock"
        if how == fcntl.LOCK_EX or not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, how)
            yield
        finally:
            os.close(descriptor)


class Change:
    """What can be done to entries within `Index.changing`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def put(self, entry: Entry) -> None:
        """Add an entry, in place of the one of the same source."""
        told = entry.validators
        values = (
            *(entry.kind, entry.source, entry.sha256, entry.size_bytes),
            *(entry.added_s, entry.checked_s, entry.used_s, entry.used_count),
            *(told.etag, told.last_modified, told.length, told.sha256),
        )
        self._connection.execute(
            "INSERT OR REPLACE INTO entries VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", values
        )

    def entries(self) -> list[Entry]:
        """Return all entries as they are now."""
        return [_entry(row) for row in self._connection.execute(_ALL)]

    def with_content(self, sha256: str) -> list[Entry]:
        """Return the entries of one content as they are now."""
        rows = self._connection.execute(_OF_CONTENT, (sha256,))
        return [_entry(row) for row in rows]

    def get(self, key: Key) -> Entry | None:
        """Return the entry of a source as it is now."""
        rows = self._connection.execute(_OF_SOURCE, key)
        return next((_entry(row) for row in rows), None)

    def remove(self, key: Key) -> None:
        """Remove the entry of a source."""
        self._connection.execute("DELETE FROM entries WHERE kind = ? AND source = ?", key)

    def note_use(self, key: Key, now_s: float) -> None:
        """Count a use."""
        self._connection.execute(
            "UPDATE entries SET used_s = ?, used_count = used_count + 1 WHERE kind = ? AND source = ?",
            (now_s, *key),
        )

    def note_check(self, key: Key, now_s: float) -> None:
        """Note that the server had nothing newer."""
        self._connection.execute(
            "UPDATE entries SET checked_s = ? WHERE kind = ? AND source = ?", (now_s, *key)
        )


def _entry(row: tuple[str, str, str, int, float, float, float, int, str, str, int | None, str]) -> Entry:
    kind, source, sha256, size, added, checked, used, count, etag, modified, length, told = row
    return Entry(
        kind, source, sha256, size, added, checked, used, count, Validators(etag, modified, length, told)
    )


def _check_passing(error: Exception) -> None:
    """Raise IndexTrouble for trouble of the disk or of the moment, which making it again would not mend."""
    import sqlite3

    if isinstance(error, sqlite3.OperationalError):
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code not in {sqlite3.SQLITE_ERROR, 0}:
            full = code == sqlite3.SQLITE_FULL
            raise IndexTrouble(errno.ENOSPC if full else errno.EIO, str(error)) from error
