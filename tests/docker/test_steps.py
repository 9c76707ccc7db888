"""What a step may ask for, and what is seen of it, on a real engine."""

import contextlib
import hashlib

import pytest

from run_space import docker, listing
from workspace import finish, read_until

pytestmark = pytest.mark.docker


def script(text, **more):
    return {"exec": True, "text": f"#!/bin/sh\n{text}\n", **more}


def one_stalk(space, steps, node=None, **more):
    """Write a tree of one stalk."""
    space.tree({"s": node or {}})
    space.stalk("s", steps, **more)


def ended(done, step):
    """Return how each attempt of a step ended."""
    return [event for event in done.of("step_finished") if event["step"] == step]


# Output


@pytest.fixture(scope="module")
def talkative(shared_space):
    """A run whose steps write in every way."""
    space = shared_space()
    euro = r"printf '\342'; sleep 0.3; printf '\202\254\n'"
    many = "i=0; while [ $i -lt 200 ]; do echo out $i; echo err $i >&2; i=$((i+1)); done"
    one_stalk(
        space,
        {
            "split": euro,
            "binary": r"i=0; while [ $i -lt 256 ]; do printf \\$(printf %03o $i); i=$((i+1)); done",
            "large": "head -c 1048576 /dev/zero | tr '\\0' x; echo; echo end",
            "mixed": many,
            "unfinished": "printf 'no newline'",
            "ours": r"printf '\001stalker:0000:0:0\001 \001stalker:'",
            "nothing": "true",
            "background": "(sleep 0.2; echo late) & echo early; wait",
        },
    )
    done = space.run()
    assert done.code == 0, done.err
    return space, done


LOGS = {
    "split": "€\n".encode(),
    "binary": bytes(range(256)),
    "large": b"x" * 1048576 + b"\nend\n",
    "unfinished": b"no newline",
    "ours": b"\x01stalker:0000:0:0\x01 \x01stalker:",
    "nothing": b"",
    "background": b"early\nlate\n",
}


@pytest.mark.parametrize("step", LOGS)
def test_a_steps_log_has_every_byte_that_it_wrote(talkative, step):
    """Output need not be text, nor come in lines, nor be small."""
    space, _ = talkative

    assert space.log("s", step) == LOGS[step]


def test_stdout_and_stderr_each_keep_their_order(talkative):
    """No line is lost or torn where both are written."""
    space, done = talkative

    lines = space.log("s", "mixed").decode().splitlines()
    assert [line for line in lines if line.startswith("out")] == [f"out {n}" for n in range(200)]
    assert [line for line in lines if line.startswith("err")] == [f"err {n}" for n in range(200)]
    assert len(lines) == 400
    streams = {event["stream"] for event in done.of("step_output") if event["step"] == "s:mixed"}
    assert streams == {"stdout", "stderr"}


def test_a_character_that_comes_in_two_pieces_is_one(talkative):
    """`--json` tells it whole."""
    _, done = talkative

    said = "".join(event["data"] for event in done.of("step_output") if event["step"] == "s:split")

    assert said == "€\n"


def test_output_can_be_watched(workspace):
    """--watch_stdout shows what steps write, binary too, without harm."""
    one_stalk(workspace, {"say": r"echo hello; printf '\377\000\033[31mred\n'; echo bye"})

    done = workspace.stalker("--config", "trees/t/t.hjson", "--watch_stdout")

    assert done.code == 0, done.err
    lines = done.out.splitlines()
    assert "hello" in lines
    assert lines.index("hello") < lines.index("bye")


# Failures, retries, timeouts


@pytest.fixture
def store(workspace, engine):
    """The name of a store that goes with the test."""
    name = f"stalker-test-{workspace.arch}-{workspace.subarch}"
    yield name
    with contextlib.suppress(Exception):
        engine.remove_volume(name)


def test_a_retry_starts_from_a_clean_image(workspace, store):
    """What a failed attempt wrote is not there in the next; what is outside the image is."""
    one_stalk(
        workspace,
        {
            "count": {"store": store, "bind": "/count", "mode": "rw"},
            "before": "echo before >/before",
            "flaky": script(
                "echo x >>/tries; echo x >>/count/tries; [ $(wc -l </count/tries) = 3 ] || exit 4", retries=3
            ),
        },
    )

    done = workspace.run()

    assert done.code == 0, done.err
    assert [(event["attempt"], event["state"], event["exit_code"]) for event in ended(done, "s:flaky")] == [
        (1, "failed", 4),
        (2, "failed", 4),
        (3, "done", 0),
    ]
    pauses = [event["will_retry_in_s"] for event in ended(done, "s:flaky")]
    assert pauses == [1.0, 2.0, None]
    assert workspace.text("s:flaky", "/tries") == "x\n"
    assert len(list((workspace.path / "logs/s").glob("*-flaky-*"))) == 3


def test_a_step_that_has_no_retries_left_has_failed(workspace):
    """Each attempt is reported; the last one decides."""
    one_stalk(workspace, {"bad": script("echo try; exit 9", retries=1)})

    done = workspace.run()

    assert done.code == 1
    assert [event["attempt"] for event in ended(done, "s:bad")] == [1, 2]
    assert workspace.image("s:bad") is None


def test_a_failed_step_is_told_with_its_last_lines_and_kept(workspace):
    """Exit code, the last 20 lines, the log's place; its state can be looked at a day later."""
    one_stalk(workspace, {"a": "true", "bad": "seq 1 30; echo half >/half; exit 5"})

    done = workspace.run()

    [failed] = ended(done, "s:bad")
    assert failed["exit_code"] == 5
    assert failed["last_lines"] == [str(number) for number in range(11, 31)]
    assert (workspace.path / failed["log"]).read_text().startswith("1\n2\n")
    assert failed["name"] == workspace.name("s:bad.failed")
    assert "s:bad" in done.err
    assert workspace.added("s:bad.failed").keys() == {"/half"}


def test_a_step_that_takes_too_long_is_ended(workspace):
    """Its container goes, and the state that is kept has nothing of ours in it."""
    one_stalk(
        workspace,
        {
            "shown": {"bind": "/etc/passwd", "text": "shown\n"},
            "also": {"bind": "/etc/new.d/shown", "text": "shown\n"},
            "slow": script("echo half >/half; echo begun; sleep 1000", timeout="1s"),
        },
    )

    done = workspace.run()

    assert done.code == 1
    assert done.took_s < 200
    [event] = ended(done, "s:slow")
    assert (event["state"], event["exit_code"]) == ("timeout", None)
    assert event["brief"] == "s:slow did not end within 1 s"
    assert workspace.containers() == []
    assert workspace.image("s:slow") is None
    assert workspace.added("s:slow.failed").keys() == {"/half"}


@pytest.mark.parametrize("user", ["0", "7"])
def test_a_step_whose_files_have_no_place_is_told_and_not_kept(workspace, user):
    """Nothing of it ran: all that could be kept are files that are never to be in an image."""
    one_stalk(
        workspace,
        {
            "key": {"bind": "/key", "text": "secret"},
            "shown": {"bind": "/tmp", "text": "there is a folder of that name"},
            "a": "echo never >/a",
        },
        DOCKER_OPTS={"network": "none", "user": user},
    )

    done = workspace.run()

    assert done.code == 1
    assert "/tmp" in ended(done, "s:a")[0]["brief"]
    assert workspace.image("s:a") is None
    assert workspace.image("s:a.failed") is None
    assert workspace.containers() == []


def test_keep_going_leaves_out_only_what_grows_on_the_failed_step(workspace):
    """Without it nothing new starts; with it the neighbour is built."""
    workspace.tree({"root": {"bad": {"below": {}}, "good": {}}})
    workspace.stalk("root", {"a": "true"})
    workspace.stalk("bad", {"b": "exit 1"})
    workspace.stalk("below", {"c": "true"})
    workspace.stalk("good", {"d": "sleep 1", "e": "true"})

    first = workspace.run("--jobs", "1")
    second = workspace.run("--jobs", "1", "--keep-going")

    assert first.code == second.code == 1
    assert workspace.image("good:e") is not None
    assert workspace.image("below:c") is None
    assert [event["step"] for event in second.of("step_blocked")] == ["below:c"]


# Services, stores, options


def test_a_daemonized_step_is_reached_by_its_name(workspace):
    """It stays up until its stalk ends, also in a run in which it is reused; then it is gone."""
    serve = 'mkdir -p /srv; echo "$WHO" >/srv/index.html; exec httpd -f -p 8080 -h /srv'
    fetch = "for i in 1 2 3 4 5 6 7 8 9; do wget -q -O /got http://server:8080/index.html && exit; sleep 0.2; done; exit 1"
    steps = {"server": script(serve, daemonize=True, WHO="me"), "fetch": fetch, "after": "true"}
    one_stalk(workspace, steps, DOCKER_OPTS={})

    done = workspace.run()
    again = workspace.run("--from", "s:fetch")

    assert done.code == 0, done.err
    assert workspace.text("s:fetch", "/got") == "me\n"
    assert workspace.containers() == []
    assert again.code == 0, again.err
    assert [event["step"] for event in again.of("step_started") if event["service"]] == ["s:server"]
    assert {step for step, verdict in again.verdicts.items() if verdict == "REUSE"} == {"s:server"}


