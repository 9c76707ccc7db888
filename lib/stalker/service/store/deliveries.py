"""Signed pushes, stored before they are answered; the same one twice is answered and not built."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import sqlalchemy as sa

from stalker.service.store.builds import QueueFull, Wish, enqueue
from stalker.service.store.tables import deliveries

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection


@dataclass(frozen=True, slots=True)
class Delivery:
    """A push as it came. `delivery` is the forge's id of it, empty where it sends none."""

    project: str
    delivery: str
    event: str
    body: bytes

    @property
    def digest(self) -> str:
        """SHA-256 of the body: an id that a sender cannot change without a new signature."""
        return hashlib.sha256(self.body).hexdigest()


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a delivery: a build, a repetition, a refusal with its reason, or a full queue."""

    outcome: str
    reason: str = ""
    build: str = ""


_INSERT = sa.insert(deliveries)
_SAME = sa.select(deliveries.c.build).where(
    deliveries.c.project == sa.bindparam("of_project"),
    sa.or_(
        deliveries.c.digest == sa.bindparam("of_digest"), deliveries.c.delivery == sa.bindparam("of_delivery")
    ),
)


def accept(
    connection: Connection, delivery: Delivery, wish: Wish | None, reason: str, *, queued_max: int
) -> Receipt:
    """Store a delivery and put its build into the queue; without a wish `reason` says why nothing is built.

    A full queue stores the delivery too, so that nothing is lost: `start_waiting` builds it later.
    """
    known = _known(connection, delivery)
    if known is not None:
        return Receipt("duplicate", "this delivery was received before", known)
    receipt = Receipt("ignored", reason)
    if wish is not None:
        receipt = _enqueued(connection, wish, queued_max)
    connection.execute(
        _INSERT,
        {
            "project": delivery.project,
            "delivery": (delivery.delivery or delivery.digest)[:200],
            "digest": delivery.digest,
            "event": delivery.event[:64],
            "received": time.time(),
            "body": delivery.body,
            "outcome": receipt.outcome,
            "reason": receipt.reason,
            "build": receipt.build,
        },
    )
    return receipt


def _enqueued(connection: Connection, wish: Wish, queued_max: int) -> Receipt:
    try:
        build = enqueue(connection, wish, queued_max=queued_max, is_newer=True)
    except QueueFull:
        return Receipt("waiting", "the queue is full")
    return Receipt("build", "", build.id)


def waiting(connection: Connection) -> list[tuple[int, Delivery]]:
    """Return the deliveries that found the queue full, the oldest first, with their numbers."""
    query = sa.select(deliveries).where(deliveries.c.outcome == "waiting").order_by(deliveries.c.number)
    return [
        (row.number, Delivery(row.project, row.delivery, row.event, row.body))
        for row in connection.execute(query.limit(100))
    ]


def settle(
    connection: Connection, number: int, wish: Wish | None, reason: str, *, queued_max: int
) -> Receipt:
    """Build a delivery that waited for a place in the queue; it keeps waiting where there is none."""
    receipt = _enqueued(connection, wish, queued_max) if wish is not None else Receipt("ignored", reason)
    connection.execute(
        sa.update(deliveries)
        .where(deliveries.c.number == number)
        .values(outcome=receipt.outcome, reason=receipt.reason, build=receipt.build)
    )
    return receipt


def _known(connection: Connection, delivery: Delivery) -> str | None:
    """Return the build of a delivery with the same id or body, empty where it has none; None for a new one."""
    values = {
        "of_project": delivery.project,
        "of_digest": delivery.digest,
        "of_delivery": (delivery.delivery or delivery.digest)[:200],
    }
    row = connection.execute(_SAME, values).first()
    return str(row.build) if row is not None else None
