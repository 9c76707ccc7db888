"""Content is under its digest, is held while it is read, and only our files are listed."""

import os

import pytest

from stalker.fetch.cache.store import Store

SHA = "ab" * 32


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "cache")
    store.root.mkdir()
    new = store.root / "new"
    new.write_bytes(b"content")
    store.publish(new, SHA)
    return store


def test_content_is_read_only_under_its_digest(store):
    """So nothing changes it by mistake."""
    path = store.content_path(SHA)

    assert path == store.root / "content/ab" / SHA
    assert path.stat().st_mode & 0o777 == 0o444


def test_content_that_is_held_is_not_removed(store):
    """Two may hold it at once."""
    first, second = store.hold(SHA), store.hold(SHA)
    assert (first.size_bytes, first.file.read()) == (7, b"content")
    assert not store.remove_content(SHA)
    first.close()
    assert not store.remove_content(SHA)
    second.close()

    assert store.remove_content(SHA)
    assert store.hold(SHA) is None
    assert not store.content_path(SHA).parent.exists()


def test_damaged_content_is_removed_by_who_found_it(store):
    """Unless another one has put a new file there."""
    held = store.hold(SHA)
    new = store.root / "new"
    new.write_bytes(b"better!")
    store.publish(new, SHA)
    assert not store.remove_content(SHA, only=held)
    held.close()

    with store.hold(SHA).file as again:
        assert again.read() == b"better!"
    held = store.hold(SHA)
    assert store.remove_content(SHA, only=held)
    held.close()


def test_only_content_is_listed(store):
    """Not links, not what has another name or lies elsewhere."""
    inside = store.root / "content/ab"
    (inside / "short").touch()
    (inside / ("cd" * 32)).touch()
    (inside / ("ab" * 31 + "ac")).symlink_to(SHA)

    assert [(sha256, found.st_size) for sha256, found in store.contents()] == [(SHA, 7)]


def test_unfinished_downloads_and_entries_are_listed(store):
    """And nothing of the user's."""
    parts = [
        f"parts/.{SHA}.part",
        f"parts/.{SHA}.part.json",
        "parts/.passing-0a",
        f"sources/.{SHA}.json.{'0' * 12}.part",
    ]
    for name in (*parts, "parts/mine", "parts/.mine", f"sources/{SHA}.json", "sources/.mine.part"):
        path = store.root / name
        path.parent.mkdir(exist_ok=True)
        path.touch()

    assert [os.path.relpath(path, store.root) for path, _ in store.parts()] == sorted(
        parts, key=lambda name: (name.startswith("sources"), name)
    )
