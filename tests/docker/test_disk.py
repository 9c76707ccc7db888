"""Disk images made by a real engine, read back by the kernel and checked by the tools of their file systems."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import stat
import subprocess
import sys
import tarfile
import threading
import time
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from disks import BOOT, EPOCH_S, HERE, MIB, ROOT, DiskShop, imported, inode_of, mounted, partition, read_files
from stalker.disk.inspect import read_disk
from stalker.errors import EngineError, StalkerError
from stalker.model import labels
from stalker.model.artifacts import Write
from unit.helpers.tars import device, folder, hard_link, link, make_tar, member

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stalker.engine.docker.adapter import DockerEngine

pytestmark = [pytest.mark.docker, pytest.mark.timeout(240)]

CAPABILITY = b"\x01\x00\x00\x02\x00 " + b"\x00" * 14
XATTR = {"SCHILY.xattr.security.capability": CAPABILITY.decode("latin-1")}
LARGE = os.urandom(300_000)

OWN = [
    folder("bin"),
    (member("bin/ping", mode=0o755, pax_headers=XATTR), b"\x7fELF" * 1000),
    (member("bin/su", mode=0o4755), b"su"),
    hard_link("bin/zsu", "bin/su", mode=0o4755),
    folder("boot", mode=0o755),
    (member("boot/kernel.img"), LARGE),
    (member("boot/A long name of a file.txt"), b"long"),
    folder("boot/overlays"),
    (member("boot/overlays/caf\u00e9.dtbo"), b"overlay"),
    folder("empty", mode=0o2750, gid=50),
    folder("srv", uid=1000, gid=50),
    (member("srv/caf\udce9\udcff", mtime=86400), b"latin"),
    (member("srv/" + "n" * 255, uid=3_000_000, gid=4_000_000), b"name of 255"),
    (member("srv/" + "/".join(["deep" * 20] * 6)), b"deep"),
    (member('srv/a\nb"c\\d $e'), b"control characters"),
    (member("srv/zeros"), b"\x00" * (3 << 20) + b"end"),
    link("srv/away", "/nowhere/" + "x" * 120, mode=0o777),
    link("srv/near", "a", mode=0o777),
    device("srv/null"),
    member("srv/disk", type=tarfile.BLKTYPE, devmajor=8, devminor=300),
    member("srv/pipe", type=tarfile.FIFOTYPE),
    folder("tmp", mode=0o1777),
    *[(f"srv/many{number:04}", b"%d" % number) for number in range(300)],
]
KINDS = {
    tarfile.REGTYPE: stat.S_IFREG,
    tarfile.DIRTYPE: stat.S_IFDIR,
    tarfile.SYMTYPE: stat.S_IFLNK,
    tarfile.CHRTYPE: stat.S_IFCHR,
    tarfile.BLKTYPE: stat.S_IFBLK,
    tarfile.FIFOTYPE: stat.S_IFIFO,
}


def expected() -> dict[str, tuple]:
    """What the kernel has to show of `OWN`."""
    found: dict[str, tuple] = {}
    for one in OWN:
        info, content = one if isinstance(one, tuple) else (one, b"")
        info = member(info) if isinstance(info, str) else info
        if info.type == tarfile.LNKTYPE:
            found[info.name] = found[info.linkname]
            continue
        for end in [at for at, char in enumerate(info.name) if char == "/"]:
            # docker makes the folders that the tar did not name
            found.setdefault(info.name[:end], None)
        xattrs = {"security.capability": CAPABILITY} if info.pax_headers else {}
        is_device = info.type in {tarfile.CHRTYPE, tarfile.BLKTYPE}
        found[info.name] = (
            KINDS[info.type],
            info.mode,
            info.uid,
            info.gid,
            info.mtime,
            info.linkname,
            (info.devmajor, info.devminor) if is_device else None,
            xattrs,
            content,
        )
    return found


@pytest.fixture
def shop(tmp_path: Path, engine: DockerEngine) -> DiskShop:
    return DiskShop(tmp_path, engine)


@pytest.fixture(scope="module")
def own_image(engine: DockerEngine) -> Iterator[object]:
    with imported(engine, make_tar(*OWN)) as image:
        yield image


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def verified(image: Path) -> dict[str, str]:
    """Return what `image verify` says: what was looked at, and the problem."""
    command = [sys.executable, "-m", "stalker.cli", "image", "verify", "--json", str(image)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ)
    assert done.stdout, done.stderr
    return {check["what"]: check["problem"] for check in json.loads(done.stdout)}


def left_in(engine: DockerEngine, shop: DiskShop) -> list[str]:
    """Return the containers of this process, and all files below the shop's folder."""
    ours = f"-{os.getpid()}-"
    containers = [one.name for one in engine.containers({labels.RUN: ""}) if ours in one.labels[labels.RUN]]
    return containers + [str(path) for path in shop.folder.rglob("*") if not path.is_dir()]