def test_what_a_service_makes_of_a_copy_stays(workspace):
    """Its bound files are put back for it after the commit, its copies are not."""
    serve = "echo its own >/srv/index.html; exec httpd -f -p 8080 -h /srv"
    fetch = "for i in 1 2 3 4 5 6 7 8 9; do wget -q -O /got http://server:8080/index.html && exit; sleep 0.2; done; exit 1"
    copied = {"copy": "/srv/index.html", "text": "copied"}
    one_stalk(
        workspace, {"page": copied, "server": script(serve, daemonize=True), "fetch": fetch}, DOCKER_OPTS={}
    )

    done = workspace.run()

    assert done.code == 0, done.err
    assert workspace.text("s:fetch", "/got") == "its own\n"


def test_a_service_that_does_not_come_up_fails(workspace):
    """Its exit code is reported, and what needs it does not run."""
    one_stalk(workspace, {"server": script("echo no; exit 3", daemonize=True), "after": "true"})

    done = workspace.run()

    assert done.code == 1
    assert ended(done, "s:server")[0]["exit_code"] == 3
    assert workspace.image("s:after") is None


def test_a_store_is_shared_between_stalks_and_runs_and_is_in_no_image(workspace, store):
    """What one stalk leaves in it another finds, read-only unless it says rw."""
    workspace.tree({"write": {"read": {}}})
    keep = {"store": store, "bind": "/keep"}
    workspace.stalk("write", {"keep": {**keep, "mode": "rw"}, "a": "echo $(cat /keep/n)x >/keep/n"})
    workspace.stalk(
        "read", {"keep": keep, "b": "cat /keep/n >/read; echo y >/keep/n || echo refused >/refused"}
    )

    workspace.run()
    done = workspace.run("--no-cache")

    assert done.code == 0, done.err
    assert workspace.text("read:b", "/read") == "xx\n"
    assert workspace.added("read:b").keys() == {"/read", "/refused"}


ALONE = """mkdir /keep/lock || exit 100
echo %s >>/keep/n
sleep 0.5
rmdir /keep/lock"""


def test_a_locked_store_is_for_one_stalk_at_a_time(workspace, store):
    """Within a run and between two: scripts that refuse to share it never have to."""
    keep = {"store": store, "bind": "/keep", "mode": "locked"}
    for name in "abc":
        workspace.stalk(name, {"keep": keep, "one": ALONE % name, "two": ALONE % name})
    workspace.tree({"c": {}})
    workspace.write("trees/u/u.hjson", (workspace.path / "trees/t/t.hjson").read_text())
    workspace.tree({"a": {}, "b": {}})
    with workspace.start("run", "trees/u/u.hjson") as other:
        done = workspace.run("--jobs", "2")
        finish(other)
    workspace.tree({"look": {}})
    workspace.stalk("look", {"keep": {**keep, "mode": "ro"}, "look": "cat /keep/n >/n"})
    looked = workspace.run()

    assert (done.code, other.returncode, looked.code) == (0, 0, 0), done.err
    order = workspace.text("look:look", "/n").split()
    assert sorted(order) == ["a", "a", "b", "b", "c", "c"]
    assert order[::2] == order[1::2]  # no stalk between the two steps of another


def test_a_writable_folder_of_the_host_gets_what_a_step_writes(workspace):
    """Artifacts leave a step by a folder; a read-only one refuses."""
    (workspace.path / "in").mkdir()
    one_stalk(
        workspace,
        {
            "out": {"path": "out", "bind": "/out", "mode": "rw"},
            "in": {"path": "in", "bind": "/in"},
            "a": "echo made >/out/artifact; ! echo x 2>/dev/null >/in/x",
        },
    )

    done = workspace.run()

    assert done.code == 0, done.err
    assert (workspace.path / "out/artifact").read_text() == "made\n"
    assert workspace.added("s:final") == {}


