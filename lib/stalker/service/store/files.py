"""Published files in the database: what may be downloaded, and which build it came from."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from stalker.service.store.tables import files

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection


@dataclass(frozen=True, slots=True)
class File:
    """A published file of a project; `link` is a second name that leads to the newest."""

    build: str
    project: str
    name: str
    link: str
    size_bytes: int
    sha256: str
    created: float = 0.0


def add(connection: Connection, file: File) -> None:
    """Record a file; one of the same name is replaced."""
    connection.execute(sa.delete(files).where(files.c.project == file.project, files.c.name == file.name))
    connection.execute(
        sa.insert(files).values(
            build=file.build,
            project=file.project,
            name=file.name,
            link=file.link,
            size_bytes=file.size_bytes,
            sha256=file.sha256,
            created=time.time(),
        )
    )


def of_build(connection: Connection, build: str) -> list[File]:
    """Return the files of a build, by name."""
    query = sa.select(files).where(files.c.build == build).order_by(files.c.name)
    return [_file(row) for row in connection.execute(query)]


def of_project(connection: Connection, project: str, limit: int = 100) -> list[File]:
    """Return the newest files of a project."""
    query = sa.select(files).where(files.c.project == project).order_by(files.c.number.desc()).limit(limit)
    return [_file(row) for row in connection.execute(query)]


def find(connection: Connection, project: str, name: str) -> File | None:
    """Return the file of that name, or the newest that a link of that name leads to."""
    same = sa.or_(files.c.name == name, files.c.link == name)
    query = sa.select(files).where(files.c.project == project, same).order_by(files.c.number.desc())
    row = connection.execute(query).first()
    return _file(row) if row is not None else None


def _file(row: sa.Row[Any]) -> File:
    return File(row.build, row.project, row.name, row.link, row.size_bytes, row.sha256, row.created)
