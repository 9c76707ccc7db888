"""Artifacts made, proven and published: what is under the stable name is always whole and proven.

    made in      .<artifact>-<run>.part/, its own directory next to the others; the manifest is written last
    refused      renamed to <artifact>-<digest>.unproven/; the published one stays
    published    renamed to <artifact>-<digest>/, then the link is switched, both by rename; then the
                 older versions go

A kill at any moment leaves the link on a whole version. What a dead run left is swept by the next one
that works on the same artifact, under a lock.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from stalker.artifacts.packages import Packages
from stalker.artifacts.produce import produce
from stalker.artifacts.proof import Proof
from stalker.artifacts.store import (
    DIGITS,
    LINK,
    PART,
    UNPROVEN,
    Shelf,
    checksum_files,
    find_damage,
    held,
    in_use,
    remove,
    shelf_of,
    sweep,
)
from stalker.disk.checksums import sha256_of
from stalker.disk.manifest import (
    BadManifest,
    Manifest,
    PublishedFile,
    read_manifest,
    write_manifest,
)
from stalker.errors import NotThere, StalkerError
from stalker.io.atomic import sync_path
from stalker.io.progress import Task
from stalker.model.artifacts import bill_files

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from stalker.artifacts.context import Workshop
    from stalker.model.images import Image
    from stalker.plan.plan import ArtifactAction

State = Literal["done", "unproven"]


@dataclass(frozen=True, slots=True)
class Made:
    """What became of an artifact: where it stands, its size, and why it was refused if it was."""

    state: State
    folder: Path
    size_bytes: int
    proof: Proof | None = None


@dataclass(frozen=True, slots=True)
class Origin:
    """What a manifest says of where an artifact comes from; the same for all of a stalk."""

    made_of: dict[str, Any] = field(default_factory=dict)
    source: dict[str, Any] = field(default_factory=dict)
    tools: dict[str, str] = field(default_factory=dict)


def make_artifact(
    action: ArtifactAction, workshop: Workshop, cache: Path, origin: Origin, *, wait: bool = False
) -> Made:
    """Make an artifact, or prove the one that is there, and publish it.

    Raises:
        LockHeld: another run works on it, and `wait` is False.
        StalkerError: it could not be made; what was published before stays.
    """
    shelf = shelf_of(workshop.tree, action.artifact, cache)
    with told(shelf.folder):
        shelf.folder.mkdir(parents=True, exist_ok=True)
    with held(shelf, workshop, wait=wait), told(shelf.folder):
        sweep(shelf)
        _refuse_strangers(shelf)
        if action.verdict == "PROVE" and action.version is not None:
            return _prove_again(action, shelf, workshop)
        there = _made_meanwhile(action, shelf)
        return there or _make(action, shelf, workshop, origin)


@contextlib.contextmanager
def told(folder: Path) -> Iterator[None]:
    """Tell of a disk that is full, or a directory that cannot be written, as an error of ours."""
    try:
        yield
    except OSError as error:
        raise StalkerError(
            f"an artifact could not be written to {folder}",
            str(error.strerror or error),
            "free space or fix the permissions there; what was published before stays",
        ) from error


def _refuse_strangers(shelf: Shelf) -> None:
    """Raise StalkerError when something that is not a link of ours has the artifact's name."""
    if shelf.target() is None and (shelf.link.exists() or shelf.link.is_symlink()):
        raise StalkerError(
            f"{shelf.link} is in the way",
            "stalker makes a link of that name, and did not make what is there",
            "move it away, or give the artifact another name",
        )


def _made_meanwhile(action: ArtifactAction, shelf: Shelf) -> Made | None:
    """Return what another run has published since the plan was drawn, if it is just that."""
    target = shelf.target()
    if target is None:
        return None
    with contextlib.suppress(BadManifest):
        manifest = read_manifest(target)
        is_it = (
            manifest.fingerprint == action.fingerprint
            and manifest.image == action.image
            and manifest.proof_inputs == action.proof_inputs
        )
        if is_it and not find_damage(target, manifest, shelf.evidence(target)):
            return Made("done", target, manifest.size_bytes)
    return None


def _make(action: ArtifactAction, shelf: Shelf, workshop: Workshop, origin: Origin) -> Made:
    image = workshop.engine.image(action.image)
    if image is None:
        raise NotThere(f"{action.id}: the image of {action.step} is gone", action.image, "run it again")
    part = shelf.folder / f".{shelf.name}-{workshop.run}{PART}"
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    try:
        with in_use(part):
            manifest, proof = _fill(action, image, part, workshop, origin)
            if manifest.refused:
                return _put_aside(shelf, part, manifest, proof)
            return _publish(shelf, part, manifest, proof)
    finally:
        if part.exists():
            shutil.rmtree(part, ignore_errors=True)


