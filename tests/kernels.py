"""Debian's own kernels with the smallest system that lets somebody log in, for tests that boot a machine.

Downloaded once for a machine, by apt with a state of its own: the machine's own apt is not touched.
"""

from __future__ import annotations

import fcntl
import gzip
import os
import re
import shutil
import struct
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from engines import has_to_be_there
from stalker.boot.machines import Part
from stalker.fetch.base.bootstrap import deb_lines

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from stalker.toolbox.container import Toolbox

PASSWORD = "s3cret-of-the-test"
HASH = "$6$stalker$VqolTxZFHGkzmPu3bAtB2aMtu26F5R/Tvbasx9RD20wM0L/EuDc9pU16dar7ChK8M0PFZtBXpC2Pqmpzn3fiK0"

PACKAGES = {
    "armhf": "linux-image-armmp",
    "arm64": "linux-image-cloud-arm64",
    "amd64": "linux-image-cloud-amd64",
}
MODULES = (
    *("virtio_mmio", "virtio_pci", "virtio_blk", "virtio_rng", "ext4", "crc32c_generic"),
    *("bcm2835-dma", "bcm2835", "sdhci-iproc", "bcm2835_wdt"),
)
"""What the first file system loads, with what these need; a kernel that has one built in goes without."""

INIT = """#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev
while read module; do insmod /modules/$module || echo "insmod $module failed"; done </modules/order
read arguments </proc/cmdline
init=/sbin/init
for word in $arguments; do case $word in root=*) root=${word#root=};; init=*) init=${word#init=};; esac; done
tries=0
while [ $tries -lt 30 ]; do
    case $root in
        PARTUUID=*)
            device=
            for disk in vda mmcblk0p; do
                id=$(od -An -tx4 -j440 -N4 /dev/${disk%p} 2>/dev/null | tr -d " ")
                [ "PARTUUID=$id-02" = "$root" ] && device=${disk}2
            done;;
        *) device=${root#/dev/};;
    esac
    [ -n "$device" ] && [ -b /dev/$device ] && break
    sleep 0.1; tries=$((tries + 1))
done
if ! mount -t ext4 /dev/$device /root; then
    echo "ALERT!  $root does not exist.  Dropping to a shell!"
    exec sh
fi
mount --move /dev /root/dev
umount /proc /sys
exec switch_root /root $init
"""

SBIN_INIT = """#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc; /bin/busybox mount -t sysfs sys /sys
tty=$(/bin/busybox sed "s/.* //" /sys/class/tty/console/active)
printf '::sysinit:/bin/busybox mount -o remount,rw /\\n%s::respawn:/bin/getty -L 0 %s vt100\\n' $tty $tty >/etc/inittab
exec /bin/busybox init
"""


@dataclass(frozen=True)
class Kernel:
    """Files of one architecture: a kernel, its first file system, device trees, and a root to be."""

    image: Path
    initrd: Path
    device_trees: Path
    root: Path


