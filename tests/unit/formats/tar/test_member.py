"""Members made here, read by Python's own tarfile."""

import io
import tarfile

import pytest

from stalker.formats.tar.header import BLOCK
from stalker.formats.tar.member import HARD_LINK, member_blocks
from stalker.formats.tar.stream import END, walk

NS = 1_000_000_000


def read(blocks, data=b""):
    stream = io.BytesIO(blocks + data + bytes(-len(data) % BLOCK) + END)
    with tarfile.open(fileobj=stream, encoding="utf-8", errors="surrogateescape") as archive:
        [found] = archive.getmembers()
    [header] = [one for one in walk([stream.getvalue()]) if not isinstance(one, memoryview)]
    return found, header


@pytest.mark.parametrize(
    "name", [b"a", b"n" * 100, b"n" * 101, b"caf\xe9\xff", b"\xff" * 300, "é".encode() * 90]
)
def test_any_name_is_kept(name):
    """Short, long, and bytes that are not UTF-8."""
    found, header = read(member_blocks(name, b"0", mode=0o644))

    assert found.name.encode("utf-8", "surrogateescape") == name == header.path


def test_what_ustar_has_no_room_for_is_in_pax_records():
    """Large owners, sizes, times before 1970 and fractions of a second; a plain file has one block alone."""
    xattrs = {b"security.capability": b"\0\x01=\n\xff", b"user.x": b""}
    large = member_blocks(
        b"a",
        b"0",
        mode=0o104755,
        uid=65534,
        gid=4_000_000_000,
        size_bytes=3,
        mtime_ns=-NS // 2,
        xattrs=xattrs,
    )

    found, header = read(large, b"abc")

    assert (found.mode, found.uid, found.gid, found.size) == (0o4755, 65534, 4_000_000_000, 3)
    assert float(found.pax_headers["mtime"]) == -0.5
    assert header.xattrs == xattrs
    assert len(member_blocks(b"a", b"0", mode=0o644, uid=65534, mtime_ns=1_700_000_000 * NS)) == BLOCK


@pytest.mark.parametrize(
    ("time_ns", "text"),
    [(NS + 1, "1.000000001"), (10 * NS + NS // 10, "10.1"), (-86400 * NS, "-86400"), (-1, "-0.000000001")],
)
def test_times_are_exact(time_ns, text):
    """No digit is lost, none is added."""
    assert read(member_blocks(b"a", b"0", mode=0o644, mtime_ns=time_ns))[0].pax_headers["mtime"] == text


def test_links_and_devices_say_what_they_lead_to():
    """A link with a long target, a hard link and a device."""
    link, _ = read(member_blocks(b"l", b"2", mode=0o777, link=b"/" + b"t" * 200))
    hard, _ = read(member_blocks(b"h", HARD_LINK, mode=0o644, link=b"a"))
    device, header = read(member_blocks(b"d", b"4", mode=0o660, device=(8, 300)))

    assert (link.issym(), link.linkname) == (True, "/" + "t" * 200)
    assert (hard.islnk(), hard.linkname) == (True, "a")
    assert (device.isblk(), device.devmajor, device.devminor) == (True, 8, 300)
    assert header.device == (8, 300)
