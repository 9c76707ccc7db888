"""Builds start, end and are taken up; their process is a stand-in that does what a test says."""

from __future__ import annotations

import functools
import threading

import pytest

from stalker.errors import StalkerError
from stalker.io.atomic import write_file
from stalker.service.builds import process
from stalker.service.queue import dispatcher as module
from stalker.service.queue.dispatcher import ATTEMPTS_MAX, NO_ENGINE, Dispatcher
from stalker.service.store import builds, deliveries
from stalker.service.store.builds import Wish
from stalker.service.store.deliveries import Delivery
from unit.helpers.sites import COMMIT, payload


class StandIn:
    """Processes of builds that end when a test says so."""

    def __init__(self, monkeypatch, site):
        self.site = site
        self.started = []
        self.signals = []
        self.alive = {}
        self.on_start = lambda _build: None
        self.on_stop = lambda _build_id, _number: None
        self.news = threading.Condition()
        monkeypatch.setattr(module, "start_build", self._start)
        monkeypatch.setattr(process, "watch", self._watch)
        monkeypatch.setattr(process, "is_alive", lambda places: places.root.name in self.alive)
        monkeypatch.setattr(process, "stop", self._stop)
        monkeypatch.setattr(
            module, "succeed", lambda site, build: module.record_end(site, build, "success", exit_code=0)
        )

    def _start(self, _site, build):
        self.on_start(build)
        places = self.site.places.build(build.id)
        places.root.mkdir(parents=True, exist_ok=True)
        places.exit.unlink(missing_ok=True)
        self.alive[build.id] = None
        with self.news:
            self.started.append(build)
            self.news.notify_all()
        return build

    def _watch(self, places, ended):
        self.alive[places.root.name] = ended
        with self.news:
            self.news.notify_all()

    def _stop(self, places, number=None):
        self.signals.append(number)
        self.on_stop(places.root.name, number)

    def end(self, build_id, code):
        """End a process with an exit code; None: it was killed."""
        with self.news:
            assert self.news.wait_for(lambda: self.alive.get(build_id) is not None, 20)
        places = self.site.places.build(build_id)
        places.root.mkdir(parents=True, exist_ok=True)
        if code is not None:
            write_file(places.exit, f"{code}\n")
        self.alive.pop(build_id)()

    def wait_started(self, count):
        with self.news:
            assert self.news.wait_for(lambda: len(self.started) >= count, 20), self.started
        return self.started[count - 1]


@pytest.fixture
def stand_in(monkeypatch, site):
    return StandIn(monkeypatch, site)


@pytest.fixture
def running(site, stand_in):
    made = Dispatcher(site)
    made.start()
    yield made
    made.stop()


def queue(site, project="first", ref="refs/heads/main", **more):
    wish = Wish(project, project, ref, COMMIT, "push", **more)
    build = site.database.write(functools.partial(builds.enqueue, wish=wish, queued_max=100, is_newer=True))
    site.wake.set()
    return build


def state(site, build_id, *expected):
    """Wait for the end of a build, or one of the expected states, and return it."""
    done = threading.Event()
    for _ in range(400):
        build = site.database.read(functools.partial(builds.get, build_id=build_id))
        if build.state in (expected or builds.ENDED):
            return build
        done.wait(0.05)
    pytest.fail(f"still {build.state}")


@pytest.mark.usefixtures("running")
def test_a_build_runs_and_the_next_of_its_tree_after_it(site, stand_in):
    """One process is enough for both."""
    first, second = queue(site, "second"), queue(site, "second", ref="refs/heads/other")
    stand_in.wait_started(1)

    stand_in.end(first.id, 0)

    assert state(site, first.id).state == "success"
    assert stand_in.wait_started(2).id == second.id
    stand_in.end(second.id, 1)
    ended = state(site, second.id)
    assert (ended.state, ended.exit_code) == ("error", 1)


@pytest.mark.usefixtures("running")
def test_a_success_starts_the_build_after_it_on_the_same_branch(site, stand_in):
    first = queue(site, ref="refs/heads/x")
    stand_in.wait_started(1)

    stand_in.end(first.id, 0)

    after = stand_in.wait_started(2)
    assert (after.project, after.ref, after.cause) == ("second", "refs/heads/x", "after first #1")
    stand_in.end(after.id, 0)


@pytest.mark.usefixtures("running")
def test_a_failure_starts_nothing_after_it(site, stand_in):
    first = queue(site)
    stand_in.wait_started(1)

    stand_in.end(first.id, 1)

    state(site, first.id)
    assert [build.project for build in site.database.read(builds.listed)] == ["first"]


