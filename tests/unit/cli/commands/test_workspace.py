"""`init` and `new` on the command line."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from stalker.cli.main import stalker
from stalker.templates.table import TEMPLATES


@pytest.fixture
def typed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return lambda *words: CliRunner().invoke(stalker, words)


def test_init_makes_a_workspace_and_says_what_comes_next(typed, tmp_path):
    done = typed("init", "kiosk", "--ci", "gitlab")

    assert done.exit_code == 0
    assert done.output.endswith("next:\n  cd kiosk\n  stalker run hello_world\n")
    assert (tmp_path / "kiosk/.gitlab-ci.yml").is_file()
    assert (tmp_path / "kiosk/README.md").read_text().startswith("# kiosk\n")
    assert "set STALKER" in done.stderr


def test_init_makes_one_here(typed, tmp_path):
    """Next to what is there already, as long as nothing is in the way."""
    (tmp_path / "LICENSE").touch()

    done = typed("init", "--from", "debian-disk")

    assert done.exit_code == 0
    assert (tmp_path / "trees/amd64/amd64.hjson").is_file()
    assert "cd" not in done.output


def test_init_twice_is_an_error(typed, tmp_path):
    typed("init")
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}

    done = typed("init", "--from", "gentoo")

    assert type(done.exception).__name__ == "PlanError"
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_init_lists_the_templates(typed, tmp_path):
    done = typed("init", "--list")

    assert [line.split()[0] for line in done.output.splitlines()] == list(TEMPLATES)
    assert list(tmp_path.iterdir()) == []


def test_new_adds_to_the_workspace_from_anywhere_in_it(typed, tmp_path, monkeypatch):
    typed("init")
    monkeypatch.chdir(tmp_path / "stalks/hello_world")

    stalk = typed("new", "stalk", "web")
    plugin = typed("new", "plugin", "banner.write", "--python")

    assert stalk.output == "stalks/web/web.hjson\ntrees/web/web.hjson\nnext:\n  stalker run web\n"
    assert plugin.output.endswith("next:\n  stalker plugins banner.write\n")
    assert (tmp_path / "plugins/banner.write.py").is_file()
    assert typed("check", "web").exit_code == 0


def test_new_without_a_tree_says_where_the_stalk_goes(typed, tmp_path):
    done = typed("new", "stalk", "web", "--no-tree")

    assert done.output.endswith("  web: {}\n")
    assert not (tmp_path / "trees").exists()


@pytest.mark.parametrize("words", [("stalk", "web"), ("plugin", "p"), ("plugin", "p", "--python")])
def test_new_overwrites_nothing(typed, words):
    typed("new", "stalk", "web")
    typed("new", "plugin", "p")

    assert type(typed("new", *words).exception).__name__ == "PlanError"
