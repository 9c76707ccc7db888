"""The mistakes that tools of this field made, as far as an engine is concerned: none is made here."""

import contextlib
import io
import json
import subprocess
import tarfile
import time
import uuid

import pytest

from run_space import docker, listing
from stalker.model import labels
from workspace import finish, read_until

pytestmark = pytest.mark.docker

SECRET = "s3cr3t-kept-from-everyone-9f2c"


def one_stalk(space, steps, node=None, **more):
    """Write a tree of one stalk."""
    space.tree({"s": node or {}})
    space.stalk("s", steps, **more)


# Variables and images along the tree


def test_siblings_do_not_see_each_others_variables(workspace):
    """A sibling's variables leaked into every stalk."""
    workspace.tree(
        {
            "root": {
                "left": {"stalk": "leaf", "WHO": "left"},
                "plain": {"stalk": "leaf"},
                "right": {"stalk": "leaf", "WHO": "right", "below": {"stalk": "leaf"}},
            }
        }
    )
    workspace.stalk("root", {"a": "true"})
    leaf = {"exec": True, "WHO": "", "text": '#!/bin/sh\necho "$WHO" >/who\n'}
    workspace.stalk("leaf", {"say": leaf}, WHO="nobody")

    done = workspace.run()

    assert done.code == 0, done.err
    seen = {name: workspace.text(f"{name}:say", "/who") for name in ("left", "plain", "right", "below")}
    assert seen == {"left": "left\n", "plain": "nobody\n", "right": "right\n", "below": "right\n"}


def test_a_child_starts_from_its_parents_last_image(workspace):
    """Children started from the root's first image, not from their parent's last."""
    workspace.tree({"root": {"child": {"grandchild": {}}}})
    workspace.stalk("root", {"one": "echo 1 >/one", "two": "echo 2 >/two"})
    workspace.stalk("child", {"three": "cat /one /two >/three"})
    workspace.stalk("grandchild", {"four": "cat /three >/four"})

    done = workspace.run()

    assert done.code == 0, done.err
    assert workspace.text("grandchild:four", "/four") == "1\n2\n"
    assert workspace.id("child:initial") == workspace.id("root:two") == workspace.id("root:final")


def test_a_change_of_the_parent_reaches_the_child(workspace):
    """The first image of a stalk was never refreshed when its parent changed."""
    workspace.tree({"root": {"child": {}}})
    workspace.stalk("root", {"one": "echo old >/one"})
    workspace.stalk("child", {"two": "cat /one >/two"})
    workspace.run()
    workspace.stalk("root", {"one": "echo new >/one"})

    done = workspace.run()

    assert done.code == 0, done.err
    assert workspace.text("child:two", "/two") == "new\n"
    assert workspace.id("child:initial") == workspace.id("root:one")


# Scripts


def test_a_step_that_exits_with_7_is_not_committed(workspace):
    """Exit codes of steps were ignored: `exit 7` was committed as success and the program returned 0."""
    one_stalk(workspace, {"good": "true", "bad": "echo half >/half; exit 7", "after": "true"})

    done = workspace.run()

    assert done.code == 1
    assert workspace.image("s:good") is not None
    assert workspace.image("s:bad") is None
    assert workspace.image("s:after") is None
    assert workspace.image("s:final") is None
    [failed] = [event for event in done.of("step_finished") if event["state"] == "failed"]
    assert (failed["step"], failed["exit_code"]) == ("s:bad", 7)
    assert workspace.to_run().keys() == {"s:bad", "s:after"}


SHEBANGS = {
    "sh": "#!/bin/sh",
    "env": "#!/usr/bin/env sh",
    "flag": "#!/bin/sh -e",
    "busybox": "#!/bin/busybox sh",
    "blanks": "#!  /bin/sh  -e  ",
    "awk": "#!/bin/awk -f",
}


