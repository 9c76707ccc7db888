"""Files that are not disk images are named by their first bytes."""

from __future__ import annotations

import bz2
import io
import tarfile

import pytest

from stalker.disk.first_bytes import not_an_image
from unit.helpers.card_bases import BOOT, ROOT, make_base, tool

MIB = 1 << 20


def tar():
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("disk.img"))
    return target.getvalue()


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (tar(), "a tar archive"),
        (b"7z\xbc\xaf\x27\x1c" + bytes(100), "a 7z archive"),
        (bz2.compress(b"x" * 1000), "compressed with bz2"),
        (b"QFI\xfb" + bytes(1000), "a qcow2 image of QEMU"),
        (b'<?xml version="1.0" ?>\n<!-- a long comment -->\n<bmap version="2.0">\n', "a block map"),
        ("<html>404 nicht gefunden, où?</html>".encode(), "text"),
        (bytes(MIB), "zeros"),
        (b"\x80\x81\x82" * 1000, "data without a partition table, a file system or an ISO"),
    ],
)
def test_what_is_not_an_image_is_named(head, kind):
    assert not_an_image(head, len(head)) == kind


@pytest.mark.parametrize("label", ["dos", "gpt"])
def test_a_disk_with_a_table_is_an_image(tmp_path, label):
    base = make_base(tmp_path / "b.img", [BOOT, ROOT], label)

    assert not_an_image(base.read_bytes()[:MIB], base.stat().st_size) == ""


def test_a_file_system_or_an_iso_without_a_table_is_an_image(tmp_path):
    ext4, iso = tmp_path / "e.img", bytes(32769) + b"CD001" + bytes(2048)
    tool("mke2fs", "-q", "-t", "ext4", str(ext4), "8192k")

    assert not_an_image(ext4.read_bytes()[:MIB], 8 * MIB) == ""
    assert not_an_image(iso, len(iso)) == ""
