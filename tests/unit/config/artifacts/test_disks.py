"""Disks of a node's artifacts: tables, partitions, sizes, labels."""

from __future__ import annotations

import pytest

from stalker.model.artifacts import Disk
from unit.config.artifacts.space import ROOT, disk, problems, read, write

WRONG = {
    "no partitions": (
        "a: { disk: 'x.img' }",
        "11:1: a: a disk needs 'partitions'\n  root: { filesystem: ext4, from: / }",
    ),
    "an empty list of partitions": (
        "a: { disk: 'x.img', partitions: {} }",
        "11:33: a.partitions: a disk needs 'partitions'\n  root: { filesystem: ext4, from: / }",
    ),
    "an unknown table": (
        disk("table: 'gtp'"),
        "12:9: image.table: 'gtp' is not possible here\n  did you mean 'gpt'?",
    ),
    "a decimal size": (
        disk("size: '8GB'"),
        "12:8: image.size: '8GB' can be read in two ways; write 8GiB for powers of 1024, or \"8GB card\" for what fits such a card",
    ),
    "a decimal megabyte": (
        disk("size: '800MB'"),
        "12:8: image.size: '800MB' can be read in two ways; write 800MiB for powers of 1024",
    ),
    "no size": (
        disk("size: 'big'"),
        "12:8: image.size: 'big' is not a size; write it like 512MiB, 8GiB, or in bytes",
    ),
    "a card of no size": (
        disk("size: '9GB card'"),
        "12:8: image.size: no card is sold as 9 GB; they are 1, 2, 4, 8, 16, ... 2048",
    ),
    "a size of nothing": (disk("size: '0MiB'"), "12:8: image.size: a size of 0MiB is not possible"),
    "a disk too small": (
        disk("size: '256MiB'", "a: { filesystem: 'ext4', size: '256MiB', from: '/' }"),
        "12:8: image.size: 256MiB is 256 MiB, and the partitions need 260 MiB\n  a 256 MiB, aligned to 4 MiB; size: auto is as small as possible",
    ),
    "a disk too small for what is not known": (
        disk("size: '4MiB'"),
        "12:8: image.size: 4MiB is 4 MiB, and the partitions need 5 MiB\n  at least 1 MiB of root, aligned to 4 MiB; size: auto is as small as possible",
    ),
    "a card too small": (
        disk("size: '1GB card'", "a: { size: '1GiB' }"),
        "12:8: image.size: 1GB card is 912 MiB, and the partitions need 1.01 GiB\n  a 1 GiB, aligned to 4 MiB; size: auto is as small as possible",
    ),
    "a disk too large for an MBR": (
        disk("size: '3T'"),
        "12:8: image.size: an MBR cannot describe more than 2 TiB\n  table: gpt",
    ),
    "partitions too large for an MBR": (
        disk("", "a: { size: '2T' }"),
        "13:16: image.partitions.a: an MBR cannot describe more than 2 TiB\n  table: gpt",
    ),
    "an alignment of no power of two": (
        disk("align: '3MiB'"),
        "12:9: image.align: partitions cannot be aligned to 3MiB\n  a power of two from 4KiB to 1GiB; 4MiB suits cards, 1MiB most disks",
    ),
    "an alignment of a sector": (
        disk("align: 512"),
        "12:9: image.align: partitions cannot be aligned to 512\n  a power of two from 4KiB to 1GiB; 4MiB suits cards, 1MiB most disks",
    ),
    "a disk id of another table": (
        disk("disk_id: 'c12a7328-f81f-11d2-ba4b-00a0c93ec93b'"),
        "12:11: image.disk_id: 'c12a7328-f81f-11d2-ba4b-00a0c93ec93b' is not an MBR disk id: eight digits of 0-9a-f, not all zero",
    ),
    "a disk id of a GPT": (
        disk("table: 'gpt', disk_id: '1a2b3c4d'"),
        "12:25: image.disk_id: '1a2b3c4d' is not a UUID: 8-4-4-4-12 digits of 0-9a-f, as uuidgen prints them",
    ),
    "a disk id of zeros": (
        disk("disk_id: '00000000'"),
        "12:11: image.disk_id: '00000000' is not an MBR disk id: eight digits of 0-9a-f, not all zero",
    ),
    "an unknown format": (
        disk("formats: ['img.bz2']"),
        "12:12: image.formats.0: 'img.bz2' is not possible here\n  did you mean 'img.xz'?",
    ),
    "no format": (
        disk("formats: []"),
        "12:11: image.formats: nothing is published of this disk\n  leave 'formats' out for img",
    ),
    "a bmap alone": (
        disk("formats: bmap"),
        "12:11: image.formats: a bmap alone is of no use: it says which blocks of the image hold data\n  add img, or img.zst",
    ),
    "a relative path to fill": (
        disk("fill: ['etc/fstab']"),
        "12:9: image.fill.0: 'etc/fstab' is relative; a path in the image begins with /",
    ),
    "five partitions of an MBR": (
        disk("", "\n".join(f"p{n}: {{ size: 1MiB }}" for n in range(5))),
        "17:1: image.partitions.p4: 5 partitions; an MBR has at most 4\n  table: gpt",
    ),
    "two bootable ones": (
        disk("", "a: { size: '1MiB', bootable: true }\n b: { size: '1MiB', bootable: true }"),
        "14:2: image.partitions.b: 'a' is bootable, too\n  an MBR boots from one of them",
    ),
    "a partition's name": (
        disk("", "'a b': { size: '1MiB' }"),
        "13:16: image.partitions.a b: 'a b' cannot name a partition: letters, digits, _ and -, at most 36",
    ),
    "an unknown file system": (
        disk("", "a: { filesystem: 'ext3', size: '8MiB' }"),
        "13:33: image.partitions.a.filesystem: 'ext3' is not possible here\n  did you mean 'ext4'?",
    ),
    "two contents": (
        disk("", "a: { filesystem: 'ext4', from: '/a', directory: 'data' }"),
        "13:53: image.partitions.a.directory: both 'from' and 'directory'\n  a partition holds one of them",
    ),
    "content without a file system": (
        disk("", "a: { from: '/', size: '8MiB' }"),
        "13:21: image.partitions.a.from: a partition without a file system holds nothing\n  add filesystem: ext4",
    ),
    "content of swap": (
        disk("", "a: { filesystem: 'swap', from: '/a', size: '8MiB' }"),
        "13:41: image.partitions.a.from: a swap partition holds nothing\n  leave it out",
    ),
    "nothing without a size": (
        disk("", "a: { filesystem: 'ext4' }"),
        "13:16: image.partitions.a: a partition that holds nothing needs a size\n  like size: 64MiB",
    ),
    "auto of nothing": (
        disk("", "a: { filesystem: 'swap', size: 'auto' }"),
        "13:47: image.partitions.a.size: a partition that holds nothing needs a size\n  like size: 64MiB",
    ),
    "a partition too small": (
        disk("", "a: { filesystem: 'ext4', size: '4KiB' }"),
        "13:47: image.partitions.a.size: a partition of 4KiB is too small\n  at least 1MiB",
    ),
    "margin and size": (
        disk("", "a: { filesystem: 'ext4', from: '/', size: '8MiB', margin: '10%' }"),
        "13:66: image.partitions.a.margin: 'margin' goes with size: auto\n  keep one of size and margin",
    ),
    "a margin that is none": (
        disk("", "a: { filesystem: 'ext4', from: '/', margin: 'some' }"),
        "13:60: image.partitions.a.margin: 'some' is not a size; write it like 512MiB, 8GiB, or in bytes",
    ),
    "a margin without a unit": (
        disk("", "a: { filesystem: 'ext4', from: '/', margin: 20 }"),
        "13:60: image.partitions.a.margin: a margin of 20 bytes; did you mean 20% or 20MiB?",
    ),
    "an esp that firmware cannot read": (
        disk("", "a: { filesystem: 'ext4', from: '/', type: 'esp' }"),
        "13:58: image.partitions.a.type: firmware reads no ext4: an esp is a vfat",
    ),
    "a margin beyond all": (
        disk("", "a: { filesystem: 'ext4', from: '/', margin: '2000%' }"),
        "13:60: image.partitions.a.margin: a margin of 2000% is not possible; at most 1000%",
    ),
    "a margin of squashfs": (
        disk("", "a: { filesystem: 'squashfs', from: '/', margin: '10%' }"),
        "13:56: image.partitions.a.margin: a squashfs cannot be written to, so it has no margin",
    ),
    "a system on FAT": (
        disk("", "a: { filesystem: 'vfat', from: '/' }"),
        "13:47: image.partitions.a.from: FAT keeps neither owners nor links: no system runs from it\n  filesystem: ext4",
    ),
    "the kernel's folder": (
        disk("", "a: { filesystem: 'ext4', from: '/proc' }"),
        "13:47: image.partitions.a.from: /proc is the kernel's and empty in every image",
    ),
    "a mount": (
        disk("", "a: { filesystem: 'ext4', from: '/store/x' }"),
        "13:47: image.partitions.a.from: /store/x is in no image: the steps have /store mounted\n  copy it into the image, or publish it as repo and name that: artifact: NAME",
    ),
    "two roots": (
        disk("", "a: { filesystem: 'ext4', from: '/' }\n b: { filesystem: 'ext4', from: '//' }"),
        "14:2: image.partitions.b: 'a' holds /, too\n  change one of them",
    ),
    "a type of a GPT": (
        disk("", "a: { type: 'c12a7328-f81f-11d2-ba4b-00a0c93ec93b', size: '1MiB' }"),
        "13:27: image.partitions.a.type: 'c12a7328-f81f-11d2-ba4b-00a0c93ec93b' is not an MBR partition type: two digits of 0-9a-f, like \"0c\"",
    ),
    "a type of an MBR": (
        disk("table: 'gpt'", "a: { type: '0c', size: '1MiB' }"),
        "13:27: image.partitions.a.type: '0c' is not a GPT partition type (a GUID); leave it out for the usual one",
    ),
    "a number as type": (
        disk("", "a: { type: 83, size: '1MiB' }"),
        '13:27: image.partitions.a.type: must be text, is a number\n  write "83"',
    ),
    "an extended partition": (
        disk("", "a: { type: '05', size: '1MiB' }"),
        "13:27: image.partitions.a.type: '05' is an extended partition, which is not made; more than four need table: gpt",
    ),
    "no type": (
        disk("", "a: { type: '00', size: '1MiB' }"),
        "13:27: image.partitions.a.type: '00' marks no partition; leave it out for the usual type",
    ),
    "small letters on FAT": (
        disk("", "a: { filesystem: 'vfat', size: '8MiB', label: 'boot' }"),
        "13:62: image.partitions.a.label: the label 'boot' has small letters, which not every system finds on a FAT\n  write BOOT",
    ),
    "a long label of FAT": (
        disk("", "a: { filesystem: 'vfat', size: '8MiB', label: 'ABCDEFGHIJKL' }"),
        "13:62: image.partitions.a.label: the label 'ABCDEFGHIJKL' has 12 characters; vfat has room for 1 to 11",
    ),
    "a label that FAT cannot have": (
        disk("", "a: { filesystem: 'vfat', size: '8MiB', label: 'A.B' }"),
        "13:62: image.partitions.a.label: 'A.B' is not a FAT label\n  A-Z, 0-9, _ and -, with blanks between them",
    ),
    "a long label of ext4": (
        disk("", "a: { filesystem: 'ext4', size: '8MiB', label: '12345678901234567' }"),
        "13:62: image.partitions.a.label: the label '12345678901234567' has 17 characters; ext4 has room for 1 to 16",
    ),
    "a label of squashfs": (
        disk("", "a: { filesystem: 'squashfs', from: '/', label: 'x' }"),
        "13:63: image.partitions.a.label: squashfs has no label\n  leave it out",
    ),
    "one label twice": (
        disk(
            "",
            "a: { filesystem: 'ext4', size: '8MiB', label: 'x' }\n b: { filesystem: 'ext4', size: '8MiB', label: 'x' }",
        ),
        "14:2: image.partitions.b: 'a' has the label 'x', too\n  change one of them",
    ),
    "a UUID of FAT": (
        disk("", "a: { filesystem: 'vfat', size: '8MiB', uuid: 'c12a7328-f81f-11d2-ba4b-00a0c93ec93b' }"),
        "13:61: image.partitions.a.uuid: 'c12a7328-f81f-11d2-ba4b-00a0c93ec93b' is not a FAT serial number: 1A2B-3C4D, eight digits of 0-9A-F",
    ),
    "a UUID of ext4": (
        disk("", "a: { filesystem: 'ext4', size: '8MiB', uuid: '1A2B-3C4D' }"),
        "13:61: image.partitions.a.uuid: '1A2B-3C4D' is not a UUID: 8-4-4-4-12 digits of 0-9a-f, as uuidgen prints them",
    ),
    "a UUID of squashfs": (
        disk("", "a: { filesystem: 'squashfs', from: '/', uuid: 'c12a7328-f81f-11d2-ba4b-00a0c93ec93b' }"),
        "13:56: image.partitions.a.uuid: a squashfs has no UUID\n  @PARTUUID:name@ is that of the partition",
    ),
    "an unknown artifact": (
        "x: { repo: 'x', from: '/x' }\n" + disk("", "a: { filesystem: 'ext4', artifact: 'y' }"),
        "14:16: image.partitions.a: no artifact 'y' in this stalk\n  artifacts of this stalk: x",
    ),
    "itself": (
        disk("", "a: { filesystem: 'ext4', artifact: 'image' }"),
        "13:16: image.partitions.a: a circle: the disk would hold itself\n  name a tar or a folder",
    ),
    "another disk": (
        f"other: {{ disk: 'y.img', partitions: {{ {ROOT} }} }}\n"
        + disk("", "a: { filesystem: 'ext4', artifact: 'other' }"),
        "14:16: image.partitions.a: 'other' is a disk; a partition holds a tar or a folder",
    ),
    "a folder that is not there": (
        disk("", "a: { filesystem: 'ext4', directory: 'daat' }"),
        "13:52: image.partitions.a.directory: there is no daat\n  did you mean 'data'?",
    ),
    "a folder outside": (
        disk("", "a: { filesystem: 'ext4', directory: '/etc' }"),
        "13:52: image.partitions.a.directory: /etc is outside the workspace\n  copy or link it into the workspace: what a disk holds is kept with the tree",
    ),
    "a folder above": (
        disk("", "a: { filesystem: 'ext4', directory: '../x' }"),
        "13:52: image.partitions.a.directory: '../x' leaves the workspace\n  relative paths stay inside the workspace; an absolute one may lead elsewhere",
    ),
    "a file as a folder": (
        disk("", "a: { filesystem: 'ext4', directory: 'data/x' }"),
        "13:52: image.partitions.a.directory: data/x is not a folder\n  name the folder it is in",
    ),
    "the workspace as content": (
        disk("", "a: { filesystem: 'ext4', directory: '.' }"),
        (
            "13:52: image.partitions.a.directory: each run writes to artifacts, so a disk with this folder is never done\n"
            "  name a folder that holds nothing else"
        ),
    ),
    "logs as content": (
        disk("", "a: { filesystem: 'ext4', directory: 'logs/runs' }"),
        (
            "13:52: image.partitions.a.directory: each run writes to logs, so a disk with this folder is never done\n"
            "  name a folder that holds nothing else"
        ),
    ),
    "a mark of no partition": (
        disk("write: { '/etc/fstab': 'PARTUUID=@PARTUUID:rot@' }"),
        "12:25: image.write./etc/fstab: @PARTUUID:rot@: there is no partition 'rot'\n  did you mean 'root'?",
    ),
    "a misspelt mark": (
        disk("write: { '/etc/fstab': '@LABLE:root@' }"),
        "12:25: image.write./etc/fstab: @LABLE:root@: LABLE is not a kind of mark\n  did you mean 'LABEL'?",
    ),
    "a mark of no label": (
        disk("write: { '/etc/fstab': { text: '@LABEL:root@' } }"),
        "12:33: image.write./etc/fstab.text: @LABEL:root@: 'root' has no label\n  give it one",
    ),
    "a mark of no UUID": (
        disk("write: { '/etc/fstab': '@UUID:a@' }", "a: { filesystem: 'squashfs', from: '/' }"),
        "12:25: image.write./etc/fstab: @UUID:a@: 'a' has no file system with a UUID\n  @PARTUUID:a@ is that of the partition",
    ),
    "an excluded partition": (
        disk("exclude: '/srv'", "a: { filesystem: 'ext4', from: '/srv/www' }"),
        "13:16: image.partitions.a: /srv/www is excluded, so nothing would be in 'a'\n  leave /srv out of 'exclude'",
    ),
    "an excluded file to fill in": (
        disk("exclude: '/boot', fill: '/boot/cmdline.txt'"),
        "12:26: image.fill: /boot/cmdline.txt is excluded, so there is nothing to fill in\n  leave /boot out of 'exclude', or /boot/cmdline.txt out of 'fill'",
    ),
}


