import base64
import hashlib
import os
import tempfile
import threading
from pathlib import Path

import httpx
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from stalker.errors import InputError, Interrupted, NotGenuine, NotReached
from stalker.fetch.http.client import keep_credentials, new_client
from stalker.fetch.http.download import Order, Transfer
from stalker.fetch.http.partial_file import Partial
from stalker.fetch.http.patience import Patience
from stalker.fetch.http.stop import Stop
from stalker.io.hashing import digests_of
from unit.helpers.reporting import calling
from unit.helpers.server import serving

BODY = os.urandom(700_000)
NEW = BODY[::-1]
DIGEST = hashlib.sha256(BODY).hexdigest()


class Run:
    """Transfers into one part, with what was said, the pauses and the sizes that were reported."""

    def __init__(self, folder):
        self.target = folder / "x"
        self.said, self.pauses, self.sizes = [], [], []
        self.stop = Stop()

    def __call__(self, *urls, retries=3, **more):
        part = Partial(self.target, urls[0])
        transfer = Transfer(
            Order(urls, **more),
            part,
            say=self.said.append,
            task=calling(lambda size, total: self.sizes.append((size, total))),
            patience=Patience(retries, 5.0, self.pauses.append),
            stop=self.stop,
        )
        with new_client(5.0) as client:
            digest = transfer.run(client)
        assert digests_of(part.path).sha256 == digest
        return digest

    def left(self):
        return sorted(path.name for path in self.target.parent.iterdir())


@pytest.fixture
def run(tmp_path):
    return Run(tmp_path)


def test_mirrors_are_tried_in_turn_without_a_pause(run):
    """The first is down, the second stumbles, the third gives it; only a whole round costs a pause."""
    with serving() as dead:
        pass
    with serving(file=BODY) as first, serving(file=BODY) as second:
        first.tricks.extend(["503", "503"])
        second.tricks.extend(["500"])
        digest = run(*(f"{one.url}/file" for one in (dead, first, second)))

        assert (first.gets(), second.gets()) == (2, 2)
    assert digest == DIGEST
    assert run.pauses == [1.0]


def test_a_mirror_that_refuses_is_not_asked_again(run):
    """404 there, all of it here."""
    with serving() as first, serving(file=BODY) as second:
        digest = run(f"{first.url}/file", f"{second.url}/file")

        assert (first.gets(), second.gets()) == (1, 1)
    assert digest == DIGEST
    assert run.pauses == []


def test_when_all_mirrors_refuse_each_is_named(run):
    """With what it answered."""
    with serving() as first, serving() as second:
        second.tricks.append("403")
        with pytest.raises(InputError) as caught:
            run(f"{first.url}/file", f"{second.url}/file")

    assert "404" in caught.value.details
    assert "403" in caught.value.details


def test_a_mirror_with_other_content_is_passed_over(run):
    """Its digest is wrong, the next one's is right."""
    with serving(file=NEW) as first, serving(file=BODY) as second:
        digest = run(f"{first.url}/file", f"{second.url}/file", sha256=DIGEST)

    assert digest == DIGEST
    assert any("another SHA-256" in line for line in run.said)


def test_when_all_mirrors_have_other_content_nothing_is_kept(run):
    """Not genuine, rather than not available."""
    with serving(file=NEW) as first, serving() as second, pytest.raises(NotGenuine) as caught:
        run(f"{first.url}/file", f"{second.url}/file", sha256=DIGEST)

    assert DIGEST in caught.value.details
    assert hashlib.sha256(NEW).hexdigest() in caught.value.details
    assert run.left() == []


def test_another_mirror_goes_on_where_the_first_broke_off(run):
    """With a known digest its own ETags do not matter."""
    with serving(file=BODY) as first, serving(file=BODY) as second:
        first.tricks.extend(["cut 300000"])
        second.etag = '"its own"'
        digest = run(f"{first.url}/file", f"{second.url}/file", sha256=DIGEST)

        assert second.ranges() == ["bytes=300000-"]
    assert digest == DIGEST


def test_without_a_digest_two_mirrors_are_never_glued_together(run):
    """The second one has another version: all of it is taken from there."""
    with serving(file=BODY) as first, serving(file=NEW) as second:
        first.tricks.extend(["cut 300000"])
        second.etag = '"its own"'
        digest = run(f"{first.url}/file", f"{second.url}/file")

    assert digest == hashlib.sha256(NEW).hexdigest()


def test_other_content_for_a_range_is_found_out(run):
    """The digest shows it; one whole fetch repairs it, and only one is tried."""
    with serving(file=BODY) as served:
        served.tricks.extend(["cut 300000", "other-bytes"])
        digest = run(f"{served.url}/file", sha256=DIGEST)

        assert served.ranges() == ["", "bytes=300000-", ""]
    assert digest == DIGEST