@pytest.mark.usefixtures("running")
@pytest.mark.parametrize("code", [None, 130])
def test_a_process_that_died_is_started_again(site, stand_in, code):
    """It goes on from the last committed step, as every run does; not for ever."""
    build = queue(site)
    for attempt in range(1, ATTEMPTS_MAX + 1):
        assert stand_in.wait_started(attempt).attempts == attempt
        stand_in.end(build.id, code)

    ended = state(site, build.id)
    assert (ended.state, ended.attempts) == ("error", ATTEMPTS_MAX)


@pytest.mark.usefixtures("running")
def test_without_an_engine_a_build_is_tried_again_later(site, stand_in, monkeypatch):
    monkeypatch.setattr(module, "RETRY_S", 0.01)
    build = queue(site)
    stand_in.wait_started(1)

    stand_in.end(build.id, NO_ENGINE)

    assert stand_in.wait_started(2).attempts == 2
    stand_in.end(build.id, 0)
    assert state(site, build.id).state == "success"


@pytest.mark.usefixtures("running")
def test_a_cancelled_build_is_stopped(site, stand_in):
    build = queue(site)
    stand_in.wait_started(1)
    stand_in.on_stop = lambda build_id, _number: stand_in.end(build_id, 130)

    site.database.write(lambda connection: builds.cancel(connection, build.id))
    site.wake.set()

    assert state(site, build.id).state == "cancelled"


def test_a_build_that_takes_too_long_is_stopped_then_killed(site, stand_in, monkeypatch, tmp_path):
    from unit.helpers.sites import configuration

    (tmp_path / "service.hjson").write_text(configuration(builds={"timeout": 1, "min_free": 1}))
    monkeypatch.setattr(process, "GRACE_S", 0.01)
    stand_in.on_stop = lambda build_id, number: stand_in.end(build_id, None) if number else None
    dispatcher = Dispatcher(site)
    dispatcher.start()

    build = state(site, queue(site).id)

    dispatcher.stop()
    assert (build.state, build.error) == ("timeout", "took longer than 1 s")
    assert len(stand_in.signals) == 2


@pytest.mark.usefixtures("running")
def test_what_cannot_start_is_an_error(site, stand_in):
    """A repository that is away, a project that was removed."""

    def fail(_build):
        raise StalkerError("git fetch failed", "no such repository", "look there")

    stand_in.on_start = fail

    ended = state(site, queue(site).id)

    assert (ended.state, ended.error) == ("error", "git fetch failed\nno such repository\nlook there")


@pytest.mark.parametrize("code", [0, None])
def test_a_restart_takes_up_what_ended_without_it(site, stand_in, code):
    """A run that was over is recorded, one that died runs again; each build ends once."""
    build = queue(site)
    site.database.write(lambda connection: builds.claim(connection, build.id))
    if code is not None:
        places = site.places.build(build.id)
        places.root.mkdir(parents=True)
        write_file(places.exit, f"{code}\n")
    dispatcher = Dispatcher(site)
    dispatcher.start()

    if code is None:
        assert stand_in.wait_started(1).attempts == 2
        stand_in.end(build.id, 0)

    assert state(site, build.id).state == "success"
    dispatcher.stop()


def test_a_restart_watches_what_still_runs(site, stand_in):
    build = queue(site, "second")
    site.database.write(lambda connection: builds.claim(connection, build.id))
    stand_in.alive[build.id] = None
    dispatcher = Dispatcher(site)
    dispatcher.start()

    stand_in.end(build.id, 0)

    assert state(site, build.id).state == "success"
    assert stand_in.started == []
    dispatcher.stop()


def test_nothing_starts_without_disk_space(site, stand_in, tmp_path):
    from unit.helpers.sites import configuration

    (tmp_path / "service.hjson").write_text(configuration(builds={"min_free": 2**50}))
    dispatcher = Dispatcher(site)
    build = queue(site)
    dispatcher._turn()

    assert site.trouble.startswith("no build starts: ")
    assert state(site, build.id, "queued").state == "queued"
    assert stand_in.started == []


@pytest.mark.usefixtures("running")
def test_a_push_that_found_the_queue_full_is_built(site, stand_in):
    delivery = Delivery("first", "1", "push", payload())
    accept = functools.partial(
        deliveries.accept,
        delivery=delivery,
        wish=Wish("first", "first", "refs/heads/main", COMMIT, "push"),
        reason="",
        queued_max=0,
    )
    assert site.database.write(accept).outcome == "waiting"
    site.wake.set()

    build = stand_in.wait_started(1)

    assert build.commit == COMMIT
    stand_in.end(build.id, 0)
