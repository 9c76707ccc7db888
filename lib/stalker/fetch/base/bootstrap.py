"""Debian root file systems made here, by mmdebstrap or else debootstrap, as a tar stream.

The Debian mirror that this system uses itself, read from apt's own files.
"""

from __future__ import annotations

import contextlib
import os
import platform
import re
import shutil
import subprocess
import tempfile
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

from stalker.errors import InputError
from stalker.fetch.base.subprocess_stream import program_output
from stalker.formats.elf import MACHINES, try_to_run
from stalker.host.binfmt import read_emulators
from stalker.host.platform_support import find_emulator
from stalker.io.progress import Say
from stalker.model.base_key import describe_base
from stalker.model.platforms import debian_architecture, of_debian, parse_platform
from stalker.model.program import program
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
    """Return whether mmdebstrap could be installed by this user."""
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
    """Return why this base cannot be bootstrapped here, empty when nothing is known against it."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9.+-]*", base.suite):
        return f"{base.suite!r} is not a Debian suite name"
    if base.mirror and not re.match(r"(https?|ftp|file|copy)://[^\s]+$", base.mirror):
        return f"the mirror {base.mirror!r} is not a URL"
    if not tool_for(base) and not (may_install and can_install()):
        return f"mmdebstrap is not installed: {' '.join(INSTALL)}"
    if os.geteuid() != 0 and not _has_subordinate_ids():
        return "mmdebstrap needs root, or a range of user ids of yours in /etc/subuid and /etc/subgid"
    if base.architecture and base.variant not in _UNTOUCHED_VARIANTS and not _runs_here(base.architecture):
        platform = of_debian(base.architecture) or base.architecture
        return (
            f"{base.architecture} programs do not run here: {program()} engine up --yes --platform {platform}"
        )
    return ""


def install_tool(say: Say) -> None:
    """Install mmdebstrap with apt. Raises InputError when apt cannot."""
    say("installing mmdebstrap")
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
def bootstrapped(base: BootstrapBase, say: Say) -> Iterator[Iterator[bytes]]:
    """Yield the new root file system as a tar stream; nothing of it stays on this host.

    The stream ends with InputError when the program fails, which may be after its last byte.
    """
    tool = tool_for(base)
    with _scratch() as folder:
        stream = _mmdebstrap(base, folder, say) if tool == "mmdebstrap" else _debootstrap(base, folder, say)
        with contextlib.closing(stream):
            yield stream


def _mmdebstrap(base: BootstrapBase, folder: Path, say: Say) -> Generator[bytes, None, None]:
    # The host's resolver and name are copied in for the time of the making; no image should know them.
    tidy = 'rm -f "$1/etc/resolv.conf" "$1/etc/hostname"'
    argv = ["mmdebstrap", f"--mode={'root' if os.geteuid() == 0 else 'unshare'}", "--format=tar"]
    # Device nodes are made by the engine that runs the image; a rootless engine cannot make them.
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
        on_line=lambda line: _report(line, say),
    )


def _debootstrap(base: BootstrapBase, folder: Path, say: Say) -> Generator[bytes, None, None]:
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
            _report(line, say)
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
    """Make a directory that is gone afterwards, whatever was mounted in it."""
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


def _report(line: str, say: Say) -> None:
    """Pass on what the program says it does; its own house-keeping is left out."""
    text = line.removeprefix("I: ").strip()
    if text != line and not text.startswith(_HOUSEKEEPING):
        say(text[:100])


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


APT_DIR = Path("/etc/apt")
_POCKETS = ("", "-updates", "-security")
_UNRELEASED = frozenset({"sid", "unstable", "experimental", "rc-buggy"})
_MAIN_FILES = ("sources.list", "debian.sources")


@dataclass(frozen=True, slots=True)
class _Source:
    """One URI and suite of apt's files; `signed_by` is empty when the file does not say."""

    file: str
    uri: str
    suite: str
    components: tuple[str, ...]
    signed_by: str = ""

    def is_debian(self) -> bool:
        """Third parties use Debian's suite names too; path, component and keyring tell them apart."""
        path = urlsplit(self.uri).path
        return (
            urlsplit(self.uri).scheme in {"http", "https", "file", "copy", "ftp"}
            and "main" in self.components
            and re.search(r"(^|/)debian(-security|-archive)?(/|$)", path) is not None
            and ("debian-archive" in self.signed_by or not self.signed_by)
        )


def deb_lines(suite: str, components: Sequence[str], apt_dir: Path = APT_DIR) -> list[str]:
    """Return apt lines for `suite` on this system's own mirror, empty when it names none.

    Updates and security come along where this system has them. The suite itself need not be the
    system's: a mirror of Debian has them all.
    """
    sources = [source for source in _sources(apt_dir) if source.is_debian()]
    sources.sort(key=lambda source: source.file not in _MAIN_FILES)
    mains = [source for source in sources if _pocket(source.suite) == ""]
    if not mains:
        return []
    file = next((source for source in mains if source.suite == suite), mains[0]).file
    has_pockets = suite not in _UNRELEASED
    lines = []
    for pocket in _POCKETS if has_pockets else ("",):
        uri = next((one.uri for one in sources if one.file == file and _pocket(one.suite) == pocket), "")
        if uri:
            lines.append(f"deb {uri} {suite}{pocket} {' '.join(components)}")
    return lines


def _pocket(suite: str) -> str | None:
    """Return what follows the release's name in a suite; None for backports and the like."""
    match = re.fullmatch(r"[a-z]+(-updates|-security)?", suite)
    return None if match is None else match[1] or ""


def _sources(apt_dir: Path) -> Iterator[_Source]:
    folder = apt_dir / "sources.list.d"
    files = [apt_dir / "sources.list", *sorted(folder.glob("*.list")), *sorted(folder.glob("*.sources"))]
    for file in files:
        try:
            text = file.read_text("utf-8", "replace")
        except OSError:
            continue
        yield from _stanzas(file.name, text) if file.suffix == ".sources" else _lines(file.name, text)


def _lines(name: str, text: str) -> Iterator[_Source]:
    """Read the one-line style of sources.list(5)."""
    for line in text.splitlines():
        match = re.fullmatch(
            r"\s*deb\s+(?:\[([^\]]*)\]\s*)?(\S+)\s+(\S+)\s+([^#]+?)\s*(#.*)?", line.partition("\n")[0]
        )
        if match:
            signed = re.search(r"signed-by=(\S+)", match[1] or "", re.IGNORECASE)
            yield _Source(name, match[2], match[3], tuple(match[4].split()), signed[1] if signed else "")


def _stanzas(name: str, text: str) -> Iterator[_Source]:
    """Read the deb822 style of sources.list(5)."""
    plain = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    for stanza in re.split(r"\n\s*\n", plain):
        fields: dict[str, str] = {}
        key = ""
        for line in stanza.splitlines():
            if line[:1].isspace():
                fields[key] = fields.get(key, "") + " " + line.strip()
            elif ":" in line:
                key, _, value = line.partition(":")
                key = key.strip().lower()
                fields[key] = value.strip()
        if "deb" not in fields.get("types", "").split() or fields.get("enabled", "yes").lower() in {
            "no",
            "false",
        }:
            continue
        for uri in fields.get("uris", "").split():
            for suite in fields.get("suites", "").split():
                components = tuple(fields.get("components", "").split())
                yield _Source(name, uri, suite, components, fields.get("signed-by", ""))
