"""A FAT edited in place: mtools read every byte of it, fsck.vfat finds nothing."""

from __future__ import annotations

import itertools
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stalker.errors import StalkerError
from stalker.formats.fs.entry import Entry, Found
from stalker.formats.fs.fat.names import fold, trouble_of
from unit.helpers.fats import KIB, MIB, NOW_S, SHAPES, Fat, entries, fill, put, tool

FILES = {
    "/config.txt": b"enable_uart=1\n",
    "/Readme First.TXT": os.urandom(70 * KIB + 1),
    "/empty": b"",
    "/overlays": None,
    "/a/b/c/A long name for one.jpeg": os.urandom(512),
    "/a/b/c/A long name for two.jpeg": os.urandom(16 * KIB),
    "/a/B/ä € ö.Txt": os.urandom(4097),
    "/a/.hidden": b"x",
}
AS_READ = {path.replace("/a/B/", "/a/b/"): data for path, data in FILES.items()} | {
    "/a": None,
    "/a/b": None,
    "/a/b/c": None,
}


def refused(editor, *some):
    """Return the words of the error that a put of these ends in, after which nothing is to be written."""
    with pytest.raises(StalkerError) as caught:
        editor.put(some)
    assert editor.pieces() == []
    return f"{caught.value.brief}\n{caught.value.details}\n{caught.value.resolution}"


# what others read


@pytest.mark.parametrize("start", [0, MIB + 512])
@pytest.mark.parametrize("shape", SHAPES)
def test_others_read_what_was_put(tmp_path, shape, start):
    """In every kind of FAT, wherever it lies, mtools read the same files, and fsck.vfat finds nothing."""
    fat = Fat(tmp_path / "x.img", shape, start)

    fat.put(FILES)

    assert fat.fsck() == ""
    assert fat.tree() == AS_READ


@pytest.mark.parametrize("shape", ["fat12", "fat16-8k", "fat32", "fat32-sectors"])
def test_what_others_put_is_read(tmp_path, shape):
    """Files that mcopy wrote are found and read, whatever case they are asked for in."""
    fat = Fat(tmp_path / "x.img", shape)
    data = os.urandom(33_333)
    (tmp_path / "A rather long name.bin").write_bytes(data)
    tool("mmd", "-i", fat.drive, "::Sub Folder", "::SHORT")
    for folder in ("Sub Folder", "SHORT"):
        tool("mcopy", "-i", fat.drive, str(tmp_path / "A rather long name.bin"), f"::{folder}/")

    with fat.editor() as editor:
        assert editor.read("/Sub Folder/A rather long name.bin") == data
        assert editor.read("/short/A RATHER LONG NAME.BIN") == data
        assert editor.read("/SUBFOL~1/ARATHE~1.BIN") == data
        assert editor.look(["/", "/sub folder", "/SHORT/a rather long name.bin", "/x", "/short/x/y"]) == {
            "/": Found("folder"),
            "/sub folder": Found("folder"),
            "/SHORT/a rather long name.bin": Found("file", 33_333),
        }


def test_both_put_into_the_same_folders(tmp_path):
    """The editor and mcopy take turns, and neither loses what the other wrote."""
    fat = Fat(tmp_path / "x.img", "fat16")
    wanted = {"/one folder": None}
    for turn in range(8):
        path, data = f"/one folder/Something longer {turn}.data", os.urandom(3000 * turn)
        if turn % 2:
            fat.put({path: data})
        else:
            (tmp_path / "x").write_bytes(data)
            if not turn:
                tool("mmd", "-i", fat.drive, "::one folder")
            tool("mcopy", "-i", fat.drive, str(tmp_path / "x"), f"::{path}")
        wanted[path] = data

    assert fat.fsck() == ""
    assert fat.tree() == wanted


