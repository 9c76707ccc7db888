"""What a run keeps for later questions, and what the committed steps answer, on a real engine."""

from __future__ import annotations

import json

import pytest

pytestmark = pytest.mark.docker


def lines_of(space):
    return [json.loads(line) for line in (space.path / "logs/eliot.txt").read_text().splitlines()]


def test_the_journal_has_what_each_step_used_and_what_it_was_made_of(workspace):
    """Bytes added, CPU seconds and memory, also of a script with an exec of its own; inputs by fingerprint."""
    burn = "i=0; while [ $i -lt 60000 ]; do i=$((i+1)); done"
    workspace.tree({"s": {}})
    workspace.stalk(
        "s",
        {
            "small": "echo x >/a",
            "large": "head -c 300000 /dev/zero >/b",
            "busy": {"exec": True, "text": f"#!/bin/sh\n{burn}\n"},
            "last": "true",
        },
    )

    done = workspace.run()

    assert done.code == 0, done.err
    ends = {event["step"]: event for event in done.of("step_finished")}
    assert 300_000 <= ends["s:large"]["added_bytes"] < 400_000
    assert ends["s:small"]["added_bytes"] < 100_000
    assert 0.02 < ends["s:busy"]["cpu_s"] <= ends["s:busy"]["duration_s"] * 2
    assert ends["s:busy"]["cpu_s"] > ends["s:small"]["cpu_s"]
    assert ends["s:large"]["memory_bytes"] > 300_000
    plan = next(line for line in lines_of(workspace) if line.get("message_type") == "plan")
    fingerprint = plan["graph"]["s:busy"]["fingerprint"]
    inputs = json.loads((workspace.path / "logs/inputs" / fingerprint).read_text())
    script = (workspace.path / "logs/inputs" / inputs["script"]).read_text()
    assert burn in script
    assert plan["graph"]["s:large"]["parent"] == "s:small"


def test_the_journal_of_a_run_with_nothing_to_do_has_the_images(workspace):
    """Also the one that the short way writes."""
    workspace.tree({"s": {}})
    workspace.stalk("s", {"a": "echo a >/a"})
    first = workspace.run()
    image = first.of("step_finished")[-1]["image"]
    for _ in range(2):
        assert workspace.stalker("run", "trees/t/t.hjson", "--quiet").code == 0

    plan = next(line for line in lines_of(workspace) if line.get("message_type") == "plan")

    assert plan["graph"]["s:a"]["image"] == image


# blame

STEPS = {
    "one": """mkdir -p /srv/d/sub /srv/real /srv/opaque
        echo 1 >/srv/same; echo 1 >/srv/owner; echo aaaa >/srv/clamped; touch -d '2020-01-01 00:00:00' /srv/clamped
        echo 1 >/srv/deleted; echo 1 >/srv/again; echo 1 >/srv/d/sub/x; echo 1 >/srv/tofile
        mkdir /srv/todir; echo 1 >/srv/todir/below; echo 1 >/srv/old; echo 1 >/srv/h1
        echo 1 >/srv/opaque/a; echo 1 >/srv/opaque/b; ln -s real /srv/way; echo 1 >/srv/real/f; echo 1 >/srv/mode
        printf 'a\\nb\\nc\\n' >/srv/lines; printf 'root:secret1:1\\n' >/etc/shadow""",
    "two": """echo 1 >/srv/same; touch -d '2021-02-03 04:05:06' /srv/same; chown 7:8 /srv/owner
        echo bbbb >/srv/clamped; touch -d '2020-01-01 00:00:00' /srv/clamped
        rm /srv/deleted /srv/again /srv/tofile; mkdir /srv/tofile; echo 1 >/srv/tofile/in
        rm -r /srv/todir; echo 1 >/srv/todir; mv /srv/old /srv/new; ln /srv/h1 /srv/h2
        rm -r /srv/opaque; mkdir /srv/opaque; echo 2 >/srv/opaque/b
        chmod 4755 /srv/mode; sed -i s/b/B/ /srv/lines; printf 'pi:secret2:1\\n' >>/etc/shadow""",
    "three": "echo 1 >/srv/again; rm -r /srv/d; echo 2 >/srv/real/f; sed -i 1i0 /srv/lines",
}

