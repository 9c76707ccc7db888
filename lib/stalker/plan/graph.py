"""The graph of a tree's steps, a networkx `DiGraph`.

An edge `a -> b` has a kind: `parent` when b starts from the image that a left, `needs` when b only
has to come after a and counts a's work among its inputs. Order, circle, ancestors and descendants
are networkx's functions.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

from stalker.errors import PlanError
from stalker.model.tree import Step, StepId, TagBase, Tree, step_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from stalker.model.tree import Base, Stalk


@dataclass(frozen=True, slots=True)
class Link:
    """One step and what it hangs on.

    `parent` is None for the first step of a stalk that starts from a base; then `base_stalk` names
    the stalk whose base that is. `is_first` and `is_last` tell its place in its stalk.
    """

    id: StepId
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
    def image_name(self) -> str:
        """`<OS>/<ARCH>/<SUBARCH>/<stalk>:<step>`."""
        return f"{self.repository}:{self.step.name}"

    @property
    def inputs(self) -> tuple[StepId, ...]:
        """All steps that come before it."""
        return self.needs if self.parent is None else (self.parent, *self.needs)


@dataclass(frozen=True, slots=True)
class Links:
    """All steps of a tree, each after what it hangs on; ties keep the order of the files.

    The nodes of `graph` are step ids, its edges have a `kind`.
    """

    tree: Tree
    by_id: dict[StepId, Link]
    graph: Any

    def __iter__(self) -> Iterator[Link]:
        return iter(self.by_id.values())

    def descendants(self, starts: Iterable[StepId]) -> set[StepId]:
        """Return the steps given and all that grow on them."""
        return reachable(self.graph, starts)

    def ancestors(self, ends: Iterable[StepId]) -> set[StepId]:
        """Return the steps given and all that they grow on."""
        return reachable(self.graph.reverse(copy=False), ends)


def reachable(graph: Any, starts: Iterable[Any]) -> set[Any]:
    """Return the nodes given and all descendants of any of them, in one walk."""
    import networkx as nx

    return set(chain.from_iterable(nx.bfs_layers(graph, list(starts))))


def link_steps(tree: Tree) -> Links:
    """Connect the steps of a tree and put them in order.

    Raises:
        PlanError: the steps form a circle; it is named in order.
    """
    import networkx as nx  # 100 ms, which `log` and `inspect` do without

    by_id = _links(tree)
    graph = nx.DiGraph()
    graph.add_nodes_from(by_id)
    graph.add_edges_from((link.parent, link.id, _PARENT) for link in by_id.values() if link.parent)
    graph.add_edges_from((need, link.id, _NEEDS) for link in by_id.values() for need in link.needs)
    inputs_of = graph.reverse(copy=False)
    if not nx.is_directed_acyclic_graph(graph):
        circle = [step for step, _ in nx.find_cycle(inputs_of)]
        raise PlanError("the steps wait for each other in a circle", " -> ".join([*circle, circle[0]]))
    # Inputs first, else as written; networkx's topological sorts would move steps further than needed.
    return Links(tree, {step: by_id[step] for step in nx.dfs_postorder_nodes(inputs_of)}, graph)


_PARENT = {"kind": "parent"}
_NEEDS = {"kind": "needs"}


def _links(tree: Tree) -> dict[StepId, Link]:
    """Return the links of all steps, as written."""
    last = last_steps(tree)
    source: dict[str, str] = {}
    waiting: dict[str, tuple[StepId, ...]] = {}
    for stalk in tree.stalks:
        source[stalk.name] = stalk.name if stalk.bases or not stalk.parent else source[stalk.parent]

    links: dict[StepId, Link] = {}
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
            name = step.id
            links[name] = Link(
                id=name,
                step=step,
                repository=stalk.repository,
                parent=parent,
                needs=tuple(dict.fromkeys(n for n in needs if n != parent)) if position == 0 else (),
                base_stalk=source[stalk.name] if parent is None else "",
                is_first=position == 0,
                is_last=position == len(stalk.steps) - 1,
                is_taken=is_taken,
            )
            parent = name
    return links


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


def remaining_path_s(links: Links, durations_s: dict[StepId, float]) -> dict[StepId, float]:
    """Return for each step the seconds of the longest path from its start to the end of the run.

    A step without a known duration counts as the mean of the known ones, or one second.
    """
    known = list(durations_s.values())
    usual_s = sum(known) / len(known) if known else 1.0
    remaining: dict[StepId, float] = {}
    for step in reversed(links.by_id):
        after_s = max((remaining[after] for after in links.graph.successors(step)), default=0.0)
        remaining[step] = durations_s.get(step, usual_s) + after_s
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


def stalks_below(tree: Tree, name: str) -> list[Stalk]:
    """Return a stalk and all that grow on it, all of the tree for an empty name, in the tree's order.

    Raises:
        KeyError: the tree has no such stalk.
    """
    if not name:
        return list(tree.stalks)
    import networkx as nx

    graph = nx.DiGraph()
    graph.add_nodes_from(stalk.name for stalk in tree.stalks)
    makers = {stalk.repository: stalk.name for stalk in tree.stalks}
    for stalk in tree.stalks:
        starts = [stalk.parent, (stalk.start or "").partition(":")[0]]
        starts += [_maker(base, makers) for base in stalk.bases]
        graph.add_edges_from((start, stalk.name) for start in starts if start)
    found = reachable(graph, [tree.stalk(name).name])
    return [stalk for stalk in tree.stalks if stalk.name in found]


def _maker(base: Base, makers: Mapping[str, str]) -> str:
    """Return the stalk whose image a base is, empty for another image."""
    if not isinstance(base, TagBase) or base.name.endswith(":initial"):
        return ""
    return makers.get(base.name.rpartition(":")[0], "")
