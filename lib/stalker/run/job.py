"""What a worker is given for one step, and what it gives back; both pickle."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from stalker.model.tree import Step, StepId


@dataclass(frozen=True, slots=True)
class Job:
    """One step to run, with all that it needs.

    `image` is the id of the image that it starts from; `parents` maps the steps that it grows on to
    their commits, and for a base has its key as `base` and its image's id as `initial`. `commit` names
    what it commits, another one for each attempt. `tree_file` and `run` go into labels. `log_stem` is its
    log file without the attempt and ending. `needs` maps the
    steps that its stalk needs to their fingerprints. `is_service` starts a daemonized step again without a
    commit.
    """

    step: Step
    repository: str
    image: str
    fingerprint: str
    inputs: dict[str, str]
    parents: dict[str, str]
    tree_file: str
    workspace: str
    run: str
    log_stem: str
    needs: dict[StepId, str] = field(default_factory=dict)
    is_first: bool = False
    is_last: bool = False
    is_service: bool = False
    commit: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a job ended. `image` is the committed image, `commit` its name on every engine.

    `error` is ours, to be shown or re-raised.
    """

    step: StepId
    state: Literal["done", "failed", "timeout", "cancelled"]
    image: str = ""
    duration_s: float = 0.0
    error: BaseException | None = None
    names: tuple[str, ...] = field(default=())
    commit: str = ""


def identity_variables(job: Job) -> dict[str, str]:
    """Return the variables that tell a script which work it is, and which work it comes after.

    What goes from a stalk to one that needs it, goes by a store, which keeps what older runs left.
    Kept under its maker's fingerprint it is never taken for something else.
    """
    needs = "\n".join(f"{step} {fingerprint}" for step, fingerprint in job.needs.items())
    return {"STALKER_FINGERPRINT": job.fingerprint, "STALKER_NEEDS": needs}
