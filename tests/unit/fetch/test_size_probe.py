import gzip
import io
import lzma
import os
import subprocess
import threading
import zipfile

import pytest

from stalker.errors import InputError, NotReached
from stalker.fetch.cache.cache import Cache
from stalker.fetch.cache.policy_file import parse_policy
from stalker.fetch.cache.request import Request
from stalker.fetch.http.patience import Patience
from stalker.fetch.size_probe import RemoteSize, SizeAsked, size_of, sizes_of
from stalker.model.card import Digest, Source
from unit.helpers.server import serving

BODY = os.urandom(100_000)
RANGES = {"Accept-Ranges": "bytes"}


@pytest.fixture
def cache(tmp_path):
    with Cache(tmp_path / "cache", patience=Patience(1, 30.0, lambda _: None)) as made:
        yield made


def zstd(data, folder):
    path = folder / "to-pack"
    path.write_bytes(data)
    return subprocess.run(["zstd", "-qc", path], capture_output=True, check=True).stdout


def zipped(data):
    with io.BytesIO() as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("a.img", data)
            archive.writestr("readme", b"hello")
        return file.getvalue()


def test_one_question_for_the_head_is_enough_for_a_server_that_can_be_believed(cache):
    with serving(a=BODY) as served:
        served.headers = RANGES

        assert size_of(Source(f"{served.url}/a"), cache) == RemoteSize(len(BODY), accepts_ranges=True)
        assert [one[0] for one in served.asked] == ["HEAD"]


@pytest.mark.parametrize("head", ["405", "404", "403", "501", "no-length", "short 100000", "short 7"])
def test_a_server_that_refuses_the_head_or_lies_is_asked_for_a_byte(cache, head):
    """It says how large the whole is."""
    with serving(a=BODY) as served:
        served.tricks.append(head)

        assert size_of(Source(f"{served.url}/a"), cache) == RemoteSize(len(BODY), accepts_ranges=True)
        assert served.asked[1:] == [("GET", "/a", "bytes=0-0")]


def test_a_server_without_parts_tells_its_length_or_nothing(cache):
    """All of it is not fetched to know."""
    with serving(a=BODY) as served:
        served.has_ranges = False
        assert size_of(Source(f"{served.url}/a"), cache) == RemoteSize(len(BODY))
        served.tricks.extend(["no-length", "no-length"])
        assert size_of(Source(f"{served.url}/a"), cache) == RemoteSize(None)
        served.tricks.extend(["405", "chunked"])
        assert size_of(Source(f"{served.url}/a"), cache) == RemoteSize(None)


def test_the_length_of_something_packed_for_the_way_is_none(cache):
    with serving(a=BODY) as served:
        served.has_ranges, served.headers = False, {"Content-Encoding": "gzip"}

        assert size_of(Source(f"{served.url}/a"), cache).size_bytes is None


def test_a_redirect_is_followed(cache):
    with serving(a=BODY) as served, serving() as first:
        first.redirects["/x"] = f"{served.url}/a"

        assert size_of(Source(f"{first.url}/x"), cache).size_bytes == len(BODY)


@pytest.mark.parametrize(
    ("tricks", "kind"), [(["404"] * 2, InputError), (["503"] * 4, NotReached), (["429"] * 4, NotReached)]
)
def test_what_is_not_to_be_had_is_told(cache, tricks, kind):
    with serving(a=BODY) as served:
        served.tricks.extend(tricks)

        with pytest.raises(kind, match=f"/a: the server answers {tricks[0]}") as caught:
            size_of(Source(f"{served.url}/a?key=hidden"), cache)
    assert type(caught.value) is kind
    assert "hidden" not in caught.value.details


def test_a_server_that_is_busy_is_asked_again(cache):
    with serving(a=BODY) as served:
        served.tricks.extend(["429", "ok", "503"])

        assert size_of(Source(f"{served.url}/a"), cache).size_bytes == len(BODY)


def test_mirrors_are_asked_in_turn(cache):
    with serving(a=BODY) as served:
        source = Source(f"{served.url}/gone", None, (f"{served.url}/gone2", f"{served.url}/a"))
        assert size_of(source, cache).size_bytes == len(BODY)
        with pytest.raises(InputError, match="nor at its mirrors") as caught:
            size_of(Source(f"{served.url}/gone", None, (f"{served.url}/gone2",)), cache)
    assert caught.value.details.count("404") == 2


def test_all_that_failed_are_named(cache):
    """Each once, however often it is asked for."""
    with serving(a=BODY) as served:
        names = ["a", "x", "y", "x"]
        with pytest.raises(InputError, match="2 of 3 sources") as caught:
            sizes_of([Source(f"{served.url}/{name}") for name in names], cache)
        assert [one.size_bytes for one in sizes_of([Source(f"{served.url}/a")] * 3, cache)] == [len(BODY)] * 3
    assert "/x: the server answers 404" in caught.value.details
    assert "/y: the server answers 404" in caught.value.details


