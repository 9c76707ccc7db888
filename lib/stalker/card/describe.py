"""Describe a finished image, compress it, and publish it at OUTPUT."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from stalker import __version__
from stalker.card.inject.image_file import OUT
from stalker.card.output import PACKED, companions, publish, remove_descriptions
from stalker.disk.checksums import checksum_lines, sha256_of
from stalker.disk.inspect import manifest_beside, read_disk
from stalker.disk.manifest import Manifest, PublishedFile, write_manifest
from stalker.disk.pack import pack
from stalker.disk.roles import ROLES
from stalker.errors import StalkerError
from stalker.io.atomic import write_file
from stalker.io.progress import Task

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from stalker.card.assemble import Assembled, Ingredients
    from stalker.card.output import OutputPlan
    from stalker.disk.inspect import DiskFacts
    from stalker.io.progress import Reporter
    from stalker.model.card import Creation
    from stalker.toolbox.container import Tool

ENDINGS = {kind: ending for ending, kind in PACKED.items()}


def describe(
    creation: Creation, ingredients: Ingredients, assembled: Assembled, name: str, mtime_s: int
) -> Manifest:
    """Inspect an image and return its manifest: what it was made of, and its partitions.

    Of a base with a manifest the names of its partitions are kept, and how it is booted; what its boot test
    expects is not, for the machine may have another name now.

    Raises:
        StalkerError: the image is not as it was assembled: a defect of stalker.
    """
    inputs = {"configuration": hashlib.sha256(creation.text.encode()).hexdigest(), **ingredients.digests}
    if "base" not in inputs:
        about = ingredients.base.stat()
        inputs["base"] = f"{ingredients.base.name}, {about.st_size} bytes"
    facts = read_disk(assembled.image)
    _check_frame(facts, assembled)
    names = {one.entry.number: role for role, one in assembled.partitions.items() if role in ROLES}
    of_base = manifest_beside(ingredients.base)
    known = {one["number"]: one for one in (of_base.disk.get("partitions") or () if of_base else ())}
    names |= {number: one["name"] for number, one in known.items()}
    test = of_base.boot.get("test") if of_base is not None else None
    listed = "\n".join(f"{one}={inputs[one]}" for one in sorted(inputs))
    return Manifest(
        tree="",
        artifact=name,
        kind="image",
        fingerprint=hashlib.sha256(listed.encode()).hexdigest(),
        inputs=inputs,
        proof_inputs={},
        step="",
        image="",
        run="",
        made_at=datetime.fromtimestamp(mtime_s, UTC).isoformat(timespec="seconds"),
        files=(),
        tools={"stalker": __version__},
        boot={"test": {**test, "expectations": []}} if test else {},
        disk={
            "table": facts.table.kind,
            "disk_id": facts.table.disk_id,
            "size_bytes": facts.size_bytes,
            "partitions": [
                {
                    "number": one.entry.number,
                    "name": names.get(one.entry.number, str(one.entry.number)),
                    "filesystem": "vfat" if one.filesystem.kind.startswith("fat") else one.filesystem.kind,
                    "label": one.filesystem.label,
                    "uuid": one.filesystem.uuid,
                    "partuuid": one.entry.uuid,
                    "type": one.entry.type,
                    "start_bytes": one.start_bytes,
                    "size_bytes": one.size_bytes,
                    "used_bytes": one.filesystem.used_bytes,
                    "entries": 0,
                    "source": known.get(one.entry.number, {}).get("source", ""),
                }
                for one in facts.partitions
            ],
        },
    )


def _check_frame(facts: DiskFacts, assembled: Assembled) -> None:
    """Raise StalkerError when the table is not sound, or has not the partitions that were written."""
    if facts.table.problems:
        problems = "; ".join(facts.table.problems)
        raise StalkerError(f"{assembled.image} has no sound partition table now", problems)
    written = {(one.entry.number, one.start_bytes, one.size_bytes) for one in assembled.partitions.values()}
    read = {(one.entry.number, one.start_bytes, one.size_bytes) for one in facts.partitions}
    if written != read or facts.size_bytes != assembled.layout.image_bytes:
        raise StalkerError(f"{assembled.image} has other partitions than were written", f"{sorted(read)}")


def publish_image(
    image: Path,
    output: OutputPlan,
    about: Manifest,
    tool: Callable[[], Tool],
    reporter: Reporter,
    mtime_s: int,
) -> None:
    """Compress an image if its format says so, and publish it at OUTPUT with its manifest.

    A compressed image gets a checksum file. A raw one would have to be read again for that.

    Raises:
        PlanError: another process created OUTPUT meanwhile, and nothing may be replaced.
        StalkerError: no space, or OUTPUT cannot be written; what was there stays.
    """
    path, digest = output.path, ""
    if output.format != "img":
        stem = path.name.removesuffix(ENDINGS[output.format])
        plain = image.with_name(f"{stem}.img")
        image.rename(plain)
        (image,) = pack(plain, (output.format,), tool(), OUT, reporter, max(mtime_s, 1))
        plain.unlink()
        digest = sha256_of(image, Task("reading it again", reporter, image.stat().st_size).add)
    size_bytes = image.stat().st_size
    file = PublishedFile(path.name, size_bytes, digest)
    manifest, checksum = companions(path)

    def describe_it() -> None:
        remove_descriptions(path, reporter.say, rewritten=(manifest, checksum) if digest else (manifest,))
        write_manifest(path.parent, replace(about, files=(file,)), manifest.name)
        if digest:
            write_file(checksum, checksum_lines([file]))

    on_bytes = Task("copying it to its place", reporter, size_bytes).add
    publish(image, path, on_bytes, reporter.check, overwrites=output.overwrites, then=describe_it)
