"""The journal of real runs, read by `eliot-tree`: one causal tree a run that tells what happened and why."""

import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from workspace import finish, read_until, space_on

pytestmark = pytest.mark.docker

ELIOT_TREE = Path(sys.executable).parent / "eliot-tree"
RUN = ("run", "trees/t/t.hjson", "--json", "--keep-going", "--jobs", "2")


@pytest.fixture
def space(engine, busybox, tmp_path):
    """A tree of two branches on one root: b needs two attempts, c fails; d grows on c."""
    with space_on(engine, tmp_path, busybox) as space:
        (tmp_path / "marks").mkdir()
        marks = {"path": "marks", "bind": "/marks", "mode": "rw"}
        flaky = "#!/bin/sh\n[ -e /marks/late ] || { touch /marks/late; echo too late >&2; exit 5; }\n"
        space.tree({"a": {"COLOUR": "green", "b": {}, "c": {"d": {}}}})
        space.stalk("a", {"one": {"exec": True, "COLOUR": "", "text": "#!/bin/sh\necho $COLOUR\n"}})
        space.stalk(
            "b", {"marks": marks, "flaky": {"exec": True, "retries": 1, "text": flaky}, "after": "true"}
        )
        space.stalk("c", {"bad": "echo no such luck; exit 7", "next": "true"})
        space.stalk("d", {"last": "true"})
        yield space


@dataclass
class Node:
    """A line of eliot-tree's picture, and what stands below it."""

    text: str
    below: list["Node"] = field(default_factory=list)

    def __getitem__(self, beginning):
        """Return the one node below that begins so."""
        (found,) = self.all(beginning)
        return found

    def all(self, beginning):
        return [node for node in self.below if re.match(rf"{re.escape(beginning)}(?=[/:]|$)", node.text)]

    def names(self):
        """What actions and messages stand below, without the action's own end."""
        own = self.text.partition("/")[0]
        names = [
            node.text.partition("/")[0] for node in self.below if "/" in node.text and ": " not in node.text
        ]
        return [name for name in names if name != own]

    @property
    def took_s(self):
        """The duration that is shown beside an action."""
        (text,) = re.findall(r"⧖ ([\d.]+)s", self.text)
        return float(text)

    @property
    def whole(self):
        return "\n".join([self.text, *(node.whole for node in self.below)])


