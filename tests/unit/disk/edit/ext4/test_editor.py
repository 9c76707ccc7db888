"""Files put into file systems of the ext family, read back by the kernel and checked by e2fsck."""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from disks import MIB, mounted, read_files
from stalker.disk.edit.ext4.editor import Ext4Editor
from stalker.disk.edit.view import FileView
from stalker.errors import NeedsRepair, StalkerError
from stalker.formats.fs.entry import Entry, Found
from unit.helpers.loops import loop_device, needs_loops

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

pytestmark = pytest.mark.timeout(240)

START = MIB
MTIME_S = 1_700_000_000
SURROUNDINGS = {
    **os.environ,
    "PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin",
    "LC_ALL": "C.UTF-8",
    "TZ": "UTC",
}
CAPABILITY = b"\x01\x00\x00\x02\x00 " + b"\x00" * 14
RUBBISH = b"\xa5rubbish" * 8192
UUID = "e2a7b2a0-94a5-4b11-8d9a-3b9f0f6f3c1d"
PROFILES = {
    "default": ["-t", "ext4", "-b", "4096"],
    "1k": ["-t", "ext4", "-b", "1024"],
    "bookworm": [
        "-t",
        "ext4",
        "-b",
        "4096",
        "-O",
        "metadata_csum_seed,orphan_file,64bit,metadata_csum,flex_bg",
    ],
    "raspberry": ["-t", "ext4", "-b", "4096", "-O", "^huge_file,^metadata_csum,^64bit", "-L", "rootfs"],
    "ext3": ["-t", "ext3", "-b", "4096"],
    "ext2": ["-t", "ext2", "-b", "1024", "-I", "128"],
}
NAMES = [
    "plain",
    "with blanks  two",
    "tab\there",
    'quo"te',
    '"',
    '""',
    'ends"',
    "back\\slash\\",
    "<12>",
    "<2>",
    "-rf",
    "--help",
    "#comment",
    "!ls",
    "unicode \u00fc \U0001f4be",
    "caf\udce9\udcff",
    "a" * 255,
    "\u00fc" * 127,
    "'single' $(id) `id` ;&|*?[]",
    "bell\a\x1b[31m",
    "debugfs: stat",
    "...",
    " ",
]
TIMES = {"before": -86400, "instant": -1, "past": -(2**31), "zero": 0, "late": 2**31, "later": 2**33}


@dataclass
class Card:
    """An image with one file system from `START` on, and what was put into it."""

    path: Path
    size_bytes: int
    descriptor: int

    @property
    def device(self) -> str:
        return f"{self.path}?offset={START}"

    def editor(self) -> Ext4Editor:
        return Ext4Editor(FileView(self.descriptor), START, self.size_bytes, mtime_s=MTIME_S)

    def write(self, editor: Ext4Editor, files: Mapping[str, bytes], entries: Sequence[Entry]) -> Mapping:
        """Put entries, and the bytes of the files among them where the editor says."""
        ranges = editor.put(entries)
        for path, given_ranges in ranges.items():
            data = memoryview(files[path])
            assert sum(one.length for one in given_ranges) == len(data)
            for start, length in given_ranges:
                assert os.pwrite(self.descriptor, data[:length], start) == length
                data = data[length:]
        return ranges

    def finish(self, editor: Ext4Editor) -> None:
        """Finish, and let e2fsck look at all of it."""
        editor.finish()
        self.check()

    def check(self) -> None:
        done = subprocess.run(
            ["e2fsck", "-fn", self.device], capture_output=True, text=True, check=False, env=SURROUNDINGS
        )
        assert done.returncode == 0, done.stdout

    def digest(self) -> str:
        return hashlib.sha256(self.path.read_bytes()).hexdigest()

    def debugfs(self, request: str) -> str:
        return run("debugfs", "-w", "-R", request, self.device)

    def content(self) -> dict[str, tuple]:
        """Return what the kernel shows."""
        with mounted(self.path, START) as root:
            found = read_files(root)
        found.pop("lost+found", None)
        return found


