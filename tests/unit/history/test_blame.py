"""Which steps made a path what it is."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stalker.errors import PlanError
from stalker.history.blame import last_touches, lines_of, touches
from stalker.history.chain import State
from stalker.history.layers import Seen
from stalker.history.look import resolved
from stalker.model.images import Image
from stalker.rootfs.diff import Entry

FILE = Seen(Entry("file", 0o644, 0, 0, 1, b"1"), 100)
STATES = [State(Image(f"sha256:{i}"), f"s:{i}" if i else "") for i in range(6)]


def changed(seen=FILE, mtime_s=100, **fields):
    return Seen(replace(seen.entry, **fields), mtime_s)


@pytest.mark.parametrize(
    ("sights", "found"),
    [
        ([FILE, FILE, FILE], "A0"),
        ([None, FILE, None], "A1 D2"),
        ([None, None], ""),
        ([FILE, changed(digest=b"2")], "A0 C1"),
        ([FILE, changed(uid=7)], "A0 C1"),
        ([FILE, changed(mode=0o755)], "A0 C1"),
        ([FILE, changed(xattrs=((b"security.capability", b"x"),))], "A0 C1"),
        ([FILE, changed(mtime_s=200)], "A0 =1"),
        ([FILE, changed(kind="folder", digest=b"")], "A0 C1"),
        ([Seen(Entry("folder", 0o755, 0, 0), 1), Seen(Entry("folder", 0o755, 0, 0), 2)], "A0"),
    ],
)
def test_a_touch_is_a_difference_to_the_state_before(sights, found):
    """A directory's time changes with what is in it: that is not a touch of its own."""
    seen = touches("/x", STATES[: len(sights)], sights)

    assert " ".join(f"{one.letter}{STATES.index(one.state)}" for one in seen) == found


@given(
    st.lists(
        st.lists(
            st.sampled_from([None, FILE, changed(digest=b"2"), changed(mtime_s=9)]), min_size=3, max_size=3
        ),
        min_size=1,
        max_size=6,
    )
)
def test_the_last_touch_of_all_paths_is_the_last_of_each(table):
    """The whole image and one path are answered in two ways that have to agree."""
    states = STATES[: len(table)]
    paths = [b"a", b"b/c", b"d"]
    listings = [{p: s for p, s in zip(paths, row, strict=True) if s is not None} for row in table]

    found = {touch.path: touch for touch in last_touches(states, listings)}

    for column, path in enumerate(paths):
        own = [
            t for t in touches(f"/{path.decode()}", states, [row[column] for row in table]) if t.letter != "="
        ]
        assert found.get(f"/{path.decode()}") == (own[-1] if own else None)


def test_lines_keep_the_step_that_brought_them():
    """Also through a deletion and an unchanged state; hashes of passwords are hidden."""
    contents = [
        b"root:x:0\n",
        b"root:$6$secret:0\npi:!:1\n",
        b"root:$6$secret:0\npi:!:1\n",
        b"pi:!:1\n\xff\n",
    ]

    lines = lines_of("/etc/shadow", STATES[:4], contents)
    hidden = lines_of("/etc/shadow", STATES[:2], contents[:2])

    assert [(line.text, line.state.step) for line in lines] == [("pi:!:1", "s:1"), ("\udcff", "s:3")]
    assert [line.text for line in hidden] == ["root:***:0", "pi:!:1"]


@pytest.mark.parametrize("contents", [[None], [b"x", None], [b"\0"]])
def test_what_has_no_lines_is_refused(contents):
    with pytest.raises(PlanError):
        lines_of("/x", STATES[: len(contents)], contents)


LINKS = {"/bin": "usr/bin", "/usr/bin/sh": "dash", "/a": "/b/../c", "/c": "a", "/l": "/etc/./x"}


@pytest.mark.parametrize(
    ("path", "real"),
    [
        ("/bin/sh", "/usr/bin/sh"),
        ("/bin", "/bin"),
        ("/bin/", "/bin"),
        ("/l/f", "/etc/x/f"),
        ("/usr/../bin/x", "/usr/bin/x"),
        ("/a/f", None),
        ("/none/f", "/none/f"),
    ],
)
def test_links_in_directories_are_followed(path, real):
    """The last part is kept as it is: it may be the link that is asked about. A loop ends."""

    def look(here):
        target = LINKS.get(here)
        return Seen(Entry("link", 0o777, 0, 0, target=target.encode()), 0) if target else None

    found = resolved(path, look)

    assert found == real if real else found.endswith("/f")