@pytest.mark.parametrize("table", ["mbr", "gpt"])
def test_all_that_a_file_system_can_hold_is_on_the_disk(shop, own_image, table):
    """Entry by entry: owners, modes, setuid, links, devices, capabilities, names of any bytes; and all tools agree."""
    swap = partition("swap", "swap", 2, label="swp")
    data = partition("data", "ext4", 8, label="data")

    made = shop.make(own_image, shop.artifact(BOOT, ROOT, swap, data, table=table))

    image = made.files[0]
    parts = {one["name"]: one for one in made.facts["partitions"]}
    with mounted(image, parts["root"]["start_bytes"]) as root:
        found = read_files(root)
        assert inode_of(root, "bin/su") == inode_of(root, "bin/zsu")
        assert os.lstat(root / "srv/zeros").st_blocks * 512 < MIB
    wanted = {path: what for path, what in expected().items() if not path.startswith("boot/")}
    docker_made = {"dev", "proc", "sys", "etc", "lost+found"}
    assert found.keys() - docker_made == wanted.keys()
    assert {path: found[path] for path, what in wanted.items() if what} == {
        path: what for path, what in wanted.items() if what
    }
    with mounted(image, parts["data"]["start_bytes"]) as empty:
        assert [path.name for path in empty.iterdir()] == ["lost+found"]
    checks = verified(image)
    assert set(checks.values()) == {""}
    assert {what.rpartition(" by ")[2] for what in checks} >= {"sfdisk", "e2fsck", "fsck.vfat"}


def test_a_fat_holds_the_boot_files_byte_for_byte(shop, own_image):
    """With long names and folders, under the serial number and label that were noted."""
    made = shop.make(own_image, shop.artifact(BOOT, ROOT))

    part = made.facts["partitions"][0]
    source = f"/out/disk.img@@{part['start_bytes']}"
    with shop.workshop().toolbox.opened("toolbox", folder=made.files[0].parent, writable=False) as tool:
        listed = tool.run(["mdir", "-b", "-/", "-i", source, "::"]).decode().split("\n")
        read = {name: tool.run(["mtype", "-i", source, name]) for name in listed if name and name[-1] != "/"}
    facts = read_disk(made.files[0]).partitions[0]
    assert read == {
        "::/kernel.img": LARGE,
        "::/A long name of a file.txt": b"long",
        "::/overlays/caf\u00e9.dtbo": b"overlay",
    }
    assert (facts.filesystem.uuid, facts.filesystem.label) == (part["uuid"], "BOOT")
    assert facts.entry.type == "0c"
    assert facts.filesystem.kind == "fat32"


@pytest.mark.parametrize("root_mib", [None, 64], ids=["auto", "fixed"])
def test_two_builds_give_one_digest(shop, own_image, root_mib):
    """All formats, too: nothing of a disk comes from a clock, a counter or the order of a folder."""
    formats = ("img", "img.zst", "img.xz", "img.gz", "zip", "bmap")
    squash = partition("squash", "squashfs", source="/srv")
    root = replace(ROOT, size_bytes=root_mib and root_mib * MIB)
    artifact = shop.artifact(BOOT, root, squash, formats=formats)

    first, second = shop.make(own_image, artifact), shop.make(own_image, artifact)

    assert [path.name for path in first.files] == [
        "disk.img",
        *(f"disk.{ending}" for ending in ("img.zst", "img.xz", "img.gz", "zip", "bmap")),
    ]
    assert [digest(path) for path in first.files] == [digest(path) for path in second.files]
    assert first.facts == second.facts
    with zipfile.ZipFile(first.files[4]) as archive:
        assert archive.namelist() == ["disk.img"]
        assert hashlib.sha256(archive.read("disk.img")).hexdigest() == digest(first.files[0])
    for path in first.files[1:5]:
        assert set(verified(path).values()) == {""}


