"""What the command line does about its own streams."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from stalker.cli.main import stalker

ROOT = Path(__file__).parents[3]


def test_output_that_finds_no_room_is_told():
    """A plan into a full disk is neither success nor a traceback."""
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "stalker.cli", "schema", "tree"],
            env={**os.environ, "PYTHONPATH": str(ROOT / "lib")},
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )

    assert done.returncode == 1
    assert done.stderr == "stalker: No space left on device: not all of the output could be written\n"


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        (["--config", "t"], ["run", "t"]),
        (["--config=t", "--jobs", "2", "-k"], ["run", "t", "--jobs", "2", "-k"]),
        (["--watch_stdout", "--config", "t", "--set", "A=b"], ["run", "t", "--watch_stdout", "--set", "A=b"]),
        (
            ["--config", "t", "--until", "run", "--workspace", "w"],
            ["--workspace", "w", "run", "t", "--until", "run"],
        ),
        (["--workspace=w", "--config", "t", "--json"], ["--workspace=w", "run", "t", "--json"]),
        (["--workspace", "w", "plan", "t"], ["--workspace", "w", "plan", "t"]),
        (["image", "create", "--config", "x"], ["image", "create", "--config", "x"]),
        (["--config"], ["--config"]),
    ],
)
def test_config_is_run_with_all_its_options(typed, read):
    """The call of the original kantoo-devkit takes what `run` takes; what follows a command is the command's."""
    context = click.Context(stalker, info_name="stalker")

    assert stalker.as_run(context, typed) == read


def test_config_and_a_command_are_refused_together():
    """A command takes the tree as its argument."""
    done = CliRunner().invoke(stalker, ["--config", "t", "plan"])

    assert done.exit_code == 2
    assert "--config TREE runs a tree by itself" in done.output


def test_config_reaches_run_with_its_options(tmp_path):
    """An option of `run` is checked as `run` checks it."""
    done = CliRunner().invoke(stalker, ["--workspace", str(tmp_path), "--config", "t", "--jobs", "0"])

    assert done.exit_code == 2
    assert "'--jobs'" in done.output


def test_a_command_finds_the_workspace_from_a_subdirectory(tmp_path, monkeypatch):
    """A tree is known by its name anywhere in the workspace."""
    for name in ("trees/t", "stalks/web/files"):
        (tmp_path / name).mkdir(parents=True)
    tree = '{ architecture: { OS: x, ARCH: y, SUBARCH: z }, stalks: { web: { base: { tag: "a:b" } } } }'
    (tmp_path / "trees/t/t.hjson").write_text(tree)
    (tmp_path / "stalks/web/web.hjson").write_text("{ plugins: { go: { exec: true, text: '#!/bin/sh' } } }")
    monkeypatch.chdir(tmp_path / "stalks/web/files")

    done = CliRunner().invoke(stalker, ["check", "t"])

    assert (done.exit_code, done.output) == (0, "2 files read, no problems\n")


@pytest.mark.parametrize("words", [["images"], ["artifacts"], ["log"], ["shell", "web:a"]])
def test_a_file_to_merge_needs_a_tree(tmp_path, words):
    """It is an error before an engine is asked."""
    done = CliRunner().invoke(stalker, ["--workspace", str(tmp_path), *words, "--with", "more.hjson"])

    assert type(done.exception).__name__ == "PlanError"
    assert "--with more.hjson: there is no tree to merge it onto" in str(done.exception)


def test_a_graph_is_drawn_with_what_is_merged(tmp_path, monkeypatch):
    """A node that only the merged file has is in the picture."""
    (tmp_path / "trees").mkdir()
    (tmp_path / "stalks/web").mkdir(parents=True)
    tree = '{ architecture: { OS: x, ARCH: y, SUBARCH: z }, stalks: { web: { base: { tag: "a:b" } } } }'
    (tmp_path / "trees/t.hjson").write_text(tree)
    (tmp_path / "stalks/web/web.hjson").write_text("{ plugins: { go: { exec: true, text: '#!/bin/sh' } } }")
    (tmp_path / "more.hjson").write_text("{ stalks: { web: { inner: { stalk: web } } } }")
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere")
    monkeypatch.chdir(tmp_path)

    done = CliRunner().invoke(stalker, ["graph", "t", "--with", "more.hjson"])

    assert done.exit_code == 0
    assert "inner" in done.stdout
