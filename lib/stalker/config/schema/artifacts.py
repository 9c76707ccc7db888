"""What `artifacts` of a tree's node may hold: the one declaration of its keys."""

from __future__ import annotations

from stalker.config.schema.types import Either, Flag, Items, Keys, Shape, Text, Whole, formed
from stalker.config.tree import names
from stalker.io.units import timeout_s
from stalker.model.artifacts import BILLS, FIRMWARE, FORMATS, GATES

DURATION = (Text(read=timeout_s), Whole(minimum=1, read=timeout_s))
_SIZE = (Text(), Whole(minimum=1))

PARTITION = Keys(
    {
        "filesystem": Text(
            "`vfat`, `ext4`, `squashfs`, `swap`",
            allowed=("vfat", "ext4", "squashfs", "swap"),
            default="none: the partition stays blank",
        ),
        "size": Either(
            _SIZE,
            "`256MiB`, or `auto`: what its content needs, and the margin",
            default="`auto`; required for what holds nothing",
        ),
        "margin": Either(
            _SIZE,
            "with `size: auto`, what stays free: `20%` of the content, or `64MiB`",
            default="10 percent, at least 32 MiB; none for squashfs",
        ),
        "from": Text("a path of the image. `/` holds what no other partition does"),
        "artifact": Text("a `rootfs`, `files` or `repo` of the same stalk"),
        "directory": Text("a directory of the workspace; it counts by its content"),
        "label": Text(
            "the file system's label: of vfat up to 11 characters without small letters, of ext4 up to 16, of swap "
            "up to 15",
            default="none",
        ),
        "uuid": Text(
            "the file system's UUID; of vfat a serial number, `1A2B-3C4D`", default="made of the names"
        ),
        "type": Text(
            'the partition\'s type: two digits such as `"0c"` (mbr), a GUID (gpt), or `esp`: the one that UEFI '
            "boots from",
            default="what fits the file system",
        ),
        "bootable": Flag("`true` marks the one to boot from", default="`false`", field="is_bootable"),
    },
    "a partition, in the order of the disk",
)

EXPECTATION = Keys(
    {
        "wait": Text("wait until the console shows what this regular expression matches"),
        "type": Either((Text(), Keys({"secret": Text("a secret of the tree")})), "type a line"),
        "run": Text("run a command in the shell that is open on the console"),
        "matches": Text(
            "a regular expression that its output matches", of="run", read=names.selective_expression
        ),
        "exit": Whole("the exit code", maximum=255, of="run", default="0", field="exit_code"),
        "power_off": Either(
            (Flag(), Text()), "power off by `poweroff`, or by this command; wait for the end"
        ),
        "timeout": Either(DURATION, "how long this may take", default="what is left of the boot test's time"),
    },
    "one of wait, type, run, power_off",
)

_THE_SAME = "the same, with `kernel`"
_HARDWARE = "the processor, how many, and the memory"
_FITTING = "what fits the machine"

BOOT_TEST = Keys(
    {
        "machine": Text("QEMU's machine, see below"),
        "expect": Items(EXPECTATION, "what happens on the console, in order"),
        "kernel": Text(
            "`partition:path` on the disk, or a path of the image; `*` in a name is possible",
            default="the firmware boots the disk",
        ),
        "initrd": Text(_THE_SAME, default="none"),
        "dtb": Text(_THE_SAME, default="none"),
        "append": Text(
            "with `kernel`: its command line",
            read=names.kernel_arguments,
            default="the disk's own `cmdline.txt`, made fit for the machine; without one, the partition with `/` and "
            "the machine's console",
        ),
        "firmware": Text(
            "`bios`, `uefi`, `u-boot`: what boots the disk in place of `kernel`",
            allowed=FIRMWARE,
            default="the usual one of the machine",
        ),
        "architecture": Text(
            "which QEMU: `arm`, `aarch64`, `x86_64`, ...",
            read=formed(r"(?:[A-Za-z0-9][A-Za-z0-9_.-]*)?", "architecture of QEMU"),
            default="by machine and platform",
        ),
        "cpu": Text(
            _HARDWARE,
            read=formed(r"(?:[A-Za-z0-9][A-Za-z0-9_.,=+-]*)?", "cpu of QEMU"),
            default=_FITTING,
        ),
        "cpus": Whole(_HARDWARE, minimum=1, maximum=64, default=_FITTING),
        "memory": Either(_SIZE, _HARDWARE, default=_FITTING),
        "network": Flag("`true`: the machine reaches the network", default="`false`", field="has_network"),
        "timeout": Either(DURATION, "for all of it: `90s`, `5m`", default="`5m`", field="timeout_s"),
    },
    "how it is booted before it is published",
    required=("machine", "expect"),
)

