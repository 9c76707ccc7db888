"""Platforms, as in `linux/arm/v7`: what containers run as, in the words of Docker and of Debian."""

from __future__ import annotations

from dataclasses import dataclass

_ALIASES = {
    "x86_64": ("amd64", ""), "x86-64": ("amd64", ""), "i386": ("386", ""), "i686": ("386", ""),
    "aarch64": ("arm64", ""), "armhf": ("arm", "v7"), "armv7l": ("arm", "v7"),
    "armv6l": ("arm", "v6"), "armel": ("arm", "v6"), "ppc64el": ("ppc64le", ""),
    "mips64el": ("mips64le", ""),
}  # fmt: skip
"""Words of the kernel and of Debian -> Docker's architecture and variant."""

_DEBIAN = {
    "amd64": "amd64", "386": "i386", "arm64": "arm64", "riscv64": "riscv64", "ppc64le": "ppc64el",
    "s390x": "s390x", "mips64le": "mips64el", "loong64": "loong64",
}  # fmt: skip
"""Docker's architectures -> Debian's; 32-bit ARM is decided by its variant."""


HAZARDS = {
    "no_emulator": "programs of that architecture do not run at all",
    "emulator_flags": "containers do not find the emulator, or setuid programs do nothing",
    "emulator_fails": "the smallest program fails in the emulator",
    "inode_numbers": "the engine's file system numbers its files past 2^32",
    "readdir_offsets": "it gives positions in folders past 2^31",
    "ptrace": "a container asks for SYS_PTRACE, which emulators do not have",
    "variant_lost": "the engine keeps no variant of 32-bit ARM, so images for v5 and v6 read as v7",
}
"""What can be wrong with a platform on an engine; a tree waives one by its name, with a reason."""


@dataclass(frozen=True, slots=True)
class Platform:
    """A platform in Docker's words: `linux`, `arm`, `v7`; the variant is empty where there is but one."""

    os: str
    architecture: str
    variant: str = ""

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)


def parse_platform(text: str) -> Platform:
    """Read `os/architecture[/variant]`; the system may be left out, and `aarch64`, `armhf` are understood.

    Docker's own rule for what is left out: 32-bit ARM is v7, 64-bit ARM is v8, which is not written.
    """
    parts = text.lower().split("/")
    if len(parts) == 1 or parts[0] not in {"linux", "windows", "darwin", "freebsd"}:
        parts.insert(0, "linux")
    architecture, usual = _ALIASES.get(parts[1], (parts[1], ""))
    variant = parts[2] if len(parts) > 2 else usual
    if architecture == "arm" and not variant:
        variant = "v7"
    if architecture == "arm64" and variant == "v8":
        variant = ""
    return Platform(parts[0], architecture, variant)


def debian_architecture(platform: Platform) -> str:
    """Return Debian's word for the architecture of a platform, empty when it has none: `armhf`."""
    if platform.architecture == "arm":
        return "armhf" if platform.variant in {"v7", "v8"} else "armel"
    return _DEBIAN.get(platform.architecture, "")


def of_debian(architecture: str) -> Platform | None:
    """Return the platform of a Debian architecture, None for one that is not known."""
    if architecture in {"armhf", "armel"}:
        return parse_platform(architecture)
    found = next((word for word, debian in _DEBIAN.items() if debian == architecture), "")
    return Platform("linux", found) if found else None


def runs_on(platform: str, architecture: str, variant: str = "") -> bool:
    """Return whether an image that calls itself so serves a platform; an older ARM serves a newer one.

    What is not given fits: an empty platform is the engine's own, an empty architecture is not known.
    """
    if not platform or not architecture:
        return True
    wanted = parse_platform(platform)
    is_older = not wanted.variant or not variant or variant <= wanted.variant
    return architecture == wanted.architecture and is_older
