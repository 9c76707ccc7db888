"""What debugfs is told and what it answers, in its own words as version 1.47 says them."""

from __future__ import annotations

import io
import re
import tarfile

import pytest

from stalker.errors import StalkerError
from stalker.image.edit.ext4_script import ALLOCATED, SILENT, STAT_OR_NOTHING, Run, Script, parse_stat, quoted

FILE = b"""Inode: 13   Type: regular    Mode:  04755   Flags: 0x80000
Generation: 0    Version: 0x00000000:00000000
User: 3000000   Group:    -2   Project:     0   Size: 10485000
File ACL: 77
Links: 2   Blockcount: 5120
Fragment:  Address: 0    Number: 0    Size: 0
 ctime: 0x6553f100:00000000 -- Tue Nov 14 22:13:20 2023
Size of extra inode fields: 32
Extended attributes:
  user.with blank (3) = "abc"
  security.capability (20) = 01 00 00 02 00 20 00 00
  user.long (150)
Inode checksum: 0xb289a89b
EXTENTS:
(ETB0):33, (0-1496[u]):6696-8192, (1497):8451, (1498-1499):9000-9001
"""
MAPPED = b"""Inode: 12   Type: regular    Mode:  0644   Flags: 0x0
Generation: 0    Version: 0x00000000
User:     0   Group:     0   Size: 20000
File ACL: 0
Links: 1   Blockcount: 42
ctime: 0x6553f100 -- Tue Nov 14 22:13:20 2023
BLOCKS:
(0-11):1204-1215, (IND):1216, (12-19):1217-1224
TOTAL: 21
"""
LINK = b"""Inode: 14   Type: symlink    Mode:  0777   Flags: 0x0
Generation: 0    Version: 0x00000000:00000000
User:     0   Group:     0   Project:     0   Size: %d
File ACL: 0
Links: 1   Blockcount: 0
Fragment:  Address: 0    Number: 0    Size: 0
Fast link dest: "%s"
"""


def said(
    script: Script, *replies: bytes, head: bytes = b"debugfs 1.47.2 (1-Jan-2025)\n", tail: bytes = b""
) -> bytes:
    """Return what debugfs writes when it answers so."""
    mark = b"#%s\n" % script.token
    told = (b"debugfs: %s\n%s" % pair for pair in zip(script.lines, replies, strict=True))
    return head + mark + mark.join(told) + mark + tail


def test_all_of_an_inode_is_read() -> None:
    """Owners beyond the sign, names of attributes, and where its blocks are; those of the map itself are not data."""
    inode = parse_stat(FILE)

    assert inode is not None
    assert (inode.number, inode.kind, inode.mode, inode.uid, inode.gid) == (
        13,
        "file",
        0o4755,
        3000000,
        4294967294,
    )
    assert (inode.size_bytes, inode.links, inode.acl_block) == (10485000, 2, 77)
    assert inode.xattrs == (b"user.with blank", b"security.capability", b"user.long")
    assert inode.runs == (Run(0, 6696, 1497, False), Run(1497, 8451, 1, True), Run(1498, 9000, 2, True))


def test_an_inode_without_extents_is_read() -> None:
    """Its map has words where indirect blocks are."""
    inode = parse_stat(MAPPED)

    assert inode is not None
    assert inode.runs == (Run(0, 1204, 12, True), Run(12, 1217, 8, True))


@pytest.mark.parametrize(
    "target",
    [b"x", b'quo"te"', b'Fast link dest: "x"\n', b"two\nlines", b"EXTENTS:\n(0):1\n", b"caf\xe9"],
)
def test_a_link_says_what_it_says(target: bytes) -> None:
    """Whatever its target looks like, it is nothing else."""
    inode = parse_stat(LINK % (len(target), target))

    assert inode is not None
    assert (inode.kind, inode.fast_target, inode.runs) == ("link", target, ())


def test_what_is_not_there_is_no_inode() -> None:
    assert parse_stat(b"/x: File not found by ext2_lookup \n") is None


def test_an_inode_in_words_that_are_not_known_is_a_fault() -> None:
    """Better than a file that is taken for none."""
    with pytest.raises(StalkerError):
        parse_stat(b"Inode: 13   Type: regular    Perms: 0644\n")