def test_content_that_is_wrong_each_time_ends(run):
    """A server that always lies is not asked for ever."""
    with serving(file=BODY) as served:
        served.tricks.extend(["cut 300000", "other-bytes"] * 9)
        with pytest.raises(NotGenuine):
            run(f"{served.url}/file", sha256=DIGEST)

        assert served.gets() == 4
    assert run.left() == []


def test_a_range_of_another_version_is_not_taken(run):
    """The server ignores If-Range and sends a piece under a new ETag."""
    with serving(file=BODY) as served:
        served.tricks.extend(["cut 300000", "new-etag"])
        digest = run(f"{served.url}/file")

        assert served.ranges() == ["", "bytes=300000-", ""]
    assert digest == DIGEST


def test_an_etag_that_changes_in_between_starts_over(run):
    """If-Range gets all of the new version."""
    with serving(file=BODY) as served:
        served.tricks.extend(["cut 300000"])
        served.gate = threading.Event()
        served.gate.set()

        def pause(_seconds):
            served.files["/file"], served.etag = NEW, '"v2"'

        run.pauses = type("Pauses", (), {"append": staticmethod(pause)})()
        digest = run(f"{served.url}/file")

    assert digest == hashlib.sha256(NEW).hexdigest()


@pytest.mark.parametrize("how", ["wanted", "told", "unknown"])
def test_a_redirect_to_another_mirror_goes_on_when_the_digest_is_known(run, how):
    """Each mirror behind a redirector has ETags of its own."""
    with serving(file=BODY) as served:
        served.redirects["/x"] = "/file"
        told = base64.b64encode(bytes.fromhex(DIGEST)).decode()
        served.headers = {"Digest": f"SHA-256={told}"} if how == "told" else {}
        served.tricks.extend(["ok", "cut 300000"])

        def pause(_seconds):
            served.etag = '"of another mirror"'

        run.pauses = type("Pauses", (), {"append": staticmethod(pause)})()
        digest = run(f"{served.url}/x", sha256=DIGEST if how == "wanted" else "")
        sent = [start for _, path, start in served.asked if path == "/file"]

    assert digest == DIGEST
    assert sent == ["", "bytes=300000-"]
    assert run.sizes[-1][0] == len(BODY)
    assert (min(size for size, _ in run.sizes[-3:]) > 300_000) or how == "unknown"


@pytest.mark.parametrize("has_digest", [True, False])
def test_a_part_that_was_whole_but_not_named_costs_one_byte(run, has_digest):
    """A kill between the last byte and the name: the next run asks for the last byte alone."""
    with serving(file=BODY) as served:
        run(f"{served.url}/file")
        assert run.left() == [".x.part", ".x.part.json"]
        digest = run(f"{served.url}/file", sha256=DIGEST if has_digest else "")

        assert served.ranges() == ["", f"bytes={len(BODY) - 1}-"]
    assert digest == DIGEST


@pytest.mark.parametrize("text", ["{", "[]", '{"url": 1}', "", '{"url": "x", "total_bytes": null}'])
def test_a_part_whose_note_is_broken_is_not_continued(run, text):
    with serving(file=BODY) as served:
        run.target.with_name(".x.part").write_bytes(b"rubbish")
        run.target.with_name(".x.part.json").write_text(text)

        assert run(f"{served.url}/file") == DIGEST
        assert served.ranges() == [""]


def test_a_stopped_download_is_continued_later(run):
    """Ctrl-C in the middle keeps what came."""
    with serving(file=BODY) as served:
        served.gate, served.slow_at = threading.Event(), 300_000
        thread_error = []

        def work():
            try:
                run(f"{served.url}/file")
            except Interrupted as error:
                thread_error.append(error)

        thread = threading.Thread(target=work)
        thread.start()
        assert served.reached.wait(10)
        run.stop.set()
        served.gate.set()
        thread.join(10)
        run.stop.clear()
        served.slow_at = 0
        kept = run.target.with_name(".x.part").stat().st_size
        digest = run(f"{served.url}/file")

        assert served.ranges() == ["", f"bytes={kept}-"]
    assert len(thread_error) == 1
    assert 0 < kept < len(BODY)
    assert digest == DIGEST


def test_progress_tells_bytes_and_the_whole(run):
    """A continued download counts what was there."""
    with serving(file=BODY) as served:
        served.tricks.append("cut 300000")
        run(f"{served.url}/file")

    sizes = [size for size, _ in run.sizes]
    assert sizes == sorted(sizes)
    assert run.sizes[-1] == (len(BODY), len(BODY))