_WRITE = Either(
    (
        Text(),
        Keys(
            {"text": Text("the content"), "mode": Text('permission bits: "0644"')},
            variables=True,
            required=("text",),
        ),
    )
)

_WHY = "say why this image may be published all the same"

WAIVED_GATES = Keys(
    {
        name: Text(f"why this does not block: {what}", read=names.reason(f"gate {name}", _WHY))
        for name, what in GATES.items()
    },
    "gates that do not block here, each with the reason",
)

KINDS: dict[str, Shape] = {
    "rootfs": Text("file name of a tar with the root file system: x.tar, .tar.zst, .tar.xz, .tar.gz"),
    "files": Text("file name of a tar with some files of the image"),
    "repo": Text("name of the directory in which a directory that the steps wrote is published"),
    "disk": Text("file name of a disk image: x.img; {NAME} is a variable of the node"),
}

DISK: dict[str, Shape] = {
    "like": Text(
        "`base`: the disk image that the stalk started from, with what its steps changed; see "
        "[a disk like its base](#a-disk-like-its-base)",
        allowed=("base",),
        of="disk",
    ),
    "table": Text("`mbr` or `gpt`", allowed=("mbr", "gpt"), default="`mbr`", of="disk"),
    "size": Either(
        _SIZE,
        "the whole disk: `8GiB`, `8GB card`, or `auto`: as small as the partitions allow",
        default="`auto`",
        of="disk",
    ),
    "align": Either(
        _SIZE,
        "partitions begin at a multiple of this, a power of two from 4KiB to 1GiB",
        default="`4MiB`, the erase block of common cards",
        of="disk",
    ),
    "disk_id": Text(
        "eight hexadecimal digits (mbr) or a GUID (gpt)",
        default="made of the names of tree, stalk and artifact",
        of="disk",
    ),
    "formats": Items(
        Text(allowed=FORMATS),
        "what is published: `img`, `img.zst`, `img.xz`, `img.gz`, `zip`, `bmap`",
        or_one=True,
        default="`img`",
        of="disk",
    ),
    "fill": Items(
        Text(),
        "files of the image in which the marks of partitions are filled in",
        or_one=True,
        default="none",
        of="disk",
    ),
    "partitions": Keys(
        help="name and content of each partition, in the order of the disk",
        others=PARTITION,
        default="required",
        of="disk",
    ),
}

PARTS: dict[str, Shape] = {
    "boot": Text("a tar of its own for what is in `/boot`", of="rootfs"),
    "paths": Items(Text(), "which paths: a list of patterns", or_one=True, of="files"),
    "from": Text("the directory, as the steps see it", of="repo"),
    "exclude": Items(Text(), "patterns of paths that are left out, with what is below them", or_one=True),
    "write": Keys(
        help="files in place of those of the image: path and text", others=_WRITE, of="rootfs files disk"
    ),
    "gates": Keys(
        {
            "waive": WAIVED_GATES,
            "setuid": Items(Text(), "paths that may be setuid or setgid", or_one=True),
        },
        "what is checked before publishing; see [gates](#gates)",
        of="rootfs disk",
    ),
    "sbom": Items(
        Text(allowed=tuple(BILLS)),
        "bills of materials of the image, published beside it: `cyclonedx`, `spdx`; see [below](#bill-of-materials)",
        or_one=True,
        of="rootfs disk",
    ),
    "boot_test": Keys(
        BOOT_TEST.keys,
        "how it is booted before publishing; see [boot tests](#boot-tests)",
        BOOT_TEST.required,
        of="rootfs disk",
    ),
}

ARTIFACT = Keys({**KINDS, **PARTS, **DISK}, "one of rootfs, files, repo, disk", variables=True)

ARTIFACTS = Keys(
    help="files that leave the engine, made of this stalk's last image; see [artifacts](artifacts.md)",
    others=ARTIFACT,
)
