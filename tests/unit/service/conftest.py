"""Databases for the tests of the service: SQLite always, PostgreSQL where Debian's package is installed."""

from __future__ import annotations

import functools
import importlib.util
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

if importlib.util.find_spec("sqlalchemy") is None:
    collect_ignore_glob = ["*"]  # the extra [service] is not installed
else:
    from stalker.service.store.database import Database


def _program(name):
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return str(found[-1]) if found else ""


@pytest.fixture(scope="session")
def postgresql():
    """The address of a PostgreSQL server of these tests alone, on a socket."""
    initdb, pg_ctl = _program("initdb"), _program("pg_ctl")
    if not initdb:
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    directory = Path(tempfile.mkdtemp(prefix="stalker-pg-"))
    as_user = []
    if os.geteuid() == 0:
        shutil.chown(directory, "postgres")
        as_user = ["runuser", "-u", "postgres", "--"]
    data = directory / "data"
    run = functools.partial(subprocess.run, check=True, cwd=directory, stdout=subprocess.DEVNULL)
    run([*as_user, initdb, "-D", data, "-U", "postgres", "-A", "trust", "--no-sync"])
    options = f"-k {directory} -c listen_addresses='' -c fsync=off"
    run([*as_user, pg_ctl, "-D", data, "-w", "-o", options, "-l", directory / "log", "start"])
    try:
        yield f"postgresql+psycopg://postgres@/postgres?host={directory}"
    finally:
        run([*as_user, pg_ctl, "-D", data, "-w", "-m", "immediate", "stop"])
        shutil.rmtree(directory)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path):
    """The address of an empty database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/service.db"
    import sqlalchemy as sa

    address = request.getfixturevalue("postgresql")
    engine = sa.create_engine(address)
    with engine.begin() as connection:
        connection.execute(sa.text("DROP SCHEMA public CASCADE"))
        connection.execute(sa.text("CREATE SCHEMA public"))
    engine.dispose()
    return address


@pytest.fixture
def database(url):
    opened = Database(url)
    yield opened
    opened.close()


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A service whose builds do not start by themselves."""
    from unit.helpers.sites import make_site

    made = make_site(tmp_path, monkeypatch)
    yield made
    made.database.close()
