"""Artifacts in a plan: what has to be made, what is there, what has to be proven, and why, in words.

Two hashes tell of an artifact. Its fingerprint covers what decides its files: the definition in the tree,
the fingerprint of the step that it is made of, other artifacts in it. Its proof covers the gates and the boot
test, which decide nothing but whether it is published. So a test that was changed is run again, on the
files that are there.

The rules, in the order in which they are asked:

1. An artifact whose image is not available, or that contains an artifact without one, is BLOCKED.
2. MAKE it when its step or an artifact in it is made; when it is not there, or damaged, or made of other
   things, or of an image that was replaced since.
3. PROVE it when its files are right, and what says that they may be published is not.
4. Else REUSE it.

What an artifact is, field by field: what decides its files, and what decides whether it is published.
"""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

from stalker.model.artifacts import Artifact, ArtifactId, BootTest, Disk, Files, Repo, Rootfs, artifact_id
from stalker.model.base_key import base_key
from stalker.model.images import short_id
from stalker.plan.fingerprint import digest, hash_fields, shown
from stalker.plan.graph import last_steps
from stalker.plan.plan import ArtifactAction, Standing, Version

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from stalker.model.tree import StepId, Tree
    from stalker.plan.plan import Action, Plan, Selection


LIKE = "like"
"""The input that has the key of the base which a disk is like."""

REASONS_MAX = 3
"""More differences than this are counted, not listed."""


def artifact_steps(tree: Tree) -> dict[ArtifactId, StepId | None]:
    """Return the step that leaves the image of each artifact; None where a stalk has no step at all."""
    last = last_steps(tree)
    return {one.id: last[stalk.name] for stalk in tree.stalks for one in stalk.artifacts}


def plan_artifacts(
    plan: Plan, selection: Selection, standing: Mapping[ArtifactId, Standing]
) -> dict[ArtifactId, ArtifactAction]:
    """Give each artifact of what was asked for its verdict; pure."""
    tree = plan.links.tree
    steps = artifact_steps(tree)
    found: dict[ArtifactId, ArtifactAction] = {}
    for stalk in tree.stalks:
        # What a disk holds comes before the disk.
        for artifact in sorted(stalk.artifacts, key=lambda one: bool(held_artifacts(one))):
            step = steps[artifact.id]
            if step is not None and not _is_asked_for(step, plan, selection):
                continue
            action = _draft(artifact, step, tree, plan, found)
            found[artifact.id] = _decide(action, plan, found, standing.get(artifact.id) or Standing())
    in_order = [one.id for stalk in tree.stalks for one in stalk.artifacts if one.id in found]
    return {name: found[name] for name in in_order}


def steps_wanted(actions: Iterable[ArtifactAction]) -> frozenset[StepId]:
    """Return the steps whose images are gone and needed, because something has to be made of them."""
    return frozenset(
        one.step for one in actions if one.verdict in {"MAKE", "PROVE"} and one.step and not one.image
    )


def held_artifacts(artifact: Artifact) -> tuple[ArtifactId, ...]:
    """Return the artifacts that a disk holds."""
    if not isinstance(artifact.kind, Disk):
        return ()
    named = (partition.artifact for partition in artifact.kind.partitions if partition.artifact)
    return tuple(dict.fromkeys(artifact_id(artifact.stalk, name) for name in named))


def _is_asked_for(step: StepId, plan: Plan, selection: Selection) -> bool:
    """Return whether what grows from this step is looked at; `pretend` takes the image, not the artifacts."""
    if step not in plan.actions:
        return False
    return step not in selection.as_committed or plan.links.by_id[step].is_taken


def _draft(
    artifact: Artifact,
    step: StepId | None,
    tree: Tree,
    plan: Plan,
    known: Mapping[ArtifactId, ArtifactAction],
) -> ArtifactAction:
    action = plan.actions[step] if step else None
    image = action.image if action is not None and action.verdict == "REUSE" else ""
    inputs = definition(artifact, tree.name)
    holds = held_artifacts(artifact)
    made_of = ""
    if action is not None:
        # A step that is taken as it is committed has no fingerprint of this tree; what an earlier version
        # of stalker made has that of its own, and so has what was made of it.
        made_of = (action.made_as or action.fingerprint) if action.fingerprint else image
        inputs[f"step {step}"] = made_of
    if isinstance(artifact.kind, Disk) and artifact.kind.like:
        inputs[LIKE] = _key_of_base(artifact, tree, plan)
    for name in holds:
        held = known[name].fingerprint if name in known else ""
        inputs[f"artifact {name}"] = held
        made_of = made_of and held
    fingerprint = hash_fields(inputs) if made_of else ""
    return ArtifactAction(
        artifact, "REUSE", "unchanged", step, image, fingerprint, inputs, proof(artifact), None, holds
    )