def test_times_are_kept_in_utc_as_far_as_they_reach(tmp_path):
    """A file has its own time, what is before 1980 or after 2107 the nearest that there is."""
    fat = Fat(tmp_path / "x.img")
    with fat.editor() as editor:
        for name, mtime_s in (("/now", NOW_S), ("/first", 0), ("/last", 1 << 40)):
            put(fat.path, editor, {name: b"x"}, mtime_s)
        put(fat.path, editor, {"/folder/x": b""}, 0)
        editor.finish()

    lines = {line.split()[0]: line for line in fat.listing().splitlines() if "-" in line}

    assert "2023-11-14  22:13" in lines["now"]
    assert "1980-01-01   0:00" in lines["first"]
    assert "2107-12-31  23:59" in lines["last"]
    assert "2023-11-14  22:13" in lines["folder"]


def test_a_label_stays_and_is_in_no_ones_way(tmp_path):
    """A file may be called as the volume is."""
    fat = Fat(tmp_path / "x.img", "fat16", 0, "-n", "BOOT")

    fat.put({"/BOOT": b"x"})

    assert fat.fsck() == ""
    assert fat.tree() == {"/BOOT": b"x"}
    assert "is BOOT" in fat.listing()


def test_a_folder_in_the_root_has_no_cluster_above_it(tmp_path):
    """`..` says 0 for the root folder, of a FAT32 too, and the cluster of any other."""
    fat = Fat(tmp_path / "x.img", "fat32")

    ranges = fat.put({"/a/b/x": b"x"})

    image = fat.bytes()
    inner = image.rindex(b".          ", 0, ranges["/a/b/x"][0].start)
    outer = image.rindex(b".          ", 0, inner)
    assert image[outer + 32 : outer + 43] == b"..         "
    assert image[outer + 58 : outer + 60] == b"\0\0"
    assert image[inner + 58 : inner + 60] == image[outer + 26 : outer + 28] != b"\0\0"


# replacing


