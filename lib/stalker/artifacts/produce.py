"""The files of an artifact, written into a new directory: a tar, a repository, a disk.

Published files read again: a packed tar for a partition, a packed disk for a boot test.
"""

from __future__ import annotations

import contextlib
import secrets
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from stalker.artifacts.repository import unpack
from stalker.engine.interface import ContainerSpec
from stalker.errors import EngineError, StalkerError
from stalker.formats.tar.from_directory import tar_of_folder
from stalker.formats.tar.stream import filter_tar
from stalker.io.compression.reader import unpacked
from stalker.io.compression.writer import packing_of, plan_target, written
from stalker.io.progress import Task
from stalker.io.sparse import nothing, unpack_base
from stalker.model import labels
from stalker.model.artifacts import Disk, Files, Repo, Rootfs, tars_of
from stalker.plan.artifacts import LIKE
from stalker.rootfs.export import check_boot
from stalker.rootfs.filter import Content
from stalker.rootfs.patterns import path_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from stalker.artifacts.context import Workshop
    from stalker.formats.tar.header import Header
    from stalker.model.artifacts import Artifact, Partition
    from stalker.model.images import Image
    from stalker.plan.plan import ArtifactAction
    from stalker.rootfs.filter import Watcher

    Piece = tuple[int, bytes | memoryview]
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class Produced:
    """What was written: names in the directory, those of a repository with slashes, and facts for the manifest."""

    names: tuple[str, ...]
    disk: dict[str, Any] = field(default_factory=dict)


def check_can_be_packed(artifacts: Sequence[Artifact]) -> None:
    """Find out before anything runs whether files with these endings can be written here. Raises PlanError."""
    for artifact in artifacts:
        for name in tars_of(artifact):
            packing_of(name)


def produce(
    action: ArtifactAction, image: Image, folder: Path, workshop: Workshop, watchers: Sequence[Watcher]
) -> Produced:
    """Write the files of an artifact into `folder`.

    Raises:
        StalkerError: the image has not what is asked for, or a file could not be written.
    """
    artifact = action.artifact
    match artifact.kind:
        case Rootfs() | Files():
            return _tar(artifact, image, folder, workshop, watchers)
        case Repo():
            return _repo(action, artifact.kind, image, folder, workshop)
        case Disk() if artifact.kind.like:
            from stalker.artifacts.disk.like_base import base_of, make_like_base  # late, as below

            base = base_of(artifact, action.inputs[LIKE], workshop.tree)
            made = make_like_base(artifact, image, base, folder, workshop, watchers)
            return Produced(tuple(path.name for path in made.files), made.facts)
        case Disk():
            from stalker.artifacts.disk.build import (
                make_disk,  # late: what it needs is only loaded for a disk
            )

            def tar_of(partition: Partition) -> Iterator[bytes]:
                latest_s = int(image.created_s) if artifact.epoch_s is None else artifact.epoch_s
                return tar_for(partition, artifact, folder.parent, workshop, latest_s)

            made = make_disk(artifact, image, folder, workshop, watchers, tar_of)
            return Produced(tuple(path.name for path in made.files), made.facts)


def look_through(artifact: Artifact, image: Image, workshop: Workshop, watchers: Sequence[Watcher]) -> None:
    """Show an artifact's members to watchers without writing anything."""
    reporter = workshop.reporter(artifact.id)
    task = Task("looking at its files", reporter, workshop.engine.rootfs_bytes(image.id))
    kind = artifact.kind
    disk_parts = (one.source for one in kind.partitions if one.source) if isinstance(kind, Disk) else ()
    parts = tuple(disk_parts) or ("/",)
    for _, data in _members(artifact, image, workshop, watchers, parts):
        task.add(len(data))


def _tar(
    artifact: Artifact, image: Image, folder: Path, workshop: Workshop, watchers: Sequence[Watcher]
) -> Produced:
    names = tars_of(artifact)
    reporter = workshop.reporter(artifact.id)
    task = Task(f"writing {' and '.join(names)}", reporter, workshop.engine.rootfs_bytes(image.id))
    content = _content(artifact, image, workshop, watchers, ("/", "/boot")[: len(names)])
    with written([plan_target(f"{folder}/{name}") for name in names]) as files:
        writers = [file.write for file in files]
        for part, data in _stream(content, image, workshop):
            writers[part](data)
            task.add(len(data))
        if len(names) > 1:
            check_boot(content, 1)
        Task(f"packing the rest of {' and '.join(names)}", reporter)
    return Produced(tuple(names))


def _content(
    artifact: Artifact,
    image: Image,
    workshop: Workshop,
    watchers: Sequence[Watcher],
    parts: Sequence[str],
) -> Content:
    return Content(
        artifact,
        made_s=int(image.created_s),
        epoch_s=artifact.epoch_s,
        secrets=workshop.secrets,
        parts=parts,
        watchers=watchers,
    )


def _members(
    artifact: Artifact,
    image: Image,
    workshop: Workshop,
    watchers: Sequence[Watcher],
    parts: Sequence[str],
) -> Iterator[Piece]:
    yield from _stream(_content(artifact, image, workshop, watchers, parts), image, workshop)


