"""Inputs that are declared: what others merge onto a tree, on a real engine."""

from __future__ import annotations

import hashlib
import json

import pytest

from unit.fetch.git.repositories import commit, git, git_served
from unit.helpers.server import serving

pytestmark = pytest.mark.docker

TREE = "trees/t/t.hjson"


@pytest.fixture
def greeting(workspace):
    """Three stalks: `left` and `right` on `root`; each step writes GREETING to a file of its name."""
    nodes = {name: {} for name in ("left", "right")}
    workspace.tree({"root": nodes}, globals={"GREETING": "hello"})
    for name in ("root", "left", "right"):
        script = f'#!/bin/sh\necho "$GREETING" > /by-{name}\n'
        workspace.stalk(name, {"go": {"exec": True, "GREETING": "", "text": script}})
    return workspace


def test_a_merged_file_decides_what_runs(greeting):
    """A run with it, the same run again, and a run without it."""
    greeting.write("w.yaml", "globals:\n  GREETING: good evening\nstalks:\n  root:\n    right: null\n")

    first = greeting.stalker("run", TREE, "--with", "w.yaml", "--json")
    again = greeting.stalker("run", TREE, "--with", "w.yaml", "--json")

    assert first.code == again.code == 0, first.err + again.err
    assert first.verdicts == {"root:go": "RUN", "left:go": "RUN"}
    assert again.verdicts == {"root:go": "REUSE", "left:go": "REUSE"}
    assert greeting.files("left:go")["/by-left"].content == b"good evening\n"
    assert greeting.image("right:go") is None
    without = greeting.plan()
    assert without["left:go"][0] == "RUN"
    assert "GREETING: good evening -> hello" in without["root:go"][1]


def test_the_quick_run_with_nothing_to_do_knows_merged_files(greeting):
    """A run that had nothing to do does not stand for one with a file merged, nor that one for it."""
    for _ in range(2):
        assert greeting.stalker("run", TREE).code == 0
    greeting.write("w.hjson", "globals: { GREETING: other }")

    merged = greeting.stalker("run", TREE, "--with", "w.hjson")
    back = greeting.stalker("run", TREE)

    assert "nothing to do" not in merged.err
    assert back.code == 0
    assert greeting.files("left:go")["/by-left"].content == b"hello\n"


def test_until_of_several_steps_runs_exactly_what_they_need(greeting):
    done = greeting.stalker("run", TREE, "--until", "left", "--json")
    both = greeting.stalker("run", TREE, "--until", "left", "--until", "right", "--json")

    assert done.verdicts == {"root:go": "RUN", "left:go": "RUN"}
    assert both.verdicts == {"root:go": "REUSE", "left:go": "REUSE", "right:go": "RUN"}


def test_the_resolved_tree_runs_as_the_merged_one(greeting):
    """`show --resolved` as a file of its own has nothing to do after the run with the merged file."""
    greeting.write("w.hjson", "stalks: { root: { GREETING: node } }")
    options = ("--with", "w.hjson", "--set", "GREETING=typed")
    assert greeting.stalker("run", TREE, *options).code == 0

    shown = greeting.stalker("show", TREE, "--resolved", *options)
    greeting.write("trees/r.hjson", shown.out)
    planned = greeting.stalker("plan", "r", "--json")

    assert shown.code == 0, shown.err
    assert {step["verdict"] for step in json.loads(planned.out)["steps"]} == {"REUSE"}


def test_check_reports_the_place_in_a_merged_file(greeting):
    greeting.write("w.hjson", "stalks: {\n  rooot: { }\n}")

    done = greeting.stalker("check", TREE, "--with", "w.hjson")
    alone = greeting.stalker("check", "stalks/root/root.hjson", "--with", "w.hjson")

    assert done.code == 2
    assert "w.hjson:2:3: stalks.rooot: the tree has no stalk 'rooot' here\n  did you mean 'root'?" in done.out
    assert alone.code == 2
    assert "none of these files is a tree" in alone.err


@pytest.fixture
def login(workspace):
    """A step that has a secret as a variable, and one after it that has it in a placed file."""
    workspace.tree({"s": {}}, secrets={"TOKEN": {"env": "TOKEN", "counts": True}})
    workspace.stalk(
        "s",
        {
            "before": "echo before > /before",
            "use": {"exec": True, "TOKEN": "", "text": '#!/bin/sh\necho "${#TOKEN}" > /use\n'},
            "file": {"bind": "/login", "TOKEN": "", "text": "{TOKEN}"},
        },
    )
    return workspace


def test_another_value_of_a_secret_that_counts_runs_what_has_it(login):
    """The same value runs nothing, and neither label nor journal has a value."""
    first = login.stalker("run", TREE, TOKEN="first-value-1")
    same = [login.stalker("run", TREE, TOKEN="first-value-1") for _ in range(2)]
    other = login.stalker("run", TREE, TOKEN="second-value-22")

    assert first.code == other.code == 0, first.err + other.err
    assert all("nothing to do" in done.err for done in same)
    assert login.files("s:use")["/use"].content == b"15\n"
    labels = json.dumps(login.image("s:use").labels)
    assert "hmac-sha256" in labels
    assert "value-22" not in labels
    key = login.path / "home/.local/share/stalker/fingerprint-key"
    assert key.stat().st_mode & 0o777 == 0o600
    planned = json.loads(login.stalker("plan", TREE, "--json", TOKEN="third").out)["steps"]
    assert "secret TOKEN has another value" in next(
        one["reason"] for one in planned if one["step"] == "s:use"
    )


