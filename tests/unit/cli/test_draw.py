"""A tree drawn as a graph: nodes, edges, verdicts, and text that is safe in dot and in mermaid."""

import re
import shutil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from build import BASE, run, stalk, step, tree
from build import plan as plan_of
from stalker.cli import draw as drawing
from stalker.cli.commands.inspect import render
from stalker.cli.draw import Drawing, Edge, Node, as_dot, as_mermaid, draw
from stalker.engine.fake import FakeEngine

GROWN = tree(
    stalk("base", "fetch", "unpack"),
    stalk("web", "install", parent="base"),
    stalk("db", "install", parent="base", needs=("web:install",)),
)


def test_a_drawing_has_the_steps_their_bases_and_both_kinds_of_edges():
    """A root's base is a node; `needs` is reported from `starts from`."""
    drawn = draw(GROWN, None)

    assert [(node.id, node.label, node.stalk) for node in drawn.nodes] == [
        ("base base", f"tag {BASE}", ""),
        ("base:fetch", "fetch", "base"),
        ("base:unpack", "unpack", "base"),
        ("web:install", "install", "web"),
        ("db:install", "install", "db"),
    ]
    assert set(drawn.edges) == {
        Edge("base base", "base:fetch"),
        Edge("base:fetch", "base:unpack"),
        Edge("base:unpack", "web:install"),
        Edge("base:unpack", "db:install"),
        Edge("web:install", "db:install", is_needs=True),
    }


def test_a_drawing_with_a_plan_has_its_verdicts():
    """What ran is green, what has to run again amber, what has no base red."""
    engine = FakeEngine()
    engine.add_image(BASE)
    run(GROWN, engine)
    changed = tree(
        *GROWN.stalks[:2],
        stalk("db", step("install", "echo other\n"), parent="base", needs=("web:install",)),
        stalk("lone", "install", bases=()),
    )

    drawn = draw(changed, plan_of(changed, engine))

    assert drawn.title == "t: 1 to run, 3 reused, 1 blocked"
    assert {node.id: node.verdict for node in drawn.nodes} == {
        "base base": "REUSE",
        "base lone": "BLOCKED",
        "base:fetch": "REUSE",
        "base:unpack": "REUSE",
        "web:install": "REUSE",
        "db:install": "RUN",
        "lone:install": "BLOCKED",
    }


def test_dot_has_clusters_colours_and_dashed_needs():
    nodes = (Node("base a", "image x", ""), Node("a:b", "b", "a", "RUN", "not built yet"))

    text = as_dot(Drawing("t", nodes, (Edge("base a", "a:b"), Edge("x:y", "a:b", is_needs=True))))

    assert 'subgraph "cluster_a" {' in text
    assert '"base a" -> "a:b";' in text
    assert '"x:y" -> "a:b" [style=dashed];' in text
    assert f'fillcolor="{drawing.COLOURS["RUN"][0]}"' in text
    assert 'tooltip="RUN: not built yet"' in text


def test_mermaid_has_subgraphs_classes_and_dotted_needs():
    nodes = (Node("base a", "image x", ""), Node("a:b", "b", "a", "RUN"), Node("c:d", "d", "c", "BLOCKED"))

    text = as_mermaid(Drawing("t", nodes, (Edge("base a", "a:b"), Edge("a:b", "c:d", is_needs=True))))

    assert text.splitlines() == [
        "---",
        "title: 't'",
        "---",
        "flowchart TB",
        '  n0[("image x")]',
        '  subgraph s0["a"]',
        '    n1["b"]',
        "  end",
        '  subgraph s1["c"]',
        '    n2["d"]',
        "  end",
        "  n0 --> n1",
        "  n1 -.-> n2",
        "  classDef RUN fill:#ffd479,stroke:#b26a00,color:#000",
        "  class n1 RUN",
        "  classDef BLOCKED fill:#ff9e94,stroke:#b71c1c,color:#000",
        "  class n2 BLOCKED",
    ]


@given(st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\0\r"), max_size=30))
def test_any_text_stays_inside_its_quotes_in_dot(text):
    """A quote or backslash in a reason ends no string; it reads back as it was."""
    quoted = drawing._dot(text)

    inner = re.fullmatch(r'"((?:[^"\\]|\\.)*)"', quoted, re.DOTALL)
    assert inner is not None
    back = re.sub(r"\\(.)", lambda m: "\n" if m[1] == "n" else m[1], inner[1]).replace("&amp;", "&")
    assert back == text


@given(st.text(max_size=30))
def test_any_text_stays_inside_its_quotes_in_mermaid(text):
    """No quote, tag or line break gets out."""
    inner = drawing._mermaid(text)[1:-1]

    assert not set('"<>\n') & set(inner)


@pytest.mark.skipif(not shutil.which("dot"), reason="graphviz is not installed")
def test_graphviz_takes_every_name_and_reason():
    r"""Names with quotes, backslashes and angle brackets are drawn as they are."""
    odd = 'a"b\\N<c>&amp;\nd'
    nodes = (Node(f"s:{odd}", odd, odd, "RUN", odd), Node("base x", odd, ""))

    svg = render(Drawing(odd, nodes, (Edge("base x", f"s:{odd}"),)), "svg").decode()

    assert "a&quot;b\\N&lt;c&gt;&amp;amp;" in svg
    assert svg.count('class="edge"') == 1
    assert svg.count('class="node"') == 2