WHO = "echo $(id -u):$(id -g) $(pwd) >{0}; cat /etc/shown >>{0}"
SHOWN = {"bind": "/etc/shown", "text": "shown\n", "mode": "0644"}


def test_scripts_run_as_the_user_that_the_stalk_names(workspace):
    """Files are placed and taken away as root all the same."""
    one_stalk(
        workspace,
        {"shown": SHOWN, "a": WHO.format("/tmp/a"), "b": WHO.format("/tmp/b")},
        {"base": {"tag": open_base(workspace)}},
        DOCKER_OPTS={"network": "none", "user": "1000", "working_dir": "/var"},
    )

    done = workspace.run()

    assert done.code == 0, done.err
    added = workspace.files("s:b")
    assert added["/tmp/a"].content == added["/tmp/b"].content == b"1000:0 /var\nshown\n"
    assert added["/tmp/a"].owner == (1000, 0)
    assert "/etc/shown" not in added


def open_base(workspace, *changes):
    """Return an image in which everyone may write to /tmp, with `docker commit --change` applied."""
    name = f"{workspace.prefix}/open:1"
    made = docker("run", "-d", "--network", "none", workspace.base, "chmod", "1777", "/tmp").stdout.strip()
    docker("wait", made)
    words = [word for change in changes for word in ("--change", change)]
    docker("commit", *words, made, name)
    docker("rm", made)
    return name


def test_scripts_run_as_the_user_of_the_base(workspace):
    """An image that names a user and a folder is run as it says."""
    one_stalk(
        workspace,
        {"shown": SHOWN, "a": WHO.format("/tmp/a")},
        {"base": {"tag": open_base(workspace, "USER 7", "WORKDIR /etc")}},
    )

    done = workspace.run()

    assert done.code == 0, done.err
    assert workspace.files("s:a")["/tmp/a"].content == b"7:0 /etc\nshown\n"


def test_options_reach_the_container(workspace):
    """Hosts, memory file systems, host name, capabilities: what is asked for is there."""
    one_stalk(
        workspace,
        {
            "look": "grep repo /etc/hosts | cut -f1,2 >/hosts; hostname >/host; df /scratch | tail -1 | awk '{print $1, $2}' >/scratched;"
            " touch /scratch/x; ls /sys/class/net >/net; echo $LC_ALL >/locale; echo $(ulimit -Sc) $(ulimit -Hc) >/cores",
        },
        DOCKER_OPTS={
            "network": "none",
            "extra_hosts": {"repo": "10.0.0.1"},
            "hostname": "builder",
            "tmpfs": {"/scratch": "size=3m"},
            "ulimits": {"core": "512:1024"},  # not `nofile`: runc#4195
        },
        envplugins={"LC_ALL": "C.UTF-8"},
    )

    done = workspace.run()

    assert done.code == 0, done.err
    added = workspace.added("s:look")
    assert {path: entry.content.decode().split() for path, entry in added.items()} == {
        "/hosts": ["10.0.0.1", "repo"],
        "/host": ["builder"],
        "/scratched": ["tmpfs", "3072"],
        "/net": ["lo"],
        "/locale": ["C.UTF-8"],
        "/cores": ["1", "2"],
    }


def test_working_dir_is_where_scripts_begin(workspace):
    """And in the image it is the base's."""
    one_stalk(workspace, {"a": "pwd >/where"}, DOCKER_OPTS={"network": "none", "working_dir": "/var"})

    done = workspace.run()

    assert done.code == 0, done.err
    assert workspace.text("s:a", "/where") == "/var\n"
    assert not workspace.image("s:a").config.get("WorkingDir")


# Files


def test_templates_are_rendered(workspace):
    """A file that ends in .j2 is rendered with the variables of its block; a script may be one too."""
    workspace.write("files/list.txt.j2", "{% for n in range(COUNT | int) %}{{ WHO }} {{ n }}\n{% endfor %}")
    one_stalk(
        workspace,
        {
            "list": {"copy": "/list", "path": "files/list.txt.j2", "COUNT": 2, "WHO": ""},
            "a": {
                "exec": True,
                "template": "jinja2",
                "WHO": "",
                "text": "#!/bin/sh\n{% if WHO == 'me' %}cat /list >/seen; echo {} >>/seen{% endif %}\n",
            },
        },
        WHO="me",
    )

    done = workspace.run()

    assert done.code == 0, done.err
    assert workspace.text("s:a", "/seen") == "me 0\nme 1\n{}\n"


