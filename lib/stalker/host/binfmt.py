"""The kernel's binfmt_misc: which emulator runs the programs of which architecture, read and registered.

An entry's flags decide whether it works in a container: F opens the emulator when it is registered, so
that no copy is needed inside; C gives setuid programs their rights (and means O, which passes the
program as an open file); P passes the program's name as it was called.
Source: Documentation/admin-guide/binfmt-misc.rst of the kernel.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from stalker.errors import EngineError
from stalker.formats.elf import MACHINES, magic_of, needs_loader, try_to_run

if TYPE_CHECKING:
    from collections.abc import Callable

    from stalker.host.install_engine import Host

BINFMT = "/proc/sys/fs/binfmt_misc"
MOUNT_S = 10.0

PLACES = ("/usr/libexec/qemu-binfmt/{0}-binfmt-P",)
"""Where Debian has an emulator under a name that makes it expect flag P."""

PROGRAMS = ("qemu-{0}-static", "qemu-{0}")


@dataclass(frozen=True, slots=True)
class Emulator:
    """An entry of binfmt_misc: its name, its flags (`POCF`), whether it is enabled, and what it says.

    `interpreter` is the emulator; it gets what equals `magic` under `mask` from `offset` on.
    """

    name: str
    flags: str
    is_enabled: bool
    interpreter: str = ""
    offset: int = 0
    magic: bytes = b""
    mask: bytes = b""

    def emulates(self, word: str) -> bool:
        """Return whether it gets the programs of an architecture (`arm`), whatever its name is."""
        if not self.magic or word not in MACHINES:
            return self.name == f"qemu-{word}"
        start = magic_of(word)[0][self.offset :]
        mask = self.mask or b"\xff" * len(self.magic)
        return len(start) >= len(self.magic) and all(
            have & bits == want & bits for have, want, bits in zip(start, self.magic, mask, strict=False)
        )

    @property
    def line(self) -> str:
        """What registers it: `:name:M:offset:magic:mask:interpreter:flags`."""
        offset = str(self.offset) if self.offset else ""
        return f":{self.name}:M:{offset}:{_escaped(self.magic)}:{_escaped(self.mask)}:{self.interpreter}:{self.flags}"


def read_emulators(folder: str = BINFMT) -> tuple[Emulator, ...]:
    """Read what is registered with this kernel; empty when binfmt_misc is not mounted."""
    found = []
    for entry in sorted(Path(folder).glob("*")):
        if entry.name in {"register", "status"}:
            continue
        with contextlib.suppress(OSError):
            found.append(_parsed(entry.name, entry.read_text(encoding="utf-8", errors="surrogateescape")))
    return tuple(found)


def _parsed(name: str, text: str) -> Emulator:
    lines = text.splitlines()
    told = dict(line.replace(":", "", 1).split(" ", 1) for line in lines[1:] if " " in line)
    return Emulator(
        name,
        told.get("flags", "").strip(),
        lines[:1] == ["enabled"],
        told.get("interpreter", ""),
        int(told.get("offset", "0")),
        bytes.fromhex(told.get("magic", "")),
        bytes.fromhex(told.get("mask", "")),
    )


def find_interpreter(word: str, host: Host) -> tuple[str, str]:
    """Return an installed emulator that works in containers, and the flags it wants; empty when there is none."""
    for place in PLACES:
        path = place.format(word)
        if Path(path).exists() and not needs_loader(Path(path)):
            return path, "POCF"
    for program in PROGRAMS:
        path = host.program(program.format(word))
        if path and not needs_loader(Path(path)):
            return path, "OCF"
    return "", ""


def new_entry(word: str, interpreter: str, flags: str) -> Emulator:
    """Return the entry for an architecture of `MACHINES`."""
    magic, mask = magic_of(word)
    return Emulator(f"qemu-{word}", flags, is_enabled=True, interpreter=interpreter, magic=magic, mask=mask)


def is_mounted(folder: str = BINFMT) -> bool:
    """Return whether binfmt_misc can be read and written here."""
    return (Path(folder) / "register").exists()


def mount(host: Host, say: Callable[[str], None], folder: str = BINFMT) -> None:
    """Mount binfmt_misc where it is not. Raises EngineError when this kernel has none."""
    if is_mounted(folder):
        return
    if not Path(folder).is_dir() and host.program("modprobe"):
        host.run(["modprobe", "binfmt_misc"], MOUNT_S)
    failure = host.run(["mount", "-t", "binfmt_misc", "binfmt_misc", folder], MOUNT_S)
    if failure is not None:
        raise EngineError(
            "binfmt_misc could not be mounted: no program of another architecture can run here",
            failure,
            "use a kernel with CONFIG_BINFMT_MISC, or an engine on a machine of that architecture",
        )
    say(f"mounted binfmt_misc on {folder}; undo: umount {folder}")


def register(entry: Emulator, before: Emulator | None, word: str, folder: str = BINFMT) -> None:
    """Register an entry in place of the one before, and run a program through it.

    What was there comes back when the new one is refused or does not work. Raises EngineError.
    """
    if before is not None:
        _write(Path(folder) / before.name, "-1")
    try:
        _write(Path(folder) / "register", entry.line)
        failure = try_to_run(word) if folder == BINFMT else ""
        if failure:
            _write(Path(folder) / entry.name, "-1")
    except OSError as error:
        failure = f"the kernel refused it: {error.strerror}"
    if not failure:
        return
    if before is not None:
        with contextlib.suppress(OSError):
            _write(Path(folder) / "register", before.line)
    raise EngineError(
        f"{entry.interpreter} could not be registered for programs of {word}",
        failure,
        "install another one: apt-get install --reinstall qemu-user-static",
    )


def undo(entry: Emulator, before: Emulator | None, folder: str = BINFMT) -> str:
    """Return the commands that bring back what was there before."""
    away = f"echo -1 > {folder}/{entry.name}"
    return away if before is None else f"{away}; echo '{before.line}' > {folder}/register"


def enable(emulator: Emulator, folder: str = BINFMT) -> None:
    """Enable an entry that is registered and disabled."""
    _write(Path(folder) / emulator.name, "1")


def _write(file: Path, text: str) -> None:
    # One write: the kernel reads each as a whole.
    with file.open("wb", buffering=0) as opened:
        opened.write(text.encode("utf-8", "surrogateescape"))


def _escaped(data: bytes) -> str:
    return "".join(f"\\x{byte:02x}" for byte in data)
