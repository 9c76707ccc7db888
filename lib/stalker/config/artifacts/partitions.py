"""The partitions of a disk: what their file systems and tables allow in labels, UUIDs and types."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, cast

from stalker.config.plugins.content import tell_missing, usable_path
from stalker.config.syntax.document import is_true, text_of
from stalker.formats.partition_table.extent import SMALLEST_PARTITION_BYTES
from stalker.formats.partition_table.partition_types import EFI_SYSTEM, EXTENDED, PROTECTIVE
from stalker.io.disk_sizes import exact_bytes, percent
from stalker.model.artifacts import FileSystem, Partition

if TYPE_CHECKING:
    from collections.abc import Callable

    from stalker.config.artifacts.values import ArtifactReader
    from stalker.config.syntax.document import Node
    from stalker.model.artifacts import FileSystem


MARGIN_PERCENT = 10
MARGIN_BYTES = 32 << 20

Table = Literal["mbr", "gpt"]

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,35}\Z")
_CONTENT_KEYS = ("from", "artifact", "directory")
_RUNTIME = frozenset({"dev", "proc", "sys"})


@dataclass(slots=True)
class PartitionReader:
    """Reads one partition of a disk."""

    name: str
    node: Node
    table: Table
    reader: ArtifactReader

    def read(self) -> Partition:
        """Return the partition, as good as it is; what is wrong is reported."""
        node, reader = self.node, self.reader
        if not _NAME.match(self.name):
            what = f"'{self.name}' cannot name a partition: letters, digits, _ and -, at most 36"
            reader.report.problem(node.key_place, what)
        filesystem = cast("FileSystem", text_of(node.get("filesystem")))
        content = self.content(filesystem)
        size_bytes = self.size()
        margin_percent, margin_bytes = self.margin(filesystem)
        directory, digest = self.directory() if content == "directory" else ("", "")
        return Partition(
            name=self.name,
            place=node.key_place,
            filesystem=filesystem,
            size_bytes=size_bytes,
            margin_percent=margin_percent,
            margin_bytes=margin_bytes,
            type=self.checked("type", lambda text: self.type(text, filesystem)),
            label=self.label(filesystem),
            uuid=self.uuid(filesystem),
            source=self.source(filesystem) if content == "from" else "",
            artifact=text_of(node.get("artifact")) if content == "artifact" else "",
            directory=directory,
            directory_digest=digest,
            is_bootable=is_true(node.get("bootable")),
        )

    def checked(self, key: str, read: Callable[[str], str]) -> str:
        """Return what `read` makes of the text under a key, empty for nothing."""
        child = self.node.get(key)
        return (
            (self.reader.told(child, read) or "")
            if child is not None and isinstance(child.value, str)
            else ""
        )

    def type(self, text: str, filesystem: FileSystem) -> str:
        """Return the type of the table. Raises ValueError, also where firmware could not read the partition."""
        found = type_of(text, self.table)
        if found == EFI_SYSTEM[self.table] and filesystem != "vfat":
            raise ValueError(f"firmware reads no {filesystem or 'empty partition'}: an esp is a vfat")
        return found

    def content(self, filesystem: FileSystem) -> str:
        """Return the key that says what the partition holds, empty for nothing."""
        given = [key for key in _CONTENT_KEYS if self.node.get(key) is not None]
        report = self.reader.report
        if len(given) > 1:
            second = self.node.get(given[1])
            assert second is not None
            report.problem(
                second.key_place, f"both '{given[0]}' and '{given[1]}'", "a partition holds one of them"
            )
        for key in given:
            child = self.node.get(key)
            assert child is not None
            if filesystem == "swap":
                report.problem(child.key_place, "a swap partition holds nothing", "leave it out")
            elif not filesystem:
                report.problem(
                    child.key_place, "a partition without a file system holds nothing", "add filesystem: ext4"
                )
        return given[0] if given and filesystem not in {"", "swap"} else ""

    def size(self) -> int | None:
        """Return the size, None for auto."""
        node = self.node.get("size")
        size = self.reader.size(node)
        report = self.reader.report
        if node is None or node.text == "auto":
            if not any(self.node.get(key) for key in _CONTENT_KEYS):
                place = self.node.key_place if node is None else node.place
                report.problem(place, "a partition that holds nothing needs a size", "like size: 64MiB")
            return None
        if size is not None and size < SMALLEST_PARTITION_BYTES:
            hint = "at least 1MiB"
            report.problem(node.place, f"a partition of {node.text} is too small", hint)
            return None
        margin = self.node.get("margin")
        if size is not None and margin is not None:
            report.problem(margin.key_place, "'margin' goes with size: auto", "keep one of size and margin")
        return size

    def margin(self, filesystem: FileSystem) -> tuple[int, int]:
        """Return percent and bytes: a margin of one kind has nothing of the other."""
        node = self.node.get("margin")
        if node is None:
            return (0, 0) if filesystem == "squashfs" else (MARGIN_PERCENT, MARGIN_BYTES)
        if filesystem == "squashfs":
            self.reader.report.problem(node.key_place, "a squashfs cannot be written to, so it has no margin")
        if node.text == "0":
            return 0, 0
        share = self.reader.told(node, lambda text: (percent(text),))
        if share is not None and share[0] is not None:
            return share[0], 0
        size = self.reader.told(node, _margin_bytes) if share is not None else None
        return (0, size) if size is not None else (MARGIN_PERCENT, MARGIN_BYTES)

    def label(self, filesystem: FileSystem) -> str:
        """Return the label, empty for none; one that does not fit is reported."""
        node = self.node.get("label")
        if node is None or not isinstance(node.value, str):
            return ""
        what, hint = label_problem(node.text, filesystem)
        if what:
            self.reader.report.problem(node.place, what, hint)
        return node.text

    def uuid(self, filesystem: FileSystem) -> str:
        """Return the UUID or serial number, empty for one that is made of the names."""
        node = self.node.get("uuid")
        if node is not None and filesystem in {"", "squashfs"}:
            what = f"{'a squashfs' if filesystem else 'what has no file system'} has no UUID"
            self.reader.report.problem(node.key_place, what, "@PARTUUID:name@ is that of the partition")
            return ""
        return self.checked("uuid", lambda text: uuid_of(text, filesystem))

    def source(self, filesystem: FileSystem) -> str:
        """Return the path of the image that the partition holds."""
        node = self.node.get("from")
        assert node is not None
        path = self.reader.path(node)
        report = self.reader.report
        mount = self.reader.is_mounted(path) if path else ""
        if path == "/" and filesystem == "vfat":
            report.problem(
                node.place, "FAT keeps neither owners nor links: no system runs from it", "filesystem: ext4"
            )
        elif path and path.split("/")[1] in _RUNTIME:
            report.problem(node.place, f"{path} is the kernel's and empty in every image")
        elif mount:
            hint = "copy it into the image, or publish it as repo and name that: artifact: NAME"
            report.problem(node.place, f"{path} is in no image: the steps have {mount} mounted", hint)
        return path

    def directory(self) -> tuple[str, str]:
        """Return a directory of the workspace and the digest of what is in it."""
        node = self.node.get("directory")
        assert node is not None
        reader = self.reader
        if not isinstance(node.value, str):
            return "", ""
        if node.text.startswith("/") and not reader.workspace.is_inside(node.text):
            hint = "copy or link it into the workspace: what a disk holds is kept with the tree"
            reader.report.problem(node.place, f"{node.text} is outside the workspace", hint)
            return "", ""
        written = self.written_by_runs(node.text)
        if written:
            what = f"each run writes to {written}, so a disk with this folder is never done"
            reader.report.problem(node.place, what, "name a folder that holds nothing else")
            return "", ""
        kind = usable_path(node, reader.workspace, reader.report)
        if not kind:
            tell_missing(node, reader.workspace, reader.report)
        elif kind not in {"directory", "bad"}:
            reader.report.problem(node.place, f"{node.text} is not a folder", "name the folder it is in")
        if kind != "directory":
            return "", ""
        return reader.workspace.shown(node.text), reader.workspace.directory_digest(node.text, node.place)

    def written_by_runs(self, folder: str) -> str:
        """Return the directory of logs or artifacts that lies in `folder` or around it, empty for neither."""
        workspace, settings = self.reader.workspace, self.reader.scope.settings
        wanted = workspace.absolute(folder) + "/"
        for name, usual in (("ARTIFACTS_DIR", "artifacts"), ("LOG_DIR", "logs")):
            setting = settings.get(name)
            own = (setting.value if setting is not None else "") or usual
            path = workspace.absolute(own) + "/"
            if path.startswith(wanted) or wanted.startswith(path):
                return own
        return ""


def _margin_bytes(text: str) -> int:
    """Return bytes of a margin. Raises ValueError: no size, or a few bytes, which were meant as something else."""
    if text.strip().isdecimal() and int(text) < 1 << 20:
        raise ValueError(f"a margin of {text} bytes; did you mean {text}% or {text}MiB?")
    return exact_bytes(text)


LABEL_MAX = {"vfat": 11, "ext4": 16, "swap": 15}
"""Bytes of a label: FAT's directory entry; ext4's superblock; swap's header, less the NUL that mkswap wants."""

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\Z")
_SERIAL = re.compile(r"[0-9A-F]{4}-?[0-9A-F]{4}\Z")
_MBR_TYPE = re.compile(r"[0-9a-f]{2}\Z")
_NOT_IN_FAT = re.compile(r"[\"*+,./:;<=>?\[\\\]|\x00-\x1f]")