@pytest.mark.parametrize(("artifacts", "message"), WRONG.values(), ids=WRONG.keys())
def test_what_is_wrong_is_told_with_its_place(space, artifacts, message):
    """One problem, where it stands, and what to do."""
    assert problems(space, artifacts) == [message]


GUID = "0fc63daf-8483-4772-8e79-3d69d8477de4"


def test_what_a_disk_is_when_the_tree_says_little(space):
    """An MBR, as small as possible, aligned for cards; a margin of 10 percent and 32 MiB at least."""
    kind = read(space, disk()).kind

    assert isinstance(kind, Disk)
    (root,) = kind.partitions
    assert (kind.file, kind.table, kind.size_bytes, kind.size_words) == ("x.img", "mbr", None, "auto")
    assert (kind.align_bytes, kind.disk_id, kind.fill, kind.formats) == (4 << 20, "", (), ("img",))
    assert (root.name, root.filesystem, root.source, root.size_bytes) == ("root", "ext4", "/", None)
    assert (root.margin_percent, root.margin_bytes) == (10, 32 << 20)
    assert (root.type, root.label, root.uuid, root.is_bootable) == ("", "", "", False)


def test_all_keys_of_a_disk(space):
    """As the reference has them."""
    kind = read(
        space,
        disk(
            "table: 'gpt', size: '8GB card', align: '1MiB', formats: ['img.zst', 'bmap', 'img.zst'], "
            f"disk_id: '{GUID.upper()}', fill: '/etc/fstab'",
            f"""
            esp: {{ filesystem: 'vfat', size: '64MiB', from: '/efi//', label: 'E F', uuid: '1a2b3c4d', type: '{GUID}' }}
            root: {{ filesystem: 'squashfs', from: '/' }}
            data: {{ filesystem: 'ext4', directory: 'data', margin: '64MiB', uuid: '{GUID}', bootable: true }}
            swap: {{ filesystem: 'swap', size: 134217728 }}
            rest: {{ size: '1.5G' }}
            """,
        ),
    ).kind

    assert isinstance(kind, Disk)
    esp, root, data, swap, rest = kind.partitions
    assert kind.size_bytes == 8 * 10**9 * 96 // 100 // 2**20 * 2**20
    assert (kind.table, kind.size_words, kind.align_bytes, kind.disk_id) == ("gpt", "8GB card", 1 << 20, GUID)
    assert (kind.fill, kind.formats) == (("/etc/fstab",), ("img.zst", "bmap"))
    assert (esp.size_bytes, esp.source, esp.label, esp.uuid, esp.type) == (
        64 << 20,
        "/efi",
        "E F",
        "1A2B-3C4D",
        GUID,
    )
    assert (root.margin_percent, root.margin_bytes) == (0, 0)
    assert (data.margin_percent, data.margin_bytes, data.uuid, data.is_bootable) == (0, 64 << 20, GUID, True)
    assert (swap.filesystem, swap.size_bytes) == ("swap", 128 << 20)
    assert (rest.filesystem, rest.size_bytes) == ("", 3 << 29)


