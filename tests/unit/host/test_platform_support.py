"""Whether containers of a platform run, and what goes wrong when they do: tables of what was seen."""

import os

import pytest

from stalker.engine.interface import EngineInfo
from stalker.host.binfmt import Emulator
from stalker.host.platform_support import (
    FOUR_BYTES,
    Ground,
    foreign_word,
    has_wide_offsets,
    judge_platform,
    largest_inode,
    may_number_past_four_bytes,
    see_ground,
)
from stalker.model.platforms import HAZARDS

FULL = (Emulator("qemu-arm", "POCF", is_enabled=True),)


def works(_word):
    return ""


def fails(word):
    return f"the smallest program for {word} was ended by signal 11"


def ground(emulators=FULL, run=works, architecture="x86_64", **more):
    return Ground(architecture, emulators, run, "/var/lib/docker", **more)


def told(found):
    return [(hazard.name, hazard.state) for hazard in found]


@pytest.mark.parametrize(
    ("platform", "architecture", "run", "word"),
    [
        ("linux/amd64", "x86_64", works, ""),
        ("linux/386", "x86_64", works, ""),
        ("linux/386", "x86_64", fails, "i386"),  # a kernel without 32-bit programs
        ("linux/arm64", "aarch64", works, ""),
        ("linux/arm/v7", "aarch64", works, ""),  # a native builder
        ("linux/arm/v7", "aarch64", fails, "arm"),  # a 64-bit processor that runs nothing else
        ("linux/arm/v7", "aarch64", None, ""),  # far away: what is usual
        ("linux/arm/v7", "armv7l", works, ""),
        ("linux/arm/v7", "x86_64", works, "arm"),
        ("linux/arm64", "x86_64", works, "aarch64"),
        ("linux/amd64", "aarch64", works, "x86_64"),
    ],
)
def test_a_native_platform_is_told_from_a_foreign_one(platform, architecture, run, word):
    """Whether 64-bit ARM runs 32-bit ARM is tried, not trusted."""
    assert foreign_word(platform, ground(run=run, architecture=architecture)) == word


@pytest.mark.parametrize(
    ("seen", "hazards", "what"),
    [
        (ground((), fails), [("no_emulator", "wrong")], "no emulator for arm"),
        (
            ground((Emulator("qemu-aarch64", "OCPF", is_enabled=True),), fails),
            [("no_emulator", "wrong")],
            "no emulator for arm",
        ),
        (ground((Emulator("qemu-arm", "OCPF", is_enabled=False),)), [("no_emulator", "wrong")], "disabled"),
        (
            ground((Emulator("qemu-arm", "OC", is_enabled=True),)),
            [("emulator_flags", "wrong")],
            "lacks flag F",
        ),
        (ground((Emulator("qemu-arm", "PF", is_enabled=True),)), [("emulator_flags", "warning")], "setuid"),
        (ground(run=fails), [("emulator_fails", "wrong")], "signal 11"),
        (ground(largest_inode=FOUR_BYTES), [("inode_numbers", "wrong")], "past 2^32"),
        (ground(largest_inode=FOUR_BYTES - 1, may_grow=True), [("inode_numbers", "warning")], "as it fills"),
        (ground(has_wide_offsets=True), [("readdir_offsets", "warning")], "EOVERFLOW"),
    ],
)
def test_each_hazard_of_emulated_arm_is_found_alone_with_its_remedy(seen, hazards, what):
    """What will break a build is reported before it starts."""
    found, _ = judge_platform("linux/arm/v7", seen)

    assert told(found) == hazards
    assert what in found[0].what
    assert found[0].remedy
    assert found[0].name in HAZARDS


def test_a_platform_that_is_well_emulated_has_no_hazard():
    """How it runs is said, and what no emulator can."""
    found, how = judge_platform("linux/arm/v7", ground(largest_inode=1_900_000))

    assert found == []
    assert how.startswith("emulated by qemu-arm")
    assert "ptrace" in how


def test_an_emulator_registered_out_of_our_sight_counts():
    """binfmt_misc is mounted in a container alone: the program runs, and that is what matters."""
    assert judge_platform("linux/arm/v7", ground((), works))[0] == []


def test_numbers_of_files_do_not_matter_to_64_bit_programs():
    """Only what counts in four bytes can miss them."""
    emulators = (Emulator("qemu-aarch64", "OCF", is_enabled=True),)
    seen = ground(emulators, largest_inode=FOUR_BYTES, may_grow=True, has_wide_offsets=True)

    assert judge_platform("linux/arm64", seen)[0] == []


def test_native_32_bit_arm_misses_large_numbers_too_but_no_offsets():
    """The kernel shortens positions for real 32-bit programs; numbers of files it cannot."""
    seen = ground(architecture="aarch64", largest_inode=FOUR_BYTES, has_wide_offsets=True)

    assert told(judge_platform("linux/arm/v7", seen)[0]) == [("inode_numbers", "wrong")]


def test_of_an_engine_far_away_nothing_is_claimed():
    """Its kernel cannot be seen from here."""
    found, how = judge_platform("linux/arm/v7", Ground("x86_64"))

    assert found == []
    assert "cannot be seen" in how


# what is seen of this host


def test_the_largest_number_is_looked_for_where_layers_are(tmp_path):
    """In the data root and the folders of its store, without walking into layers."""
    (tmp_path / "overlay2").mkdir()
    layers = [tmp_path / "overlay2" / name for name in ("a", "b")]
    for layer in layers:
        layer.mkdir()

    assert largest_inode(str(tmp_path)) == max(one.stat().st_ino for one in [*layers, tmp_path / "overlay2"])
    assert largest_inode(str(tmp_path / "none")) is None


@pytest.mark.parametrize(
    ("kind", "options", "limit", "grows"),
    [
        ("xfs", "rw,inode64", 0, True),
        ("xfs", "rw,inode32", 0, False),
        ("xfs", "rw,inode64", 1 << 62, False),
        ("ext4", "rw", 0, False),
    ],
)
def test_only_a_large_xfs_will_number_past_four_bytes(tmp_path, monkeypatch, kind, options, limit, grows):
    """inode32 keeps the numbers small, and so does a small disk."""
    monkeypatch.setattr("stalker.host.platform_support.XFS_WIDE_BYTES", limit)
    mounts = tmp_path / "mountinfo"
    mounts.write_text(
        f"1 0 8:1 / / rw - ext4 /dev/sda rw\n2 1 8:2 / {str(tmp_path).replace(' ', chr(92) + '040')} rw - {kind} /dev/sdb {options}\n"
    )

    assert may_number_past_four_bytes(str(tmp_path), str(mounts)) is grows


def test_positions_in_folders_are_read_from_the_kernel(tmp_path):
    """Procfs counts its entries: small. What is not a folder has none."""
    assert has_wide_offsets("/proc/self/task") is False
    assert has_wide_offsets(str(tmp_path / "none")) is False


@pytest.mark.parametrize(
    ("address", "kernel", "is_seen"),
    [
        ("unix:///var/run/docker.sock", os.uname().release, True),
        ("unix:///var/run/docker.sock", "", True),
        ("unix:///var/run/docker.sock", "6.10.14-linuxkit", False),  # Docker Desktop
        ("tcp://far:2375", os.uname().release, False),
    ],
)
def test_only_an_engine_with_this_hosts_kernel_is_seen(address, kernel, is_seen):
    """A virtual machine has emulators of its own."""
    info = EngineInfo(
        "i", "n", "1", "overlay2", "linux", os.uname().machine, 1, 1, "/none", address, kernel=kernel
    )

    assert (see_ground(info).emulators is not None) is is_seen
