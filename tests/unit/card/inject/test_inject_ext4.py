"""Archives and what one machine has of its own, put into an ext4 that the kernel then shows."""

from __future__ import annotations

import contextlib
import os
import stat
from typing import TYPE_CHECKING

import pytest

from bases import run
from disks import MIB, mounted, read_files
from stalker.card.inject.inject import inject
from stalker.card.payload import Bytes, Stock, Unpacked
from stalker.disk.edit.ext4.editor import Ext4Editor
from stalker.disk.edit.view import FileView
from stalker.formats.archive.open import members
from stalker.formats.fs.entry import Entry
from stalker.model.card import InjectedFile, Injections, SecretText, User, Wifi
from stalker.model.diagnostics import Place
from unit.helpers.compressed import PACK, info, make_zip, placed
from unit.helpers.tars import folder, hard_link, link, make_tar, member

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.timeout(240)

START = MIB
SIZE = 48 * MIB
NOW_S = 1_700_000_000
PLACE = Place("card.yaml", 1, 1)
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGmZ anna"
SYSTEM = {
    "/etc/passwd": (b"root:x:0:0:root:/root:/bin/bash\n", 0o644, 0),
    "/etc/shadow": (b"root:*:19000:0:99999:7:::\n", 0o640, 42),
    "/etc/group": (b"root:x:0:\naudio:x:29:\n", 0o644, 0),
    "/etc/gshadow": (b"root:*::\naudio:*::\n", 0o640, 42),
    "/etc/hosts": (b"127.0.0.1\tlocalhost\n127.0.1.1\told\n", 0o644, 0),
    "/etc/hostname": (b"old\n", 0o600, 7),
    "/etc/skel/.profile": (b"skeleton\n", 0o640, 0),
    "/usr/bin/bash": (b"elf", 0o755, 0),
    "/usr/sbin/NetworkManager": (b"elf", 0o755, 0),
}


class One:
    """The editors of an image with one partition."""

    def __init__(self, editor: Ext4Editor) -> None:
        self._editor = editor

    def has(self, name: str) -> bool:
        return name in {"root", "1"}

    def of(self, name: str) -> Ext4Editor:
        assert self.has(name)
        return self._editor


@contextlib.contextmanager
def ext4(at: Path) -> Iterator[tuple[Ext4Editor, FileView, Path]]:
    """Give an editor of a new ext4, its image opened, and the image, which e2fsck looks at in the end."""
    image = at / "disk.img"
    with image.open("wb") as stream:
        stream.truncate(START + SIZE + MIB)
    run("mke2fs", "-q", "-t", "ext4", "-E", f"offset={START}", str(image), f"{SIZE >> 10}k")
    with image.open("r+b", buffering=0) as stream:
        view = FileView(stream.fileno())
        yield Ext4Editor(view, START, SIZE, mtime_s=NOW_S), view, image
    run("e2fsck", "-fn", f"{image}?offset={START}")


def ignore(_: int) -> None:
    """Hear how far something is."""


