"""Small trees for tests, and a run of them on any engine, without files."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from stalker.engine.run_id import new_run_id
from stalker.io.cancel import Cancel
from stalker.model.diagnostics import Place
from stalker.model.tree import Script, Stalk, Step, TagBase, Tree
from stalker.model.variables import Variable
from stalker.plan.bases import find_bases
from stalker.plan.graph import Links, link_steps, split_name
from stalker.plan.image_index import ImageIndex
from stalker.plan.plan import BaseAction, Plan
from stalker.plan.verdicts import make_plan, needed_bases, select
from stalker.run.scheduler import RunOptions, RunResult, execute, repair_tags

if TYPE_CHECKING:
    from collections.abc import Callable

    from stalker.engine.interface import Engine

PREFIX = "stalker-test/x/y"
BASE = "stalker-test/base:1"


def step(name: str, script: str = "", **more: Any) -> Step:
    """Return a step; its script is its own unless one is given; `variables` may be a plain mapping."""
    variables = more.pop("variables", {})
    content = f"#!/bin/sh\n{script or f'true {name}'}".encode()
    place = Place("stalks/s/s.hjson", 3, 5, f"plugins.{name}")
    if isinstance(variables, dict):
        variables = tuple(Variable(key, str(value), place) for key, value in variables.items())
    return Step(
        "",
        name,
        Script(("/bin/sh",), content, hashlib.sha256(content).hexdigest(), place),
        place,
        variables=variables,
        **more,
    )


def stalk(name: str, *steps: Step | str, **more: Any) -> Stalk:
    """Return a stalk of steps; a root starts from `BASE` unless `bases` says otherwise."""
    place = Place("trees/t/t.hjson", 1, 1, f"stalks.{name}")
    made = tuple(step(one) if isinstance(one, str) else one for one in steps)
    if not more.get("parent") and "bases" not in more and "start" not in more:
        more["bases"] = (TagBase(BASE, place),)
    more["needs"] = tuple((need, place) for need in more.get("needs", ()))
    return Stalk(
        name,
        more.pop("repository", f"{PREFIX}/{name}"),
        place,
        f"stalks/{name}/{name}.hjson",
        tuple(replace(one, stalk=name) for one in made),
        **more,
    )


def tree(*stalks: Stalk, workspace: str = "/nonexistent", **more: Any) -> Tree:
    """Return a tree of stalks, parents first."""
    return Tree("t", "trees/t/t.hjson", workspace, "logs", PREFIX, "x-y", stalks, **more)


@dataclass
class Ran:
    """What a run did."""

    plan: Plan
    result: RunResult
    events: list[Any] = field(default_factory=list)

    @property
    def verdicts(self) -> dict[str, str]:
        return {name: action.verdict for name, action in self.plan.actions.items()}

    @property
    def reasons(self) -> dict[str, str]:
        return {name: action.reason for name, action in self.plan.actions.items()}

    def of(self, kind: type) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]


def plan(made: Tree, engine: Engine, **selection: Any) -> Plan:
    """Draw a plan; `start`, `until`, `only` are given as typed."""
    links = link_steps(made)
    return _plan(links, engine, **selection)


def _plan(links: Links, engine: Engine, **selection: Any) -> Plan:
    for name in ("start", "until", "only"):
        if selection.get(name):
            selection[name] = split_name(selection[name], links.tree)
    index = ImageIndex(engine.labelled_images(), engine.image)
    selected = select(links, **selection)
    drawn = make_plan(links, index, _bases(links.tree, index), selected)
    if needed := needed_bases(drawn):
        drawn = make_plan(links, index, _bases(links.tree, index, needed), selected)
    return drawn


def _bases(made: Tree, index: ImageIndex, needed: frozenset[str] = frozenset()) -> dict[str, BaseAction]:
    return find_bases(made, index, lambda _base, _platform: "not available", needed)


def run(
    made: Tree,
    engine: Engine,
    *,
    jobs: int = 2,
    keep_going: bool = False,
    secrets: dict[str, str] | None = None,
    cancel: Cancel | None = None,
    on_event: Callable[[Any], None] = lambda _: None,
    **selection: Any,
) -> Ran:
    """Plan and execute, as the command does; `on_event` gets each event as it comes."""
    events: list[Any] = []

    def emit(event: Any) -> None:
        events.append(event)
        on_event(event)

    drawn = _plan(link_steps(made), engine, **selection)
    repair_tags(drawn, engine)
    options = RunOptions(
        new_run_id(time.time()), made.file, jobs, keep_going=keep_going, cancel=cancel or Cancel()
    )
    return Ran(drawn, execute(drawn, engine, secrets or {}, emit, options), events)
