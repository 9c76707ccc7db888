"""The programs that place a step's files, run its script and undo the placing.

They are plain sh, so their syntax is checked with the shells that are here; what they do is tried in
containers, in `tests/docker/test_placing.py`.
"""

from __future__ import annotations

import io
import tarfile

import pytest

from build import step
from stalker.errors import EngineError
from stalker.model.diagnostics import Place
from stalker.model.tree import File, secret_marker
from stalker.run.script.payload import TEXT_MAX_BYTES, TEXTS_MAX_BYTES, Start, make_payload

PLACE = Place("stalks/s/s.hjson", 9)


def file(target, content=b"x", **more):
    return File(target, "f", "d", PLACE, content=content, **more)


def made(*files, start=None, secrets=None, **more):
    return make_payload(step("s", files=files, **more), secrets or {}, "abc", start or Start({}))


def test_a_missing_host_file_is_named():
    gone = File("/x", "sysroot", "d", PLACE, host_path="/nonexistent/x")

    with pytest.raises(EngineError, match="could not read /nonexistent/x"):
        made(gone)


def archived(payload):
    """Return mode of each file of the archive, without the state directory's name."""
    if not payload.archive:
        return {}
    with tarfile.open(fileobj=io.BytesIO(payload.archive)) as archive:
        return {entry.name.removeprefix(".stalker-in/f/"): entry.mode for entry in archive if entry.isfile()}


@pytest.mark.parametrize(
    ("content", "is_archived"),
    [
        (b"text \xc3\xa9\n", False),
        (b"x" * TEXT_MAX_BYTES, False),
        (b"x" * (TEXT_MAX_BYTES + 1), True),
        (b"\0", True),
        (b"\xff", True),
    ],
)
def test_text_travels_in_the_program_and_anything_else_in_an_archive(content, is_archived):
    """Each file for itself: what is not text slows no other file down."""
    payload = made(
        file("/a/x", content, mode=0o4755), file("/b/text"), File("/b/l", "f", "d", PLACE, link="/a")
    )

    assert archived(payload) == ({"1/x": 0o4755} if is_archived else {})
    assert ("_stk_write 1/x" in payload.whole) is not is_archived
    assert "_stk_write 2/text x" in payload.whole
    assert "ln -s -- /a /entropy/.stalker/f/2/l" in payload.whole


def test_a_program_does_not_grow_without_bound():
    number = TEXTS_MAX_BYTES // TEXT_MAX_BYTES
    payload = made(*(file(f"/d/{n}", b"x" * TEXT_MAX_BYTES) for n in range(number + 2)))

    assert len(archived(payload)) == 3  # the script takes a little of the room, too
    assert len(payload.whole) < TEXTS_MAX_BYTES * 1.1


def test_thousands_of_modes_are_set_with_a_bounded_number_of_names_each():
    """Linux bounds the arguments of one command."""
    payload = made(*(file(f"/d/{n}", mode=0o600) for n in range(2000)))

    longest = max(len(line) for line in payload.whole.splitlines() if line.startswith("chmod"))
    assert longest < 100_000
    assert archived(payload) == {}


def test_a_reported_file_is_found_with_its_plugin_and_secret():
    secret = file("/etc/key", secret_marker("KEY").encode())

    payload = made(secret, secrets={"KEY": "quite-secret"})

    placed = payload.placed_at(payload.directories.index("/etc"), "key")
    assert placed is not None
    assert (placed.target, placed.content, placed.is_secret) == ("/etc/key", b"quite-secret", True)
    assert payload.placed_at(0, "none") is None


def test_users_by_number_are_not_looked_up():
    assert "_stk_known /etc" not in made(start=Start({}, user="7:8")).enter
    known = made(start=Start({}, user="ann:staff")).enter
    assert "_stk_known /etc/passwd ann" in known
    assert "_stk_known /etc/group staff" in known