TOUCHED = {
    "/srv/same": ["A one"],
    "/srv/owner": ["A one", "C two"],
    "/srv/clamped": ["A one", "C two"],
    "/srv/deleted": ["A one", "D two"],
    "/srv/again": ["A one", "D two", "A three"],
    "/srv/d/sub/x": ["A one", "D three"],
    "/srv/d/sub": ["A one", "D three"],
    "/srv/tofile": ["A one", "C two"],
    "/srv/tofile/in": ["A two"],
    "/srv/todir": ["A one", "C two"],
    "/srv/todir/below": ["A one", "D two"],
    "/srv/old": ["A one", "D two"],
    "/srv/new": ["A two"],
    "/srv/h1": ["A one"],
    "/srv/h2": ["A two"],
    "/srv/opaque/a": ["A one", "D two"],
    "/srv/opaque/b": ["A one", "C two"],
    "/srv/opaque": ["A one"],
    "/srv/real/f": ["A one", "C three"],
    "/srv/way": ["A one"],
    "/srv/mode": ["A one", "C two"],
    "/etc/passwd": ["A base"],
}


@pytest.fixture(scope="module", params=["one container", "a container each"])
def grown(request, shared_space):
    """Three steps that do all that is hard to see, in one session and in three."""
    space = shared_space()
    space.tree({"s": {}})
    # What is left running ends a session, so the next step has a container and a layer of its own.
    more = "" if request.param == "one container" else "\nsleep 600 &"
    steps = {name: {"exec": True, "text": f"#!/bin/sh -e\n{text}{more}\n"} for name, text in STEPS.items()}
    space.stalk("s", steps)
    done = space.run()
    assert done.code == 0, done.err
    return space


def blamed(space, *arguments):
    done = space.stalker("blame", "s", *arguments, "--tree", "trees/t/t.hjson", "--json")
    assert done.code == 0, done.err
    return json.loads(done.out)


def short(touch):
    return f"{touch['did']} {touch['step'].removeprefix('s:') or 'base'}"


@pytest.mark.parametrize("path", [path for path in TOUCHED if path not in {"/srv/d/sub", "/srv/opaque"}])
def test_blame_knows_each_step_that_touched_a_path(grown, path):
    """By states, not by layers: two steps of one container have the same layer."""
    found = [short(one) for one in blamed(grown, path) if one["path"] == path]

    assert found == TOUCHED[path]


def test_blame_of_a_whole_image_has_the_last_touch_of_each_path(grown):
    """The first time by the layers that the engine saves, the second time without the engine."""
    for _ in range(2):
        found = {one["path"]: short(one) for one in blamed(grown)}

        assert {path: found[path] for path in TOUCHED} == {path: last[-1] for path, last in TOUCHED.items()}
        assert "/dev/console" not in found


def test_states_of_layers_equal_the_exports(grown, engine, tmp_path):
    """Entry by entry, for each state of the chain."""
    from stalker.history.chain import chain_of
    from stalker.history.layers import Layers
    from stalker.rootfs.diff import read_entries
    from stalker.rootfs.overlay import TOUCHED as TOUCHED_BY_ENGINE

    states = chain_of(engine, engine.image(grown.name("s:final")))
    listings = Layers(tmp_path).states(engine, states)

    assert [state.step for state in states] == ["", "s:one", "s:two", "s:three"]
    for state, listing in zip(states, listings, strict=True):
        exported = read_entries(engine.export(state.image.id))
        own = {path: entry for path, entry in exported.items() if path not in TOUCHED_BY_ENGINE}
        assert {path: seen.entry for path, seen in listing.items() if path not in TOUCHED_BY_ENGINE} == own