@dataclass
class Bench:
    """A directory for images."""

    folder: Path
    count: int = 0

    @contextlib.contextmanager
    def card(
        self, size_mib: int, *options: str, rubbish: bytes = RUBBISH, epoch_s: int = 1_600_000_000
    ) -> Iterator[Card]:
        """Make a file system where something else was before."""
        self.count += 1
        path = self.folder / f"{self.count}.img"
        size = size_mib * MIB
        with path.open("wb") as stream:
            while rubbish and stream.tell() < START + size + MIB:
                stream.write(rubbish)
            stream.truncate(START + size + MIB)
        extended = f"offset={START},nodiscard,hash_seed={UUID},root_owner=0:0"
        argv = ("mke2fs", "-q", "-F", "-U", UUID, "-E", extended, *options, str(path), f"{size >> 10}k")
        run(*argv, SOURCE_DATE_EPOCH=str(epoch_s), E2FSPROGS_FAKE_TIME=str(epoch_s))
        descriptor = os.open(path, os.O_RDWR)
        try:
            yield Card(path, size, descriptor)
        finally:
            os.close(descriptor)
            path.unlink()


def run(*argv: str, **more: str) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, check=False, env={**SURROUNDINGS, **more})
    assert done.returncode == 0, done.stderr
    return done.stdout


def by_kernel(card: Card, program: str) -> str:
    """Run a Python program in a file system that the kernel mounted for changes; return what it printed.

    Mounted where nobody else sees it: a container that starts meanwhile would keep it mounted for a while.
    """
    needs_loops()
    shell = 'mount -o "loop,offset=$1" "$2" /mnt; cd /mnt; "$3" -c "$4"; cd /; umount /mnt'
    argv = ["unshare", "-m", "sh", "-ec", shell, "sh", str(START), str(card.path), sys.executable, program]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(tmp_path_factory.mktemp("ext4"))


def shown(entry: Entry, content: bytes = b"", *, is_small: bool = False) -> tuple:
    """What `read_files` has to tell of an entry; with `is_small` its inode has no room for late times."""
    kinds = {"file": stat.S_IFREG, "folder": stat.S_IFDIR, "link": stat.S_IFLNK}
    return (
        kinds[entry.kind],
        0o777 if entry.kind == "link" else entry.mode,
        entry.uid,
        entry.gid,
        min(entry.mtime_s, 2**31 - 1) if is_small else entry.mtime_s,
        entry.target,
        None,
        {name.decode(): value for name, value in entry.xattrs},
        content,
    )


def mixture() -> tuple[list[Entry], dict[str, bytes]]:
    """Return entries of all sorts, and the content of the files among them."""
    files = {f"/names/{name}": name.encode("utf-8", "surrogateescape") for name in NAMES}
    entries = [Entry(path, size_bytes=len(data), mtime_s=7) for path, data in files.items()]
    for size in (1, 1023, 1024, 4095, 4096, 4097, 70_001, 3 * MIB + 5):
        files[f"/sizes/{size}"] = os.urandom(size)
        entries.append(Entry(f"/sizes/{size}", size_bytes=size, mode=0o640))
    entries.append(Entry("/sizes/empty"))
    entries += [Entry(f"/times/{name}", mtime_s=when) for name, when in TIMES.items()]
    files["/bin/su"] = b"\x7fELF" * 3000
    large = tuple((b"user.n%d" % number, bytes([number]) * 150) for number in range(5))
    entries += [
        Entry("/bin", "folder", mode=0o755, mtime_s=8),
        Entry("/bin/su", size_bytes=12000, mode=0o4755, xattrs=((b"security.capability", CAPABILITY),)),
        Entry("/bin/zsu", "hardlink", target="/bin/su"),
        Entry("/bin/ysu", "hardlink", target="/bin/zsu"),
        Entry("/tmp", "folder", mode=0o1777, mtime_s=1),
        Entry(
            "/srv", "folder", mode=0o2750, uid=3_000_000, gid=4_294_967_294, xattrs=((b"user.x", b'a"b\n\0'),)
        ),
        Entry("/srv/owned", mode=0o600, uid=65536, gid=70_000, xattrs=large),
        Entry("/srv/fast", "link", target="-to ../x", uid=1000, gid=1000, mtime_s=-5),
        Entry("/srv/slow", "link", target='/nowhere "/' + "\u00fc" * 200, mtime_s=9),
        Entry("/srv/edge59", "link", target="x" * 59),
        Entry("/srv/edge60", "link", target="x" * 60),
        Entry("/srv/slow too", "hardlink", target="/srv/slow"),
        Entry("/a/b/c/deep", "folder", mode=0o700, mtime_s=3),
        Entry("/late/child", mtime_s=1),
        Entry("/late", "folder", mode=0o711, uid=5, mtime_s=4),
    ]
    return entries, files


