"""What is committed is not done again, whatever ended the run before; and the plan says why."""

import contextlib
import json
import os
import re
import signal
import threading
import time

import pytest

from run_space import docker
from stalker.model import labels
from stalker.model.images import short_id
from workspace import finish, read_until

pytestmark = pytest.mark.docker

TREE = "trees/t/t.hjson"


def ran(done):
    """Return the steps that ran, in the order in which they ended."""
    return [event["step"] for event in done.of("step_finished") if event["state"] == "done"]


def notes(done):
    return [event["text"] for event in done.of("note")]


# One tree, grown once, whose plan is asked for after each kind of change


def write_forest(space, **node):
    """Write root (a, b, c) -> child (d); other (e) needs child."""
    space.tree(
        {"root": {"SERIAL": 1, **node, "child": {}}, "other": {"needs": ["child"]}},
        globals={"GREETING": "hello"},
    )
    space.write("files/shown.txt", "shown\n")
    space.write("data/inside", "inside\n")
    space.write("out/inside", "written by somebody\n")
    write_root(space)
    space.stalk(
        "child",
        {
            "shown": {"bind": "/etc/shown", "path": "files/shown.txt"},
            "in": {"path": "data", "bind": "/data"},
            "out": {"path": "out", "bind": "/out", "mode": "rw"},
            "d": "cat /etc/shown /data/inside",
        },
    )
    space.stalk("other", {"e": "true"})


def write_root(space, b="echo b >/b", options=None, copy="copied", envplugins=None):
    space.stalk(
        "root",
        {
            "a": {"exec": True, "GREETING": "", "text": "#!/bin/sh\necho $GREETING >/a\n"},
            "b": {"exec": True, "SERIAL": "", "text": f"#!/bin/sh\n{b}\n"},
            "copied": {"copy": "/copied", "text": copy},
            "c": "true",
        },
        DOCKER_OPTS=options or {"network": "none", "mem_limit": "64m"},
        envplugins=envplugins or {"LC_ALL": "C"},
    )


@pytest.fixture(scope="module")
def grown(shared_space):
    space = shared_space()
    write_forest(space)
    done = space.run()
    assert done.code == 0, done.err
    assert ran(done) == ["root:a", "root:b", "root:c", "child:d", "other:e"]
    return space


@pytest.fixture
def forest(grown):
    """The grown tree; its files are as they were afterwards, its images are not touched."""
    yield grown
    write_forest(grown)
    for name in ("sysroot/etc/new",):
        (grown.path / name).unlink(missing_ok=True)


def test_a_second_run_runs_nothing(forest):
    """What is there is there."""
    before = {name: forest.id(name) for name in ("root:a", "root:b", "root:c", "child:d", "other:e")}

    done = forest.run()

    assert done.code == 0
    assert ran(done) == []
    assert set(done.verdicts.values()) == {"REUSE"}
    assert {name: forest.id(name) for name in before} == before
    assert forest.to_run() == {}


def line_of(space, name, needle):
    text = (space.path / name).read_text()
    return text[: text.index(needle)].count("\n") + 1


def edit_script(space):
    write_root(space, b="echo other >/b")
    return f"script changed (stalks/root/root.hjson:{line_of(space, 'stalks/root/root.hjson', 'echo other')})"


def edit_variable(space):
    write_forest(space, SERIAL=2)
    return "variable SERIAL: 1 -> 2"


def edit_copy(space):
    write_root(space, copy="changed")
    return copy_changed(space, "changed")


def copy_changed(space, text):
    line = line_of(space, "stalks/root/root.hjson", f'"text": "{text}"')
    return f"file /copied changed (stalks/root/root.hjson:{line})"


def edit_bound_file(space):
    space.write("files/shown.txt", "other\n")
    return "file /etc/shown changed (files/shown.txt:1)"


def edit_read_only_folder(space):
    space.write("data/inside", "other\n")
    return "directory /data changed"


def edit_options(space):
    write_root(space, options={"network": "none", "mem_limit": "64m", "cap_add": ["SYS_PTRACE"]})
    return 'option cap_add: (not set) -> ["SYS_PTRACE"]'


def edit_environment(space):
    write_root(space, envplugins={"LC_ALL": "C.UTF-8"})
    return "envplugin LC_ALL: C -> C.UTF-8"


