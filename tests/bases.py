"""Small base images as card images are created from: a FAT to start from, an ext4 with a system, perhaps a data partition."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

MIB = 1 << 20
BOOT_MIB, ROOT_MIB, DATA_MIB = 40, 48, 16
BOOT_START = 4 * MIB
ROOT_START = BOOT_START + BOOT_MIB * MIB
DATA_START = ROOT_START + ROOT_MIB * MIB
ENVIRON = {"PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin", "LC_ALL": "C.UTF-8", "MTOOLS_SKIP_CHECK": "1"}

PASSWD = "root:x:0:0:root:/root:/bin/sh\ndaemon:x:1:1:daemon:/:/usr/sbin/nologin\npi:x:1000:1000::/home/pi:/bin/sh\n"
SHADOW = "root:*:19000:0:99999:7:::\ndaemon:*:19000:0:99999:7:::\npi:!:19000:0:99999:7:::\n"
GROUP = "root:x:0:\nsudo:x:27:\nnetdev:x:106:\npi:x:1000:\n"
SYSTEM = {
    "etc/passwd": PASSWD,
    "etc/shadow": SHADOW,
    "etc/group": GROUP,
    "etc/gshadow": "root:*::\nsudo:*::\nnetdev:!::\npi:!::\n",
    "etc/hostname": "base\n",
    "etc/hosts": "127.0.0.1\tlocalhost\n127.0.1.1\tbase\n# kept\n",
    "etc/fstab": "proc /proc proc defaults 0 0\n",
    "etc/shells": "/bin/sh\n",
    "etc/skel/.profile": "umask 022\n",
    "etc/NetworkManager/NetworkManager.conf": "[main]\n",
    "etc/NetworkManager/system-connections/.keep": "",
    "usr/sbin/NetworkManager": "a program\n",
    "bin/sh": "a program\n",
    "home/pi/.keep": "",
}


def make_base(folder: Path, name: str = "base.img", *, table: str = "dos", has_data: bool = False) -> Path:
    """Make a base image; `table` is dos or gpt."""
    image, root = folder / name, folder / f"{name}.root"
    for path, text in SYSTEM.items():
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    (root / "etc/shadow").chmod(0o640)
    (root / "bin/sh").chmod(0o755)
    boot, linux = ("c", "83") if table == "dos" else ("U", "L")
    lines = [
        f"label: {table}",
        *(["label-id: 0x5ca1ab1e"] if table == "dos" else []),
        f"start={BOOT_START // 512}, size={BOOT_MIB * 2048}, type={boot}",
        f"start={ROOT_START // 512}, size={ROOT_MIB * 2048}, type={linux}",
        *([f"start={DATA_START // 512}, size={DATA_MIB * 2048}, type={linux}"] if has_data else []),
    ]
    end = DATA_START + (DATA_MIB * MIB if has_data else 0)
    with image.open("wb") as stream:
        stream.truncate(end + (MIB if table == "gpt" else 0))
    run("sfdisk", "--quiet", str(image), text="\n".join(lines))
    run(
        *("mkfs.vfat", "-F", "32", "-s", "1", "-n", "BOOT", "--offset", str(BOOT_START // 512)),
        *(str(image), str(BOOT_MIB * 1024)),
    )
    for path, text in {"config.txt": "arm_64bit=0\n", "cmdline.txt": "console=serial0 root=/dev/x\n"}.items():
        run("mcopy", "-i", f"{image}@@{BOOT_START}", "-", f"::{path}", text=text)
    mke2fs(image, ROOT_START, ROOT_MIB, "rootfs", "-d", str(root))
    if has_data:
        data = folder / f"{name}.data"
        data.mkdir()
        (data / "master_fs").write_text("grow\n")
        mke2fs(image, DATA_START, DATA_MIB, "data", "-d", str(data))
    return image


def mke2fs(image: Path, start: int, size_mib: int, label: str, *more: str) -> None:
    options = ("-q", "-F", "-t", "ext4", "-b", "4096", "-L", label, "-E", f"offset={start},root_owner=0:0")
    run("mke2fs", *options, *more, str(image), f"{size_mib}M")


def run(*argv: str, text: str = "") -> str:
    done = subprocess.run(argv, input=text, capture_output=True, text=True, check=False, env=ENVIRON)
    assert done.returncode == 0, f"{' '.join(argv)}: {done.stdout}{done.stderr}"
    return done.stdout
