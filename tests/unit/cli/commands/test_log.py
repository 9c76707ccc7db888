"""`stalker log`: a step's output byte for byte, and the runs."""

import json
import os
import time

import pytest
from click.testing import CliRunner

from stalker.cli.commands.log import aligned, as_table, state_of
from stalker.cli.main import stalker
from stalker.engine.run_id import new_run_id
from stalker.errors import NoEngine, PlanError
from stalker.journal.reader import RunSummary

TREE = """{
  architecture: { OS: "debian", ARCH: "%s", SUBARCH: "pi" }
  paths: { LOG_DIR: "%s" }
  stalks: { %s: { base: { tag: "a:b" } } }
}
"""
STALK = """{
  plugins: {
    b: { exec: true, text: "#!/bin/sh\\ntrue" }
    a-b: { exec: true, text: "#!/bin/sh\\ntrue" }
  }
}
"""


class Space:
    """A workspace with trees and logs; no engine is there."""

    def __init__(self, root):
        self.root = root

    def tree(self, name, stalk="web", arch="arm-32bit", log_dir="logs"):
        self.write(f"trees/{name}.hjson", TREE % (arch, log_dir, stalk))
        self.write(f"stalks/{stalk}/{stalk}.hjson", STALK)

    def write(self, path, content, age_s=0):
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        when = 1_800_000_000 - age_s
        os.utime(file, (when, when))

    def journal(self, run, config, at, **end):
        first = {"timestamp": at, "tree": config.split("/")[-1].removesuffix(".hjson"), "config": config}
        lines = [{**first, "action_type": "run", "action_status": "started"}]
        if end:
            took_s = end.pop("duration_s", 2.0)
            lines.append(
                {"timestamp": at + took_s, "action_type": "run", "action_status": "succeeded", **end}
            )
        self.write(f"logs/runs/{run}/eliot.txt", "".join(json.dumps(line) + "\n" for line in lines))

    def attempt(self, run, step, log, at=1.0):
        """Let the journal of a run name the log of a step."""
        file = self.root / f"logs/runs/{run}/eliot.txt"
        line = {"timestamp": at, "action_type": "attempt 1", "action_status": "started"}
        first, *rest = file.read_text().splitlines(keepends=True)
        file.write_text(first + json.dumps({**line, "log": log, "of": step}) + "\n" + "".join(rest))

    def log(self, *arguments):
        return CliRunner().invoke(stalker, ["--workspace", str(self.root), "log", *arguments])


