import hashlib
import os
import threading

import pytest

from stalker.errors import InputError
from unit.helpers.downloading import download
from unit.helpers.server import serving

BODY = bytes(range(256)) * 4000
DIGEST = hashlib.sha256(BODY).hexdigest()


def hidden(folder):
    """Names beside the target, the lock aside."""
    return sorted(name for name in os.listdir(folder) if not name.endswith(".lock"))


def test_a_download_is_complete_and_has_its_name(tmp_path):
    """The file is there with the server's bytes, and nothing else is left."""
    with serving(file=BODY) as served:
        digest = download(f"{served.url}/file", tmp_path / "cache" / "file", sha256=DIGEST.upper())

    assert digest == DIGEST
    assert (tmp_path / "cache" / "file").read_bytes() == BODY
    assert hidden(tmp_path / "cache") == ["file"]


def test_what_is_there_and_right_is_not_fetched_again(tmp_path):
    """A cached file costs no request."""
    (tmp_path / "file").write_bytes(BODY)

    with serving(file=BODY) as served:
        download(f"{served.url}/file", tmp_path / "file", sha256=DIGEST)

        assert served.asked == []


def test_a_damaged_file_in_the_cache_is_fetched_again(tmp_path):
    """A cached file is verified before it is used."""
    (tmp_path / "file").write_bytes(BODY[:-1] + b"x")

    with serving(file=BODY) as served:
        digest = download(f"{served.url}/file", tmp_path / "file", sha256=DIGEST)

    assert digest == DIGEST
    assert (tmp_path / "file").read_bytes() == BODY


@pytest.mark.parametrize("trick", ["cut 300000", "cut 0", "500", "502", "503", "504", "429", "408"])
def test_trouble_that_passes_is_retried(tmp_path, trick):
    """A server that stumbles once does not fail the run."""
    pauses = []

    with serving(file=BODY) as served:
        served.tricks.extend([trick])
        digest = download(f"{served.url}/file", tmp_path / "file", pause=pauses.append)

        assert len(served.asked) == 2
    assert digest == DIGEST
    assert pauses == [1.0]


def test_an_overstated_length_is_no_complete_file(tmp_path):
    """The server announces seven bytes more than come: that file is not taken."""
    with serving(file=BODY) as served:
        served.tricks.extend(["long 7"])
        digest = download(f"{served.url}/file", tmp_path / "file", pause=lambda _: None)

        assert served.ranges() == ["", f"bytes={len(BODY)}-", ""]
    assert digest == DIGEST


def test_a_dropped_download_goes_on_where_it_stopped(tmp_path):
    """Only the missing half is asked for."""
    with serving(file=BODY) as served:
        served.tricks.extend(["cut 500000", "cut 200000"])
        digest = download(f"{served.url}/file", tmp_path / "file", pause=lambda _: None)

        assert served.ranges() == ["", "bytes=500000-", "bytes=700000-"]
    assert digest == DIGEST


def test_the_next_run_goes_on_where_this_one_gave_up(tmp_path):
    """The server drops at half, the run fails; the next one asks for the rest only."""
    with serving(file=BODY) as served:
        served.tricks.extend(["cut 500000", "503"])
        with pytest.raises(InputError) as caught:
            download(f"{served.url}/file", tmp_path / "file", retries=1, pause=lambda _: None)
        left = hidden(tmp_path)
        digest = download(f"{served.url}/file", tmp_path / "file", sha256=DIGEST)

        assert served.ranges() == ["", "bytes=500000-", "bytes=500000-"]
    assert "continued" in caught.value.resolution
    assert left == [".file.part", ".file.part.json"]
    assert digest == DIGEST
    assert hidden(tmp_path) == ["file"]


def test_a_file_that_changed_meanwhile_is_fetched_whole(tmp_path):
    """Two versions are never glued together."""
    new = BODY[::-1]

    with serving(file=BODY) as served:
        served.tricks.extend(["cut 500000", "503"])
        with pytest.raises(InputError):
            download(f"{served.url}/file", tmp_path / "file", retries=1, pause=lambda _: None)
        served.files["/file"], served.etag = new, '"v2"'
        download(f"{served.url}/file", tmp_path / "file")

    assert (tmp_path / "file").read_bytes() == new


