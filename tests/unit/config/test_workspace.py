from __future__ import annotations

import pytest


def one(problems: list[str]) -> str:
    assert len(problems) == 1, problems
    return problems[0]


FILES = {
    "not UTF-8": (
        b"{\n  plugins: {\n  \xc3\xa4 \xff",
        "stalks/web/web.hjson:3:5: not UTF-8: byte 0xff at offset 20\n  save the file as UTF-8",
    ),
    "UTF-16": (
        "{plugins: {}}".encode("utf-16"),
        "stalks/web/web.hjson:1:1: not UTF-8: byte 0xff at offset 0\n  the file is UTF-16; save it as UTF-8",
    ),
    "empty": (b"", "stalks/web/web.hjson:1:1: the file is empty"),
    "nothing but a comment": (b"# nothing\n", "stalks/web/web.hjson:1:1: there is nothing in the file"),
    "syntax": (
        b"{\n  plugins: {\n",
        "stalks/web/web.hjson:3:1: plugins: the file ends inside a mapping\n  its '{' of line 2 is never closed",
    ),
    "a list": (b"[1]", "stalks/web/web.hjson:1:1: must be a mapping, is a list"),
    "no plugins": (b"{A: 1}", "stalks/web/web.hjson:1:1: the key 'plugins' is missing"),
    "a thousand levels": (
        b"{a:" * 1000,
        "stalks/web/web.hjson:1:301: "
        + ".".join("a" * 100)
        + ": nested deeper than 100 levels\n  files are not meant to be so deep",
    ),
}


@pytest.mark.parametrize(("content", "message"), FILES.values(), ids=FILES.keys())
def test_a_file_that_cannot_be_read_is_one_problem(space, content, message):
    """Whatever stands in a file, the answer is a message with a place."""
    space.write("stalks/web/web.hjson", content)

    problem = one(space.problems())

    assert problem == message or (problem.startswith(message[:40]) and "100 levels" in message)


@pytest.mark.parametrize("file", ["trees/t/t.hjson", "stalks/web/web.hjson"])
def test_a_file_of_50_mb_is_refused_by_its_size(space, file):
    """A huge file is not read at all: it is sparse here, and reading it would be zeros."""
    with (space.root / file).open("wb") as stream:
        stream.truncate(50_000_000)

    assert (
        one(space.problems())
        == f"{file}:1:1: {file} has 47.7 MiB; more than 4 MiB are not read\n  is it the right file?"
    )