def test_every_interpreter_runs_its_script(workspace):
    """`#!/bin/sh` made a step a silent no-op."""
    steps = {
        name: {"exec": True, "text": f"{line}\necho {name} >/{name}; false; echo on >>/{name}; true\n"}
        for name, line in SHEBANGS.items()
        if name != "awk"
    }
    steps["flag"]["text"] = "#!/bin/sh -e\necho flag >/flag\ncase $- in *e*) echo e >>/flag;; esac\n"
    steps["blanks"]["text"] = steps["flag"]["text"].replace("#!/bin/sh -e", SHEBANGS["blanks"])
    steps["blanks"]["text"] = steps["blanks"]["text"].replace("flag", "blanks")
    steps["awk"] = {"exec": True, "text": f'{SHEBANGS["awk"]}\nBEGIN {{ print "awk" >"/awk" }}\n'}
    one_stalk(workspace, steps)

    done = workspace.run()

    assert done.code == 0, done.err
    files = workspace.files("s:final")
    assert {name: files[f"/{name}"].content.decode() for name in SHEBANGS} == {
        "sh": "sh\non\n",
        "env": "env\non\n",
        "flag": "flag\ne\n",
        "busybox": "busybox\non\n",
        "blanks": "blanks\ne\n",
        "awk": "awk\n",
    }


def test_braces_and_dollars_in_a_script_stay(workspace):
    """`${X}` and `{}` in scripts crashed or were eaten."""
    script = r"""#!/bin/sh
X=x
echo "${X}" "{}" "{WHO}" '{{ }}' "${WHO}" '$WHO' `echo back` "\{" '%s' >/said
echo "a b" | awk '{print $2}' >>/said
find /etc -name passwd -exec echo found {} \; >>/said
cat >>/said <<'END'
{ "json": {"WHO": "${WHO}"} }
END
"""
    one_stalk(workspace, {"say": {"exec": True, "WHO": "me", "text": script}})

    done = workspace.run()

    assert done.code == 0, done.err
    assert workspace.text("s:say", "/said") == (
        'x {} {WHO} {{ }} me $WHO back \\{ %s\nb\nfound /etc/passwd\n{ "json": {"WHO": "${WHO}"} }\n'
    )


def test_only_our_own_braces_in_a_file_are_filled(workspace):
    """Braces of others in a file were eaten."""
    text = "{WHO} {} {{WHO}} {who} {OTHER} ${WHO} { WHO } {WHO"
    one_stalk(workspace, {"f": {"copy": "/f", "WHO": "me", "text": text}, "a": "true"})

    done = workspace.run()

    assert done.code == 0, done.err
    assert workspace.text("s:a", "/f") == "me {} {me} {who} {OTHER} $me { WHO } {WHO"


BINARY = bytes(range(256)) * 40 + b"\0\0\xff\xfe{WHO}\r\n\x01stalker:\n"


def test_files_arrive_with_their_mode_and_every_byte(workspace):
    """File modes and binary files were destroyed on the way into the container."""
    for name, mode in {"tool": 0o755, "data": 0o640, "readonly": 0o444}.items():
        file = workspace.write(f"sysroot/opt/x/{name}", "")
        file.write_bytes(BINARY + name.encode())
        file.chmod(mode)
    (workspace.path / "sysroot/opt/x/link").symlink_to("tool")
    workspace.write("files/big.bin", "").write_bytes(BINARY * 40)
    one_stalk(
        workspace,
        {
            "copied": {"copy": "/copied.bin", "path": "files/big.bin", "mode": "0751"},
            "look": "mkdir /seen; cp -a /opt/x/. /seen/; ls -l /opt/x",
        },
    )

    done = workspace.run()

    assert done.code == 0, done.err
    files = workspace.files("s:look")
    assert {
        name: (files[f"/seen/{name}"].mode, files[f"/seen/{name}"].content)
        for name in ("tool", "data", "readonly")
    } == {
        "tool": (0o755, BINARY + b"tool"),
        "data": (0o640, BINARY + b"data"),
        "readonly": (0o444, BINARY + b"readonly"),
    }
    assert files["/seen/link"].content == BINARY + b"tool"
    assert (files["/copied.bin"].mode, files["/copied.bin"].content) == (0o751, BINARY * 40)
    assert "/opt" not in files


# Images