def test_a_squashfs_holds_its_part(shop, own_image):
    """It is as large as it came out, and readable where it stands."""
    made = shop.make(own_image, shop.artifact(ROOT, partition("s", "squashfs", source="/srv"), table="gpt"))

    part = made.facts["partitions"][1]
    assert part["size_bytes"] % (4 * MIB) == 0
    with mounted(made.files[0], part["start_bytes"]) as root:
        found = read_files(root)
    wanted = {path[4:]: what for path, what in expected().items() if path.startswith("srv/")}
    assert found.keys() == wanted.keys()
    assert {path: found[path] for path, what in wanted.items() if what} == {
        path: what for path, what in wanted.items() if what
    }


def test_an_auto_size_is_the_content_and_its_margin(shop, own_image):
    """Neither is it too small, nor is more free than was asked for and a few MiB of rounding."""
    for margin in (0, 200 * MIB):
        root = replace(ROOT, margin_percent=0, margin_bytes=margin)

        made = shop.make(own_image, shop.artifact(root))

        facts = read_disk(made.files[0]).partitions[0].filesystem
        free = facts.size_bytes - facts.used_bytes
        assert margin <= free <= margin + 6 * MIB + facts.size_bytes // 16


class CutEngine:
    """The real engine, whose exports end early."""

    def __init__(self, engine, keep: float) -> None:
        self._engine, self._keep = engine, keep

    def __getattr__(self, name):
        return getattr(self._engine, name)

    def export(self, image):
        whole = b"".join(self._engine.export(image))
        yield whole[: int(len(whole) * self._keep) // 512 * 512]


class CountingEngine(CutEngine):
    """The real engine; how often an image was read."""

    def __init__(self, engine) -> None:
        super().__init__(engine, 1.0)
        self.exports = 0

    def export(self, image):
        self.exports += 1
        yield from self._engine.export(image)


@pytest.mark.parametrize(
    ("noted", "exports"),
    [
        ("", 1),
        ("{", 1),
        ('{"root": {"size_bytes": 4194304, "inodes": 64}}', 2),
        ('{"root": {"size_bytes": 167772160, "inodes": 64}}', 2),
    ],
    ids=["by the image", "unreadable", "too small", "too large"],
)
def test_a_wrong_guess_costs_time_and_nothing_else(shop, engine, own_image, noted, exports):
    """What was noted of the last time is taken, and checked: the bytes do not depend on it."""
    shop.cache = shop.folder / "cache"
    artifact = shop.artifact(BOOT, ROOT)
    plain = shop.make(own_image, artifact)
    [note] = shop.cache.rglob("*.json")
    good = note.read_text()
    if noted:
        note.write_text(noted)
    else:
        note.unlink()
    first, second = CountingEngine(engine), CountingEngine(engine)

    digests = [digest(shop.make(own_image, artifact, engine=one).files[0]) for one in (first, second)]

    assert digests == [digest(plain.files[0])] * 2
    assert (first.exports, second.exports) == (exports, 1)
    assert note.read_text() == good


def test_marks_become_the_ids_of_the_disk(shop, engine):
    """What cmdline.txt and fstab say is what the table and the file systems have."""
    text = b"root=PARTUUID=@PARTUUID:root@ boot=UUID=@UUID:boot@ label=@LABEL:root@\n"
    tar = make_tar(folder("boot"), ("boot/cmdline.txt", b"root=PARTUUID=@PARTUUID:root@\n"))
    with imported(engine, tar) as image:
        artifact = shop.artifact(
            BOOT, ROOT, fill=("/boot/cmdline.txt",), writes=(Write("/etc/fstab", text, HERE),)
        )
        made = shop.make(image, artifact)

    boot, root = read_disk(made.files[0]).partitions
    with mounted(made.files[0], root.start_bytes) as at:
        said = (at / "etc/fstab").read_text()
    assert said == f"root=PARTUUID={root.entry.uuid} boot=UUID={boot.filesystem.uuid} label=rootfs\n"


def test_extended_attributes_that_mke2fs_drops_are_kept(shop, own_image):
    """A tar that has some comes from another artifact."""
    pax = {"SCHILY.xattr.user.note": "a note", "SCHILY.xattr.user.long": "x" * 300}
    tar = make_tar(folder("a"), (member("a/b c", pax_headers=pax), b"1"), ("plain", b"2"))
    data = partition("data", "ext4", 16, artifact="rootfs")

    made = shop.make(own_image, shop.artifact(data), lambda _partition: [tar])

    with mounted(made.files[0], made.facts["partitions"][0]["start_bytes"]) as root:
        found = read_files(root)
    assert found["a/b c"][7] == {"user.note": b"a note", "user.long": b"x" * 300}
    assert found["plain"][7] == {}
    assert set(verified(made.files[0]).values()) == {""}


@pytest.mark.parametrize("keep", [0.0, 0.3, 0.9])
def test_a_stream_that_ends_early_makes_no_disk(shop, engine, own_image, keep):
    """mke2fs alone takes half a tar for a whole one."""
    artifact = shop.artifact(BOOT, replace(ROOT, size_bytes=64 * MIB))

    with pytest.raises(EngineError, match="not whole"):
        shop.make(own_image, artifact, engine=CutEngine(engine, keep))

    assert left_in(engine, shop) == []


@pytest.mark.parametrize("part", ["root", "boot"])
def test_too_small_a_partition_is_told_with_what_it_needs(shop, engine, part):
    """Nothing is left, and the sentence says how much would do."""
    tar = make_tar(folder("boot"), ("boot/kernel", os.urandom(40 * MIB)), ("big", os.urandom(20 * MIB)))
    with imported(engine, tar) as image:
        root = replace(ROOT, size_bytes=(8 if part == "root" else 64) * MIB)
        boot = replace(BOOT, size_bytes=(34 if part == "boot" else 64) * MIB)
        with pytest.raises(StalkerError, match=f"'{part}'.*too small") as error:
            shop.make(image, shop.artifact(boot, root))

    assert "MiB" in error.value.details
    assert left_in(engine, shop) == []


def test_a_disk_of_a_fixed_size_that_its_content_outgrows_is_refused(shop, engine, own_image):
    """By what it would need, before any file system is made."""
    with pytest.raises(StalkerError, match=r"64 MiB.*the partitions need"):
        shop.make(own_image, shop.artifact(BOOT, ROOT, size_bytes=64 * MIB, size_words="64MiB"))

    assert left_in(engine, shop) == []


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ([link("boot/vmlinuz", "kernel")], "a symbolic link"),
        ([device("boot/null")], "a device"),
        ([("boot/a:b", b"")], "it has :"),
        ([("boot/a\x07b", b"")], "it has"),
        ([("boot/kernel", b""), ("boot/Kernel", b"")], "only in case"),
        ([("boot/caf\udce9", b"")], "not UTF-8"),
        ([("boot/end.", b"")], "ends in a dot"),
    ],
)
def test_what_a_fat_cannot_hold_is_refused_by_name(shop, engine, members, said):
    """Its tools would drop it or rename it without a word."""
    with imported(engine, make_tar(folder("boot"), *members)) as image, pytest.raises(StalkerError) as error:
        shop.make(image, shop.artifact(BOOT, replace(ROOT, size_bytes=16 * MIB)))

    assert "/boot/" in f"/boot/{error.value.brief}"
    assert said in error.value.details
    assert left_in(engine, shop) == []


