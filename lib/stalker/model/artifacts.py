"""Artifacts: files that leave the engine, as a tree declares them, and where they are on the host.

    artifacts/<tree>/<stalk>/<artifact>                      link to the newest; always resolves
    artifacts/<tree>/<stalk>/<artifact>-<digest>/            one version: files, `.sha256`, manifest.json
    artifacts/<tree>/<stalk>/<artifact>-<digest>.unproven/   made, but a gate or the boot test refused it

`<digest>` are the first 12 digits of the artifact's fingerprint.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NewType

if TYPE_CHECKING:
    from stalker.model.diagnostics import Place
    from stalker.model.variables import Variable

ArtifactId = NewType("ArtifactId", str)
"""`stalk/artifact`, unique in a tree."""

FileSystem = Literal["", "vfat", "ext4", "squashfs", "swap"]

FORMATS = ("img", "img.zst", "img.xz", "img.gz", "zip", "bmap")
"""What a disk is published as; `bmap` says which blocks of the others hold data."""

BILLS = {"cyclonedx": "cdx.json", "spdx": "spdx.json"}
"""Forms of a bill of materials, and how the names of their files end."""

GATES = {
    "ssh_host_keys": "no SSH host keys: every machine made of the image would have the same",
    "machine_id": "no machine-id: every machine made of the image would be the same one",
    "apt_leftovers": "no package lists and no downloaded packages",
    "logs": "no logs of the build",
    "clear_passwords": "no password in clear",
    "default_passwords": "no account with an empty password, or with one that everybody knows",
    "setuid": "no setuid or setgid file besides the usual ones and those of the list `setuid`",
    "resolv_conf": "no resolv.conf of the builder",
}
"""What is checked before publishing: name and what it holds."""


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine of QEMU: the programs (`qemu-system-...`) that have it, and the firmware that boots a disk in it.

    The first one of each is the usual one; without firmware the kernel must be named. A machine that is
    a board has its number of processors and its memory; 0 where any will do.
    """

    architectures: tuple[str, ...]
    firmware: tuple[str, ...] = ()
    cpus: int = 0
    memory_bytes: int = 0


MACHINES = {
    "raspi2b": Machine(("arm",), cpus=4, memory_bytes=1 << 30),
    "raspi3b": Machine(("aarch64",), cpus=4, memory_bytes=1 << 30),
    "virt": Machine(("aarch64", "arm"), ("u-boot", "uefi")),
    "q35": Machine(("x86_64", "i386"), ("bios", "uefi")),
    "pc": Machine(("x86_64", "i386"), ("bios", "uefi")),
    "microvm": Machine(("x86_64",)),
}
"""The machines that boot tests run in; another one of QEMU needs its `architecture` in the tree."""

FIRMWARE = ("bios", "uefi", "u-boot")


def artifact_id(stalk: str, name: str) -> ArtifactId:
    """Return the id of an artifact: `stage4/image`."""
    return ArtifactId(f"{stalk}/{name}")


@dataclass(frozen=True, slots=True)
class Write:
    """A file that an artifact has in place of what the image has there: `/etc/hosts`.

    Owned by root. `variables` are the secrets in it; their markers are in `content`, where all
    other variables have been put in.
    """

    path: str
    content: bytes
    place: Place
    mode: int = 0o644
    variables: tuple[Variable, ...] = ()


@dataclass(frozen=True, slots=True)
class Rootfs:
    """A root file system as a tar; with `boot_file`, what is below /boot goes to a tar of its own."""

    file: str
    boot_file: str = ""


@dataclass(frozen=True, slots=True)
class Files:
    """Files out of the image as a tar; `paths` are absolute, `*` within a name, `**` over directories."""

    file: str
    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Repo:
    """A directory as the steps saw it, in the image or a mount, published as the directory `folder`."""

    folder: str
    path: str


@dataclass(frozen=True, slots=True)
class Partition:
    """A partition, in the order of the disk.

    `size_bytes` is None for as much as its content needs and `margin_percent` more, at least
    `margin_bytes`. `type` is that of the table: two hexadecimal digits or a GUID, empty for what fits the
    file system. The content is one of: `source`, a path of the image whose subtree it holds (`/` holds
    what no other partition does; the mount point stays as an empty directory); `artifact`, a tar or
    directory of the same stalk; `directory`, a directory of the workspace; or nothing. `uuid` empty is made
    of the names. `filesystem` empty leaves the partition blank.
    """

    name: str
    place: Place
    filesystem: FileSystem = ""
    size_bytes: int | None = None
    margin_percent: int = 10
    margin_bytes: int = 32 << 20
    type: str = ""
    label: str = ""
    uuid: str = ""
    source: str = ""
    artifact: str = ""
    directory: str = ""
    directory_digest: str = ""
    is_bootable: bool = False