def label_problem(text: str, filesystem: FileSystem) -> tuple[str, str]:
    """Return what is wrong with a label and what to do; both empty where nothing is."""
    if filesystem not in LABEL_MAX:
        return f"{filesystem or 'a partition without a file system'} has no label", "leave it out"
    limit = LABEL_MAX[filesystem]
    if not text or len(text.encode()) > limit:
        return (
            f"the label '{text}' has {len(text.encode())} characters; {filesystem} has room for 1 to {limit}",
            "",
        )
    if filesystem == "vfat":
        if not text.isascii() or _NOT_IN_FAT.search(text) or text != text.strip():
            return f"'{text}' is not a FAT label", "A-Z, 0-9, _ and -, with blanks between them"
        if text != text.upper():
            return (
                f"the label '{text}' has small letters, which not every system finds on a FAT",
                f"write {text.upper()}",
            )
    if not text.isprintable():
        return f"the label {text!r} holds what no terminal can show", ""
    return "", ""


def uuid_of(text: str, filesystem: FileSystem = "") -> str:
    """Return the UUID of a file system, a disk or a partition; of a FAT its serial number, `1A2B-3C4D`.

    Raises:
        ValueError: it has not the form; the text says which.
    """
    if filesystem == "vfat":
        serial = text.upper()
        if not _SERIAL.match(serial) or int(serial.replace("-", ""), 16) == 0:
            raise ValueError(f"'{text}' is not a FAT serial number: 1A2B-3C4D, eight digits of 0-9A-F")
        return f"{serial[:4]}-{serial[-4:]}"
    lower = text.lower()
    if not _UUID.match(lower) or not int(lower.replace("-", ""), 16):
        raise ValueError(f"'{text}' is not a UUID: 8-4-4-4-12 digits of 0-9a-f, as uuidgen prints them")
    return lower


def type_of(text: str, table: str) -> str:
    """Return a partition's type as its table has it: `0c`, or a GUID; `esp` is the EFI system partition.

    Raises:
        ValueError: it has not the form, or is none of a partition with data; the text says so.
    """
    lower = text.lower()
    if lower == "esp":
        return EFI_SYSTEM[table]
    if table == "gpt":
        if not _UUID.match(lower):
            raise ValueError(f"'{text}' is not a GPT partition type (a GUID); leave it out for the usual one")
        return lower
    lower = lower.removeprefix("0x")
    if not _MBR_TYPE.match(lower):
        raise ValueError(f"'{text}' is not an MBR partition type: two digits of 0-9a-f, like \"0c\"")
    if lower in EXTENDED:
        raise ValueError(
            f"'{text}' is an extended partition, which is not made; more than four need table: gpt"
        )
    if lower in {"00", PROTECTIVE}:
        raise ValueError(f"'{text}' marks no partition; leave it out for the usual type")
    return lower