def test_a_server_that_is_never_heard_of_again_ends(run):
    """It accepts and says nothing: the time-out counts as one failure."""
    import socket

    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/x"
        part = Partial(run.target, url)
        transfer = Transfer(Order((url,)), part, patience=Patience(0, 0.2, run.pauses.append))
        with new_client(0.2) as client, pytest.raises(NotReached):
            transfer.run(client)


def test_redirects_in_a_circle_end(run):
    with serving() as served:
        served.redirects["/a"] = "/a"
        with pytest.raises(InputError, match="cannot be fetched"):
            run(f"{served.url}/a")


@pytest.mark.parametrize("where", ["head", "body"])
def test_stopping_wakes_who_waits_for_a_silent_server(run, where):
    """Long before the time-out of the connection."""
    with serving(file=BODY) as served:
        served.gate = threading.Event()
        served.slow_at = 300_000 if where == "body" else 0
        part = Partial(run.target, f"{served.url}/file")
        transfer = Transfer(Order((f"{served.url}/file",)), part, stop=run.stop)
        ended = []

        def work():
            with new_client(60.0) as client:
                try:
                    transfer.run(client)
                except Interrupted as error:
                    ended.append(error)

        thread = threading.Thread(target=work)
        thread.start()
        while not served.asked or (where == "body" and not served.reached.is_set()):
            assert thread.is_alive()
        run.stop.set()
        thread.join(10)
        served.gate.set()

    assert len(ended) == 1


def asked_of(handler, *urls, **more):
    """Run a transfer against servers that are functions, and return the requests they saw."""
    seen = []

    def answer(request):
        seen.append(request)
        return handler(request)

    with (
        tempfile.TemporaryDirectory() as folder,
        httpx.Client(
            transport=httpx.MockTransport(answer),
            follow_redirects=True,
            event_hooks={"request": [keep_credentials]},
        ) as client,
    ):
        transfer = Transfer(Order(urls, **more), Partial(Path(folder) / "x", urls[0]), patience=Patience(0))
        try:
            transfer.run(client)
        except InputError as error:
            return seen, error
    return seen, None


def test_a_redirect_from_https_to_http_is_refused():
    """What comes over http can be changed on its way."""

    def answer(request):
        if request.url.scheme == "https":
            return httpx.Response(302, headers={"Location": "http://b/x"})
        return httpx.Response(200, stream=httpx.ByteStream(BODY))

    _, error = asked_of(answer, "https://a/x")
    _, fine = asked_of(answer, "http://a/x")

    assert "leads from https to http" in error.brief
    assert fine is None


def test_headers_go_to_the_first_host_alone():
    """A mirror gets no token, nor does a host that is redirected to."""

    def answer(request):
        if request.url.host == "a":
            return httpx.Response(302, headers={"Location": "https://c/x"})
        return httpx.Response(503 if request.url.host == "c" else 200, stream=httpx.ByteStream(BODY))

    given = {"Authorization": "Bearer geheim", "Private-Token": "geheim"}
    seen, error = asked_of(answer, "https://a:443/x", "https://b/x", headers=given)

    assert error is None
    assert all(("authorization" in one.headers) == ("private-token" in one.headers) for one in seen)
    assert [(one.url.host, "authorization" in one.headers) for one in seen] == [
        ("a", True),
        ("c", False),
        ("b", False),
    ]


TRICKS = [
    "ok",
    "cut 1",
    "cut 9000",
    "cut 0",
    "503",
    "429",
    "404",
    "other-range",
    "other-bytes",
    "new-etag",
    "long 7",
    "short 7",
    "no-length",
    "chunked",
]


@settings(deadline=None, max_examples=30)
@given(
    st.lists(st.sampled_from(TRICKS), max_size=8),
    st.lists(st.sampled_from(TRICKS), max_size=8),
    st.booleans(),
    st.booleans(),
)
@example(["404"], ["cut 1", "404"], False, False)
def test_whatever_servers_do_it_is_the_right_file_or_an_error(
    first_tricks, second_tricks, has_ranges, is_given_up
):
    """Two mirrors that fail in any order, over two runs: never anything but the whole file under its digest."""
    body = BODY[:30_000]
    wanted = hashlib.sha256(body).hexdigest()
    found = ""
    with tempfile.TemporaryDirectory() as folder, serving(file=body) as first, serving(file=body) as second:
        run = Run(Path(folder))
        first.tricks.extend(first_tricks)
        second.tricks.extend(second_tricks)
        second.etag, second.has_ranges = '"second"', has_ranges
        for _ in range(2):
            try:
                found = run(
                    f"{first.url}/file", f"{second.url}/file", sha256=wanted, retries=0 if is_given_up else 3
                )
            except NotReached:
                assert set(run.left()) <= {".x.part", ".x.part.json"}
            except InputError:
                assert run.left() == []

    assert found in {"", wanted}
    assert found or first_tricks or second_tricks
