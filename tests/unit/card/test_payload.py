"""What goes onto the data partition, taken stock of."""

import io
import tarfile
import zipfile

import pytest

from stalker.card.payload import Bytes, Copied, Stock, stock_of
from stalker.disk.edit.view import FileView
from stalker.errors import InputError
from stalker.formats.fs.entry import Entry
from stalker.model.card import CONFIG_COPY, DataFile, Source
from stalker.model.diagnostics import Place
from unit.helpers.memory_editor import MemoryEditor

HERE = Place("card.yaml", 1, 1)
NOW_S = 1_700_000_000


def tar_at(path, *members):
    with tarfile.open(path, "w") as archive:
        for name, content in members:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def file(to, **more):
    return DataFile(to, HERE, **more)


def source(path):
    return Source(f"file://{path}")


def test_all_kinds_are_in_it_in_order(tmp_path):
    """Content, a file, an archive, an image, and the configuration itself."""
    plain = tmp_path / "plain"
    plain.write_bytes(b"12345")
    archive = tar_at(tmp_path / "a.tar", ("x/y", b"123"), ("z", b""))
    image = tmp_path / "image"
    image.write_bytes(b"1" * 10)

    stock = stock_of(
        [
            (file("/c", content=b"hi"), None),
            (file("/p", source=source(plain)), plain),
            (file("/a", source=source(archive), via="tar"), archive),
        ],
        [("x.tar", image)],
        "base: 1.0.0\n",
        mtime_s=NOW_S,
    )

    files = {one.path: one.size_bytes for one in stock.entries if one.kind == "file"}
    assert files == {"/c": 2, "/p": 5, "/a/x/y": 3, "/a/z": 0, "/images/x.tar": 10, CONFIG_COPY: 12}
    assert stock.content_bytes == 32


def test_what_is_counted_is_what_an_ext4_holds():
    """Folders on the way too, each once; a long link has a block of its own."""
    stock = Stock(
        [
            Bytes(Entry("/a/b/c", size_bytes=4097), b"x" * 4097),
            Bytes(Entry("/a/d", size_bytes=0), b""),
            Bytes(Entry("/a/short", "link", target="x"), b""),
            Bytes(Entry("/a/long", "link", target="x" * 60), b""),
            Bytes(Entry("/a/again", "hardlink", target="/a/d"), b""),
        ]
    )

    measure = stock.measure()

    assert (measure.inodes, measure.data_blocks) == (6, 3)
    assert measure.folder_blocks >= 2


@pytest.mark.parametrize("other", ["/a/x/y", "/c"])
def test_a_path_that_is_wanted_twice_is_refused(tmp_path, other):
    """By an archive and a file, or by two files; the configuration cannot tell before."""
    archive = tar_at(tmp_path / "a.tar", ("x/y", b"123"))

    with pytest.raises(InputError, match="wanted twice") as caught:
        stock_of(
            [
                (file("/a", source=source(archive), via="tar"), archive),
                (file("/c", content=b""), None),
                (file(other, content=b""), None),
            ],
            [],
            None,
            mtime_s=NOW_S,
        )

    assert other in caught.value.details


def test_all_archives_that_are_damaged_are_told_at_once(tmp_path):
    """By the names that they have at their servers."""
    bad = tmp_path / "0123abcd"
    bad.write_bytes(b"no tar at all" * 100)

    with pytest.raises(InputError) as caught:
        stock_of(
            [
                (file(f"/{name}", source=Source(f"https://example.org/{name}.tar"), via="tar"), bad)
                for name in ("one", "two")
            ],
            [],
            None,
            mtime_s=NOW_S,
        )

    assert "one.tar" in caught.value.details
    assert "two.tar" in caught.value.details


def test_names_of_a_zip_are_in_the_encoding_that_is_said(tmp_path):
    archive = tmp_path / "a.zip"
    stored = "книга".encode("cp866")
    with zipfile.ZipFile(archive, "w") as into:
        into.writestr("x" * len(stored), b"1")
    archive.write_bytes(archive.read_bytes().replace(b"x" * len(stored), stored))
    data_file = file("/a", source=source(archive), via="zip", encoding="cp866")

    (entry,) = stock_of([(data_file, archive)], [], None, mtime_s=NOW_S).entries

    assert entry.path == "/a/книга"


def test_it_is_put_with_its_bytes(tmp_path):
    """Each into the ranges that the editor gave for it."""
    plain = tmp_path / "plain"
    plain.write_bytes(b"12345")
    editor = MemoryEditor()
    told = []
    stock = Stock([Bytes(Entry("/c", size_bytes=2), b"hi"), Copied(Entry("/p", size_bytes=5), plain)])

    with (tmp_path / "disk").open("w+b") as disk:
        disk.truncate(1 << 20)
        stock.put(editor, FileView(disk.fileno()), told.append)

    assert set(editor.look(["/c", "/p"])) == {"/c", "/p"}
    assert sum(told) == 7