def test_a_secret_that_counts_is_needed_for_a_plan(login):
    done = login.stalker("plan", TREE)

    assert done.code == 2
    assert "the environment variable TOKEN is not set" in done.err


@pytest.fixture
def download(workspace):
    """A step that has a file by URL: bound while it runs, and a copy in its image."""
    body = bytes(range(256)) * 9000  # more than travels as text, and not text
    with serving(file=body) as served:
        workspace.tree({"s": {}})

        def stalk(url, **more):
            more = more or {"sha256": hashlib.sha256(body).hexdigest()}
            workspace.stalk(
                "s",
                {
                    "bound": {"bind": "/bound", "url": url, **more},
                    "kept": {"copy": "/kept", "url": url, "mode": "0755", **more},
                    "go": "sha256sum < /bound > /sum",
                },
            )

        workspace.served, workspace.by_url, workspace.body = served, stalk, body
        yield workspace


def test_a_file_by_url_is_in_the_step_and_in_its_image(download):
    """Fetched once for both; the plan asks nothing; another address of the same content runs nothing."""
    download.by_url(f"{download.served.url}/file")
    planned = download.stalker("plan", TREE, "--json")
    assert (planned.code, download.served.asked) == (0, []), planned.err

    done = download.stalker("run", TREE, "--json")

    assert done.code == 0, done.err
    files = download.files("s:go")
    assert files["/kept"].content == download.body
    assert hashlib.sha256(download.body).hexdigest() in files["/sum"].content.decode()
    assert "/bound" not in files
    assert download.served.gets() == 1
    download.by_url("https://elsewhere.invalid/moved")
    again = download.stalker("run", TREE)
    assert "nothing to do" in again.err, again.err
    download.by_url("https://elsewhere.invalid/moved", sha256="0" * 64)
    wrong = download.stalker("run", TREE)
    assert wrong.code == 4, wrong.err
    assert "elsewhere.invalid/moved" in wrong.err


def test_a_url_without_a_checksum_runs_again_when_its_server_has_something_else(download):
    """Each plan asks; the same content is nothing to do, and a warning says what would pin it."""
    download.by_url(f"{download.served.url}/file", mirrors=[])
    first = download.stalker("run", TREE)
    same = download.stalker("run", TREE)
    download.served.files["/file"], download.served.etag = b"other", '"v2"'
    planned = download.plan()
    other = download.stalker("run", TREE)

    assert first.code == same.code == other.code == 0, first.err + other.err
    assert "a URL without a checksum" in first.err
    assert "nothing to do" in same.err
    assert planned["s:go"][0] == "RUN"
    assert download.files("s:go")["/kept"].content == b"other"


def test_a_shell_has_the_files_that_are_fetched(download):
    download.by_url(f"{download.served.url}/file")
    assert download.stalker("run", TREE).code == 0

    done = download.stalker("shell", "s:go", "--tree", TREE, "--", "sha256sum", "/bound")

    assert hashlib.sha256(download.body).hexdigest() in done.out, done.err


@pytest.fixture
def sources(workspace):
    """A step that sees a repository, served by `git http-backend` to those who have the token."""
    repository = workspace.path / "served/project"
    commit(repository, {"lib/a": b"one\n", "other": b"x\n"})
    with git_served(workspace.path / "served", token="geheim") as url:
        workspace.tree({"s": {}}, secrets={"TOKEN": {"env": "TOKEN"}})

        def stalk(**more):
            plugin = {
                "git": f"{url}/project/.git",
                "bind": "/src",
                "TOKEN": "",
                "headers": {"Authorization": "Bearer {TOKEN}"},
                **more,
            }
            workspace.stalk("s", {"src": plugin, "go": "cat /src/a > /seen; ! touch /src/b"})

        workspace.repository, workspace.by_git = repository, stalk
        yield workspace


def test_a_step_sees_a_directory_of_a_private_repository(sources):
    """A new commit runs the step when it changes the directory, and only then."""
    sources.by_git(ref="main", subdirectory="lib")
    first = sources.stalker("run", TREE, TOKEN="geheim")
    assert first.code == 0, first.err
    assert sources.files("s:go")["/seen"].content == b"one\n"
    assert "git tree" in json.dumps(sources.image("s:go").labels)

    commit(sources.repository, {"other": b"y\n"})
    same = sources.stalker("run", TREE, TOKEN="geheim")
    commit(sources.repository, {"lib/a": b"two\n"})
    other = sources.stalker("run", TREE, TOKEN="geheim")

    assert "nothing to do" in same.err, same.err
    assert other.code == 0, other.err
    assert sources.files("s:go")["/seen"].content == b"two\n"
    assert "geheim" not in first.err + first.out + json.dumps(sources.image("s:go").labels)


def test_a_commit_needs_neither_token_nor_server_once_it_is_there(sources):
    sources.by_git(ref=git(sources.repository, "rev-parse", "HEAD"), subdirectory="lib")
    refused = sources.stalker("run", TREE, TOKEN="wrong")
    first = sources.stalker("run", TREE, TOKEN="geheim")
    planned = sources.stalker("plan", TREE, "--json", TOKEN="wrong")

    assert refused.code == 4, refused.err
    assert first.code == 0, first.err
    assert json.loads(planned.out)["steps"][0]["verdict"] == "REUSE", planned.err