def test_so_many_are_asked_for_at_a_time(cache):
    with serving(**{f"f{number}": BODY for number in range(8)}) as served:
        served.headers, served.gate = RANGES, threading.Event()
        done = threading.Event()

        def count():
            while not done.is_set():
                if served.most_at_once >= 3:
                    served.gate.set()
                done.wait(0.005)

        watcher = threading.Thread(target=count)
        watcher.start()
        try:
            found = sizes_of([Source(f"{served.url}/f{number}") for number in range(8)], cache, concurrency=3)
        finally:
            done.set()
            watcher.join()
    assert len(found) == 8
    assert served.most_at_once == 3


@pytest.mark.parametrize("is_local", [True, False])
@pytest.mark.parametrize("ending", ["xz", "zst", "gz", "zip", "img"])
def test_what_is_packed_tells_its_size_by_its_ends(cache, tmp_path, ending, is_local):
    """The same of a file here and of one there, where little of it is fetched."""
    data = os.urandom(50_000) * 6
    packed = {
        "xz": lzma.compress, "gz": gzip.compress, "zip": zipped, "zst": lambda one: zstd(one, tmp_path), "img": bytes,
    }[ending](data)  # fmt: skip
    with serving(**{f"a.{ending}": packed}) as served:
        path = tmp_path / f"a.{ending}"
        path.write_bytes(packed)
        source = Source(path.as_uri() if is_local else f"{served.url}/a.{ending}")

        found = size_of(SizeAsked(source, image_only=True), cache)

    unpacked = {"img": None}.get(ending, len(data))
    assert (found.size_bytes, found.unpacked_bytes) == (len(packed), unpacked)
    assert found.is_unpacked_exact == (ending in {"xz", "zip"})
    assert sum(one[0] == "GET" for one in served.asked) <= 4


def test_a_name_need_not_tell_that_something_is_packed(cache):
    with serving(a=lzma.compress(bytes(1000))) as served:
        url = Source(f"{served.url}/a")

        assert size_of(SizeAsked(url), cache).unpacked_bytes is None
        assert size_of(SizeAsked(url, is_packed=True), cache).unpacked_bytes == 1000


def test_a_server_that_changes_its_mind_about_parts_tells_what_it_can(cache):
    """It said that it has them, or how large the file is, and then it is otherwise."""
    packed = lzma.compress(BODY)
    with serving(**{"a.xz": packed}) as served:
        served.headers, served.has_ranges = RANGES, False
        assert size_of(Source(f"{served.url}/a.xz"), cache) == RemoteSize(len(packed))
        served.has_ranges = True
        served.tricks.append("long 9")
        assert size_of(Source(f"{served.url}/a.xz"), cache) == RemoteSize(len(packed), accepts_ranges=True)


def test_what_is_in_the_cache_and_fresh_needs_no_request(tmp_path):
    """By its age, or by its digest."""
    packed = lzma.compress(BODY)
    with serving(**{"a.xz": packed}) as served:
        for policy, digest in (("check_after: 1d", None), ("", Digest("sha256", None))):
            with Cache(tmp_path / str(bool(policy)), policy=parse_policy(policy, "p")) as cache:
                with cache.get(Request(f"{served.url}/a.xz")) as file:
                    told = Digest("sha256", file.sha256) if digest else None
                served.asked.clear()

                found = size_of(Source(f"{served.url}/a.xz", told), cache)

                assert (found.size_bytes, found.unpacked_bytes) == (len(packed), len(BODY))
                assert served.asked == []


def test_a_server_that_is_gone_costs_nothing_when_a_copy_is_there(tmp_path):
    """It is asked once; what is not in the cache is asked for again, with pauses."""
    pauses = []
    with serving(a=BODY) as served, Cache(tmp_path) as cache:
        cache.get(Request(f"{served.url}/a")).close()
    with Cache(tmp_path, patience=Patience(2, 5.0, pauses.append)) as cache:
        assert size_of(Source(f"{served.url}/a"), cache).size_bytes == len(BODY)
        assert pauses == []
        with pytest.raises(NotReached):
            size_of(Source(f"{served.url}/b"), cache)
        assert pauses == [1.0, 2.0]


def test_a_metalink_tells_the_size(cache):
    text = '<metalink xmlns="urn:ietf:params:xml:ns:metalink"><file name="a.zim"><size>7</size><url>http://a/b</url></file></metalink>'
    with serving(**{"a.zim.meta4": text.encode()}) as served:
        assert size_of(Source(f"{served.url}/a.zim.meta4"), cache).size_bytes == 7
        assert [one[0] for one in served.asked] == ["GET"]


def test_a_file_that_is_not_there_is_told(cache, tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        size_of(Source(str(tmp_path / "none")), cache)
