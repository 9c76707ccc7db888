"""Return whether containers of a platform run on an engine, and what of them goes wrong there.

What cannot work is reported before a build starts, each with its remedy: 32-bit ARM in an emulator fails in
ways that look like faults of the build. A hazard has a name (`HAZARDS`), by which a tree waives it.

no_emulator      programs of that architecture do not run at all
emulator_flags   containers do not find the emulator (no flag F); setuid programs do nothing (no flag C)
emulator_fails   an emulator is there and the smallest program fails in it
inode_numbers    the engine's file system numbers its files past 2^32: 32-bit programs that were built
                 without large-file support fail in readdir and stat (EOVERFLOW)
readdir_offsets  it gives positions in directories past 2^31, as ext4 does with its hashes: such programs fail
                 in readdir alone, and in an emulator alone, for the kernel shortens them for real ones.
                 Seen with qemu-arm 7.2 and glibc 2.36 on ext4: readdir of /usr/bin gives EOVERFLOW and
                 readdir64, which Debian's and Gentoo's own programs call, all 27 entries
ptrace           a container asks for SYS_PTRACE, which user-mode emulators do not have
variant_lost     what is committed there has no variant, which Docker reads as v7

What an engine's containers are on, seen from this host: kernel, emulators, the numbers of its files.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from stalker.engine.profile import loses_variants
from stalker.formats.elf import MACHINES, try_to_run
from stalker.host.binfmt import BINFMT, Emulator, read_emulators
from stalker.model.platforms import parse_platform
from stalker.model.program import program

if TYPE_CHECKING:
    from collections.abc import Callable

    from stalker.engine.interface import EngineInfo


WORDS = {
    "amd64": "x86_64", "x86_64": "x86_64", "386": "i386", "i386": "i386", "i686": "i386",
    "arm": "arm", "armv6l": "arm", "armv7l": "arm", "armv8l": "arm", "arm64": "aarch64", "aarch64": "aarch64",
    "riscv64": "riscv64", "ppc64le": "ppc64le", "s390x": "s390x", "mips64le": "mips64el",
}  # fmt: skip
"""Docker's and the kernel's words for an architecture -> the emulator's word."""

ALSO_RUNS = {("x86_64", "i386"), ("aarch64", "arm")}
"""What a processor usually runs besides its own; some of 64-bit ARM do not."""

FOUR_BYTES = 1 << 32

MENDED = frozenset({"no_emulator", "emulator_flags", "emulator_fails"})
"""The hazards that end when an emulator is registered."""


@dataclass(frozen=True, slots=True)
class Hazard:
    """What is wrong (a build will fail) or doubtful (a warning) with a platform, and what fixes it."""

    name: str
    state: Literal["warning", "wrong"]
    what: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Ground:
    """What containers of any platform are on: an engine, as far as it can be seen from here.

    `architecture` is the engine's own (`x86_64`). `emulators` and `run` (the smallest program of an
    architecture, which returns what went wrong) are None where its kernel is not this host's.
    `largest_inode` is the largest number of a file that was seen where it keeps images, None when
    unseen; `may_grow` says that its file system will number files past 2^32; `has_wide_offsets` that
    positions in its directories are past 2^31. `loses_variants`: what it commits has no variant.
    """

    architecture: str
    emulators: tuple[Emulator, ...] | None = None
    run: Callable[[str], str] | None = None
    root_dir: str = ""
    largest_inode: int | None = None
    may_grow: bool = False
    has_wide_offsets: bool = False
    loses_variants: bool = False


def foreign_word(platform: str, ground: Ground) -> str:
    """Return the emulator's word for a platform (`arm`), empty when the engine runs it by itself.

    A processor that usually runs the platform too is tried, not trusted.
    """
    architecture = parse_platform(platform).architecture
    wanted = WORDS.get(architecture, architecture)
    host = WORDS.get(ground.architecture, ground.architecture)
    if wanted == host:
        return ""
    if (host, wanted) in ALSO_RUNS and (ground.run is None or not ground.run(wanted)):
        return ""
    return wanted


