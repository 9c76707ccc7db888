"""The files of an artifact, written into a new folder: a tar, a repository, a disk."""

from __future__ import annotations

import contextlib
import secrets
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from stalker.engine.interface import ContainerSpec
from stalker.errors import EngineError, StalkerError
from stalker.image.artifact import packing_of, plan_target, written
from stalker.image.content import Content
from stalker.image.export import check_boot
from stalker.image.patterns import path_bytes
from stalker.image.tarstream import filter_tar
from stalker.image.unpack import unpack
from stalker.image.unpacked import tar_for
from stalker.model import labels
from stalker.model.artifacts import Disk, Files, Repo, Rootfs, tars_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from stalker.image.content import Watcher
    from stalker.image.tarheader import Header
    from stalker.image.workshop import Progress, Workshop
    from stalker.model.artifacts import Artifact, Partition
    from stalker.model.images import Image
    from stalker.plan.artifacts import ArtifactAction

    Piece = tuple[int, bytes | memoryview]


@dataclass(frozen=True, slots=True)
class Produced:
    """What was written: names in the folder, those of a repository with slashes, and facts for the manifest."""

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
        case Disk():
            from stalker.image.disk import make_disk  # late: what it needs is only loaded for a disk

            def tar_of(partition: Partition) -> Iterator[bytes]:
                latest_s = int(image.created_s) if artifact.epoch_s is None else artifact.epoch_s
                return tar_for(partition, artifact, folder.parent, workshop, latest_s)

            made = make_disk(artifact, image, folder, workshop, watchers, tar_of)
            return Produced(tuple(path.name for path in made.files), made.facts)


def look_through(artifact: Artifact, image: Image, workshop: Workshop, watchers: Sequence[Watcher]) -> None:
    """Show an artifact's members to watchers without writing anything."""
    progress = workshop.progress(artifact.id)
    progress.begin("looking at its files", workshop.engine.rootfs_bytes(image.id))
    kind = artifact.kind
    disk_parts = (one.source for one in kind.partitions if one.source) if isinstance(kind, Disk) else ()
    parts = tuple(disk_parts) or ("/",)
    for _, data in _members(artifact, image, workshop, watchers, parts):
        progress.add(len(data))


def _tar(
    artifact: Artifact, image: Image, folder: Path, workshop: Workshop, watchers: Sequence[Watcher]
) -> Produced:
    names = tars_of(artifact)
    progress = workshop.progress(artifact.id)
    progress.begin(f"writing {' and '.join(names)}", workshop.engine.rootfs_bytes(image.id))
    content = _content(artifact, image, workshop, watchers, ("/", "/boot")[: len(names)])
    with written([plan_target(f"{folder}/{name}") for name in names]) as files:
        writers = [file.write for file in files]
        for part, data in _stream(content, image, workshop):
            writers[part](data)
            progress.add(len(data))
        if len(names) > 1:
            check_boot(content, 1)
        progress.begin(f"packing the rest of {' and '.join(names)}")
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
    """Unpack a folder as the steps saw it, with the stalk's mounts, all of them read-only."""
    artifact = action.artifact
    progress = workshop.progress(artifact.id)
    progress.begin(f"writing {repo.folder}/")
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
        _unpack_repo(artifact, repo, image, container, folder, workshop, progress)
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
    progress: Progress,
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
        unpack((data for _, data in stream), folder / repo.folder, progress.add)
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
