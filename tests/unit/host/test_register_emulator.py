"""An emulator registered with the kernel: what is asked, done and said, on a kernel that is not there."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from stalker.engine.fake import FakeEngine
from stalker.errors import EngineError
from stalker.formats import elf
from stalker.host import binfmt, platform_support, register_emulator
from stalker.host.binfmt import Emulator, new_entry
from stalker.host.install_engine import Host

if TYPE_CHECKING:
    from pathlib import Path

PLATFORM = "linux/s390x"  # foreign wherever tests run
WORD = "s390x"


class Kernel:
    """A binfmt_misc in a folder: what is written to it is what it holds."""

    def __init__(self, folder: Path) -> None:
        self.entries: dict[str, Emulator] = {}
        self.folder = folder
        self.is_broken = False

    def read(self) -> tuple[Emulator, ...]:
        return tuple(self.entries.values())

    def register(self, entry: Emulator, before: Emulator | None, word: str) -> None:
        assert word == WORD
        if before is not None:
            del self.entries[before.name]
        self.entries[entry.name] = entry

    def enable(self, entry: Emulator) -> None:
        self.entries[entry.name] = replace(entry, is_enabled=True)

    def run(self, word: str) -> str:
        return "" if any(one.emulates(word) and one.is_enabled for one in self.entries.values()) else "no"


class Machine:
    """A host, its kernel and an engine on it, and all that was said."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.kernel = Kernel(folder)
        self.said: list[str] = []
        self.asked: list[str] = []
        self.ran: list[str] = []
        self.folder = folder
        self.engine = FakeEngine()
        self.engine.info = lambda: replace(  # type: ignore[method-assign]
            FakeEngine().info(), architecture=os.uname().machine, address="unix:///fake.sock"
        )
        self.image = self.engine.add_image("toolbox:final").id
        monkeypatch.setattr("stalker.host.platform_support.read_emulators", self.kernel.read)
        monkeypatch.setattr("stalker.host.platform_support.try_to_run", self.kernel.run)
        monkeypatch.setattr(binfmt, "read_emulators", self.kernel.read)
        monkeypatch.setattr(binfmt, "register", self.kernel.register)
        monkeypatch.setattr(binfmt, "enable", self.kernel.enable)
        monkeypatch.setattr(binfmt, "mount", lambda *_: None)
        monkeypatch.setattr(binfmt, "PLACES", (f"{folder}/libexec/{{0}}-P",))
        monkeypatch.setattr(binfmt, "PROGRAMS", ())
        machine = self

        class Here(Host):
            __slots__ = ()

            def program(self, name: str) -> str:
                return f"/usr/bin/{name}" if (folder / "bin" / name).exists() else ""

            def run(self, command: object, timeout_s: float) -> str | None:
                del timeout_s
                machine.ran.append(" ".join(command))  # type: ignore[call-overload]
                machine.has_emulator()
                return None

        self.host = Here(is_root=True, has_systemd=False, user="root", environ={})

    def has_emulator(self) -> None:
        program = self.folder / f"libexec/{WORD}-P"
        program.parent.mkdir(exist_ok=True)
        program.write_bytes(elf.smallest_program("x86_64"))

    def has_apt(self) -> None:
        (self.folder / "bin").mkdir()
        (self.folder / "bin/apt-get").touch()

    def up(self, *, yes: bool = False, answer: bool | None = None, platform: str = PLATFORM) -> str:
        def ask(question: str) -> bool:
            self.asked.append(question)
            return bool(answer)

        register_emulator.platform_up(
            platform,
            self.engine,
            self.host,
            yes=yes,
            ask=None if answer is None else ask,
            say=self.said.append,
            image_of=lambda _stalk: self.image,
            labels={},
        )
        return "\n".join(self.said)


@pytest.fixture
def machine(tmp_path, monkeypatch):
    return Machine(tmp_path, monkeypatch)


def test_an_installed_emulator_is_registered_for_containers(machine):
    """Flags O, C and F; what was changed and how to undo it is said."""
    machine.has_emulator()

    said = machine.up(yes=True)

    (entry,) = machine.kernel.read()
    assert (entry.name, entry.flags) == (f"qemu-{WORD}", "POCF")
    assert f"as qemu-{WORD} with flags POCF" in said
    assert f"undo, as root: echo -1 > /proc/sys/fs/binfmt_misc/qemu-{WORD}" in said


def test_a_second_time_changes_nothing(machine):
    """The same command can stand in every script."""
    machine.has_emulator()
    machine.up(yes=True)
    before = machine.kernel.read()
    machine.said.clear()

    said = machine.up(yes=True)

    assert machine.kernel.read() == before
    assert said.startswith(f"{PLATFORM}: emulated by qemu-{WORD}")
    assert "registered" not in said


