"""The smallest programs of other architectures, run for real where an emulator is installed."""

import os
import platform
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from stalker.formats.elf import EXIT, MACHINES, magic_of, needs_loader, smallest_program, try_to_run

INSTALLED = {word: shutil.which(f"qemu-{word}-static") or "" for word in MACHINES}


@pytest.mark.parametrize("word", [word for word, path in INSTALLED.items() if path])
def test_the_smallest_program_ends_as_it_should_in_its_emulator(tmp_path, word):
    """Each was written by hand: the emulator says whether it is right."""
    program = tmp_path / word
    program.write_bytes(smallest_program(word))
    program.chmod(0o755)

    assert subprocess.run([INSTALLED[word], program], check=False).returncode == EXIT


@pytest.mark.parametrize("word", MACHINES)
def test_the_first_bytes_tell_the_architecture(word):
    """The magic is what its own program begins with, and no other one does."""
    magic, mask = magic_of(word)

    fitting = [
        other
        for other in MACHINES
        if all(
            have & bits == want & bits
            for have, want, bits in zip(smallest_program(other), magic, mask, strict=False)
        )
    ]

    assert fitting == [word]


def test_a_program_of_this_machine_runs():
    """What cannot be run is reported separately from what can."""
    assert try_to_run(platform.machine()) == ""


def test_a_program_that_does_not_run_here_says_why(monkeypatch):
    """The kernel knows no such format: that is the answer, no crash."""
    monkeypatch.setattr("stalker.formats.elf.smallest_program", lambda _: b"\x7fNOELF" + bytes(100))

    assert "Exec format error" in try_to_run("arm")


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("kill -9 $$", "ended by signal 9"),
        (
            "echo 'qemu: uncaught target signal 11' >&2; exit 139",
            "exit code 139: qemu: uncaught target signal 11",
        ),
        ("exit 0", "gave exit code 0"),
    ],
)
def test_an_emulator_that_fails_is_told_with_its_words(monkeypatch, script, said):
    """It is registered and crashes: the last line it wrote is in the message."""
    monkeypatch.setattr("stalker.formats.elf.smallest_program", lambda _: f"#!/bin/sh\n{script}\n".encode())

    assert said in try_to_run("arm")


def test_nothing_is_said_of_an_architecture_without_a_program():
    """Not knowing is not a fault."""
    assert try_to_run("mips64el") == ""


def test_nothing_stays_open_after_a_try():
    """A doctor that is asked often leaks no files."""
    try_to_run(platform.machine())
    before = set(os.listdir("/proc/self/fd"))

    try_to_run(platform.machine())

    assert set(os.listdir("/proc/self/fd")) == before


def test_a_program_that_needs_libraries_is_told_from_one_that_does_not(tmp_path):
    """Only the second works as an emulator in containers, which have not got the first one's loader."""
    static = tmp_path / "static"
    static.write_bytes(smallest_program("x86_64"))
    static.chmod(static.stat().st_mode | stat.S_IXUSR)
    text = tmp_path / "text"
    text.write_text("#!/bin/sh\n")

    assert not needs_loader(static)
    assert needs_loader(Path(os.path.realpath(shutil.which("ls") or sys.executable)))
    assert needs_loader(text)
    assert needs_loader(tmp_path / "none")