def test_a_glued_download_is_found_out_and_fetched_whole(tmp_path):
    """The server lies about its version: the digest shows it, and one whole fetch repairs it."""
    new = BODY[::-1]

    with serving(file=BODY) as served:
        served.tricks.extend(["cut 500000", "503"])
        with pytest.raises(InputError):
            download(f"{served.url}/file", tmp_path / "file", retries=1, pause=lambda _: None)
        served.files["/file"] = new
        download(f"{served.url}/file", tmp_path / "file", sha256=hashlib.sha256(new).hexdigest())

        assert served.ranges()[2:] == ["bytes=500000-", ""]
    assert (tmp_path / "file").read_bytes() == new


@pytest.mark.parametrize("etag", ["", 'W/"v1"'])
def test_without_a_version_to_hold_on_to_it_starts_over(tmp_path, etag):
    """A weak or missing ETag cannot say that the rest belongs to the part."""
    with serving(file=BODY) as served:
        served.etag = etag
        served.tricks.extend(["cut 500000"])
        digest = download(f"{served.url}/file", tmp_path / "file", pause=lambda _: None)

        assert served.ranges() == ["", ""]
    assert digest == DIGEST


def test_a_server_without_ranges_sends_all_again(tmp_path):
    """200 instead of 206 replaces what was there."""
    with serving(file=BODY) as served:
        served.has_ranges = False
        served.tricks.extend(["cut 500000"])
        digest = download(f"{served.url}/file", tmp_path / "file", pause=lambda _: None)

    assert digest == DIGEST


def test_another_range_than_asked_for_is_not_taken(tmp_path):
    """A proxy that answers with the wrong bytes is asked again, for all."""
    with serving(file=BODY) as served:
        served.tricks.extend(["cut 500000", "other-range"])
        digest = download(f"{served.url}/file", tmp_path / "file", pause=lambda _: None)

        assert served.ranges() == ["", "bytes=500000-", ""]
    assert digest == DIGEST


@pytest.mark.parametrize("trick", ["chunked", "no-length"])
def test_an_answer_without_a_length_is_taken_by_its_digest(tmp_path, trick):
    """Content-Length is not required."""
    with serving(file=BODY) as served:
        served.tricks.extend([trick])
        digest = download(f"{served.url}/file", tmp_path / "file", sha256=DIGEST)

    assert digest == DIGEST


@pytest.mark.parametrize(
    ("trick", "told"),
    [("404", "404 Not Found"), ("403", "403 Forbidden"), ("410", "410 Gone"), ("204", "204 No Content")],
)
def test_a_refusal_is_final(tmp_path, trick, told):
    """A file that is not there is not asked for six times."""
    with serving(file=BODY) as served:
        served.tricks.extend([trick] * 9)
        with pytest.raises(InputError) as caught:
            download(f"{served.url}/file", tmp_path / "file", pause=lambda _: None)

        assert len(served.asked) == 1
    assert told in caught.value.brief
    assert hidden(tmp_path) == []


def test_pauses_grow_and_end(tmp_path):
    """A dead server is given up after growing pauses, and it is an input error."""
    pauses = []

    with serving(file=BODY) as served:
        served.tricks.extend(["503"] * 9)
        with pytest.raises(InputError) as caught:
            download(f"{served.url}/file", tmp_path / "file", retries=4, pause=pauses.append)

    assert pauses == [1.0, 2.0, 4.0, 8.0]
    assert caught.value.exit_code == 4
    assert "503" in caught.value.details
    assert hidden(tmp_path) == []


def test_a_server_says_when_to_come_back(tmp_path):
    """Retry-After is honoured, up to a minute."""
    pauses = []

    with serving(file=BODY) as served:
        served.retry_after = "7"
        served.tricks.extend(["429"])
        download(f"{served.url}/file", tmp_path / "file", pause=pauses.append)

    assert pauses == [7.0]


def test_a_slow_but_moving_download_is_never_given_up(tmp_path):
    """Attempts that bring new bytes do not count as failures."""
    with serving(file=BODY) as served:
        served.tricks.extend(["cut 100000"] * 10)
        digest = download(f"{served.url}/file", tmp_path / "file", retries=1, pause=lambda _: None)

    assert digest == DIGEST


def test_no_server_is_an_input_error(tmp_path):
    """Nobody listens: said in words, nothing kept."""
    with serving() as served:
        url = f"{served.url}/file"

    with pytest.raises(InputError) as caught:
        download(url, tmp_path / "file", retries=1, pause=lambda _: None)

    assert "could not be downloaded" in caught.value.brief
    assert hidden(tmp_path) == []