def test_the_own_platform_needs_nothing(machine):
    said = machine.up(platform=f"linux/{os.uname().machine}")

    assert "runs it by itself" in said
    assert machine.kernel.read() == ()


@pytest.mark.parametrize(
    ("flags", "what"), [("PF", "lacks flag C"), ("OC", "lacks flag F"), ("", "lacks flag F")]
)
def test_an_entry_without_the_flags_is_registered_anew_after_saying_so(machine, flags, what):
    """With the emulator that it had; what was there before is part of undoing."""
    machine.has_emulator()
    own = f"{machine.folder}/libexec/{WORD}-P"
    machine.kernel.entries["old"] = replace(new_entry(WORD, own, flags), name="old")

    said = machine.up(yes=True)

    (entry,) = machine.kernel.read()
    assert entry.interpreter == own
    assert {"O", "C", "F"} <= set(entry.flags)
    assert what in said
    assert f"in place of old with flags {flags or 'none'}" in said
    assert "echo ':old:M:" in said


def test_an_entry_that_is_only_disabled_is_enabled(machine):
    machine.kernel.entries["q"] = replace(new_entry(WORD, "/usr/bin/q", "OCF"), name="q", is_enabled=False)

    assert "enabled q; undo: echo 0 >" in machine.up(yes=True)


@pytest.mark.parametrize("how", [{"yes": True}, {"answer": True}])
def test_an_emulator_is_installed_after_a_yes(machine, how):
    machine.has_apt()

    said = machine.up(**how)

    assert machine.ran == ["apt-get install -y --no-install-recommends qemu-user-static"]
    assert len(machine.asked) == (0 if how.get("yes") else 1)
    assert machine.kernel.read()
    assert "installing emulators" in said


def test_without_a_yes_nothing_is_installed_or_registered(machine):
    """Nobody to ask: an error with the command, and the machine as it was."""
    machine.has_apt()

    with pytest.raises(EngineError) as caught:
        machine.up()

    assert "--yes" in caught.value.resolution
    assert (machine.ran, machine.kernel.read()) == ([], ())
    assert machine.engine.calls["create"] == 0


def test_nothing_is_changed_before_the_answer(machine, monkeypatch):
    """One question for the mount, the package and the registration; after a no the machine is as it was."""
    mounted = []
    monkeypatch.setattr(binfmt, "mount", lambda *_: mounted.append(1))
    monkeypatch.setattr(binfmt, "is_mounted", lambda: False)
    machine.has_apt()

    with pytest.raises(EngineError) as caught:
        machine.up(answer=False)

    [question] = machine.asked
    for change in ("mount binfmt_misc", "apt-get install", f"register an emulator for {WORD}"):
        assert change in question
    assert caught.value.resolution == f"stalker engine up --yes --platform {PLATFORM}"
    assert (mounted, machine.ran, machine.kernel.read()) == ([], [], ())


def test_a_user_without_root_registers_from_the_toolbox(machine):
    """In a container that may mount and nothing else, which is removed; the kernel keeps the emulator."""
    specs = []
    create = machine.engine.create

    def seen(spec):
        specs.append(spec)
        entry = new_entry(WORD, "/in/the/image", "POCF")
        machine.kernel.entries[entry.name] = entry
        return create(spec)

    machine.engine.create = seen
    machine.host = replace(machine.host, is_root=False)

    said = machine.up(answer=True)

    [question] = machine.asked
    assert question.startswith(
        f"For {PLATFORM}: register an emulator for {WORD} with this kernel, from a container"
    )
    given = {option.name: json.loads(option.value) for option in specs[0].options}
    assert (given["cap_drop"], given["cap_add"], given["network"]) == (["ALL"], ["SYS_ADMIN"], "none")
    assert "privileged" not in given
    assert machine.engine.live == {}
    assert "of the toolbox as qemu-s390x with flags POCF" in said


def test_an_engine_with_another_kernel_is_left_alone(machine):
    """What is registered here would be of no use to it."""
    info = machine.engine.info()
    machine.engine.info = lambda: replace(info, kernel="6.10.14-linuxkit")

    with pytest.raises(EngineError, match="nothing can be registered for this engine from here"):
        machine.up(yes=True)


def test_an_architecture_that_nobody_knows_is_refused(machine):
    with pytest.raises(EngineError, match="no emulator of it is known"):
        machine.up(platform="linux/sparc64")


def test_the_hazards_that_a_registration_mends_are_hazards():
    """A name that is misspelt here would be repaired never."""
    from stalker.model.platforms import HAZARDS

    assert set(HAZARDS) >= register_emulator.MENDED
    assert platform_support.FOUR_BYTES == 2**32