def wanted(
    entries: Sequence[Entry], files: Mapping[str, bytes], *, is_small: bool = False
) -> dict[str, tuple]:
    """Return what the kernel has to show of entries."""
    found: dict[str, tuple] = {}
    for one in entries:
        path = one.path[1:]
        for end in [at for at, char in enumerate(path) if char == "/"]:
            found.setdefault(path[:end], shown(Entry(path, "folder", mode=0o755, mtime_s=MTIME_S)))
        if one.kind == "hardlink":
            found[path] = found[one.target[1:]]
        else:
            found[path] = shown(one, files.get(one.path, b""), is_small=is_small)
    return found


@pytest.mark.parametrize("profile", PROFILES)
def test_all_that_was_put_is_shown_by_the_kernel(bench: Bench, profile: str) -> None:
    """Entry by entry: contents, owners, modes, times, attributes, links, names of any bytes; and e2fsck agrees."""
    entries, files = mixture()
    with bench.card(24, *PROFILES[profile]) as card:
        editor = card.editor()
        card.write(editor, files, entries)
        card.finish(editor)

        expected = wanted(entries, files, is_small=profile == "ext2")
        found = card.content()
        assert found.keys() == expected.keys()
        for path, one in expected.items():
            assert found[path] == one, path
        with mounted(card.path, START) as root:
            assert (root / "bin/su").stat().st_nlink == 3
            assert (root / "bin/su").stat().st_ino == (root / "bin/ysu").stat().st_ino
            assert (root / "srv/slow").lstat().st_nlink == 2
            assert root.stat().st_nlink == 3 + len(
                [one for one in root.iterdir() if one.name != "lost+found"]
            )


@pytest.mark.parametrize("profile", ["default", "ext2"])
def test_all_that_was_put_is_looked_at_and_read(bench: Bench, profile: str) -> None:
    """What an editor tells of a file system is what was put into it, by whatever name."""
    entries, files = mixture()
    with bench.card(24, *PROFILES[profile]) as card:
        editor = card.editor()
        card.write(editor, files, entries)

        found = editor.look([one.path for one in entries] + ["/", "/nothing", "/bin/su/x", "/a/b"])
        expected = {
            one.path: Found(
                one.kind,  # type: ignore[arg-type]
                len(one.target.encode("utf-8", "surrogateescape")) if one.kind == "link" else one.size_bytes,
                0o777 if one.kind == "link" else one.mode,
                one.uid,
                one.gid,
                one.target,
            )
            for one in entries
            if one.kind not in {"hardlink", "folder"}
        }
        assert {path: found[path] for path in expected} == expected
        assert found["/bin/ysu"] == found["/bin/su"]
        assert (found["/srv"].kind, found["/srv"].mode, found["/srv"].gid) == (
            "folder",
            0o2750,
            4_294_967_294,
        )
        assert found["/"].kind == found["/a/b"].kind == "folder"
        assert not {"/nothing", "/bin/su/x"} & found.keys()
        for path in ("/names/<12>", '/names/quo"te', "/names/caf\udce9\udcff", "/sizes/70001"):
            assert editor.read(path) == files[path]
        assert editor.read("/sizes/empty") == b""