def test_a_server_that_goes_silent_is_not_waited_for_for_ever(tmp_path):
    """A time-out is trouble like any other."""
    with serving(file=BODY) as served:
        served.gate = threading.Event()
        with pytest.raises(InputError) as caught:
            download(f"{served.url}/file", tmp_path / "file", retries=0, timeout_s=0.1)
        served.gate.set()

    assert "timed out" in caught.value.details


def test_a_wrong_digest_leaves_nothing(tmp_path):
    """What is not what the tree says is not kept under any name."""
    with serving(file=BODY) as served, pytest.raises(InputError) as caught:
        download(f"{served.url}/file", tmp_path / "file", sha256="0" * 64)

    assert DIGEST in caught.value.details
    assert hidden(tmp_path) == []


def test_an_understated_length_is_found_out(tmp_path):
    """The server announces five bytes less than it has: the digest says so."""
    with serving(file=BODY) as served:
        served.tricks.extend(["short 5"] * 3)
        with pytest.raises(InputError):
            download(f"{served.url}/file", tmp_path / "file", sha256=DIGEST, pause=lambda _: None)

    assert hidden(tmp_path) == []


def test_an_empty_download_is_refused(tmp_path):
    """0 bytes are never a file somebody wanted."""
    with serving(file=b"") as served, pytest.raises(InputError) as caught:
        download(f"{served.url}/file", tmp_path / "file")

    assert "is empty" in caught.value.brief
    assert hidden(tmp_path) == []


def test_a_failed_refresh_keeps_the_old_file(tmp_path):
    """What was good stays until something better is complete."""
    (tmp_path / "file").write_bytes(b"old")

    with serving(file=BODY) as served:
        served.tricks.extend(["cut 10", "404"])
        with pytest.raises(InputError):
            download(f"{served.url}/file", tmp_path / "file", refresh=True, pause=lambda _: None)

    assert (tmp_path / "file").read_bytes() == b"old"


def test_many_at_once_download_once(tmp_path):
    """Eight stalks that want one file ask the server once."""
    digests, lines = [], []

    def fetch():
        digests.append(download(f"{served.url}/file", tmp_path / "file", progress=lines.append))

    with serving(file=BODY) as served:
        served.gate = threading.Event()
        threads = [threading.Thread(target=fetch) for _ in range(8)]
        for thread in threads:
            thread.start()
        while sum("waiting" in line for line in list(lines)) < 7:
            threading.Event().wait(0.005)
        served.gate.set()
        for thread in threads:
            thread.join()

        assert len(served.asked) == 1
    assert digests == [DIGEST] * 8


def test_redirects_are_followed(tmp_path):
    """A mirror's redirect leads to the file."""
    with serving(file=BODY) as served:
        served.redirects["/moved"] = "/file"
        digest = download(f"{served.url}/moved", tmp_path / "file")

    assert digest == DIGEST


@pytest.mark.parametrize("form", ["{}", "file://{}"])
def test_local_files_follow_the_same_rules(tmp_path, form):
    """A path and a file:// URL are copied, verified and named last."""
    source = tmp_path / "a b"
    source.write_bytes(BODY)
    url = form.format(str(source).replace(" ", "%20") if "://" in form else source)

    digest = download(url, tmp_path / "cache" / "x", sha256=DIGEST)
    with pytest.raises(InputError):
        download(url, tmp_path / "cache" / "y", sha256="0" * 64)

    assert digest == DIGEST
    assert hidden(tmp_path / "cache") == ["x"]


@pytest.mark.parametrize("url", ["gopher://example/x", "http://[bad/x", "file:///not/there", "/not/there"])
def test_what_cannot_be_fetched_is_said(tmp_path, url):
    """A bad address is an input error, never a traceback."""
    with pytest.raises(InputError):
        download(url, tmp_path / "x", pause=lambda _: None)

    assert hidden(tmp_path) == []


def test_credentials_are_never_shown(tmp_path):
    """A password in the URL stays out of messages."""
    with serving() as served:
        url = f"{served.url}/file?token=geheim".replace("http://", "http://me:geheim@")
        with pytest.raises(InputError) as caught:
            download(url, tmp_path / "file")

    assert "geheim" not in f"{caught.value.brief} {caught.value.details} {caught.value.resolution}"


def test_a_cache_that_cannot_be_written_is_named(tmp_path):
    """The cache folder's parent is a file: the message names the place."""
    (tmp_path / "cache").write_text("a file")

    with pytest.raises(InputError) as caught:
        download("/etc/passwd", tmp_path / "cache" / "x")

    assert str(tmp_path / "cache") in caught.value.brief
