"""What debugfs is told for a plan, line by line."""

from __future__ import annotations

import pytest

from stalker.errors import StalkerError
from stalker.image.edit.entries import Entry, Range
from stalker.image.edit.ext4_commands import killing, making, owning, ranges, setting
from stalker.image.edit.ext4_plan import plan
from stalker.image.edit.ext4_script import Inode, Run
from stalker.image.edit.ext4_super import HAS_EXTENTS, Super

ROOT = {"/": Inode(2, "folder", 0o755, 0, 0, 1024, 3, 0, b"", (), ())}
SMALL = Super(1024, 1000, 500, 50, 128, 0, 0, 0, True)
USUAL = Super(1024, 1000, 500, 50, 256, HAS_EXTENTS, 0, 0, True)


def inode(
    *runs: Run, number: int = 12, links: int = 1, acl_block: int = 0, xattrs: tuple[bytes, ...] = ()
) -> Inode:
    return Inode(number, "file", 0o644, 0, 0, 0, links, acl_block, b"", runs, xattrs)


def test_names_go_before_others_come() -> None:
    """Then inodes in their order, then further names, for which the folder is enlarged by a file that goes again."""
    entries = [
        Entry('/d/a"b', size_bytes=2049),
        Entry("/l", "link", target="<12>"),
        Entry("/h", "hardlink", target='/d/a"b'),
    ]

    script, stats = making(plan(entries, ROOT | {"/l": inode(number=9)}, 0), USUAL)

    assert [line.decode() for line in script.lines] == [
        'unlink "/l"',
        'mkdir "/d"',
        'stat "/d"',
        'write /dev/null "/d/a""b"',
        'fallocate "/d/a""b" 0 2',
        'stat "/d/a""b"',
        'symlink "/l" "<12>"',
        'stat "/l"',
        'write /dev/null "/h"',
        'rm "/h"',
        'ln "/d/a""b" "/h"',
    ]
    assert stats == [2, 5, 7]


def test_room_is_declared_written() -> None:
    """Piece by piece, where it was not; then all else is set."""
    one = Entry("/a", size_bytes=5000, mode=0o4755, uid=70_000, mtime_s=-86400)
    there = inode(Run(0, 900, 2, False), Run(2, 700, 1, True), Run(3, 500, 2, False))

    script = setting(plan([one], ROOT, 0), [there], USUAL)

    assert [line.decode() for line in script.lines] == [
        "eo <12>",
        "goto_block 0",
        "replace_node 0 2 900",
        "goto_block 3",
        "replace_node 3 2 500",
        "ec",
        "sif <12> mode 0104755",
        "sif <12> size 5000",
        "sif <12> uid 70000",
        "sif <12> atime @-86400",
        "sif <12> ctime @-86400",
        "sif <12> mtime @-86400",
        "sif <12> crtime @-86400",
    ]


@pytest.mark.parametrize(
    ("mtime_s", "kind", "lines"),
    [
        (-1, USUAL, [b"mtime_lo 0xffffffff", b"mtime_hi 0"]),
        (1 << 32, USUAL, [b"mtime @4294967296"]),
        (1 << 40, USUAL, [b"mtime @15032385535"]),
        (1 << 32, SMALL, [b"mtime @2147483647"]),
        (-(1 << 40), SMALL, [b"mtime @-2147483648"]),
    ],
)
def test_times_are_those_that_an_inode_can_hold(mtime_s: int, kind: Super, lines: list[bytes]) -> None:
    """The nearest one; a second before 1970 has to be told in halves."""
    script = setting(plan([Entry("/a", mtime_s=mtime_s)], ROOT, 0), [inode()], kind)

    assert [line.removeprefix(b"sif <12> ") for line in script.lines if b" mtime" in line] == lines
    assert any(b"crtime" in line for line in script.lines) == (kind is USUAL)


def test_links_are_counted() -> None:
    """Neither ln nor unlink counts: what got and what lost names is told how many it has."""
    entries = [Entry("/a"), Entry("/b", "hardlink", target="/a"), Entry("/y", "hardlink", target="/x")]
    there = {"/x": inode(number=20, links=3), "/a": inode(number=21)}

    script = setting(plan(entries, ROOT | there, 0), [inode()], USUAL)

    assert sorted(line for line in script.lines if b"links_count" in line) == [
        b"sif <12> links_count 2",
        b"sif <20> links_count 4",
        b"sif <21> links_count 0",
    ]


def test_blocks_of_attributes_are_freed_too() -> None:
    """Each inode gets its own first, which then becomes the data of a file that is removed."""
    plain, rich, empty = (
        inode(number=20),
        inode(number=21, acl_block=77, xattrs=(b"user.a",)),
        inode(acl_block=78),
    )

    first, stats = owning([rich, empty])
    second = killing([plain, rich])

    assert first.lines == [b'ea_rm <21> "user.a"', b"stat <21>", b"ea_set <12> user.x x", b"stat <12>"]
    assert stats == [1, 3]
    name = b"/.%s-21" % second.token
    assert second.lines == [
        b"kill_file <20>",
        b"kill_file <21>",
        b"sif <21> file_acl 0",
        b"write /dev/null " + name,
        b"sif " + name + b" bmap[0] 77",
        b"rm " + name,
    ]


@pytest.mark.parametrize(
    ("runs", "size", "wanted"),
    [
        ([Run(0, 10, 2, True)], 2048, [Range(100 + 10 * 1024, 2048)]),
        ([Run(0, 10, 2, True)], 1025, [Range(100 + 10 * 1024, 1025)]),
        ([Run(0, 10, 2, False), Run(2, 12, 1, True)], 3000, [Range(100 + 10 * 1024, 3000)]),
        (
            [Run(1, 5, 1, True), Run(0, 10, 1, True)],
            1025,
            [Range(100 + 10 * 1024, 1024), Range(100 + 5 * 1024, 1)],
        ),
    ],
)
def test_ranges_are_as_long_as_the_file(runs: list[Run], size: int, wanted: list[Range]) -> None:
    """In the order of its bytes, and in one piece where they lie in a row."""
    assert ranges(inode(*runs), size, 100, 1024) == wanted


@pytest.mark.parametrize("runs", [[], [Run(0, 10, 1, True)], [Run(1, 10, 2, True)], [Run(0, 10, 3, True)]])
def test_room_that_is_not_all_there_is_an_error(runs: list[Run]) -> None:
    """Too little, too much, or a hole."""
    with pytest.raises(StalkerError, match="room"):
        ranges(inode(*runs), 2048, 0, 1024)
