"""manifest.json: what a version of an artifact is, what it was made of, and what says that it may be used.

It is next to the files, and is the last that is written: a directory without a whole one is not a version.
Its schema is a contract with programs; names may be added, none is taken away.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from stalker.io.atomic import write_file

NAME = "manifest.json"
SCHEMA = 1
MAX_BYTES = 64 << 20
"""A manifest names each file of a repository and each package of an image; more than this is none of ours."""


class BadManifest(Exception):
    """A manifest that is not there, not whole, or not one."""


@dataclass(frozen=True, slots=True)
class PublishedFile:
    """A file: its name in the directory, with slashes in a repository, its size and SHA-256 (hex).

    The latter is empty for a raw image that was created: to read all of it again would take longer than that did.
    """

    name: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What is known of one version.

    `fingerprint` covers `inputs`; `proof_inputs` are the gates and the boot test that were asked. `refused`
    says why it may not be published, empty when it may. `image` is the id of the image that it was made of,
    left by `step`; `made_of` are the base and its verification, the steps before, directories, and the
    files of the tree, with their digests. `disk`, `gates` and `boot` are what was found of it.
    """

    tree: str
    artifact: str
    kind: str
    fingerprint: str
    inputs: dict[str, str]
    proof_inputs: dict[str, str]
    step: str
    image: str
    run: str
    made_at: str
    files: tuple[PublishedFile, ...]
    refused: str = ""
    source_date_epoch: int | None = None
    packages: tuple[dict[str, str], ...] = ()
    made_of: dict[str, Any] = field(default_factory=dict)
    source: dict[str, Any] = field(default_factory=dict)
    tools: dict[str, str] = field(default_factory=dict)
    disk: dict[str, Any] = field(default_factory=dict)
    gates: tuple[dict[str, str], ...] = ()
    boot: dict[str, Any] = field(default_factory=dict)

    @property
    def size_bytes(self) -> int:
        """The size of all files."""
        return sum(file.size_bytes for file in self.files)


def beside(image: Path) -> Path:
    """Return where the manifest of an image stands that has no directory of its own."""
    return image.with_name(f"{image.name}.{NAME}")


def write_manifest(folder: Path, manifest: Manifest, name: str = NAME) -> None:
    """Write a manifest, or put it in place of the one that is there, in one act. Raises OSError."""
    document = {"schema": SCHEMA, **asdict(manifest)}
    data = json.dumps(document, indent=1, ensure_ascii=True).encode() + b"\n"
    write_file(folder / name, data)


def read_manifest(folder: Path, name: str = NAME) -> Manifest:
    """Read a manifest and check that it is one. Raises BadManifest."""
    try:
        with (folder / name).open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise BadManifest(f"{name} cannot be read: {error.strerror}") from error
    try:
        document = json.loads(data) if len(data) <= MAX_BYTES else None
    except ValueError as error:
        raise BadManifest(f"{name} is not whole") from error
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        raise BadManifest(f"{name} is none of this version of stalker")
    known = {one.name for one in fields(Manifest)}
    given = {name: value for name, value in document.items() if name in known}
    try:
        given["files"] = tuple(_file(one) for one in document["files"])
        given["packages"] = tuple(document.get("packages", ()))
        given["gates"] = tuple(document.get("gates", ()))
        manifest = Manifest(**given)
    except (KeyError, TypeError, ValueError) as error:
        raise BadManifest(f"{name} is not whole") from error
    _check_types(manifest)
    return manifest


def _file(found: Any) -> PublishedFile:
    name, size_bytes, sha256 = found["name"], found["size_bytes"], found["sha256"]
    parts = name.split("/")
    is_safe = not ({"", ".", ".."} & set(parts)) and "\0" not in name
    if not (is_safe and isinstance(size_bytes, int) and isinstance(sha256, str) and len(sha256) in {0, 64}):
        raise ValueError(name)
    return PublishedFile(name, size_bytes, sha256)


def _check_types(manifest: Manifest) -> None:
    texts = ("tree", "artifact", "kind", "fingerprint", "step", "image", "run", "made_at", "refused")
    mappings = ("inputs", "proof_inputs", "made_of", "source", "tools", "disk", "boot")
    is_whole = (
        all(isinstance(getattr(manifest, name), str) for name in texts)
        and all(isinstance(getattr(manifest, name), dict) for name in mappings)
        and all(isinstance(one, dict) for one in (*manifest.packages, *manifest.gates))
    )
    if not is_whole:
        raise BadManifest(f"{NAME} is not whole")
