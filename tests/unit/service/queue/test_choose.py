"""Which builds start: one of a tree, projects in turns, no more than allowed."""

from __future__ import annotations

import pytest

from stalker.service.queue.choose import choose
from stalker.service.store.builds import Build


def build(number, project, tree=""):
    return Build(
        number, str(number), project, tree or project, "refs/heads/main", "", "queued", "push", "", 0.0, None, None,
        None, "", {}, "", "", "", (), 0, False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("waiting", "running", "last", "parallel", "expected"),
    [
        ([], [], {}, 2, []),
        ([(1, "a"), (2, "b"), (3, "c")], [], {}, 2, [1, 2]),
        ([(1, "a"), (2, "b")], [(9, "x")], {}, 1, []),
        ([(1, "a"), (2, "a"), (3, "b")], [], {}, 3, [1, 3]),
        ([(2, "a")], [(1, "a")], {}, 3, []),
        ([(1, "a"), (2, "b")], [], {"a": 5.0, "b": 4.0}, 1, [2]),
        ([(2, "a", "t2"), (3, "b", "t3")], [(1, "a", "t1")], {"b": 9.0}, 2, [3]),
        ([(1, "a", "t"), (2, "b", "t")], [], {}, 2, [1]),
    ],
    ids=[
        "nothing",
        "oldest first",
        "full",
        "one of a tree",
        "tree is busy",
        "longest ago",
        "fewest running",
        "shared tree",
    ],
)
def test_what_starts(waiting, running, last, parallel, expected):
    chosen = choose([build(*one) for one in waiting], [build(*one) for one in running], last, parallel)

    assert [one.number for one in chosen] == expected