def _fill(
    action: ArtifactAction, image: Image, part: Path, workshop: Workshop, origin: Origin
) -> tuple[Manifest, Proof]:
    """Write all files of a version, prove them, and write the manifest."""
    artifact = action.artifact
    packages = Packages()
    proof = Proof(artifact, workshop)
    produced = produce(action, image, part, workshop, (packages, *proof.watchers))
    names = (*produced.names, *_write_bills(action, image, part, workshop))
    files = _checksums(action, names, part, workshop)
    proof.prove(part, produced.disk, image)
    manifest = Manifest(
        tree=workshop.tree.name,
        artifact=action.id,
        kind=type(artifact.kind).__name__.lower(),
        fingerprint=action.fingerprint,
        inputs=action.inputs,
        proof_inputs=action.proof_inputs,
        step=action.step or "",
        image=action.image,
        run=workshop.run,
        made_at=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        files=files,
        refused=proof.refused,
        source_date_epoch=artifact.epoch_s,
        packages=tuple(_package(one) for one in packages.all()),
        made_of=origin.made_of,
        source=origin.source,
        tools=origin.tools,
        disk=produced.disk,
        gates=proof.findings,
        boot=proof.boot,
    )
    for name, text in checksum_files(manifest).items():
        (part / name).write_text(text, encoding="utf-8", errors="surrogateescape")
        sync_path(part / name)
    write_manifest(part, manifest)
    sync_path(part)
    return manifest, proof


def _write_bills(action: ArtifactAction, image: Image, part: Path, workshop: Workshop) -> tuple[str, ...]:
    """Write the bills of materials of the image that an artifact is made of; return their names."""
    files = bill_files(action.artifact)
    if not files:
        return ()
    assert workshop.bills is not None
    Task("writing the bill of materials", workshop.reporter(action.id))
    texts = workshop.bills(action.artifact, image)
    workshop.check()
    for form, name in files.items():
        (part / name).write_text(texts[form], encoding="ascii")
    return tuple(files.values())


def _package(package: Any) -> dict[str, str]:
    found = {name: getattr(package, name) for name in ("manager", "name", "version", "architecture")}
    return {name: value for name, value in found.items() if value}


def _checksums(
    action: ArtifactAction, names: Sequence[str], part: Path, workshop: Workshop
) -> tuple[PublishedFile, ...]:
    """Bring all files to the disk and compute their checksums, side by side."""
    sizes = {name: (part / name).stat().st_size for name in names}
    task = Task("computing checksums", workshop.reporter(action.id), sum(sizes.values()))

    def one(name: str) -> PublishedFile:
        sync_path(part / name)
        return PublishedFile(name, sizes[name], sha256_of(part / name, task.add))

    with ThreadPoolExecutor(min(4, len(sizes) or 1)) as pool:
        return tuple(pool.map(one, names))


def _publish(shelf: Shelf, folder: Path, manifest: Manifest, proof: Proof) -> Made:
    """Give a whole directory its name, point the link at it, and remove what is older."""
    final = shelf.free_name(manifest.fingerprint)
    folder.rename(final)
    sync_path(shelf.folder)
    evidence = shelf.evidence(final)
    for file in manifest.files:
        evidence.note(file)
    evidence.save()
    link = shelf.folder / f".{shelf.name}-{manifest.run}{LINK}"
    link.unlink(missing_ok=True)
    link.symlink_to(final.name)
    link.replace(shelf.link)
    sync_path(shelf.folder)
    for old in list(shelf.folders()):
        if old != final:
            remove(shelf, old)
    return Made("done", shelf.link, manifest.size_bytes, proof)


def _put_aside(shelf: Shelf, folder: Path, manifest: Manifest, proof: Proof) -> Made:
    """Keep what was refused, for a look at it, and to prove it again without making it again."""
    aside = shelf.folder / f"{shelf.name}-{manifest.fingerprint[:DIGITS]}{UNPROVEN}"
    for old in list(shelf.folders()):
        if old.name.endswith(UNPROVEN):
            remove(shelf, old)
    folder.rename(aside)
    sync_path(shelf.folder)
    return Made("unproven", aside, manifest.size_bytes, proof)


def _prove_again(action: ArtifactAction, shelf: Shelf, workshop: Workshop) -> Made:
    """Ask gates and boot test of files that are there; a published version stays whatever they say."""
    assert action.version is not None
    folder = shelf.folder / os.path.basename(action.version.folder)  # noqa: PTH119
    try:
        manifest = read_manifest(folder)
    except BadManifest as error:
        raise StalkerError(f"{action.id}: {error}", str(folder), "run it again") from error
    proof = Proof(action.artifact, workshop)
    image = workshop.engine.image(action.image)
    if image is None:
        raise NotThere(f"{action.id}: the image of {action.step} is gone", action.image, "run it again")
    if proof.watchers:
        proof.look(image)
    proof.prove(folder, manifest.disk, image)
    is_aside = folder.name.endswith(UNPROVEN)
    if proof.refused and not is_aside:
        return Made("unproven", shelf.link, manifest.size_bytes, proof)
    manifest = replace(
        manifest,
        refused=proof.refused,
        proof_inputs=action.proof_inputs,
        gates=proof.findings,
        boot=proof.boot,
        run=workshop.run,
    )
    write_manifest(folder, manifest)
    sync_path(folder)
    if proof.refused:
        return Made("unproven", folder, manifest.size_bytes, proof)
    if is_aside:
        return _publish(shelf, folder, manifest, proof)
    return Made("done", shelf.link, manifest.size_bytes, proof)
