import os
import threading
from concurrent.futures import Future

import pytest

from stalker.errors import FilesError, InputError, Interrupted
from stalker.fetch.cache.cache import Cache
from stalker.fetch.cache.parallel import DEFAULT_CONCURRENCY, _raise_failures, fetched_together
from stalker.fetch.cache.request import Request
from stalker.fetch.http.patience import Patience
from unit.helpers.reporting import Seen
from unit.helpers.server import serving

FILES = {f"f{number}": os.urandom(1000 * (number + 1)) for number in range(12)}


def cache_in(folder):
    return Cache(folder, patience=Patience(1, 5.0, lambda _: None))


@pytest.mark.parametrize(("concurrency", "most"), [(1, 1), (4, 4), (0, DEFAULT_CONCURRENCY)])
def test_so_many_come_at_a_time(tmp_path, concurrency, most):
    """Counted at the server, which holds each answer back until it has seen as many as can be."""
    with serving(**FILES) as served, cache_in(tmp_path) as cache:
        served.gate = threading.Event()

        def count():
            while not done.is_set():
                if served.most_at_once >= most:
                    served.gate.set()
                done.wait(0.005)

        done = threading.Event()
        watcher = threading.Thread(target=count)
        watcher.start()
        try:
            wanted = [Request(f"{served.url}/{name}") for name in FILES]
            with fetched_together(cache, wanted, concurrency=concurrency) as files:
                got = [file.path.read_bytes() for file in files]
        finally:
            done.set()
            watcher.join()

    assert got == list(FILES.values())
    assert served.most_at_once == most


def test_one_that_fails_stops_the_others_and_keeps_what_came(tmp_path):
    """No thread is left, the error names the URL, and the next run goes on."""
    body = os.urandom(500_000)
    with serving(good=body) as served, cache_in(tmp_path) as cache:
        served.gate, served.slow_at = threading.Event(), 200_000

        def fail_late():
            served.reached.wait(10)
            served.files["/bad"] = None
            served.gate.set()

        wanted = [Request(f"{served.url}/good"), Request(f"{served.url}/bad")]
        thread = threading.Thread(target=fail_late)
        thread.start()
        with pytest.raises(InputError, match="404"), fetched_together(cache, wanted):
            pass
        thread.join()
        served.slow_at = 0

        assert not [one for one in threading.enumerate() if one.name.startswith("download")]
        with fetched_together(cache, wanted[:1]) as (file,):
            assert file.path.read_bytes() == body


def test_all_that_failed_are_named():
    """Not only the first; those that were stopped because of it do not count."""
    futures = [Future() for _ in range(4)]
    errors = [InputError("a is gone", "404"), Interrupted("stopped"), InputError("b is gone", "410")]
    for future, error in zip(futures, errors, strict=False):
        future.set_exception(error)
    futures[3].cancel()

    with pytest.raises(InputError) as caught:
        _raise_failures(futures)

    assert caught.value.brief == "2 of 4 downloads failed"
    assert caught.value.details == "a is gone\n  404\nb is gone\n  410"


def test_the_same_thing_twice_is_fetched_once(tmp_path):
    with serving(**FILES) as served, cache_in(tmp_path) as cache:
        wanted = [Request(f"{served.url}/f1")] * 5
        with fetched_together(cache, wanted) as files:
            assert {file.path.read_bytes() for file in files} == {FILES["f1"]}
        assert served.gets() == 1


def test_nothing_is_nothing(tmp_path):
    with cache_in(tmp_path) as cache, fetched_together(cache, []) as files:
        assert files == []


def test_a_broken_policy_is_told_once(tmp_path):
    (tmp_path / "policy.yaml").write_text("x: 1")
    with (
        cache_in(tmp_path) as cache,
        pytest.raises(FilesError),
        fetched_together(cache, [Request("http://x/")]),
    ):
        pass


def test_progress_adds_up(tmp_path):
    """Bytes of each and of all; all are done in the end."""
    seen = Seen()
    with serving(**FILES) as served, cache_in(tmp_path) as cache:
        wanted = [Request(f"{served.url}/{name}") for name in FILES]
        with fetched_together(cache, wanted, reporter=seen):
            pass

    last = [one for one in seen.tasks if one[0] == "all"][-1]
    total = sum(map(len, FILES.values()))
    assert last == ("all", total, total, True)
    assert {name for name, _, _, is_done in seen.tasks if is_done} == {"all", *FILES}
