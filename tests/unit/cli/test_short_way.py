"""Only a plain run goes the short way; click reads every other command line."""

from __future__ import annotations

import pytest

from stalker.cli.short_way import plain_run


@pytest.mark.parametrize("jobs", ["0", "-1", "²", "x", ""])
def test_an_invalid_number_of_jobs_is_left_to_click(jobs):
    """It refuses them with exit code 2."""
    assert plain_run(["run", "t", "--jobs", jobs]) is None


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["run", "t"], ("t", "/here", False)),
        (["--config", "t", "--watch_stdout"], ("t", "/here", False)),
        (["--workspace", "/w", "run", "t", "-q", "-j", "3"], ("t", "/w", True)),
        (["run", "t", "--from", "a"], None),
        (["run", "t", "--with", "f"], None),
        (["run", "t", "--with=f"], None),
        (["run"], None),
        (["run", "--help"], None),
        ([], None),
    ],
)
def test_a_plain_run_is_a_tree_and_harmless_options(argv, expected, monkeypatch):
    """Tree, workspace, and whether it is quiet."""
    monkeypatch.setattr("os.getcwd", lambda: "/here")

    assert plain_run(argv) == expected


def test_a_plain_run_finds_the_workspace_from_a_subdirectory(tmp_path, monkeypatch):
    for name in ("trees", "stalks/web"):
        (tmp_path / name).mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "stalks/web")

    assert plain_run(["run", "t"]) == ("t", str(tmp_path), False)
