"""Kernel, first file system and device tree, taken out of a disk where it lies: nothing is mounted.

From FAT by mtools, from ext4 by debugfs, both given the offset of the partition in the disk.
"""

from __future__ import annotations

import fnmatch
import posixpath
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from stalker.boot.machines import board_of
from stalker.errors import Interrupted, NoEngine, StalkerError
from stalker.formats.fs.fat.names import fold

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from stalker.boot.machines import Part
    from stalker.model.artifacts import BootTest

FOLDER = "/tmp"  # noqa: S108  of a container of our own
LINKS = 8
"""How many symbolic links are followed."""

_SET_ASIDE = (".old", ".bak", "~", ".dpkg-new", ".dpkg-bak", ".dpkg-tmp")
_WILD = re.compile(r"[*?\[]")


SDHOST, SDHCI = "/soc/mmc@7e202000", "/soc/mmc@7e300000"
"""The two controllers of a BCM2835 and its kin that can have the card."""


class Runs(Protocol):
    """Who runs a program in a container, as `toolbox.Tool` does."""

    def run(
        self,
        argv: Sequence[str],
        stdin: Iterable[bytes | memoryview] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> bytes:
        """Run a tool and return what it wrote. Raises StalkerError."""


class NotBootable(Exception):
    """The disk does not hold what the test boots; the text is a sentence without a full stop."""


@dataclass(frozen=True, slots=True)
class BootFiles:
    """Paths in the container, empty for none, and the disk's own command line."""

    kernel: str = ""
    initrd: str = ""
    device_tree: str = ""
    arguments: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """Something in a directory; `kind` is file, directory or link."""

    name: str
    kind: str


def fetch_boot_files(tool: Runs, disk: str, test: BootTest, parts: Sequence[Part]) -> BootFiles:
    """Copy out of a disk what its test starts; nothing for a disk that boots by itself.

    Raises:
        NotBootable: something of it is not there.
        StalkerError: a tool failed.
    """
    if not test.kernel:
        return BootFiles()
    part, path = locate(test.kernel, parts)
    kernel = find_file(tool, disk, part, path)
    initrd = device_tree = ""
    if test.initrd:
        initrd = copy_out(tool, disk, *_near(tool, disk, *locate(test.initrd, parts), kernel), "initrd")
    if test.dtb:
        of_tree, tree_path = locate(test.dtb, parts)
        device_tree = copy_out(tool, disk, of_tree, find_file(tool, disk, of_tree, tree_path), "dtb")
    elif board_of(test).device_trees:
        device_tree = copy_out(tool, disk, part, _usual_tree(tool, disk, part, kernel, test), "dtb")
    if device_tree and board_of(test).is_fixed:
        _tame_card(tool, device_tree, test.machine)
    return BootFiles(
        copy_out(tool, disk, part, kernel, "kernel"),
        initrd,
        device_tree,
        _own_arguments(tool, disk, part, parts),
    )


def locate(text: str, parts: Sequence[Part]) -> tuple[Part, str]:
    """Return the partition and the path in it of `partition:path` or of a path of the image."""
    name, colon, path = text.partition(":")
    if colon and "/" not in name:
        part = next((one for one in parts if one.name == name), None)
        if part is None:
            raise NotBootable(f"the disk has no partition '{name}' for {text}")
        return part, posixpath.join("/", path)
    holders = [one for one in parts if one.source and _is_below(text, one.source)]
    if not holders:
        raise NotBootable(f"no partition of the disk holds {text}")
    part = max(holders, key=lambda one: len(one.source))
    return part, posixpath.join("/", text[len(part.source.rstrip("/")) :].lstrip("/"))


def newest(names: Iterable[str]) -> str:
    """Return the name with the highest version; copies that were set aside count only among themselves."""

    def order(name: str) -> tuple[bool, list[tuple[int, str]]]:
        pieces = [(int(piece), "") if piece.isdigit() else (-1, piece) for piece in re.split(r"(\d+)", name)]
        return not name.endswith(_SET_ASIDE), pieces

    return max(names, key=order)


def _is_below(path: str, folder: str) -> bool:
    return folder in {"/", path} or path.startswith(f"{folder.rstrip('/')}/")


def find_file(tool: Runs, disk: str, part: Part, pattern: str, version: str = "") -> str:
    """Return the path of the newest file that matches; one of `version` before all others."""
    found = list(_matching(tool, disk, part, "/", pattern.strip("/").split("/")))
    of_version = [path for path in found if version and version in posixpath.basename(path)]
    if not found:
        folder = posixpath.dirname(pattern)
        there = (
            ""
            if _WILD.search(folder)
            else ", ".join(one.name for one in list_folder(tool, disk, part, folder))
        )
        raise NotBootable(
            f"there is no {pattern} in the partition '{part.name}'"
            + (f": it has {there[:300]}" if there else "")
        )
    return newest(of_version or found)


def _near(tool: Runs, disk: str, part: Part, pattern: str, kernel: str) -> tuple[Part, str]:
    """Return the first file system that goes with a kernel: both names end in the same version."""
    version = posixpath.basename(kernel).partition("-")[2]
    return part, find_file(tool, disk, part, pattern, version)


def _usual_tree(tool: Runs, disk: str, part: Part, kernel: str, test: BootTest) -> str:
    names = board_of(test).device_trees
    for folder in dict.fromkeys([posixpath.dirname(kernel), "/"]):
        there = {one.name.lower(): one.name for one in list_folder(tool, disk, part, folder)}
        for name in names:
            if name in there:
                return posixpath.join(folder, there[name])
    raise NotBootable(
        f"the partition '{part.name}' has no device tree for a {test.machine}: {' or '.join(names)}"
    )


def _matching(tool: Runs, disk: str, part: Part, folder: str, names: Sequence[str]) -> Iterator[str]:
    """Yield the files below a directory whose path matches, name by name."""
    first, rest = names[0], names[1:]
    if rest and not _WILD.search(first):
        yield from _matching(tool, disk, part, posixpath.join(folder, first), rest)
        return
    ignores_case = part.filesystem == "vfat"
    for entry in list_folder(tool, disk, part, folder):
        name = fold(entry.name) if ignores_case else entry.name
        if not fnmatch.fnmatchcase(name, fold(first) if ignores_case else first):
            continue
        path = posixpath.join(folder, entry.name)
        if rest and entry.kind == "folder":
            yield from _matching(tool, disk, part, path, rest)
        elif not rest and entry.kind != "folder":
            yield path


def list_folder(tool: Runs, disk: str, part: Part, folder: str) -> list[Entry]:
    """Return what is in a directory, nothing for a directory that is not there."""
    if part.filesystem == "vfat":
        return _list_fat(tool, disk, part, folder)
    if part.filesystem != "ext4":
        raise NotBootable(f"nothing can be taken out of the partition '{part.name}': it has no vfat or ext4")
    said = _debugfs(tool, disk, part, f'ls -p "{_plain(folder)}"').decode("utf-8", "surrogateescape")
    found = []
    for line in said.splitlines():
        fields = line.split("/")  # /inode/mode/user/group/name/size/
        if len(fields) >= 7 and fields[5] not in {".", "..", ""}:
            kind = {"04": "folder", "12": "link"}.get(fields[2][:2], "file")
            found.append(Entry(fields[5], kind))
    return found


def _list_fat(tool: Runs, disk: str, part: Part, folder: str) -> list[Entry]:
    try:
        said = _mtool(tool, "mdir", "-b", "-i", _at(disk, part), f"::{_plain(folder).rstrip('/')}/")
    except (Interrupted, NoEngine):
        raise
    except StalkerError as error:
        if "not found" in error.details.lower():
            return []
        raise
    lines = said.decode("utf-8", "replace").splitlines()
    paths = [line.removeprefix("::") for line in lines if line.startswith("::")]
    return [
        Entry(posixpath.basename(path.rstrip("/")), "folder" if path.endswith("/") else "file")
        for path in paths
    ]


def copy_out(tool: Runs, disk: str, part: Part, path: str, name: str) -> str:
    """Copy a file out of a partition and return where it is."""
    target = f"{FOLDER}/{name}"
    if part.filesystem == "vfat":
        _mtool(tool, "mcopy", "-n", "-i", _at(disk, part), f"::{_plain(path)}", target)
        return target
    for _ in range(LINKS):
        said = _debugfs(tool, disk, part, f'stat "{_plain(path)}"').decode("utf-8", "surrogateescape")
        link = re.search(r'^Fast link dest: "(.*)"$', said, re.MULTILINE)
        if link is None:
            break
        path = posixpath.normpath(posixpath.join(posixpath.dirname(path), link[1]))
    _debugfs(tool, disk, part, f'dump "{_plain(path)}" {target}')
    try:
        tool.run(["test", "-s", target])
    except (Interrupted, NoEngine):
        raise
    except StalkerError as error:
        raise NotBootable(f"{path} could not be read from the partition '{part.name}'") from error
    return target


def _own_arguments(tool: Runs, disk: str, part: Part, parts: Sequence[Part]) -> str:
    """Return what a cmdline.txt of the disk says, empty for none."""
    for one in dict.fromkeys([part, *(other for other in parts if other.filesystem == "vfat")]):
        for entry in list_folder(tool, disk, one, "/"):
            if entry.name.lower() == "cmdline.txt" and entry.kind == "file":
                file = copy_out(tool, disk, one, f"/{entry.name}", "cmdline")
                return " ".join(tool.run(["cat", file]).decode("utf-8", "replace").split())
    return ""


def _tame_card(tool: Runs, device_tree: str, machine: str) -> None:
    """Let the kernel read the card by a controller that QEMU plays well.

    With QEMU's sdhost, DMA makes the kernel stumble, and without it interrupts get lost: then a machine
    with nothing else to do sleeps for ever. A Pi 2 has its SDHCI free, which the pins 48 to 53 reach by
    their function ALT3 (BCM2835 ARM Peripherals, 6.2); on a Pi 3 that is the radio's.
    """
    if machine == "raspi2b":
        pins = _property(tool, device_tree, "/soc/gpio@7e200000/emmc_gpio48", "phandle")
        if pins and _property(tool, device_tree, SDHCI, "compatible"):
            for name, kind, value in (
                ("status", "s", "okay"),
                ("pinctrl-names", "s", "default"),
                ("pinctrl-0", "x", pins),
                ("bus-width", "x", "4"),
            ):
                tool.run(["fdtput", "-t", kind, device_tree, SDHCI, name, value])
            tool.run(["fdtput", "-t", "s", device_tree, SDHOST, "status", "disabled"])
            return
    for name in ("dmas", "dma-names"):
        if _property(tool, device_tree, SDHOST, name):
            tool.run(["fdtput", "-d", device_tree, SDHOST, name])


def _property(tool: Runs, device_tree: str, node: str, name: str) -> str:
    """Return a property of a device tree as hexadecimal numbers, empty where there is none."""
    argv = ["fdtget", "-t", "x", "-d", "", device_tree, node, name]
    return tool.run(argv).decode("ascii", "replace").strip()


def _at(disk: str, part: Part) -> str:
    return f"{disk}@@{part.start_bytes}"


def _mtool(tool: Runs, *argv: str) -> bytes:
    # Its check wants the geometry of a drive, which no partition of a disk has.
    return tool.run(argv, environment={"MTOOLS_SKIP_CHECK": "1"})


def _debugfs(tool: Runs, disk: str, part: Part, request: str) -> bytes:
    return tool.run(["debugfs", "-R", request, f"{disk}?offset={part.start_bytes}"])


def _plain(path: str) -> str:
    """Return a path that a tool takes as it is."""
    if not path.isprintable() or '"' in path or path.startswith("-"):
        raise NotBootable(f"{path!r} is a name that no tool accepts")
    return path
