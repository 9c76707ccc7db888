"""One database of one service: opened, locked, migrated; all writes go through one thread.

The writer commits what waits in one transaction, each write in a savepoint of its own: a thousand pushes at
once cost a few fsyncs, and each caller returns only after the fsync that covers its write.
"""

from __future__ import annotations

import contextlib
import os
import queue
import threading
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from stalker.errors import LockHeld, StalkerError
from stalker.io.locks import try_lock

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.engine import Connection

_Result = TypeVar("_Result")
_Write = tuple["Callable[[Connection], Any]", "Future[Any]"]

BATCH_MAX = 500
"""Writes that one transaction takes."""

_LOCK_NUMBER = 0x5374616C  # "Stal": PostgreSQL's advisory locks have numbers


class Database:
    """The open database. Reads run in the caller's thread; writes in the writer's."""

    def __init__(self, url: str) -> None:
        """Open, lock and migrate.

        Raises:
            LockHeld: another service uses it.
            StalkerError: it cannot be opened, or is of a newer version.
        """
        self.url = url
        self._locked = contextlib.ExitStack()
        self.engine = sa.create_engine(url, pool_pre_ping=not url.startswith("sqlite"))
        try:
            if url.startswith("sqlite"):
                self._locked.enter_context(_file_lock(Path(url.removeprefix("sqlite:///"))))
                _prepare_sqlite(self.engine)
            else:
                self._lock_postgresql()
            migrate(self.engine)
        except OperationalError as error:
            self._give_up()
            raise StalkerError(f"the database {shown_url(url)} cannot be opened", str(error.orig)) from error
        except BaseException:
            self._give_up()
            raise
        self._writes: queue.SimpleQueue[_Write | None] = queue.SimpleQueue()
        self._writer = threading.Thread(target=self._write_all, name="database", daemon=True)
        self._writer.start()

    def read(self, query: Callable[[Connection], _Result]) -> _Result:
        """Return what a query finds."""
        with self.engine.connect() as connection:
            return query(connection)

    def submit(self, write: Callable[[Connection], _Result]) -> Future[_Result]:
        """Hand over a write; the future is done when it is on the disk, or has the error."""
        future: Future[_Result] = Future()
        self._writes.put((write, future))
        return future

    def write(self, write: Callable[[Connection], _Result]) -> _Result:
        """Write and wait until it is on the disk."""
        return self.submit(write).result()

    def close(self) -> None:
        """End the writer after what waits, and give up the lock."""
        self._writes.put(None)
        self._writer.join()
        self._give_up()

    def _give_up(self) -> None:
        """Give up the lock and the connections."""
        self._locked.close()
        self.engine.dispose()

    def _lock_postgresql(self) -> None:
        connection = self.engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        self._locked.callback(connection.close)
        query = sa.text("SELECT pg_try_advisory_lock(:number)")
        if not connection.execute(query, {"number": _LOCK_NUMBER}).scalar():
            raise LockHeld(f"another service uses the database {shown_url(self.url)}", "", "stop it first")
        self._locked.callback(connection.execute, sa.text("SELECT pg_advisory_unlock_all()"))

    def _write_all(self) -> None:
        while True:
            batch, is_last = self._next_batch()
            if batch:
                self._commit(batch)
            if is_last:
                return

    def _next_batch(self) -> tuple[list[_Write], bool]:
        batch: list[_Write] = []
        item = self._writes.get()
        while True:
            if item is None:
                return batch, True
            batch.append(item)
            if len(batch) == BATCH_MAX:
                return batch, False
            try:
                item = self._writes.get_nowait()
            except queue.Empty:
                return batch, False

    def _commit(self, batch: list[_Write]) -> None:
        done: list[tuple[Future[Any], Any]] = []
        try:
            with self.engine.begin() as connection:
                for write, future in batch:
                    try:
                        with connection.begin_nested():
                            done.append((future, write(connection)))
                    except Exception as error:  # noqa: BLE001 - it belongs to the caller of this one write
                        future.set_exception(error)
        except SQLAlchemyError as error:
            for _, future in batch:
                if not future.done():
                    future.set_exception(error)
            return
        for future, result in done:
            future.set_result(result)


def migrate(engine: sa.Engine) -> None:
    """Bring the tables to the newest version, in one transaction. Raises StalkerError when they are newer."""
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, "head")
        except CommandError as error:
            raise StalkerError(
                "the database is of another version of stalker", str(error), "start the newer version"
            ) from error


def shown_url(url: str) -> str:
    """Return the address of a database without its password."""
    return sa.make_url(url).render_as_string(hide_password=True)


def _prepare_sqlite(engine: sa.Engine) -> None:
    """Make transactions real, also for changes of tables, and each commit durable.

    Python's sqlite3 begins a transaction only before INSERT and the like; here SQLAlchemy begins each one.
    """

    @sa.event.listens_for(engine, "connect")
    def _connect(connection: Any, _record: Any) -> None:
        connection.isolation_level = None
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=30000", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN")


@contextlib.contextmanager
def _file_lock(database: Path) -> Any:
    """Hold the lock next to a SQLite file; it ends with the process. Raises LockHeld that names the holder."""
    database.parent.mkdir(parents=True, exist_ok=True)
    path = database.with_name(f"{database.name}.lock")
    with path.open("a+", encoding="ascii") as file:
        if not try_lock(file):
            file.seek(0)
            holder = file.read().strip()
            brief = f"another service uses {database}"
            raise LockHeld(brief, f"process {holder}", "stop it first, or give this one a database")
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield
