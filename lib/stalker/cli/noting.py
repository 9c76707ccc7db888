"""What a run with nothing to do rests on, noted for the next one to be quick: see `unchanged`."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from stalker import __version__
from stalker.cli.told import Told, tell_files
from stalker.model import events

if TYPE_CHECKING:
    from collections.abc import Callable

    from stalker.cli.settings import Planner, Settings
    from stalker.config.evidence import Sight
    from stalker.model.events import Event
    from stalker.model.tree import Tree
    from stalker.plan.actions import Plan
    from stalker.run.scheduler import RunResult


def note_for_next(settings: Settings, config: str, planner: Planner, plan: Plan, result: RunResult) -> None:
    """Note what the next run rests on if it has nothing to do, for it to be quick."""
    import contextlib

    from stalker.cli.unchanged import note_unchanged
    from stalker.config.compiled import kept_evidence
    from stalker.journal.wording import nothing_words
    from stalker.model import labels

    tree = planner.tree
    index = planner.index
    evidence = kept_evidence(config, settings.workspace)
    assert index is not None
    if not evidence or not planner.address.startswith("unix://"):
        return
    names: dict[str, str] = {}
    for action in plan.actions.values():
        image = result.images.get(action.id, action.image)
        if not image or action.link.is_taken:
            return  # there is something to look at, or the tag itself is what counts
        names[action.link.image_name] = image
        if action.link.is_last:
            names[f"{action.link.repository}:final"] = image
    bases: dict[str, str] = {}
    for base in plan.bases.values():
        name = getattr(base.base, "name", base.name)
        there = index.named(name)
        if there is None or there.id != base.image:
            return
        (names if labels.VERSION in there.labels else bases)[name] = base.image
    published = _sights_of_artifacts(plan)
    if published is None:
        return
    with contextlib.suppress(OSError):
        note_unchanged(
            config,
            settings.workspace,
            os.environ,
            evidence=evidence | published,
            images=names,
            bases=bases,
            address=planner.address,
            said=nothing_words(len(plan.actions), len(plan.artifacts)),
            log_dir=os.path.join(tree.workspace, tree.log_dir),  # noqa: PTH118
            journal=_journal_of_nothing(settings, tree, plan, result),
        )


def _sights_of_artifacts(plan: Plan) -> dict[str, Sight] | None:
    """Return what is seen of the published artifacts; None when there is something to look at or tidy up."""
    if not plan.artifacts:
        return {}
    from stalker.cli.settings import cache_dir
    from stalker.image.shelf import shelf_of, sights_of
    from stalker.image.sweeping import leftovers

    found: dict[str, Sight] = {}
    for action in plan.artifacts.values():
        shelf = shelf_of(plan.links.tree, action.artifact, cache_dir())
        sights = sights_of(shelf)
        if sights is None or leftovers(shelf):
            return None
        found |= sights
    return found


def _journal_of_nothing(settings: Settings, tree: Tree, plan: Plan, result: RunResult) -> str:
    """Return the journal that a run of an unchanged tree with nothing to do writes."""
    import tempfile

    from stalker.journal.writer import Journal

    now = time.time()
    with tempfile.TemporaryDirectory(prefix="stalker-") as folder:
        journal = Journal(folder, "next")
        told = Told([journal])
        told.emit(events.RunStarted(now, "next", tree.name, tree.file, settings.workspace, (), __version__))
        tell_files(tree, told.emit)
        _tell_reuse(plan, result, told.emit)
        told.emit(
            events.RunFinished(now, "next", 0, 0, len(plan.actions), (), (), 0.0, kept=len(plan.artifacts))
        )
        journal.close()
        return journal.path.read_text(encoding="utf-8")


def _tell_reuse(plan: Plan, result: RunResult, emit: Callable[[Event], None]) -> None:
    now = time.time()
    reused = [
        events.PlannedStep(
            action.id,
            "REUSE",
            "unchanged",
            action.link.parent,
            action.link.needs,
            None,
            result.images.get(action.id, action.image),
        )
        for action in plan.actions.values()
    ]
    kept = tuple(events.PlannedArtifact(name, "REUSE", "unchanged") for name in plan.artifacts)
    emit(events.Planned(now, tuple(reused), (), kept))
    for step in reused:
        emit(events.StepReused(now, step.step, step.image, step.reason))
