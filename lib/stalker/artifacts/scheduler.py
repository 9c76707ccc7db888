"""The artifacts of a run: each is made as soon as its image is there, next to steps that still run."""

from __future__ import annotations

import os
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

from stalker.artifacts.provenance import made_of, revision, tools
from stalker.artifacts.publish import Made, Origin, make_artifact
from stalker.artifacts.store import leftovers, shelf_of, sweep_alone
from stalker.errors import Interrupted, NoEngine, StalkerError
from stalker.model import events
from stalker.model.artifacts import Disk

if TYPE_CHECKING:
    from pathlib import Path

    from stalker.artifacts.context import Workshop
    from stalker.model.artifacts import ArtifactId
    from stalker.model.tree import StepId
    from stalker.plan.plan import ArtifactAction, Plan
    from stalker.run.scheduler import RunResult

_STOPPED = ("interrupted", "what was published stays", "the next run goes on from there")


class ArtifactScheduler:
    """Makes what a plan says, `jobs` at a time."""

    def __init__(
        self, plan: Plan, workshop: Workshop, cache: Path, *, jobs: int, keep_going: bool, wait: bool
    ) -> None:
        self._plan = plan
        self._workshop = workshop
        self._cache = cache
        self._keep_going = keep_going
        self._wait = wait
        self._lock = threading.RLock()
        self._waiting: dict[ArtifactId, ArtifactAction] = {one.id: one for one in plan.to_make}
        self._images: dict[StepId, str] = {}
        self._futures: list[Future[None]] = []
        self._made: list[ArtifactId] = []
        self._unmade: dict[ArtifactId, str] = {}
        self._error: StalkerError | None = None
        self._pool = ThreadPoolExecutor(jobs, thread_name_prefix="stalker-artifact")
        self._source: dict[str, Any] | None = None

    def start(self) -> None:
        """Begin with those whose images are there; what the others need of tools is made before.

        Raises:
            StalkerError: the toolbox cannot be made.
        """
        self._make_toolboxes()
        for action in self._plan.artifacts.values():
            if action.verdict == "REUSE":
                shelf = shelf_of(self._workshop.tree, action.artifact, self._cache)
                if leftovers(shelf):
                    sweep_alone(shelf, self._workshop)
        with self._lock:
            for action in self._plan.artifacts.values():
                if action.verdict == "BLOCKED":
                    self._block(action.id, action.reason)
            for action in self._waiting.values():
                if action.image and action.step is not None:
                    self._images[action.step] = action.image
            self._submit()

    def _make_toolboxes(self) -> None:
        """Make the images of tools here, in the main thread: Ctrl-C stops it as it stops any run."""
        toolbox = self._workshop.toolbox
        if toolbox is None:
            return
        booted = any(one.artifact.boot_test for one in self._plan.to_make)
        if booted or any(isinstance(one.artifact.kind, Disk) for one in self._plan.to_make):
            toolbox.image_of("toolbox")
        if booted:
            toolbox.image_of("toolbox_qemu")

    def step_done(self, step: StepId, image: str) -> None:
        """Take that the image of a step is there now."""
        with self._lock:
            self._images[step] = image
            self._submit()

    def stop(self) -> None:
        """Stop what is being made; `finish` waits for that. Any thread may call it."""
        self._workshop.cancel.set()

    def finish(self, result: RunResult) -> None:
        """Wait for what is being made, and add what became of all to the result of the run."""
        if result.error is not None:
            self._workshop.cancel.set()
        with self._lock:
            is_over = result.error is not None or (bool(result.failed) and not self._keep_going)
            for name, action in list(self._waiting.items()):
                if is_over or action.step not in self._images:
                    self._block(name, _cause(action, result))
        try:
            self._wait_for_all()
        except KeyboardInterrupt:
            self._workshop.cancel.set()
            text = "stopping what is being published; Ctrl-C again ends at once"
            self._workshop.emit(events.Note(time.time(), text))
            try:
                self._wait_for_all()
            except KeyboardInterrupt:
                os._exit(130)
            self._error = Interrupted(*_STOPPED)
        if self._workshop.cancel.is_set() and self._unmade:
            self._error = self._error or Interrupted(*_STOPPED)
        result.made += self._made
        result.unmade += [name for name in self._plan.artifacts if name in self._unmade]
        result.error = result.error or self._error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Stop what still goes on when the run itself failed."""
        if kind is not None:
            self._workshop.cancel.set()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _wait_for_all(self) -> None:
        while True:
            with self._lock:
                open_ones = [future for future in self._futures if not future.done()]
                if not open_ones:
                    for name in list(self._waiting):
                        self._block(name, "what it holds was not made")
                    return
            wait(open_ones)

    def _submit(self) -> None:
        """Start what is ready; the lock is held."""
        for name, action in list(self._waiting.items()):
            if action.step not in self._images:
                continue
            bad = next((held for held in action.holds if held in self._unmade), None)
            if bad is not None:
                self._block(name, f"artifact {bad} was not made")
            elif any(held in self._waiting or self._is_open(held) for held in action.holds):
                continue
            elif self._unmade and not self._keep_going:
                self._block(name, f"{next(iter(self._unmade))} was not made, and --keep-going was not given")
            else:
                del self._waiting[name]
                ready = replace(action, image=self._images[action.step])
                self._futures.append(self._pool.submit(self._make, ready))

    def _is_open(self, name: ArtifactId) -> bool:
        """Return whether an artifact is being made at this moment."""
        action = self._plan.artifacts.get(name)
        is_planned = action is not None and action.verdict in {"MAKE", "PROVE"}
        return is_planned and name not in self._made and name not in self._unmade

    def _make(self, action: ArtifactAction) -> None:
        """Make one, emit what became of it, and start what waited for it."""
        began_s = time.time()
        finished = events.ArtifactFinished(began_s, action.id, "failed", 0.0)
        try:
            self._workshop.check()
            self._workshop.emit(events.ArtifactStarted(began_s, action.id, action.verdict, action.reason))
            made = make_artifact(action, self._workshop, self._cache, self._origin(action), wait=self._wait)
            finished = self._outcome(made, finished)
        except Interrupted:
            finished = replace(finished, state="cancelled", brief="the user stopped the run")
        except StalkerError as error:
            finished = replace(
                finished, brief=error.brief, details=error.details, resolution=error.resolution
            )
            if isinstance(error, NoEngine):
                self._error = self._error or error
        except Exception as error:  # noqa: BLE001  reported as the bug that it is
            import traceback

            finished = replace(
                finished, brief=f"{error!r}", details=f"this is a bug in stalker\n{traceback.format_exc()}"
            )
        finally:
            now_s = time.time()
            self._workshop.emit(replace(finished, at=now_s, duration_s=now_s - began_s))
            with self._lock:
                if finished.state == "done":
                    self._made.append(action.id)
                else:
                    self._unmade[action.id] = finished.brief
                self._submit()

    def _outcome(self, made: Made, finished: events.ArtifactFinished) -> events.ArtifactFinished:
        path = self._shown(made.folder)
        if made.state == "done":
            return replace(finished, state="done", path=path, size_bytes=made.size_bytes)
        proof = made.proof
        assert proof is not None
        return replace(
            finished,
            state="unproven",
            path=path,
            size_bytes=made.size_bytes,
            brief=proof.refused,
            details=proof.details,
            resolution=proof.resolution,
            last_lines=proof.last_lines,
            log=f"{path}/boot.log" if proof.has_log else "",
        )

    def _shown(self, folder: Path) -> str:
        """Return a path as the user would type it from the workspace."""
        with suppress(ValueError):
            return str(folder.relative_to(self._workshop.workspace))
        return str(folder)

    def _origin(self, action: ArtifactAction) -> Origin:
        with self._lock:
            if self._source is None:
                self._source = revision(self._workshop.tree)
            images = dict(self._images)
        assert action.step is not None
        return Origin(made_of(self._plan, action.step, images), self._source, tools(action.artifact))

    def _block(self, name: ArtifactId, cause: str) -> None:
        """Give up an artifact that cannot be made in this run; the lock is held."""
        self._waiting.pop(name, None)
        self._unmade[name] = cause
        self._workshop.emit(events.ArtifactFinished(time.time(), name, "blocked", 0.0, brief=cause))


def _cause(action: ArtifactAction, result: RunResult) -> str:
    if result.error is not None:
        return result.error.brief
    if action.step in result.failed:
        return f"{action.step} failed"
    if result.failed:
        return f"{result.failed[0]} failed"
    return f"{action.step} did not run"