DOCKERFILE = """FROM {base}
RUN mkdir -p /srv /data && echo nobody:x:65534:65534::/:/bin/sh >>/etc/passwd && chmod 777 /srv
ENV GREETING="hello there" EMPTY=
WORKDIR /srv
EXPOSE 80/tcp 53/udp
STOPSIGNAL SIGUSR1
HEALTHCHECK --interval=7s CMD /bin/true
VOLUME /data
LABEL theirs=kept
USER nobody
ENTRYPOINT ["/bin/sh", "-c"]
CMD ["echo $GREETING $(id -un) $(pwd) $(cat /srv/made)"]
"""


@pytest.fixture
def rich_base(workspace, tmp_path):
    """An image in which everything is set that an image can say of how it runs."""
    name = f"{workspace.prefix}/rich:1"
    folder = tmp_path / "rich"
    folder.mkdir()
    (folder / "Dockerfile").write_text(DOCKERFILE.format(base=workspace.base))
    docker("build", "-q", "-t", name, str(folder))
    return name


def config_of(name):
    found = json.loads(docker("image", "inspect", name).stdout)[0]["Config"]
    for of_the_container in ("Hostname", "Image", "Labels"):
        found.pop(of_the_container, None)
    return {key: value for key, value in found.items() if value not in (None, "", False, [], {})}


def with_mounts_and_files(workspace):
    """Return plugins that put things into the container in every way there is."""
    (workspace.path / "data").mkdir(exist_ok=True)
    workspace.write("sysroot/etc/shown.conf", "shown")
    workspace.write("sysroot/opt/deep/down/file", "shown")
    return {
        "conf": {"bind": "/etc/conf.d/mine", "text": "x"},
        "over": {
            "bind": "/etc/passwd",
            "text": "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n",
        },
        "host": {"path": "data", "bind": "/mnt/host/data"},
        "store": {
            "store": f"stalker-test-{workspace.subarch}-{workspace.arch}",
            "bind": "/mnt/store",
            "mode": "rw",
        },
    }


@pytest.fixture
def no_stores(workspace, engine):
    yield
    with contextlib.suppress(Exception):
        engine.remove_volume(f"stalker-test-{workspace.subarch}-{workspace.arch}")


def test_an_image_runs_elsewhere_as_its_base_does(workspace, rich_base, no_stores):
    """Committed images could not be run elsewhere: another entrypoint, another environment."""
    one_stalk(
        workspace,
        {**with_mounts_and_files(workspace), "make": "echo made >/srv/made", "again": "echo x >/srv/again"},
        {"base": {"tag": rich_base}},
        DOCKER_OPTS={"network": "none", "tmpfs": {"/scratch": "size=1m"}, "tty": True, "hostname": "h"},
        envplugins={"LC_ALL": "C.UTF-8"},
    )

    done = workspace.run()

    assert done.code == 0, done.err
    for step in ("make", "again", "initial", "final"):
        assert config_of(workspace.name(f"s:{step}")) == config_of(rich_base)
    assert config_of(rich_base)["User"] == "nobody"
    assert workspace.image("s:again").labels["theirs"] == "kept"
    ran = docker("run", "--rm", "--network", "none", workspace.name("s:again"))
    assert ran.stdout == "hello there nobody /srv made\n"


def test_an_image_without_a_command_gets_none(workspace):
    """Committed images carried the entrypoint of whatever idled in the container."""
    name = f"{workspace.prefix}/bare:1"
    made = docker("create", workspace.base, "x").stdout.strip()
    docker("commit", "--change", "CMD []", "--change", "ENTRYPOINT []", made, name)
    docker("rm", made)
    one_stalk(workspace, {"a": "echo x >/x"}, {"base": {"tag": name}})

    done = workspace.run()

    assert done.code == 0, done.err
    assert config_of(workspace.name("s:a")) == config_of(name)


def test_an_image_holds_what_scripts_wrote_and_nothing_of_ours(workspace, no_stores):
    """Committed images asked for every bind mount and carried stubs."""
    steps = with_mounts_and_files(workspace)
    one_stalk(
        workspace,
        {
            **steps,
            "one": "test -d /mnt/host/data; echo 1 >/one; ls /entropy/plugins /opt/deep/down >/dev/null",
            "two": "echo 2 >/two; rm /tmp/x 2>/dev/null; true",
        },
        DOCKER_OPTS={"network": "none", "tmpfs": {"/scratch/deep": "size=1m"}},
    )

    done = workspace.run()

    assert done.code == 0, done.err
    base = listing(workspace.engine, workspace.base)
    files = workspace.files("s:two")
    assert files.keys() - base.keys() == {"/one", "/two"}
    assert base.keys() - files.keys() == set()
    assert workspace.added("s:two").keys() == {"/one", "/two"}
    assert workspace.text("s:final", "/etc/passwd") == base["/etc/passwd"].content.decode()