@pytest.mark.parametrize("shape", ["fat12", "fat16", "fat32"])
@pytest.mark.parametrize("size", [0, 1, 5_000, 200_000])
def test_a_file_is_replaced_by_a_smaller_or_larger_one(tmp_path, shape, size):
    """The new content is read, and the room of the old one is free again."""
    fat = Fat(tmp_path / "x.img", shape)
    fat.put({"/a/file": os.urandom(20_000), "/a/other": b"other"})
    with fat.editor() as editor:
        before = editor.free_bytes
    data = os.urandom(size)

    fat.put({"/a/file": data})

    assert fat.fsck() == ""
    assert fat.tree() == {"/a": None, "/a/file": data, "/a/other": b"other"}
    with fat.editor() as editor:
        cluster = SHAPES[shape][0] and 512
        assert editor.free_bytes == before + -(-20_000 // cluster) * cluster - -(-size // cluster) * cluster


def test_a_replaced_file_has_the_case_that_was_given_last(tmp_path):
    """`README.txt` over `readme.TXT` is one file, called as it came last."""
    fat = Fat(tmp_path / "x.img")
    names = ["/readme.TXT", "/Readme.Txt", "/README.txt", "/Some longer name", "/SOME longer NAME"]

    for name in names:
        fat.put({name: name.encode()})

    assert fat.fsck() == ""
    assert fat.tree() == {name: name.encode() for name in (names[2], names[4])}


def test_a_folder_that_is_there_stays(tmp_path):
    """A folder put again is what it was, in name and content, and nothing is to be written."""
    fat = Fat(tmp_path / "x.img")
    fat.put({"/Folder/x": b"x"})
    with fat.editor() as editor:
        editor.put([Entry("/FOLDER", kind="folder"), Entry("/", kind="folder")])

        assert editor.pieces() == []


def test_a_short_name_that_somebody_made_up_loses_no_file(tmp_path):
    """A file or folder that is called as another's short name is put beside it."""
    fat = Fat(tmp_path / "x.img")
    files = {"/program files.txt": b"long", "/PROGRA~1.TXT": b"short", "/program filters.txt": b"next"}
    folders = {
        "/program files": None,
        "/program files/x": b"long",
        "/progra~1": None,
        "/progra~1/x": b"short",
    }

    fat.put(files)
    fat.put(folders)

    assert fat.fsck() == ""
    assert fat.tree() == files | folders


def test_what_is_replaced_before_finish_is_whole_until_then(tmp_path):
    """When all ends before `finish`, the old files are read, though all new bytes are written already."""
    fat = Fat(tmp_path / "x.img", "fat12")
    before = {"/a": os.urandom(300 * KIB), "/b/c": os.urandom(100 * KIB)}
    fat.put(before)

    with fat.editor() as editor:
        for _ in range(3):
            put(fat.path, editor, {"/a": os.urandom(100 * KIB), "/b/c": os.urandom(70_001)})

        assert fat.fsck() == ""
        assert fat.tree() == {**before, "/b": None}


def test_an_editor_goes_on_after_finish(tmp_path):
    """What was given back can be taken again then, and the file system is sound each time."""
    fat = Fat(tmp_path / "x.img", "fat12")
    with fat.editor() as editor:
        for turn in range(8):
            files = {"/a": os.urandom(400_000 - turn), f"/folder/{turn}": b"x"}
            put(fat.path, editor, files)
            editor.finish()

            assert editor.pieces() == []
            assert fat.fsck() == ""
            assert fat.tree()["/a"] == files["/a"]


# what is to be written


@pytest.mark.parametrize("shape", ["fat12", "fat16-8k", "fat32"])
def test_pieces_are_in_order_and_beside_the_data(tmp_path, shape):
    """No two pieces touch, none lies on bytes of a file, and they are all that finish writes."""
    fat = Fat(tmp_path / "x.img", shape)
    fat.put({"/old": os.urandom(50_000), "/a/d": b"x"})
    with fat.editor() as editor:
        before = fat.bytes()
        ranges = editor.put(entries(FILES | {"/old": b"y" * 7000}))
        assert fat.bytes() == before
        pieces = editor.pieces()
        spans = [(at, at + len(data)) for at, data in pieces]
        taken = sorted((one.start, one.start + one.length) for row in ranges.values() for one in row)
        editor.finish()

    expected = bytearray(before)
    for at, data in pieces:
        expected[at : at + len(data)] = data
    assert fat.bytes() == expected
    assert all(first[1] < second[0] for first, second in itertools.pairwise(spans))
    every = sorted(spans + taken)
    assert all(first[1] <= second[0] for first, second in itertools.pairwise(every))


def test_behind_the_end_of_a_file_are_zeros(tmp_path):
    """What stood in its last cluster before cannot be read from the card."""
    fat = Fat(tmp_path / "x.img", "fat12-2k", litter=b"\xa5")

    ranges = fat.put({"/a/file": b"x" * 2049, "/b": b"y"})

    image = fat.bytes()
    for name, behind in (("/a/file", 2047), ("/b", 2047)):
        end = ranges[name][-1].start + ranges[name][-1].length
        assert image[end : end + behind] == bytes(behind)
        assert image[end + behind - 2048] != 0
    assert image.count(b"\xa5") > 6 * MIB


def test_holes_of_an_image_stay(tmp_path):
    """Where a new image is zeros already, none are written."""
    fat = Fat(tmp_path / "x.img", "fat32-4k")
    with fat.editor() as editor:
        editor.put([Entry(f"/{number}", size_bytes=5000) for number in range(8)])

        assert sum(len(data) for _, data in editor.pieces()) < 4096 + 3 * 512


def test_room_is_taken_in_a_row(tmp_path):
    """A file that fits in a row gets one range, also between others; one that does not gets what there is."""
    fat = Fat(tmp_path / "x.img", "fat12")
    with fat.editor() as editor:
        piece = editor.free_bytes // 64 // 512 * 512
        first = editor.put([Entry(f"/{number}", size_bytes=piece) for number in range(60)])
        assert all(len(row) == 1 for row in first.values())
        editor.put([Entry(f"/{number}") for number in range(0, 60, 2)])
        editor.finish()
        free = editor.free_bytes

        [tail] = editor.put([Entry("/row", size_bytes=piece)])["/row"]
        rest = editor.put([Entry("/all", size_bytes=free - piece)])["/all"]

    assert tail.length == piece
    assert len(rest) > 20
    assert sum(one.length for one in rest) == free - piece
    assert all(a.start + a.length != b.start for a, b in itertools.pairwise(rest))


# what cannot be


def test_a_full_disk_says_how_much_is_missing(tmp_path):
    """Nothing is changed then, and what does fit can still be put."""
    fat = Fat(tmp_path / "x.img", "fat12")
    fat.put({"/old": b"old" * 1000})
    before = fat.bytes()
    with fat.editor() as editor:
        free = editor.free_bytes
        said = refused(editor, Entry("/a", size_bytes=free), Entry("/new/b", size_bytes=100 * 512))
        assert "50 KiB are missing" in said
        said = refused(editor, Entry("/a", size_bytes=free), Entry("/old"), Entry("/new", kind="folder"))
        assert "512 B are missing" in said
        editor.finish()
        assert fat.bytes() == before

        assert editor.free_bytes == free
        put(fat.path, editor, {"/a": b"a" * free})
        editor.finish()
        assert editor.free_bytes == 0

    assert fat.fsck() == ""
    assert fat.tree() == {"/old": b"old" * 1000, "/a": b"a" * free}


def test_a_put_that_fails_late_leaves_what_was_put_before(tmp_path):
    """Folders that grew, files that were replaced, new short names: all as after the put before."""
    fat = Fat(tmp_path / "x.img", "fat12")
    fat.put({"/folder/a file with a name": b"old"})
    with fat.editor() as editor:
        put(fat.path, editor, {"/folder/second": b"2", "/new/third": b"3" * 3000})
        pieces, free = editor.pieces(), editor.free_bytes
        grown = [Entry(f"/folder/a file with another name {number}") for number in range(40)]
        with pytest.raises(StalkerError, match="second is a file"):
            editor.put(
                [
                    Entry("/folder/second", size_bytes=9999),
                    Entry("/new/THIRD", size_bytes=1),
                    Entry("/folder/AFILEW~1", size_bytes=1),
                    *grown,
                    Entry("/newer/folder/x", size_bytes=5),
                    Entry("/folder/second/x", size_bytes=1),
                ]
            )

        assert (editor.pieces(), editor.free_bytes) == (pieces, free)
        assert set(editor.look(["/newer", "/folder/afilew~1", "/new/third", grown[0].path])) == {
            "/folder/afilew~1",
            "/new/third",
        }
        editor.finish()
    assert fat.fsck() == ""
    assert fat.tree() == {
        "/folder": None,
        "/folder/a file with a name": b"old",
        "/folder/second": b"2",
        "/new": None,
        "/new/third": b"3" * 3000,
    }


def test_the_root_of_a_fat16_gets_full(tmp_path):
    """It cannot grow; the error says so, and a folder below it can."""
    fat = Fat(tmp_path / "x.img", "fat16", 0, "-r", "16")
    full = {f"/{number}": b"" for number in range(16)}
    fat.put({path: data for path, data in full.items() if path != "/0"})
    with fat.editor() as editor:
        assert "16 entries" in refused(editor, Entry("/a long name.text"))
        put(fat.path, editor, {"/0": b""})
        editor.finish()
        assert "FAT16 file system is full" in refused(editor, Entry("/16"))

    assert fat.fsck() == ""
    assert fat.tree() == full


def test_links_and_names_that_cannot_be_are_told_all_at_once(tmp_path):
    """Each is named with its reason, and nothing is put."""
    with Fat(tmp_path / "x.img").editor() as editor:
        said = refused(
            editor,
            Entry("/fine", size_bytes=5),
            Entry("/a/link", kind="link", target="x"),
            Entry("/hard", kind="hardlink", target="/fine"),
            Entry("/dev", kind="other"),
            Entry("/what?/x", kind="folder"),
            Entry("/bad\udcff"),
            Entry("/huge", size_bytes=4 << 30),
        )

    assert "cannot hold 6 entries" in said
    assert "/a/link: a link; only" in said
    assert "/hard: a hard link" in said
    assert "/dev: a device" in said
    assert "/what?/x: it has ?" in said
    assert "/bad\\udcff: it is not UTF-8" in said
    assert "/huge: it has 4 GiB" in said


def test_a_folder_takes_the_place_of_a_file(tmp_path):
    """When it is put itself; it is called as it came, and the room of the file is free again."""
    fat = Fat(tmp_path / "x.img", "fat12")
    fat.put({"/a/file": os.urandom(9000), "/a/other": b"other"})

    fat.put({"/a/FILE": None, "/a/file/x": b"x"})

    assert fat.fsck() == ""
    assert fat.tree() == {"/a": None, "/a/FILE": None, "/a/FILE/x": b"x", "/a/other": b"other"}


def test_of_what_comes_twice_the_last_counts(tmp_path):
    """There are ranges for what stands there in the end, and for nothing else."""
    fat = Fat(tmp_path / "x.img", "fat12")
    with fat.editor() as editor:
        ranges = editor.put(
            [
                *(Entry("/a", size_bytes=5000), Entry("/a", size_bytes=7)),
                *(Entry("/b", size_bytes=5000), Entry("/b")),
                *(Entry("/c", size_bytes=5000), Entry("/c", kind="folder")),
            ]
        )
        fill(fat.path, ranges, {"/a": b"a" * 7})
        editor.finish()

    assert list(ranges) == ["/a"]
    assert fat.fsck() == ""
    assert fat.tree() == {"/a": b"a" * 7, "/b": b"", "/c": None}


def test_files_and_folders_are_not_lost_on_the_way(tmp_path):
    """A file never comes where a folder is, and a file on the way to another stays."""
    fat = Fat(tmp_path / "x.img")
    fat.put({"/folder/x": b"x", "/file": b"y"})
    with fat.editor() as editor:
        assert "/FOLDER is a folder" in refused(editor, Entry("/FOLDER", size_bytes=1))
        assert "/file is a file" in refused(
            editor, Entry("/FOLDER/x", kind="folder"), Entry("/file/x", kind="folder")
        )
        assert "/file is a file" in refused(editor, Entry("/file/x/y"))
        assert "this is the root folder" in refused(editor, Entry("/"))
        with pytest.raises(StalkerError, match="not a file"):
            editor.read("/folder")
        with pytest.raises(StalkerError, match="not a file"):
            editor.read("/none")


def test_the_largest_file_fits_and_is_not_read_at_once(tmp_path):
    """4 GiB - 1 can be put where there is room; `read` is for small ones."""
    fat = Fat(tmp_path / "x.img", "fat32-5g")
    with fat.editor() as editor:
        [room] = editor.put([Entry("/big", size_bytes=(1 << 32) - 1)])["/big"]
        assert room.length == (1 << 32) - 1
        with pytest.raises(StalkerError, match="too large"):
            editor.read("/big")
        editor.finish()
    assert "4294967295" in fat.listing().replace(" ", "")

    # fsck.vfat 4.2 counts the bytes of a chain in 32 bits, and takes one of 4 GiB for an empty one
    fat.put({"/big": b""})
    with fat.editor() as editor:
        editor.put([Entry("/big", size_bytes=(1 << 32) - 32 * KIB)])
        editor.finish()
    assert fat.fsck() == ""


# many, and any


@pytest.mark.parametrize("shape", ["fat12-2k", "fat32"])
def test_a_thousand_files_in_one_folder(tmp_path, shape):
    """The folder grows, all have short names of their own, and the order of the names is that of the put."""
    fat = Fat(tmp_path / "x.img", shape)
    files = {f"/photos/Photo of a holiday {number:04}.jpeg": b"%d" % number for number in range(1000)}

    fat.put(files)

    assert fat.fsck() == ""
    assert fat.tree() == {"/photos": None, **files}


def test_a_name_of_any_letters_is_kept(tmp_path):
    """Letters outside the first plane of Unicode take two units; 255 units fit and no more."""
    fat = Fat(tmp_path / "x.img", "fat32")
    names = [
        "😀 smile.png",
        "😀" * 127 + "x",
        "x" * 255,
        "ÄÖÜ.TXT",
        "ß",
        "SS",
        "日本語のファイル名.テキスト",
        "a\u0308",
    ]

    fat.put({f"/{name}": name.encode() for name in names})

    assert fat.fsck() == ""
    with fat.editor() as editor:
        for name in names:
            assert editor.read(f"/{name}") == name.encode()
            assert editor.look([f"/{name}"]) == {f"/{name}": Found("file", len(name.encode()))}
        assert editor.read("/äöü.txt") == "ÄÖÜ.TXT".encode()
    plain = [name for name in names if max(name) < "\uffff"]
    assert {path: data for path, data in fat.tree().items() if path[1:] in plain} == {
        f"/{name}": name.encode() for name in plain
    }


WORDS = [
    *("a", "A", "b.txt", "B.TXT", "B.txt", "b.TXT", "Long name one.text", "LONG name one.TEXT"),
    *(
        "Long name two.text",
        "longname.texts",
        ".dot",
        "x+y",
        "x=y",
        "ä",
        "Ä",
        "a.b.c",
        "12345678.123",
        "n" * 40,
    ),
]
NAMES = st.sampled_from(WORDS) | st.text(
    st.characters(codec="utf-8", max_codepoint=0xFFFD, exclude_categories=["Cc", "Cs", "Cn", "Co"]),
    min_size=1,
    max_size=20,
).filter(lambda name: not trouble_of(name) and "/" not in name)
NAMES |= st.sampled_from(["LONGNA~1.TEX", "longna~2.tex", "LONGNA~3.TEX", "_~1", "X_Y~1", "X_Y~2"])
PATHS = st.lists(NAMES, min_size=1, max_size=3).map(lambda parts: "/" + "/".join(parts))
CONTENTS = (
    st.none() | st.just(b"") | st.integers(1, 2500).map(lambda size: random.Random(size).randbytes(size))
)


class Model:
    """A file system as it should be: folded names to names and contents, a dict for a folder."""

    def __init__(self):
        self.root = {}

    def put(self, path, data):
        """Say whether it can be put, and do."""
        *above, name = path[1:].split("/")
        here = self.root
        for part in above:
            _, here = here.setdefault(fold(part), (part, {}))
            if not isinstance(here, dict):
                return False
        if data is None:
            if not isinstance(here.get(fold(name), ("", b""))[1], dict):
                here[fold(name)] = (name, {})
            return True
        if isinstance(here.get(fold(name), ("", b""))[1], dict):
            return False
        here[fold(name)] = (name, data)
        return True

    def tree(self, here=None, above=""):
        found = {}
        for name, data in (self.root if here is None else here).values():
            found[f"{above}/{name}"] = None if isinstance(data, dict) else data
            if isinstance(data, dict):
                found |= self.tree(data, f"{above}/{name}")
        return found


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.sampled_from(["fat12", "fat16", "fat32"]),
    st.lists(
        st.tuples(st.lists(st.tuples(PATHS, CONTENTS), min_size=1, max_size=5), st.booleans()), max_size=8
    ),
)
def test_any_row_of_puts_is_what_a_dictionary_would_hold(shape, batches):
    """Files made, replaced and refused in any order: mtools read what a model of three lines has."""
    with tempfile.TemporaryDirectory() as place:
        fat, model = Fat(Path(place) / "x.img", shape), Model()
        with fat.editor() as editor:
            for batch, finishes in batches:
                tried = Model()
                for path, data in model.tree().items():
                    tried.put(path, data)
                some = [entry for path, data in batch for entry in entries({path: data})]
                if all(tried.put(path, data) for path, data in batch):
                    ranges, model = editor.put(some), tried
                    fill(fat.path, ranges, dict(batch))
                else:
                    with pytest.raises(StalkerError, match=r"is a (file|folder) of"):
                        editor.put(some)
                if finishes:
                    editor.finish()
            editor.finish()

        assert fat.fsck() == ""
        assert fat.tree() == model.tree()


def test_little_is_imported():
    """The editor starts as fast as Python does."""
    code = "import sys; import stalker.disk.edit.fat; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-S", "-c", code],
        check=True,
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(Path(__file__).parents[4] / "lib")},
    )

    loaded = set(done.stdout.split())
    assert "stalker.disk.edit.fat" in loaded
    assert not loaded & {
        "pathlib",
        "subprocess",
        "json",
        "hashlib",
        "socket",
        "threading",
        "decimal",
        "random",
    }