def test_blame_shows_what_was_only_written_again(grown):
    """A new time with the same content is not a change, but somebody may look for who wrote last."""
    assert [short(one) for one in blamed(grown, "/srv/same", "--all")] == ["A one", "= two"]


def test_blame_follows_links_of_directories(grown):
    """And says so; what is below a directory is listed with it."""
    done = grown.stalker("blame", "s", "/srv/way/f", "--tree", "trees/t/t.hjson")

    assert "/srv/way/f is /srv/real/f" in done.err
    assert "C s:three" in done.out
    assert "run " in done.out
    assert "no image" in done.out or "not built yet" in done.out
    assert {one["path"] for one in blamed(grown, "/srv/opaque")} == {
        "/srv/opaque",
        "/srv/opaque/a",
        "/srv/opaque/b",
    }


def test_blame_gives_each_line_its_step_and_no_hash_of_a_password(grown):
    done = grown.stalker("blame", "s", "/srv/lines", "--lines", "--tree", "trees/t/t.hjson")
    secret = grown.stalker("blame", "s", "/etc/shadow", "--lines", "--tree", "trees/t/t.hjson")

    assert done.out.splitlines() == ["s:three  1 0", "s:one    2 a", "s:two    3 B", "s:one    4 c"]
    assert secret.out.splitlines() == ["s:one  1 root:***:1", "s:two  2 pi:***:1"]


@pytest.mark.parametrize(
    ("path", "why"),
    [("/etc/hosts", "the engine puts it into each container"), ("/srv/never", "none of its 4 states has it")],
)
def test_blame_of_what_is_in_no_state_says_why(grown, path, why):
    done = grown.stalker("blame", "s", path, "--tree", "trees/t/t.hjson")

    assert (done.code, why in done.err) == (2, True), done.err


def test_blame_goes_on_where_an_image_is_missing(workspace, engine):
    """What happened between the two that are there is said as that. A failed step is the end of its chain."""
    workspace.tree({"s": {}})
    run = "sleep 600 &"
    workspace.stalk(
        "s",
        {"a": f"echo a >/a; {run}", "b": f"echo b >/b; {run}", "c": "echo c >/c", "d": "echo d >/d; false"},
    )
    assert workspace.run().code == 1
    failed = json.loads(workspace.stalker("blame", workspace.name("s:d.failed"), "/d", "--json").out)
    engine.untag(workspace.name("s:b"))
    rebuilt = workspace.name("s:c")
    parent = engine.image(rebuilt).parent_id

    found = json.loads(workspace.stalker("blame", rebuilt, "/b", "--json").out)

    assert [short(one) for one in failed] == ["A d.failed"]
    if parent:  # the engine keeps the image without a name as long as another one grows on it
        assert [(short(one), one["missing"]) for one in found] == [("A b", [])]
    assert not [one for one in engine.containers({}) if one.name.startswith("stalker-look-")]


# bisect

PACKAGES = 'printf "Package: tool\\nVersion: {}\\nStatus: install ok installed\\n" >/var/lib/dpkg/status'


@pytest.fixture(scope="module")
def row(shared_space):
    """Six steps; the fourth breaks things."""
    space = shared_space()
    space.tree({"s": {}})
    space.stalk(
        "s",
        {
            "one": "mkdir -p /var/lib/dpkg; echo 1 >/one; echo one >/machine-id; " + PACKAGES.format("1.9-1"),
            "two": "echo 2 >/two",
            "three": "echo 3 >/three; : >/machine-id; " + PACKAGES.format("1.10-1"),
            "four": "rm /one; " + PACKAGES.format("2.0~rc1"),
            "five": "echo five >/machine-id",
            "six": {"exec": True, "X": "six", "text": '#!/bin/sh\necho "$X" >/six\n'},
        },
    )
    assert space.run().code == 0
    return space


def bisected(space, *arguments, good="s:one"):
    return space.stalker("bisect", "s", "--tree", "trees/t/t.hjson", "--good", good, *arguments)