def edit_greeting(space):
    document = json.loads((space.path / TREE).read_text())
    document["globals"]["GREETING"] = "good day"
    space.write(TREE, json.dumps(document))
    return "variable GREETING: hello -> good day"


def edit_sysroot(space):
    space.write("sysroot/etc/new", "new")
    return "file /etc/new is new (sysroot/etc/new:1)"


AFTER_A = {"root:b": "parent root:a ran", "root:c": "parent root:b ran"}
AFTER_ROOT = {"child:d": "parent root:c ran", "other:e": "needs child:d ran"}
ALL_OF_ROOT = {"root:a": "{}", "root:b": "{}; parent root:a ran", "root:c": "{}; parent root:b ran"}

EDITS = {
    "a script": (edit_script, {"root:b": "{}", "root:c": "parent root:b ran", **AFTER_ROOT}),
    "a variable": (edit_variable, {"root:b": "{}", "root:c": "parent root:b ran", **AFTER_ROOT}),
    "a variable of the tree": (edit_greeting, {"root:a": "{}", **AFTER_A, **AFTER_ROOT}),
    "a file that is copied": (edit_copy, {"root:c": "{}", **AFTER_ROOT}),
    "a file that is shown": (edit_bound_file, {"child:d": "{}", "other:e": "needs child:d ran"}),
    "a read-only folder": (edit_read_only_folder, {"child:d": "{}", "other:e": "needs child:d ran"}),
    "an option": (edit_options, {**ALL_OF_ROOT, **AFTER_ROOT}),
    "the environment": (edit_environment, {**ALL_OF_ROOT, **AFTER_ROOT}),
    "the sysroot": (
        edit_sysroot,
        {
            **ALL_OF_ROOT,
            "child:d": "{}; parent root:c ran",
            "other:e": "{}; needs child:d ran",
        },
    ),
}


@pytest.mark.parametrize("edit", EDITS)
def test_an_edit_runs_that_step_and_what_grows_on_it(forest, edit):
    """The reason names the field, before anything runs."""
    change, expected = EDITS[edit]

    reason = change(forest)

    assert forest.to_run() == {step: text.format(reason) for step, text in expected.items()}


def more_memory(space):
    write_root(space, options={"network": "none", "mem_limit": "128m"})


def new_content_of_a_writable_folder(space):
    space.write("out/inside", "other")


def comments_and_order(space):
    file = space.path / "stalks/other/other.hjson"
    file.write_text("# a comment\n" + file.read_text().replace("{", "{\n", 1))


@pytest.mark.parametrize("change", [more_memory, new_content_of_a_writable_folder, comments_and_order])
def test_what_changes_no_result_runs_nothing(forest, change):
    """More memory, a folder that steps write to, or a comment is not a new work."""
    change(forest)

    assert forest.to_run() == {}


SELECTIONS = {
    ("--from", "root:c"): (
        {
            "root:c": "asked for by --from root:c",
            "child:d": "asked for by --from root:c; parent root:c ran",
            "other:e": "asked for by --from root:c; needs child:d ran",
        },
        {"root:a", "root:b"},
    ),
    ("--from", "child"): (
        {
            "child:d": "asked for by --from child:d",
            "other:e": "asked for by --from child:d; needs child:d ran",
        },
        {"root:a", "root:b", "root:c"},
    ),
    ("--from", "root:b", "--until", "root:b"): ({"root:b": "asked for by --from root:b"}, {"root:a"}),
    ("--no-cache", "--until", "root:b"): (
        {
            "root:a": "asked for by --no-cache",
            "root:b": "asked for by --no-cache; parent root:a ran",
        },
        set(),
    ),
    ("--set", "SERIAL=3", "--until", "root"): (
        {"root:b": "variable SERIAL: 1 -> 3", "root:c": "parent root:b ran"},
        {"root:a"},
    ),
    ("--set", "SERIAL=3", "--only", "child"): ({}, {"root:a", "root:b", "root:c", "child:d"}),
    ("--no-cache", "--only", "child"): (
        {"child:d": "asked for by --no-cache"},
        {"root:a", "root:b", "root:c"},
    ),
}


