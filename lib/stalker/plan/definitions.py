"""What an artifact is, field by field: what decides its files, and what decides whether it is published."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from stalker.model.artifacts import Artifact, BootTest, Disk, Files, Repo, Rootfs
from stalker.plan.fingerprint import digest, shown

FORMAT = "1"
"""Changes when the files of an artifact change for the same definition."""


def definition(artifact: Artifact, tree: str) -> dict[str, str]:
    """Return what of an artifact's definition decides its files, field by field; no secret's value."""
    found = {
        "format": FORMAT,
        "name": f"{tree} {artifact.id}",  # what identifies a disk is made of the names
        "exclude": "\n".join(artifact.exclude),
        "SOURCE_DATE_EPOCH": "" if artifact.epoch_s is None else str(artifact.epoch_s),
    }
    for write in artifact.writes:
        found[f"write {write.path}"] = f"{write.mode:04o} {digest(write.content)}"
    kind = artifact.kind
    match kind:
        case Rootfs():
            found |= {"kind": "rootfs", "file": kind.file, "boot": kind.boot_file}
        case Files():
            found |= {"kind": "files", "file": kind.file, "paths": "\n".join(kind.paths)}
        case Repo():
            found |= {"kind": "repo", "folder": kind.folder, "from": kind.path}
        case Disk():
            found |= {"kind": "disk", **_disk(kind)}
    return {name: value for name, value in found.items() if value}


def _disk(disk: Disk) -> dict[str, str]:
    found = _plain(disk, "partitions", "size_words")
    found["partitions"] = " ".join(one.name for one in disk.partitions)
    for one in disk.partitions:
        own = _plain(one, "name", "directory_digest")
        found[f"partition {one.name}"] = " ".join(f"{key}={value}" for key, value in own.items())
        if one.directory:
            found[f"directory {one.directory}"] = one.directory_digest
    return found


def proof(artifact: Artifact) -> dict[str, str]:
    """Return what decides whether an artifact may be published, field by field."""
    found: dict[str, str] = {}
    if artifact.gates is not None:
        found["gate"] = "on"
        found["gate setuid"] = " ".join(artifact.gates.setuid)
        found |= {f"gate {name}": f"waived: {reason}" for name, reason in artifact.gates.waived}
    if artifact.boot_test is not None:
        found |= _test(artifact.boot_test)
    return {name: value for name, value in found.items() if value}


def _test(test: BootTest) -> dict[str, str]:
    found = {f"test {name}": value for name, value in _plain(test, "expectations").items()}
    for number, one in enumerate(test.expectations, 1):
        found[f"test {number:03d}"] = " ".join(f"{key}={value}" for key, value in _plain(one).items())
    return found


def _plain(thing: Any, *but: str) -> dict[str, str]:
    """Return the fields of a dataclass as text, without places and those that are empty."""
    found: dict[str, str] = {}
    for one in fields(thing):
        value = getattr(thing, one.name)
        if one.name in {"place", *but} or value in ("", None, ()):
            continue
        text = "\n".join(value) if isinstance(value, tuple) else str(value)
        found[one.name.removesuffix("_bytes").replace("_", " ")] = shown(text)
    return found