@pytest.mark.parametrize(
    ("arguments", "culprit"),
    [
        (["--", "test", "-e", "/one"], "s:four"),
        (["--", "sh", "-c", "test -e /two && exit 125; test -e /one"], ""),
        (["--path", "/one"], "s:four"),
        (["--path", "/three", "--absent"], "s:three"),
        (["--package", "tool<2.0~rc1"], "s:four"),
        (["--package", "tool<1.10"], "s:three"),
    ],
)
def test_bisect_finds_the_first_bad_state(row, arguments, culprit):
    """By a command's exit code, by a path, by the version of a package."""
    done = bisected(row, *arguments)

    if culprit:
        assert done.code == 0, done.err
        assert done.out.startswith(f"{culprit} is the first bad state ("), done.out
        assert "run " in done.out
        assert done.err.count(" good (") + done.err.count(" bad (") <= 5
    else:
        assert (done.code, "the youngest state cannot be tested" in done.err) == (2, True), done.err


def test_bisect_names_all_suspects_where_states_were_skipped(row):
    done = bisected(
        row,
        "--",
        "sh",
        "-c",
        "[ -e /three ] && [ ! -e /machine-id5 ] && [ ! -e /six ] && exit 125; test ! -e /six",
    )

    assert done.code == 1
    assert done.out.startswith("one of 4 is the first bad one")
    assert [line.strip() for line in done.out.splitlines()[1:]] == ["s:three", "s:four", "s:five", "s:six"]


def test_bisect_tests_every_state_where_a_verdict_changes_more_than_once(row):
    """A file that is filled, emptied and filled again."""
    done = bisected(row, "--every", "--", "test", "-s", "/machine-id")

    assert done.out.splitlines() == ["s:three is bad, s:two was not", "s:five is good, s:four was not"]


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["/no/such"], "the command cannot run there"),
        (["sh", "-c", "kill -9 $$"], "a signal ended it"),
        (["true"], "the youngest state is good"),
        (["false"], "the oldest state is bad"),
    ],
)
def test_bisect_says_when_the_test_is_at_fault(row, command, said):
    # In the good state only: at the bad end 127 is a fault that may be looked for.
    done = bisected(row, "--", *command)

    assert (done.code, said in done.err) == (2, True), done.err


def test_bisect_goes_on_from_its_log(row, tmp_path):
    """Nothing that was tested is tested again; the log of another search is refused."""
    log = tmp_path / "log"
    first = bisected(row, "--log", str(log), "--path", "/one")
    lines = log.read_text().splitlines()
    log.write_text("\n".join(lines[:3]) + '\n{"image": "cut')

    second = bisected(row, "--log", str(log), "--path", "/one")
    other = bisected(row, "--log", str(log), "--path", "/two")

    assert first.out.partition(" (")[0] == second.out.partition(" (")[0] == "s:four is the first bad state"
    assert second.err.count(" of 6 ") == first.err.count(" of 6 ") - 2
    assert (other.code, "is of another search" in other.err) == (2, True)


def test_bisect_can_give_the_command_what_the_step_had(row):
    """Its variables, files and mounts: alone it has the image and nothing else."""
    alone = bisected(row, "--good", "s:five", "--", "sh", "-c", 'test "$X" != six')
    like = bisected(row, "--good", "s:five", "--like-step", "--", "sh", "-c", 'test "$X" != six')

    assert "the youngest state is good" in alone.err
    assert like.out.startswith("s:six is the first bad state")


def test_bisect_over_builds_ends_with_the_input_that_changed(workspace, engine):
    """Found from labels: through the parent, with the difference of its script."""
    workspace.tree({"s": {}})
    for number in range(3):
        workspace.stalk("s", {"a": f"echo {min(number, 1)} >/a", "b": "cp /a /b"}, X=str(number), STAMP="1")
        workspace.stalk("s", {"a": f"echo {min(number, 1)} >/a", "b": f"cp /a /b; : {number}"})
        assert workspace.run().code == 0

    done = workspace.stalker(
        "bisect", "s:b", "--tree", "trees/t/t.hjson", "--builds", "--", "grep", "-q", "0", "/b"
    )

    assert done.code == 0, done.err
    assert "s:b of " in done.out.splitlines()[0]
    assert "is the first bad build" in done.out
    assert "s:a: script changed (by way of s:b)" in done.out
    assert "+echo 1 >/a" in done.out
    assert not [one for one in engine.containers({}) if one.name.startswith("stalker-look-")]


