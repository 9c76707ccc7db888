"""Every tree that is shipped, and every example of a plugin, loads and plans."""

from __future__ import annotations

from pathlib import Path

import pytest

from stalker.config import check_files, list_plugins, read_tree
from stalker.engine.fake import FakeEngine
from stalker.model.tree import TagBase
from stalker.plan.bases import find_bases
from stalker.plan.graph import link_steps
from stalker.plan.image_index import ImageIndex
from stalker.plan.verdicts import make_plan, select

ROOT = Path(__file__).resolve().parents[2]
TREES = sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("trees/**/*.hjson"))
EXAMPLES = {info.name: info.example for info in list_plugins(str(ROOT))}


def plan(tree):
    """Return the plan of a tree on an engine to which any base can be brought; of tags it has those named."""
    links = link_steps(tree)
    engine = FakeEngine()
    for base in (base for stalk in tree.stalks for base in stalk.bases if isinstance(base, TagBase)):
        engine.add_image(base.name)
    index = ImageIndex(engine.labelled_images(), engine.image)
    bases = find_bases(tree, index, lambda *_: "")
    return make_plan(links, index, bases, select(links))


def test_there_are_trees_to_look_at():
    """The two that the documents speak of."""
    assert {"trees/hello_world/hello_world.hjson", "trees/showcase/showcase.hjson"} <= set(TREES)


@pytest.mark.parametrize("path", TREES)
def test_a_shipped_tree_has_neither_problems_nor_warnings(path):
    """What users copy from is clean."""
    assert [str(problem) for problem in check_files([path], str(ROOT))] == []


@pytest.mark.parametrize("path", TREES)
def test_on_an_empty_engine_every_step_of_a_shipped_tree_runs(path):
    """The plan has each step, says that it runs and why."""
    tree = read_tree(path, str(ROOT))

    actions = plan(tree).actions

    assert set(actions) == {step.id for stalk in tree.stalks for step in stalk.steps}
    assert {action.verdict for action in actions.values()} == {"RUN"}
    assert all(action.reason for action in actions.values())


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_example_of_a_plugin_plans_in_a_tree(name, tmp_path):
    """Pasted into a stalk, in a tree that says where it starts and holds a password."""
    (tmp_path / "plugins").symlink_to(ROOT / "plugins")
    (tmp_path / "stalks/x").mkdir(parents=True)
    (tmp_path / "stalks/x/x.hjson").write_text("plugins: {\n" + EXAMPLES[name] + "\n}\n")
    (tmp_path / "x.hjson").write_text(
        "architecture: { OS: debian, ARCH: x86-64bit, SUBARCH: generic_64 }\n"
        "secrets: { LOGIN_PASSWORD: { env: LOGIN_PASSWORD } }\n"
        "stalks: { x: { base: { image: debian:bookworm-slim } } }\n"
    )
    tree = read_tree(str(tmp_path / "x.hjson"), str(tmp_path))

    (action,) = plan(tree).actions.values()

    assert (action.verdict, tree.warnings) == ("RUN", ())
    assert tree.stalks[0].steps[0].uses == name
