"""Use cases on what is released: what changed since the last one, and its bill of materials."""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from stalker import __version__
from stalker.artifacts.packages import Packages
from stalker.disk.manifest import NAME, BadManifest, read_manifest
from stalker.errors import EngineError, InputError, PlanError
from stalker.history.changes import changes_between
from stalker.history.components import Subject, components_of, os_release
from stalker.history.sbom import cyclonedx, spdx
from stalker.history.system import read_system
from stalker.model.labels import FINGERPRINT

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from stalker.artifacts.packages import Package
    from stalker.disk.manifest import Manifest
    from stalker.engine.interface import Engine
    from stalker.history.changes import Changes
    from stalker.history.components import Component
    from stalker.history.system import System
    from stalker.model.images import Image
    from stalker.model.tree import Tree


def manifest_of(text: str) -> Manifest | None:
    """Return the manifest of a published version by its directory; None where that is not one.

    Raises:
        PlanError: the directory has a manifest that cannot be used.
    """
    directory = Path(text)
    if not (directory / NAME).is_file():
        return None
    try:
        return read_manifest(directory)
    except BadManifest as error:
        raise PlanError(f"{directory}: {error}") from error


def system_of(engine: Engine, image: str) -> System:
    """Read an image's root file system. Raises EngineError."""
    stream: Generator[bytes, None, None] = engine.export(image)  # type: ignore[assignment]
    with contextlib.closing(stream) as chunks:
        try:
            return read_system(chunks)
        except InputError as error:
            raise EngineError(f"the export of {image} is not whole", error.brief, "try again") from error


def packages_in(system: System) -> tuple[Package, ...]:
    """Return the installed packages of a system."""
    packages = Packages()
    for path, header in system.headers.items():
        content = system.contents.get(path)
        packages.see(path, header, content)
    return packages.all()


def compare_systems(engine: Engine, old: str, new: str) -> Changes:
    """Compare two images by id, both read at once. Raises EngineError."""
    with ThreadPoolExecutor(2, thread_name_prefix="stalker-changes") as pool:
        before, after = pool.map(lambda image: system_of(engine, image), (old, new))
    versions = [_versions(packages_in(system)) for system in (before, after)]
    return changes_between(before, after, versions[0], versions[1])


def _versions(packages: tuple[Package, ...]) -> dict[str, str]:
    """Return versions by name; with the architecture where a package is installed for several."""
    counts = Counter(one.name for one in packages)
    return {
        one.name if counts[one.name] == 1 else f"{one.name}:{one.architecture}": one.version
        for one in packages
    }


def image_of(
    engine: Engine,
    text: str,
    tree: Tree | None,
    find: Callable[[Engine, str, Tree | None], tuple[str, Image]],
) -> tuple[str, Image]:
    """Return the name and the image that a REF or the directory of a published version means. Raises PlanError."""
    manifest = manifest_of(text)
    if manifest is None:
        name, image = find(engine, text, tree)
        return name, engine.image(image.id) or image
    found = engine.image(manifest.image)
    if found is None:
        raise PlanError(f"the image of {text} is missing", manifest.image, "name an image that exists")
    return manifest.artifact, found


def bill_of(engine: Engine, name: str, image: Image, epoch_s: int | None) -> tuple[Subject, list[Component]]:
    """Return what a bill of materials of an image is of, and its components. Raises EngineError."""
    system = system_of(engine, image.id)
    release = os_release(system)
    fingerprint = image.labels.get(FINGERPRINT, "") or image.id
    subject = Subject(
        name=name,
        version=fingerprint.removeprefix("sha256:")[:12],
        key=fingerprint,
        created_s=int(image.created_s) if epoch_s is None else epoch_s,
        distribution=release.get("ID", ""),
        release=release.get("VERSION_ID", ""),
    )
    return subject, components_of(system, packages_in(system))


def bill_texts(
    engine: Engine, name: str, image: Image, epoch_s: int | None, forms: Sequence[str]
) -> tuple[dict[str, str], int]:
    """Return by form the bills of materials of an image as JSON in ASCII, and how many packages they have.

    `epoch_s` is their time, None for that of the image. Raises EngineError.
    """
    subject, components = bill_of(engine, name, image, epoch_s)
    makers = {"cyclonedx": cyclonedx, "spdx": spdx}
    documents = {form: makers[form](subject, components, __version__) for form in forms}
    texts = {form: json.dumps(one, indent=2, ensure_ascii=True) + "\n" for form, one in documents.items()}
    return texts, len(components)
