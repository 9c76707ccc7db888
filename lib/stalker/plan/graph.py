"""How the steps of a tree hang together.

An edge `a -> b` has a kind: `parent` when b starts from the image that a left, `needs` when b only
has to come after a and counts a's work among its inputs. `Links` is the light form that every plan
uses; `build_graph` gives the same as a networkx `DiGraph`, for longest paths and drawing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stalker.errors import PlanError
from stalker.model.tree import Step, StepId, Tree, step_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


@dataclass(frozen=True, slots=True)
class Link:
    """One step and what it hangs on.

    `parent` is None for the first step of a stalk that starts from a base; then `base_stalk` names
    the stalk whose base that is. `is_first` and `is_last` tell its place in its stalk.
    """

    step: Step
    repository: str
    parent: StepId | None
    needs: tuple[StepId, ...]
    base_stalk: str
    is_first: bool
    is_last: bool
    is_taken: bool
    """Taken as it is committed (`pretend`, or before `skip_until`): never run."""

    @property
    def id(self) -> StepId:
        """`stalk:step`."""
        return self.step.id

    @property
    def image_name(self) -> str:
        """`<OS>/<ARCH>/<SUBARCH>/<stalk>:<step>`."""
        return f"{self.repository}:{self.step.name}"

    @property
    def inputs(self) -> tuple[StepId, ...]:
        """All steps that come before it."""
        return self.needs if self.parent is None else (self.parent, *self.needs)


@dataclass(frozen=True, slots=True)
class Links:
    """All steps of a tree, each after what it hangs on; ties keep the order of the files."""

    tree: Tree
    by_id: dict[StepId, Link]

    def __iter__(self) -> Iterator[Link]:
        return iter(self.by_id.values())

    def children(self) -> dict[StepId, list[StepId]]:
        """Map each step to the steps that hang on it directly."""
        found: dict[StepId, list[StepId]] = {name: [] for name in self.by_id}
        for link in self:
            for before in link.inputs:
                found[before].append(link.id)
        return found

    def descendants(self, starts: Iterable[StepId]) -> set[StepId]:
        """Return the steps given and all that grow on them."""
        found = set(starts)
        for link in self:
            if not found.isdisjoint(link.inputs):
                found.add(link.id)
        return found

    def ancestors(self, ends: Iterable[StepId]) -> set[StepId]:
        """Return the steps given and all that they grow on."""
        found = set(ends)
        for link in reversed(self.by_id.values()):
            if link.id in found:
                found.update(link.inputs)
        return found


def link_steps(tree: Tree) -> Links:
    """Connect the steps of a tree and put them in order.

    Raises:
        PlanError: the steps form a circle; it is named in order.
    """
    last = last_steps(tree)
    source: dict[str, str] = {}
    waiting: dict[str, tuple[StepId, ...]] = {}
    for stalk in tree.stalks:
        source[stalk.name] = stalk.name if stalk.bases or not stalk.parent else source[stalk.parent]

    loose: dict[StepId, Link] = {}
    for stalk in tree.stalks:
        found = [_needed(need, last) for need, _ in stalk.needs]
        needs = tuple(need for need in found if need is not None)
        if not stalk.bases and stalk.parent and not tree.stalk(stalk.parent).steps:
            needs += waiting.get(stalk.parent, ())
        waiting[stalk.name] = needs
        parent = stalk.start
        if parent is None and not stalk.bases and stalk.parent:
            parent = last[stalk.parent]
        is_taken = stalk.pretend or bool(stalk.skip_until)
        for position, step in enumerate(stalk.steps):
            if step.name == stalk.skip_until and not stalk.pretend:
                is_taken = False
            loose[step.id] = Link(
                step=step,
                repository=stalk.repository,
                parent=parent,
                needs=tuple(dict.fromkeys(n for n in needs if n != parent)) if position == 0 else (),
                base_stalk=source[stalk.name] if parent is None else "",
                is_first=position == 0,
                is_last=position == len(stalk.steps) - 1,
                is_taken=is_taken,
            )
            parent = step.id
    return Links(tree, _in_order(loose))


def last_steps(tree: Tree) -> dict[str, StepId | None]:
    """Return the step that leaves each stalk's last image: its own or an inherited one, None for a base."""
    last: dict[str, StepId | None] = {}
    for stalk in tree.stalks:
        own = stalk.steps[-1].id if stalk.steps else None
        inherited = stalk.start or (last.get(stalk.parent) if stalk.parent and not stalk.bases else None)
        last[stalk.name] = own or inherited
    return last


def _needed(need: str, last: dict[str, StepId | None]) -> StepId | None:
    if ":" in need:
        return StepId(need)
    return last[need]


def _in_order(loose: dict[StepId, Link]) -> dict[StepId, Link]:
    """Sort so that inputs come first, else as written."""
    ordered: dict[StepId, Link] = {}
    entered: set[StepId] = set()
    for start in loose:
        path = [start]
        while path:
            name = path[-1]
            if name in ordered:
                path.pop()
                continue
            entered.add(name)
            before = next((b for b in loose[name].inputs if b not in ordered), None)
            if before is None:
                ordered[name] = loose[name]
                path.pop()
            elif before in entered and before in path:
                circle = [*path[path.index(before) :], before]
                raise PlanError("the steps wait for each other in a circle", " -> ".join(circle))
            else:
                path.append(before)
    return ordered


def build_graph(links: Links) -> Any:
    """Return the steps as a networkx `DiGraph`: nodes are step ids, edges carry `kind`."""
    import networkx as nx  # 100 ms: a run does without

    graph = nx.DiGraph()
    for link in links:
        graph.add_node(link.id, link=link)
    for link in links:
        if link.parent is not None:
            graph.add_edge(link.parent, link.id, kind="parent")
        for need in link.needs:
            graph.add_edge(need, link.id, kind="needs")
    return graph


def remaining_path_s(links: Links, durations_s: dict[StepId, float]) -> dict[StepId, float]:
    """Return for each step the seconds of the longest path from its start to the end of the run.

    A step without a known duration counts as the mean of the known ones, or one second.
    """
    known = list(durations_s.values())
    usual_s = sum(known) / len(known) if known else 1.0
    after_s: dict[StepId, float] = {}
    remaining: dict[StepId, float] = {}
    for link in reversed(links.by_id.values()):
        remaining[link.id] = durations_s.get(link.id, usual_s) + after_s.get(link.id, 0.0)
        for before in link.inputs:
            after_s[before] = max(after_s.get(before, 0.0), remaining[link.id])
    return remaining


def split_name(text: str, tree: Tree) -> list[StepId]:
    """Turn `stalk` or `stalk:step` as typed into step ids, in order.

    Raises:
        PlanError: the tree has no such stalk or step; the nearest name is suggested.
    """
    stalk_name, _, wanted = text.partition(":")
    names = [stalk.name for stalk in tree.stalks]
    if stalk_name not in names:
        raise PlanError(f"no stalk named '{stalk_name}' in tree {tree.name}", _nearest(stalk_name, names))
    steps = [step.name for step in tree.stalk(stalk_name).steps]
    if not wanted:
        return [step_id(stalk_name, name) for name in steps]
    if wanted not in steps:
        raise PlanError(f"stalk {stalk_name} has no step named '{wanted}'", _nearest(wanted, steps))
    return [step_id(stalk_name, wanted)]


def _nearest(name: str, names: list[str]) -> str:
    import difflib

    near = difflib.get_close_matches(name, names, 1)
    return f"did you mean '{near[0]}'?" if near else f"there are: {', '.join(names)}"