# The host and its other containers


@pytest.fixture
def foreign(workspace):
    """A container and images that are none of ours; gone afterwards."""
    name = f"foreign-{uuid.uuid4().hex[:8]}"
    docker("run", "-d", "--network", "none", "--name", name, workspace.base, "sleep", "1000")
    dangling = docker("commit", "-m", "foreign", name).stdout.strip()
    try:
        yield name, dangling
    finally:
        docker("rm", "-f", name, check=False)
        docker("rmi", "-f", dangling, check=False)


def started_at(name):
    return json.loads(docker("inspect", name).stdout)[0]["State"]["StartedAt"]


def test_what_is_not_ours_is_left_alone(workspace, foreign):
    """Clean-up stopped every container of the host and removed other people's images."""
    container, dangling = foreign
    began = started_at(container)
    one_stalk(workspace, {"good": "true", "bad": "exit 1"})

    assert workspace.run().code == 1
    one_stalk(workspace, {"good": "true", "slow": "echo now; sleep 100"})
    running = workspace.start("run", "trees/t/t.hjson", "--json")
    read_until(running, "step_output", "now")
    running.kill()
    running.communicate()
    one_stalk(workspace, {"good": "true"})
    assert workspace.run().code == 0
    assert workspace.stalker("prune", "trees/t/t.hjson", "--yes").code == 0

    assert started_at(container) == began
    assert json.loads(docker("inspect", container).stdout)[0]["State"]["Running"] is True
    assert workspace.engine.image(dangling) is not None
    assert workspace.image("s:good") is None


def test_a_script_that_reads_its_input_reads_nothing(workspace):
    """A question on stdin hung CI."""
    one_stalk(workspace, {"ask": 'read answer; echo "<$answer>" >/answer; cat >>/answer'})

    done = workspace.run()

    assert done.code == 0, done.err
    assert workspace.text("s:ask", "/answer") == "<>\n"


def test_nobody_is_asked_where_nobody_can_answer(workspace):
    """A question on stdin hung CI: a base that is not available is an error at once."""
    one_stalk(workspace, {"a": "true"}, {"base": {"tag": f"{workspace.prefix}/none:1"}})

    done = workspace.run()

    assert done.code == 2
    assert "none:1" in done.out + done.err
    assert done.took_s < 120


def test_a_failure_leaves_nothing_behind(workspace, tmp_path_factory):
    """A failure left containers, temp files with secrets, loop devices."""
    folder = tmp_path_factory.mktemp("tmp")
    volumes = docker("volume", "ls", "-q", "--filter", "dangling=true").stdout.split()
    workspace.tree({"root": {"a": {}, "b": {}}}, secrets={"KEY": {"env": "KEY"}})
    workspace.stalk("root", {"first": "true"})
    workspace.stalk("a", {"key": {"bind": "/key", "KEY": "", "text": "{KEY}"}, "bad": "sleep 1000 & exit 9"})
    big = "x" * 300_000
    workspace.stalk("b", {"big": {"copy": "/big", "text": big}, "gone": "kill -9 $PPID; kill -9 $$; sleep 9"})

    done = workspace.run(TMPDIR=str(folder), KEY=SECRET)

    assert done.code == 1
    assert workspace.containers() == []
    assert list(folder.iterdir()) == []
    after = docker("volume", "ls", "-q", "--filter", "dangling=true").stdout.split()
    assert [name for name in after if name not in volumes and len(name) == 64] == []


# Secrets


