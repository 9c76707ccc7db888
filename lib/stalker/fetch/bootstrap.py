"""Debian root file systems made here, by mmdebstrap or else debootstrap, as a tar stream."""

from __future__ import annotations

import contextlib
import os
import platform
import re
import shutil
import subprocess
import tempfile
from collections.abc import Generator, Iterator
from dataclasses import replace
from pathlib import Path

from stalker.engine.binfmt import read_emulators
from stalker.engine.elf import MACHINES, try_to_run
from stalker.engine.foreign import find_emulator
from stalker.errors import InputError
from stalker.fetch.files import Progress
from stalker.fetch.mirror import deb_lines
from stalker.fetch.program import program_output
from stalker.model.bases import describe_base
from stalker.model.platforms import debian_architecture, of_debian, parse_platform
from stalker.model.tree import BootstrapBase

INSTALL = ("apt-get", "install", "-y", "--no-install-recommends", "mmdebstrap")
_RESOLUTION = "check the suite, the packages and the mirror; nothing was kept, so run again"
_DEBOOTSTRAP_VARIANTS = {"minbase": "minbase", "buildd": "buildd", "standard": "", "-": ""}
_UNTOUCHED_VARIANTS = frozenset({"extract", "custom"})
"""Variants of mmdebstrap that run nothing of the new system."""

_MACHINES = {
    "x86_64": "amd64",
    "aarch64": "arm64",
    "armv7l": "armhf",
    "i686": "i386",
    "ppc64le": "ppc64el",
    "riscv64": "riscv64",
    "s390x": "s390x",
}
_QEMU = {
    "amd64": "x86_64",
    "arm64": "aarch64",
    "armhf": "arm",
    "armel": "arm",
    "i386": "i386",
    "ppc64el": "ppc64le",
    "riscv64": "riscv64",
    "s390x": "s390x",
}
_HOUSEKEEPING = ("skipping", "using", "finding", "removing", "success", "done", "automatically")
_NOT_IN_IMAGE = (
    "./etc/resolv.conf",
    "./etc/hostname",
    "./var/lib/apt/lists/?*",
    "./var/cache/apt/*.bin",
    "./var/cache/apt/archives/*.deb",
    "./var/log/bootstrap.log",
    "./var/lib/dbus/machine-id",
    "./dev/?*",
    "./proc/?*",
    "./sys/?*",
)


