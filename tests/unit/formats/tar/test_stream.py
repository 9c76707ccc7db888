from __future__ import annotations

import io
import shutil
import subprocess
import tarfile
import tracemalloc
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stalker.errors import InputError
from stalker.formats.tar.header import Header
from stalker.formats.tar.stream import filter_tar, split_tar, walk
from unit.helpers.tars import (
    FORMATS,
    device,
    folder,
    hard_link,
    link,
    make_tar,
    member,
    pieces,
    read_tar,
    upto_end,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CAPABILITY = "\x01\x00\x00\x02\x00 \x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
NOT_UTF8 = "na\udcefve/\udcff\udcfe.txt"


def keep(header: Header) -> Header:
    return header


def zoo(kind: str) -> bytes:
    """One member of every sort that the format can tell of."""
    members: list[Any] = [
        folder("etc"),
        ("etc/passwd", b"root:x:0:0\n"),
        ("empty", b""),
        ("exact", b"x" * 512),
        ("big", b"0123456789" * 5000),
        hard_link("etc/passwd2", "etc/passwd"),
        link("etc/mtab", "/proc/mounts"),
        device("dev/null"),
        member("pipe", type=tarfile.FIFOTYPE),
        (member("setuid", mode=0o4755, uid=1000, gid=50, uname="joe", gname="staff"), b"#!"),
        (f"{'long/' * 18}{'n' * 90}", b"long by prefix"),
        (NOT_UTF8, b"bytes"),
    ]
    if kind != "ustar":
        members += [
            ("l" * 300, b"long"),
            link("ll", "t" * 300),
            hard_link("h" * 200, "l" * 300),
            (member("rich", uid=3_000_000, gid=4_000_000), b"who"),
        ]
    if kind == "pax":
        members += [
            (member("ping", pax_headers={"SCHILY.xattr.security.capability": CAPABILITY}), b"\x7fELF"),
            (member("fine", mtime=1234567.25), b"time"),
        ]
    return make_tar(*members, kind=kind)


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("sizes", [(1 << 20,), (512,), (1,), (7, 511, 513), (10240, 3)])
def test_what_is_kept_passes_byte_for_byte(kind, sizes):
    """Names, links, devices, capabilities and times come out as they went in, however the stream is cut."""
    data = zoo(kind)

    out = b"".join(filter_tar(pieces(data, *sizes), keep))

    assert out == upto_end(data)


@pytest.mark.parametrize("kind", FORMATS)
def test_what_is_dropped_is_gone_with_its_names_and_data(kind):
    data = zoo(kind)
    wanted = {name: what for name, what in read_tar(data).items() if len(name) < 100 and name != "big"}

    out = filter_tar([data], lambda one: one if len(one.name) < 100 and one.name != b"big" else None)

    assert read_tar(out) == wanted


NAMES = st.binary(min_size=1, max_size=260).filter(
    lambda name: b"\0" not in name and not name.startswith(b"/") and not name.endswith(b"/")
)
MEMBERS = st.lists(
    st.tuples(
        NAMES,
        st.sampled_from(["file", "folder", "link", "hard", "device"]),
        st.binary(max_size=1100),
        st.integers(0, 0o7777),
        st.integers(0, 2**33),
        st.integers(0, 2**31),
    ),
    max_size=6,
    unique_by=lambda one: one[0],
)


def build(members: list[tuple[bytes, str, bytes, int, int, int]], kind: str) -> bytes:
    made: list[Any] = []
    for raw, what, content, mode, mtime, uid in members:
        name = raw.decode("utf-8", "surrogateescape")
        fields = {"mode": mode, "mtime": mtime, "uid": uid}
        target = (content.replace(b"\0", b"0") or b"t").decode("utf-8", "surrogateescape")
        if what == "file":
            made.append((member(name, **fields), content))
        elif what == "folder":
            made.append(folder(name, **fields))
        elif what == "device":
            made.append(device(name, **fields))
        else:
            made.append((link if what == "link" else hard_link)(name, target, **fields))
    return make_tar(*made, kind=kind)


@given(
    members=MEMBERS, kind=st.sampled_from(["gnu", "pax"]), sizes=st.lists(st.integers(1, 4000), min_size=1)
)
def test_any_archive_survives_any_cutting(members, kind, sizes):
    """Whatever tarfile can write comes out the same, in whatever chunks it comes."""
    data = build(members, kind)

    out = b"".join(filter_tar(pieces(data, *sizes), keep))

    assert out == upto_end(data)
    names = [header.name.rstrip(b"/") for header in walk([data]) if isinstance(header, Header)]
    assert names == [one[0] for one in members]


@given(members=MEMBERS, kind=st.sampled_from(["gnu", "pax"]), latest=st.integers(0, 2**33))
def test_clamping_changes_late_times_and_nothing_else(members, kind, latest):
    data = build(members, kind)

    out = b"".join(filter_tar([data], keep, latest_s=latest))

    expected = {name: (*what[:4], min(what[4], latest), *what[5:]) for name, what in read_tar(data).items()}
    assert read_tar(out) == expected


@given(members=MEMBERS, kind=st.sampled_from(["gnu", "pax"]))
def test_renaming_changes_the_name_and_nothing_else(members, kind):
    data = build([(b"boot/" + one[0], *one[1:]) for one in members], kind)

    out = b"".join(
        filter_tar([data], lambda one: one.renamed(one.name[5:], one.link + b"x" * 120 if one.link else b""))
    )

    before = read_tar(data)
    expected = {}
    for raw, *_ in members:
        # tarfile itself takes slashes at the end of a name away
        old = before[(b"boot/" + raw).decode("utf-8", "surrogateescape").rstrip("/")]
        target = old[5] + "x" * 120 if old[5] else ""
        expected[raw.decode("utf-8", "surrogateescape")] = (*old[:5], target, *old[6:])
    assert read_tar(out) == expected


def test_fractions_of_seconds_are_clamped_too():
    """SOURCE_DATE_EPOCH holds for times that stand in pax records, atime and ctime among them."""
    late = member("f", mtime=2000.75, pax_headers={"atime": "3000.5", "ctime": "4000", "comment": "stays"})
    early = member("g", mtime=100.5)
    data = make_tar((late, b"x"), (early, b"y"))

    out = b"".join(filter_tar([data], keep, latest_s=1500))

    headers = [item for item in walk([out]) if isinstance(item, Header)]
    assert {key: headers[0].records[key] for key in (b"mtime", b"atime", b"ctime", b"comment")} == {
        b"mtime": b"1500",
        b"atime": b"1500",
        b"ctime": b"1500",
        b"comment": b"stays",
    }
    assert headers[1].records[b"mtime"] == b"100.5"


def test_content_can_be_put_in_the_place_of_another():
    data = make_tar(("a", b"old" * 1000), ("b", b"stays"))

    out = filter_tar([data], lambda one: one.filled(b"new") if one.name == b"a" else one)

    assert {name: what[-1] for name, what in read_tar(out).items()} == {"a": b"new", "b": b"stays"}


def test_one_pass_fills_several_archives():
    data = make_tar(("a", b"1"), ("b", b"2" * 700), ("c", b"3"), ("d", b"4"))
    parts: list[list[Any]] = [[], []]

    for number, piece in split_tar(
        pieces(data, 100), lambda h: None if h.name == b"d" else (h.name == b"b", h), 2
    ):
        parts[number].append(piece)

    assert [list(read_tar(part)) for part in parts] == [["a", "c"], ["b"]]


def test_global_records_reach_every_archive_and_are_clamped():
    into = io.BytesIO()
    with tarfile.open(
        fileobj=into, mode="w", format=tarfile.PAX_FORMAT, pax_headers={"mtime": "5000", "comment": "all"}
    ) as archive:
        archive.addfile(member("a"))
        archive.addfile(member("b"))
    parts: list[list[Any]] = [[], []]

    for number, piece in split_tar([into.getvalue()], lambda h: (int(h.name == b"b"), h), 2, latest_s=77):
        parts[number].append(piece)

    for part in parts:
        with tarfile.open(fileobj=io.BytesIO(b"".join(part))) as archive:
            archive.getmembers()
            assert archive.pax_headers == {"mtime": "77", "comment": "all"}


@pytest.mark.parametrize("kind", ["gnu", "posix"])
@pytest.mark.parametrize("holes", [1, 40])
def test_sparse_files_stay_sparse(tmp_path: Path, kind, holes):
    """The map of a sparse file is passed on, long ones too, and what follows is still found."""
    if not shutil.which("tar"):
        pytest.skip("no tar program")
    with (tmp_path / "sparse").open("wb") as file:
        for number in range(holes):
            file.seek(number * (1 << 20))
            file.write(b"data")
        file.truncate(holes * (1 << 20))
    (tmp_path / "zz").write_bytes(b"after")
    data = subprocess.run(
        ["tar", "-C", tmp_path, "--sparse", f"--format={kind}", "-cf", "-", "sparse", "zz"],
        check=True,
        capture_output=True,
    ).stdout
    assert len(data) < holes * (1 << 19), "tar did store it sparse"

    out = b"".join(filter_tar(pieces(data, 1000), keep))

    assert out == upto_end(data)
    assert [h.name for h in walk([data]) if isinstance(h, Header)] == [b"sparse", b"zz"]


def test_a_stream_that_ends_early_is_an_error_wherever_it_ends():
    """A connection that broke is never taken for a complete archive."""
    data = upto_end(make_tar(("a", b"x" * 700), (member("b" * 200), b"y"), folder("c")))

    for length in range(0, len(data), 128):
        with pytest.raises(InputError, match="ended early"):
            list(filter_tar(pieces(data[:length], 300), keep))


def test_what_stands_behind_the_end_is_read_and_left_out():
    read: list[int] = []

    def chunks() -> Iterator[bytes]:
        for piece in (make_tar(("a", b"x")), b"junk" * 1000):
            read.append(len(piece))
            yield piece

    out = b"".join(filter_tar(chunks(), keep))

    assert list(read_tar(out)) == ["a"]
    assert len(read) == 2


def damaged(at: int, value: bytes) -> bytes:
    data = bytearray(make_tar((member("n" * 200), b"x")))
    data[at : at + len(value)] = value
    return bytes(data)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"\x1f\x8b" + b"gzip" * 200, "number|checksum"),
        (b"<html>no</html>".ljust(1024), "number|checksum"),
        (damaged(0, b"Q"), "checksum"),
        (damaged(512, b"9999 path="), "records"),
        (damaged(512, b"nonsense"), "records"),
    ],
)
def test_what_is_no_tar_is_refused(data, said):
    with pytest.raises(InputError, match=said):
        list(filter_tar([data], keep))


def test_records_of_gigabytes_are_refused():
    """A header that claims a name of 2 GB does not make us fetch it into memory."""
    header = bytearray(make_tar((member("n" * 200), b"x"))[:512])
    header[124:136] = b"17777777777\0"
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)

    with pytest.raises(InputError, match="record of"):
        list(filter_tar([bytes(header)] + [bytes(1 << 16)] * 3, keep))


def test_memory_does_not_grow_with_the_data():
    """Members of any size pass by in the chunks in which they come."""
    chunk = bytes(1 << 18)
    count = 800
    info = member("big", size=len(chunk) * count)

    def chunks() -> Iterator[bytes]:
        yield info.tobuf(tarfile.GNU_FORMAT)
        for _ in range(count):
            yield chunk
        yield bytes(1024)

    tracemalloc.start()
    try:
        size = sum(len(piece) for piece in filter_tar(chunks(), keep))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert size == 512 + len(chunk) * count + 1024
    assert peak < 1 << 20