def _key_of_base(artifact: Artifact, tree: Tree, plan: Plan) -> str:
    """Return the key of the disk image that an artifact's stalk starts from: also what of it is in no step counts."""
    stalk = tree.stalk(artifact.stalk)
    while stalk.parent:
        stalk = tree.stalk(stalk.parent)
    action = plan.bases.get(stalk.name)
    return base_key(action.base, stalk.platform) if action is not None and action.base is not None else ""


def _decide(
    action: ArtifactAction, plan: Plan, known: Mapping[ArtifactId, ArtifactAction], standing: Standing
) -> ArtifactAction:
    step = plan.actions[action.step] if action.step else None
    obstacle = _obstacle(step, action.holds, known)
    if obstacle:
        return replace(action, verdict="BLOCKED", reason=obstacle)
    assert step is not None
    if step.verdict == "RUN":
        return replace(action, verdict="MAKE", reason=f"{step.id} runs")
    for name in action.holds:
        if known[name].verdict == "MAKE":
            return replace(action, verdict="MAKE", reason=f"artifact {name} is made again")
    version = _fitting(action, standing)
    if version is None:
        if not action.image and step.link.is_taken:
            return replace(action, verdict="BLOCKED", reason=f"{step.link.image_name} is not in the engine")
        return replace(action, verdict="MAKE", reason=_why_make(action, standing))
    action = replace(action, version=version)
    changed = [_said(name) for name in _differing(version.proof_inputs, action.proof_inputs)]
    if changed:
        return replace(action, verdict="PROVE", reason=_joined(list(dict.fromkeys(changed))))
    if version.refused:
        return replace(action, verdict="PROVE", reason=f"it was refused: {version.refused}")
    return action


def _obstacle(
    step: Action | None, holds: Iterable[ArtifactId], known: Mapping[ArtifactId, ArtifactAction]
) -> str:
    if step is None:
        return "no step leaves an image that it could be made of"
    if step.verdict == "BLOCKED":
        return f"{step.id} is blocked"
    for name in holds:
        if name not in known or known[name].verdict == "BLOCKED":
            return f"artifact {name}, which it holds, is blocked"
    return ""


def _fitting(action: ArtifactAction, standing: Standing) -> Version | None:
    """Return the version whose files are what they would be if it were made now."""
    for version in (standing.published, *standing.unproven):
        if version is None:
            continue
        is_same_image = not action.image or version.image == action.image
        if version.fingerprint == action.fingerprint and is_same_image and not version.trouble:
            return version
    return None


def _why_make(action: ArtifactAction, standing: Standing) -> str:
    published = standing.published
    if published is None:
        return standing.trouble or "not made yet"
    if published.trouble:
        return published.trouble
    if published.fingerprint == action.fingerprint:
        return f"{action.step} was run again since ({short_id(action.image)})"
    return (
        _joined(
            [
                _said(name, published.inputs.get(name), action.inputs.get(name))
                for name in _differing(published.inputs, action.inputs)
                if name in action.inputs or not name.startswith("step ")  # another step is one reason
            ]
        )
        or "it was made of other things"
    )


def _joined(reasons: list[str]) -> str:
    if len(reasons) > REASONS_MAX:
        reasons[REASONS_MAX - 1 :] = [f"and {len(reasons) - REASONS_MAX + 1} more changes"]
    return "; ".join(reasons)


def _differing(old: Mapping[str, str], new: Mapping[str, str]) -> list[str]:
    # What it is made of comes last: a change in the tree file says more.
    names = sorted(set(old) | set(new), key=lambda name: (name.startswith(("step ", "artifact ")), name))
    return [name for name in names if old.get(name) != new.get(name)]


def _said(name: str, old: str | None = None, new: str | None = None) -> str:
    kind, _, rest = name.partition(" ")
    if kind in {"step", "artifact"}:
        return f"{rest if kind == 'step' else name} is another one"
    if name == "format":
        return "it was made by another version of stalker"
    if name == LIKE:
        return "the disk image that it is like is another one"
    if kind == "test":
        return "the boot test changed"
    if kind == "gate":
        return "its gates changed"
    if kind in {"write", "partition", "directory"}:
        how = "is new" if old is None else "is gone" if new is None else "changed"
        return f"{name} {how}"
    return f"{name}: {old or '(none)'} -> {new or '(none)'}".replace("\n", " ")


FORMAT = "1"
"""Changes when the files of an artifact change for the same definition."""


def definition(artifact: Artifact, tree: str) -> dict[str, str]:
    """Return what of an artifact's definition decides its files, field by field; no secret's value."""
    found = {
        "format": FORMAT,
        "name": f"{tree} {artifact.id}",  # what identifies a disk is made of the names
        "exclude": "\n".join(artifact.exclude),
        "sbom": " ".join(sorted(artifact.sbom)),
        "SOURCE_DATE_EPOCH": "" if artifact.epoch_s is None else str(artifact.epoch_s),
    }
    for write in artifact.writes:
        found[f"write {write.path}"] = f"{write.mode:04o} {digest(write.content)}"
        found |= {f"write {write.path} secret {one.secret}": one.code for one in write.variables}
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