def test_marks_of_partitions_may_be_written(space):
    """Fstab is often written by the tree, with marks in it."""
    text = disk(
        "write: { '/etc/fstab': 'PARTUUID=@PARTUUID:root@ / ext4, LABEL=@LABEL:data@, UUID=@UUID:root@' }",
        ROOT + "\n data: { filesystem: 'ext4', size: '8MiB', label: 'data' }",
    )

    assert b"@PARTUUID:root@" in read(space, text).writes[0].content


LIKE = "base: { disk: { image: 'pi/2016-jessie-lite.img.xz', checksum: '" + "a" * 64 + "' } }"


def test_a_disk_like_its_base_is_named_after_it(space):
    """`{BASE}` is the base's file without what packs it, and variables may be in the name of any disk."""
    text = "image: { disk: '{BASE}_{NAME}_{VERSION}.img', like: 'base', formats: ['img.xz'], size: '4GiB' }"

    found = read(space, text, f"NAME: agent\n VERSION: 'V1/2'\n {LIKE}").kind

    assert isinstance(found, Disk)
    assert (found.file, found.like, found.partitions) == ("2016-jessie-lite_agent_V1-2.img", "base", ())
    assert (found.size_bytes, found.formats) == (4 << 30, ("img.xz",))


@pytest.mark.parametrize(
    "key", ["table: 'gpt'", "partitions: { " + ROOT + " }", "disk_id: '5ca1ab1e'", "align: '1MiB'"]
)
def test_what_the_base_decides_is_refused_in_a_disk_like_it(space, key):
    """One of both would have no effect."""
    told = write(space, f"image: {{ disk: 'x.img', like: 'base'\n {key} }}", LIKE).problems()

    assert len(told) == 1
    assert f"'{key.partition(':')[0]}' is that of the base" in told[0]


def test_a_disk_like_its_base_needs_a_disk_image(space):
    """What to write is said; the name of another one has no `{BASE}`."""
    told = problems(space, "image: { disk: '{BASE}.img', like: 'base' }")

    assert any("needs a stalk that grows from a disk image" in one for one in told)
    assert any("'{BASE}.img' cannot name a file" in one for one in told)


def test_a_boot_test_names_the_partitions_of_the_base_by_role_or_number(space):
    """Which there are is known when it is there."""
    text = "image: { disk: 'x.img', like: 'base', boot_test: { machine: 'virt', kernel: '%s:k', expect: [{ wait: 'x' }] } }"

    assert read(space, text % "boot", LIKE).boot_test.kernel == "boot:k"
    assert read(space, text % "2", LIKE).boot_test.kernel == "2:k"
    assert any("has no partition 'data'" in one for one in write(space, text % "data", LIKE).problems())


def test_a_wrong_base_is_one_problem(space):
    """What is like it is not reported too."""
    node = "base: { disk: { image: 'http://x/x.img' } }"

    told = write(space, "image: { disk: '{BASE}.img', like: 'base' }", node).problems()

    assert len(told) == 1
    assert "nothing verifies this image" in told[0]