def kernel_for(architecture: str) -> Kernel:
    """Return Debian's kernel for an architecture; it is fetched and put together when it is not there."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "stalker-tests" / architecture
    cache.mkdir(parents=True, exist_ok=True)
    with open(cache / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (cache / "made").exists():
            shutil.rmtree(cache / "files", ignore_errors=True)
            _make(architecture, cache / "files", _download(architecture, cache / "apt"))
            (cache / "made").touch()
    files = cache / "files"
    return Kernel(files / "vmlinuz", files / "initrd.img", files / "dtb", files / "root")


def _download(architecture: str, folder: Path) -> list[Path]:
    for name in ("lists/partial", "cache/archives/partial", "etc/parts"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "status").touch()
    main = deb_lines("bookworm", ["main"])[:1]
    signed = "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]"
    (folder / "sources.list").write_text("\n".join(main).replace("deb", signed, 1) + "\n")
    (folder / "apt.conf").write_text(
        f'APT::Architecture "{architecture}"; APT::Architectures {{ "{architecture}"; }};\n'
        f'Dir::State::status "{folder}/status"; Dir::State "{folder}"; Dir::State::lists "{folder}/lists";\n'
        f'Dir::Cache "{folder}/cache"; Dir::Etc::sourcelist "{folder}/sources.list";\n'
        f'Dir::Etc::sourceparts "{folder}/etc/parts"; Dir::Etc::preferencesparts "{folder}/etc/parts";\n'
        f'Dir::Etc::parts "{folder}/etc/parts"; Dir::Etc::main "/dev/null";\n'
        'APT::Sandbox::User "root"; Acquire::Languages "none";\n'
    )

    def apt(*argv: str) -> str:
        done = subprocess.run(
            argv,
            cwd=folder,
            env={**os.environ, "APT_CONFIG": str(folder / "apt.conf")},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            has_to_be_there(f"no kernel for {architecture}: {done.stderr.strip()}")
        return done.stdout

    apt("apt-get", "update", "-q")
    depends = apt("apt-cache", "depends", PACKAGES[architecture])
    found = re.search(r"Depends: (linux-image-\S+)", depends)
    assert found, depends
    apt("apt-get", "download", "-q", found[1], "busybox-static")
    return sorted(folder.glob("*.deb"))


def _make(architecture: str, files: Path, packages: list[Path]) -> None:
    (files / "dtb").mkdir(parents=True)
    modules: dict[str, bytes] = {}
    busybox = b""
    for package in packages:
        for name, content in _members(package):
            if name.startswith("boot/vmlinuz-"):
                (files / "vmlinuz").write_bytes(content)
            elif name.endswith(".ko"):
                modules[Path(name).stem] = content
            elif name.endswith(".dtb") and "-rpi-" in name:
                (files / "dtb" / Path(name).name).write_bytes(content)
            elif name == "bin/busybox":
                busybox = content
    order = _in_order(modules, MODULES)
    first = {
        "bin/busybox": busybox,
        "init": INIT.encode(),
        "modules/order": "".join(f"{name}.ko\n" for name in order).encode(),
        **{f"modules/{name}.ko": modules[name] for name in order},
    }
    folders = ("bin", "modules", "proc", "sys", "dev", "root")
    (files / "initrd.img").write_bytes(gzip.compress(b"".join(_cpio(folders, first)), 1))
    root = files / "root"
    for name in ("bin", "sbin", "etc", "proc", "sys", "dev", "tmp", "root"):
        (root / name).mkdir(parents=True)
    for name, content, mode in (
        ("bin/busybox", busybox, 0o755),
        ("sbin/init", SBIN_INIT.encode(), 0o755),
        ("etc/passwd", b"root:x:0:0:root:/root:/bin/sh\n", 0o644),
        ("etc/group", b"root:x:0:\n", 0o644),
        ("etc/shadow", f"root:{HASH}:19000:0:99999:7:::\n".encode(), 0o644),
        ("etc/hostname", f"tiny-{architecture}\n".encode(), 0o644),
    ):
        (root / name).write_bytes(content)
        (root / name).chmod(mode)
    for name in ("sh", "getty", "login", "poweroff", "uname", "cat", "mount", "echo", "ls", "grep"):
        (root / "bin" / name).symlink_to("busybox")


def _members(package: Path) -> Iterator[tuple[str, bytes]]:
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", package], stdout=subprocess.PIPE) as program:
        with tarfile.open(fileobj=program.stdout, mode="r|") as archive:
            for member in archive:
                name = member.name.removeprefix("./")
                stream = archive.extractfile(member) if member.isreg() else None
                wanted = name.startswith(("boot/vmlinuz", "bin/busybox")) or name.endswith((".ko", ".dtb"))
                if stream is not None and wanted:
                    yield name, stream.read()
        assert program.stdout is not None
        program.stdout.read()


def _in_order(modules: dict[str, bytes], wanted: Iterable[str]) -> list[str]:
    """Return modules after those that they need, as each of them says itself."""
    found: list[str] = []
    by_name = {name.replace("-", "_"): name for name in modules}

    def add(name: str) -> None:
        file = by_name.get(name.replace("-", "_"))
        if file is None or file in found:
            return
        said = re.search(rb"\x00depends=([^\x00]*)\x00", modules[file])
        for needed in said[1].decode().split(",") if said else ():
            add(needed)
        found.append(file)

    for name in wanted:
        add(name)
    return found


def _cpio(folders: Iterable[str], files: dict[str, bytes]) -> Iterator[bytes]:
    """Yield an archive in the form that kernels unpack (cpio newc)."""

    def member(number: int, name: str, mode: int, content: bytes) -> bytes:
        encoded = name.encode() + b"\0"
        fields = (number, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(encoded), 0)
        head = b"070701" + b"".join(b"%08X" % field for field in fields) + encoded
        return head + b"\0" * (-len(head) % 4) + content + b"\0" * (-len(content) % 4)

    number = 1
    for name in folders:
        yield member(number, name, 0o40755, b"")
        number += 1
    yield member(number, "bin/sh", 0o120777, b"busybox")
    for name, content in files.items():
        number += 1
        yield member(number, name, 0o100755, content)
    yield member(0, "TRAILER!!!", 0, b"")


def boot_files(kernel: Kernel, command_line: str) -> dict[str, bytes]:
    """Return what stands on a boot partition: kernel, first file system, command line, device trees."""
    return {
        "vmlinuz-6.1": kernel.image.read_bytes(),
        "initrd.img-6.1": kernel.initrd.read_bytes(),
        "cmdline.txt": command_line.encode(),
        **{file.name: file.read_bytes() for file in kernel.device_trees.iterdir()},
    }


MIB = 1 << 20
DISK_ID = 0x1A2B3C4D
BOOT = Part(1, "boot", "vfat", 1 * MIB, 47 * MIB, f"{DISK_ID:08x}-01", "/boot")
ROOT = Part(2, "root", "ext4", 48 * MIB, 64 * MIB, f"{DISK_ID:08x}-02", "/")
COMMAND_LINE = f"console=tty0 console=serial0,115200 root=PARTUUID={ROOT.uuid} rw rootwait\n"


def make_disk(toolbox: Toolbox, file: Path, kernel: Kernel) -> None:
    """Make a disk with a FAT that holds kernel and command line, and an ext4 root that somebody can log in to.

    The root has the kernel, too, behind a link. A boot loader finds an extlinux.conf there, for those machines that have U-Boot.
    """
    sector = bytearray(512)
    sector[440:444] = DISK_ID.to_bytes(4, "little")
    sector[446:478] = b"".join(
        struct.pack("<B3sB3sII", 0x80 if part is BOOT else 0, b"\xfe\xff\xff", kind, b"\xfe\xff\xff", *place)
        for part, kind in ((BOOT, 0x0C), (ROOT, 0x83))
        for place in [(part.start_bytes // 512, part.size_bytes // 512)]
    )
    sector[510:] = b"\x55\xaa"
    with open(file, "wb") as disk:
        disk.write(sector)
        disk.truncate(ROOT.start_bytes + ROOT.size_bytes)
    content = file.parent / f"{file.stem}-content"
    boot = content / "boot"
    (boot / "extlinux").mkdir(parents=True)
    for name, data in boot_files(kernel, COMMAND_LINE).items():
        (boot / name).write_bytes(data)
    (boot / "extlinux/extlinux.conf").write_text(
        "default tiny\nlabel tiny\n  linux /vmlinuz-6.1\n  initrd /initrd.img-6.1\n"
        f"  append console=ttyAMA0 root=PARTUUID={ROOT.uuid} rw\n"
    )
    shutil.copytree(kernel.root, content / "root", symlinks=True)
    (content / "root/kernel").mkdir()
    for source, name in ((kernel.image, "vmlinuz-6.1"), (kernel.initrd, "initrd.img-6.1")):
        shutil.copyfile(source, content / "root/kernel" / name)
    (content / "root/vmlinuz").symlink_to("kernel/vmlinuz-6.1")
    with toolbox.opened("toolbox_qemu", folder=file.parent) as tool:
        at = f"/out/{file.name}@@{BOOT.start_bytes}"
        tool.run(["mformat", "-i", at, "-T", str(BOOT.size_bytes // 512), "-v", "BOOT", "::"])
        tool.run(["sh", "-ec", f"mcopy -i {at} -s /out/{content.name}/boot/* ::"])
        options = ["-q", "-t", "ext4", "-b", "4096", "-E", f"offset={ROOT.start_bytes},root_owner=0:0"]
        root = f"/out/{content.name}/root"
        tool.run(["mke2fs", *options, "-d", root, f"/out/{file.name}", f"{ROOT.size_bytes // 1024}k"])
    shutil.rmtree(content)
