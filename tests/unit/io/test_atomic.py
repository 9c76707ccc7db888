"""Files take their place whole or not at all, and nothing is left of what failed."""

import os
import stat
from pathlib import Path

import pytest

from stalker.io import atomic
from stalker.io.atomic import AtomicFile, create_file, move_file, replace_link, replacing, write_file


@pytest.fixture(params=["without a name", "with a name"])
def both_ways(request, monkeypatch):
    """On file systems that have files without a name, and on those that have not."""
    if request.param == "with a name":
        flags = os.O_TMPFILE
        real = os.open

        def refuse(path, flag, *rest, **more):
            if flag & flags == flags:
                raise OSError(95, "not supported")
            return real(path, flag, *rest, **more)

        monkeypatch.setattr(atomic.os, "open", refuse)


@pytest.mark.usefixtures("both_ways")
def test_a_file_is_written_whole(tmp_path):
    """The content is there, and no other file."""
    write_file(tmp_path / "a", "x ÿ \udcff")

    assert (tmp_path / "a").read_bytes() == b"x \xc3\xbf \xff"
    assert os.listdir(tmp_path) == ["a"]


@pytest.mark.usefixtures("both_ways")
def test_what_fails_leaves_the_old_file_and_nothing_else(tmp_path):
    """An error while it is written changes nothing."""
    (tmp_path / "a").write_text("old")

    def write():
        with replacing(tmp_path / "a") as stream:
            stream.write(b"new")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write()

    assert (tmp_path / "a").read_text() == "old"
    assert os.listdir(tmp_path) == ["a"]


@pytest.mark.usefixtures("both_ways")
def test_a_rename_that_fails_leaves_nothing(tmp_path):
    """A directory that has the name stays, and no temporary file does."""
    (tmp_path / "a").mkdir()

    with pytest.raises(IsADirectoryError):
        write_file(tmp_path / "a", b"new")

    assert os.listdir(tmp_path) == ["a"]


@pytest.mark.usefixtures("both_ways")
@pytest.mark.parametrize(
    ("old", "asked", "expected"), [(None, None, 0o640), (0o604, None, 0o604), (0o644, 0o600, 0o600)]
)
def test_the_mode_is_the_one_asked_for_or_that_of_the_old_file_or_the_usual_one(
    tmp_path, old, asked, expected
):
    """The umask counts for a new file only."""
    if old is not None:
        (tmp_path / "a").touch()
        (tmp_path / "a").chmod(old)
    mask = os.umask(0o027)
    try:
        write_file(tmp_path / "a", b"", mode=asked)
    finally:
        os.umask(mask)

    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == expected


def test_a_pipe_is_written_to_and_not_replaced(tmp_path):
    """`-o /dev/stdout` prints; the device keeps its name."""
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)

    write_file(tmp_path / "pipe", b"data")

    assert os.read(reader, 10) == b"data"
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)
    os.close(reader)


def test_a_file_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    """The order is: content, name, directory; a file that can be made again does without."""
    seen = []
    monkeypatch.setattr(
        atomic.os,
        "fsync",
        lambda number: seen.append((stat.S_ISDIR(os.fstat(number).st_mode), os.listdir(tmp_path))),
    )

    write_file(tmp_path / "a", b"data")
    write_file(tmp_path / "b", b"data", durable=False)

    assert seen == [(False, []), (True, ["a"])]


def test_a_name_without_a_directory_is_in_the_current_one(tmp_path, monkeypatch):
    """`-o plan.svg` needs no path."""
    monkeypatch.chdir(tmp_path)

    write_file("a", b"data")

    assert (tmp_path / "a").read_bytes() == b"data"


def test_what_is_not_published_is_gone(tmp_path):
    """Discarding twice does no harm."""
    file = AtomicFile(tmp_path / "a")
    file.discard()
    file.discard()

    assert os.listdir(tmp_path) == []


def test_a_finished_file_is_moved(tmp_path):
    """It takes the place of what was there."""
    (tmp_path / "new").write_text("new")
    (tmp_path / "old").write_text("old")

    move_file(tmp_path / "new", tmp_path / "old")

    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("old", "new")]


def test_a_link_is_replaced_in_one_act(tmp_path):
    """No moment is without a link, and no temporary one stays."""
    replace_link(tmp_path / "link", "one")
    replace_link(tmp_path / "link", "two")

    assert os.readlink(tmp_path / "link") == "two"
    assert os.listdir(tmp_path) == ["link"]


def test_a_link_that_cannot_be_replaced_leaves_nothing(tmp_path):
    """A directory that has the name stays."""
    (tmp_path / "link").mkdir()

    with pytest.raises(OSError):
        replace_link(tmp_path / "link", "one")

    assert os.listdir(tmp_path) == ["link"]


@pytest.mark.parametrize("name", ["n" * 255, "\N{LATIN SMALL LETTER E WITH ACUTE}" * 127])
@pytest.mark.usefixtures("both_ways")
def test_a_name_may_be_as_long_as_the_file_system_takes(tmp_path, name):
    """The temporary name, which is longer, is cut."""
    write_file(tmp_path / name, b"content")
    assert (tmp_path / name).read_bytes() == b"content"
    replace_link(tmp_path / name, "elsewhere")

    assert (tmp_path / name).readlink() == Path("elsewhere")
    assert [one.name for one in tmp_path.iterdir()] == [name]


@pytest.mark.usefixtures("both_ways")
def test_of_two_that_create_a_file_the_first_ones_stays(tmp_path):
    """A key that one process made is the key of all."""
    create_file(tmp_path / "key", b"first", mode=0o600)
    create_file(tmp_path / "key", "second", mode=0o600)

    assert (tmp_path / "key").read_bytes() == b"first"
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600
    assert [one.name for one in tmp_path.iterdir()] == ["key"]