@pytest.mark.parametrize("words", SELECTIONS, ids=" ".join)
def test_a_part_of_a_tree_is_asked_for(forest, words):
    """--from, --until, --only, --no-cache and --set say what to do with a tree that is there."""
    to_run, reused = SELECTIONS[words]

    plan = forest.plan(*words)

    assert {step: reason for step, (verdict, reason) in plan.items() if verdict == "RUN"} == to_run
    assert {step for step, (verdict, _) in plan.items() if verdict == "REUSE"} == reused


def test_a_stalk_that_is_pretended_is_taken_as_it_is(forest):
    """Its scripts may have changed; nothing of it runs."""
    write_forest(forest, pretend=True)
    write_root(forest, b="echo other >/b", copy="other")

    plan = forest.plan()

    assert {step for step, (verdict, _) in plan.items() if verdict == "RUN"} == set()
    assert plan["root:b"] == ("REUSE", "taken as it is committed")


def test_steps_before_skip_until_are_taken_as_they_are(forest):
    """From there on the tree is checked against its files again."""
    write_forest(forest, skip_until="c")
    write_root(forest, b="echo other >/b", copy="other")

    assert forest.to_run() == {"root:c": copy_changed(forest, "other"), **AFTER_ROOT}


def test_a_step_that_nobody_committed_cannot_be_pretended(workspace):
    """A tag that a later stalk needs and that is not there is an error, and nothing runs."""
    workspace.tree({"root": {"pretend": True, "child": {}}})
    workspace.stalk("root", {"a": "true"})
    workspace.stalk("child", {"b": "true"})

    done = workspace.run()

    assert done.code == 2
    assert ran(done) == []
    assert f"child:b starts from {workspace.name('root:a')}, which is not in the engine" in done.err


@pytest.fixture
def pair(workspace):
    """A tree of two steps, committed."""
    workspace.tree({"s": {}})
    workspace.stalk("s", {"a": "echo a >/a", "b": "echo b >/b"})
    done = workspace.run()
    assert done.code == 0, done.err
    return workspace


def test_a_run_from_a_step_makes_new_images_from_there(pair):
    """What was asked for runs, and the run after it has nothing to do."""
    first, second = pair.id("s:a"), pair.id("s:b")

    done = pair.run("--from", "s:b")

    assert (done.code, ran(done)) == (0, ["s:b"])
    assert pair.id("s:a") == first
    assert pair.id("s:b") == pair.id("s:final") != second
    assert pair.to_run() == {}


def test_a_run_again_of_a_step_is_told_to_what_grows_on_it(pair):
    """A step that only was run again is newer than what grew on it."""
    pair.run("--from", "s:a", "--until", "s:a")

    assert pair.to_run() == {"s:b": f"s:a was run again since ({short_id(pair.id('s:a'))})"}


def test_going_back_to_what_was_there_before_runs_nothing(workspace):
    """An image that carries the fingerprint is that work, done, whatever was built since."""
    workspace.tree({"s": {}})
    step = {"exec": True, "SERIAL": "", "text": "#!/bin/sh\necho $SERIAL >/serial\n"}
    workspace.stalk("s", {"a": "true", "b": step, "c": "true"}, SERIAL="1")
    workspace.run()
    before = {name: workspace.id(f"s:{name}") for name in ("a", "b", "c", "final")}

    other = workspace.run("--set", "SERIAL=2")
    assert workspace.text("s:c", "/serial") == "2\n"
    back = workspace.run()

    assert ran(other) == ["s:b", "s:c"]
    assert (back.code, ran(back)) == (0, [])
    assert {name: workspace.id(f"s:{name}") for name in before} == before


# Tags that somebody touched, and other people's images


def test_a_tag_that_was_removed_comes_back(pair):
    """Removing a tag by hand is noticed and explained; the work is not lost."""
    image = pair.id("s:a")
    docker("tag", image, pair.name("kept:1"))
    docker("rmi", pair.name("s:a"))

    assert pair.plan()["s:a"] == (
        "REUSE",
        f"unchanged; the tag was removed; it comes back on {short_id(image)}",
    )
    done = pair.run()

    assert (done.code, ran(done)) == (0, [])
    assert pair.id("s:a") == image


def test_an_image_that_is_gone_and_not_needed_is_not_made_again(pair):
    """What grows on it is there; only who asks for it has it built again."""
    docker("rmi", pair.name("s:a"))

    assert pair.image("s:a") is None
    assert pair.plan()["s:a"] == ("REUSE", "its image was removed, but what grows on it is there")
    assert ran(pair.run()) == []
    assert ran(pair.run("--until", "s:a")) == ["s:a"]


