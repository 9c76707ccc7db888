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
from stalker.run.script.payload import INLINE_MAX_FILES, Start, make_payload

PLACE = Place("stalks/s/s.hjson", 9)


def file(target, content=b"x", **more):
    return File(target, "f", "d", PLACE, content=content, **more)


def made(*files, start=None, secrets=None, **more):
    return make_payload(step("s", files=files, **more), secrets or {}, "abc", start or Start({}))


def test_a_missing_host_file_is_named():
    gone = File("/x", "sysroot", "d", PLACE, host_path="/nonexistent/x")

    with pytest.raises(EngineError, match="could not read /nonexistent/x"):
        made(gone)


@pytest.mark.parametrize(
    ("files", "is_archived"),
    [
        ((), False),
        ((file("/a", b"text \xc3\xa9\n"), File("/l", "f", "d", PLACE, link="/a")), False),
        ((file("/a", b"\0"),), True),
        ((file("/a", b"\xff"),), True),
        ((file("/a", b"x" * 300_000),), True),
        (tuple(file(f"/d/{n}") for n in range(INLINE_MAX_FILES)), True),
    ],
)
def test_text_travels_in_the_program_and_anything_else_in_an_archive(files, is_archived):
    payload = made(*files)

    assert bool(payload.archive) is is_archived
    assert ("_stk_write" in payload.whole) is not is_archived


def test_an_archive_has_all_files_with_their_modes_and_links():
    """It becomes part of the state directory as it is: a directory for each target directory."""
    payload = made(file("/a/x", b"\0", mode=0o4755), File("/b/l", "f", "d", PLACE, link="/a"))

    with tarfile.open(fileobj=io.BytesIO(payload.archive)) as archive:
        found = {entry.name: (entry.mode, entry.linkname) for entry in archive if not entry.isdir()}
    assert found == {
        ".stalker-in/f/0/s": (0o755, ""),
        ".stalker-in/f/1/x": (0o4755, ""),
        ".stalker-in/f/2/l": (0o777, "/a"),
    }


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