def test_a_run_that_is_cancelled_leaves_nothing(shop, engine, own_image):
    """Neither the image nor the container, and soon."""
    workshop = shop.workshop()
    workshop.cancel = workshop.toolbox.cancel = threading.Event()
    artifact = shop.artifact(BOOT, ROOT)

    class Stops:
        def wants(self, header):
            return False

        def see(self, path, header, content):
            workshop.cancel.set()

    from stalker.artifacts.disk.build import make_disk

    with pytest.raises(StalkerError, match="interrupted"):
        make_disk(artifact, own_image, shop.folder, workshop, (Stops(),))

    assert left_in(engine, shop) == []


KILLED = """
import os, signal, sys
from pathlib import Path
from disks import BOOT, ROOT, DiskShop
from stalker.app.environment import connect

class Kills:
    def wants(self, header): return False
    def see(self, path, header, content): os.kill(os.getpid(), signal.SIGKILL)

from stalker.artifacts.disk.build import make_disk
shop = DiskShop(Path(sys.argv[1]), connect())
make_disk(shop.artifact(BOOT, ROOT), shop.engine.image(sys.argv[2]), shop.folder, shop.workshop(), (Kills(),))
"""


def test_the_containers_of_a_killed_run_are_swept_by_the_next(shop, engine, own_image):
    """They carry the run in their labels, as those of any step."""
    from stalker.run.cleanup import sweep

    paths = os.pathsep.join([str(Path(__file__).parents[1]), str(Path(__file__).parents[2] / "lib")])
    command = [sys.executable, "-c", KILLED, str(shop.folder), own_image.id]
    dead = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": paths})
    assert dead.wait(60) == -signal.SIGKILL

    def left() -> set[str]:
        """Its toolbox, and the container whose files are exported."""
        found = engine.containers({labels.RUN: ""})
        return {one.name for one in found if f"-{dead.pid}-" in one.labels[labels.RUN]}

    before = left()
    said: list[str] = []
    sweep(engine, [], said.append)

    assert len(before) == 2
    assert all(any(name in text for text in said) for name in before)
    assert left() == set()


