"""A finished image packed, described and put in the place of OUTPUT."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from stalker import __version__
from stalker.image.checksums import checksum_lines, sha256_of
from stalker.image.edit.injecting import OUT, late_tool
from stalker.image.edit.output import PACKED, companions, publish
from stalker.image.formats import pack
from stalker.image.manifest import Manifest, PublishedFile, write_manifest
from stalker.image.readback import manifest_beside, read_disk

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from stalker.image.edit.assemble import Assembled, Ingredients
    from stalker.image.edit.injecting import Told
    from stalker.image.toolbox import Toolbox
    from stalker.model.creation import Creation, OutputFormat

ENDINGS = {kind: ending for ending, kind in PACKED.items()}


def describe(
    creation: Creation, ingredients: Ingredients, made: Assembled, name: str, mtime_s: int
) -> Manifest:
    """Return what is known of an image: what it was made of, and its partitions as they are now.

    Of a base with a manifest the names of its partitions are kept, and how it is booted; what is expected then is
    not, for the machine may have another name now.
    """
    inputs = {"configuration": hashlib.sha256(creation.text.encode()).hexdigest(), **ingredients.digests}
    if "base" not in inputs:
        about = ingredients.base.stat()
        inputs["base"] = f"{ingredients.base.name}, {about.st_size} bytes"
    facts = read_disk(made.image)
    names = {one.entry.number: role for role, one in made.roles.items() if not role.isdigit()}
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


def finish(
    image: Path,
    output: Path,
    kind: OutputFormat,
    about: Manifest,
    toolbox: Callable[[], Toolbox],
    told: Told,
    mtime_s: int,
    *,
    overwrites: bool = True,
) -> None:
    """Pack an image if it is to be, and put it in the place of OUTPUT, its manifest beside it.

    A packed one gets its checksum beside it. Of a raw one each byte would have to be read again for that.

    Raises:
        PlanError: something has come to stand there, and nothing is to be replaced.
        StalkerError: there is no room, or OUTPUT cannot be written; what stood there stays.
    """
    digest = ""
    if kind != "img":
        stem = output.name.removesuffix(ENDINGS[kind])
        plain = image.with_name(f"{stem}.img")
        image.rename(plain)
        with late_tool(toolbox, image.parent) as tool:
            (image,) = pack(plain, (kind,), tool(), OUT, _Progress(told), max(mtime_s, 1))
        plain.unlink()
        digest = sha256_of(image, told.adder("reading it again", image.stat().st_size))
    size_bytes = image.stat().st_size
    file = PublishedFile(output.name, size_bytes, digest)
    manifest, checksum = companions(output)
    is_old_ours = _tells_of_ours(output, checksum)

    def describe_it() -> None:
        write_manifest(output.parent, replace(about, files=(file,)), manifest.name)
        if digest:
            _write(checksum, checksum_lines([file]))
        elif is_old_ours:
            checksum.unlink(missing_ok=True)

    on_bytes = told.adder("copying it to its place", size_bytes)
    publish(image, output, on_bytes, told.check, overwrites=overwrites, then=describe_it)


def _tells_of_ours(output: Path, checksum: Path) -> bool:
    """Say whether a checksum was written by us, for the image that is about to go."""
    manifest = manifest_beside(output)
    if manifest is None or not checksum.is_file():
        return False
    return checksum.read_text(encoding="utf-8", errors="replace") == checksum_lines(manifest.files)


class _Progress:
    """Progress as the packers tell it."""

    def __init__(self, told: Told) -> None:
        self._told = told
        self._add: Callable[[int], None] = lambda _: None

    def begin(self, doing: str, total_bytes: int | None = None) -> None:
        """Say what is done now: a packer does not tell how far it is."""
        self._told.say(doing)
        self._add = self._told.adder(doing, total_bytes or 0)

    def add(self, count: int) -> None:
        """Say that so many more bytes are done."""
        self._told.check()
        self._add(count)


def _write(path: Path, text: str) -> None:
    passing = path.with_name(f".{path.name}.part")
    with passing.open("w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    passing.replace(path)