@pytest.fixture(scope="module")
def secretive(shared_space, tmp_path_factory):
    """A run whose steps use a secret in every way and show it, with all that it left."""
    space = shared_space()
    space.tree({"s": {"failing": {}}, "user": {}}, secrets={"KEY": {"env": "THE_KEY"}})
    show = 'echo "$KEY"; cat /key /etc/sub; echo "$KEY" >&2; echo "$KEY" | cut -c1-9; env | grep KEY'
    plugins = {
        "key": {"bind": "/key", "KEY": "", "text": "in a file: {KEY}\n"},
        "sub": {
            "bind": "/etc/sub",
            "KEY": "",
            "text": "{% for i in [1] %}{{ KEY }}{% endfor %}\n",
            "template": "jinja2",
        },
    }

    def step(script, **more):
        return {"exec": True, "KEY": "", "text": f"#!/bin/sh\n{script}\n", **more}

    space.stalk(
        "s",
        {
            **plugins,
            "awk": {"exec": True, "KEY": "", "text": '#!/bin/awk -f\nBEGIN { print "{KEY}" }\n'},
            "up": step(f"{show}; sleep 100", daemonize=True),
            "use": step(f"{show}; sleep 1.5"),
        },
    )
    space.stalk("failing", {**plugins, "bad": step(f"{show}; exit 3")})
    space.stalk("user", {**plugins, "use": step(show)}, DOCKER_OPTS={"network": "none", "user": "1000"})
    began = int(time.time())
    running = space.start("run", "trees/t/t.hjson", "--json", THE_KEY=SECRET)
    said = read_until(running, "step_started", "s:use")
    inspected = [docker("inspect", one.id, check=False).stdout for one in space.containers()]
    done = finish(running, said)
    told = subprocess.run(
        ["docker", "events", "--since", str(began), "--until", str(int(time.time()) + 1)],
        capture_output=True,
        check=True,
        stdin=subprocess.DEVNULL,
    ).stdout
    return space, done, inspected, told


def test_the_secret_reached_the_scripts(secretive):
    """A secret is of use: it is in the environment, in files, and where it is substituted."""
    space, done, _, _ = secretive

    assert done.events[-1]["failed"] == ["failing:bad"], done.err
    assert done.events[-1]["ran"] == 4
    assert space.log("s", "use").count(b"***") == 5
    assert space.log("s", "use").count(SECRET[:9].encode()) == 1
    assert space.log("s", "awk") == b"***\n"


def test_no_secret_is_in_an_image(secretive):
    """Passwords stood in files of committed images."""
    space, *_ = secretive
    names = [
        name
        for name in docker("images", "--format", "{{.Repository}}:{{.Tag}}").stdout.split()
        if name.startswith(space.prefix)
    ]
    assert {space.name("s:use"), space.name("failing:bad.failed"), space.name("user:use")} <= set(names)

    saved = subprocess.run(["docker", "save", *names], capture_output=True, check=True).stdout

    with tarfile.open(fileobj=io.BytesIO(saved)) as archive:
        held = [member.name for member in archive if SECRET.encode() in read(archive, member)]
    assert held == []


def read(archive, member):
    file = archive.extractfile(member) if member.isreg() else None
    return file.read() if file else b""


def test_no_secret_is_seen_by_inspecting(secretive):
    """Passwords stood in `docker inspect`."""
    space, _, inspected, _ = secretive
    names = [space.name("s:use"), space.name("failing:bad.failed"), space.name("user:use")]

    told = docker("image", "inspect", *names).stdout
    told += "".join(docker("history", "--no-trunc", name).stdout for name in names)

    assert len(inspected) >= 1
    assert SECRET not in told + "".join(inspected)
    assert labels.INPUTS in told


def test_no_secret_is_in_what_the_engine_tells_of_a_run(secretive):
    """Who may ask the engine for its events reads each program that is started."""
    *_, told = secretive

    assert b"exec_create" in told
    assert SECRET.encode() not in told


def test_no_secret_is_in_a_log_or_an_event(secretive):
    """Passwords stood in logs."""
    space, done, *_ = secretive

    files = [file for file in (space.path / "logs").rglob("*") if file.is_file()]

    assert len(files) >= 5
    assert [file for file in files if SECRET.encode() in file.read_bytes()] == []
    assert SECRET not in done.out + done.err
    kept = [file for file in space.path.rglob("*") if file.is_file() and SECRET.encode() in file.read_bytes()]
    assert kept == []