def _stream(content: Content, image: Image, workshop: Workshop) -> Iterator[Piece]:
    """Pass an image's export on, the engine's stream closed at the end, whatever happens."""
    chunks = workshop.engine.export(image.id)
    with contextlib.ExitStack() as stack:
        stack.callback(chunks.close)  # type: ignore[attr-defined]  # the promise of Engine.export
        yield from content.stream(chunks, lambda: workshop.engine.export(image.id))


def _repo(action: ArtifactAction, repo: Repo, image: Image, folder: Path, workshop: Workshop) -> Produced:
    """Unpack a directory as the steps saw it, with the stalk's mounts, all of them read-only."""
    artifact = action.artifact
    task = Task(f"writing {repo.folder}/", workshop.reporter(artifact.id))
    stalk = workshop.tree.stalk(artifact.stalk)
    step = stalk.steps[-1] if stalk.steps else None
    mounts = tuple(replace(mount, writable=False) for mount in step.mounts) if step else ()
    spec = ContainerSpec(
        image=image.id,
        name=f"stalker-{artifact.stalk}-{secrets.token_hex(6)}",
        labels={labels.RUN: workshop.run, labels.VERSION: labels.CONTAINER},
        mounts=mounts,
        platform=stalk.platform,
        workspace=workshop.workspace,
    )
    container = workshop.engine.create(spec)
    try:
        _unpack_repo(artifact, repo, image, container, folder, workshop, task)
    finally:
        workshop.engine.remove_container(container)
    root = folder / repo.folder
    names = sorted(
        str(path.relative_to(folder)) for path in root.rglob("*") if path.is_file() and not path.is_symlink()
    )
    if not names:
        raise StalkerError(
            f"{repo.path} is empty", f"{artifact.id} would publish nothing", "make it in a step"
        )
    return Produced(tuple(names))


def _unpack_repo(
    artifact: Artifact,
    repo: Repo,
    image: Image,
    container: str,
    folder: Path,
    workshop: Workshop,
    task: Task,
) -> None:
    top = path_bytes(repo.path)

    def renamed(header: Header) -> Header:
        """Give a member the name that it has in the image: the first part of the engine's is the path's own."""
        link = _below(top, header.link) if header.kind == b"1" else header.link
        return header.renamed(_below(top, header.name), link)

    def chunks() -> Iterator[bytes | memoryview]:
        return filter_tar(workshop.engine.get(container, repo.path), renamed)

    content = Content(artifact, made_s=int(image.created_s), epoch_s=artifact.epoch_s, parts=(repo.path,))
    try:
        stream = content.stream(chunks(), chunks)
        unpack((data for _, data in stream), folder / repo.folder, task.add)
    except EngineError as error:
        if "no such" in error.details.lower() or "could not find" in error.details.lower():
            raise StalkerError(
                f"there is no {repo.path} that {artifact.id} could publish",
                error.details,
                "make it in a step",
            ) from error
        raise


def _below(top: bytes, name: bytes) -> bytes:
    _, slash, rest = name.partition(b"/")
    return top + slash + rest


CHUNK_BYTES = 1 << 18


def tar_for(
    partition: Partition, artifact: Artifact, folder: Path, workshop: Workshop, latest_s: int
) -> Iterator[bytes]:
    """Yield the tar for a partition that holds another artifact of the stalk, or a directory of the workspace.

    `folder` is where the artifacts of the stalk stand.
    """
    if partition.directory:
        source = f"{workshop.workspace}/{partition.directory}"
        yield from tar_of_folder(source, latest_s=latest_s, check=workshop.check)
        return
    others = workshop.tree.stalk(artifact.stalk).artifacts
    other = next(one for one in others if one.name == partition.artifact)
    published = folder / other.name
    match other.kind:
        case Rootfs() | Files():
            yield from plain(published / other.kind.file)
        case Repo():
            repository = str(published / other.kind.folder)
            yield from tar_of_folder(repository, latest_s=latest_s, check=workshop.check)


def plain(path: Path) -> Iterator[bytes]:
    """Yield what is in a file, unpacked. Raises StalkerError."""
    yield from unpacked(path, piece_bytes=CHUNK_BYTES)


@contextlib.contextmanager
def raw_disk(folder: Path, disk: Disk, check: Callable[[], None]) -> Iterator[Path]:
    """Give a raw disk image: the published one, or a sparse file that is unpacked of it and goes again.

    `check` is called now and then and may raise.
    """
    if (folder / disk.file).exists():
        yield folder / disk.file
        return
    stem = disk.file.removesuffix(".img")
    packed = next(folder / f"{stem}.{form}" for form in disk.formats if form not in {"img", "bmap"})
    path = folder / f".{disk.file}.{secrets.token_hex(6)}"
    try:
        with path.open("xb") as target:
            unpack_base(packed, target, nothing, check)
        yield path
    finally:
        path.unlink(missing_ok=True)