def test_what_stands_there_is_replaced_and_freed_in_the_end(bench: Bench) -> None:
    """A file becomes a link or a folder, a link a file; the other names of a file stay, and so do folders."""
    long = tuple((b"user.n%d" % number, b"v" * 150) for number in range(5))
    names = ["file", "to link", "to folder", "link", "slow", "two", "rich", "again"]
    with bench.card(16, "-t", "ext4", "-b", "1024") as card:
        editor = card.editor()
        before = editor.free_bytes
        files = {f"/{name}": os.urandom(200_000) for name in ("file", "to link", "to folder", "two", "rich")}
        first = card.write(
            editor,
            files,
            [
                *(Entry(path, size_bytes=200_000, mode=0o600, xattrs=long) for path in files),
                Entry("/two too", "hardlink", target="/two"),
                Entry("/link", "link", target="/nowhere"),
                Entry("/slow", "link", target="x" * 300),
                Entry("/folder", "folder", mode=0o700, uid=7, mtime_s=1),
                Entry("/folder/in it", mtime_s=1),
                Entry("/again", size_bytes=0),
            ],
        )
        new = {"/file": b"new", "/link": b"was a link", "/slow": b"too", "/two": b"other", "/rich": b"poor"}
        entries = [
            *(Entry(path, size_bytes=len(data), mtime_s=5) for path, data in new.items()),
            Entry("/to link", "link", target="there", mtime_s=5),
            Entry("/to folder", "folder", mode=0o750, mtime_s=5),
            Entry("/to folder/in", mtime_s=5),
            Entry("/folder", "folder", mode=0o777, mtime_s=99),
            Entry("/again", "hardlink", target="/two too"),
        ]

        second = card.write(editor, new, entries)

        taken = {block for one in first.values() for block in blocks(one)}
        assert not taken & {block for one in second.values() for block in blocks(one)}
        card.finish(editor)
        found = card.content()
        expected = wanted(entries[:-2], new)
        assert {name: found[name] for name in expected} == expected
        assert found["folder"][:5] == (stat.S_IFDIR, 0o700, 7, 0, 1)
        assert found["folder/in it"][8] == b""
        assert found["two too"] == found["again"]
        assert found["two too"][8] == files["/two"]
        assert set(found) == {*names, "two too", "folder", "folder/in it", "to folder/in"}
        kept = 200_000 + len(new) * 1024 + 3 * 1024
        assert before - editor.free_bytes < kept + 12 * 1024
        with mounted(card.path, START) as root:
            assert (root / "again").stat().st_nlink == 2


