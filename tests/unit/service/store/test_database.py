"""The database: one service at a time, each write on the disk before its answer, migrations whole or not at all."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from stalker.errors import LockHeld, StalkerError
from stalker.service.store.database import Database, shown_url
from stalker.service.store.tables import messages, metadata


def test_the_migrations_make_the_tables(database):
    """A database that was migrated has what `tables.py` declares."""

    def differences(connection):
        return compare_metadata(MigrationContext.configure(connection), metadata)

    assert database.read(differences) == []


def test_a_second_service_is_refused(url):
    """Two services would start the same build twice; the message names the first."""
    first = Database(url)
    try:
        with pytest.raises(LockHeld) as raised:
            Database(url)
        assert "another service uses" in raised.value.brief
    finally:
        first.close()

    Database(url).close()


def test_a_database_of_a_newer_version_is_refused(url):
    database = Database(url)
    database.write(
        lambda connection: connection.execute(sa.text("UPDATE alembic_version SET version_num='9'"))
    )
    database.close()

    with pytest.raises(StalkerError, match="another version"):
        Database(url)


def test_a_failed_write_leaves_the_others_of_its_batch(database):
    """Each write has its own savepoint."""
    import threading

    started, go_on = threading.Event(), threading.Event()

    def hold(_connection):
        started.set()
        go_on.wait(10)

    def insert(number):
        values = {"build": "b", "kind": "notify", "content": "{}", "created": 0, "due": 0, "attempts": 0}
        return lambda connection: connection.execute(
            sa.insert(messages).values(number=number, state="waiting", error="", **values)
        )

    held = database.submit(hold)
    started.wait(10)
    futures = [database.submit(insert(number)) for number in (1, 1, 2)]
    go_on.set()

    held.result(10)
    assert [future.exception(10) is None for future in futures] == [True, False, True]
    count = database.read(
        lambda connection: connection.scalar(sa.select(sa.func.count()).select_from(messages))
    )
    assert count == 2


def test_sqlite_is_durable(tmp_path):
    """A write that was answered survives a power cut."""
    database = Database(f"sqlite:///{tmp_path}/x.db")

    def pragmas(connection):
        names = ("journal_mode", "synchronous")
        return [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in names]

    assert database.read(pragmas) == ["wal", 2]
    database.close()


def test_a_migration_that_fails_leaves_no_table(tmp_path, monkeypatch):
    """The next start begins with what was there before."""
    from alembic import op

    def fail(*_args, **_kwargs):
        raise OSError("power cut")

    real, calls = op.create_table, []

    def third(name, *columns):
        calls.append(name)
        return fail() if len(calls) == 3 else real(name, *columns)

    monkeypatch.setattr(op, "create_table", third)
    with pytest.raises(OSError, match="power cut"):
        Database(f"sqlite:///{tmp_path}/x.db")
    monkeypatch.setattr(op, "create_table", real)

    engine = sa.create_engine(f"sqlite:///{tmp_path}/x.db")
    assert sa.inspect(engine).get_table_names() == []
    engine.dispose()
    Database(f"sqlite:///{tmp_path}/x.db").close()


def test_a_password_is_not_shown():
    assert "secret" not in shown_url("postgresql+psycopg://me:secret@host/x")
