"""What observers hear of a run: small frozen events, in the order in which things happened.

`at` is Unix time in seconds. An observer is anything with `on_event(event)`; it must not raise and
must be quick: it is called from the threads that work.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from stalker.model.artifacts import ArtifactId
from stalker.model.tree import StepId


@dataclass(frozen=True, slots=True)
class FileRead:
    """A file of the workspace was read."""

    at: float
    file: str
    digest: str


@dataclass(frozen=True, slots=True)
class RunStarted:
    """A run begins. `config` is the tree file as the user named it."""

    at: float
    run: str
    tree: str
    config: str
    workspace: str
    argv: tuple[str, ...] = ()
    version: str = ""


@dataclass(frozen=True, slots=True)
class Note:
    """A sentence for the user: a warning, something swept away, a lock waited for."""

    at: float
    text: str
    level: Literal["info", "warning"] = "info"


@dataclass(frozen=True, slots=True)
class VariablesSet:
    """The variables of a step, secrets masked: (name, value, place)."""

    at: float
    step: StepId
    variables: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """One line of the plan. `verdict` is RUN, REUSE or BLOCKED; `estimate_s` from earlier runs."""

    step: StepId
    verdict: str
    reason: str
    parent: StepId | None = None
    needs: tuple[StepId, ...] = ()
    estimate_s: float | None = None
    image: str = ""
    fingerprint: str = ""


@dataclass(frozen=True, slots=True)
class PlannedBase:
    """Where a root stalk's first image comes from; `image` is its id when it is there."""

    stalk: str
    verdict: str
    reason: str
    image: str = ""


@dataclass(frozen=True, slots=True)
class PlannedArtifact:
    """What becomes of an artifact. `verdict` is MAKE, REUSE, PROVE or BLOCKED."""

    artifact: ArtifactId
    verdict: str
    reason: str


@dataclass(frozen=True, slots=True)
class Planned:
    """The plan of the run, in order."""

    at: float
    steps: tuple[PlannedStep, ...]
    bases: tuple[PlannedBase, ...] = ()
    artifacts: tuple[PlannedArtifact, ...] = ()


@dataclass(frozen=True, slots=True)
class BaseStarted:
    """The first image of a stalk is being provided."""

    at: float
    stalk: str
    base: str


@dataclass(frozen=True, slots=True)
class BaseProgress:
    """A line on what is going on with a base."""

    at: float
    stalk: str
    text: str


@dataclass(frozen=True, slots=True)
class BaseFinished:
    """The first image of a stalk is there, or it is not available (`error`)."""

    at: float
    stalk: str
    base: str
    image: str
    duration_s: float
    error: str = ""


@dataclass(frozen=True, slots=True)
class StepStarted:
    """An attempt of a step begins; `attempt` counts from 1; `log` is its log file."""

    at: float
    step: StepId
    attempt: int
    log: str
    service: bool = False


@dataclass(frozen=True, slots=True)
class ContainerStarted:
    """The container that the step runs in; `is_reused` when the session of the step before serves."""

    at: float
    step: StepId
    container: str
    image: str
    is_reused: bool


@dataclass(frozen=True, slots=True)
class StepOutput:
    """What a step wrote, as it came, secrets masked: not split into lines, maybe not UTF-8."""

    at: float
    step: StepId
    data: bytes
    stream: Literal["stdout", "stderr"] = "stdout"


@dataclass(frozen=True, slots=True)
class StepFinished:
    """An attempt of a step ended.

    `state` is done, failed, timeout, or cancelled. `exit_code` is None when the script did not end by
    itself. `image` is the committed image, or that of the failed state. `last_lines` are the last
    lines of its output, at most 20, when it failed. `will_retry_in_s` is set when another attempt
    follows. `duration_s` is of the whole attempt, `commit_s` and `script_s` are in it. `added_bytes` is what
    its container's layer grew by. `cpu_s` and `memory_bytes` are the kernel's: memory at its highest, with the
    files that were written; `memory_at_most` says that an earlier step of the container held as much. None
    where that is not known.
    """

    at: float
    step: StepId
    attempt: int
    state: Literal["done", "failed", "timeout", "cancelled"]
    duration_s: float
    exit_code: int | None = None
    image: str = ""
    name: str = ""
    brief: str = ""
    details: str = ""
    resolution: str = ""
    last_lines: tuple[str, ...] = ()
    log: str = ""
    commit_s: float = 0.0
    will_retry_in_s: float | None = None
    script_s: float = 0.0
    added_bytes: int | None = None
    cpu_s: float | None = None
    memory_bytes: int | None = None
    memory_at_most: bool = False


@dataclass(frozen=True, slots=True)
class StepReused:
    """A step did not run: its image is there. `shared_with` is the step of this run that left it, if one did."""

    at: float
    step: StepId
    image: str
    reason: str
    shared_with: StepId | None = None


@dataclass(frozen=True, slots=True)
class StepBlocked:
    """A step cannot run because of `cause`."""

    at: float
    step: StepId
    cause: str


@dataclass(frozen=True, slots=True)
class ArtifactStarted:
    """An artifact is being made, or only proven (`verdict`: MAKE, PROVE)."""

    at: float
    artifact: ArtifactId
    verdict: str
    reason: str


@dataclass(frozen=True, slots=True)
class ArtifactProgress:
    """What of an artifact is being done, and how far that is; `total_bytes` is None where it is not known."""

    at: float
    artifact: ArtifactId
    doing: str
    done_bytes: int = 0
    total_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class ArtifactFinished:
    """What became of an artifact.

    `state` is done (published), unproven (made, but a gate or the boot test refused it), failed,
    cancelled, or blocked. `path` is where it stands, relative to the workspace where that holds it;
    `size_bytes` that of its files. `last_lines` are those of a machine that did not boot, `log` its
    transcript.
    """

    at: float
    artifact: ArtifactId
    state: Literal["done", "unproven", "failed", "cancelled", "blocked"]
    duration_s: float
    path: str = ""
    size_bytes: int = 0
    brief: str = ""
    details: str = ""
    resolution: str = ""
    last_lines: tuple[str, ...] = ()
    log: str = ""


@dataclass(frozen=True, slots=True)
class RunFinished:
    """The run is over. `exit_code` as in the contract; the counts add up to the plan.

    `made` counts artifacts that were published, `kept` those that were there; `unmade` are all others.
    """

    at: float
    run: str
    exit_code: int
    ran: int
    reused: int
    failed: tuple[StepId, ...]
    blocked: tuple[StepId, ...]
    duration_s: float
    brief: str = ""
    details: str = ""
    resolution: str = ""
    made: int = 0
    kept: int = 0
    unmade: tuple[ArtifactId, ...] = ()


Event = (
    FileRead
    | RunStarted
    | Note
    | VariablesSet
    | Planned
    | BaseStarted
    | BaseProgress
    | BaseFinished
    | StepStarted
    | ContainerStarted
    | StepOutput
    | StepFinished
    | StepReused
    | StepBlocked
    | ArtifactStarted
    | ArtifactProgress
    | ArtifactFinished
    | RunFinished
)


class Observer(Protocol):
    """A receiver of events."""

    def on_event(self, event: Event) -> None:
        """Take one event; never raise."""