def test_a_tool_has_no_power(shop):
    """No capability, no network, no writable root: what is in an image can do no harm in there."""
    look = "grep CapEff /proc/self/status; grep NoNewPrivs /proc/self/status; ls /sys/class/net; touch /x 2>&1 || :"
    with shop.workshop().toolbox.opened("toolbox", folder=shop.folder, writable=False) as tool:
        said = tool.run(["sh", "-c", f"{look}; touch /out/x 2>&1 || :"]).decode()

    assert "CapEff:\t0000000000000000" in said
    assert "NoNewPrivs:\t1" in said
    assert "eth0" not in said
    assert said.count("Read-only file system") == 2


def test_a_map_names_the_blocks_that_hold_data(shop, own_image):
    """The ranges alone, copied to a file of zeros, give the image again."""
    made = shop.make(own_image, shop.artifact(BOOT, ROOT, formats=("img", "bmap")))

    image, bmap = made.files
    import re

    text = bmap.read_text()
    data = image.read_bytes()
    copy = bytearray(len(data))
    for checksum, first, last in re.findall(r'chksum="(\w+)"> (\d+)(?:-(\d+))? <', text):
        begin, end = int(first) * 4096, (int(last or first) + 1) * 4096
        copy[begin:end] = data[begin:end]
        assert hashlib.sha256(data[begin:end]).hexdigest() == checksum
    assert bytes(copy) == data
    said = re.search(r"<BmapFileChecksum> (\w+) <", text).group(1)
    assert hashlib.sha256(text.replace(said, "0" * 64).encode()).hexdigest() == said


def test_a_damaged_image_does_not_pass(shop, own_image):
    """Each part by the tool that knows it."""
    made = shop.make(own_image, shop.artifact(BOOT, ROOT, table="gpt"))
    image = made.files[0]
    (image.parent / f"{image.name}.sha256").write_text(f"{digest(image)}  {image.name}\n")
    parts = {one["name"]: one for one in made.facts["partitions"]}
    assert set(verified(image).values()) == {""}
    with image.open("r+b") as stream:
        stream.seek(parts["root"]["start_bytes"] + 4096)  # the group descriptors
        stream.write(b"\xff" * 64)
        stream.seek(600)  # the header of the GPT
        stream.write(b"\xff")

    wrong = [what for what, problem in verified(image).items() if problem]

    assert wrong == [
        "checksum of disk.img.sha256",
        "partition table",
        "partition 2, ext4 by e2fsck",
    ]


def test_a_full_disk_of_the_host_is_told_and_leaves_nothing(shop, engine, own_image, tmp_path):
    """The image's folder is a small file system here."""
    if os.geteuid() != 0:
        pytest.skip("a small file system takes root")
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "none", str(small)], check=True)
    try:
        tight = DiskShop(small, engine)
        with pytest.raises(StalkerError, match="room"):
            tight.make(own_image, shop.artifact(BOOT, replace(ROOT, size_bytes=64 * MIB)))
        assert left_in(engine, tight) == []
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_times_are_those_of_the_tree(shop, own_image):
    """No file is newer than SOURCE_DATE_EPOCH, nor is the file system."""
    made = shop.make(own_image, shop.artifact(ROOT))

    with mounted(made.files[0], made.facts["partitions"][0]["start_bytes"]) as root:
        times = [os.lstat(path).st_mtime for path in root.rglob("*")]
    assert max(times) <= EPOCH_S
    assert time.time() - EPOCH_S > 1000