def blocks(ranges: Sequence[tuple[int, int]]) -> set[int]:
    return {block for start, length in ranges for block in range(start // 1024, -(-(start + length) // 1024))}


def test_devices_and_pipes_are_told_and_replaced(bench: Bench) -> None:
    """They are not files, and go like files; what they are numbered with is not a block to be freed."""
    with bench.card(8, "-t", "ext4", "-b", "1024") as card:
        by_kernel(card, "import os; os.mkfifo('pipe'); os.mknod('null', 0o20666, os.makedev(8, 300))")
        editor = card.editor()
        assert [one.kind for one in editor.look(["/pipe", "/null"]).values()] == ["other", "other"]

        card.write(editor, {"/pipe": b"p"}, [Entry("/pipe", size_bytes=1), Entry("/null", "folder")])

        card.finish(editor)
        found = card.content()
        assert found["pipe"][8] == b"p"
        assert stat.S_ISDIR(found["null"][0])


def test_attributes_that_the_kernel_let_files_share_stay_with_the_others(bench: Bench) -> None:
    """Equal ones lie in one block; a file that goes takes its share of it, and the last one the block."""
    with bench.card(8, "-t", "ext4", "-b", "1024") as card:
        program = "import os; before = os.statvfs('.').f_bfree\n"
        program += "for name in 'abc': open(name, 'w'); os.setxattr(name, 'user.long', b'v' * 700)\n"
        program += "os.sync(); print(before - os.statvfs('.').f_bfree)"
        assert by_kernel(card, program) == "1\n"
        editor = card.editor()
        editor.put([Entry("/a"), Entry("/b", "link", target="x")])
        card.finish(editor)
        found = card.content()
        assert found["a"][7] == {}
        assert found["c"][7] == {"user.long": b"v" * 700}
        free = editor.free_bytes

        editor.put([Entry("/c")])

        card.finish(editor)
        assert editor.free_bytes == free + 1024


def test_what_a_later_put_replaces_takes_its_room_until_the_end(bench: Bench) -> None:
    """The blocks of a file that was put and replaced in one session are free when it is finished, not before."""
    with bench.card(8, "-t", "ext4", "-b", "1024") as card:
        editor = card.editor()
        free = editor.free_bytes
        editor.put([Entry("/x", size_bytes=2 * MIB)])
        editor.put([Entry("/x", size_bytes=2 * MIB)])
        assert free - editor.free_bytes >= 4 * MIB

        card.finish(editor)

        assert 2 * MIB <= free - editor.free_bytes < 3 * MIB


def test_the_image_stays_sparse_until_bytes_come(bench: Bench) -> None:
    """A file of a gigabyte takes no room on the host before somebody writes it."""
    with bench.card(1200, "-t", "ext4", rubbish=b"") as card:
        editor = card.editor()
        stored = card.path.stat().st_blocks * 512

        ranges = editor.put([Entry("/large", size_bytes=1_000_000_001)])

        card.finish(editor)
        assert sum(one.length for one in ranges["/large"]) == 1_000_000_001
        assert len(ranges["/large"]) < 20
        assert card.path.stat().st_blocks * 512 - stored < 2 * MIB
        assert editor.look(["/large"])["/large"].size_bytes == 1_000_000_001


@pytest.mark.parametrize("profile", ["default", "1k", "ext2"])
def test_what_lay_behind_the_end_of_a_file_is_gone(bench: Bench, profile: str) -> None:
    """The rest of its last block is zeros, though the disk held something else there."""
    with bench.card(8, *PROFILES[profile]) as card:
        editor = card.editor()

        ranges = card.write(editor, {"/x": b"y" * 5000}, [Entry("/x", size_bytes=5000)])

        last = ranges["/x"][-1]
        end = last.start + last.length
        rest = -(end - START) % (4096 if profile == "default" else 1024)
        assert rest
        assert os.pread(card.descriptor, rest, end) == bytes(rest)


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        (Entry("/new\nline"), "line break"),
        (Entry("/return\r"), "line break"),
        (Entry("/nul\0"), "line break"),
        (Entry("/" + "x" * 256), "255 bytes"),
        (Entry("/" + "\u00fc" * 128), "255 bytes"),
        (Entry("/" + "/".join(["d" * 200] * 21)), "4095 bytes"),
        (Entry("/a/../b"), "absolute"),
        (Entry("relative"), "absolute"),
        (Entry("/l", "link", target="a\nb"), "line break"),
        (Entry("/l", "link", target=""), "empty"),
        (Entry("/l", "link", target="x" * 1024), "too long"),
        (Entry("/x", "other"), "devices"),
        (Entry("/x", xattrs=((b"user.x", bytes(2000)),)), "do not fit"),
        (Entry("/x", xattrs=((b"user.\nx", b""),)), "invalid name"),
        (Entry("/here", size_bytes=1), "a directory is there"),
        (Entry("/here", "link", target="x"), "a directory is there"),
        (Entry("/", size_bytes=1), "a directory is there"),
        (Entry("/to here/x"), "/to here on its way is a link"),
        (Entry("/file/x/y"), "/file on its way is a file"),
        (Entry("/h", "hardlink", target="/nothing"), "there is no file"),
        (Entry("/h", "hardlink", target="/here"), "there is no file"),
        (Entry("/large", size_bytes=9 * MIB), "are free"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_what_cannot_be_is_refused_before_anything_is_written(bench: Bench, entry: Entry, words: str) -> None:
    """Nothing of what was good in the same put is there either."""
    with bench.card(4, "-t", "ext4", "-b", "1024") as card:
        editor = card.editor()
        editor.put([Entry("/here", "folder"), Entry("/to here", "link", target="here"), Entry("/file")])
        before = card.digest()

        with pytest.raises(StalkerError) as raised:
            editor.put([Entry("/good", size_bytes=10), entry])

        assert words in raised.value.details
        assert raised.value.resolution
        assert card.digest() == before


def test_too_many_files_are_refused(bench: Bench) -> None:
    """A file system has so many inodes and no more."""
    with bench.card(4, "-t", "ext4", "-b", "1024", "-N", "64") as card:
        editor = card.editor()
        before = card.digest()

        with pytest.raises(StalkerError, match="so many files"):
            editor.put([Entry(f"/{number}") for number in range(64)])

        assert card.digest() == before


@pytest.mark.parametrize("profile", PROFILES)
def test_a_file_system_can_be_filled_to_the_brim(bench: Bench, profile: str) -> None:
    """All but a few blocks can be had, though free space lies in pieces; then the next file is refused."""
    with bench.card(12, *PROFILES[profile]) as card:
        editor = card.editor()
        small = {f"/holes/{number}": b"%d" % number for number in range(40)}
        card.write(editor, small, [Entry(path, size_bytes=len(data)) for path, data in small.items()])
        editor.put([Entry(f"/holes/{number}", "link", target="x") for number in range(0, 40, 2)])
        card.finish(editor)
        size = editor.free_bytes - editor.free_bytes // 200 - 16 * 4096
        data = os.urandom(size)

        card.write(editor, {"/large": data}, [Entry("/large", size_bytes=size)])

        card.finish(editor)
        assert editor.free_bytes < 80 * 4096
        assert card.content()["large"][8] == data
        with pytest.raises(StalkerError, match="no room"):
            editor.put([Entry("/more", size_bytes=editor.free_bytes + 1)])


def test_a_file_system_that_counts_wrongly_is_not_changed(bench: Bench) -> None:
    """What it says is free may be in use: a checker has to look at it first."""
    with bench.card(4, "-t", "ext4", "-b", "1024") as card:
        card.debugfs("set_super_value free_blocks_count 90000")
        before = card.digest()

        with pytest.raises(NeedsRepair, match="counts wrongly") as raised:
            card.editor()

        assert "it says 90000" in raised.value.details
        assert card.digest() == before


@pytest.mark.parametrize(
    ("feature", "options"),
    [
        ("bigalloc", ["-O", "bigalloc", "-C", "65536"]),
        ("inline_data", ["-O", "inline_data"]),
        ("quota", ["-O", "quota"]),
        ("mmp", ["-O", "mmp"]),
        ("ea_inode", ["-O", "ea_inode"]),
    ],
)
def test_a_file_system_of_another_kind_is_refused(bench: Bench, feature: str, options: list[str]) -> None:
    """The feature is named, and how to do without it."""
    with (
        bench.card(16, "-t", "ext4", "-b", "4096", *options) as card,
        pytest.raises(StalkerError, match=f"it has the feature {feature}") as raised,
    ):
        card.editor()

    assert f"^{feature}" in raised.value.resolution


def test_what_is_no_file_system_is_refused(bench: Bench) -> None:
    """Neither rubbish is changed, nor a file system that goes beyond its partition."""
    with bench.card(4, "-t", "ext4") as card:
        card.size_bytes -= 1
        with pytest.raises(StalkerError, match="larger than its partition"):
            card.editor()
        os.pwrite(card.descriptor, bytes(4096), START)
        with pytest.raises(StalkerError, match="no ext2, ext3 or ext4"):
            card.editor()


def test_an_image_that_is_in_use_is_refused(bench: Bench) -> None:
    """A loop device over it can be mounted: two would write at once."""
    with bench.card(4, "-t", "ext4") as card:
        with loop_device(card.path) as device, pytest.raises(StalkerError, match=f"in use by {device}"):
            card.editor()

        card.finish(card.editor())


@pytest.mark.parametrize("request_", ["set_super_value state 0", "feature needs_recovery"])
def test_what_was_not_closed_is_refused(bench: Bench, request_: str) -> None:
    """It may be mounted, and what its journal holds would undo what is put."""
    with bench.card(16, "-t", "ext4") as card:
        card.debugfs(request_)
        before = card.digest()

        with pytest.raises(StalkerError, match="not closed properly") as raised:
            card.editor()

        assert "e2fsck" in raised.value.resolution
        assert card.digest() == before


def test_a_file_system_may_be_younger_than_what_is_put(bench: Bench) -> None:
    """Files keep their times, and no time of the file system goes back: e2fsck would not have it."""
    with bench.card(16, "-t", "ext4", "-b", "4096", epoch_s=1_800_000_000) as card:
        editor = card.editor()
        editor.put([Entry("/d/x", mtime_s=5)])
        card.finish(editor)

        found = card.content()
        assert (found["d"][4], found["d/x"][4]) == (MTIME_S, 5)
        assert "Last write time:          Fri Jan 15 08:00:00 2027" in card.debugfs("show_super_stats -h")


@pytest.mark.parametrize("profile", ["default", "1k"])
def test_a_folder_of_ten_thousand_files_takes_more(bench: Bench, profile: str) -> None:
    """The kernel finds by its index what it put there itself and what came later; e2fsck has nothing to say."""
    with bench.card(48, *PROFILES[profile], "-N", "20000") as card:
        program = "import os; os.mkdir('many')\nfor number in range(10_000): open(f'many/old-{number}', 'w')"
        by_kernel(card, program)
        editor = card.editor()
        files = {f"/many/new file {number}": b"%d" % number for number in range(1000)}
        entries = [Entry(path, size_bytes=len(data)) for path, data in files.items()]
        entries += [Entry(f"/many/old-{number}", "link", target="gone") for number in range(0, 100, 9)]
        entries += [Entry(f"/many/also {number}", "hardlink", target="/many/old-1") for number in range(200)]

        card.write(editor, files, entries)

        card.finish(editor)
        with mounted(card.path, START) as root:
            assert all((root / path[1:]).read_bytes() == data for path, data in files.items())
            assert (root / "many/old-1").stat().st_nlink == 201
            assert (root / "many/old-9").readlink() == Path("gone")
            assert len(os.listdir(root / "many")) == 11_200


def test_a_new_folder_takes_very_many_names(bench: Bench) -> None:
    """Files, links, hard links and folders, far more than a block of a folder holds."""
    with bench.card(32, "-t", "ext4", "-b", "1024", "-N", "8000") as card:
        editor = card.editor()
        entries = [Entry(f"/many/{kind}-{number}", kind, target="/many/file-0", mtime_s=1) for kind in
                   ("file", "folder", "link", "hardlink") for number in range(500)]  # fmt: skip

        editor.put([Entry("/many", "folder"), *entries])

        card.finish(editor)
        with mounted(card.path, START) as root:
            assert len(os.listdir(root / "many")) == 2000
            assert (root / "many").stat().st_nlink == 502
            assert (root / "many/file-0").stat().st_nlink == 501


def test_links_lead_nowhere_out_of_the_file_system(bench: Bench) -> None:
    """Absolute ones begin at its root, dots end there; a link on the way hides what is behind it."""
    with bench.card(4, "-t", "ext4", "-b", "1024") as card:
        editor = card.editor()
        links = {
            "/etc/up": "../../../../usr/lib",
            "/lib": "usr/lib",
            "/abs": "/usr",
            "/long": "/usr/" + "./" * 100 + "lib",
            "/chain": "abs",
            "/gone": "/not/there",
            "/a": "b",
            "/b": "/a",
            "/usr/lib/back": "../../lib/back/..",
        }
        editor.put([Entry(path, "link", target=target) for path, target in links.items()])
        editor.put([Entry("/usr/lib/x")])

        assert editor.resolve("/lib/x") == "/usr/lib/x"
        assert editor.resolve("/etc/up/x/y") == "/usr/lib/x/y"
        assert editor.resolve("/chain/lib/x") == "/usr/lib/x"
        assert editor.resolve("/long/x") == "/usr/lib/x"
        assert editor.resolve("/lib") == "/lib"
        assert editor.resolve("/gone/x/y") == "/not/there/x/y"
        assert editor.resolve("/new/x") == "/new/x"
        assert editor.resolve("/") == "/"
        for path in ("/a/x", "/usr/lib/back/x"):
            with pytest.raises(StalkerError, match="circles"):
                editor.resolve(path)
        assert editor.look(["/lib/x", "/lib", "/long", "/usr/lib/x"]).keys() == {
            "/lib",
            "/long",
            "/usr/lib/x",
        }
        assert editor.look(["/long"])["/long"].target == links["/long"]


def test_only_files_that_are_not_too_large_are_read(bench: Bench) -> None:
    """Whole they are, up to 16 MiB; neither links nor folders, nor what is not there."""
    with bench.card(40, "-t", "ext4") as card:
        editor = card.editor()
        data = os.urandom(16 * MIB)
        entries = [Entry("/most", size_bytes=len(data)), Entry("/more", size_bytes=len(data) + 1)]
        card.write(
            editor, {"/most": data, "/more": data + b"x"}, [*entries, Entry("/link", "link", target="most")]
        )

        assert editor.read("/most") == data
        for path in ("/more", "/link", "/", "/nothing", "/link/x"):
            with pytest.raises(StalkerError, match="read"):
                editor.read(path)


def test_the_same_is_put_in_the_same_way(bench: Bench) -> None:
    """Byte for byte, at whatever time of the day."""
    entries, files = mixture()
    digests = []
    for _ in range(2):
        with bench.card(24, *PROFILES["default"]) as card:
            editor = card.editor()
            fixed = {
                path: data[:1] * len(data) if path.startswith("/sizes") else data
                for path, data in files.items()
            }
            card.write(editor, fixed, entries)
            card.finish(editor)
            digests.append(card.digest())
            time.sleep(1.1)  # what takes the time of the day shows it in seconds

    assert digests[0] == digests[1]


PARTS = st.sampled_from(["a", "b", "<3>", 'q"', "-", "\udcff \u00fc"])
PATHS = st.lists(PARTS, min_size=1, max_size=3).map(lambda parts: "/" + "/".join(parts))
PUTS = st.lists(
    st.lists(
        st.builds(
            Entry,
            path=PATHS,
            kind=st.sampled_from(["file", "file", "folder", "link", "hardlink"]),
            size_bytes=st.sampled_from([0, 1, 1024, 5000, 100_000]),
            mode=st.integers(0, 0o7777),
            uid=st.integers(0, 2**32 - 2),
            mtime_s=st.integers(-(2**31), 2**34 - 2**31 - 1),
            target=PATHS,
            xattrs=st.sampled_from([(), ((b"user.a", b"1"),), ((b"user.big", b"x" * 700),)]),
        ),
        min_size=1,
        max_size=8,
    ),
    min_size=1,
    max_size=4,
)


class Model:
    """A file system in memory: a path leads to a list, which hard links share."""

    def __init__(self) -> None:
        self.nodes: dict[str, list] = {}

    def put(self, entries: Sequence[Entry], files: Mapping[str, bytes]) -> bool:
        """Play entries; say whether it can be. Nothing has changed when it cannot."""
        nodes = dict(self.nodes)
        implied: set[str] = set()
        fresh: list[list] = []
        for one in entries:
            parts = one.path.split("/")
            for end in range(2, len(parts)):
                parent = "/".join(parts[:end])
                if parent not in nodes:
                    nodes[parent] = [Entry(parent, "folder", mode=0o755, mtime_s=MTIME_S)]
                    implied.add(parent)
                if nodes[parent][0].kind != "folder":
                    return False
            here = nodes.get(one.path)
            if here is not None and here[0].kind == "folder":
                if one.kind != "folder":
                    return False
                if one.path in implied:
                    nodes[one.path] = [one]
                    implied.discard(one.path)
                continue
            if one.kind == "hardlink":
                target = nodes.get(one.target)
                if target is None or target[0].kind == "folder":
                    return False
                nodes[one.path] = target
            else:
                nodes[one.path] = [one]
                fresh.append(nodes[one.path])
        for node in fresh:
            names = [path for path, other in nodes.items() if other is node]
            if names and node[0].path not in names:
                return False  # two files would come by one path
        self.nodes = nodes
        for node in fresh:
            if node[0].kind == "file":
                node.append(files[node[0].path][: node[0].size_bytes])
        return True

    def shown(self) -> dict[str, tuple]:
        found = {}
        for path, (entry, *content) in self.nodes.items():
            # A link has no attributes that its user may set: the kernel does not show them.
            other = {"xattrs": ()} if entry.kind == "link" else {"target": ""}
            bare = Entry(**{**fields(entry), **other})
            found[path[1:]] = shown(bare, *content)
        return found


def fields(entry: Entry) -> dict:
    return {name: getattr(entry, name) for name in entry.__slots__}


@pytest.mark.slow
@settings(
    max_examples=20,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # to make an example smaller takes minutes
)
@given(puts=PUTS, seed=st.binary(min_size=4, max_size=4))
def test_any_puts_in_a_row_leave_what_a_model_says(
    bench: Bench, puts: list[list[Entry]], seed: bytes
) -> None:
    """What can be is there in the end, what cannot be changed nothing."""
    model = Model()
    with bench.card(16, "-t", "ext4", "-b", "1024") as card:
        editor = card.editor()
        for number, entries in enumerate(puts):
            sizes = {one.path: one.size_bytes for one in entries if one.kind == "file"}
            files = {path: (seed + b"%d" % number + os.fsencode(path)) * 25_000 for path in sizes}
            if model.put(entries, files):
                cut = {path: files[path][:size] for path, size in sizes.items()}
                card.write(editor, cut, entries)
            else:
                with pytest.raises(StalkerError):
                    editor.put(entries)
        card.finish(editor)

        assert card.content() == model.shown()
