"""The use case of comparing two runs: which inputs changed, by way of which steps, and what followed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from stalker.errors import PlanError
from stalker.history.causes import causes
from stalker.history.run_record import read_record
from stalker.journal.reader import run_journal

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from stalker.app.history import ImageOrigins
    from stalker.engine.interface import Engine
    from stalker.history.causes import Cause
    from stalker.history.run_record import RunRecord
    from stalker.rootfs.diff import Change


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two runs of a tree. `followed` are steps that changed because of others alone.

    `ends` are the steps that no other step grows on, each with its two images where it has another one now.
    """

    old: RunRecord
    new: RunRecord
    causes: tuple[Cause, ...]
    followed: tuple[str, ...]
    added: tuple[str, ...]
    removed: tuple[str, ...]
    ends: tuple[tuple[str, str, str], ...]


def compare_runs(log_dir: Path, old: str, new: str, origins: ImageOrigins) -> Comparison:
    """Compare two runs by their journals. Raises PlanError."""
    before, after = (read_record(run_journal(log_dir, run)) for run in (old, new))
    for record in (before, after):
        if not any(step.fingerprint for step in record.steps.values()):
            raise PlanError(
                f"the journal of {record.run} does not have what its steps were made of",
                "it made no plan, or is of a version of stalker that did not keep that",
            )
    for record in (before, after):
        origins.names.update({one.fingerprint: one.step for one in record.steps.values() if one.fingerprint})
    changed = [
        step
        for step in after.steps
        if step in before.steps and before.steps[step].fingerprint != after.steps[step].fingerprint
    ]
    found: dict[tuple[str, str], Cause] = {}
    for step in changed:
        pair = (before.steps[step].fingerprint, after.steps[step].fingerprint)
        for cause in causes(step, *pair, origins):
            found.setdefault((cause.step, cause.field), cause)
    own = {cause.step for cause in found.values()}
    return Comparison(
        before,
        after,
        tuple(found.values()),
        tuple(step for step in changed if step not in own),
        tuple(step for step in after.steps if step not in before.steps),
        tuple(step for step in before.steps if step not in after.steps),
        tuple(_ends(before, after)),
    )


def _ends(before: RunRecord, after: RunRecord) -> list[tuple[str, str, str]]:
    grown_on = {step.parent for step in after.steps.values()}
    found = []
    for name, step in after.steps.items():
        old = before.steps.get(name)
        if name not in grown_on and old is not None and old.image and step.image and old.image != step.image:
            found.append((name, old.image, step.image))
    return found


@dataclass(frozen=True, slots=True)
class Result:
    """What of an image's files and packages followed; `packages` are (name, old version, new version)."""

    step: str
    changes: Sequence[Change]
    packages: Sequence[tuple[str, str, str]]


def results_of(engine: Engine, comparison: Comparison) -> list[Result | str]:
    """Compare the images at the ends of two runs; a sentence for one whose image is missing."""
    from stalker.app.bisect import versions_of
    from stalker.app.history import looker_on
    from stalker.history.chain import State
    from stalker.rootfs.diff import compare_images

    found: list[Result | str] = []
    looker = looker_on(engine)
    for step, old, new in comparison.ends:
        images = [engine.image(one) for one in (old, new)]
        if None in images:
            found.append(
                f"{step}: the image of {'the older' if images[0] is None else 'the newer'} run is missing"
            )
            continue
        before, after = (versions_of(engine, looker, State(one)) for one in images if one is not None)
        names = sorted(name for name in before.keys() | after.keys() if ":" not in name)
        packages = [
            (name, before.get(name, ""), after.get(name, ""))
            for name in names
            if before.get(name) != after.get(name)
        ]
        found.append(Result(step, compare_images(engine, old, new), packages))
    return found
