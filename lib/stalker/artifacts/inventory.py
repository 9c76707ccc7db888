"""What there is of artifacts, for a list: state, size, age, and where each stands."""

from __future__ import annotations

import calendar
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from stalker.artifacts.store import shelf_of, stalk_folder
from stalker.disk.manifest import BadManifest, Manifest, read_manifest
from stalker.images.tables import aligned
from stalker.io.units import age_text, size_text
from stalker.plan.artifacts import definition
from stalker.plan.plan import Standing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from stalker.model.artifacts import Artifact, ArtifactId
    from stalker.model.tree import Tree
    from stalker.plan.plan import ArtifactAction, Version

State = Literal["made", "stale", "damaged", "unproven", "missing"]


@dataclass(frozen=True, slots=True)
class Item:
    """One artifact of a tree. `manifest` is that of `folder`, None where nothing is there."""

    tree: str
    artifact: Artifact
    state: State
    reason: str
    folder: Path | None = None
    manifest: Manifest | None = None

    @property
    def made_s(self) -> float | None:
        """When it was made, Unix time."""
        if self.manifest is None:
            return None
        with suppress(ValueError):
            return float(calendar.timegm(time.strptime(self.manifest.made_at, "%Y-%m-%dT%H:%M:%SZ")))
        return None


def take_stock(
    tree: Tree,
    standing: Mapping[ArtifactId, Standing],
    actions: Mapping[ArtifactId, ArtifactAction],
    cache: Path,
) -> list[Item]:
    """Return the artifacts of a tree in the order of its file.

    `actions` say what a run would do; it is empty where no engine answers: then an artifact counts as stale
    only when its definition changed.
    """
    items = []
    for stalk in tree.stalks:
        for artifact in stalk.artifacts:
            found = standing.get(artifact.id) or Standing()
            state, reason, version = _judged(tree, artifact, found, actions.get(artifact.id))
            folder = None
            if version is not None:
                published = version is found.published
                name = Path(version.folder).name
                folder = (
                    shelf_of(tree, artifact, cache).link
                    if published
                    else stalk_folder(tree, stalk.name) / name
                )
            items.append(Item(tree.name, artifact, state, reason, folder, _manifest(folder)))
    return items


def _judged(
    tree: Tree, artifact: Artifact, standing: Standing, action: ArtifactAction | None
) -> tuple[State, str, Version | None]:
    published = standing.published
    refused = next((one for one in standing.unproven if not one.trouble), None)
    if published is None:
        if refused is not None:
            return "unproven", refused.refused, refused
        return ("damaged", standing.trouble, None) if standing.trouble else ("missing", "not made yet", None)
    if published.trouble:
        return "damaged", published.trouble, published
    if action is None:
        wanted = definition(artifact, tree.name)
        there = {name: value for name, value in published.inputs.items() if not _is_made_of(name)}
        return ("made", "", published) if there == wanted else ("stale", "its definition changed", published)
    match action.verdict:
        case "REUSE":
            return "made", "", published
        case "PROVE" if action.version is not published and refused is not None:
            return "stale", f"a newer one was refused: {refused.refused}", published
    return "stale", action.reason, published


def _is_made_of(name: str) -> bool:
    return name.startswith(("step ", "artifact "))


def _manifest(folder: Path | None) -> Manifest | None:
    if folder is None:
        return None
    with suppress(BadManifest):
        return read_manifest(folder)
    return None


def item_document(item: Item) -> dict[str, Any]:
    """Return an item as JSON data; the keys are a contract with programs."""
    manifest = item.manifest
    files = manifest.files if manifest else ()
    return {
        "tree": item.tree,
        "artifact": item.artifact.id,
        "kind": type(item.artifact.kind).__name__.lower(),
        "state": item.state,
        "reason": item.reason,
        "path": str(item.folder) if item.folder else "",
        "size_bytes": manifest.size_bytes if manifest else 0,
        "made_at": manifest.made_at if manifest else "",
        "fingerprint": manifest.fingerprint if manifest else "",
        "run": manifest.run if manifest else "",
        "files": [{"name": one.name, "size_bytes": one.size_bytes, "sha256": one.sha256} for one in files],
    }


def items_table(items: Sequence[Item], now_s: float, workspace: str, *, with_tree: bool) -> str:
    """Return a table for people; paths are shown from the workspace where it holds them."""
    lines: list[Sequence[str]] = [("ARTIFACT", "STATE", "SIZE", "AGE", "PATH", "REASON")]
    for item in items:
        path = ""
        if item.folder is not None:
            path = str(item.folder)
            with suppress(ValueError):
                path = str(item.folder.relative_to(workspace))
        name = f"{item.tree}/{item.artifact.id}" if with_tree else item.artifact.id
        size = size_text(item.manifest.size_bytes) if item.manifest else ""
        age = "" if item.made_s is None else age_text(now_s - item.made_s)
        lines.append((name, item.state, size, age, path, item.reason))
    return aligned(lines, right={2, 3})
