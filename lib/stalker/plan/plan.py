"""The plan of a run as data: an action for each base, step and artifact, and what was selected."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from stalker.model.identity import image_identity

if TYPE_CHECKING:
    from stalker.model.artifacts import Artifact, ArtifactId
    from stalker.model.images import Image
    from stalker.model.tree import Base, Step, StepId
    from stalker.plan.graph import Link, Links

Verdict = Literal["RUN", "REUSE", "BLOCKED"]
ArtifactVerdict = Literal["MAKE", "REUSE", "PROVE", "BLOCKED"]


@dataclass(frozen=True, slots=True)
class BaseAction:
    """Where the first image of a root stalk comes from.

    `image` is the id when it is there (REUSE), `known` the image, inspected; RUN means that `base` will
    be provided; BLOCKED that none can. `name` is the `:initial` tag it gets. `remembered` is what its image
    was by what the steps on it say, where it cannot be provided and they are there; `platform` goes with it.
    """

    stalk: str
    name: str
    verdict: Verdict
    reason: str
    base: Base | None = None
    image: str = ""
    known: Image | None = None
    remembered: str = ""
    platform: str = ""

    @property
    def identity(self) -> str:
        """What its image is on every engine, empty while it is to be made."""
        return image_identity(self.known) if self.known is not None else self.remembered


@dataclass(frozen=True, slots=True)
class Action:
    """A step with its verdict and the reason for it.

    `fingerprint` and `inputs` are empty while a base is still to be made. `image` is the image that is
    reused, empty for one that is gone but not needed; `commit` names it on every engine, and `made_as` is
    the fingerprint that it carries, another one where an earlier version of stalker made it. `names` are
    those that have to be put back, each with its image: the step's own, `:initial` and `:final`.
    `estimate_s` is how long it took last time. `doer` is the first of the steps that have the same work to do,
    on the same commit; None where nothing is to be done or a base is still to be made. `cause` is the step
    before it that is BLOCKED, where that is why this one is.
    """

    link: Link
    verdict: Verdict
    reason: str
    fingerprint: str = ""
    inputs: dict[str, str] = field(default_factory=dict)
    image: str = ""
    commit: str = ""
    made_as: str = ""
    names: tuple[tuple[str, str], ...] = ()
    estimate_s: float | None = None
    doer: StepId | None = None
    cause: StepId | None = None

    @property
    def step(self) -> Step:
        """The step."""
        return self.link.step

    @property
    def id(self) -> StepId:
        """`stalk:step`."""
        return self.link.id


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
    verdict: ArtifactVerdict
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


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run would do, in the order in which it may be done."""

    links: Links
    bases: dict[str, BaseAction]
    actions: dict[StepId, Action]
    artifacts: dict[ArtifactId, ArtifactAction] = field(default_factory=dict)

    @property
    def to_run(self) -> list[Action]:
        """The steps that have to run."""
        return [action for action in self.actions.values() if action.verdict == "RUN"]

    def obstacles(self) -> dict[str, tuple[list[StepId], int]]:
        """Return each reason for which steps are BLOCKED, once: the steps that it holds up, and how many wait for those."""
        found: dict[str, tuple[list[StepId], int]] = {}
        roots: dict[StepId, str] = {}
        for action in self.blocked:
            reason = roots[action.id] = roots[action.cause] if action.cause else action.reason
            names, waiting = found.get(reason, ([], 0))
            found[reason] = (names, waiting + 1) if action.cause else ([*names, action.id], waiting)
        return found

    @property
    def to_make(self) -> list[ArtifactAction]:
        """The artifacts that have to be made or proven."""
        return [action for action in self.artifacts.values() if action.verdict in {"MAKE", "PROVE"}]

    @property
    def blocked(self) -> list[Action]:
        """The steps that cannot run."""
        return [action for action in self.actions.values() if action.verdict == "BLOCKED"]


@dataclass(frozen=True, slots=True)
class Selection:
    """What of a tree was asked for.

    `considered` are the steps of the plan; `as_committed` those of them that are not looked at but
    taken; `forced` run in any case, `because` of what.
    """

    considered: frozenset[StepId]
    as_committed: frozenset[StepId] = frozenset()
    forced: frozenset[StepId] = frozenset()
    because: str = ""
