"""The kernel's entries, read and written as it has them."""

import os

import pytest

from stalker.errors import EngineError
from stalker.formats.elf import smallest_program
from stalker.host import binfmt
from stalker.host.binfmt import Emulator, find_interpreter, new_entry, read_emulators, register, undo
from stalker.host.install_engine import look_around

ARM = """\
enabled
interpreter /usr/libexec/qemu-binfmt/arm-binfmt-P
flags: PF
offset 0
magic 7f454c4601010100000000000000000002002800
mask ffffffffffffff00fffffffffffffffffeffffff
"""
SHELL_SCRIPTS = "enabled\ninterpreter /usr/bin/jar\nflags: \noffset 0\nmagic 504b0304\n"


def test_entries_of_the_kernel_are_read(tmp_path):
    """The format is that of binfmt_misc; its own two files are no entries."""
    (tmp_path / "register").write_text("")
    (tmp_path / "status").write_text("enabled\n")
    (tmp_path / "qemu-arm").write_text(ARM)
    (tmp_path / "jar").write_text(SHELL_SCRIPTS.replace("enabled", "disabled"))
    (tmp_path / "wine").write_text("enabled\ninterpreter /usr/bin/wine\nflags: \nextension .exe\n")

    jar, arm, wine = read_emulators(str(tmp_path))

    assert (arm.name, arm.flags, arm.is_enabled) == ("qemu-arm", "PF", True)
    assert arm.interpreter == "/usr/libexec/qemu-binfmt/arm-binfmt-P"
    assert (len(arm.magic), len(arm.mask)) == (20, 20)
    assert (jar.is_enabled, jar.mask) == (False, b"")
    assert (wine.magic, wine.interpreter) == (b"", "/usr/bin/wine")


@pytest.mark.parametrize(
    ("word", "does"), [("arm", True), ("aarch64", False), ("i386", False), ("mips64el", False)]
)
def test_what_an_entry_emulates_is_told_by_its_bytes(tmp_path, word, does):
    """Whatever its name: an entry of another tool is found too."""
    (tmp_path / "somebody-elses").write_text(ARM)
    (tmp_path / "zip").write_text(SHELL_SCRIPTS)

    entry, archive = read_emulators(str(tmp_path))

    assert entry.emulates(word) is does
    assert not archive.emulates(word)


def test_the_line_of_an_entry_registers_it_again(tmp_path):
    """What is undone is what was there: the line is made of what the kernel said."""
    (tmp_path / "qemu-arm").write_text(ARM)
    (entry,) = read_emulators(str(tmp_path))

    assert entry.line.startswith(":qemu-arm:M::\\x7f\\x45\\x4c\\x46\\x01")
    assert entry.line.endswith(":/usr/libexec/qemu-binfmt/arm-binfmt-P:PF")
    assert entry.line.count(":") == 7


def test_a_new_entry_is_written_in_one_piece(tmp_path):
    """The kernel takes each write for a whole entry."""
    (tmp_path / "register").write_text("")
    entry = new_entry("arm", "/usr/bin/qemu-arm-static", "OCF")

    register(entry, None, "arm", str(tmp_path))

    assert (tmp_path / "register").read_text() == entry.line
    assert entry.emulates("arm")


def test_the_entry_before_is_taken_away_first(tmp_path):
    """Two entries for one architecture: the kernel would take the older name for taken."""
    (tmp_path / "register").write_text("")
    (tmp_path / "qemu-arm").write_text(ARM)
    (before,) = read_emulators(str(tmp_path))

    register(new_entry("arm", before.interpreter, "POCF"), before, "arm", str(tmp_path))

    assert (tmp_path / "qemu-arm").read_text().startswith("-1")
    assert (tmp_path / "register").read_text().endswith(":POCF")


def test_a_refused_entry_leaves_the_one_before(tmp_path):
    """The kernel says no: the old entry is registered again, and the error says so."""
    (tmp_path / "register").mkdir()  # cannot be written
    (tmp_path / "qemu-arm").write_text(ARM)
    (before,) = read_emulators(str(tmp_path))

    with pytest.raises(EngineError, match="could not be registered") as caught:
        register(new_entry("arm", "/usr/bin/none", "OCF"), before, "arm", str(tmp_path))

    assert "Is a directory" in caught.value.details


def test_what_is_undone_is_said_as_commands():
    """One for what is new, and one more for what was there before."""
    new = new_entry("arm", "/usr/bin/qemu-arm-static", "OCF")
    old = Emulator("qemu-arm", "PF", True, "/usr/bin/q", 0, new.magic, new.mask)

    assert undo(new, None) == f"echo -1 > {binfmt.BINFMT}/qemu-arm"
    assert undo(new, old).endswith(f"echo '{old.line}' > {binfmt.BINFMT}/register")


def test_an_emulator_that_needs_libraries_is_not_registered(tmp_path, monkeypatch):
    """Containers have not got them: a program that needs none is looked for."""
    monkeypatch.setattr(binfmt, "PLACES", ())
    for folder, content in (("dynamic", b"#!/bin/sh\n"), ("static", smallest_program("x86_64"))):
        (tmp_path / folder).mkdir()
        program = tmp_path / folder / "qemu-riscv64"
        program.write_bytes(content)
        program.chmod(0o755)

    def found(*folders):
        path = os.pathsep.join(str(tmp_path / folder) for folder in folders)
        monkeypatch.setattr(binfmt, "PROGRAMS", ("qemu-{0}",))
        return find_interpreter("riscv64", look_around({"PATH": path}))

    assert found("static") == (str(tmp_path / "static/qemu-riscv64"), "OCF")
    assert found("dynamic") == ("", "")