def judge_platform(platform: str, ground: Ground) -> tuple[list[Hazard], str]:
    """Return the hazards of a platform on an engine, and in words how it runs its programs.

    Of what cannot be seen from here nothing is said.
    """
    found, how = _judge_programs(platform, ground)
    return [*found, *_variant_hazards(platform, ground)], how


def _variant_hazards(platform: str, ground: Ground) -> list[Hazard]:
    wanted = parse_platform(platform)
    if not ground.loses_variants or wanted.architecture != "arm" or wanted.variant == "v7":
        return []
    what = f"images made on this engine keep no variant: {wanted} reads as linux/arm/v7 afterwards"
    return [Hazard("variant_lost", "warning", what, "use Docker with overlay2 for this platform")]


def _judge_programs(platform: str, ground: Ground) -> tuple[list[Hazard], str]:
    word = foreign_word(platform, ground)
    if not word:
        return _inode_hazards(platform, ground), f"the engine is {ground.architecture} and runs it by itself"
    if ground.emulators is None:
        return [], f"the engine is {ground.architecture}; whether it emulates {word} cannot be seen from here"
    found = _emulator_hazards(
        word, ground, f"{program()} engine up --yes --platform {parse_platform(platform)}"
    )
    if any(hazard.state == "wrong" for hazard in found):
        return found, f"not emulated: {found[0].what}"
    entry = find_emulator(word, ground.emulators)
    name = entry.name if entry else word
    found += _inode_hazards(platform, ground)
    if ground.has_wide_offsets and _has_four_bytes(platform):
        what = (
            f"positions in folders of {ground.root_dir} are past 2^31: emulated programs that were built without "
            "large-file support cannot list folders (EOVERFLOW)"
        )
        remedy = "build them with -D_FILE_OFFSET_BITS=64, as Debian and Gentoo do, or use an ARM host"
        found.append(Hazard("readdir_offsets", "warning", what, remedy))
    return found, f"emulated by {name}; ptrace does not work there: gdb, strace, sandboxes built on it"


def find_emulator(word: str, emulators: tuple[Emulator, ...]) -> Emulator | None:
    """Return the entry for an architecture, one that is enabled first."""
    fitting = [one for one in emulators if one.emulates(word)]
    return next((one for one in fitting if one.is_enabled), fitting[0] if fitting else None)


def _emulator_hazards(word: str, ground: Ground, remedy: str) -> list[Hazard]:
    entry = find_emulator(word, ground.emulators or ())
    if entry is None and word in MACHINES and ground.run is not None and not ground.run(word):
        return []  # registered where we cannot see it: binfmt_misc is not mounted here
    if entry is None:
        what = f"this kernel has no emulator for {word} registered"
        return [Hazard("no_emulator", "wrong", what, remedy)]
    if not entry.is_enabled:
        what = f"{entry.name} is registered and disabled"
        return [Hazard("no_emulator", "wrong", what, f"echo 1 > {BINFMT}/{entry.name}")]
    if "F" not in entry.flags:
        what = f"{entry.name} lacks flag F: containers do not find the emulator"
        return [Hazard("emulator_flags", "wrong", what, remedy)]
    failure = ground.run(word) if ground.run is not None else ""
    if failure:
        return [Hazard("emulator_fails", "wrong", f"{entry.name} does not work: {failure}", remedy)]
    if "C" not in entry.flags:
        what = f"{entry.name} lacks flag C: setuid programs (sudo, su) do nothing in such containers"
        return [Hazard("emulator_flags", "warning", what, remedy)]
    return []


