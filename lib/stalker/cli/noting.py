"""What a run with nothing to do rests on, noted for the next one to be quick: see `unchanged`."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from stalker import __version__
from stalker.cli.told import Told, tell_files
from stalker.model import events
from stalker.model.bases import built_on
from stalker.model.tree import ImageBase, TagBase

if TYPE_CHECKING:
    from collections.abc import Callable

    from stalker.cli.settings import Planner, Settings
    from stalker.config.evidence import Sight
    from stalker.model.events import Event
    from stalker.model.tree import Tree
    from stalker.plan.actions import Plan
    from stalker.plan.images import ImageIndex
    from stalker.run.scheduler import RunResult


def note_for_next(settings: Settings, config: str, planner: Planner, plan: Plan, result: RunResult) -> None:
    """Note what the next run rests on if it has nothing to do, for it to be quick."""
    import contextlib

    from stalker.cli.unchanged import note_unchanged
    from stalker.config.compiled import kept_evidence
    from stalker.journal.wording import nothing_words

    tree = planner.tree
    index = planner.index
    evidence = kept_evidence(config, settings.workspace)
    assert index is not None
    if not evidence or not planner.address.url.startswith("unix://"):
        return
    names: dict[str, str] = {}
    for action in plan.actions.values():
        image = result.images.get(action.id, action.image)
        if not image or action.link.is_taken:
            return  # there is something to look at, or the tag itself is what counts
        names[action.link.image_name] = image
        if action.link.is_last:
            names[f"{action.link.repository}:final"] = image
    bases = _bases(plan, index)
    for name, image in _initial_names(plan, result).items():
        at = next((at for at, (there, _) in bases.items() if there == image), "")
        if at:
            bases[at][1].append(name)  # one question for all names of an image
        elif index.is_labelled(image) or image in result.images.values():
            names[name] = image
        else:
            bases[name] = (image, [])
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


def _bases(plan: Plan, index: ImageIndex) -> dict[str, tuple[str, list[str]]]:
    """Return the names that the bases rest on, each with its image's id, empty for one that is not there."""
    found: dict[str, tuple[str, list[str]]] = {}
    for base in plan.bases.values():
        # A base that is only remembered rests on its name being gone.
        own = [base.base.name] if isinstance(base.base, ImageBase | TagBase) else []
        for name in (*own, *(built_on(base.known) if base.known is not None else {})):
            there = index.named(name)
            found[name] = (there.id if there is not None else "", [])
    return found


def _initial_names(plan: Plan, result: RunResult) -> dict[str, str]:
    """Return what each stalk's `:initial` points at, as far as that is there."""
    found: dict[str, str] = {}
    for action in plan.actions.values():
        link = action.link
        if not link.is_first:
            continue
        if link.parent is None:
            start = plan.bases[link.base_stalk].image
        else:
            start = result.images.get(link.parent, plan.actions[link.parent].image)
        if start:
            found[f"{link.repository}:initial"] = start
    return found


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
