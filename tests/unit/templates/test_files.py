"""The files of a new workspace are those that come with stalker."""

from __future__ import annotations

import json
from importlib import metadata
from pathlib import Path

import pytest
import yaml

from stalker.templates import files
from stalker.templates.table import TEMPLATES

ROOT = Path(__file__).resolve().parents[3]


def by_path(name, ci=""):
    return {file.path: file for file in files.workspace_files(TEMPLATES[name], "title", ci)}


@pytest.mark.parametrize("name", TEMPLATES)
def test_trees_and_stalks_are_those_that_come_with_stalker(name):
    """With their comments, modes and links; only the program is called as an installed one."""
    for path, file in by_path(name).items():
        if path.startswith(("trees/", "stalks/")):
            shipped = ROOT / path
            if file.link:
                assert str(shipped.readlink()) == file.link
            else:
                assert file.content == shipped.read_bytes().replace(b"./stalker ", b"stalker ")
                assert file.mode == (0o755 if shipped.stat().st_mode & 0o100 else 0o644)


@pytest.mark.parametrize("name", TEMPLATES)
def test_no_file_calls_the_program_of_a_checkout_or_has_an_unfilled_place(name):
    for file in by_path(name, "github").values():
        assert b"./stalker" not in file.content, file.path
        if not file.path.startswith(("trees/", "stalks/")):
            assert b"@" not in file.content.replace(b"actions/checkout@v4", b"").replace(
                b"actions/upload-artifact@v4", b""
            ), file.path


@pytest.mark.parametrize("ci", files.CI_FILES)
@pytest.mark.parametrize("name", TEMPLATES)
def test_a_ci_file_is_yaml_and_has_the_commands(name, ci):
    """Each command is one line, in the order in which they are needed."""
    template = TEMPLATES[name]
    document = yaml.safe_load(files.ci_text(template, ci, "https://example.org/s.whl"))

    assert commands_of(document)[-1 - len(template.fetched) - len(template.commands) :] == [
        f"stalker check {template.checked}",
        *template.fetched,
        *template.commands,
    ]


def commands_of(document):
    """Return the commands of a CI file, whichever it is, line by line."""
    if "jobs" in document:
        steps = document["jobs"]["run"]["steps"]
        return [line for step in steps if "run" in step for line in step["run"].splitlines()]
    if "steps" in document:
        return document["steps"][0]["commands"]
    return [*document["run"]["before_script"], *document["run"]["script"]]


@pytest.mark.parametrize(
    ("origin", "source"),
    [
        (None, ""),
        ({"url": "file:///home/ann/stalker", "dir_info": {}}, ""),
        ({"url": "https://example.org/s.whl", "archive_info": {}}, "https://example.org/s.whl"),
        (
            {"url": "https://example.org/s.git", "vcs_info": {"vcs": "git", "commit_id": "abc"}},
            "git+https://example.org/s.git@abc",
        ),
    ],
)
def test_ci_installs_what_is_installed_here_where_it_can_be_reached(monkeypatch, origin, source):
    """Pip notes where it took a package from; a file of this machine is of no use to others."""

    class Noted:
        def read_text(self, name):
            assert name == "direct_url.json"
            return json.dumps(origin) if origin else None

    monkeypatch.setattr(files, "distribution", lambda _: Noted())

    assert files.installed_from() == source


def test_a_checkout_has_no_source(monkeypatch):
    def distribution(_):
        raise metadata.PackageNotFoundError

    monkeypatch.setattr(files, "distribution", distribution)

    assert files.installed_from() == ""
