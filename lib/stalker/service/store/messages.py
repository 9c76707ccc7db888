"""Commit statuses and notifications that wait to be sent: an outage of a forge delays them and nothing else."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import sqlalchemy as sa

from stalker.service.store.tables import messages

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

ATTEMPTS_MAX = 12
FIRST_DELAY_S = 10.0


@dataclass(frozen=True, slots=True)
class Message:
    """A message to send. `content` holds no secret: tokens are read when it is sent."""

    number: int
    build: str
    kind: Literal["status", "notify"]
    content: Mapping[str, Any]
    attempts: int


def add(connection: Connection, build: str, kind: Literal["status", "notify"], content: Any) -> None:
    """Store a message that is due now."""
    now = time.time()
    connection.execute(
        sa.insert(messages).values(
            build=build,
            kind=kind,
            content=json.dumps(content),
            created=now,
            due=now,
            attempts=0,
            state="waiting",
            error="",
        )
    )


def due(connection: Connection, now: float, limit: int = 20) -> list[Message]:
    """Return messages to send, the oldest first."""
    query = sa.select(messages).where(messages.c.state == "waiting", messages.c.due <= now)
    rows = connection.execute(query.order_by(messages.c.number).limit(limit))
    return [Message(row.number, row.build, row.kind, json.loads(row.content), row.attempts) for row in rows]


def next_due(connection: Connection) -> float | None:
    """Return when the next message is due, None without one."""
    due_s: float | None = connection.scalar(
        sa.select(sa.func.min(messages.c.due)).where(messages.c.state == "waiting")
    )
    return due_s


def sent(connection: Connection, number: int) -> None:
    """Mark a message as sent."""
    connection.execute(sa.update(messages).where(messages.c.number == number).values(state="sent", error=""))


def failed(connection: Connection, message: Message, error: str, *, is_final: bool = False) -> None:
    """Try again later, twice as late each time; give up after `ATTEMPTS_MAX`, or at once when `is_final`."""
    attempts = message.attempts + 1
    delay_s = FIRST_DELAY_S * 2**message.attempts
    connection.execute(
        sa.update(messages)
        .where(messages.c.number == message.number)
        .values(
            attempts=attempts,
            due=time.time() + delay_s,
            error=error[:2000],
            state="failed" if is_final or attempts >= ATTEMPTS_MAX else "waiting",
        )
    )


def of_build(connection: Connection, build: str) -> list[tuple[str, str, str]]:
    """Return kind, state and error of the messages of a build."""
    query = sa.select(messages).where(messages.c.build == build).order_by(messages.c.number)
    return [(row.kind, row.state, row.error) for row in connection.execute(query)]
