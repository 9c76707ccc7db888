"""Disk images as bases: what is awkward in one goes into an engine, and comes out of it on a disk like the base."""

from __future__ import annotations

import contextlib
import hashlib
import lzma
import os
import shutil
import stat
import subprocess
import tempfile
import time
import uuid
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bases import BOOT_MIB, BOOT_START, MIB, ROOT_MIB, ROOT_START, make_base, mke2fs, run
from disks import DiskShop, mounted, read_files
from engines import has_to_be_there, remove_all_below
from kernels import BOOT, PASSWORD, kernel_for, make_disk
from kernels import ROOT as BOOT_ROOT
from stalker.app.toolbox_image import image_maker
from stalker.artifacts.context import Workshop
from stalker.artifacts.disk.like_base import make_like_base
from stalker.boot.run import boot_disk
from stalker.disk.inspect import read_disk
from stalker.disk.system.find import find_system
from stalker.disk.system.members import system_tar
from stalker.engine.run_id import new_run_id
from stalker.errors import EngineError, StalkerError
from stalker.fetch.base.provider import Bases
from stalker.formats.fs.fat.reader import FatReader
from stalker.formats.tar.member import KINDS
from stalker.model.artifacts import BootTest, Expectation
from stalker.model.diagnostics import Place
from stalker.model.tree import DiskBase
from stalker.toolbox.container import Toolbox
from unit.helpers.tars import read_tar
from workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stalker.artifacts.disk.build import DiskMade
    from stalker.model.images import Image

pytestmark = [pytest.mark.docker, pytest.mark.timeout(240)]

REPOSITORY = Path(__file__).resolve().parents[2]
HERE = Place("trees/t/t.hjson", 1, 1)
ACL = bytes.fromhex(
    "0200000001000700ffffffff02000600e803000004000500ffffffff10000700ffffffff20000500ffffffff"
)
CAPABILITY = b"\x01\x00\x00\x02\x00\x20" + bytes(14)
DATA_START = ROOT_START + ROOT_MIB * MIB


def read_system(image: Path, called: str, root: int) -> Iterator[bytes]:
    return system_tar(find_system(image, called, root))


@dataclass
class Original:
    """An image with all that is awkward, made here; `root` is the directory that its root was made of."""

    path: Path
    root: Path

    @property
    def base(self) -> DiskBase:
        digest = hashlib.sha256(self.path.read_bytes()).hexdigest()
        return DiskBase(str(self.path), HERE, f"sha256:{digest}")