@dataclass(frozen=True, slots=True)
class Disk:
    """A disk image: a partition table and file systems.

    `file` ends in `.img`. `size_bytes` None is as small as the partitions allow; `size_words` is the
    size as written (`8GB card`: what such a card surely holds). `fill` are files of the image in
    which `@PARTUUID:name@`, `@UUID:name@` and `@LABEL:name@` stand for those of a partition.
    `disk_id` is eight hexadecimal digits (MBR) or a GUID, empty for one made of the names. With `like` it is the
    disk image that the stalk started from, with what its steps changed: table and partitions are those of that.
    """

    file: str
    table: Literal["mbr", "gpt"]
    partitions: tuple[Partition, ...]
    size_bytes: int | None = None
    size_words: str = "auto"
    align_bytes: int = 4 << 20
    disk_id: str = ""
    fill: tuple[str, ...] = ()
    formats: tuple[str, ...] = ("img",)
    like: str = ""


@dataclass(frozen=True, slots=True)
class Expectation:
    """One line of a boot test, on the serial console.

    `wait` for the pattern `text`; `type` the line `text`; `run` the command `text` in the shell that is
    open there, whose output must match `matches` and whose exit code must be `exit_code`; `power_off`:
    run `text` (`poweroff` when empty) and wait for the machine to end. Patterns are Python regular
    expressions. `secret` names the tree's secret that is typed in place of `text`.
    """

    kind: Literal["wait", "type", "run", "power_off"]
    text: str
    place: Place
    matches: str = ""
    exit_code: int = 0
    timeout_s: float | None = None
    secret: str = ""


@dataclass(frozen=True, slots=True)
class BootTest:
    """How a disk, or a rootfs with a kernel, is booted before it is published.

    `machine` is QEMU's (`raspi2b`, `virt`, `q35`, ...), `architecture` its program's (`arm`, `aarch64`,
    `x86_64`), empty for the usual one of the machine. `kernel`, `initrd` and `dtb` are
    `partition:path` of the disk, or a path of the image; empty: the machine boots the disk by itself,
    through `firmware` (`bios`, `uefi`, `u-boot`). `append` is the kernel's command line, empty for
    the disk's own cmdline.txt.
    """

    machine: str
    place: Place
    architecture: str = ""
    cpu: str = ""
    cpus: int = 0
    memory_bytes: int = 0
    kernel: str = ""
    initrd: str = ""
    dtb: str = ""
    append: str = ""
    firmware: str = ""
    has_network: bool = False
    timeout_s: float = 300.0
    expectations: tuple[Expectation, ...] = ()


@dataclass(frozen=True, slots=True)
class Gates:
    """What is checked before publishing; `waived` maps a gate to the reason why it does not block here.

    `setuid` are the paths that may be setuid or setgid, besides the usual ones of a distribution.
    """

    waived: tuple[tuple[str, str], ...] = ()
    setuid: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Artifact:
    """One artifact of a stalk, made from its last image.

    `exclude` are patterns as in `Files.paths`; what is below an excluded directory goes with it. `epoch_s`
    is SOURCE_DATE_EPOCH: no time is later; None where it is not set: then the image's own time.
    `gates` is None where nothing is checked. `sbom` are the forms of the image's bill of materials that are published.
    """

    name: str
    stalk: str
    place: Place
    kind: Rootfs | Files | Repo | Disk
    exclude: tuple[str, ...] = ()
    writes: tuple[Write, ...] = ()
    gates: Gates | None = None
    boot_test: BootTest | None = None
    epoch_s: int | None = None
    sbom: tuple[str, ...] = ()

    @property
    def id(self) -> ArtifactId:
        """`stalk/artifact`."""
        return artifact_id(self.stalk, self.name)


def bill_files(artifact: Artifact) -> dict[str, str]:
    """Return by form the name of each bill of materials that is published with an artifact."""
    return {form: f"{artifact.name}.{BILLS[form]}" for form in artifact.sbom}


def tars_of(artifact: Artifact) -> tuple[str, ...]:
    """Return the names of the tars that an artifact is published as; none for a repository or a disk."""
    match artifact.kind:
        case Rootfs():
            return tuple(name for name in (artifact.kind.file, artifact.kind.boot_file) if name)
        case Files():
            return (artifact.kind.file,)
    return ()
