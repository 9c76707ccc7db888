"""URLs are shown without secrets, name files safely, and are locked while they are fetched."""

import threading

import pytest

from stalker.errors import InputError, Interrupted, NoRoom
from stalker.fetch.http.stop import Stop
from stalker.fetch.urls import digest_of, file_name, local_path, locked, shown


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("https://ann:word@a:1/b?key=1#c", "https://a:1/b"),
        ("docker.io/a/b:1", "docker.io/a/b:1"),
        ("http://a", "http://a"),
    ],
)
def test_a_url_is_shown_without_credentials_and_query(url, text):
    """Both may be secrets."""
    assert shown(url) == text


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("http://a/b/c.tar?x=1", "c.tar"),
        ("http://a/%2e%2e", "download"),
        ("http://a/..%2Fx", "x"),
        ("http://a/x%0Ay", "xy"),
        ("http://a/.hidden", "hidden"),
        ("http://a/b%5Cc", "b_c"),
        ("http://a/", "download"),
        ("http://a/" + "x" * 300, "x" * 200),
    ],
)
def test_a_url_names_a_plain_file(url, name):
    """Whatever a server calls it."""
    assert file_name(url) == name


def test_paths_and_file_urls_are_of_this_host(tmp_path):
    """A relative one is relative to the workspace."""
    assert local_path("a/b", tmp_path) == tmp_path / "a/b"
    assert str(local_path("file:///a%20b", tmp_path)) == "/a b"
    assert local_path("http://a/b", tmp_path) is None
    with pytest.raises(InputError):
        local_path("http://[broken", tmp_path)


def test_a_lock_is_waited_for_and_the_user_is_informed(tmp_path):
    """Once the other one is done, this one goes on."""
    said, order = [], []
    is_waiting = threading.Event()

    def say(text):
        said.append(text)
        is_waiting.set()

    def other():
        with locked(tmp_path / "x", say, "the file"):
            order.append("second")

    with locked(tmp_path / "x", say, "the file"):
        thread = threading.Thread(target=other)
        thread.start()
        assert is_waiting.wait(20)
        order.append("first")
    thread.join()

    assert order == ["first", "second"]
    assert said == ["waiting for another run that fetches the file"]


def test_waiting_for_a_lock_can_be_stopped(tmp_path):
    """As Ctrl-C does."""
    stop = Stop()
    stop.set()
    with (
        locked(tmp_path / "x", print, "x"),
        pytest.raises(Interrupted),
        locked(tmp_path / "x", lambda _: None, "x", stop),
    ):
        pass


def test_a_directory_that_cannot_be_made_is_named(tmp_path):
    """With what the disk says."""
    (tmp_path / "file").touch()
    with pytest.raises(NoRoom, match="file/x"), locked(tmp_path / "file/x/y", print, "x"):
        pass


def test_the_digest_of_a_file(tmp_path):
    """SHA-256, in hexadecimal digits."""
    (tmp_path / "x").write_bytes(b"")

    assert digest_of(tmp_path / "x").startswith("e3b0c442")
