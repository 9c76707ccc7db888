"""What remains of a build that succeeded: a tag for its last image, and published files.

    <storage>/<project>/<name>            a file, under the name of its version
    <storage>/<project>/<link>            a symbolic link to the newest

Both appear by rename: a reader sees the old one or the new one, and a kill leaves nothing half. Doing it twice
gives the same.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from stalker.app.environment import connect
from stalker.config.tree.bases import as_tag
from stalker.errors import StalkerError
from stalker.io.atomic import replace_link, replacing, sync_path
from stalker.model.service import fill
from stalker.service.store.builds import branch_of
from stalker.service.store.files import File

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from stalker.model.service import Project, Published
    from stalker.service.store.builds import Build

_CHUNK = 1 << 20


def fields(build: Build, *, raw: bool = False) -> Mapping[str, str]:
    """Return the fields for texts of the configuration; `raw` keeps the branch as it is written."""
    branch = branch_of(build.ref)
    return {
        "project": build.project,
        "branch": branch if raw else as_tag(branch),
        "commit": build.commit,
        "ref": build.ref if raw else as_tag(build.ref),
        "build": build.id,
    }


def tag_image(build: Build, project: Project, image: str) -> str:
    """Give the last image of a build the project's tag; return the name, empty where the project has none."""
    if not project.tag:
        return ""
    if not image:
        raise StalkerError(
            "the tree has no step whose image could be tagged", "", f"remove tag of {project.name}"
        )
    name = fill(project.tag, fields(build))
    engine = connect()
    try:
        engine.tag(image, name)
    finally:
        engine.close()
    return name


def publish(build: Build, project: Project, artifacts: Path, storage: Path) -> list[File]:
    """Copy the project's files out of `artifacts/<tree>` into the storage.

    Raises:
        StalkerError: the tree made no such file, or it made several.
    """
    target = storage / project.name
    return [_publish(build, project, one, artifacts / project.tree, target) for one in project.publish]


def _publish(build: Build, project: Project, one: Published, artifacts: Path, target: Path) -> File:
    source = _find(artifacts, one.file, project)
    target.mkdir(parents=True, exist_ok=True)
    name, link = fill(one.name, fields(build)), fill(one.link, fields(build))
    size_bytes, digest = _copy(source, target / name)
    if link and link != name:
        replace_link(target / link, name)
        sync_path(target)
    return File(build.id, project.name, name, link, size_bytes, digest)


def _find(artifacts: Path, file: str, project: Project) -> Path:
    """Return `<stalk>/<artifact>/<file>`, by the links to the newest versions."""
    found = [path for path in _candidates(artifacts, file) if path.is_file()]
    if len(found) == 1:
        return found[0]
    if not found:
        raise StalkerError(
            f"the tree {project.tree} published no file {file}", "", f"correct publish of {project.name}"
        )
    names = "\n".join(sorted(str(path.relative_to(artifacts)) for path in found))
    raise StalkerError(f"several artifacts have a file {file}", names, "give them different names")


def _candidates(artifacts: Path, file: str) -> Iterable[Path]:
    for link in sorted(artifacts.glob("*/*")):
        if link.is_symlink():
            yield link / file


def _copy(source: Path, target: Path) -> tuple[int, str]:
    """Copy a file whole or not at all; return its size and SHA-256."""
    digest, size_bytes = hashlib.sha256(), 0
    with source.open("rb") as reader, replacing(target) as writer:
        while chunk := reader.read(_CHUNK):
            digest.update(chunk)
            size_bytes += writer.write(chunk)
    return size_bytes, digest.hexdigest()
