"""Archives that are unpacked into a file system: what is in them, and what is refused before anything is written."""

from __future__ import annotations

import base64
import os
import tracemalloc
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stalker.errors import InputError, PlanError
from stalker.formats.archive.open import contents, members
from unit.helpers.compressed import PACK, info, make_zip, placed, read
from unit.helpers.tars import link, make_tar

BIG = os.urandom(3 << 20)


@pytest.mark.parametrize("via", [one for one in PACK if one != "tar"])
def test_a_wrong_checksum_is_found(tmp_path, via):
    """A bit that fell over in a packed tar is not taken for content."""
    packed = bytearray(PACK[via](make_tar(("a", os.urandom(100_000)))))
    packed[len(packed) // 2] ^= 0x10
    path = placed(tmp_path, bytes(packed))

    with pytest.raises(InputError) as caught:
        members(path, via, "/d")

    assert caught.value.brief == "archive is damaged"


OTHER = {
    "tar": lambda data: data,
    "gztar": PACK["gztar"],
    "bztar": PACK["bztar"],
    "xztar": PACK["xztar"],
    "zstdtar": PACK["zstdtar"],
    "zip": lambda _: make_zip(("a", b"x")),
}
WORDS = {
    "tar": "a tar",
    "gztar": "packed with gzip",
    "bztar": "packed with bzip2",
    "xztar": "packed with xz",
    "zstdtar": "packed with zstd",
    "zip": "a zip",
}


@pytest.mark.parametrize("real", list(OTHER))
@pytest.mark.parametrize("via", list(OTHER))
def test_another_kind_than_was_said_is_named(tmp_path, via, real):
    """Every kind of archive for every `via`, whatever the file is called."""
    path = placed(tmp_path, OTHER[real](make_tar(("a", b"x"))), "misleading.tar.gz")
    if via == real:
        assert read(path, via)["/d/a"][1] == b"x"
        return

    with pytest.raises(InputError) as caught:
        members(path, via, "/d")

    assert caught.value.brief == f"misleading.tar.gz is {WORDS[real]}, and not {WORDS[via]}"
    assert caught.value.resolution == f"write via: {real}"


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"<!DOCTYPE html><html>not found</html>" + b" " * 600, "archive is a web page, and not"),
        (b"Moved permanently\n", "archive is text, and not"),
        (b"7z\xbc\xaf\x27\x1c" + bytes(600), "archive is packed with 7-Zip, and not"),
        (bytes([7]) * 4000, "archive is no archive, and not"),
        (b"", "archive is empty"),
    ],
)
@pytest.mark.parametrize("via", ["tar", "gztar", "zip"])
def test_what_is_no_archive_is_named(tmp_path, via, data, says):
    """A page that says `not found` is what a download often is."""
    with pytest.raises(InputError) as caught:
        members(placed(tmp_path, data), via, "/d")

    assert caught.value.brief.startswith(says)


def test_what_is_packed_but_no_tar_is_named(tmp_path):
    """A packed web page."""
    with pytest.raises(InputError) as caught:
        members(placed(tmp_path, PACK["gztar"](b"<html>" * 200)), "gztar", "/d")

    assert caught.value.details == "there is no tar in it, it holds a web page"


def test_more_than_there_is_room_for_is_refused_by_what_is_said(tmp_path):
    """A bomb is reported from its first header; nothing of it is unpacked."""
    bomb = PACK["gztar"](make_tar(("small", b"x"), ("zeros", bytes(50_000_000))))
    path = placed(tmp_path, bomb)

    with pytest.raises(InputError) as caught:
        members(path, "gztar", "/d", max_bytes=1_000_000)

    assert "holds more than 977 KiB" in caught.value.brief
    assert "zeros" in caught.value.details
    assert read(path, "gztar", max_bytes=60_000_000)["/d/small"][1] == b"x"


