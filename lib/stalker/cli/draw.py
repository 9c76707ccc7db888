"""A tree as a picture: what is drawn, and the same as dot and as mermaid text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from stalker.model.base_key import describe_base
from stalker.model.escaping import shown

if TYPE_CHECKING:
    from stalker.model.tree import Tree
    from stalker.plan.plan import Plan

COLOURS = {"RUN": ("#ffd479", "#b26a00"), "REUSE": ("#b7e4a8", "#2e7d32"), "BLOCKED": ("#ff9e94", "#b71c1c")}
"""Fill and line of amber, green and red; dark text can be read on each."""

PLAIN = ("#f5f5f5", "#616161")


@dataclass(frozen=True, slots=True)
class Node:
    """A step or a base. `stalk` is empty for a base; `verdict` where no engine was queried."""

    id: str
    label: str
    stalk: str
    verdict: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Edge:
    """From what is there first; `is_needs` when the second does not start from it."""

    source: str
    target: str
    is_needs: bool = False


@dataclass(frozen=True, slots=True)
class Drawing:
    """What is drawn, in the order of the files."""

    title: str
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]

    def stalks(self) -> dict[str, list[Node]]:
        """Map each stalk to its steps."""
        found: dict[str, list[Node]] = {}
        for node in self.nodes:
            if node.stalk:
                found.setdefault(node.stalk, []).append(node)
        return found


def draw(tree: Tree, plan: Plan | None) -> Drawing:
    """Return the steps of a tree with their verdicts, where there is a plan.

    Raises:
        PlanError: the steps form a circle.
    """
    from stalker.plan.graph import link_steps

    links = plan.links if plan else link_steps(tree)
    bases: dict[str, Node] = {}
    nodes: list[Node] = []
    edges: list[Edge] = []
    for name, link in links.by_id.items():
        action = plan.actions.get(name) if plan else None
        verdict, reason = (action.verdict, action.reason) if action else ("", "")
        nodes.append(Node(name, link.step.name, link.step.stalk, verdict, shown(reason)))
        if link.base_stalk:
            base = bases.setdefault(link.base_stalk, _base(tree, plan, link.base_stalk))
            edges.append(Edge(base.id, name))
    edges += [
        Edge(source, target, is_needs=kind == "needs")
        for source, target, kind in links.graph.edges(links.by_id, data="kind")
    ]
    title = shown(tree.name)
    if plan is not None:
        run, blocked = len(plan.to_run), len(plan.blocked)
        title += f": {run} to run, {len(plan.actions) - run - blocked} reused"
        title += f", {blocked} blocked" if blocked else ""
    return Drawing(title, (*bases.values(), *nodes), tuple(edges))


def _base(tree: Tree, plan: Plan | None, stalk: str) -> Node:
    """Return what a stalk starts from; its id holds a space, which no step's has."""
    action = plan.bases.get(stalk) if plan else None
    bases = tree.stalk(stalk).bases
    if action is not None and action.base is not None:
        label = describe_base(action.base)
    elif len(bases) == 1:
        label = describe_base(bases[0])
    else:
        label = f"{stalk}:initial"
    verdict, reason = (action.verdict, action.reason) if action else ("", "")
    return Node(f"base {stalk}", shown(label), "", verdict, shown(reason))


def as_dot(drawing: Drawing) -> str:
    """Return a drawing in graphviz's language; stalks are clusters."""
    lines = [
        f"digraph {_dot(drawing.title)} {{",
        f"  label={_dot(drawing.title)}; labelloc=t; rankdir=TB;",
        '  graph [fontname="sans-serif" fontsize=12 color="#9e9e9e" style=rounded];',
        '  node [shape=box style="rounded,filled" fontname="sans-serif" fontsize=11];',
        '  edge [color="#616161" arrowsize=0.7];',
    ]
    lines += [
        f"  {_dot_node(node, 'shape=cylinder style=filled ')}" for node in drawing.nodes if not node.stalk
    ]
    for stalk, steps in drawing.stalks().items():
        lines += [f"  subgraph {_dot('cluster_' + stalk)} {{", f"    label={_dot(stalk)};"]
        lines += [f"    {_dot_node(node)}" for node in steps]
        lines.append("  }")
    for edge in drawing.edges:
        style = " [style=dashed]" if edge.is_needs else ""
        lines.append(f"  {_dot(edge.source)} -> {_dot(edge.target)}{style};")
    return "\n".join([*lines, "}", ""])


def _dot_node(node: Node, more: str = "") -> str:
    fill, line = COLOURS.get(node.verdict, PLAIN)
    tooltip = f"{node.verdict}: {node.reason}" if node.verdict else node.id
    return (
        f"{_dot(node.id)} [{more}label={_dot(node.label)} fillcolor={_dot(fill)}"
        f" color={_dot(line)} tooltip={_dot(tooltip)}];"
    )


def _dot(text: str) -> str:
    r"""Quote for dot, where `\N` would be the node's name and `&lt;` an entity."""
    text = text.replace("&", "&amp;").replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{text}"'


def as_mermaid(drawing: Drawing) -> str:
    """Return a drawing as a mermaid flowchart; stalks are subgraphs."""
    ids = {node.id: f"n{number}" for number, node in enumerate(drawing.nodes)}
    lines = ["---", f"title: {_yaml(drawing.title)}", "---", "flowchart TB"]
    lines += [f"  {ids[node.id]}[({_mermaid(node.label)})]" for node in drawing.nodes if not node.stalk]
    for number, (stalk, steps) in enumerate(drawing.stalks().items()):
        lines.append(f"  subgraph s{number}[{_mermaid(stalk)}]")
        lines += [f"    {ids[node.id]}[{_mermaid(node.label)}]" for node in steps]
        lines.append("  end")
    for edge in drawing.edges:
        arrow = "-.->" if edge.is_needs else "-->"
        lines.append(f"  {ids[edge.source]} {arrow} {ids[edge.target]}")
    for verdict, (fill, line) in COLOURS.items():
        members = [ids[node.id] for node in drawing.nodes if node.verdict == verdict]
        if members:
            lines.append(f"  classDef {verdict} fill:{fill},stroke:{line},color:#000")
            lines.append(f"  class {','.join(members)} {verdict}")
    return "\n".join([*lines, ""])


def _mermaid(text: str) -> str:
    """Quote for mermaid: in quotes all is literal but entities, which begin with `#`."""
    for char, entity in (("#", "#35;"), ('"', "#quot;"), ("<", "#lt;"), (">", "#gt;"), ("&", "#amp;")):
        text = text.replace(char, entity)
    return '"' + text.replace("\n", " ") + '"'


def _yaml(text: str) -> str:
    return "'" + text.replace("'", "''").replace("\n", " ") + "'"