# diff RUN RUN, plan --diff


def test_two_runs_are_compared_by_what_their_steps_were_made_of(workspace):
    """The inputs that changed, what was made again because of that, and what of files and packages followed."""
    workspace.tree({"s": {"VALUE": "1"}})
    steps = {
        "a": "mkdir -p /var/lib/dpkg; " + PACKAGES.format("1.0"),
        "b": {"exec": True, "VALUE": "", "text": '#!/bin/sh\necho "$VALUE" >/b\n'},
        "c": "echo c >/c",
    }
    workspace.stalk("s", steps)
    first = workspace.run().of("run_started")[0]["run"]
    workspace.tree({"s": {"VALUE": "2"}})
    workspace.stalk("s", steps | {"a": "mkdir -p /var/lib/dpkg; " + PACKAGES.format("2.0")})
    planned = workspace.stalker("plan", "trees/t/t.hjson", "--diff")
    second = workspace.run().of("run_started")[0]["run"]

    done = workspace.stalker("diff", first, second)
    data = json.loads(workspace.stalker("diff", first, second, "--json").out)
    same = workspace.stalker("diff", second, second)

    assert done.code == 0, done.err
    assert "s:a: script changed" in done.out
    assert "s:b: variable VALUE: 1 -> 2" in done.out
    assert "made again because of that: s:c" in done.out
    assert "  tool 1.0 -> 2.0" in done.out
    assert {change["path"] for change in data["images"][0]["files"]} == {"/b", "/var/lib/dpkg/status"}
    assert same.out == "the two runs were made of the same inputs\n"
    for shown in (planned.out, done.out):
        assert '-mkdir -p /var/lib/dpkg; printf "Package: tool\\nVersion: 1.0' in shown
        assert '+mkdir -p /var/lib/dpkg; printf "Package: tool\\nVersion: 2.0' in shown


# changes


def test_changes_of_two_states_are_those_of_a_release(row):
    """With an exit code for CI."""
    tree = ["--tree", "trees/t/t.hjson"]
    text = row.stalker("changes", "s:one", "s:four", *tree)
    page = row.stalker("changes", "s:one", "s:four", *tree, "--markdown")
    data = json.loads(row.stalker("changes", "s:one", "s:four", *tree, "--json").out)

    assert (text.code, "  ~ tool  1.9-1 -> 2.0~rc1" in text.out) == (0, True), text.err
    assert "| tool | 1.9-1 | 2.0\\~rc1 |" in page.out
    assert data["packages"] == [
        {"name": "tool", "did": "changed", "old": "1.9-1", "new": "2.0~rc1", "note": ""}
    ]
    assert data["paths"] == {"added": 2, "changed": 2, "removed": 1}
    codes = [
        row.stalker("changes", "s:one", "s:four", *tree, *more).code
        for more in (
            ["--exit-code"],
            ["--fail-on", "packages"],
            ["--fail-on", "rights,users"],
            ["--fail-on", "x"],
        )
    ]
    assert codes == [1, 1, 0, 2]
    assert row.stalker("changes", "s:one", "s:one", *tree, "--exit-code").code == 0


# sbom