def test_a_machine_gets_what_is_its_own(tmp_path: Path):
    """Name, account, keys, Wi-Fi and files stand in the file system with modes and owners, and it is sound."""
    parts = [
        Bytes(Entry(path, "file", len(data), mode, 0, gid), data)
        for path, (data, mode, gid) in SYSTEM.items()
    ]
    link_to_bin = Bytes(Entry("/bin", "link", mode=0o777, target="usr/bin"), b"")
    wish = Injections(
        hostname="pi-7",
        users=(User("anna", PLACE, SecretText("a password"), groups=("audio",), ssh_keys=(KEY,)),),
        wifi=(Wifi(b"caf\xc3\xa9 $(x)\n", PLACE, SecretText("a 'b' \"c\"")),),
        country="DE",
        files=(InjectedFile("1", "/bin/tool", PLACE, b"#!/bin/sh\n", mode=0o4755),),
    )

    with ext4(tmp_path) as (editor, view, image):
        Stock([*parts, link_to_bin]).put(editor, view, ignore)
        done = inject(
            One(editor), wish, lambda secret: secret.text, data_device="PARTUUID=aa-03", mtime_s=NOW_S
        )
        for changed, stock in done.stocks:
            stock.put(changed, view, ignore)
        editor.finish()
        with mounted(image, START) as root:
            found = read_files(root)

    def about(path: str) -> tuple:
        kind, mode, uid, gid, mtime_s, *_, content = found[path]
        assert stat.S_ISREG(kind)
        assert mtime_s == NOW_S
        return mode, uid, gid, content

    assert about("etc/hostname") == (0o600, 0, 7, b"pi-7\n")
    assert about("etc/hosts")[-1] == b"127.0.0.1\tlocalhost\n127.0.1.1\tpi-7\n"
    assert about("etc/passwd")[-1].endswith(b"anna:x:1000:1000::/home/anna:/bin/bash\n")
    mode, uid, gid, shadow = about("etc/shadow")
    assert (mode, uid, gid, shadow.count(b"\n")) == (0o640, 0, 42, 2)
    assert b"anna:$6$rounds=50000$" in shadow
    assert about("etc/group")[-1] == b"root:x:0:\naudio:x:29:anna\nanna:x:1000:\n"
    assert found["home/anna"][1:4] == (0o700, 1000, 1000)
    assert about("home/anna/.profile") == (0o640, 1000, 1000, b"skeleton\n")
    assert found["home/anna/.ssh"][1:4] == (0o700, 1000, 1000)
    assert about("home/anna/.ssh/authorized_keys") == (0o600, 1000, 1000, f"{KEY}\n".encode())
    (connection,) = [path for path in found if path.endswith(".nmconnection")]
    assert about(connection)[:3] == (0o600, 0, 0)
    assert b"ssid=99;97;102;195;169;32;36;40;120;41;10;\n" in about(connection)[-1]
    assert about("etc/modprobe.d/wifi-country.conf")[-1] == b"options cfg80211 ieee80211_regdom=DE\n"
    assert about("usr/bin/tool") == (0o4755, 0, 0, b"#!/bin/sh\n")
    assert found["bin"][5] == "usr/bin"
    assert about("etc/fstab")[-1] == b"PARTUUID=aa-03 /data ext4 defaults,noatime,nofail 0 2\n"
    assert stat.S_ISDIR(found["data"][0])


def test_archives_stand_in_the_file_system_as_they_were(tmp_path: Path):
    """A packed tar and a zip: content, modes, owners, times, links and attributes; it is sound."""
    big = os.urandom(5 * MIB + 3)
    tar = make_tar(
        folder("d", mode=0o750, uid=5, gid=6, mtime=11),
        (member("d/big", mode=0o640, uid=1000, gid=50, mtime=77), big),
        (member("d/caf\udce9", pax_headers={"SCHILY.xattr.user.note": "x"}), b"latin"),
        ("empty", b""),
        ("twice", b"the first one"),
        link("up", "d/../empty", mtime=5),
        hard_link("again", "d/big"),
        ("twice", b"second"),
    )
    packed = make_zip(
        (info("z/run", mode=0o100755, method=8), big), (info("z/text", method=14), b"hello " * 99)
    )
    archives = [
        ("zstdtar", placed(tmp_path, PACK["zstdtar"](tar), "tar"), "/conf/tar"),
        ("zip", placed(tmp_path, packed, "zip"), "/conf"),
    ]

    with ext4(tmp_path) as (editor, view, image):
        parts = [Unpacked(path, via, members(path, via, to), path.name) for via, path, to in archives]
        Stock(list(parts)).put(editor, view, ignore)
        editor.finish()
        with mounted(image, START) as root:
            found = read_files(root)
            same = (root / "conf/tar/again").samefile(root / "conf/tar/d/big")

    assert same
    assert found["conf/tar/d"][1:5] == (0o750, 5, 6, 11)
    assert found["conf/tar/d/big"][1:5] == (0o640, 1000, 50, 77)
    assert found["conf/tar/d/big"][-1] == found["conf/z/run"][-1] == big
    assert found["conf/tar/d/caf\udce9"][-2:] == ({"user.note": b"x"}, b"latin")
    assert found["conf/tar/empty"][-1] == b""
    assert found["conf/tar/twice"][-1] == b"second"
    assert found["conf/tar/up"][4:6] == (5, "d/../empty")
    assert found["conf/z/run"][1:4] == (0o755, 0, 0)
    assert found["conf/z/text"][-1] == b"hello " * 99