def test_a_copied_file_is_there_from_the_step_below_it_on(workspace):
    """Written above a step it is there when that runs; below the last one it comes when that has run."""
    one_stalk(
        workspace,
        {
            "a": "test ! -e /first && test ! -e /last",
            "first": {"copy": "/first", "text": "1", "mode": "0600"},
            "b": "test -e /first && test ! -e /last && echo more >>/first",
            "last": {"copy": "/deep/last", "text": "2", "mode": "4755"},
        },
    )

    done = workspace.run()

    assert done.code == 0, done.err
    added = workspace.added("s:b")
    assert (added["/first"].mode, added["/first"].content) == (0o600, b"1more\n")
    assert (added["/deep/last"].mode, added["/deep/last"].content) == (0o4755, b"2")
    assert workspace.added("s:a") == {}


def test_the_helpers_are_there_for_scripts(workspace):
    """A library of the workspace can be sourced, and is in no image."""
    workspace.write("plugins/lib/bash/mine.sh", 'say() { echo "said $1"; }\n')
    one_stalk(workspace, {"a": ". /entropy/plugins/mine.sh; say hello >/said"})

    done = workspace.run()

    assert done.code == 0, done.err
    assert {path: entry.content for path, entry in workspace.added("s:a").items()} == {
        "/said": b"said hello\n"
    }


def test_a_linked_folder_of_the_sysroot_is_a_mount(workspace, tmp_path):
    """A large folder is shown without being copied, and leaves no mount point."""
    (workspace.path / "big").mkdir()
    workspace.write("big/file", "of the host\n")
    (workspace.path / "sysroot/opt").mkdir(parents=True)
    (workspace.path / "sysroot/opt/big").symlink_to("../../big")
    one_stalk(workspace, {"a": "cat /opt/big/file >/seen; touch /opt/big/x 2>/dev/null || echo ro >>/seen"})

    done = workspace.run()

    assert done.code == 0, done.err
    assert {path: entry.content for path, entry in workspace.added("s:a").items()} == {
        "/seen": b"of the host\nro\n"
    }


def test_large_and_many_files_are_placed_whole(workspace):
    """What is too large for an argument goes another way, byte for byte."""
    large = "".join(f"line {number}\n" for number in range(60_000))
    files = {f"f{number}": {"bind": f"/shown/{number}", "text": str(number) * 2000} for number in range(300)}
    one_stalk(
        workspace,
        {
            **files,
            "large": {"bind": "/large", "text": large},
            "a": "sha256sum /large | cut -c1-64 >/sum; cat /shown/* | wc -c >>/sum",
        },
    )

    done = workspace.run()

    assert done.code == 0, done.err
    whole = hashlib.sha256(large.encode()).hexdigest()
    assert workspace.text("s:a", "/sum").split() == [whole, str(sum(len(str(n)) * 2000 for n in range(300)))]
    assert workspace.added("s:a").keys() == {"/sum"}


def test_two_branches_run_at_the_same_time(workspace):
    """Two steps that wait for each other end only when both run."""
    (workspace.path / "meet").mkdir()
    meet = {"path": "meet", "bind": "/meet", "mode": "rw"}
    wait = "touch /meet/{0}; i=0; while [ ! -e /meet/{1} ]; do sleep 0.1; i=$((i+1)); [ $i -lt 200 ] || exit 1; done"
    workspace.tree({"root": {"left": {}, "right": {}}})
    workspace.stalk("root", {"a": "true"})
    workspace.stalk("left", {"meet": meet, "b": wait.format("left", "right")})
    workspace.stalk("right", {"meet": meet, "c": wait.format("right", "left")})

    done = workspace.run("--jobs", "2")

    assert done.code == 0, done.err
    assert listing(workspace.engine, workspace.id("left:b")) == listing(
        workspace.engine, workspace.id("right:c")
    )


def test_a_container_that_somebody_removes_is_told(workspace):
    """The step fails with what happened, and the next run goes on."""
    one_stalk(workspace, {"a": "true", "slow": "echo now; sleep 60"})
    with workspace.start("run", "trees/t/t.hjson", "--json") as running:
        said = read_until(running, "step_output", "now")
        docker("rm", "-f", *[container.id for container in workspace.containers()])
        done = finish(running, said)
    one_stalk(workspace, {"a": "true", "slow": "true"})

    assert done.code == 1
    assert "removed in the middle of the step" in done.err
    assert workspace.run().code == 0


