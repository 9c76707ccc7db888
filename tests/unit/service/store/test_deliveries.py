"""A delivery is stored once, whatever becomes of it."""

from __future__ import annotations

import functools

import pytest

from stalker.service.store import builds, deliveries
from stalker.service.store.builds import Wish
from stalker.service.store.deliveries import Delivery


@pytest.fixture
def accept(database):
    def accept(delivery, wish=None, reason="", queued_max=10):
        return database.write(
            functools.partial(
                deliveries.accept, delivery=delivery, wish=wish, reason=reason, queued_max=queued_max
            )
        )

    return accept


WISH = Wish("core", "core", "refs/heads/main", "a" * 40, "push")


def test_a_push_becomes_a_build(accept, database):
    receipt = accept(Delivery("core", "1", "push", b"{}"), WISH)

    build = database.read(lambda connection: builds.get(connection, receipt.build))
    assert (receipt.outcome, build.commit, build.state) == ("build", "a" * 40, "queued")


@pytest.mark.parametrize(
    "again", [Delivery("core", "1", "push", b"other"), Delivery("core", "2", "push", b"{}")]
)
def test_the_same_id_or_the_same_body_is_built_once(accept, database, again):
    """A replayed body with a new id is the same push: the id is not signed."""
    first = accept(Delivery("core", "1", "push", b"{}"), WISH)

    second = accept(again, WISH)

    assert (second.outcome, second.build) == ("duplicate", first.build)
    assert len(database.read(builds.listed)) == 1


def test_two_projects_may_have_the_same_body(accept):
    accept(Delivery("core", "", "push", b"{}"), WISH)

    assert accept(Delivery("other", "", "push", b"{}"), WISH).outcome == "build"


def test_what_builds_nothing_is_stored_with_its_reason(accept):
    assert accept(Delivery("core", "1", "ping", b"{}"), None, "a ping").reason == "a ping"
    assert accept(Delivery("core", "1", "ping", b"{}"), None, "a ping").outcome == "duplicate"


def test_a_full_queue_keeps_the_delivery(accept, database):
    """It is built when there is a place, and not lost."""
    accept(Delivery("other", "1", "push", b"1"), Wish("other", "o", "refs/heads/x", "b" * 40, "push"))

    receipt = accept(Delivery("core", "1", "push", b"{}"), WISH, queued_max=1)

    assert receipt.outcome == "waiting"
    ((number, delivery),) = database.read(deliveries.waiting)
    assert delivery.body == b"{}"
    settled = database.write(
        functools.partial(deliveries.settle, number=number, wish=WISH, reason="", queued_max=2)
    )
    assert settled.outcome == "build"
    assert database.read(deliveries.waiting) == []
