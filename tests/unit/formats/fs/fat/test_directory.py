"""A folder of a FAT in memory: found, added, removed, as others left it."""

from __future__ import annotations

import pytest

from stalker.formats.fs.entry import Range
from stalker.formats.fs.fat.directory import ARCHIVE, FOLDER_BYTES, LABEL, Contents, Folder, dots
from stalker.formats.fs.fat.names import long_entries
from unit.helpers.fats import NOW_S

FILE = Contents(ARCHIVE, 0x12345, 99)


def folder(data=b"", size_bytes=2048, *, has_high=True):
    """Make a folder of this content at byte 4096 of an image."""
    where = [Range(4096, size_bytes)]
    return Folder(data.ljust(size_bytes, b"\0"), where, 5, is_new=False, has_high=has_high)


def as_left(*names):
    """Return the bytes of a folder with these files."""
    one = folder()
    for name in names:
        one.add(name, FILE, NOW_S)
    return bytes(one._data)


def test_what_was_added_is_read_again():
    """Long and short names, with their content; the high half of a cluster is of a FAT32 alone."""
    data = as_left("config.txt", "A long name.jpeg", "Mixed")

    for has_high, cluster in ((True, 0x12345), (False, 0x2345)):
        read = folder(data, has_high=has_high)
        for name in ("CONFIG.TXT", "a LONG name.jpeg", "ALONGN~1.JPE", "mixed"):
            assert read.contents(read.find(name)) == Contents(ARCHIVE, cluster, 99)
        assert read.own("ALONGN~1.JPE") is None
        assert read.find("config") is None


def test_the_entries_that_a_folder_begins_with_are_no_names():
    """Neither `.` and `..` nor the label of the volume can be found."""
    data = dots(7, 0, NOW_S) + b"LABEL      " + bytes([LABEL]) + bytes(20)
    read = folder(data)

    assert [read.find(name) for name in (".", "..", "LABEL")] == [None, None, None]
    read.add("LABEL", FILE, NOW_S)
    assert read.find("label").at == 3


def test_removed_entries_are_used_again():
    """What was removed has room for a name that is not longer; all else comes behind the last."""
    one = folder(as_left("A long name.jpeg", "short"))

    one.remove(one.find("A long name.jpeg"))
    one.add("a name of thirty-two letters.jpeg", FILE, NOW_S)
    one.add("another short.x", FILE, NOW_S)
    one.add("c", FILE, NOW_S)

    assert one.find("a name of thirty-two letters.jpeg").at == 4
    assert one.find("another short.x").at == 0
    assert one.find("c").at == 8
    again = folder(bytes(one._data))
    assert again.find("A long name.jpeg") is None
    assert again.find("another short.x").at == 0


def test_removed_entries_at_the_end_are_room_too():
    """A full folder can take a name as long as the one that was removed."""
    one = folder(size_bytes=96)
    one.add("a", FILE, NOW_S)
    one.add("B long.name", FILE, NOW_S)
    assert one.lacks("c") == 1

    one.remove(one.find("B long.name"))

    assert one.lacks("Other.name") == 0
    assert one.lacks("A longer other.name") == 1


def test_litter_behind_the_end_never_comes_to_light():
    """What stands behind the first entry that was never used is not a file, also when one comes before it."""
    litter = as_left("ghost one", "ghost two")
    one = folder(as_left("a")[:32] + bytes(32) + litter[:1024])
    assert one.find("ghost one") is None

    one.add("b", FILE, NOW_S)

    again = folder(bytes(one._data))
    assert again.find("b").at == 1
    assert again.find("ghost one") is None
    assert bytes(one._data[64:]) == bytes(2048 - 64)


def test_a_long_name_that_lost_its_file_stays_alone():
    """Parts of a name whose checksum is another's are no name of the file behind them."""
    data = b"".join(long_entries("a long lost name", b"OTHER   TXT")) + as_left("file")[:32]
    one = folder(data)

    assert one.find("a long lost name") is None
    assert one.find("file").at == 2
    one.remove(one.find("file"))
    assert bytes(one._data[:64]) == data[:64]


def test_a_made_up_short_name_gives_way():
    """The long name keeps its file, its checksum fits, and the short name is found for the new one."""
    one = folder(as_left("A long name.jpeg"))

    one.add("alongn~1.jpe", FILE._replace(size_bytes=1), NOW_S)

    again = folder(bytes(one._data))
    assert again.contents(again.find("A long name.jpeg")).size_bytes == 99
    assert again.contents(again.find("ALONGN~1.JPE")).size_bytes == 1
    assert again.contents(again.find("ALONGN~2.JPE")).size_bytes == 99


def test_other_content_leaves_name_and_attributes():
    """A hidden file stays hidden."""
    data = bytearray(as_left("Hidden file"))
    data[32 + 11] |= 0x02
    one = folder(bytes(data))
    member = one.find("hidden FILE")

    one.change(member, Contents(ARCHIVE, 8, 5), NOW_S)

    assert one.contents(one.find("Hidden file")) == Contents(ARCHIVE | 0x02, 8, 5)
    assert one.own("Hidden file").name == "Hidden file"


def test_pieces_are_the_sectors_that_changed():
    """A sector is written as a whole, one that is the same is not."""
    one = folder(as_left("a", *(f"file{number}" for number in range(20))))
    assert one.pieces(512) == []

    one.change(one.find("file18"), FILE._replace(size_bytes=1), NOW_S)

    [(at, data)] = one.pieces(512)
    assert (at, len(data)) == (4096 + 512, 512)
    one.settle()
    assert one.pieces(512) == []


def test_a_folder_that_went_back_is_what_it_was():
    """Names, room and place in the image are those of the mark."""
    one = folder(as_left("a", "Some long name"), size_bytes=2048)
    mark = one.mark()

    one.grow([Range(9000, 512)])
    one.remove(one.find("a"))
    one.add("other", FILE, NOW_S)
    one.go_back(mark)

    assert one.find("a")
    assert one.find("other") is None
    assert one.where == [Range(4096, 2048)]
    assert one.pieces(512) == []


@pytest.mark.parametrize("size_bytes", [512, FOLDER_BYTES])
def test_a_folder_lacks_room_when_it_is_full(size_bytes):
    """It says how many entries are missing, and none after it grew."""
    one = folder(b"\xe5" + b"x" * 31 + b"y" * (size_bytes - 32), size_bytes=size_bytes)

    assert one.lacks("a") == 0
    assert one.lacks("A long name.jpeg") == 3
    one.grow([Range(1 << 20, 512)])
    assert one.lacks("A long name.jpeg") == 0
