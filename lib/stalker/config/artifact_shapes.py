"""What the key `artifacts` of a node may hold; part of the declaration in `shapes.py`."""

from __future__ import annotations

from stalker.config.shape import Either, Flag, Items, Keys, Shape, Text, Whole
from stalker.model.artifacts import FIRMWARE, FORMATS, GATES

_DURATION = (Text(), Whole(minimum=1))
_SIZE = (Text(), Whole(minimum=1))

PARTITION = Keys(
    {
        "filesystem": Text("its file system", allowed=("vfat", "ext4", "squashfs", "swap")),
        "size": Either(_SIZE, "256MiB, 2GiB, or auto: as much as its content and the margin need"),
        "margin": Either(_SIZE, 'with size auto: what stays free, "10%" of the content or 64MiB'),
        "from": Text("the path of the image whose content it holds; / is what no other partition holds"),
        "artifact": Text("a tar or folder of the same stalk that it holds"),
        "directory": Text("a folder of the workspace that it holds"),
        "label": Text("the file system's label"),
        "uuid": Text("the file system's UUID; default: made of the names"),
        "type": Text('the type in the table: "0c", a GUID, or esp; default: what fits the file system'),
        "bootable": Flag("mark it as the one to boot from"),
    },
    "a partition, in the order of the disk",
)

EXPECTATION = Keys(
    {
        "wait": Text("wait until the console shows what this regular expression matches"),
        "type": Either((Text(), Keys({"secret": Text("a secret of the tree")})), "type a line"),
        "run": Text("run a command in the shell that is open on the console"),
        "matches": Text("with run: a regular expression that its output matches"),
        "exit": Whole("with run: the exit code; default 0", maximum=255),
        "power_off": Either(
            (Flag(), Text()), "power off by `poweroff`, or by this command; wait for the end"
        ),
        "timeout": Either(_DURATION, "how long this may take; default: what is left of the boot test's time"),
    },
    "one of wait, type, run, power_off",
)

BOOT_TEST = Keys(
    {
        "machine": Text("QEMU's machine: raspi2b, raspi3b, virt, q35, pc, microvm, ..."),
        "architecture": Text("QEMU's program: arm, aarch64, x86_64, ...; default: by machine and platform"),
        "cpu": Text("QEMU's cpu; default: one that fits the machine"),
        "cpus": Whole("how many processors", minimum=1, maximum=64),
        "memory": Either(_SIZE, "1GiB, 512MiB, ..."),
        "kernel": Text("partition:path of the kernel, or a path of the image; * in a name is possible"),
        "initrd": Text("with kernel: where the initial ram disk is"),
        "dtb": Text("with kernel: where the device tree is"),
        "append": Text(
            "with kernel: its command line; default: the disk's own cmdline.txt, else made for the machine"
        ),
        "firmware": Text("what boots the disk, in place of kernel", allowed=FIRMWARE),
        "network": Flag("whether the machine reaches a network; default false"),
        "timeout": Either(_DURATION, "how long it may take in all; default 5m"),
        "expect": Items(EXPECTATION, "what happens on the serial console, in order"),
    },
    "how it is booted before it is published",
    required=("machine", "expect"),
)

WRITE = Either(
    (
        Text(),
        Keys(
            {"text": Text("the content"), "mode": Text('permission bits: "0644"')},
            variables=True,
            required=("text",),
        ),
    )
)

_GATE_REASONS: dict[str, Shape] = {
    name: Text(f"why this does not block: {what}") for name, what in GATES.items()
}

ARTIFACT = Keys(
    {
        "rootfs": Text("file name of a tar with the root file system: x.tar, .tar.zst, .tar.xz, .tar.gz"),
        "files": Text("file name of a tar with some files of the image"),
        "repo": Text("name of the folder in which a folder that the steps wrote is published"),
        "disk": Text("file name of a disk image: x.img"),
        "boot": Text("with rootfs: file name of a tar of its own for what is in /boot"),
        "paths": Items(
            Text(), "with files: absolute paths; * within a name, ** for any folders", or_one=True
        ),
        "from": Text("with repo: the folder, in the image or in what is mounted there"),
        "exclude": Items(Text(), "paths that are left out, with what is below them", or_one=True),
        "write": Keys(help="files written in place of those of the image, by path", others=WRITE),
        "table": Text("with disk: the partition table; default mbr", allowed=("mbr", "gpt")),
        "size": Either(_SIZE, 'with disk: 8GiB, "8GB card", or auto (the default): as small as possible'),
        "align": Either(_SIZE, "with disk: where partitions begin, a multiple of this; default 4MiB"),
        "disk_id": Text("with disk: eight hexadecimal digits (mbr) or a GUID; default: made of the names"),
        "formats": Items(Text(allowed=FORMATS), "with disk: what is published; default img", or_one=True),
        "fill": Items(
            Text(),
            "with disk: files in which @PARTUUID:name@, @UUID:name@ and @LABEL:name@ are filled in",
            or_one=True,
        ),
        "partitions": Keys(help="with disk: its partitions, in order", others=PARTITION),
        "gates": Keys(
            {
                "waive": Keys(_GATE_REASONS, "gates that do not block here, each with the reason"),
                "setuid": Items(Text(), "paths that may be setuid or setgid", or_one=True),
            },
            "what is checked before publishing",
        ),
        "boot_test": BOOT_TEST,
    },
    "one of rootfs, files, repo, disk",
    variables=True,
)

ARTIFACTS = Keys(help="files that leave the engine, made of the stalk's last image", others=ARTIFACT)
