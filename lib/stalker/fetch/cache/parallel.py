"""Several downloads at once, as one: all of them are there in the end, or an error and no thread left."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass

from stalker.errors import InputError, Interrupted, StalkerError
from stalker.fetch.cache.cache import Cache
from stalker.fetch.cache.request import Fetched, Request
from stalker.fetch.http.stop import Stop
from stalker.fetch.urls import file_name
from stalker.io.progress import Group, Reporter, Silent, Task

DEFAULT_CONCURRENCY = 5
"""Downloads at a time by default, as in the original kantoo-devkit."""


@dataclass(frozen=True, slots=True)
class Job:
    """Something that is fetched in another way, such as a container image; `run` ends early once it is stopped."""

    name: str
    run: Callable[[Task, Stop], Fetched]


@contextlib.contextmanager
def fetched_together(
    cache: Cache,
    wanted: Sequence[Request | Job],
    *,
    concurrency: int = 0,
    reporter: Reporter | None = None,
) -> Iterator[list[Fetched]]:
    """Yield all files in the order in which they were asked for; they are closed at the end.

    `concurrency` is how many are fetched at a time, 0 for the default. `reporter` gets a task for each download
    and one for all of them together, from their threads, one call at a time.
    When one is not available the others are stopped: what came of them is kept and continued by the next
    run. The same holds for Ctrl-C.

    Raises:
        InputError: something is not available; the details name all that failed.
    """
    assert cache.keeper.policy  # what is wrong in it is reported once
    stop = Stop()
    names = [one.name if isinstance(one, Job) else file_name(one.source) for one in wanted]
    group = Group("all", names, reporter or Silent())
    with contextlib.ExitStack() as files:
        futures: list[Future[Fetched]] = []
        pool = ThreadPoolExecutor(max(1, concurrency or DEFAULT_CONCURRENCY), "download")
        try:
            futures = [
                pool.submit(_fetch, cache, one, task, stop)
                for one, task in zip(wanted, group.parts, strict=True)
            ]
            wait(futures, return_when=FIRST_EXCEPTION)
        finally:
            stop.set()
            pool.shutdown(wait=True, cancel_futures=True)
            done = [one for one in futures if not one.cancelled() and one.exception() is None]
            for future in done:
                files.callback(future.result().close)
        _raise_failures(futures)
        yield [future.result() for future in futures]


def _fetch(cache: Cache, wanted: Request | Job, task: Task, stop: Stop) -> Fetched:
    if stop.is_set():
        raise Interrupted("the download was stopped")
    file = wanted.run(task, stop) if isinstance(wanted, Job) else cache.get(wanted, task=task, stop=stop)
    task.end(file.size_bytes)
    return file


def _raise_failures(futures: Sequence[Future[Fetched]]) -> None:
    """Raise what failed, with all the others that failed on their own; the stopped ones do not count."""
    found = [one.exception() for one in futures if not one.cancelled() and one.exception() is not None]
    own = [error for error in found if not isinstance(error, Interrupted)]
    for error in own:
        if not isinstance(error, StalkerError):
            raise error  # type: ignore[misc]
    inputs = [error for error in own if isinstance(error, StalkerError)]
    if len(inputs) == 1:
        raise inputs[0]
    if inputs:
        raise InputError(
            f"{len(inputs)} of {len(futures)} downloads failed",
            "\n".join(f"{error.brief}\n  {error.details}" for error in inputs),
            inputs[0].resolution,
        )
    for error in found:
        assert error is not None
        raise error