def test_a_tag_that_was_moved_goes_back(pair):
    """Moving a tag by hand is noticed and explained."""
    first, last = pair.id("s:a"), pair.id("s:b")
    docker("tag", last, pair.name("s:a"))

    verdict, reason = pair.plan()["s:a"]
    done = pair.run()

    assert (verdict, reason) == (
        "REUSE",
        f"unchanged; the tag points at {short_id(last)} now; it goes back to {short_id(first)}",
    )
    assert (done.code, ran(done), pair.id("s:a")) == (0, [], first)


def test_an_image_that_is_gone_is_made_again(pair):
    """All tags removed, the last image with them: what is missing runs."""
    docker("rmi", pair.name("s:b"), pair.name("s:final"))

    assert pair.to_run() == {"s:b": "not built yet"}
    done = pair.run()

    assert (done.code, ran(done)) == (0, ["s:b"])


@pytest.mark.parametrize("change", ["ENV A=1", "LABEL a=b"])
def test_another_base_under_the_same_name_is_noticed(workspace, change):
    """A name that moves does not identify an image."""
    name = f"{workspace.prefix}/mybase:1"
    docker("tag", workspace.base, name)
    workspace.tree({"s": {"base": {"tag": name}}})
    workspace.stalk("s", {"a": "cat /version >/a 2>/dev/null; true", "b": "true"})
    workspace.run()
    old = workspace.engine.image(workspace.base).id
    made = docker("create", workspace.base).stdout.strip()
    new = docker("commit", "--change", change, made, name).stdout.strip()
    docker("rm", made)

    assert workspace.to_run() == {
        "s:a": f"base image is another one: {short_id(old)} -> {short_id(new)}",
        "s:b": "parent s:a ran",
    }
    assert ran(workspace.run()) == ["s:a", "s:b"]


def test_the_same_base_under_another_id_is_the_same_base(workspace):
    """An id differs from engine to engine; layers, platform and configuration do not."""
    name = f"{workspace.prefix}/mybase:1"
    docker("tag", workspace.base, name)
    workspace.tree({"s": {"base": {"tag": name}}})
    workspace.stalk("s", {"a": "true"})
    workspace.run()
    made = docker("create", workspace.base).stdout.strip()
    docker("commit", "--message", "nothing changed", made, name)
    docker("rm", made)
    assert workspace.engine.image(name).id != workspace.engine.image(workspace.base).id

    assert workspace.to_run() == {}


@pytest.mark.parametrize("kind", ["tag", "DOCKER_INIT_IMG", "short DOCKER_INIT_IMG", "file"])
def test_any_committed_tag_starts_a_new_tree(pair, kind):
    """Who has a tag can grow on it, without the files it came from."""
    nodes = {
        "tag": {"base": {"tag": pair.name("s:a")}},
        "DOCKER_INIT_IMG": {"DOCKER_INIT_IMG": pair.name("s:a")},
        "short DOCKER_INIT_IMG": {"DOCKER_INIT_IMG": "s:a"},
        "file": {},
    }
    of_file = {"DOCKER_INIT_IMG": "s:a"} if kind == "file" else {}
    pair.tree({"grown": {**nodes[kind], **({} if kind == "tag" else {"base": None})}})
    pair.stalk("grown", {"c": "cat /a >/c; test ! -e /b"}, **of_file)

    done = pair.run()

    assert done.code == 0, done.err
    assert pair.text("grown:c", "/c") == "a\n"
    assert pair.id("grown:initial") == pair.id("s:a")
    assert pair.to_run() == {}


@pytest.mark.parametrize("has_name", [False, True])
def test_an_image_that_another_tool_derived_is_not_taken_for_the_step(pair, tmp_path, has_name):
    """A derived image inherits our labels; it is not our work."""
    original = pair.id("s:b")
    name = pair.name("s:b") if has_name else pair.name("derived:1")
    (tmp_path / "context").mkdir()
    (tmp_path / "context/Dockerfile").write_text(f"FROM {pair.name('s:b')}\nRUN echo spoilt >/b\n")
    docker("build", "-q", "-t", name, str(tmp_path / "context"))
    assert (
        pair.engine.image(name).labels[labels.FINGERPRINT]
        == pair.engine.image(original).labels[labels.FINGERPRINT]
    )
    docker("rmi", pair.name("s:final"))
    if not has_name:
        docker("rmi", pair.name("s:b"))

    done = pair.run()

    assert done.code == 0, done.err
    assert pair.text("s:b", "/b") == "b\n"
    assert pair.id("s:final") == pair.id("s:b")