def test_answers_are_told_apart() -> None:
    """Each command has its own, one that says nothing too."""
    script = Script()
    script.add(b"mkdir", b'"/a"')
    script.add(b"write", b"/dev/null", b'"/a/b"', answer=ALLOCATED)
    script.add(b"stat", b'"/c"', answer=STAT_OR_NOTHING)

    replies = script.replies(
        said(script, b"", b"Allocated inode: 13\n", b"/c: File not found by ext2_lookup \n")
    )

    assert replies == [b"", b"Allocated inode: 13\n", b"/c: File not found by ext2_lookup \n"]


@pytest.mark.parametrize(
    ("reply", "pattern"),
    [
        (b"mkdir: Could not allocate block in ext2 filesystem \n", SILENT),
        (b"", ALLOCATED),
        (b"Allocated inode: 13\nwrite: Directory already exists \n", ALLOCATED),
        (b"/x: Ext2 directory block does not have space for checksum \n", STAT_OR_NOTHING),
        (b"debugfs: Command not found mkdri\n", SILENT),
    ],
)
def test_another_answer_than_was_expected_is_a_fault(reply: bytes, pattern: re.Pattern[bytes]) -> None:
    """It ends with 0 whatever happened: what it says is all there is."""
    script = Script()
    script.add(b"mkdir", b'"/a"', answer=pattern)

    with pytest.raises(StalkerError) as raised:
        script.replies(said(script, reply))

    assert (reply or b"mkdir").decode().split("\n")[0].strip() in raised.value.details.replace("\\n", "\n")


@pytest.mark.parametrize(
    "change",
    [
        {"tail": b"ext2fs_close: Input/output error \n"},
        {"head": b"debugfs 1.47.2 (1-Jan-2025)\ndebugfs: Bad magic number while trying to open /out/x\n"},
        {"head": b"sh: debugfs: not found\n"},
    ],
)
def test_what_is_said_beside_the_answers_is_a_fault(change: dict[str, bytes]) -> None:
    """The beginning is the version alone, and nothing comes behind the end."""
    script = Script()
    script.add(b"mkdir", b'"/a"')

    with pytest.raises(StalkerError) as raised:
        script.replies(said(script, b"", **change))

    assert next(iter(change.values())).decode().split("\n")[-2].strip() in raised.value.details.replace(
        "\\n", "\n"
    )


def test_an_early_end_is_a_fault() -> None:
    """A debugfs that was killed answers nothing more."""
    script = Script()
    script.add(b"mkdir", b'"/a"')
    script.add(b"mkdir", b'"/b"')

    with pytest.raises(StalkerError, match="could not be changed"):
        script.replies(said(script, b"", b"").rpartition(b"debugfs: mkdir")[0])


def test_an_answer_that_looks_like_the_next_command_is_none() -> None:
    """A link in an image may say what debugfs would say; the line between commands it cannot know."""
    script = Script()
    script.add(b"stat", b'"/l"', answer=STAT_OR_NOTHING)
    script.add(b"stat", b'"/m"', answer=STAT_OR_NOTHING)
    forged = LINK % (70, b'x\ndebugfs: stat "/m"\n' + b"/m: File not found by ext2_lookup \n".ljust(50))

    replies = script.replies(said(script, forged, FILE))

    assert replies == [forged, FILE]


def test_values_travel_in_files_of_the_same_archive() -> None:
    """An attribute may hold any bytes, which no line can."""
    script = Script()
    script.add_xattr(13, b'user."x"', b"\0\n\xff")

    with tarfile.open(fileobj=io.BytesIO(script.archive())) as archive:
        files = {one.name: archive.extractfile(one).read() for one in archive}  # type: ignore[union-attr]

    assert files["values/0"] == b"\0\n\xff"
    assert b'ea_set -f %s/values/0 <13> "user.""x"""\n' % script.folder in files["commands"]


@pytest.mark.parametrize("word", [b"a\nb", b"a\rb", b"a\0b", b"x" * 9000])
def test_a_line_that_would_be_two_is_refused(word: bytes) -> None:
    """What is behind a break, or behind what debugfs reads at once, would be another command."""
    with pytest.raises(StalkerError):
        Script().add(b"mkdir", quoted(word))
