"""OUTPUT is replaced by a finished image or not at all; only what we made is ever removed."""

import errno
import fcntl
import os
import signal
import subprocess
import sys

import pytest

from stalker.card.output import IMAGE, MARK, check_output, format_of, publish, remove_descriptions, working
from stalker.disk.manifest import beside
from stalker.errors import PlanError, StalkerError


def nothing(*_):
    return None


def fail_in(work, error):
    with work as folder:
        (folder / IMAGE).write_text("half")
        raise error


@pytest.fixture
def output(tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    return folder / "card.img"


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: path.write_text("old"), "is there already"),
        (lambda path: path.mkdir(), "is a directory"),
        (os.mkfifo, "not a regular file"),
        (lambda path: path.parent.rmdir(), "there is no directory"),
    ],
    ids=["file", "folder", "pipe", "no-folder"],
)
def test_what_stands_there_is_refused_and_stays(output, make, words):
    """Before anything is begun."""
    make(output)

    with pytest.raises(PlanError, match=words):
        check_output(output, overwrites=False, base=None)


@pytest.mark.parametrize("ending", [".manifest.json", ".sha256"])
def test_what_tells_of_another_image_is_not_overwritten(output, ending):
    """Though OUTPUT itself is not there; with -X it is."""
    own = output.with_name(output.name + ending)
    own.write_text("mine")

    with pytest.raises(PlanError, match="is there already"):
        check_output(output, overwrites=False, base=None)

    assert check_output(output, overwrites=True, base=None) == output
    assert own.read_text() == "mine"


def test_the_base_is_never_the_output(output, tmp_path):
    """Not with -X either, and not under another name."""
    output.write_text("base")
    other = tmp_path / "other.img"
    other.symlink_to(output)

    for name in (output, other):
        with pytest.raises(PlanError, match="is the base itself"):
            check_output(name, overwrites=True, base=output)

    assert output.read_text() == "base"


def test_a_link_is_followed(output, tmp_path):
    """What it points to is replaced, the link stays."""
    output.write_text("old")
    link = tmp_path / "link.img"
    link.symlink_to(output)

    assert check_output(link, overwrites=True, base=None) == output


def test_a_finished_image_replaces_the_old_one(output):
    """With the rights of an ordinary file; the folder is gone."""
    output.write_text("old")

    with working(output, None, keeps=False, say=nothing) as folder:
        (folder / IMAGE).write_text("new")
        publish(folder / IMAGE, output, nothing, nothing)

    assert output.read_text() == "new"
    plain = output.parent / "plain"
    plain.touch()
    assert output.stat().st_mode == plain.stat().st_mode
    assert sorted(os.listdir(output.parent)) == ["card.img", "plain"]


@pytest.mark.parametrize("error", [StalkerError("no"), KeyboardInterrupt(), OSError(28, "full")])
def test_a_failure_leaves_the_old_one_and_nothing_else(output, error):
    """Whatever it was."""
    output.write_text("old")

    with pytest.raises(type(error)):
        fail_in(working(output, None, keeps=False, say=nothing), error)

    assert output.read_text() == "old"
    assert os.listdir(output.parent) == ["card.img"]


def test_what_was_made_can_be_kept_after_a_failure(output):
    """Its place is said, and no later run sweeps it."""
    said = []

    with pytest.raises(StalkerError):
        fail_in(working(output, None, keeps=True, say=said.append), StalkerError("no"))
    with working(output, None, keeps=False, say=nothing):
        pass

    kept = next(output.parent.iterdir())
    assert (kept / IMAGE).read_text() == "half"
    assert str(kept) in said[0]


def test_nothing_of_a_user_in_the_build_folder_is_touched(output, tmp_path):
    """Neither a file of his, nor a folder that is called as ours are but is none."""
    build = tmp_path / "build"
    (build / ".card.img.0123456789ab.creating").mkdir(parents=True)
    (build / ".card.img.0123456789ab.creating/precious").write_text("mine")
    (build / "precious").write_text("mine")

    with working(output, build, keeps=False, say=nothing) as folder:
        assert folder.parent == build

    assert sorted(str(path.relative_to(build)) for path in build.rglob("*")) == [
        ".card.img.0123456789ab.creating",
        ".card.img.0123456789ab.creating/precious",
        "precious",
    ]


def test_what_a_killed_one_left_is_swept_and_what_is_alive_stays(output):
    """The lock of the dead is free."""
    dead, alive, other = (output.parent / f".card.img.{digit * 12}.creating" for digit in "abc")
    other = other.with_name(".another.img.cccccccccccc.creating")
    for folder in (dead, alive, other):
        folder.mkdir()
        (folder / MARK).touch()
        (folder / IMAGE).write_text("half")

    with (alive / MARK).open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with working(output, None, keeps=False, say=nothing):
            pass

    assert sorted(os.listdir(output.parent)) == sorted([alive.name, other.name])