def test_a_bill_of_materials_is_written_twice_the_same(row, tmp_path):
    """Its format goes by the file's name."""
    files = [tmp_path / name for name in ("a.cdx.json", "b.cdx.json", "c.spdx.json")]
    for file in files:
        done = row.stalker("sbom", "s:four", "--tree", "trees/t/t.hjson", "-o", str(file))
        assert done.code == 0, done.err

    first, second, third = (json.loads(file.read_text()) for file in files)
    assert first == second
    assert [one["purl"] for one in first["components"]] == ["pkg:deb/debian/tool@2.0~rc1"]
    assert (first["specVersion"], third["spdxVersion"]) == ("1.6", "SPDX-2.3")


# report


def test_a_report_of_the_newest_run_and_of_an_older_one(workspace):
    """With the script and the log of a step that failed, and what each step used."""
    workspace.tree({"s": {}})
    workspace.stalk("s", {"a": "echo hello; echo a >/a", "b": "echo before the end >&2; exit 7"})
    failed = workspace.run()
    run = failed.of("run_started")[0]["run"]
    workspace.stalk("s", {"a": "echo hello; echo a >/a", "b": "true"})
    assert workspace.run().code == 0

    old = workspace.stalker("report", run[:28], "-o", "old.html")
    new = workspace.stalker("report", "-o", "new.json")

    assert (old.code, new.code) == (0, 0), old.err + new.err
    page = (workspace.path / "old.html").read_text()
    assert "before the end" in page
    assert "exit code 7" in page
    data = json.loads((workspace.path / "new.json").read_text())
    assert {step["step"]: step["state"] for step in data["steps"]} == {"s:a": "reused", "s:b": "done"}
    assert data["steps"][1]["script"] == "#!/bin/sh\ntrue\n"
    assert data["steps"][1]["attempts"][0]["cpu_s"] >= 0
    refused = [
        workspace.stalker("report", *more).code for more in (["none", "-o", "x.html"], ["-o", "x.pdf"])
    ]
    assert refused == [2, 2]


@pytest.mark.parametrize(("script", "code", "state"), [("true", 0, "done"), ("exit 7", 1, "failed")])
def test_a_run_writes_its_own_report(workspace, script, code, state):
    """Also where it fails; a name that no report can have is refused before anything runs."""
    workspace.tree({"s": {}})
    workspace.stalk("s", {"a": script})
    for name in ("x.pdf", "none/x.html"):
        refused = workspace.stalker("run", "trees/t/t.hjson", "--report", name)
        assert (refused.code, (workspace.path / "logs/runs").exists()) == (2, False)

    done = workspace.stalker("run", "trees/t/t.hjson", "--report", "run.json")

    assert done.code == code, done.err
    data = json.loads((workspace.path / "run.json").read_text())
    assert [(step["step"], step["state"]) for step in data["steps"]] == [("s:a", state)]
    (run,) = (workspace.path / "logs/runs").iterdir()
    assert data["run"] == run.name


def test_history_finds_the_runs_of_a_tree_with_another_log_directory(workspace):
    """By what the images say, and by `--tree` where runs are named."""
    workspace.tree({"s": {}}, paths={"LOG_DIR": "elsewhere/logs"})
    workspace.stalk("s", {"a": "echo 1 >/a", "b": "echo 1 >/b"})
    assert workspace.run().code == 0
    workspace.stalk("s", {"a": "echo 1 >/a", "b": "echo 2 >/a; echo c >/c"})
    assert workspace.run().code == 0
    first, second = sorted(path.name for path in (workspace.path / "elsewhere/logs/runs").iterdir())
    tree = ["--tree", "trees/t/t.hjson"]

    blamed = workspace.stalker("blame", "s:b", "/a", *tree)
    bisected = workspace.stalker("bisect", "s:b", *tree, "--path", "/c", "--absent")
    compared = workspace.stalker("diff", first, second, *tree)
    reported = workspace.stalker("report", first, "-o", "run.json", *tree)

    assert f"run {second}: script changed" in blamed.out, blamed.err
    assert f"run {second}: script changed" in bisected.out, bisected.err
    assert "s:b: script changed" in compared.out, compared.err
    assert json.loads((workspace.path / "run.json").read_text())["run"] == first, reported.err
    assert not (workspace.path / "logs").exists()