def test_one_of_our_tags_is_a_base_whatever_labels_it_has(pair):
    """A step of a tree that grows on another tree's step keeps its own history."""
    pair.tree({"s2": {"base": {"tag": pair.name("s:b")}}})
    pair.stalk("s2", {"b": "echo of s2 >/b"})

    done = pair.run()

    assert (done.code, ran(done)) == (0, ["s2:b"])
    image = pair.image("s2:b")
    assert image.labels[labels.STEP] == pair.name("s2:b")
    assert image.labels[labels.FINGERPRINT] != pair.image("s:b").labels[labels.FINGERPRINT]


# Two runs at once, and runs that were killed or stopped


def write_slow(space, seconds=30):
    space.tree({"s": {}})
    space.stalk("s", {"a": "echo a >/a", "slow": f"echo now; sleep {seconds}; echo done >/slow", "b": "true"})


@contextlib.contextmanager
def in_the_middle(space):
    """Give a run that is in the middle of its second step."""
    with space.start("run", TREE, "--json") as running:
        said = read_until(running, "step_output", "now")
        try:
            yield running, said
        finally:
            if running.poll() is None:
                running.kill()
                running.communicate()


def test_a_second_run_on_the_same_names_says_who_holds_them(workspace):
    """Two runs at once: the second says who holds the lock, and waits with --wait."""
    write_slow(workspace, seconds=3)
    with in_the_middle(workspace) as (running, said):
        other = workspace.run()
        waiting = workspace.run("--wait")
        first = finish(running, said)

    assert first.code == 0, first.err
    assert other.code == 1
    run = first.of("run_started")[0]["run"]
    assert f"is being worked on by run {run} (process {running.pid}, {TREE})" in other.err
    assert waiting.code == 0, waiting.err
    assert any(f"waiting for run {run}" in text for text in notes(waiting))
    assert ran(waiting) == []
    assert set(waiting.verdicts.values()) == {"REUSE"}


def test_other_names_are_not_held(workspace):
    """Two trees on one engine run side by side."""
    write_slow(workspace)
    with in_the_middle(workspace):
        tree = workspace.write(
            "trees/u/u.hjson", (workspace.path / TREE).read_text().replace('"s": {', '"free": {')
        )
        workspace.stalk("free", {"a": "true"})
        other = workspace.stalker("run", str(tree), "--json")

    assert (other.code, ran(other)) == (0, ["free:a"])


def test_a_killed_run_is_cleaned_up_by_the_next(workspace):
    """A run is killed (-9) in the middle of a step: no lock is left, its container goes, and the work goes on."""
    write_slow(workspace)
    with in_the_middle(workspace) as (running, _):
        running.kill()
        finish(running)
    left = workspace.containers()
    write_slow(workspace, seconds=0)

    done = workspace.run()

    assert done.code == 0, done.err
    assert len(left) == 1
    # By this run, or by one of another test at the same moment: any may do it.
    there = {container.id for container in workspace.engine.containers({})}
    assert there.isdisjoint(container.id for container in left)
    assert ran(done) == ["s:slow", "s:b"]
    assert workspace.containers() == []
    assert workspace.text("s:slow", "/slow") == "done\n"


def test_a_run_that_lives_is_not_swept_away(workspace):
    """Another run on the same engine leaves what a living one has."""
    write_slow(workspace, seconds=2)
    with in_the_middle(workspace) as (running, said):
        workspace.write("trees/u/u.hjson", (workspace.path / TREE).read_text().replace('"s": {', '"free": {'))
        workspace.stalk("free", {"a": "true"})
        other = workspace.stalker("run", "trees/u/u.hjson", "--json")
        done = finish(running, said)

    assert other.code == 0
    assert [text for text in notes(other) if f"left by run {done.events[0]['run']}" in text] == []
    assert (done.code, ran(done)) == (0, ["s:a", "s:slow", "s:b"])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda n: n.name)
