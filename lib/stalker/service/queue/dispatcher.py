"""The thread that starts waiting builds, ends those whose process is gone, and stops what is too long or cancelled.

It decides alone; checkouts and publishing run in threads of a pool. It sleeps until something happens: a wish, a
cancellation, the end of a process, or the next deadline. Whatever a kill leaves, `recover` takes up: a build is
running exactly when its process holds its lock.
"""

from __future__ import annotations

import contextlib
import functools
import shutil
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from stalker.errors import StalkerError
from stalker.io.units import size_text
from stalker.service.builds import process
from stalker.service.builds.events import Progress
from stalker.service.builds.worker import shown
from stalker.service.hooks.match import read_stored, wish_of
from stalker.service.queue.choose import choose
from stalker.service.queue.ending import record_end, report, succeed
from stalker.service.queue.expiry import remove_expired
from stalker.service.queue.prepare import start_build
from stalker.service.store import builds, deliveries

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.engine import Connection

    from stalker.service.site import Site
    from stalker.service.store.builds import Build

ATTEMPTS_MAX = 5
"""Starts of one build whose process died, or that found no engine."""

NO_ENGINE = 3
INTERRUPTED = 130
RETRY_S = 15.0
TURN_S = 0.05
IDLE_S = 30.0
"""At most this long until the disk and the configuration are looked at again."""

SWEEP_S = 600.0
"""Time between two looks for builds that are not kept any more."""


