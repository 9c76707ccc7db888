"""The cache as other processes leave it: many at once, killed in the middle, on a full disk."""

import hashlib
import os
import random
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from stalker.errors import InputError, NoRoom
from stalker.fetch.cache.cache import Cache
from stalker.fetch.cache.entry import Validators
from stalker.fetch.cache.maintenance import verify
from stalker.fetch.cache.request import Request
from stalker.fetch.http.patience import Patience
from unit.helpers.server import serving

BODY = os.urandom(2_000_000)
DIGEST = hashlib.sha256(BODY).hexdigest()

SCRIPT = """
import hashlib, sys
from pathlib import Path
from stalker.fetch.cache.cache import Cache
from stalker.fetch.http.patience import Patience
from stalker.fetch.cache.request import Request
folder, *urls = sys.argv[1:]
with Cache(Path(folder), patience=Patience(3, 20.0)) as cache:
    for url in urls:
        with cache.get(Request(url, use="any")) as file:
            print(hashlib.sha256(file.path.read_bytes()).hexdigest(), flush=True)
"""


def start(folder, *urls, script=SCRIPT):
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[4] / "lib")}
    return subprocess.Popen(
        [sys.executable, "-c", script, str(folder), *urls],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )


def digest(data):
    return hashlib.sha256(data).hexdigest()


def leftovers(folder):
    """Files that are no content, note, lock or index."""
    found = [path for path in folder.rglob("*") if path.is_file()]
    known = ("content", "sources", "locks")
    return [
        str(path.relative_to(folder))
        for path in found
        if path.relative_to(folder).parts[0] not in known and path.name != "index.sqlite3"
    ]


def test_ten_processes_on_one_cache(tmp_path):
    """All succeed, and the server is asked once for each file."""
    files = {f"f{number}": os.urandom(300_000 + number) for number in range(4)}
    with serving(**files) as served:
        urls = [f"{served.url}/{name}" for name in files]
        started = [start(tmp_path / "cache", *random.Random(seed).sample(urls, 4)) for seed in range(10)]
        ended = [process.communicate(timeout=100) for process in started]

        assert [process.returncode for process in started] == [0] * 10, ended
        assert served.gets() == 4
    wanted = sorted(map(digest, files.values()))
    assert [sorted(out.split()) for out, _ in ended] == [wanted] * 10
    entries = Cache(tmp_path / "cache").keeper.index.entries()
    assert sorted(entry.sha256 for entry in entries) == wanted
    assert sum(entry.used_count for entry in entries) == 40
    assert leftovers(tmp_path / "cache") == []


def test_a_killed_download_is_continued(tmp_path):
    """Kill -9 in the middle: its lock is gone with it, and only the rest is fetched."""
    with serving(file=BODY) as served:
        served.gate, served.slow_at = threading.Event(), 1_500_000
        process = start(tmp_path, f"{served.url}/file")
        assert served.reached.wait(60)
        parts = (tmp_path / "parts").glob
        while not (part := next(parts(".*.part"), None)) or part.stat().st_size < 1_000_000:
            assert process.poll() is None
        process.kill()
        process.communicate()
        served.gate.set()
        served.slow_at = 0
        kept = part.stat().st_size
        with Cache(tmp_path) as cache, cache.get(Request(f"{served.url}/file", sha256=DIGEST)) as file:
            assert file.path.read_bytes() == BODY

        assert served.ranges() == ["", f"bytes={kept}-"]
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize("seed", range(4))
def test_killed_at_random_moments(tmp_path, seed):
    """Whenever it is killed, what is in the cache is right, and nothing bad is ever given out."""
    chance = random.Random(seed)
    files = {f"f{number}": os.urandom(chance.randrange(1, 400_000)) for number in range(12)}
    right = {digest(data) for data in files.values()}
    with serving(**files) as served:
        urls = [f"{served.url}/{name}" for name in files]
        for _ in range(6):
            process = start(tmp_path, *chance.sample(urls, len(urls)))
            for _ in range(chance.randrange(0, 9)):
                process.stdout.readline()
            # a few thousand turns of this loop are somewhere within the next download
            for _ in range(chance.randrange(0, 200_000)):
                pass
            process.send_signal(signal.SIGKILL)
            out, _ = process.communicate()
            assert set(out.split()) <= right
            keeper = Cache(tmp_path).keeper
            for entry in keeper.index.entries():
                path = keeper.store.content_path(entry.sha256)
                assert not path.exists() or digest(path.read_bytes()) == entry.sha256
        process = start(tmp_path, *urls)
        out, err = process.communicate(timeout=60)

    assert process.returncode == 0, err
    assert out.split() == [digest(data) for data in files.values()]
    assert {one.state for one in verify(Cache(tmp_path).keeper)} <= {"ok", "found"}
    assert {entry.sha256 for entry in Cache(tmp_path).keeper.index.entries()} == right