def test_a_kill_leaves_what_the_next_one_sweeps(output):
    """In the middle of the work: nobody had time to clean up."""
    program = (
        "import os, signal, sys; from pathlib import Path\n"
        "from stalker.card.output import working, IMAGE\n"
        f"with working(Path({str(output)!r}), None, keeps=False, say=print) as folder:\n"
        "    (folder / IMAGE).write_text('half'); os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], env={"PYTHONPATH": "lib"}, check=False)
    assert done.returncode == -9
    assert len(os.listdir(output.parent)) == 1

    with working(output, None, keeps=False, say=nothing):
        pass

    assert os.listdir(output.parent) == []


def test_what_came_to_be_there_meanwhile_is_not_replaced(output, tmp_path):
    """Another creation of one OUTPUT, or somebody: without -X nothing is lost."""
    made = tmp_path / IMAGE
    made.write_text("new")
    output.write_text("precious")

    with pytest.raises(PlanError, match="has come to be there"):
        publish(made, output, nothing, nothing, overwrites=False)

    assert output.read_text() == "precious"


@pytest.mark.parametrize("error", [None, errno.EPERM, errno.EOPNOTSUPP])
def test_an_image_comes_to_a_place_that_is_free(output, tmp_path, monkeypatch, error):
    """Also on a file system where a file has one name only, as on a FAT."""
    made = tmp_path / IMAGE
    made.write_text("new")

    def link(*_):
        raise OSError(error, os.strerror(error))

    if error:
        monkeypatch.setattr(os, "link", link)
    publish(made, output, nothing, nothing, overwrites=False)

    assert output.read_text() == "new"
    assert not made.exists()


def test_what_came_to_be_there_stays_where_a_file_has_one_name(output, tmp_path, monkeypatch):
    """There it is looked for."""
    made = tmp_path / IMAGE
    made.write_text("new")
    output.write_text("precious")

    def link(*_):
        raise OSError(errno.EPERM, "no")

    monkeypatch.setattr(os, "link", link)
    with pytest.raises(PlanError, match="has come to be there"):
        publish(made, output, nothing, nothing, overwrites=False)

    assert output.read_text() == "precious"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_what_tells_of_an_image_is_written_with_it(output, tmp_path, number):
    """Who stops us between the two waits: a checksum of the old one would stand beside the new one."""
    made = tmp_path / IMAGE
    made.write_text("new")
    before = signal.signal(number, signal.default_int_handler)
    done = []

    def then():
        signal.raise_signal(number)
        done.append(output.read_text())

    try:
        publish(made, output, nothing, nothing, then=then)
        assert signal.getsignal(number) == signal.default_int_handler
    finally:
        signal.signal(number, before)

    assert done == ["new"]


def test_what_describes_an_image_goes_when_the_image_changes(output):
    """A card would be written, or refused, by the map of another image. What another image has stays."""
    own = [output.with_name(name) for name in ("card.bmap", "card.img.bmap", "card.img.sha256")]
    own.append(beside(output))
    others = [output.with_name(name) for name in ("other.bmap", "other.img.sha256", "card.img")]
    for path in (*own, *others):
        path.write_text("x")
    said = []

    remove_descriptions(output, said.append)

    assert [path for path in own if path.exists()] == []
    assert all(path.exists() for path in others)
    assert sorted(line.partition(" ")[0] for line in said) == sorted(path.name for path in own)
    remove_descriptions(output, said.append)
    assert len(said) == len(own)


def test_what_the_caller_rewrites_stays(output):
    manifest = beside(output)
    for path in (manifest, output.with_name("card.bmap")):
        path.write_text("x")

    remove_descriptions(output, nothing, rewritten=(manifest,))

    assert manifest.exists()
    assert not output.with_name("card.bmap").exists()


def test_an_image_from_another_file_system_is_copied_first(output, tmp_path, monkeypatch):
    """OUTPUT is never a half one."""
    made = tmp_path / IMAGE
    made.write_bytes(b"new" + b"\0" * 100_000 + b"end")
    real = os.stat(output.parent).st_dev
    monkeypatch.setattr("stalker.card.output._device", lambda path: real + (path == made))

    publish(made, output, nothing, nothing)

    assert output.read_bytes() == made.read_bytes()
    assert os.listdir(output.parent) == ["card.img"]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.img", "img"),
        ("a.img.xz", "img.xz"),
        ("a.img.zst", "img.zst"),
        ("a.img.gz", "img.gz"),
        ("a.zip", "zip"),
        ("a", "img"),
        ("a.xz", "img"),
    ],
)
def test_the_name_says_how_it_is_packed(tmp_path, name, kind):
    """Only the endings that image files have."""
    assert format_of(tmp_path / name) == kind