def eliot_tree(*arguments, cwd):
    """Run the real program; return its tasks."""
    done = subprocess.run(
        [ELIOT_TREE, "--color", "never", "--field-limit", "0", *arguments],
        cwd=cwd,
        env={"PATH": os.environ["PATH"], "PYTHONUTF8": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    top = Node("")
    path = [top]
    for line in done.stdout.splitlines():
        if not line.strip():
            continue
        lead, text = re.fullmatch(r"([│├└─ ]*)(.*)", line).groups()
        depth = len(lead) // 4
        del path[depth + 1 :]
        path.append(Node(text))
        path[-2].below.append(path[-1])
    return top.below


def test_one_run_is_one_task_that_holds_everything(space):
    """`eliot-tree logs/eliot.txt`, as the manual says it: files, variables, plan, stalks, steps, images."""
    done = space.stalker(*RUN)

    assert done.code == 1
    (task,) = eliot_tree("logs/eliot.txt", cwd=space.path)
    run = task["run"]
    assert run.names()[:3] == ["reading", "planning", "stalk a"]
    assert sorted(run.names()[3:]) == ["stalk b", "stalk c", "stalk d"]
    files = run["reading"]["files"].whole
    assert all(f"stalks/{name}/{name}.hjson: " in files for name in "abcd")
    assert "trees/t/t.hjson: " in files
    assert re.search(r"COLOUR: green +\(trees/t/t.hjson:\d+", run.whole)
    plan = run["planning"]["plan"].whole
    assert "a:one: RUN: not built yet" in plan
    assert f"a: REUSE: tag {space.base} is here" in plan
    step = run["stalk a"]["step one"]
    attempt = step["attempt 1"]
    container, commit = attempt["container"].whole, attempt["commit"].whole
    (image,) = re.findall(r"image: (sha256:[0-9a-f]{64})", commit)
    assert f"name: {space.os}/x/y/a:one" in commit
    assert {event["image"] for event in done.of("step_finished") if event["step"] == "a:one"} == {image}
    assert re.search(r"container: stalker-a-\w+", container)
    (log,) = re.findall(r"log: (logs/a/x-y-one-\S+\.txt)", attempt.whole)
    assert (space.path / log).read_text() == "green\n"
    assert 0 < attempt["commit"].took_s <= attempt.took_s <= step.took_s + 0.001 <= run.took_s + 0.002


def test_what_went_wrong_is_told_where_it_happened(space):
    """The failure, what it blocks, the retry, and the branch beside them, each at its place."""
    space.stalker(*RUN)

    (task,) = eliot_tree("logs/eliot.txt", cwd=space.path)
    run = task["run"]
    bad = run["stalk c"]["step bad"]["attempt 1"].whole
    assert "c:bad failed with exit code 7" in bad
    assert "no such luck" in bad
    assert "resolution: ./stalker shell c:bad.failed --tree trees/t/t.hjson" in bad
    assert "cause: c:bad failed" in run["stalk c"]["blocked"].whole
    assert "step: d:last" in run["stalk d"]["blocked"].whole
    assert run["stalk c"]["step bad"]["attempt 1"]["commit"].took_s > 0
    flaky = run["stalk b"]["step flaky"]
    assert flaky.names() == ["attempt 1", "attempt 2"]
    assert "exit_code: 5" in flaky["attempt 1"].whole
    assert "will_retry_in_s: 1.0" in flaky["attempt 1"].whole
    assert "state: done" in flaky["attempt 2"].whole
    ends = {name: run[f"stalk {name}"].below[-1].text for name in "abcd"}
    states = {name: re.findall("succeeded|failed", text) for name, text in ends.items()}
    assert states == {"a": ["succeeded"], "b": ["succeeded"], "c": ["failed"], "d": ["failed"]}
    assert "failed" in run.below[-1].text
    assert "exit_code: 1" in run.below[-1].whole


def test_branches_that_run_together_keep_their_places(space):
    """Though their messages are written in turn, each step's are below that step, in order."""
    several = [f"s{number}" for number in range(4)]
    for stalk in "bc":
        space.stalk(stalk, {name: f"echo {stalk} {name}" for name in several})

    done = space.stalker(*RUN)

    assert done.code == 0
    (task,) = eliot_tree("logs/eliot.txt", cwd=space.path)
    for stalk in "bc":
        below = task["run"][f"stalk {stalk}"]
        assert below.names() == [f"step {name}" for name in several]
        for name in several:
            commit = below[f"step {name}"]["attempt 1"]["commit"].whole
            assert f"name: {space.os}/x/y/{stalk}:{name}" in commit


def test_each_run_has_its_journal_and_eliot_txt_is_the_newest(space):
    """`logs/runs/<run>/eliot.txt`; a second run says what was found there, and the failure again."""
    first = space.stalker(*RUN).of("run_started")[0]["run"]
    second = space.stalker(*RUN).of("run_started")[0]["run"]

    runs = {folder.name for folder in (space.path / "logs/runs").iterdir()}
    assert runs == {first, second}
    for run in runs:
        (task,) = eliot_tree(f"logs/runs/{run}/eliot.txt", cwd=space.path)
        assert f"run: {run}" in task.whole
    (task,) = eliot_tree("logs/eliot.txt", cwd=space.path)
    assert f"run: {second}" in task.whole
    assert "a:one: " in task["run"]["stalk a"]["reused"].whole
    assert (space.path / "logs/eliot.txt").resolve().parent.name == second


def test_the_journal_of_a_killed_run_is_read_up_to_there(space):
    """A kill -9 in the middle: the one task, with the step that was under way as started."""
    space.stalk("c", {"bad": "echo asleep; sleep 300"})
    with space.start(*RUN) as running:
        read_until(running, "step_output", "asleep")
        running.send_signal(signal.SIGKILL)
        assert finish(running).code == -signal.SIGKILL

    (task,) = eliot_tree("logs/eliot.txt", cwd=space.path)
    run = task["run"]
    assert "started" in run["stalk c"]["step bad"]["attempt 1"].text
    assert "⧖" not in run["stalk c"]["step bad"].text
    space.stalk("c", {"bad": "true"})
    notes = [event["text"] for event in space.stalker(*RUN).of("note")]
    assert sum(note.startswith("removed the container ") for note in notes) >= 1
    (after,) = eliot_tree("logs/eliot.txt", cwd=space.path)
    assert "removed the container " in after.whole


def test_a_secret_is_in_no_log(space):
    """Not in the journal, not in a step's log, not in what is shown."""
    secret = "s3cret-that-nobody-sees"
    space.tree({"a": {"TOKEN": ""}}, secrets={"TOKEN": {"env": "THE_TOKEN"}})
    text = "#!/bin/sh\necho it is $TOKEN\nexit 3\n"
    space.stalk("a", {"tell": {"exec": True, "TOKEN": "", "text": text}})

    done = space.stalker(*RUN, THE_TOKEN=secret)

    assert done.code == 1, done
    assert "it is ***" in done.out
    written = [file for file in (space.path / "logs").rglob("*") if file.is_file()]
    assert len(written) >= 2
    assert secret not in done.out + done.err + "".join(file.read_text() for file in written)
    assert all(json.loads(line) for line in (space.path / "logs/eliot.txt").read_text().splitlines())
