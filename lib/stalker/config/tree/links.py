"""What stalks say of each other: needs, starts, skip_until; checked when all of them are read."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

from stalker.config.syntax.report import did_you_mean
from stalker.model.image_name import split_image_name
from stalker.model.tree import Base, Stalk, StepId, TagBase, step_id

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stalker.config.syntax.document import Node
    from stalker.config.syntax.report import Report
    from stalker.config.tree.nodes import Grown, Trunk
    from stalker.model.diagnostics import Place

_Edges = dict[str, list[tuple[str, "Place | None"]]]


def link_stalks(trunk: Trunk) -> tuple[Stalk, ...]:
    """Return the stalks, parents before children, with needs and starts settled."""
    linker = _Linker(trunk)
    stalks = tuple(linker.settle(one) for one in trunk.grown.values())
    linker.tell_circles(stalks)
    return stalks


class _Linker:
    def __init__(self, trunk: Trunk) -> None:
        self.grown: Mapping[str, Grown] = trunk.grown
        self.report: Report = trunk.report
        self.prefix = trunk.prefix
        self.steps = trunk.step_names

    def settle(self, one: Grown) -> Stalk:
        stalk = one.stalk
        start: StepId | None = None
        bases = stalk.bases
        if one.init_image is not None:
            start, bases = self.start(one.init_image, bases)
        elif not bases and not stalk.parent:
            bases = (TagBase(f"{stalk.repository}:initial", stalk.place),)
        return replace(
            stalk,
            needs=tuple((need.text, need.place) for need in one.needs if self.is_known(need)),
            skip_until=self.skip_until(one),
            start=start,
            bases=bases,
        )

    def is_known(self, need: Node) -> bool:
        stalk, colon, step = need.text.partition(":")
        if stalk not in self.grown:
            self.report.problem(
                need.place,
                f"no stalk named '{stalk}' in this tree",
                did_you_mean(stalk, self.grown, "stalks"),
            )
            return False
        if colon and step not in self.steps.get(stalk, ()):
            if stalk in self.steps:
                hint = did_you_mean(step, self.steps[stalk], "steps")
                self.report.problem(need.place, f"stalk '{stalk}' has no step '{step}'", hint)
            return False
        return True

    def skip_until(self, one: Grown) -> str:
        node, steps = one.skip_until, self.steps.get(one.stalk.name)
        if node is None or not isinstance(node.value, str) or not node.text or steps is None:
            return ""
        if node.text not in steps:
            hint = did_you_mean(node.text, steps, "steps")
            self.report.problem(node.place, f"stalk '{one.stalk.name}' has no step '{node.text}'", hint)
        return node.text

    def start(self, node: Node, bases: tuple[Base, ...]) -> tuple[StepId | None, tuple[Base, ...]]:
        """Return the step or the image that DOCKER_INIT_IMG names."""
        if not isinstance(node.value, str):
            return None, bases
        stalk, colon, tag = node.text.rpartition(":")
        if not colon or not stalk or not tag or "/" in tag:
            self.report.problem(node.place, f"'{node.text}' is not of the form stalk:tag")
            return None, bases
        name = node.text if "/" in stalk else f"{self.prefix}/{stalk.lower()}:{tag}"
        if self.report.attempt(node.place, split_image_name, name) is None:
            return None, bases
        steps = self.steps.get(stalk)
        if stalk not in self.grown or tag == "initial":
            return None, (TagBase(name, node.place),)
        if steps is None:
            return None, bases
        if tag not in steps and tag != "final":
            hint = did_you_mean(tag, [*steps, "initial", "final"], "tags")
            self.report.problem(node.place, f"stalk '{stalk}' has no step '{tag}'", hint)
            return None, bases
        if not steps:
            self.report.problem(node.place, f"stalk '{stalk}' has no step to start from")
            return None, bases
        return step_id(stalk, tag if tag in steps else steps[-1]), ()

    # circles

    def tell_circles(self, stalks: tuple[Stalk, ...]) -> None:
        """Tell each circle once, named in order: a stalk, what it waits for, and so on to itself."""
        edges = self.edges(stalks)
        done: set[str] = set()
        for begin in edges:
            path: list[str] = []
            where: dict[str, int] = {}
            pending: list[tuple[str, bool]] = [(begin, False)]
            while pending:
                name, is_left = pending.pop()
                if is_left:
                    done.add(name)
                    where.pop(path.pop())
                    continue
                if name in where:
                    self.tell_circle(path[where[name] :], edges)
                    continue
                if name in done:
                    continue
                where[name] = len(path)
                path.append(name)
                pending.append((name, True))
                pending.extend((after, False) for after, _ in reversed(edges[name]))

    def edges(self, stalks: tuple[Stalk, ...]) -> _Edges:
        """Return what waits for what: a stalk's beginning (`name:`) and its steps (`name:step`)."""
        last = {
            stalk.name: f"{stalk.name}:{self.steps[stalk.name][-1]}"
            if self.steps.get(stalk.name)
            else f"{stalk.name}:"
            for stalk in stalks
        }
        edges: _Edges = {}
        for stalk in stalks:
            begin: list[tuple[str, Place | None]] = []
            if stalk.start is not None:
                init_image = self.grown[stalk.name].init_image
                begin.append((stalk.start, init_image.place if init_image is not None else None))
            elif stalk.parent and not stalk.bases:
                begin.append((last[stalk.parent], None))
            begin.extend((need if ":" in need else last[need], place) for need, place in stalk.needs)
            edges[f"{stalk.name}:"] = begin
            before = f"{stalk.name}:"
            for step in self.steps.get(stalk.name, ()):
                edges[f"{stalk.name}:{step}"] = [(before, None)]
                before = f"{stalk.name}:{step}"
        return edges

    def tell_circle(self, circle: list[str], edges: _Edges) -> None:
        around = [*circle, circle[0]]
        said = [
            (name.partition(":")[0], place)
            for name, after in pairwise(around)
            for target, place in edges[name]
            if target == after and name.endswith(":")
        ]
        first = next((i for i, (_, place) in enumerate(said) if place is not None), 0)
        turned = [*said[first:], *said[:first]]
        stalks = [name for name, _ in turned]
        place = turned[0][1]
        assert place is not None
        self.report.problem(
            place,
            f"a circle: {' -> '.join([*stalks, stalks[0]])}",
            "a stalk waits for the one it is nested in and for those it needs",
        )
