"""File systems made by mke2fs of a directory, read back and compared with the directory as the kernel shows it."""

import os
import random
import stat
import subprocess

import pytest

from stalker.errors import NeedsRepair, StalkerError
from stalker.formats.fs.ext4 import find_super
from stalker.formats.fs.ext4_reader import Ext4Reader, refuse_unreadable

ACL = bytes.fromhex(
    "0200000001000700ffffffff02000600e803000004000500ffffffff10000700ffffffff20000500ffffffff"
)
"""As setxattr(2) takes it: of the owner, user 1000, the group, the mask and others."""
SHAPES = {
    "ext4": ("-t", "ext4", "-b", "4096"),
    "1k blocks": ("-t", "ext4", "-b", "1024"),
    "ext2": ("-t", "ext2"),
    "ext3 of 1k": ("-t", "ext3", "-b", "1024"),
    "small inodes": ("-t", "ext4", "-I", "128"),
    "inline data": ("-t", "ext4", "-O", "inline_data"),
    "bigalloc": ("-t", "ext4", "-O", "bigalloc", "-C", "16384"),
    "meta_bg": ("-t", "ext4", "-b", "1024", "-O", "meta_bg,^resize_inode"),
    "32bit": ("-t", "ext4", "-O", "^64bit"),
    "attributes in inodes": ("-t", "ext4", "-O", "ea_inode"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a directory with what is awkward."""
    top = tmp_path_factory.mktemp("root")
    (top / "etc").mkdir(mode=0o750)
    (top / "etc/small").write_bytes(b"tiny")
    (top / "etc/medium").write_bytes(b"medium" * 30)
    (top / "large").write_bytes(random.Random(1).randbytes(3_000_000))
    with (top / "sparse").open("wb") as stream:
        stream.write(b"begin")
        stream.seek(1_234_567)
        stream.write(b"middle")
        stream.truncate(2_000_001)
    (top / "many").mkdir()
    for number in range(700):
        (top / f"many/a rather long name that fills blocks {number}").touch()
    (top / ("n" * 255)).write_bytes(b"long name")
    (top / ".wh.looks-like-a-whiteout").touch()
    os.link(top / "etc/small", top / "second-name")
    os.symlink("etc/small", top / "short-link")
    os.symlink("/" + "x" * 200, top / "long-link")
    os.mkfifo(top / "pipe")
    (top / "old").touch()
    os.utime(top / "old", ns=(0, -86_400_000_000_000))
    os.utime(top / "large", ns=(0, 1_700_000_000_123_456_789))
    os.chmod(top / "etc/medium", 0o4711)
    os.setxattr(top / "etc/medium", "user.note", b"\x00\xffbinary")
    os.setxattr(top / "etc/medium", "user.large", bytes(range(256)) * 2)
    if os.geteuid() == 0:
        os.mknod(top / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
        os.mknod(top / "whiteout", stat.S_IFCHR, os.makedev(0, 0))
        os.mknod(top / "disk", stat.S_IFBLK | 0o660, os.makedev(8, 300))
        os.chown(top / "old", 65534, 3_000_000)
        os.setxattr(top / "large", "security.capability", b"\x01\x00\x00\x02\x00\x20" + bytes(14))
        os.setxattr(top / "etc/small", "system.posix_acl_access", ACL)
    return top


def made(folder, target, *options, size="48M"):
    argv = ["mke2fs", "-q", "-F", "-N", "2048", "-d", str(folder), *options, str(target), size]
    subprocess.run(argv, check=True, capture_output=True)
    return target


def reader_of(path):
    data = path.read_bytes()

    def read(at, count):
        return data[at : at + count]

    return Ext4Reader(read, 0, find_super(read, 0))


def shown(path):
    """What the kernel shows of a file; times in seconds, which is all that mke2fs keeps."""
    about = os.lstat(path)
    is_device = stat.S_ISCHR(about.st_mode) or stat.S_ISBLK(about.st_mode)
    return (
        about.st_mode,
        about.st_uid,
        about.st_gid,
        about.st_mtime_ns // 1_000_000_000,
        about.st_nlink,
        os.fsencode(os.readlink(path)) if stat.S_ISLNK(about.st_mode) else b"",
        (os.major(about.st_rdev), os.minor(about.st_rdev)) if is_device else (),
        path.read_bytes() if stat.S_ISREG(about.st_mode) else b"",
    )


def read_back(reader, node):
    is_device = stat.S_ISCHR(node.mode) or stat.S_ISBLK(node.mode)
    return (
        node.mode,
        node.uid,
        node.gid,
        node.mtime_ns // 1_000_000_000,
        node.links,
        reader.target(node) if stat.S_ISLNK(node.mode) else b"",
        node.device if is_device else (),
        b"".join(reader.content(node)) if node.is_file else b"",
    )


@pytest.mark.parametrize("options", SHAPES.values(), ids=SHAPES)
def test_all_files_are_what_the_kernel_shows(folder, tmp_path, options):
    """Whatever kind of ext it is: kinds, modes, owners, times, links, devices, holes and content are read."""
    reader = reader_of(made(folder, tmp_path / "fs", *options))

    found = {path.decode(): (reader, node) for path, node in reader.walk()}

    wanted = {str(path.relative_to(folder)): path for path in folder.rglob("*")}
    assert found.keys() == wanted.keys() | {"", "lost+found"}
    # Small inodes have no time before 1970 on which e2fsprogs and the kernel agree; mke2fs cuts a file with holes off
    # where data can be in inodes.
    doubtful = {"128": "old", "inline_data": "sparse"}
    for name, path in wanted.items():
        if name == next((doubtful[one] for one in options if one in doubtful), ""):
            continue
        assert read_back(*found[name]) == shown(path), name
    assert found["etc/small"][1].number == found["second-name"][1].number


@pytest.mark.parametrize("options", [SHAPES["ext4"], SHAPES["ext3 of 1k"], SHAPES["inline data"]])
def test_attributes_are_as_system_calls_give_them(folder, tmp_path, options):
    """ACLs, capabilities and binary values, in the inode and in a block."""
    if os.geteuid() != 0:
        pytest.skip("only root can set capabilities")
    reader = reader_of(made(folder, tmp_path / "fs", *options))

    for name in ("etc/medium", "etc/small", "large", "old"):
        wanted = {os.fsencode(key): os.getxattr(folder / name, key) for key in os.listxattr(folder / name)}
        assert reader.xattrs(reader.find(name.encode())) == wanted, name


def test_times_have_their_nanoseconds(tmp_path):
    """A file gets by debugfs what mke2fs drops."""
    empty = tmp_path / "empty"
    empty.mkdir()
    (empty / "a").touch()
    target = made(empty, tmp_path / "fs", "-t", "ext4", size="8M")
    commands = "set_inode_field /a mtime @1700000000\nset_inode_field /a mtime_extra 493827156\n"
    subprocess.run(
        ["debugfs", "-w", "-f", "-", str(target)], input=commands.encode(), check=True, capture_output=True
    )

    reader = reader_of(target)

    assert reader.find(b"a").mtime_ns == 1_700_000_000_123_456_789


def test_nothing_is_found_where_nothing_is(folder, tmp_path):
    """Neither behind a file nor behind a link."""
    reader = reader_of(made(folder, tmp_path / "fs", "-t", "ext4"))

    assert [reader.find(path) for path in (b"no", b"large/x", b"short-link/x")] == [None, None, None]
    assert reader.find(b"").is_folder
    assert reader.find(b"/etc/small/").size_bytes == 4


def test_what_cannot_be_read_is_refused_by_its_feature(folder, tmp_path):
    """A file system that was left open needs a check; one that is cut, and an unknown feature, another image."""
    target = made(folder, tmp_path / "fs", "-t", "ext4")
    data = bytearray(target.read_bytes())
    shape = find_super(lambda at, count: bytes(data[at : at + count]), 0)

    refuse_unreadable(shape, len(data))
    with pytest.raises(StalkerError, match="larger than its partition"):
        refuse_unreadable(shape, len(data) - 1)
    data[1024 + 96] |= 0x4  # needs_recovery
    with pytest.raises(NeedsRepair, match="not closed properly"):
        refuse_unreadable(find_super(lambda at, count: bytes(data[at : at + count]), 0), len(data))
    data[1024 + 96] &= ~0x4
    data[1024 + 99] |= 0x40
    with pytest.raises(StalkerError, match="feature 0x40000000"):
        refuse_unreadable(find_super(lambda at, count: bytes(data[at : at + count]), 0), len(data))


def test_damage_is_an_error_and_never_more(folder, tmp_path):
    """Bytes of the tables and directories overwritten at random: all that can happen is StalkerError."""
    whole = made(folder, tmp_path / "fs", "-t", "ext4", "-b", "1024", size="24M").read_bytes()
    rng = random.Random(7)
    ends = []
    for _ in range(60):
        data = bytearray(whole)
        for _ in range(300):
            at = rng.randrange(2048, 1_500_000)
            data[at] = rng.randrange(256)

        def read(at, count, data=data):
            return bytes(data[at : at + count])

        shape = find_super(read, 0)
        reader = Ext4Reader(read, 0, shape)
        try:
            for _, node in reader.walk():
                reader.xattrs(node)
                if node.is_file and node.size_bytes < 1 << 24:
                    for _ in reader.content(node):
                        pass
            ends.append("read")
        except StalkerError:
            ends.append("refused")

    assert "refused" in ends
