"""The frame of images that grow from a base: real bases, the real tools, read back by sfdisk, e2fsck and the kernel."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from disks import MIB, DiskShop, has_to_be_there, mounted, partition_digest
from stalker.card.partitions import DataRequest, frame, inspect_base
from stalker.card.sizing import Load, measure_of, plan_layout
from stalker.disk.edit.fsck import mend
from stalker.disk.inspect import read_disk
from stalker.errors import Interrupted, StalkerError
from stalker.formats.fs.ext4 import find_super
from stalker.io.sparse import copy_image
from stalker.model.card import Output
from unit.helpers.card_bases import BOOT, DATA, ROOT, Part, content, is_sound, make_base, table_of, tool

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stalker.card.partitions import Frame
    from stalker.engine.docker.adapter import DockerEngine
    from stalker.toolbox.container import Tool

pytestmark = [pytest.mark.docker, pytest.mark.timeout(240)]

OUT = "/out"
WISH = DataRequest("sha256 of a configuration", epoch_s=1_700_000_000)


@pytest.fixture
def work(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


@pytest.fixture
def tools(engine: DockerEngine, tmp_path: Path, work: Path) -> Iterator[Tool]:
    toolbox = DiskShop(tmp_path, engine).workshop().toolbox
    assert toolbox is not None
    with toolbox.opened("toolbox", folder=work, folder_target=OUT) as opened:
        yield opened


def framed(
    base: Path, work: Path, tools: Tool, size_bytes: int, wish: DataRequest | None, **more: object
) -> tuple[Path, Frame]:
    """Copy a base and give it its frame; nothing else is left in the folder."""
    image = work / ".disk.img"
    image.unlink(missing_ok=True)
    with image.open("xb") as target:
        copy_image(base, target, lambda _count: None)
    found = frame(image, inspect_base(image), tools, OUT, size_bytes=size_bytes, data=wish, **more)  # type: ignore[arg-type]
    assert os.listdir(work) == [image.name]
    assert found.partitions == read_disk(image).partitions
    return image, found


def untouched(base: Path, image: Path, end: int) -> bool:
    """Say whether all up to `end` is as it was, but for the table."""
    head = 34 * 512
    return all(
        partition_digest(base, start, length) == partition_digest(image, start, length)
        for start, length in ((0, 440), (head, end - head))
    )


def has_files(image: Path, start: int) -> bool:
    """Let the kernel show the files that the base had."""
    with mounted(image, start) as root:
        return all((root / f"file{number}").read_bytes() == content(number) for number in range(3))


@pytest.mark.parametrize("label", ["dos", "gpt"])
@pytest.mark.parametrize("options", [(), ("-b", "1024"), ("-O", "^resize_inode,^metadata_csum,^64bit")])
def test_a_data_partition_grows_to_the_end(
    tmp_path: Path, work: Path, tools: Tool, label: str, options: tuple[str, ...]
) -> None:
    """Its files, its ids and its label stay; boot, root and what lies between are not touched."""
    data = Part("ext4", 16, "own", options)
    base = make_base(tmp_path / "base.img", [BOOT, ROOT, data], label)
    was = read_disk(base).partitions[2]

    image, found = framed(base, work, tools, 700 * MIB, WISH)

    assert image.stat().st_size == 700 * MIB
    assert (found.roles.boot, found.roles.root) == read_disk(base).partitions[:2]
    now = found.roles.data
    assert now is not None
    assert not found.is_data_new
    assert (now.filesystem.uuid, now.filesystem.label) == (was.filesystem.uuid, "own")
    assert (now.start_bytes, now.entry.uuid, now.entry.type) == (
        was.start_bytes,
        was.entry.uuid,
        was.entry.type,
    )
    assert now.start_bytes + now.size_bytes > 700 * MIB - 64 * 512
    assert now.size_bytes - now.filesystem.size_bytes < 8 * MIB
    assert untouched(base, image, was.start_bytes)
    assert table_of(image)[:2] == table_of(base)[:2]
    assert is_sound(image, now.start_bytes)
    assert has_files(image, now.start_bytes)
    assert image.stat().st_blocks * 512 < 250 * MIB
    with image.open("rb") as stream:
        shape = find_super(lambda at, count: os.pread(stream.fileno(), count, at), now.start_bytes)
    assert shape is not None
    assert sum(count for _, count in shape.journal) * shape.block_bytes == 16 * MIB
    assert "grew from 16 MiB to" in found.changes[0]
    is_short = shape.inodes < 700 * MIB // 16384 // 2
    assert [one.startswith("warning: partition 3 has space for") for one in found.changes[1:]] == [
        True
    ] * is_short


@pytest.mark.parametrize("label", ["dos", "gpt"])
@pytest.mark.parametrize("more", [0, 512, 3 * MIB + 1000])
def test_a_data_partition_is_added_where_there_is_none(
    tmp_path: Path, work: Path, tools: Tool, label: str, more: int
) -> None:
    """Aligned, behind the others, although the base ends anywhere; the kernel takes it and it is empty."""
    base = make_base(tmp_path / "base.img", [BOOT, ROOT], label, more_bytes=more)
    root = read_disk(base).partitions[1]
    end = root.start_bytes + root.size_bytes

    image, found = framed(base, work, tools, 200 * MIB, WISH)

    data = found.roles.data
    assert data is not None
    assert found.is_data_new
    assert (found.roles.boot, found.roles.root) == read_disk(base).partitions
    assert (data.entry.number, data.start_bytes) == (3, -(-end // (4 * MIB)) * 4 * MIB)
    assert data.start_bytes + data.size_bytes > 200 * MIB - 41 * 512
    assert (data.filesystem.kind, data.filesystem.label) == ("ext4", "data")
    assert label == "gpt" or data.entry.uuid == "1a2b3c4d-03"
    assert untouched(base, image, end)
    assert table_of(image)[:2] == table_of(base)[:2]
    assert is_sound(image, data.start_bytes)
    with mounted(image, data.start_bytes) as root:
        assert os.listdir(root) == ["lost+found"]


@pytest.mark.parametrize("parts", [[BOOT, ROOT], [BOOT, ROOT, DATA]])
def test_the_same_inputs_give_the_same_bytes(
    tmp_path: Path, work: Path, tools: Tool, parts: list[Part]
) -> None:
    base = make_base(tmp_path / "base.img", parts, "gpt")
    digests = []
    for wish in (WISH, WISH, DataRequest("another", epoch_s=WISH.epoch_s)):
        image, _ = framed(base, work, tools, 300 * MIB, wish)
        digests.append(partition_digest(image, 0, image.stat().st_size))

    assert digests[0] == digests[1]
    assert (digests[0] == digests[2]) == (len(parts) == 3)


@pytest.mark.parametrize("label", ["dos", "gpt"])
def test_an_image_without_data_becomes_larger_and_nothing_else(
    tmp_path: Path, work: Path, tools: Tool, label: str
) -> None:
    base = make_base(tmp_path / "base.img", [BOOT, ROOT], label)

    image, found = framed(base, work, tools, 300 * MIB, None)

    assert found.roles.data is None
    assert found.changes == ()
    assert table_of(image) == table_of(base)
    size = base.stat().st_size
    assert untouched(base, image, size - 34 * 512)
    assert label == "gpt" or partition_digest(image, 0, size) == partition_digest(base, 0, size)


@pytest.mark.parametrize("label", ["dos", "gpt"])
def test_an_image_of_the_size_of_its_base_is_its_base(
    tmp_path: Path, work: Path, tools: Tool, label: str
) -> None:
    base = make_base(tmp_path / "base.img", [BOOT, ROOT, DATA], label, more_bytes=300)

    image, _ = framed(base, work, tools, base.stat().st_size, WISH)

    assert image.read_bytes() == base.read_bytes()


def test_an_image_that_is_made_of_one_of_ours_keeps_its_data(tmp_path: Path, work: Path, tools: Tool) -> None:
    """The base has one partition alone, so data is the second: its label tells."""
    base = make_base(tmp_path / "base.img", [ROOT])
    first, made = framed(base, work, tools, 120 * MIB, WISH)
    assert made.roles.data is not None
    first.rename(tmp_path / "first.img")

    _, found = framed(tmp_path / "first.img", work, tools, 400 * MIB, WISH)

    assert found.roles.data is not None
    assert not found.is_data_new
    assert found.roles.data.filesystem.uuid == made.roles.data.filesystem.uuid
    assert found.roles.data.size_bytes > 300 * MIB


def test_a_file_system_that_is_smaller_than_its_partition_fills_it(
    tmp_path: Path, work: Path, tools: Tool
) -> None:
    """Where data is wanted; else it stays as it is."""
    base = make_base(tmp_path / "base.img", [BOOT, ROOT, Part("ext4", 100, "own", filesystem_mib=16)])
    size = base.stat().st_size
    measure = measure_of([Load(10, 60 * MIB)])

    same, _ = framed(base, work, tools, size, None)
    is_same = partition_digest(same, 0, size) == partition_digest(base, 0, size)
    room = plan_layout(inspect_base(base).base, measure, Output())
    image, found = framed(base, work, tools, room.image_bytes, WISH)

    assert is_same
    assert room.image_bytes == size
    assert found.roles.data is not None
    assert found.roles.data.filesystem.size_bytes == found.roles.data.size_bytes == 100 * MIB
    assert has_files(image, found.roles.data.start_bytes)
    assert partition_digest(image, 0, found.roles.data.start_bytes) == partition_digest(
        base, 0, found.roles.data.start_bytes
    )


@pytest.mark.parametrize(
    ("parts", "mib", "files"),
    [
        ([BOOT, ROOT], 200, 40),
        ([BOOT, ROOT, DATA], 200, 40),
        ([BOOT, ROOT, Part("ext4", 300, "own")], 200, 40),
        ([BOOT, ROOT], 12, 3000),
        ([BOOT, ROOT, Part("ext4", 16, "own", ("-N", "64"))], 12, 3000),
    ],
)
def test_what_was_reckoned_holds_its_content_and_a_tenth_is_free(
    tmp_path: Path, work: Path, tools: Tool, parts: list[Part], mib: int, files: int
) -> None:
    """Written by the kernel, as a machine would: with no block more than was said."""
    if os.geteuid() != 0:
        has_to_be_there("only root can mount a file system to fill it")
    base = make_base(tmp_path / "base.img", parts)
    size = mib * MIB // files
    measure = measure_of([Load(files, size * files, 1)])
    room = plan_layout(inspect_base(base).base, measure, Output())

    image, found = framed(base, work, tools, room.image_bytes, DataRequest("seed", files=measure.inodes))

    assert found.roles.data is not None
    assert found.roles.data.size_bytes >= room.data_bytes
    with mounted(image, found.roles.data.start_bytes, writes=True) as root:
        (root / "folder").mkdir()
        for number in range(files):
            (root / f"folder/f{number}").write_bytes(os.urandom(size))
        free = os.statvfs(root)
    assert free.f_bavail * free.f_bsize >= files * size // 10
    assert is_sound(image, found.roles.data.start_bytes)


# what was not clean


def left_in_use(image: Path, start: int, tmp_path: Path) -> Path:
    """Return a copy of an image as a machine leaves it that loses its power while it writes."""
    copy = tmp_path / "left.img"
    with mounted(image, start, writes=True) as root:
        (root / "written").write_bytes(b"last words")
        os.sync()
        with copy.open("xb") as target:
            copy_image(image, target, lambda _count: None)
    assert needs_recovery(copy, start)
    return copy


def needs_recovery(image: Path, start: int) -> bool:
    """Say whether the superblock asks for its journal; dumpe2fs takes an offset in some releases only."""
    with image.open("rb") as stream:
        stream.seek(start + 1024 + 0x60)
        return bool(int.from_bytes(stream.read(4), "little") & 0x4)


def test_a_data_partition_that_was_in_use_is_mended_and_said(tmp_path: Path, work: Path, tools: Tool) -> None:
    base = make_base(tmp_path / "base.img", [BOOT, ROOT, DATA])
    start = read_disk(base).partitions[2].start_bytes

    image, found = framed(left_in_use(base, start, tmp_path), work, tools, 300 * MIB, WISH)

    assert is_sound(image, start)
    assert has_files(image, start)
    with mounted(image, start) as root:
        assert (root / "written").read_bytes() == b"last words"
    assert found.changes[0] == "partition 3 of the base was not clean; it has been repaired"


def test_a_damaged_data_partition_is_refused(tmp_path: Path, work: Path, tools: Tool) -> None:
    """In words, and what it was worked on in is gone."""
    base = make_base(tmp_path / "base.img", [BOOT, ROOT, DATA])
    start = read_disk(base).partitions[2].start_bytes
    tool("debugfs", "-w", "-R", "clri <2>", f"{base}?offset={start}")

    with pytest.raises(StalkerError, match="the data partition of the base cannot be made larger") as caught:
        framed(base, work, tools, 300 * MIB, WISH)

    assert "e2fsck failed" in caught.value.details
    assert os.listdir(work) == [".disk.img"]


@pytest.mark.parametrize("number", [1, 2])
def test_what_is_sound_is_not_written_to(tmp_path: Path, work: Path, tools: Tool, number: int) -> None:
    image = make_base(work / ".disk.img", [BOOT, ROOT])
    before = partition_digest(image, 0, image.stat().st_size)

    said = mend(image, read_disk(image).partitions[number - 1], tools, OUT)

    assert said == ""
    assert partition_digest(image, 0, image.stat().st_size) == before
    assert os.listdir(work) == [image.name]


def test_a_root_that_was_in_use_is_mended(tmp_path: Path, work: Path, tools: Tool) -> None:
    """Where it lies: nothing before or behind it changes, and its last words are there."""
    base = make_base(tmp_path / "base.img", [BOOT, ROOT, DATA])
    root = read_disk(base).partitions[1]
    left = left_in_use(base, root.start_bytes, tmp_path)
    image = left.rename(work / ".disk.img")
    size = image.stat().st_size
    end = root.start_bytes + root.size_bytes
    outside = [partition_digest(image, 0, root.start_bytes), partition_digest(image, end, size - end)]

    said = mend(image, root, tools, OUT, epoch_s=WISH.epoch_s)

    assert said == "partition 2 of the base was not clean; it has been repaired"
    assert is_sound(image, root.start_bytes)
    assert image.stat().st_size == size
    assert [partition_digest(image, 0, root.start_bytes), partition_digest(image, end, size - end)] == outside
    with mounted(image, root.start_bytes) as files:
        assert (files / "written").read_bytes() == b"last words"


def test_a_boot_partition_with_a_lost_cluster_is_mended(tmp_path: Path, work: Path, tools: Tool) -> None:
    image = make_base(work / ".disk.img", [BOOT, ROOT])
    boot = read_disk(image).partitions[0]
    with image.open("r+b") as stream:
        head = os.pread(stream.fileno(), 512, boot.start_bytes)
        table = boot.start_bytes + int.from_bytes(head[14:16], "little") * 512
        for copy in range(2):  # a chain of one cluster that no file has
            at = table + copy * int.from_bytes(head[36:40] if not head[22] else head[22:24], "little") * 512
            os.pwrite(stream.fileno(), b"\xff\xff\xff\x0f", at + 4 * 500)

    said = mend(image, boot, tools, OUT)

    assert said == "partition 1 of the base was not clean; it has been repaired"
    assert mend(image, boot, tools, OUT) == ""
    assert tool("mtype", "-i", f"{image}@@{boot.start_bytes}", "::/config.txt") == "enable_uart=1\n"
    assert os.listdir(work) == [image.name]


def test_a_damaged_root_is_refused(tmp_path: Path, work: Path, tools: Tool) -> None:
    image = make_base(work / ".disk.img", [BOOT, ROOT])
    root = read_disk(image).partitions[1]
    tool("debugfs", "-w", "-R", "clri <2>", f"{image}?offset={root.start_bytes}")

    with pytest.raises(StalkerError, match="partition 2 of the base is damaged") as caught:
        mend(image, root, tools, OUT)

    assert "e2fsck" in caught.value.details
    assert "e2fsck" in caught.value.resolution


# interruptions


def test_an_interruption_leaves_no_part_of_it(tmp_path: Path, work: Path, tools: Tool) -> None:
    base = make_base(tmp_path / "base.img", [BOOT, ROOT, DATA])

    def check() -> None:
        raise Interrupted("interrupted")

    with pytest.raises(Interrupted):
        framed(base, work, tools, 300 * MIB, WISH, check=check)

    assert os.listdir(work) == [".disk.img"]


CHILD = """
import sys
from pathlib import Path
from stalker.disk.edit.grow_ext4 import grow_ext4

def check():
    print("copying", flush=True)
    sys.stdin.read()

image = Path(sys.argv[1])
grow_ext4(image, int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[3]) * 2, None, "/out", {}, check)
"""


def test_a_killed_run_leaves_only_names_with_a_dot(tmp_path: Path, work: Path, tools: Tool) -> None:
    """And the next one is not in its way."""
    base = make_base(tmp_path / "base.img", [BOOT, ROOT, DATA])
    image = base.rename(work / ".disk.img")
    data = read_disk(image).partitions[2]
    argv = [sys.executable, "-c", CHILD, str(image), str(data.start_bytes), str(data.size_bytes)]
    lib = Path(__file__).resolve().parents[2] / "lib"
    child = subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(lib)}
    )
    with child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"copying\n"
        child.kill()

    left = sorted(os.listdir(work))
    found = frame(image, inspect_base(image), tools, OUT, size_bytes=300 * MIB, data=WISH)

    assert left == [".disk.img", ".disk.img.data"]
    assert found.roles.data is not None
    assert is_sound(image, found.roles.data.start_bytes)
    assert os.listdir(work) == [".disk.img"]
