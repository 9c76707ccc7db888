"""Containers of a foreign architecture: whether the kernel hands their programs to an emulator.

The kernel's binfmt_misc holds one entry an emulator. Its flags decide whether it works in a container:
F opens the emulator when it is registered, so no copy is needed inside; C lets setuid programs be so.
Source: Documentation/admin-guide/binfmt-misc.rst of the kernel.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

BINFMT = "/proc/sys/fs/binfmt_misc"

FAMILIES = {
    "amd64": "x86_64", "x86_64": "x86_64", "386": "i386", "i386": "i386", "i686": "i386",
    "arm": "arm", "armv6l": "arm", "armv7l": "arm", "arm64": "aarch64", "aarch64": "aarch64",
    "riscv64": "riscv64", "ppc64le": "ppc64le", "s390x": "s390x", "mips64le": "mips64el",
}  # fmt: skip
"""Docker's and the kernel's words for an architecture -> the emulator's word."""

ALSO_RUNS = {("x86_64", "i386"), ("aarch64", "arm")}
"""What a processor usually runs besides its own."""

Verdict = tuple[Literal["ok", "warning", "wrong"], str, str]


@dataclass(frozen=True, slots=True)
class Emulator:
    """An entry of binfmt_misc: `qemu-arm`, its flags (`PF`), whether it is enabled."""

    name: str
    flags: str
    is_enabled: bool


def read_emulators(folder: str = BINFMT) -> tuple[Emulator, ...]:
    """Read what is registered with this kernel; empty when binfmt_misc is not mounted."""
    found = []
    for entry in sorted(Path(folder).glob("*")):
        if entry.name in {"register", "status"}:
            continue
        try:
            lines = entry.read_text(encoding="ascii", errors="replace").splitlines()
        except OSError:
            continue
        flags = next((line.partition(":")[2].strip() for line in lines if line.startswith("flags:")), "")
        found.append(Emulator(entry.name, flags, lines[:1] == ["enabled"]))
    return tuple(found)


def judge_foreign(platform: str, architecture: str, emulators: tuple[Emulator, ...] | None) -> Verdict | None:
    """Say whether containers of `platform` (`linux/arm/v7`) run on a host of this architecture.

    `architecture` is the engine's word for its own (`x86_64`); `emulators` None means that its
    kernel cannot be seen from here. Returns None when nothing foreign is asked for.
    """
    parts = platform.split("/")
    word = parts[1] if len(parts) > 1 else parts[0]
    wanted = FAMILIES.get(word, word)
    host = FAMILIES.get(architecture, architecture)
    if wanted == host or (host, wanted) in ALSO_RUNS:
        return None
    if emulators is None:
        return "ok", f"the engine is {host}; whether it emulates {wanted} cannot be seen from here", ""
    name = f"qemu-{wanted}"
    register = f"apt-get install -y qemu-user-static binfmt-support && update-binfmts --enable {name}"
    entry = next((one for one in emulators if one.name == name), None)
    if entry is None:
        return "wrong", f"this kernel has no emulator for {wanted} registered", register
    if not entry.is_enabled:
        return "wrong", f"{name} is registered and disabled", f"echo 1 > {BINFMT}/{name}"
    again = f"echo -1 > {BINFMT}/{name}; {register}"
    if "F" not in entry.flags:
        return "wrong", f"{name} lacks flag F: containers do not find the emulator", again
    if "C" not in entry.flags:
        return (
            "warning",
            f"{name} lacks flag C: setuid programs (sudo, su) do nothing in such containers",
            (
                f"echo -1 > {BINFMT}/{name}; sed 's/:OP\\?F$/:OCPF/' /usr/lib/binfmt.d/{name}.conf > {BINFMT}/register"
            ),
        )
    return "ok", f"emulated by {name}", ""