class Dispatcher:
    """Runs in a thread of its own between `start` and `stop`."""

    def __init__(self, site: Site) -> None:
        """Take the service; nothing runs yet."""
        self._site = site
        self._pool = ThreadPoolExecutor(8, thread_name_prefix="build")
        self._ended: SimpleQueue[str] = SimpleQueue()
        self._deadlines: dict[str, float] = {}
        self._kills: dict[str, float] = {}
        self._retries: dict[str, float] = {}
        self._timed_out: set[str] = set()
        self._busy: set[str] = set()
        self._swept_at = -SWEEP_S
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="dispatcher", daemon=True)

    def start(self) -> None:
        """Take up what an earlier service left, then begin."""
        self._recover()
        self._thread.start()

    def stop(self) -> None:
        """End the thread; builds go on by themselves."""
        self._stopping.set()
        self._site.wake.set()
        self._thread.join()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._site.wake.clear()
            try:
                self._turn()
            except Exception as error:  # noqa: BLE001 - one bad turn must not end the service
                self._site.trouble = f"{type(error).__name__}: {error}"
            self._site.wake.wait(self._until_next())
            self._stopping.wait(TURN_S)  # a thousand pushes at once are a few turns

    def _turn(self) -> None:
        self._end_gone()
        running = self._site.database.read(lambda connection: builds.in_state(connection, "running"))
        self._stop_some(running)
        self._requeue_due()
        self._accept_waiting()
        self._start_some([build for build in running if not build.is_ended])
        self._sweep()

    def _until_next(self) -> float:
        now = time.monotonic()
        times = [*self._deadlines.values(), *self._kills.values(), *self._retries.values()]
        return max(0.05, min([IDLE_S, *(at - now for at in times)]))

    # What is over

    def _recover(self) -> None:
        for build in self._site.database.read(lambda connection: builds.in_state(connection, "running")):
            places = self._site.places.build(build.id)
            if process.is_alive(places):
                used_s = max(0.0, time.time() - (build.started or time.time()))
                self._watch(build, max(1.0, self._site.service.limits.timeout_s - used_s))
            else:
                self._ended.put(build.id)

    def _watch(self, build: Build, timeout_s: float) -> None:
        self._deadlines[build.id] = time.monotonic() + timeout_s
        process.watch(self._site.places.build(build.id), functools.partial(self._note_end, build.id))

    def _note_end(self, build_id: str) -> None:
        self._ended.put(build_id)
        self._site.wake.set()

    def _end_gone(self) -> None:
        for build_id in self._gone():
            for table in (self._deadlines, self._kills):
                table.pop(build_id, None)
            build = self._site.database.read(functools.partial(builds.get, build_id=build_id))
            if build is not None and build.state == "running":
                self._in_pool(build, self._end)

    def _gone(self) -> list[str]:
        """Return the builds whose process is gone, but for those that are being worked on: these come later."""
        found = set()
        with contextlib.suppress(Empty):
            while True:
                found.add(self._ended.get_nowait())
        for build_id in found & self._busy:
            self._ended.put(build_id)
        return sorted(found - self._busy)

    def _end(self, build: Build) -> None:
        """Decide what becomes of a build whose process is gone."""
        places = self._site.places.build(build.id)
        code = process.exit_code(places)
        if code == 0:
            succeed(self._site, build)
        elif build.is_cancelled:
            record_end(self._site, build, "cancelled", exit_code=code, error="cancelled")
        elif build.id in self._timed_out:
            limit_s = self._site.service.limits.timeout_s
            record_end(
                self._site, build, "timeout", exit_code=code, error=f"took longer than {limit_s:.0f} s"
            )
        elif code in {None, INTERRUPTED, NO_ENGINE} and build.attempts < ATTEMPTS_MAX:
            self._again(build, code)
            return
        else:
            record_end(self._site, build, "error", exit_code=code, error=self._why(build))
        self._timed_out.discard(build.id)
        shutil.rmtree(places.checkout, ignore_errors=True)

    def _again(self, build: Build, code: int | None) -> None:
        if code == NO_ENGINE:
            self._retries[build.id] = time.monotonic() + RETRY_S
            return
        self._requeue(build.id, "interrupted; it goes on from the last committed step")

    def _requeue(self, build_id: str, why: str) -> None:
        self._site.database.write(lambda connection: builds.requeue(connection, build_id, why))
        self._site.wake.set()

    def _requeue_due(self) -> None:
        now = time.monotonic()
        for build_id in [one for one, at in self._retries.items() if at <= now]:
            del self._retries[build_id]
            self._requeue(build_id, "the engine did not answer; it is tried again")

    def _why(self, build: Build) -> str:
        """Return why a run failed: by its last event, else by what it wrote on stderr."""
        places = self._site.places.build(build.id)
        error = Progress().read_on(places.events).error
        if error:
            return error
        try:
            text = places.messages.read_bytes()[-4000:].decode("utf-8", "replace").strip()
        except FileNotFoundError:
            text = ""
        failed = [
            step.id for step in Progress().read_on(places.events).steps.values() if step.state == "failed"
        ]
        return text or f"failed: {', '.join(failed)}" if failed or text else "the process of the build died"

    # What has to stop

    def _stop_some(self, running: list[Build]) -> None:
        now = time.monotonic()
        for build in running:
            places = self._site.places.build(build.id)
            is_late = self._deadlines.get(build.id, now + 1) <= now
            if is_late:
                self._timed_out.add(build.id)
            if build.id in self._retries and build.is_cancelled:
                del self._retries[build.id]
                self._ended.put(build.id)
                self._site.wake.set()
            elif (is_late or build.is_cancelled) and build.id not in self._kills and process.is_alive(places):
                self._deadlines.pop(build.id, None)
                self._kills[build.id] = now + process.GRACE_S
                process.stop(places)
            elif self._kills.get(build.id, now + 1) <= now:
                self._kills[build.id] = now + process.GRACE_S
                process.stop(places, signal.SIGKILL)

    # What starts

    def _accept_waiting(self) -> None:
        """Queue deliveries that found the queue full."""
        for number, delivery in self._site.database.read(deliveries.waiting):
            project = self._site.service.project(delivery.project)
            wish, reason = None, "the project is not in the configuration any more"
            if project is not None and project.hook is not None:
                wish, reason = wish_of(project, read_stored(project.hook, delivery))
            receipt = self._site.database.write(
                functools.partial(
                    deliveries.settle,
                    number=number,
                    wish=wish,
                    reason=reason,
                    queued_max=self._site.service.limits.queued,
                )
            )
            if receipt.outcome == "waiting":
                return

    def _start_some(self, running: list[Build]) -> None:
        self._site.trouble = self._no_space()
        if self._site.trouble:
            return
        waiting, last = self._site.database.read(
            lambda connection: (builds.in_state(connection, "queued"), builds.last_starts(connection))
        )
        for build in choose(waiting, running, last, self._site.service.limits.parallel):
            claimed = self._site.database.write(functools.partial(self._claim, build_id=build.id))
            if claimed is not None:
                self._in_pool(claimed, self._begin)

    def _claim(self, connection: Connection, build_id: str) -> Build | None:
        build = builds.claim(connection, build_id)
        if build is not None and build.attempts == 1:
            report(connection, self._site, build)
        return build

    def _begin(self, build: Build) -> None:
        build = start_build(self._site, build)
        self._watch(build, self._site.service.limits.timeout_s)

    def _sweep(self) -> None:
        """Remove builds that are not kept any more, in a thread of the pool."""
        if time.monotonic() - self._swept_at >= SWEEP_S:
            self._swept_at = time.monotonic()
            self._pool.submit(remove_expired, self._site)

    def _no_space(self) -> str:
        free = shutil.disk_usage(_existing(self._site.places.root)).free
        least = self._site.service.limits.min_free_bytes
        if free >= least:
            return ""
        return f"no build starts: {size_text(free)} are free, min_free is {size_text(least)}"

    def _in_pool(self, build: Build, work: Callable[[Build], None]) -> None:
        """Do a part of a build in a thread of the pool; what it raises ends the build with that error."""

        def run() -> None:
            try:
                work(build)
            except StalkerError as error:
                record_end(self._site, build, "error", error=shown(error))
            except Exception as error:  # noqa: BLE001 - shown with the build; the service goes on
                record_end(self._site, build, "error", error=f"{type(error).__name__}: {error}")
            finally:
                self._busy.discard(build.id)
                self._site.wake.set()

        self._busy.add(build.id)
        self._pool.submit(run)


def _existing(path: Path) -> Path:
    return path if path.exists() else _existing(path.parent)
