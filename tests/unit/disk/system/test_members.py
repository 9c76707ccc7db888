"""What of a system goes into an engine, and what is kept aside; on a real engine in docker/test_disk_base.py."""

import os

from bases import ROOT_MIB, ROOT_START, make_base, mke2fs
from stalker.disk.system.find import find_system
from stalker.disk.system.members import kept_of, system_tar
from unit.helpers.tars import read_tar


def made(tmp_path):
    image = make_base(tmp_path)
    root = tmp_path / "base.img.root"
    (root / "boot/firmware").mkdir(parents=True)
    (root / "boot/firmware/hidden").write_text("below")
    (root / "dev").mkdir()
    (root / "dev/file").write_text("of the image")
    (root / "srv/.wh.dir").mkdir(parents=True)
    (root / "srv/.wh.dir/in").write_text("in it")
    (root / "srv/noted").write_text("x")
    os.setxattr(root / "srv/noted", "user.note", b"value")
    (root / "etc/fstab").write_text("PARTUUID=5ca1ab1e-01 /boot/firmware vfat\n")
    mke2fs(image, ROOT_START, ROOT_MIB, "rootfs", "-d", str(root))
    return find_system(image), root


def test_a_tar_has_the_root_and_what_is_mounted_in_it(tmp_path):
    """Names that an engine would take for removals, and what it lays files over, are not in it."""
    system, root = made(tmp_path)
    seen = []

    found = read_tar(system_tar(system, seen.append))

    wanted = {str(one.relative_to(root)) for one in root.rglob("*")}
    aside = {"boot/firmware/hidden", "dev/file", "srv/.wh.dir", "srv/.wh.dir/in"}
    boot = {"boot/firmware/config.txt", "boot/firmware/cmdline.txt"}
    assert found.keys() - {".", "lost+found"} == (wanted - aside) | boot
    assert found["boot/firmware/config.txt"][-1] == b"arm_64bit=0\n"
    assert sum(seen) == sum(len(one[-1]) for one in found.values())


def test_what_an_engine_does_not_keep_is_kept_aside(tmp_path):
    """Each with its content, in the order of the paths."""
    system, _ = made(tmp_path)

    kept = kept_of(system)

    assert {
        "boot/firmware/hidden",
        "dev/file",
        "srv/.wh.dir",
        "srv/.wh.dir/in",
        "etc/hosts",
        "etc/hostname",
    } == {path.decode() for path in kept.members}
    assert b"below" in kept.members[b"boot/firmware/hidden"]
    assert [attributes for _, attributes in kept.attributes.values()] == [{b"user.note": b"value"}]
    assert kept.times.keys() == {b"", b"etc", b"dev", b"boot/firmware"}