def test_memory_does_not_follow_the_size_of_a_member(tmp_path):
    """40 MB of a member go through in a few MB, in a tar and in each way of a zip."""
    zeros = bytes(40 << 20)
    paths = [("gztar", placed(tmp_path, PACK["gztar"](make_tar(("z", zeros))), "tar"))]
    paths += [
        ("zip", placed(tmp_path, make_zip((info("z", method=method), zeros)), f"zip{method}"))
        for method in (zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
    ]
    del zeros

    for via, path in paths:
        tracemalloc.start()
        entries = members(path, via, "/d")
        count = sum(len(piece) for _, data in contents(path, via, entries) for piece in data)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert count == 40 << 20
        assert peak < 16 << 20, path.name


def test_bytes_that_are_not_read_are_passed_over(tmp_path):
    """A file that needs no room is not asked for; the next one is right nevertheless."""
    data = make_tar(("a", os.urandom(700)), ("b", os.urandom(5000)), ("c", b"here"))
    path = placed(tmp_path, data)
    entries = members(path, "tar", "/d")

    seen = {}
    for entry, pieces in contents(path, "tar", [one for one in entries if one.path != "/d/b"]):
        seen[entry.path] = next(pieces) if entry.path == "/d/a" else b"".join(pieces)

    assert list(seen) == ["/d/a", "/d/c"]
    assert seen["/d/c"] == b"here"


def children() -> set[str]:
    return set(Path(f"/proc/self/task/{os.getpid()}/children").read_text().split())


def test_no_program_is_left_when_the_reading_stops(tmp_path):
    """In the middle of a file, by a member that is refused, by too much, and at the end."""
    whole = make_tar(("a", os.urandom(5 << 20)), ("b", os.urandom(5 << 20)))
    path = placed(tmp_path, PACK["zstdtar"](whole))
    before = children()

    entries = members(path, "zstdtar", "/d")
    reading = contents(path, "zstdtar", entries)
    _, pieces = next(reading)
    next(pieces)
    during = children()
    reading.close()
    with pytest.raises(InputError) as caught:
        members(path, "zstdtar", "/d", max_bytes=1)

    assert during > before
    assert children() == before
    assert caught.value.exit_code == 4


def test_a_program_that_is_not_installed_is_named(tmp_path, monkeypatch):
    """With what installs it."""
    path = placed(tmp_path, PACK["zstdtar"](make_tar(("a", b""))))
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(PlanError) as caught:
        members(path, "zstdtar", "/d")

    assert (caught.value.details, caught.value.resolution) == (
        "zstd is not installed",
        "apt-get install zstd",
    )


def test_an_archive_that_changes_between_the_readings_is_refused(tmp_path):
    """What was checked is what is written."""
    path = placed(tmp_path, make_tar(("a", b"12345")))
    entries = members(path, "tar", "/d")

    for other in (make_tar(("a", b"1234567")), make_tar(), make_tar(link("a", "b"))):
        placed(tmp_path, other)
        with pytest.raises(InputError) as caught:
            list(contents(path, "tar", entries))
        assert caught.value.brief == "archive was changed while it was read"


def test_an_empty_file_that_becomes_a_link_is_refused(tmp_path):
    """It has the same size, and is not a file."""
    path = placed(tmp_path, make_tar(("a", b"")))
    entries = members(path, "tar", "/d")
    placed(tmp_path, make_tar(link("a", "b")))

    with pytest.raises(InputError, match="was changed while it was read"):
        list(contents(path, "tar", entries))


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.data())
def test_a_damaged_archive_gives_its_content_or_an_error_of_ours(tmp_path, data):
    """Whatever bytes are changed or cut off, nothing else comes out."""
    content = bytes(range(256)) * 8
    via = data.draw(st.sampled_from([*PACK, "zip"]))
    if via == "zip":
        method = data.draw(st.sampled_from([0, 8, 12, 14]))
        whole = bytearray(make_zip((info("a", method=method), content), ("b/c", b"x")))
    else:
        whole = bytearray(PACK[via](make_tar(("a", content), ("b/c", b"x"), link("l", "a"))))
    for at, value in data.draw(
        st.lists(st.tuples(st.integers(0, len(whole) - 1), st.integers(0, 255)), max_size=4)
    ):
        whole[at] = value
    path = placed(tmp_path, bytes(whole[: data.draw(st.integers(len(whole) // 2, len(whole)))]))

    try:
        found, brief = read(path, via), "archive "
    except InputError as error:
        found, brief = {}, error.brief

    assert brief.startswith("archive ")
    assert all(one.size_bytes == len(got) for one, got in found.values() if one.kind == "file")


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.binary(max_size=5000), st.integers(1, 100))
def test_base64_is_one_file(tmp_path, content, width):
    """With lines of any length."""
    letters = base64.b64encode(content)
    lines = b"\r\n".join(letters[at : at + width] for at in range(0, len(letters), width))
    path = placed(tmp_path, lines + b"\n")

    found = read(path, "base64", "/conf/a")

    assert list(found) == ["/conf/a"]
    assert found["/conf/a"][1] == content
    assert (found["/conf/a"][0].mode, found["/conf/a"][0].uid) == (0o644, 0)


def test_base64_is_read_in_pieces(tmp_path):
    """A file larger than what is read at once, its groups cut anywhere."""
    path = placed(tmp_path, b"\n" + base64.encodebytes(BIG))

    assert read(path, "base64", "/a")["/a"][1] == BIG


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"aGVsbG8", "it ends early"),
        (b"aGV*bG8=", "base64"),
        (b"<html>not found</html>", ""),
        (b"aGVsbG8=aGVsbG8=", ""),
        (b"aGVsbG8=" + b"\n" * (1 << 20) + b"aGVs", "something follows its end"),
    ],
)
def test_what_is_no_base64_is_refused(tmp_path, text, says):
    """Letters that do not belong there, or a group that is cut."""
    with pytest.raises(InputError) as caught:
        members(placed(tmp_path, text), "base64", "/d", called="key.b64")

    assert caught.value.brief == "key.b64 is not base64"
    assert says in caught.value.details


def test_base64_of_more_than_there_is_room_for_is_refused(tmp_path):
    """It is counted as it is decoded."""
    with pytest.raises(InputError, match="holds more than"):
        members(placed(tmp_path, base64.b64encode(bytes(5000))), "base64", "/d", max_bytes=1000)
