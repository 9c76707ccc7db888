"""Builds go from queued to an end once; a newer push replaces one that waits."""

from __future__ import annotations

import functools

import pytest

from stalker.service.store import builds
from stalker.service.store.builds import QueueFull, Wish


@pytest.fixture
def put(database):
    def put(project="core", ref="refs/heads/main", commit="a" * 40, **more):
        is_newer = more.pop("is_newer", True)
        queued_max = more.pop("queued_max", 10)
        wish = Wish(project, project, ref, commit, more.pop("cause", "push"), **more)
        return database.write(
            functools.partial(builds.enqueue, wish=wish, queued_max=queued_max, is_newer=is_newer)
        )

    return put


def state(database, build):
    return database.read(lambda connection: builds.get(connection, build.id)).state


def test_a_newer_push_replaces_one_that_waits(put, database):
    """Of a branch only the newest commit is built, of others nothing changes."""
    old, other = put(commit="1" * 40), put(ref="refs/heads/other")

    new = put(commit="2" * 40)

    assert [state(database, build) for build in (old, other, new)] == ["replaced", "queued", "queued"]


def test_a_running_build_is_not_replaced(put, database):
    old = put()
    database.write(lambda connection: builds.claim(connection, old.id))

    put(commit="2" * 40)

    assert state(database, old) == "running"


def test_a_build_is_claimed_once(put, database):
    build = put()

    first = database.write(lambda connection: builds.claim(connection, build.id))
    second = database.write(lambda connection: builds.claim(connection, build.id))

    assert (first.attempts, second) == (1, None)


def test_an_interrupted_build_keeps_its_place(put, database):
    """It goes before those that came later, and counts its attempts."""
    build, later = put(), put(project="other")
    database.write(lambda connection: builds.claim(connection, build.id))

    database.write(lambda connection: builds.requeue(connection, build.id, "interrupted"))

    waiting = database.read(lambda connection: builds.in_state(connection, "queued"))
    assert [one.id for one in waiting] == [build.id, later.id]
    assert database.write(lambda connection: builds.claim(connection, build.id)).attempts == 2


def test_a_build_ends_once(put, database):
    """What ends a build second changes nothing."""
    build = put()
    database.write(lambda connection: builds.claim(connection, build.id))

    done = database.write(lambda connection: builds.finish(connection, build.id, "success", exit_code=0))
    again = database.write(lambda connection: builds.finish(connection, build.id, "error", exit_code=1))

    assert (done.state, done.is_ended, again) == ("success", True, None)


def test_cancelling(put, database):
    """One that waits is over at once, one that runs is marked, one that is over stays."""
    waiting, running = put(), put(project="other")
    database.write(lambda connection: builds.claim(connection, running.id))

    cancelled = [
        database.write(lambda connection, build=build: builds.cancel(connection, build.id))
        for build in (waiting, running, waiting)
    ]

    assert [build and (build.state, build.is_cancelled) for build in cancelled] == [
        ("cancelled", True),
        ("running", True),
        None,
    ]


def test_a_full_queue_refuses(put):
    put(queued_max=1)

    with pytest.raises(QueueFull):
        put(project="other", queued_max=1)


def test_a_list_goes_on_from_a_cursor(put, database):
    """Newest first; also of one branch with a slash in its name."""
    made = [put(ref=f"refs/heads/feature/{n}", push={"pusher": f"p{n}"}) for n in range(5)]

    first = database.read(lambda connection: builds.listed(connection, limit=2))
    second = database.read(lambda connection: builds.listed(connection, limit=2, before=first[-1].number))
    of_branch = database.read(lambda connection: builds.listed(connection, branch="feature/1"))

    assert [build.id for build in (*first, *second)] == [build.id for build in reversed(made[1:])]
    assert [(build.id, build.branch, build.push) for build in of_branch] == [
        (made[1].id, "feature/1", {"pusher": "p1"})
    ]


def test_builds_beyond_the_newest_and_beyond_an_age_expire(put, database):
    """The newest success stays whatever its age; one that waits is not over."""
    ended = [put(commit=str(number) * 40, is_newer=False) for number in range(4)]
    for build, end in zip(ended, ("error", "success", "error", "error"), strict=True):
        database.write(functools.partial(builds.claim, build_id=build.id))
        database.write(functools.partial(builds.finish, build_id=build.id, state=end))
    put()

    by_number = database.read(functools.partial(builds.expired, keep_number=1, keep_s=0, limit=10))
    by_age = database.read(functools.partial(builds.expired, keep_number=0, keep_s=1e-9, limit=10))

    assert [build.id for build in by_number] == [ended[0].id, ended[2].id]
    assert [build.id for build in by_age] == [ended[0].id, ended[2].id, ended[3].id]
