"""What is added to a workspace has no problem, and is commented."""

from __future__ import annotations

import pytest

from stalker.config import read_tree
from stalker.config.check import check_all
from stalker.config.plugins.reusable import plugin_page
from stalker.errors import PlanError
from stalker.templates.new import other_script, plugin_files, stalk_files
from stalker.templates.write import write_new


@pytest.mark.parametrize("name", ["web", "web-2.de"])
def test_a_new_stalk_has_a_tree_that_reads(tmp_path, name):
    """No problem and no warning; the steps are there."""
    write_new(str(tmp_path), stalk_files(name))

    assert [str(one) for one in check_all([name], str(tmp_path)).problems] == []
    (stalk,) = read_tree(name, str(tmp_path)).stalks
    assert [step.name for step in stalk.steps] == ["first", "line"]


def test_a_new_stalk_can_come_without_a_tree():
    assert [file.path for file in stalk_files("web", with_tree=False)] == ["stalks/web/web.hjson"]


@pytest.mark.parametrize("is_python", [False, True])
def test_a_new_plugin_loads(tmp_path, is_python):
    """Its page is printed, and its example reads in a stalk."""
    write_new(str(tmp_path), plugin_files("banner.write", is_python=is_python))

    assert "banner.write - Write a line to a file." in plugin_page("banner.write", str(tmp_path))
    assert check_all(["plugins/banner.write.hjson"], str(tmp_path)).problems == ()


@pytest.mark.parametrize("is_python", [False, True])
def test_a_new_plugin_has_one_script(is_python):
    """A script of the other language under its name would make it two."""
    paths = {file.path for file in plugin_files("p", is_python=is_python)}

    assert {*paths, other_script("p", is_python=is_python)} == {
        "plugins/p.sh",
        "plugins/p.py",
        "plugins/p.hjson",
    }


@pytest.mark.parametrize("name", ["", "a/b", "../x", "a b", "-x", "Web"])
def test_a_name_that_no_image_can_have_is_refused(name):
    with pytest.raises(PlanError, match="is not a possible name"):
        stalk_files(name)


@pytest.mark.parametrize("name", ["", "a/b", "../x", "a b", ".x"])
def test_a_name_that_no_plugin_can_have_is_refused(name):
    with pytest.raises(PlanError, match="is not a possible name"):
        plugin_files(name)
