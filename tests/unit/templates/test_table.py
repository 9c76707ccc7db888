"""Each template is a workspace without a problem, and its links are those of the checkout."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from stalker.config import read_tree
from stalker.config.check import check_all
from stalker.engine.fake import FakeEngine
from stalker.model.tree import TagBase
from stalker.plan.bases import find_bases
from stalker.plan.graph import link_steps
from stalker.plan.image_index import ImageIndex
from stalker.plan.verdicts import make_plan, select
from stalker.templates.files import workspace_files
from stalker.templates.table import LINKS, TEMPLATES
from stalker.templates.write import write_new

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(params=TEMPLATES)
def made(request, tmp_path):
    template = TEMPLATES[request.param]
    write_new(str(tmp_path / "w"), workspace_files(template, "w"))
    return template, tmp_path / "w"


def test_a_new_workspace_has_neither_problems_nor_warnings(made):
    """What its README and its CI file check is clean, and nothing is missing."""
    template, workspace = made

    checked = check_all(shlex.split(template.checked), str(workspace))

    assert [str(problem) for problem in checked.problems] == []
    assert not checked.missing


def test_each_tree_of_a_new_workspace_plans(made):
    """On an engine with nothing but the tags that a tree names, each step is to run."""
    _, workspace = made
    for file in workspace.glob("trees/*/*.hjson"):
        tree = read_tree(str(file), str(workspace))
        links = link_steps(tree)
        engine = FakeEngine()
        for base in (base for stalk in tree.stalks for base in stalk.bases if isinstance(base, TagBase)):
            engine.add_image(base.name)
        index = ImageIndex(engine.labelled_images(), engine.image)
        drawn = make_plan(links, index, find_bases(tree, index, lambda *_: ""), select(links))

        assert {action.verdict for action in drawn.actions.values()} == {"RUN"}


def test_a_new_workspace_has_no_stalk_that_no_tree_uses(made):
    """Nothing is copied that has no use."""
    _, workspace = made
    used = {
        stalk.file
        for file in workspace.glob("trees/*/*.hjson")
        for stalk in read_tree(str(file), str(workspace)).stalks
    }

    assert {str(file.relative_to(workspace)) for file in workspace.glob("stalks/*/*.hjson")} == used


def test_the_links_are_those_of_the_checkout():
    """A wheel has copies in their places, so a table says where they lead."""
    found = {
        path.relative_to(ROOT).as_posix(): str(path.readlink())
        for kind in ("trees", "stalks")
        for path in (ROOT / kind).rglob("*")
        if path.is_symlink()
    }

    assert found == LINKS
