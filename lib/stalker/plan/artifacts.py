"""Artifacts in a plan: what has to be made, what is there, what has to be proven, and why, in words.

Two hashes tell of an artifact. Its fingerprint covers what decides its files: the definition in the tree,
the fingerprint of the step that it is made of, other artifacts in it. Its proof covers the gates and the boot
test, which decide nothing but whether it is published. So a test that was changed is run again, on the
files that are there.

The rules, in the order in which they are asked:

1. An artifact whose image cannot be had, or that holds another one which cannot, is BLOCKED.
2. MAKE it when its step or an artifact in it is made; when it is not there, or damaged, or made of other
   things, or of an image that was replaced since.
3. PROVE it when its files are right, and what says that they may be published is not.
4. Else REUSE it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from stalker.model.artifacts import Artifact, ArtifactId, Disk, artifact_id
from stalker.model.images import short_id
from stalker.plan.definitions import definition, proof
from stalker.plan.fingerprint import hash_fields
from stalker.plan.graph import last_steps

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from stalker.model.tree import StepId, Tree
    from stalker.plan.actions import Action, Plan, Selection

Verdict = Literal["MAKE", "REUSE", "PROVE", "BLOCKED"]

REASONS_MAX = 3
"""More differences than this are counted, not told."""


@dataclass(frozen=True, slots=True)
class Version:
    """One version of an artifact on the host, as its manifest tells.

    `image` is the id of the image it was made of. `refused` says why it may not be published; then it is
    unproven. `trouble` says what is wrong with its files, empty when nothing is.
    """

    folder: str
    fingerprint: str
    inputs: Mapping[str, str]
    proof_inputs: Mapping[str, str]
    image: str
    refused: str = ""
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class Standing:
    """What of an artifact is on the host: the published version, and those that were refused."""

    published: Version | None = None
    unproven: tuple[Version, ...] = ()
    trouble: str = ""
    """Why nothing is published though something was; empty when all is well or nothing ever was."""


@dataclass(frozen=True, slots=True)
class ArtifactAction:
    """An artifact with its verdict and the reason for it.

    `step` leaves the image that it is made of, `image` is that image's id, empty while the step is still
    to run; so are `fingerprint` and `inputs` while a base is still to be made. `version` is what is reused
    or proven. `holds` are the artifacts in it.
    """

    artifact: Artifact
    verdict: Verdict
    reason: str
    step: StepId | None = None
    image: str = ""
    fingerprint: str = ""
    inputs: dict[str, str] = field(default_factory=dict)
    proof_inputs: dict[str, str] = field(default_factory=dict)
    version: Version | None = None
    holds: tuple[ArtifactId, ...] = ()

    @property
    def id(self) -> ArtifactId:
        """`stalk/artifact`."""
        return self.artifact.id


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
    """Say whether what grows from this step is looked at; `pretend` takes the image, not the artifacts."""
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
    for name in holds:
        held = known[name].fingerprint if name in known else ""
        inputs[f"artifact {name}"] = held
        made_of = made_of and held
    fingerprint = hash_fields(inputs) if made_of else ""
    return ArtifactAction(
        artifact, "REUSE", "unchanged", step, image, fingerprint, inputs, proof(artifact), None, holds
    )


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
    if kind == "test":
        return "the boot test changed"
    if kind == "gate":
        return "its gates changed"
    if kind in {"write", "partition", "directory"}:
        how = "is new" if old is None else "is gone" if new is None else "changed"
        return f"{name} {how}"
    return f"{name}: {old or '(none)'} -> {new or '(none)'}".replace("\n", " ")
