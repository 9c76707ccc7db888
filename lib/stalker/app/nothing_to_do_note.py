"""Note what a run with nothing to do rests on, so that the next one is quick: see `nothing_to_do`."""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from typing import TYPE_CHECKING

from stalker import __version__
from stalker.app.environment import cache_dir
from stalker.app.nothing_to_do import note_unchanged
from stalker.config.tree.cache import kept_evidence
from stalker.journal.observers import Dispatcher, report_files
from stalker.journal.views.wording import nothing_words
from stalker.journal.writer import Journal
from stalker.model import events
from stalker.model.base_key import built_on
from stalker.model.tree import ImageBase, TagBase

if TYPE_CHECKING:
    from collections.abc import Callable

    from stalker.app.planner import Planner
    from stalker.app.settings import Settings
    from stalker.config.tree.evidence import Sight
    from stalker.model.events import Event
    from stalker.model.tree import Tree
    from stalker.plan.image_index import ImageIndex
    from stalker.plan.plan import Plan
    from stalker.run.scheduler import RunResult


def note_for_next(settings: Settings, config: str, planner: Planner, plan: Plan, result: RunResult) -> None:
    """Note what the next run rests on if it has nothing to do, for it to be quick."""
    tree = planner.tree
    index = planner.index
    evidence = kept_evidence(config, settings.workspace)
    assert index is not None
    if not evidence or not planner.engine.address.url.startswith("unix://"):
        return
    names: dict[str, str] = {}
    for action in plan.actions.values():
        image = result.images.get(action.id, action.image)
        if not image or action.link.is_taken:
            return  # an image is missing, or the tag itself is what counts
        names[action.link.image_name] = image
        if action.link.is_last:
            names[f"{action.link.repository}:final"] = image
    bases = _bases(plan, index)
    for name, image in _initial_names(plan, result).items():
        at = next((at for at, (there, _) in bases.items() if there == image), "")
        if at:
            bases[at][1].append(name)  # one query for all names of an image
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
            address=planner.engine.address,
            summary=nothing_words(len(plan.actions), len(plan.artifacts)),
            log_dir=os.path.join(tree.workspace, tree.log_dir),  # noqa: PTH118
            journal=_journal_of_nothing(settings, tree, plan, result),
        )


def _bases(plan: Plan, index: ImageIndex) -> dict[str, tuple[str, list[str]]]:
    """Return the names that the bases rest on, each with its image's id, empty for a missing image."""
    found: dict[str, tuple[str, list[str]]] = {}
    for base in plan.bases.values():
        # A base that is only remembered rests on its name being missing, and one in a list on the absence of those before.
        bases = plan.links.tree.stalk(base.stalk).bases
        before = bases[: bases.index(base.base)] if base.base in bases else ()
        named = [one for one in (*before, base.base) if isinstance(one, ImageBase | TagBase)]
        own = [one.name for one in named]
        for name in (*own, *(built_on(base.known) if base.known is not None else {})):
            there = index.named(name)
            found[name] = (there.id if there is not None else "", [])
    return found


def _initial_names(plan: Plan, result: RunResult) -> dict[str, str]:
    """Return the image of each stalk's `:initial`, where it has one."""
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
    """Return the state of the published artifacts; None when one has to be made or cleaned up."""
    if not plan.artifacts:
        return {}
    # late: only trees that publish something need it (15 ms)
    from stalker.artifacts.store import leftovers, shelf_of, sights_of

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
    now = time.time()
    with tempfile.TemporaryDirectory(prefix="stalker-") as directory:
        journal = Journal(directory, "next")
        emit = Dispatcher([journal]).emit
        emit(events.RunStarted(now, "next", tree.name, tree.file, settings.workspace, (), __version__))
        report_files(tree, emit)
        _emit_reuse(plan, result, emit)
        emit(events.RunFinished(now, "next", 0, 0, len(plan.actions), (), (), 0.0, kept=len(plan.artifacts)))
        journal.close()
        return journal.path.read_text(encoding="utf-8")


def _emit_reuse(plan: Plan, result: RunResult, emit: Callable[[Event], None]) -> None:
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
            action.fingerprint,
        )
        for action in plan.actions.values()
    ]
    kept = tuple(events.PlannedArtifact(name, "REUSE", "unchanged") for name in plan.artifacts)
    emit(events.Planned(now, tuple(reused), (), kept))
    for step in reused:
        emit(events.StepReused(now, step.step, step.image, step.reason))