INTERRUPTED = """
import sys
from pathlib import Path
from stalker.fetch.cache.cache import Cache
from stalker.fetch.cache.parallel import fetched_together
from stalker.fetch.cache.request import Request
with Cache(Path(sys.argv[1])) as cache:
    with fetched_together(cache, [Request(url) for url in sys.argv[2:]]):
        pass
"""


def test_ctrl_c_ends_all_downloads_at_once(tmp_path):
    """Servers that say nothing are not waited for, and what came is kept."""
    with serving(a=BODY, b=BODY[::-1]) as served:
        served.gate, served.slow_at = threading.Event(), 1_500_000
        process = start(tmp_path, f"{served.url}/a", f"{served.url}/b", script=INTERRUPTED)
        while served.most_at_once < 2:
            assert process.poll() is None
        parts = tmp_path / "parts"
        while sum(path.stat().st_size for path in parts.glob(".*.part")) < 2_000_000:
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=15)
        served.gate.set()

    assert "KeyboardInterrupt" in err
    assert len(list(parts.glob(".*.part"))) == 2


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 4 MB."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount")
    folder = tmp_path / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.mark.parametrize("trick", ["ok", "no-length"])
def test_a_full_disk_is_said_and_harms_nothing(small_disk, trick):
    """Whether or not the size is known beforehand; afterwards there is room again, and it works."""
    first, large = os.urandom(1_000_000), os.urandom(6_000_000)
    with serving(first=first, large=large) as served, Cache(small_disk, patience=Patience(1, 5.0)) as cache:
        with cache.get(Request(f"{served.url}/first")):
            pass
        served.tricks.append(trick)
        with pytest.raises(NoRoom) as caught:
            cache.get(Request(f"{served.url}/large"))
        served.files["/large"] = first[::-1]
        served.etag = '"smaller"'
        with cache.get(Request(f"{served.url}/large")) as file:
            assert file.path.read_bytes() == first[::-1]
        with cache.get(Request(f"{served.url}/first")) as file:
            assert file.path.read_bytes() == first

    assert isinstance(caught.value, InputError)
    assert str(small_disk) in caught.value.brief + caught.value.details
    assert "make room" in caught.value.resolution


def test_a_disk_too_full_for_the_index_costs_the_entry_and_not_the_download(small_disk):
    """The content is there; what could not be noted is found later."""
    body, said = os.urandom(500_000), []
    with serving(other=b"x") as served, Cache(small_disk, say=said.append) as cache:
        with cache.get(Request(f"{served.url}/other")):
            pass
        arrived = small_disk / "parts" / f".{'0' * 64}.part"
        arrived.write_bytes(body)
        free = os.statvfs(small_disk)
        (small_disk / "filler").write_bytes(bytes(free.f_bavail * free.f_frsize))
        wanted = Request("http://127.0.0.1:1/file")
        with cache.keeper.keep(arrived, wanted, digest(body), Validators(), since_s=0.0) as file:
            assert file.path.read_bytes() == body
        (small_disk / "filler").unlink()

        assert "could not note it: No space left on device" in said[-1]
        assert {one.state for one in verify(cache.keeper)} == {"ok", "found"}
        with cache.get(Request("http://127.0.0.1:1/x", sha256=digest(body))) as file:
            assert file.path.read_bytes() == body