@pytest.fixture(scope="module")
def original(tmp_path_factory) -> Original:
    """An image of three partitions: /boot/firmware, the root and data of its own."""
    if os.geteuid() != 0:
        has_to_be_there("only root can make files of other owners")
    folder = tmp_path_factory.mktemp("original")
    path = make_base(folder, "original.img", has_data=True)
    root = folder / "original.img.root"
    (root / "boot/firmware").mkdir(parents=True)
    (root / "boot/firmware/hidden").write_text("below what is mounted there\n")
    (root / "etc/fstab").write_text(
        "PARTUUID=5ca1ab1e-02 / ext4 defaults 0 1\nPARTUUID=5ca1ab1e-01 /boot/firmware vfat defaults 0 2\n"
    )
    (root / "etc/resolv.conf").symlink_to("../run/systemd/resolve/stub-resolv.conf")
    for name in ("dev", "proc", "sys", "tmp", "var/log/journal", "srv/many/deep"):
        (root / name).mkdir(parents=True, exist_ok=True)
    os.mknod(root / "dev/console", stat.S_IFCHR | 0o600, os.makedev(5, 1))
    srv = root / "srv"
    os.mknod(srv / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    os.mknod(srv / "disk", stat.S_IFBLK | 0o660, os.makedev(8, 300))
    os.mknod(srv / "whiteout", stat.S_IFCHR, os.makedev(0, 0))
    os.mkfifo(srv / "pipe")
    (srv / ".wh.file").write_text("not a whiteout\n")
    (srv / ".wh..wh..opq").write_text("nor this\n")
    (srv / "file").write_text("no whiteout took it\n")
    (srv / ("n" * 255)).write_text("long name\n")
    (srv / "many/deep" / ("d" * 120)).mkdir()
    (srv / os.fsdecode(b"caf\xe9")).write_text("latin\n")
    os.link(srv / "file", srv / "many/second name")
    (srv / "short").symlink_to("file")
    (srv / "long").symlink_to("/" + "x" * 300)
    with (srv / "sparse").open("wb") as stream:
        stream.truncate(6 * MIB)
        stream.seek(3 * MIB)
        stream.write(b"middle")
    (srv / "random").write_bytes(os.urandom(700_000))
    os.setxattr(srv / "random", "security.capability", CAPABILITY)
    os.setxattr(srv / "file", "user.note", b"\x00\xffbinary")
    os.setxattr(root / "var/log/journal", "system.posix_acl_access", ACL)
    os.setxattr(root / "var/log/journal", "system.posix_acl_default", ACL)
    (root / "bin/sh").unlink()
    busybox = Path("/bin/busybox")
    if not busybox.exists():
        has_to_be_there("busybox is what the steps of the image run")
    (root / "bin/sh").write_bytes(busybox.read_bytes())
    (root / "bin/sh").chmod(0o4755)
    (root / "bin/rm").symlink_to("sh")
    (root / "bin/dd").symlink_to("sh")
    for one in sorted(root.rglob("*")):
        os.utime(one, (1_600_000_000, 1_600_000_000), follow_symlinks=False)
    os.chown(srv / "file", 65534, 3_000_000)
    os.chown(srv / "short", 1000, 50, follow_symlinks=False)
    (srv / "many").chmod(0o2770)
    os.utime(root, (1_600_000_000, 1_600_000_000))
    mke2fs(
        path,
        ROOT_START,
        ROOT_MIB,
        "rootfs",
        "-U",
        str(uuid.uuid4()),
        "-O",
        "^64bit",
        "-N",
        "4000",
        "-d",
        str(root),
    )
    for name in ("bootcode.bin", "overlays"):
        if name == "overlays":
            run("mmd", "-i", f"{path}@@{BOOT_START}", "::overlays")
            run("mcopy", "-i", f"{path}@@{BOOT_START}", "-", "::overlays/A long name.dtbo", text="overlay")
        else:
            run("mcopy", "-i", f"{path}@@{BOOT_START}", "-", f"::{name}", text="firmware" * 9000)
    with path.open("r+b") as stream:
        stream.write(b"boot code of the base")
        stream.seek(100 * 512)
        stream.write(b"a boot loader before the first partition")
    return Original(path, root)


@pytest.fixture(scope="module")
def image(engine, original, tmp_path_factory) -> Iterator[Image]:
    """The first image of a stalk, made of the original."""
    folder = tmp_path_factory.mktemp("cache")
    name = f"stalker-test-disk-base/{uuid.uuid4().hex[:12]}:initial"
    bases = Bases(engine, folder, folder, read_system=read_system)
    assert bases.obstacle(original.base) == ""
    yield bases.provide(original.base, name, lambda _: None)
    with contextlib.suppress(EngineError):
        engine.untag(name)


def exported(engine, image: Image) -> dict[str, tuple]:
    """Return what the engine has of an image."""
    return read_tar(engine.export(image.id))


def test_the_system_of_a_disk_is_the_first_image(engine, image, original):
    """Owners, modes, times, links, devices, names and content, and the boot partition where the fstab mounts it."""
    found = exported(engine, image)

    wanted = read_files(original.root)
    lost = {name for name in wanted if "/.wh." in name or name in {"srv/whiteout", "boot/firmware/hidden"}}
    of_engine = {"etc/hosts", "etc/hostname", "etc/mtab", "etc/resolv.conf", "etc"}
    for name in wanted.keys() - lost - of_engine - {"srv/many/second name"}:
        if name.split("/")[0] in {"dev", "proc", "sys"}:
            continue
        kind, mode, uid, gid, mtime, link, device, xattrs, content = wanted[name]
        kept = {f"SCHILY.xattr.{key}" for key in xattrs if key == "security.capability"}
        got = found[name]
        assert (
            got[1],
            got[2],
            got[3],
            got[4],
            got[5],
            got[6] if any(got[6] or ()) else None,
            set(got[7]),
            got[8],
        ) == ((mode, uid, gid, mtime, link, device, kept, content)), name
        assert got[0] == KINDS[kind]
    assert (found["srv/many/second name"][0], found["srv/many/second name"][5]) == (b"1", "srv/file")
    assert not lost & found.keys()
    assert found["boot/firmware/config.txt"][-1] == b"arm_64bit=0\n"
    assert found["boot/firmware/overlays/A long name.dtbo"][-1] == b"overlay"


def outside_root(path: Path) -> str:
    """Return the digest of all bytes that are not of the root."""
    data = bytearray(path.read_bytes())
    data[ROOT_START:DATA_START] = b""
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def shop(engine, tmp_path, original):
    return DiskShop(tmp_path, engine, cache=tmp_path / "cache")


def make_like(shop: DiskShop, image: Image, original: Original, **more) -> DiskMade:
    folder = Path(tempfile.mkdtemp(dir=shop.folder))
    artifact = shop.artifact(like="base", epoch_s=None, **more)
    return make_like_base(artifact, image, original.base, folder, shop.workshop())


def test_a_disk_like_its_base_differs_in_nothing(shop, image, original):
    """No step changed anything: all outside the root is the same, byte for byte, and so is each file of the root."""
    made = make_like(shop, image, original)
    path = made.files[0]

    assert path.stat().st_size == original.path.stat().st_size
    assert outside_root(path) == outside_root(original.path)
    run("e2fsck", "-fn", f"{path}?offset={ROOT_START}")
    with mounted(original.path, ROOT_START) as was, mounted(path, ROOT_START) as now:
        wanted, found = read_files(was), read_files(now)
        links = os.lstat(now / "srv/file").st_nlink
        same = os.lstat(now / "srv/file").st_ino == os.lstat(now / "srv/many/second name").st_ino
        stored = os.lstat(now / "srv/sparse").st_blocks * 512
    assert found.keys() == wanted.keys()
    for name in wanted:
        assert found[name] == wanted[name], name
    assert (links, same) == (2, True)
    assert stored < MIB
    old, new = (dumpe2fs(one) for one in (original.path, path))
    assert new == old
    assert [one["source"] for one in made.facts["partitions"]] == ["/boot/firmware", "/", ""]


def dumpe2fs(path: Path) -> list[str]:
    """Return what a superblock says, but for counts of what is free and times."""
    text = run("dumpe2fs", "-h", f"{path}?offset={ROOT_START}")
    passing = (
        "free",
        "filesystem created",
        "last ",
        "mount count",
        "lifetime",
        "checksum:",
        "journal start",
        "journal seq",
    )
    return [line for line in text.splitlines() if not line.lower().startswith(passing)]


@contextlib.contextmanager
def changed(engine, image: Image, script: str) -> Iterator[Image]:
    """Give the image with what a shell script left in it."""
    argv = ["docker", "run", "--network", "none", "-d", image.id, "/bin/sh", "-ec", script]
    container = subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()
    name = f"stalker-test-disk-base/{uuid.uuid4().hex[:12]}:changed"
    try:
        code = subprocess.run(
            ["docker", "wait", container], check=True, capture_output=True, text=True
        ).stdout
        assert code.strip() == "0", subprocess.run(
            ["docker", "logs", container], check=False, capture_output=True, text=True
        )
        subprocess.run(["docker", "commit", container, name], check=True, capture_output=True)
        found = engine.image(name)
        assert found is not None
        yield found
    finally:
        subprocess.run(["docker", "rm", "-f", container], check=True, capture_output=True)
        with contextlib.suppress(EngineError):
            engine.untag(name)


def fat_of(path: Path) -> dict[str, bytes]:
    """Return the files of the boot partition, which fsck.vfat finds sound."""
    with path.open("rb") as stream:
        found = {
            one.path: b"".join(os.pread(stream.fileno(), length, start) for start, length in one.ranges)
            for one in FatReader(stream.fileno(), BOOT_START, BOOT_MIB * MIB).walk()
        }
        fat = path.with_suffix(".fat")
        fat.write_bytes(os.pread(stream.fileno(), BOOT_MIB * MIB, BOOT_START))
    done = subprocess.run(["fsck.vfat", "-n", str(fat)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    return found


def test_what_steps_changed_is_all_that_differs(engine, shop, image, original):
    """Files of the root and of the boot partition, changed, new and removed; data and boot loader stay."""
    script = """
        echo dtparam=spi=on >>/boot/firmware/config.txt
        echo new >/boot/firmware/new.txt
        rm -r /boot/firmware/overlays /srv/many
        rm /srv/random
        echo changed >/srv/file
        echo by a step >/etc/new
    """
    with changed(engine, image, script) as after:
        made = make_like(shop, after, original)
    path = made.files[0]

    boot = fat_of(path)
    was = fat_of(original.path)
    assert boot == {
        **{name: data for name, data in was.items() if not name.startswith("overlays")},
        "config.txt": b"arm_64bit=0\ndtparam=spi=on\n",
        "new.txt": b"new\n",
    }
    one, two = original.path.read_bytes(), path.read_bytes()
    assert (one[:BOOT_START], one[DATA_START:]) == (two[:BOOT_START], two[DATA_START:])
    run("e2fsck", "-fn", f"{path}?offset={ROOT_START}")
    with mounted(original.path, ROOT_START) as old, mounted(path, ROOT_START) as new:
        wanted, found = read_files(old), read_files(new)
    gone = {"srv/random", *(name for name in wanted if name.startswith("srv/many"))}
    assert found.keys() == (wanted.keys() - gone) | {"etc/new"}
    assert found["srv/file"][-1] == b"changed\n"
    assert found["srv/file"][-2] == {}  # another content, so the note on the old one is not its own
    for name in wanted.keys() - gone - {"srv", "srv/file", "etc"}:
        assert found[name] == wanted[name], name


def test_a_root_that_is_too_small_is_reported_and_can_grow(engine, shop, image, original, tmp_path):
    """The error says how; the disk and its last partition become larger then, and nothing else differs."""
    single = tmp_path / "single.img"
    data = bytearray(original.path.read_bytes()[:DATA_START])
    data[446 + 32 : 446 + 48] = bytes(16)  # without the partition behind the root
    single.write_bytes(data)
    alone = replace(original, path=single)
    with changed(engine, image, "dd if=/dev/urandom of=/srv/big bs=1024k count=60") as after:
        with pytest.raises(StalkerError, match="too small for what the steps left") as error:
            make_like(shop, after, alone)
        assert "size: 4GiB" in error.value.resolution
        with pytest.raises(StalkerError, match="the root cannot grow"):
            make_like(shop, after, original, size_bytes=256 * MIB)
        path = make_like(shop, after, alone, size_bytes=256 * MIB).files[0]

    assert path.stat().st_size == 256 * MIB
    facts = read_disk(path)
    assert [(one.start_bytes, one.size_bytes) for one in facts.partitions] == [
        (BOOT_START, BOOT_MIB * MIB),
        (ROOT_START, 256 * MIB - ROOT_START),
    ]
    assert facts.table.disk_id == "5ca1ab1e"
    assert facts.partitions[1].filesystem.size_bytes == 256 * MIB - ROOT_START
    run("e2fsck", "-fn", f"{path}?offset={ROOT_START}")
    assert {path, single} == set(shop.folder.rglob("*.img"))


def test_a_compressed_image_gives_the_same(engine, shop, image, original, tmp_path):
    """Published as .xz: the base and the disk are those of the raw one."""
    packed = tmp_path / "original.img.xz"
    packed.write_bytes(lzma.compress(original.path.read_bytes(), preset=0))
    compressed = replace(original, path=packed)
    name = f"stalker-test-disk-base/{uuid.uuid4().hex[:12]}:initial"
    bases = Bases(engine, tmp_path / "cache", tmp_path, read_system=read_system)
    try:
        found = bases.provide(compressed.base, name, lambda _: None)
        path = make_like(shop, found, compressed).files[0]
    finally:
        with contextlib.suppress(EngineError):
            engine.untag(name)

    assert found.diff_ids == image.diff_ids
    assert outside_root(path) == outside_root(original.path)


def test_an_ext_that_is_mounted_at_boot_is_made_again_only_when_it_changed(engine, shop, original, tmp_path):
    """On a GPT: unchanged it stays, byte for byte; changed it has its UUID and label, and what the step left."""
    path = make_base(tmp_path, "gpt.img", table="gpt")
    root, boot = tmp_path / "gpt.img.root", tmp_path / "boot"
    shutil.copy(original.root / "bin/sh", root / "bin/sh")
    (root / "boot").mkdir()
    (boot / "grub").mkdir(parents=True)
    (boot / "grub/grub.cfg").write_text("linux /vmlinuz\n")
    (boot / "vmlinuz").write_bytes(os.urandom(200_000))
    (boot / "initrd").symlink_to("vmlinuz")
    (root / "etc/fstab").write_text("LABEL=boot /boot ext4 defaults 0 2\n")
    with path.open("r+b") as stream:
        stream.seek(BOOT_START)
        stream.write(bytes(BOOT_MIB * MIB))
    mke2fs(path, BOOT_START, BOOT_MIB, "boot", "-d", str(boot))
    mke2fs(path, ROOT_START, ROOT_MIB, "rootfs", "-d", str(root))
    base = Original(path, root)
    name = f"stalker-test-disk-base/{uuid.uuid4().hex[:12]}:initial"
    bases = Bases(engine, tmp_path / "cache", tmp_path, read_system=read_system)
    try:
        image = bases.provide(base.base, name, lambda _: None)
        same = make_like(shop, image, base).files[0]
        with changed(engine, image, "echo more >>/boot/grub/grub.cfg") as after:
            other = make_like(shop, after, base).files[0]
    finally:
        with contextlib.suppress(EngineError):
            engine.untag(name)

    assert outside_root(same) == outside_root(path)
    assert [one.filesystem.uuid for one in read_disk(other).partitions] == [
        one.filesystem.uuid for one in read_disk(path).partitions
    ]
    run("e2fsck", "-fn", f"{other}?offset={BOOT_START}")
    with mounted(other, BOOT_START) as now:
        found = read_files(now)
    assert found["grub/grub.cfg"][-1] == b"linux /vmlinuz\nmore\n"
    assert found["vmlinuz"][-1] == (boot / "vmlinuz").read_bytes()
    assert (found["initrd"][5], "lost+found" in found) == ("vmlinuz", True)


# the tree that installs an agent


@pytest.fixture(scope="module")
def toolbox(engine, tmp_path_factory) -> Toolbox:
    return Toolbox(
        engine,
        image_maker(engine, lambda _: None),
        new_run_id(time.time()),
        cache_dir=tmp_path_factory.mktemp("c"),
    )


@pytest.fixture(scope="module")
def small(toolbox, tmp_path_factory) -> Path:
    """A disk of an ARM system that boots in QEMU: kernel and first file system on the FAT, a busybox in the root."""
    path = tmp_path_factory.mktemp("small") / "2016-11-25-small.img"
    make_disk(toolbox, path, kernel_for("armhf"))
    more = ("chmod", "cp", "dirname", "ln", "mkdir", "sed", "sleep")
    commands = "".join(f"symlink /bin/{name} busybox\n" for name in more)
    run("debugfs", "-w", "-f", "-", f"{path}?offset={BOOT_ROOT.start_bytes}", text=commands)
    return path


@pytest.fixture(scope="module")
def workspace(tmp_path_factory, small, engine) -> Iterator[Workspace]:
    """A workspace with the shipped tree and stalk, whose images have a name of their own, and the disk."""
    folder = tmp_path_factory.mktemp("workspace")
    for name in ("trees/device_agent", "stalks/device_agent"):
        shutil.copytree(REPOSITORY / name, folder / name)
    tree = folder / "trees/device_agent/device_agent.hjson"
    own = f"stalker-test-{uuid.uuid4().hex[:8]}"
    tree.write_text(tree.read_text().replace("OS: raspbian", f"OS: {own}"))
    shutil.copy(small, folder / "small.img")
    yield Workspace(folder, own, "")
    remove_all_below(engine, own)


def contents_of(path: Path) -> dict[str, tuple]:
    with mounted(path, BOOT_ROOT.start_bytes) as root:
        return read_files(root)


def test_an_agent_is_installed_in_an_image_and_it_boots(workspace, small, toolbox, engine, tmp_path):
    """The image that comes out differs in the agent alone, and the agent runs in it."""
    done = workspace.stalker("run", "device_agent", "--set", "ORIGINAL=small.img", "--set", "VERSION=V1.2")

    assert done.code == 0, done.err
    image = workspace.path / "artifacts/device_agent/device_agent/image/small_agent_V1.2.img"
    start, end = BOOT_ROOT.start_bytes, BOOT_ROOT.start_bytes + BOOT_ROOT.size_bytes
    was, now = small.read_bytes(), image.read_bytes()
    assert (now[:start], now[end:]) == (was[:start], was[end:])
    old, new = contents_of(small), contents_of(image)
    added = {"opt", "opt/agent", "opt/agent/agent", "opt/agent/version", "etc/systemd", "etc/systemd/system"}
    units = "etc/systemd/system/multi-user.target.wants"
    added |= {"etc/systemd/system/agent.service", units, f"{units}/agent.service"}
    assert new.keys() == old.keys() | added
    for name in old.keys() - {"etc"}:
        assert new[name] == old[name], name
    assert new["opt/agent/version"][-1] == b"V1.2\n"
    test = BootTest(
        "virt",
        HERE,
        "arm",
        "cortex-a15",
        kernel="boot:vmlinuz*",
        initrd="boot:initrd.img*",
        timeout_s=240.0,
        expectations=(
            *(Expectation("wait", "login:", HERE), Expectation("type", "root", HERE)),
            *(Expectation("wait", "Password:", HERE), Expectation("type", PASSWORD, HERE)),
            Expectation("wait", "# ", HERE),
            Expectation("run", "/opt/agent/agent --version", HERE, matches="^agent V1.2 on armv7l$"),
            Expectation("power_off", "", HERE),
        ),
    )
    shop = Workshop(engine, None, "/", {}, lambda _: None, toolbox.run, toolbox)  # type: ignore[arg-type]
    result = boot_disk(test, image, [BOOT, BOOT_ROOT], shop, tmp_path / "boot.log", lambda _: None)
    assert (result.passed, result.reason) == (True, "")


def test_an_image_without_a_system_is_a_bad_input(workspace, small):
    """Its root holds something that is not read here: said by name, with the exit code of bad inputs."""
    data = bytearray(small.read_bytes())
    data[BOOT_ROOT.start_bytes : BOOT_ROOT.start_bytes + 4096] = b"hsqs".ljust(4096, b"\0")
    (workspace.path / "squashed.img").write_bytes(data)

    done = workspace.stalker("run", "device_agent", "--set", "ORIGINAL=squashed.img")

    assert done.code == 4
    assert "squashed.img: its root file system cannot be read here" in done.err
    assert "partition 2 holds squashfs" in done.err


def test_an_installer_that_fails_publishes_nothing(workspace):
    """Neither an image nor a part of one."""
    script = workspace.path / "stalks/device_agent/install.sh"
    text = script.read_text()
    script.write_text(text.replace("home=", "echo no network >&2; exit 7\nhome="))
    try:
        done = workspace.stalker("run", "device_agent", "--set", "ORIGINAL=small.img", "--set", "VERSION=V9")
    finally:
        script.write_text(text)

    assert done.code == 1
    assert "no network" in done.out + done.err
    assert list(workspace.path.rglob("*V9*")) == []