def test_a_run_that_is_asked_to_stop_stops_cleanly(workspace, number):
    """Ctrl-C, and what CI or a closed terminal sends: exit 130, no container, what was done stays."""
    write_slow(workspace)
    with in_the_middle(workspace) as (running, said):
        running.send_signal(number)
        done = finish(running, said)

    assert done.code == 130
    assert done.took_s < 25
    assert workspace.containers() == []
    assert done.events[-1]["event"] == "run_finished"
    assert done.events[-1]["exit_code"] == 130
    assert workspace.image("s:a") is not None
    assert workspace.image("s:slow") is None
    assert workspace.image("s:slow.failed") is None
    assert workspace.to_run().keys() == {"s:slow", "s:b"}


def test_a_second_ctrl_c_ends_at_once(workspace):
    """Who is in a hurry waits for nothing; containers are gone all the same."""
    write_slow(workspace)
    with in_the_middle(workspace) as (running, _):
        began_s = time.monotonic()
        running.send_signal(signal.SIGINT)
        read_until(running, "stopping")
        with contextlib.suppress(ProcessLookupError):
            os.kill(running.pid, signal.SIGINT)
        running.wait(60)
        took_s = time.monotonic() - began_s
        running.communicate()

    assert running.returncode == 130
    assert took_s < 20
    assert workspace.containers() == []


# The kill -9 sweep

KILLS = 14


def write_branches(space):
    space.tree({"root": {"left": {}, "right": {"needs": ["left:l1"]}}})
    script = "#!/bin/sh\necho $SERIAL >>/{0}; echo {0} >>/all\n"

    def step(name):
        return {"exec": True, "SERIAL": "", "text": script.format(name)}

    extra = {"seen": {"bind": "/etc/passwd", "text": "root:x:0:0:seen:/root:/bin/sh\n"}}
    space.stalk("root", {**extra, "r1": step("r1"), "r2": step("r2")}, SERIAL="0")
    space.stalk("left", {**extra, "l1": step("l1"), "l2": step("l2")}, SERIAL="0")
    space.stalk("right", {**extra, "x1": step("x1"), "x2": step("x2")}, SERIAL="0")


GROWN = {
    "root:r1": ["r1"],
    "root:r2": ["r1", "r2"],
    "left:l1": ["r1", "r2", "l1"],
    "left:l2": ["r1", "r2", "l1", "l2"],
    "right:x1": ["r1", "r2", "x1"],
    "right:x2": ["r1", "r2", "x1", "x2"],
}


def wrong_images(space, serial, references):
    """Return the images that do not hold what their steps wrote, each once and nothing else."""
    wrong = []
    for reference in references:
        names = GROWN[reference]
        added = space.added(reference)
        content = {path: entry.content.decode() for path, entry in added.items()}
        expected = {f"/{name}": f"{serial}\n" for name in names} | {"/all": "".join(f"{n}\n" for n in names)}
        if content != expected:
            wrong.append((reference, content))
    return wrong


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_run_may_be_killed_at_any_moment(workspace):
    """A run is killed (-9) anywhere: the next run succeeds, each image is right, nothing is left."""
    write_branches(workspace)
    began_s = time.monotonic()
    assert workspace.run("--set", "SERIAL=first").code == 0
    whole_s = time.monotonic() - began_s
    troubles = []
    killed = 0
    for number in range(KILLS):
        running = workspace.start("run", TREE, "--json", "--set", f"SERIAL={number}")
        timer = threading.Timer(whole_s * (number + 1) / (KILLS + 1), running.kill)
        timer.start()
        killed += finish(running).code == -signal.SIGKILL
        timer.cancel()
        done = workspace.run("--set", f"SERIAL={number}")
        looked_at = GROWN if number % 3 == 0 else ("left:l2", "right:x2")
        wrong = wrong_images(workspace, number, looked_at) if done.code == 0 else done.err
        if done.code or wrong or workspace.containers():
            troubles.append((number, wrong, workspace.containers()))

    assert troubles == []
    assert killed >= KILLS // 2
    half_made = [
        image
        for image in workspace.engine.labelled_images()
        if re.search(rf"-({'|'.join(map(str, workspace.pids))})-", image.labels.get(labels.TEMPORARY, ""))
    ]
    assert half_made == []
