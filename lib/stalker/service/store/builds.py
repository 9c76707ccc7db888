"""Builds in the database: frozen records, and the queries over them.

queued -> running -> success | error | timeout | cancelled
queued -> replaced | cancelled
running -> queued              the process died: the next attempt goes on from the last committed step
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import sqlalchemy as sa

from stalker.service.store.tables import builds, deliveries, files, messages

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

State = Literal["queued", "running", "success", "error", "timeout", "cancelled", "replaced"]
ENDED = frozenset({"success", "error", "timeout", "cancelled", "replaced"})


class QueueFull(Exception):
    """As many builds wait as the configuration allows."""


@dataclass(frozen=True, slots=True)
class Wish:
    """A build to put into the queue. `ref` is whole (`refs/heads/main`); `commit` may be empty: the newest."""

    project: str
    tree: str
    ref: str
    commit: str
    cause: str
    push: Mapping[str, Any] = field(default_factory=dict)
    start_from: str = ""


@dataclass(frozen=True, slots=True)
class Build:
    """A build as the database has it; times are Unix seconds."""

    number: int
    id: str
    project: str
    tree: str
    ref: str
    commit: str
    state: State
    cause: str
    start_from: str
    created: float
    started: float | None
    ended: float | None
    exit_code: int | None
    error: str
    push: Mapping[str, Any]
    tag: str
    base_image: str
    container: str
    console: Sequence[str]
    attempts: int
    is_cancelled: bool

    @property
    def branch(self) -> str:
        """The ref without its kind: `main`, `feature/foo`."""
        return branch_of(self.ref)

    @property
    def is_ended(self) -> bool:
        """Return whether nothing changes any more."""
        return self.state in ENDED


def branch_of(ref: str) -> str:
    """Return a whole ref without `refs/heads/` or `refs/tags/`."""
    return ref.removeprefix("refs/heads/").removeprefix("refs/tags/")


# Made once: a push costs these statements, and to make them takes longer than to run them.
_COUNT_QUEUED = sa.select(sa.func.count()).where(builds.c.state == "queued")
_INSERT = sa.insert(builds).returning(builds)
_REPLACE = (
    sa.update(builds)
    .where(
        builds.c.project == sa.bindparam("of_project"),
        builds.c.ref == sa.bindparam("of_ref"),
        builds.c.state == "queued",
        builds.c.start_from == "",
    )
    .values(state="replaced", ended=sa.bindparam("now"), error="a newer push of the same ref came")
)


def enqueue(connection: Connection, wish: Wish, *, queued_max: int, is_newer: bool) -> Build:
    """Put a build into the queue; with `is_newer` it replaces one of the same ref that waits.

    Raises:
        QueueFull: no place is left.
    """
    if is_newer:
        _replace(connection, wish)
    waiting = connection.scalar(_COUNT_QUEUED) or 0
    if waiting >= queued_max:
        raise QueueFull
    values = {
        "id": str(uuid.uuid4()),
        "project": wish.project,
        "tree": wish.tree,
        "ref": wish.ref,
        "commit_id": wish.commit,
        "state": "queued",
        "cause": wish.cause,
        "start_from": wish.start_from,
        "created": time.time(),
        "error": "",
        "push": json.dumps(dict(wish.push)),
        "tag": "",
        "base_image": "",
        "container": "",
        "console": "[]",
        "attempts": 0,
        "is_cancelled": False,
    }
    row = connection.execute(_INSERT, values).one()
    return _build(row)


def _replace(connection: Connection, wish: Wish) -> None:
    now = {"of_project": wish.project, "of_ref": wish.ref, "now": time.time()}
    connection.execute(_REPLACE, now)


def claim(connection: Connection, build_id: str) -> Build | None:
    """Mark a waiting build as running; None when it no longer waits."""
    return _changed(
        connection,
        sa.update(builds)
        .where(builds.c.id == build_id, builds.c.state == "queued")
        .values(
            state="running",
            started=sa.func.coalesce(builds.c.started, time.time()),
            attempts=builds.c.attempts + 1,
        ),
    )


def requeue(connection: Connection, build_id: str, why: str) -> Build | None:
    """Put a running build whose process is gone back into the queue, before those that came later."""
    return _changed(
        connection,
        sa.update(builds)
        .where(builds.c.id == build_id, builds.c.state == "running")
        .values(state="queued", error=why),
    )


def finish(
    connection: Connection, build_id: str, state: State, *, exit_code: int | None = None, error: str = ""
) -> Build | None:
    """End a running build; None when it is not running."""
    return _changed(
        connection,
        sa.update(builds)
        .where(builds.c.id == build_id, builds.c.state == "running")
        .values(state=state, ended=time.time(), exit_code=exit_code, error=error[:10_000]),
    )


def cancel(connection: Connection, build_id: str) -> Build | None:
    """Cancel a build: one that waits ends, one that runs is marked for the dispatcher; None when it is over."""
    ended = _changed(
        connection,
        sa.update(builds)
        .where(builds.c.id == build_id, builds.c.state == "queued")
        .values(state="cancelled", ended=time.time(), is_cancelled=True, error="cancelled before it started"),
    )
    return ended or _changed(
        connection,
        sa.update(builds)
        .where(builds.c.id == build_id, builds.c.state == "running")
        .values(is_cancelled=True),
    )


def set_fields(connection: Connection, build_id: str, **values: str) -> Build | None:
    """Set columns of a build that are texts."""
    return _changed(connection, sa.update(builds).where(builds.c.id == build_id).values(values))


def get(connection: Connection, build_id: str) -> Build | None:
    """Return a build by its id."""
    row = connection.execute(sa.select(builds).where(builds.c.id == build_id)).one_or_none()
    return _build(row) if row is not None else None


def in_state(connection: Connection, *states: State) -> list[Build]:
    """Return the builds in some states, the oldest first."""
    query = sa.select(builds).where(builds.c.state.in_(states)).order_by(builds.c.number)
    return [_build(row) for row in connection.execute(query)]


def listed(
    connection: Connection,
    *,
    project: str = "",
    branch: str = "",
    before: int = 0,
    limit: int = 25,
    only_ended: bool = False,
) -> list[Build]:
    """Return builds, newest first; `before` is the number of the last build of the page before."""
    query = sa.select(builds).order_by(builds.c.number.desc())
    if limit:
        query = query.limit(limit)
    if project:
        query = query.where(builds.c.project == project)
    if branch:
        query = query.where(builds.c.ref.in_((f"refs/heads/{branch}", f"refs/tags/{branch}")))
    if before:
        query = query.where(builds.c.number < before)
    if only_ended:
        query = query.where(builds.c.state.in_(sorted(ENDED)))
    return [_build(row) for row in connection.execute(query)]


def expired(connection: Connection, *, keep_number: int, keep_s: float, limit: int) -> list[Build]:
    """Return builds that need not be kept any more, the oldest first; 0 is not a limit.

    The newest success of each ref stays, since its files and its tag are in use, and a build whose end was not
    reported everywhere yet.
    """
    is_over = builds.c.state.in_(sorted(ENDED))
    rank = sa.func.row_number().over(partition_by=builds.c.project, order_by=builds.c.number.desc())
    over = sa.select(builds.c.number, rank.label("rank")).where(is_over).subquery()
    newest = (
        sa.select(sa.func.max(builds.c.number))
        .where(builds.c.state == "success")
        .group_by(builds.c.project, builds.c.ref)
    )
    unsent = sa.select(messages.c.build).where(messages.c.state == "waiting")
    too_many = over.c.rank > keep_number if keep_number else sa.false()
    too_old = builds.c.ended < time.time() - keep_s if keep_s else sa.false()
    query = (
        sa.select(builds)
        .join(over, over.c.number == builds.c.number)
        .where(sa.or_(too_many, too_old), builds.c.number.not_in(newest), builds.c.id.not_in(unsent))
        .order_by(builds.c.number)
        .limit(limit)
    )
    return [_build(row) for row in connection.execute(query)]


def remove(connection: Connection, build_id: str) -> None:
    """Remove a build that is over; its push stays known by its digest, without its body."""
    connection.execute(sa.delete(messages).where(messages.c.build == build_id))
    connection.execute(sa.delete(files).where(files.c.build == build_id))
    connection.execute(sa.update(deliveries).where(deliveries.c.build == build_id).values(body=b""))
    connection.execute(sa.delete(builds).where(builds.c.id == build_id, builds.c.state.in_(sorted(ENDED))))


def last_starts(connection: Connection) -> dict[str, float]:
    """Return when a build of each project started last."""
    query = sa.select(builds.c.project, sa.func.max(builds.c.started)).group_by(builds.c.project)
    return {project: started or 0.0 for project, started in connection.execute(query)}


def counts(connection: Connection) -> dict[str, int]:
    """Return the number of builds in each state."""
    query = sa.select(builds.c.state, sa.func.count()).group_by(builds.c.state)
    return {row.state: row[1] for row in connection.execute(query)}


def _changed(connection: Connection, statement: sa.Update) -> Build | None:
    row = connection.execute(statement.returning(builds)).one_or_none()
    return _build(row) if row is not None else None


def _build(row: sa.Row[Any]) -> Build:
    values = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's public name for it
    values["commit"] = values.pop("commit_id")
    values["push"] = json.loads(values["push"])
    values["console"] = json.loads(values["console"])
    return Build(**values)