def _inode_hazards(platform: str, ground: Ground) -> list[Hazard]:
    if not _has_four_bytes(platform):
        return []
    remedy = (
        "move the engine's data root to ext4, or to a file system below 2 TB "
        '({"data-root": "..."} in /etc/docker/daemon.json), or waive it in the tree: '
        'hazards: { waive: { inode_numbers: "..." } }'
    )
    broken = "32-bit programs without large-file support fail to list folders (EOVERFLOW)"
    if ground.largest_inode is not None and ground.largest_inode >= FOUR_BYTES:
        what = f"files in {ground.root_dir} have numbers past 2^32 ({ground.largest_inode}): {broken}"
        return [Hazard("inode_numbers", "wrong", what, remedy)]
    if ground.may_grow:
        what = f"the file system of {ground.root_dir} will number files past 2^32 as it fills: then {broken}"
        return [Hazard("inode_numbers", "warning", what, remedy)]
    return []


def _has_four_bytes(platform: str) -> bool:
    machine = MACHINES.get(WORDS.get(parse_platform(platform).architecture, ""))
    return machine is not None and not machine.is_64_bit


STORES = (
    "",
    "overlay2",
    "image/overlay2/layerdb/sha256",
    "containerd/daemon/io.containerd.snapshotter.v1.overlayfs/snapshots",
)
"""Folders of an engine's data root that hold a directory a layer."""

XFS_WIDE_BYTES = 2 << 40
"""An XFS this large numbers its files past 2^32: the number is the place, in units of 512 bytes."""

TWO_GIGA = 1 << 31


def see_ground(info: EngineInfo) -> Ground:
    """Look at what an engine is on; changes nothing.

    An engine on a socket of this host may still be in a machine of its own, as that of Docker Desktop:
    then it names another kernel.
    """
    own = os.uname()
    is_near = info.address.startswith("unix://") and info.kernel in {"", own.release}
    is_near = is_near and info.architecture == own.machine
    loses = loses_variants(info)
    if not is_near:
        return Ground(info.architecture, loses_variants=loses)
    return Ground(
        info.architecture,
        read_emulators(),
        try_to_run,
        info.root_dir,
        largest_inode(info.root_dir),
        may_number_past_four_bytes(info.root_dir),
        has_wide_offsets(info.root_dir),
        loses_variants=loses,
    )


def largest_inode(root_dir: str) -> int | None:
    """Return the largest number of a file in the top directories of an engine's store, None when unseen."""
    found: list[int] = []
    for store in STORES:
        try:
            with os.scandir(Path(root_dir) / store) as entries:
                found += [entry.inode() for entry in entries]
        except OSError:
            continue
    return max(found, default=None)


def may_number_past_four_bytes(root_dir: str, mounts: str = "/proc/self/mountinfo") -> bool:
    """Return whether the file system that holds a directory is an XFS too large for numbers of four bytes."""
    try:
        held = os.statvfs(root_dir)
        lines = Path(mounts).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return False
    best, kind, options = "", "", ""
    for line in lines:
        head, _, tail = line.partition(" - ")
        point = head.split()[4].encode().decode("unicode_escape")
        if len(point) >= len(best) and os.path.commonpath([point, root_dir]) == point:
            best, (kind, _, options) = point, tail.split(" ", 2)
    return kind == "xfs" and "inode32" not in options and held.f_frsize * held.f_blocks > XFS_WIDE_BYTES


def has_wide_offsets(folder: str) -> bool:
    """Return whether a position in a directory, as the kernel gives it, needs more than 31 bits."""
    import ctypes  # Python itself tells no positions

    libc = ctypes.CDLL(None)
    libc.opendir.restype = libc.readdir.restype = ctypes.c_void_p
    libc.telldir.restype = ctypes.c_long
    opened = ctypes.c_void_p(libc.opendir(os.fsencode(folder)))
    if not opened:
        return False
    try:
        while libc.readdir(opened):
            if libc.telldir(opened) >= TWO_GIGA:
                return True
        return False
    finally:
        libc.closedir(opened)