@pytest.fixture
def space(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nobody.sock")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return Space(tmp_path)


def test_the_newest_output_of_a_step_comes_out_byte_for_byte(space):
    """Binary output, colours and a missing last line break are as the step wrote them."""
    data = b"\x1b[31mred\x1b[0m\r\n\xff\x00 no end"
    space.tree("t")
    space.write("logs/web/arm-32bit-pi-b-20261121-020305.txt", data)
    space.write("logs/web/arm-32bit-pi-b-20261120-020305.txt", "older", age_s=9)

    done = space.log("web:b", "--tree", "t")

    assert (done.exit_code, done.stdout_bytes) == (0, data)


@pytest.mark.parametrize(("tree", "said"), [("one", "of one"), ("two", "of two")])
def test_two_trees_with_a_stalk_of_one_name_have_logs_of_their_own(space, tree, said):
    """The journal of a run of that tree names the log; a newer file of the other tree is not taken."""
    for number, name in enumerate(("one", "two")):
        space.tree(name)
        space.journal(f"r{number}", f"trees/{name}.hjson", 1000.0 + number, exit_code=0)
        log = f"logs/web/arm-32bit-pi-b-20261121-020305-0123456789ab-{number}-1b.txt"
        space.attempt(f"r{number}", "web:b", log)
        space.write(log, f"of {name}", age_s=number)

    assert space.log("web:b", "--tree", tree).stdout == said


def test_the_newest_attempt_is_that_of_the_run_that_waited(space):
    """It started first and worked last; a run that has no end yet is looked at too."""
    space.tree("t")
    for run, at, end in (
        ("r1", 1000.0, {"exit_code": 0, "duration_s": 90.0}),
        ("r2", 1001.0, {"exit_code": 0}),
    ):
        space.journal(run, "trees/t.hjson", at, **end)
        space.write(f"logs/web/{run}.txt", f"of {run}")
    space.attempt("r1", "web:b", "logs/web/r1.txt", at=1050.0)
    space.attempt("r2", "web:b", "logs/web/r2.txt", at=1002.0)

    assert space.log("web:b", "--tree", "t").stdout == "of r1"


def test_a_tree_of_the_same_name_elsewhere_is_another_one(space):
    space.tree("t")
    space.write("other/t.hjson", (space.root / "trees/t.hjson").read_text())
    space.journal("r1", "other/t.hjson", 1000.0, exit_code=0)
    space.attempt("r1", "web:b", "logs/web/other.txt")
    space.write("logs/web/other.txt", "of the other")

    missing = space.log("web:b", "--tree", "t").exception
    assert missing.brief == "there is no log of web:b"
    assert missing.resolution.startswith("`stalker log debian/arm-32bit/pi/web:b` prints")
    assert space.log("web:b", "--tree", "other/t.hjson").stdout == "of the other"
    assert json.loads(space.log("--tree", "t", "--json").stdout) == []


def test_a_log_that_was_deleted_is_passed_over(space):
    """The one of the run before is still there."""
    space.tree("t")
    for run, at in (("r1", 1000.0), ("r2", 2000.0)):
        space.journal(run, "trees/t.hjson", at, exit_code=0)
        space.attempt(run, "web:b", f"logs/web/{run}.txt")
    space.write("logs/web/r1.txt", "older")

    assert space.log("web:b", "--tree", "t").stdout == "older"


def test_a_step_is_found_without_a_tree_in_the_one_that_ran_last(space):
    """No engine is asked."""
    space.tree("old", arch="x86")
    space.tree("new", arch="arm-32bit")
    space.journal("r1", "trees/old.hjson", 1000.0, exit_code=0)
    space.journal("r2", "trees/new.hjson", 2000.0, exit_code=0)
    space.write("logs/web/x86-pi-b-20261121-020305.txt", "of old")
    space.write("logs/web/arm-32bit-pi-b-20261121-020305.txt", "of new")

    assert space.log("web:b").stdout == "of new"


@pytest.mark.parametrize(
    ("typed", "meant"), [("web:bb", "web:b"), ("web:a_b", "web:a-b"), ("wep:a-b", "web:a-b")]
)
def test_a_step_with_a_slip_in_its_name_is_told_with_the_one_meant(space, typed, meant):
    """No tree need be named for it."""
    space.tree("t")
    space.journal("r1", "trees/t.hjson", 1000.0, exit_code=0)

    error = space.log(typed).exception

    assert isinstance(error, PlanError)
    assert (error.brief, error.details) == (
        f"no step named '{typed}' in the trees that ran here",
        f"did you mean '{meant}'?",
    )


def test_a_step_that_is_there_and_never_ran_is_not_taken_for_a_slip(space):
    """`b` and `a-b` are both steps of the stalk."""
    space.tree("t")
    space.journal("r1", "trees/t.hjson", 1000.0, exit_code=0)

    assert space.log("web:b").exception.brief == "there is no log of web:b"


def test_a_tree_that_is_gone_does_not_hinder(space):
    space.tree("old")
    space.journal("r1", "trees/old.hjson", 1000.0, exit_code=0)
    space.journal("r2", "trees/gone.hjson", 2000.0, exit_code=0)
    space.write("logs/web/arm-32bit-pi-b-20261121-020305.txt", "of old")

    assert space.log("web:b").stdout == "of old"


def test_a_step_whose_name_ends_like_another_is_not_taken_for_it(space):
    """`b` has no log; `a-b` has one."""
    space.tree("t")
    space.write("logs/web/arm-32bit-pi-a-b-20261121-020305.txt", "of a-b")

    done = space.log("web:b", "--tree", "t")

    assert isinstance(done.exception, PlanError)
    assert done.exception.brief == "there is no log of web:b"


def test_the_output_of_a_failed_step_is_that_of_the_step(space):
    space.tree("t")
    space.write("logs/web/arm-32bit-pi-b-20261121-020305.txt", "failed here")

    assert space.log("web:b.failed", "--tree", "t").stdout == "failed here"


def test_the_logs_stand_where_the_tree_says(space):
    space.tree("t", log_dir="elsewhere/logs")
    space.write("elsewhere/logs/web/arm-32bit-pi-b-20261121-020305.txt", "there")

    assert space.log("web:b", "--tree", "t").stdout == "there"


REFUSED = {
    ("web:x", "--tree", "t"): "stalk web has no step named 'x'",
    ("wob:b", "--tree", "t"): "no stalk named 'wob' in tree t",
    ("web:b", "--tree", "t"): "there is no log of web:b",
    ("web:b",): "there is no log of web:b",
    ("web:b", "--json"): "log REF --json: a step's output is not JSON",
}


@pytest.mark.parametrize(("arguments", "brief"), REFUSED.items(), ids=" ".join)
def test_a_step_without_a_log_is_an_error(space, arguments, brief):
    """What is printed is output of a step, never a message."""
    space.tree("t")

    done = space.log(*arguments)

    assert isinstance(done.exception, PlanError)
    assert (done.exception.brief, done.stdout) == (brief, "")


@pytest.mark.parametrize("ref", ["debian/arm-32bit/pi/web:b", "0123456789abcdef", "web:final"])
def test_the_log_of_an_image_needs_an_engine(space, ref):
    """Only its label tells which run left it."""
    space.tree("t")

    assert isinstance(space.log(ref).exception, NoEngine)


# The runs


def test_the_runs_are_a_table_the_newest_first(space):
    space.journal(
        "r1", "trees/old.hjson", 1000.0, exit_code=1, ran=2, reused=3, failed=["web:b"], blocked=["x:y"]
    )
    space.journal("r2", "trees/new.hjson", 90000.0, exit_code=0, ran=12, duration_s=65)

    lines = space.log().stdout.splitlines()

    assert lines[0].split() == [
        "RUN",
        "TREE",
        "STARTED",
        "TOOK",
        "EXIT",
        "RAN",
        "REUSED",
        "BLOCKED",
        "FAILED",
    ]
    assert lines[1].split()[:2] == ["r2", "new"]
    assert lines[1].split()[4:] == ["1", "min", "5", "s", "0", "12", "0", "0"]
    assert lines[2].split()[4:] == ["2.0", "s", "1", "2", "3", "1", "web:b"]


def test_an_artifact_that_was_not_made_is_named_beside_failed_steps(space):
    """Else a run that ended with 1 looks as if nothing had gone wrong."""
    space.journal("r1", "trees/t.hjson", 1000.0, exit_code=1, failed=["web:b"], unmade=["web/disk"])

    assert space.log().stdout.splitlines()[1].split()[-2:] == ["web:b", "web/disk"]
    assert json.loads(space.log("--json").stdout)[0]["unmade"] == ["web/disk"]


def test_only_the_runs_of_a_tree_are_listed_when_one_is_named(space):
    space.tree("t")
    space.journal("r1", "trees/t.hjson", 1000.0, exit_code=0)
    space.journal("r2", "trees/u.hjson", 2000.0, exit_code=0)

    found = json.loads(space.log("--tree", "t", "--json").stdout)

    assert [run["run"] for run in found] == ["r1"]


def test_a_run_as_json_has_all_that_is_known(space):
    space.journal("r1", "trees/t.hjson", 1000.0, exit_code=1, failed=["web:b"], brief="web:b failed")

    (run,) = json.loads(space.log("--json").stdout)

    assert run == {
        "run": "r1",
        "tree": "t",
        "config": "trees/t.hjson",
        "started_at": 1000.0,
        "duration_s": 2.0,
        "exit_code": 1,
        "state": "finished",
        "ran": 0,
        "reused": 0,
        "failed": ["web:b"],
        "blocked": [],
        "unmade": [],
        "brief": "web:b failed",
        "journal": str(space.root / "logs/runs/r1/eliot.txt"),
    }


def test_where_nothing_ran_yet_there_is_nothing_to_list(space):
    assert space.log("--json").stdout == "[]\n"
    assert space.log().stdout == "no run yet\n"


def test_a_run_without_an_end_is_running_or_was_killed():
    """Its process tells which."""
    here = RunSummary(new_run_id(time.time()), "t", "t.hjson", 1.0, "")
    dead_run = here.run.rpartition("-")[0] + "-4194305"  # more than Linux numbers processes

    assert state_of(here) == "running"
    assert state_of(RunSummary(dead_run, "t", "t.hjson", 1.0, "")) == "killed"
    assert " running" in as_table([here])


def test_a_run_that_cannot_be_seen_from_here_is_neither():
    """It was on another host, in another container, or before the last boot."""
    elsewhere = RunSummary("20261121-020305-0123456789ab-1-1b4f", "t", "t.hjson", 1.0, "")

    assert state_of(elsewhere) == "unknown"


def test_columns_are_as_wide_as_their_widest_cell():
    assert (
        aligned([("a", "b", "c"), ("long", "", "the rest is free")], "  ")
        == "  a     b  c\n  long     the rest is free"
    )