END_CONTAINER = "kill -9 $(cat /dev/.stalker/idle); sleep 60"
"""The first process waits for the idle one, and ends with it; then the engine ends all others."""


def test_a_script_that_ends_its_container_fails_its_step_alone(workspace):
    """The engine answers: the step is tried again, and other stalks go on."""
    workspace.tree({"bad": {}, "good": {}})
    rash = {"exec": True, "retries": 1, "text": f"#!/bin/sh\n{END_CONTAINER}\n"}
    workspace.stalk("bad", {"rash": rash, "after": "true"})
    workspace.stalk("good", {"a": "true", "b": "true"})

    done = workspace.run("--keep-going", "--jobs", "1")

    assert done.code == 1, done.err
    assert [(event["attempt"], event["state"]) for event in ended(done, "bad:rash")] == [
        (1, "failed"),
        (2, "failed"),
    ]
    (end,) = done.of("run_finished")
    assert (end["ran"], end["failed"], end["blocked"]) == (2, ["bad:rash"], ["bad:after"])
    assert workspace.containers() == []


def test_a_container_that_somebody_kills_fails_its_step(workspace):
    """`docker kill` is said with the signal; exit 3 is for an engine that is gone."""
    one_stalk(workspace, {"a": "true", "slow": "echo now; sleep 60"})
    with workspace.start("run", "trees/t/t.hjson", "--json") as running:
        said = read_until(running, "step_output", "now")
        docker("kill", *[container.id for container in workspace.containers()])
        done = finish(running, said)

    assert done.code == 1
    (told,) = ended(done, "s:slow")
    assert told["brief"] == "s:slow: its container was stopped in the middle of the step"
    assert "ended with signal 9" in told["details"]
    assert workspace.containers() == []


LATE = "sleep 1; echo late >/srv/index.html; exec httpd -f -p 8080 -h /srv"
GET = "wget -q -O /got http://server:8080/index.html"


@pytest.mark.parametrize(
    "ready",
    [
        {"port": 8080},
        {"command": "wget -q -O - http://127.0.0.1:8080/index.html"},
        {"log": "^ser.ing$"},
    ],
    ids=["port", "command", "log"],
)
def test_a_daemonized_step_is_waited_for_until_it_is_ready(workspace, ready):
    """The next step reaches it at once, however long it took."""
    serve = "mkdir -p /srv; " + LATE.replace("exec", "(sleep 1; echo serving) & exec")
    one_stalk(workspace, {"server": script(serve, daemonize=True, ready=ready), "fetch": GET}, DOCKER_OPTS={})

    done = workspace.run()

    assert done.code == 0, done.err
    assert workspace.text("s:fetch", "/got") == "late\n"


def test_a_daemonized_step_that_is_not_ready_in_time_fails(workspace):
    """With what it was waited for and its place; its container is removed."""
    never = script("sleep 100", daemonize=True, ready={"port": 81, "timeout": "1s"})
    one_stalk(workspace, {"server": never, "after": "true"}, DOCKER_OPTS={})

    done = workspace.run()

    assert done.code == 1
    assert "was not ready within 1 s" in done.err
    assert "it waits for port 81" in done.err
    assert "stalks/s/s.hjson:" in done.err
    assert workspace.image("s:after") is None
    assert workspace.containers() == []


def test_a_daemonized_step_that_ends_before_it_is_ready_fails(workspace):
    broken = script("sleep 0.6; echo broken >&2; exit 4", daemonize=True, ready={"port": 81})
    one_stalk(workspace, {"server": broken, "after": "true"}, DOCKER_OPTS={})

    done = workspace.run()

    assert done.code == 1
    assert ended(done, "s:server")[0]["exit_code"] == 4


def test_a_slow_interpreter_finds_the_script_of_a_daemonized_step(workspace):
    """Its file stays until it was opened, not for a second."""
    slow = '#!/bin/sh\nbusybox usleep 1800000 & wait $!\nexec /bin/sh "$@"\n'
    plugins = {
        "slow": {"copy": "/bin/slow", "text": slow, "mode": "0755"},
        "made": script("true"),
        "server": {"exec": True, "daemonize": True, "text": "#!/bin/slow\necho here >/here; exec sleep 100"},
        "after": "for i in 1 2 3 4 5 6 7 8 9; do [ -e /here ] && exit; sleep 0.5; done; exit 1",
    }
    one_stalk(workspace, plugins, DOCKER_OPTS={})

    done = workspace.run()

    assert done.code == 0, done.err