def tool_for(base: BootstrapBase) -> str:
    """Return `mmdebstrap` or `debootstrap`, empty when neither can make this base here."""
    if shutil.which("mmdebstrap"):
        return "mmdebstrap"
    has_it = shutil.which("debootstrap", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    return "debootstrap" if has_it and os.geteuid() == 0 and base.variant in _DEBOOTSTRAP_VARIANTS else ""


def can_install() -> bool:
    """Say whether mmdebstrap could be installed by this user."""
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


def settle_architecture(base: BootstrapBase, platform: str) -> BootstrapBase:
    """Return the base with the architecture that its stalk's platform means: `linux/arm/v7` is armhf.

    Without a platform it stays as it is. Raises InputError when the two contradict each other, or
    when Debian has no such architecture.
    """
    if not platform:
        return base
    parsed = parse_platform(platform)
    wanted = debian_architecture(parsed)
    named = of_debian(base.architecture)
    if not wanted and not base.architecture:
        raise InputError(
            f"{describe_base(base)} for the platform {platform}",
            f"Debian has no word for {platform} that is known here",
            f"give the bootstrap at {base.place} its architecture",
        )
    # Variants may differ: armel runs on ARMv7, and what Raspbian calls armhf is ARMv6.
    if named is not None and named.architecture != parsed.architecture:
        raise InputError(
            f"{describe_base(base)} contradicts the platform {platform}",
            f"{platform} is {wanted or parsed.architecture}, not {base.architecture}",
            f"leave `architecture` out of the base at {base.place}: the platform says it",
        )
    return base if base.architecture else replace(base, architecture=wanted)


def bootstrap_obstacle(base: BootstrapBase, *, may_install: bool) -> str:
    """Say why this base cannot be bootstrapped here, empty when nothing is known against it."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9.+-]*", base.suite):
        return f"{base.suite!r} is no name of a Debian suite"
    if base.mirror and not re.match(r"(https?|ftp|file|copy)://[^\s]+$", base.mirror):
        return f"the mirror {base.mirror!r} is no URL"
    if not tool_for(base) and not (may_install and can_install()):
        return f"mmdebstrap is not installed: {' '.join(INSTALL)}"
    if os.geteuid() != 0 and not _has_subordinate_ids():
        return "mmdebstrap needs root, or a range of user ids of yours in /etc/subuid and /etc/subgid"
    if base.architecture and base.variant not in _UNTOUCHED_VARIANTS and not _runs_here(base.architecture):
        platform = of_debian(base.architecture) or base.architecture
        return (
            f"{base.architecture} programs do not run here: ./stalker engine up --yes --platform {platform}"
        )
    return ""


def install_tool(progress: Progress) -> None:
    """Install mmdebstrap with apt. Raises InputError when apt cannot."""
    progress("installing mmdebstrap")
    environment = {"DEBIAN_FRONTEND": "noninteractive"}
    for argv in (("apt-get", "update"), INSTALL):
        for _ in program_output(
            argv,
            what="mmdebstrap could not be installed",
            resolution="run it by hand: " + " ".join(INSTALL),
            environment=environment,
        ):
            pass


@contextlib.contextmanager
def bootstrapped(base: BootstrapBase, progress: Progress) -> Iterator[Iterator[bytes]]:
    """Yield the new root file system as a tar stream; nothing of it stays on this host.

    The stream ends with InputError when the program fails, which may be after its last byte.
    """
    tool = tool_for(base)
    with _scratch() as folder:
        stream = (
            _mmdebstrap(base, folder, progress)
            if tool == "mmdebstrap"
            else _debootstrap(base, folder, progress)
        )
        with contextlib.closing(stream):
            yield stream


def _mmdebstrap(base: BootstrapBase, folder: Path, progress: Progress) -> Generator[bytes, None, None]:
    # The host's resolver and name are copied in for the time of the making; no image should know them.
    tidy = 'rm -f "$1/etc/resolv.conf" "$1/etc/hostname"'
    argv = ["mmdebstrap", f"--mode={'root' if os.geteuid() == 0 else 'unshare'}", "--format=tar"]
    # Device nodes are the business of whoever runs the image; a rootless engine cannot make them.
    argv += [f"--variant={base.variant}", "--skip=output/dev", f"--customize-hook={tidy}"]
    if base.include:
        argv.append(f"--include={','.join(base.include)}")
    if base.architecture:
        # Whether its programs run here was asked before; the tool's own check needs one more package.
        argv += [f"--architectures={base.architecture}", "--skip=check/qemu"]
    if base.components:
        argv.append(f"--components={','.join(base.components)}")
    components = base.components or ("main",)
    if base.mirror:
        lines = [f"deb {base.mirror} {base.suite} {' '.join(components)}"]
    else:
        lines = deb_lines(base.suite, components)
    return program_output(
        [*argv, "--", base.suite, "-", *lines],
        what=describe_base(base),
        resolution=_RESOLUTION,
        environment={"TMPDIR": str(folder), "LC_ALL": "C.UTF-8"},
        on_line=lambda line: _tell(line, progress),
    )


def _debootstrap(base: BootstrapBase, folder: Path, progress: Progress) -> Generator[bytes, None, None]:
    root = folder / "root"
    variant = _DEBOOTSTRAP_VARIANTS[base.variant]
    argv = ["debootstrap", *([f"--variant={variant}"] if variant else [])]
    if base.include:
        argv.append(f"--include={','.join(base.include)}")
    if base.architecture:
        argv.append(f"--arch={base.architecture}")
    argv.append(f"--components={','.join(base.components or ('main',))}")
    mirror = base.mirror
    if not mirror:
        mirror = next((line.split()[1] for line in deb_lines(base.suite, ("main",))), "")
    # Its mounts live and die in a namespace of their own: none is left to delete through.
    own_mounts = ["unshare", "--mount", "--propagation", "private", "--"]
    for chunk in program_output(
        [*own_mounts, *argv, base.suite, str(root), *([mirror] if mirror else [])],
        what=describe_base(base),
        resolution=_RESOLUTION,
        environment={"LC_ALL": "C", "PATH": os.environ.get("PATH", "") + ":/usr/sbin:/sbin"},
    ):
        for line in chunk.decode("utf-8", "replace").splitlines():
            _tell(line, progress)
    if (root / "etc/machine-id").is_file():
        os.truncate(root / "etc/machine-id", 0)
    excludes = [f"--exclude={pattern}" for pattern in _NOT_IN_IMAGE]
    tar = [
        "tar",
        "--create",
        "--file=-",
        "--numeric-owner",
        "--xattrs",
        "--xattrs-include=*",
        "--one-file-system",
    ]
    yield from program_output(
        [*tar, "--sort=name", "--anchored", *excludes, f"--directory={root}", "."],
        what=describe_base(base),
        resolution=_RESOLUTION,
    )


@contextlib.contextmanager
def _scratch() -> Iterator[Path]:
    """Make a folder that is gone afterwards, whatever was mounted in it."""
    folder = Path(tempfile.mkdtemp(prefix="stalker-bootstrap-"))
    folder.chmod(0o755)  # in unshare mode its root is another user of this host
    try:
        yield folder
    finally:
        _remove(folder)


def _remove(folder: Path) -> None:
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    below = [line.split()[4] for line in mounts if line.split()[4].startswith(f"{folder}/")]
    for mount in sorted(below, reverse=True):
        subprocess.run(["umount", "--lazy", mount], check=False, capture_output=True)
    # Never delete through a mount: what is behind it is not ours.
    still = Path("/proc/self/mountinfo").read_text()
    if f" {folder}/" not in still:
        shutil.rmtree(folder, ignore_errors=True)


def _tell(line: str, progress: Progress) -> None:
    """Pass on what the program says it does; of its own house-keeping nobody needs to hear."""
    text = line.removeprefix("I: ").strip()
    if text != line and not text.startswith(_HOUSEKEEPING):
        progress(text[:100])


def _runs_here(architecture: str) -> bool:
    own = _MACHINES.get(platform.machine(), platform.machine())
    if architecture in {own, "all"} or (own, architecture) == ("amd64", "i386"):
        return True
    word = _QEMU.get(architecture, architecture)
    if word in MACHINES:
        return not try_to_run(word)
    entry = find_emulator(word, read_emulators())
    return entry is not None and entry.is_enabled


def _has_subordinate_ids() -> bool:
    import pwd

    names = {str(os.geteuid())}
    with contextlib.suppress(KeyError):
        names.add(pwd.getpwuid(os.geteuid()).pw_name)
    try:
        texts = [Path(name).read_text() for name in ("/etc/subuid", "/etc/subgid")]
    except OSError:
        return False
    return all(any(line.partition(":")[0] in names for line in text.splitlines()) for text in texts)


def check_tool(base: BootstrapBase) -> None:
    """Raise InputError unless something here can bootstrap `base`."""
    if not tool_for(base):
        raise InputError(
            f"{describe_base(base)} cannot be made here",
            "mmdebstrap is not installed",
            f"{' '.join(INSTALL)}, or run with --yes",
        )
