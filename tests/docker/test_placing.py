"""Files of a step are in their places while it runs, and nowhere afterwards, whatever the image is like."""

from __future__ import annotations

import io
import json
import os
import struct
import tarfile

import pytest

from run_space import docker, listing
from stalker.model import labels
from workspace import busybox_rootfs

pytestmark = pytest.mark.docker


def script(text, **more):
    return {"exec": True, "text": f"#!/bin/sh\n{text}\n", **more}


def one_stalk(space, plugins, **more):
    space.tree({"s": {}}, **more)
    space.stalk("s", plugins)


def ended(done, step):
    return [event for event in done.of("step_finished") if event["step"] == step][-1]


def output(done, step):
    return "".join(event["data"] for event in done.of("step_output") if event["step"] == step)


@pytest.fixture(scope="module")
def linked_base(engine):
    """An image with links between directories, hard links, and a link to a file."""
    name = "stalker-test/linked:1"
    buffer = io.BytesIO(busybox_rootfs({"real/f": b"orig\n", "srv/a": b"x" * 4096}))
    with tarfile.open(fileobj=buffer, mode="a") as archive:
        for path, target, kind in (
            ("lnk", "real", tarfile.SYMTYPE),
            ("var/run", "/run", tarfile.SYMTYPE),
            ("etc/link", "/real/f", tarfile.SYMTYPE),
            ("srv/b", "srv/a", tarfile.LNKTYPE),
        ):
            entry = tarfile.TarInfo(path)
            entry.type, entry.linkname = kind, target
            archive.addfile(entry)
        entry = tarfile.TarInfo("run")
        entry.type, entry.mode = tarfile.DIRTYPE, 0o755
        archive.addfile(entry)
    engine.import_rootfs([buffer.getvalue()], name, {}, "")
    yield name
    engine.untag(name)


@pytest.fixture
def linked(workspace, linked_base):
    workspace.base = linked_base
    return workspace


# Two plugins, one file


@pytest.mark.parametrize(
    "second", [{"bind": "/real/f", "text": "two"}, {"copy": "/real/f", "text": "two"}], ids=["bind", "copy"]
)
def test_two_plugins_that_meet_in_one_real_file_are_refused(linked, second):
    """The error names both targets and plugins; nothing ran, and nothing is kept."""
    one_stalk(linked, {"c1": {"bind": "/lnk/f", "text": "one"}, "c2": second, "a": "echo ran"})

    done = linked.run()

    assert done.code == 1
    brief = ended(done, "s:a")["brief"]
    for part in ("/lnk/f (plugin c1)", "/real/f (plugin c2)", "one file in the image"):
        assert part in brief
    assert "ran" not in output(done, "s:a")
    assert linked.image("s:a") is None
    assert linked.image("s:a.failed") is None


def test_a_file_of_the_sysroot_meets_a_plugin_too(linked):
    linked.write("sysroot/lnk/f", "of the sysroot")
    one_stalk(linked, {"c": {"bind": "/real/f", "text": "two"}, "a": "echo ran"})

    done = linked.run()

    assert "(plugin sysroot)" in ended(done, "s:a")["brief"]


def test_a_copy_after_the_last_step_meets_no_bound_file(linked):
    """Both would be in one place at the end of the step."""
    one_stalk(
        linked,
        {"c": {"bind": "/lnk/f", "text": "bound"}, "a": "true", "late": {"copy": "/real/f", "text": "late"}},
    )

    done = linked.run()

    assert done.code == 1
    assert "one file in the image" in ended(done, "s:a")["brief"]


def test_files_of_one_name_in_two_linked_directories_are_fine_where_they_do_not_meet(linked):
    """A path over a link is written to where it leads, and what was there comes back."""
    one_stalk(
        linked,
        {
            "c1": {"bind": "/lnk/f", "text": "one\n"},
            "c2": {"bind": "/real/g", "text": "two\n"},
            "c3": {"bind": "/etc/link", "text": "three\n"},
            "a": "cat /real/f /lnk/g /etc/link >/seen; [ ! -L /etc/link ]",
        },
    )

    done = linked.run()

    assert done.code == 0, done.err
    assert linked.text("s:a", "/seen") == "one\ntwo\nthree\n"
    files = linked.files("s:a")
    assert files["/real/f"].content == b"orig\n"
    assert files["/etc/link"].link == "/real/f"
    assert "/real/g" not in files


HARD_LINKS = "ls -li /srv | awk 'NR > 1 { print $1 }' | sort -u | wc -l"


@pytest.mark.parametrize("user", ["0", "7"])
def test_hard_links_of_the_image_survive_a_file_placed_over_one(linked, user):
    """The three names are one file before and after, and no layer has a copy of it."""
    linked.options["user"] = user
    one_stalk(
        linked,
        {
            "c": {"bind": "/srv/a", "text": "placed\n", "mode": "0640"},
            "d": {"bind": "/srv/new", "text": "placed too\n"},
            "a": "cat /srv/new; ls -l /srv/a | cut -c1-10; { echo more >>/srv/a; } 2>/dev/null; true",
            "b": "wc -c </srv/b; ls -A /srv",
        },
    )
    linked.stalk("t", {"look": HARD_LINKS})
    linked.tree({"s": {"t": {}}})

    done = linked.run()

    assert done.code == 0, done.err
    assert output(done, "s:a") == "placed too\n-rw-r-----\n"
    assert output(done, "s:b") == "4096\na\nb\nnew\n"
    assert output(done, "t:look") == "1\n"
    base = listing(linked.engine, linked.base)
    changed = [path for path, entry in linked.files("s:b").items() if base.get(path) != entry]
    assert changed == []
    run = done.of("run_started")[0]["run"]
    own = linked.engine.volumes({labels.RUN: run, labels.VERSION: labels.CONTAINER})
    assert own == []


# Nothing of ours survives


SECRET = "quite-secret-value"


@pytest.mark.parametrize(
    ("act", "where"),
    [
        ("mv /etc/key /root/elsewhere", "/root/elsewhere"),
        ("ln /etc/key /root/second", "/root/second"),
        ("ln /etc/key /root/second; rm /etc/key", "/root/second"),
        ("mv /etc/key /etc/renamed; echo new >/etc/key", "/etc/renamed"),
        ("ln /etc/key '/root/with space'", "/root/with space"),
        ("mkdir /d; mv /new /d/new", "/d/new/key2"),
    ],
)
def test_a_placed_file_that_is_moved_or_linked_fails_the_step(workspace, act, where):
    """The error says where it went and that it holds a secret; the state that is kept has nothing of it."""
    workspace.tree({"s": {}}, secrets={"KEY": {"env": "KEY"}})
    workspace.stalk(
        "s",
        {
            "key": {"bind": "/etc/key", "KEY": "", "text": "key={KEY}"},
            "key2": {"bind": "/new/key2", "KEY": "", "text": "key={KEY}"},
            "a": act,
        },
    )
    done = workspace.run(KEY=SECRET)

    assert done.code == 1
    brief = ended(done, "s:a")["brief"]
    assert f"was moved or linked to {where}" in brief
    assert "holds a secret" in brief
    told = ended(done, "s:a")
    assert "(stalks/s/s.hjson:" in told["details"]
    assert told["resolution"].splitlines() == [
        "leave the file where it is: a secret must not get into an image",
        "./stalker shell s:a.failed --tree trees/t/t.hjson  opens what it left",
    ]
    assert workspace.image("s:a") is None
    kept = workspace.files("s:a.failed")
    assert [path for path, entry in kept.items() if SECRET.encode() in entry.content] == []
    assert [path for path in kept if path.startswith(("/entropy", "/.stalker"))] == []


@pytest.mark.parametrize(
    "act",
    [
        "cp /etc/key /root/copy",
        "echo more >>/etc/key",
        "rm /etc/key; echo x >/root/x",
        "sed -i s/a/b/ /etc/key; echo x >/root/x",
        "rm -rf /new; mkdir /new; echo mine >/new/other",
    ],
)
def test_what_a_script_may_do_with_a_placed_file(workspace, act):
    """A copy is the script's own; a file in the place of ours goes with it."""
    one_stalk(
        workspace,
        {"c": {"bind": "/etc/key", "text": "a"}, "d": {"bind": "/new/key", "text": "a"}, "a": act},
    )

    done = workspace.run()

    assert done.code == 0, done.err
    added = workspace.added("s:a").keys()
    assert "/etc/key" not in added
    assert added <= {"/root/copy", "/root/x", "/new", "/new/other", "/root", "/etc"}


@pytest.mark.parametrize("options", [{}, {"tty": True}], ids=["fed", "exec"])
@pytest.mark.parametrize(
    "act",
    [
        "rm -rf /entropy",
        "rm -rf /entropy; false",
        "mv /entropy/.stalker /root/state; mv /etc/key /root/elsewhere",
        "rm -rf /entropy/.stalker/f/*; mv /etc/key /root/elsewhere",
    ],
)
def test_a_script_that_removes_what_its_files_are_known_by_fails(workspace, act, options):
    """Where a placed file went can no longer be proven, so nothing is committed, not even as failed."""
    workspace.tree({"s": {}}, secrets={"KEY": {"env": "KEY"}})
    plugins = {"key": {"bind": "/etc/key", "KEY": "", "text": "key={KEY}"}, "a": act}
    workspace.stalk("s", plugins, DOCKER_OPTS=options)

    done = workspace.run(KEY=SECRET)

    assert done.code == 1
    if "false" not in act:
        assert "could not be taken away" in ended(done, "s:a")["brief"]
    assert (workspace.image("s:a"), workspace.image("s:a.failed")) == (None, None)


def zone_file(name, hours):
    """A file of a time zone with one offset. Source: RFC 8536, version 1."""
    counts = struct.pack(">6l", 0, 0, 0, 0, 1, len(name) + 1)
    return b"TZif" + bytes(16) + counts + struct.pack(">lbb", hours * 3600, 0, 0) + name.encode() + b"\0"


def test_directories_made_for_a_file_go_though_the_script_set_a_time_zone(workspace):
    """How they look is compared in one time zone."""
    one_stalk(
        workspace,
        {
            "seed": {"bind": "/opt/in/seed", "text": "x"},
            "zone": {"copy": "/etc/est", "path": "est"},
            "a": "mv /etc/est /etc/localtime; date +%Z",
        },
    )
    (workspace.path / "est").write_bytes(zone_file("EST", -5))

    done = workspace.run()

    assert done.code == 0, done.err
    assert output(done, "s:a") == "EST\n"
    assert [path for path in workspace.added("s:a") if path.startswith("/opt")] == []


# Directories


def test_a_directory_that_the_script_changed_stays(workspace):
    """Mode, owner or content: it is the script's then, though it was made for a placed file."""
    one_stalk(
        workspace,
        {
            **{
                name: {"bind": f"/opt/{name}/in/seed", "text": "x"}
                for name in ("mode", "owner", "content", "none")
            },
            "a": "chmod 2770 /opt/mode/in; chown 7:7 /opt/owner; touch /opt/content/in/x;"
            " rm /opt/content/in/x",
            "b": "ls -ld /opt/mode/in | cut -c1-10",
        },
    )

    done = workspace.run()

    assert done.code == 0, done.err
    added = {path: (e.mode, e.owner) for path, e in workspace.added("s:a").items() if path.startswith("/opt")}
    assert added == {
        "/opt": (0o755, (0, 0)),
        "/opt/mode": (0o755, (0, 0)),
        "/opt/mode/in": (0o2770, (0, 0)),
        "/opt/owner": (0o755, (7, 7)),
        "/opt/content": (0o755, (0, 0)),
        "/opt/content/in": (0o755, (0, 0)),
    }
    assert output(done, "s:b") == "drwxrws---\n"
    assert times_of(workspace, "s:a", "/opt") == []


def times_of(space, reference, below):
    """Return the paths that have the time that is given to directories made for placing."""
    with tarfile.open(fileobj=io.BytesIO(b"".join(space.engine.export(space.id(reference))))) as archive:
        return [e.name for e in archive if f"/{e.name}".startswith(below) and e.mtime < 400_000_000]


def test_a_directory_above_a_mount_that_the_script_changed_stays(workspace, tmp_path):
    """The engine made it for the mount; one that nothing was done to goes, the mount point always."""
    workspace.write("data/x", "x")
    one_stalk(
        workspace,
        {
            "m": {"path": "data", "bind": "/opt/app/data"},
            "n": {"path": "data", "bind": "/opt/other/data"},
            "a": "chmod 750 /opt/app",
            "b": "true",
        },
    )

    done = workspace.run()

    assert done.code == 0, done.err
    for step in ("s:a", "s:b"):
        found = {path: entry.mode for path, entry in workspace.added(step).items()}
        assert found == {"/opt": 0o755, "/opt/app": 0o750}
    assert times_of(workspace, "s:a", "/opt") == []


# Docker's own files


@pytest.mark.parametrize("network", ["none", "bridge"])
def test_dockers_files_are_written_in_place_and_given_back(workspace, network):
    """They are mounts, so they can be written to and not replaced; every step finds them as they were."""
    workspace.options["network"] = network
    workspace.write("sysroot/etc/hosts", "10.0.0.9 of-the-sysroot\n")
    one_stalk(
        workspace,
        {
            "before": "true",
            "dns": {"bind": "/etc/resolv.conf", "text": "nameserver 10.0.0.1\n"},
            "a": "cat /etc/resolv.conf /etc/hosts; echo more >>/etc/hosts",
            "b": "cat /etc/hosts",
        },
    )

    done = workspace.run()

    assert done.code == 0, done.err
    assert output(done, "s:a") == "nameserver 10.0.0.1\n10.0.0.9 of-the-sysroot\n"
    assert output(done, "s:b") == "10.0.0.9 of-the-sysroot\n"
    assert workspace.added("s:b").keys() == set()


# The environment is the script's


def test_variables_are_set_for_the_script_alone(workspace):
    """Placing and taking away do not see PATH or locale of the step; the script does."""
    one_stalk(
        workspace,
        {
            "c": {"copy": "/etc/conf", "text": "x\n"},
            "a": script('echo "$PATH|$LC_ALL|$PS4|$HOME"', PATH="/opt/x", LC_ALL="xx", HOME="/q"),
            "b": 'echo "${LC_ALL-none}|$PATH"',
        },
    )

    done = workspace.run()

    assert done.code == 0, done.err
    assert output(done, "s:a").startswith("/opt/x|")
    assert "|xx|" in output(done, "s:a")
    image = workspace.engine.image(workspace.base)
    path = next(one for one in image.config["Env"] if one.startswith("PATH="))
    assert output(done, "s:b") == f"none|{path.removeprefix('PATH=')}\n"
    assert workspace.files("s:b")["/etc/conf"].content == b"x\n"


@pytest.mark.parametrize("user", ["root", "1000"])
def test_a_missing_interpreter_is_named_with_its_place(workspace, user):
    """Not by what the shell of the image says of a line of ours."""
    workspace.options["user"] = user
    one_stalk(workspace, {"a": {"exec": True, "text": "#!/opt/python -u\nprint()\n"}})

    done = workspace.run()

    assert done.code == 1
    told = ended(done, "s:a")
    assert told["brief"] == "s:a: /opt/python does not exist in the container"
    assert "(stalks/s/s.hjson:" in told["details"]


def test_a_missing_directory_and_an_unknown_user_are_named_with_their_place(workspace):
    workspace.tree({"s": {}, "t": {}, "u": {}})
    options = {"network": "none"}
    workspace.stalk("s", {"a": "true"}, DOCKER_OPTS={**options, "working_dir": "/nowhere"})
    workspace.stalk("t", {"a": "true"}, DOCKER_OPTS={**options, "user": "ann"})
    workspace.stalk("u", {"a": "true"}, DOCKER_OPTS={**options, "user": "root:staff"})

    done = workspace.run("--keep-going")

    assert done.code == 1
    told = {step: ended(done, step) for step in ("s:a", "t:a", "u:a")}
    assert told["s:a"]["brief"] == "s:a: the directory /nowhere does not exist in the container"
    assert "stalks/s/s.hjson" in told["s:a"]["details"]
    assert told["t:a"]["brief"] == "t:a: the image has no user or group named ann"
    assert told["u:a"]["brief"] == "u:a: the image has no user or group named staff"
    assert workspace.image("s:a.failed") is None


# A terminal


def test_a_script_has_a_terminal_when_it_asks_for_one(workspace):
    """Its two streams are one then; a failing one is reported as any other."""
    workspace.options["tty"] = True
    one_stalk(
        workspace,
        {"a": "[ -t 0 ] && [ -t 1 ] && [ -t 2 ] && echo all; echo err >&2; echo x >/x", "b": "exit 3"},
    )

    done = workspace.run()

    assert done.code == 1
    assert output(done, "s:a") == "all\r\nerr\r\n"
    assert workspace.added("s:a").keys() == {"/x"}
    assert ended(done, "s:b")["exit_code"] == 3


# Volumes of a base


@pytest.fixture
def volume_base(engine, workspace):
    """A base whose image asks for a volume at /data, which holds a file."""
    name = f"{workspace.prefix}/vol:1"
    container = docker("create", workspace.base).stdout.strip()
    docker("cp", "/dev/null", f"{container}:/base-marker")
    docker("commit", "--change", 'VOLUME ["/data", "/srv/more"]', container, name)
    docker("rm", container)
    workspace.base = name
    return name


def test_what_is_written_below_a_volume_of_the_base_is_in_the_image(workspace, volume_base):
    """Docker would give each container a volume there, which no commit has. The image still asks for it."""
    one_stalk(
        workspace,
        {
            "placed": {"copy": "/data/placed", "text": "placed\n"},
            "bound": {"bind": "/data/bound", "text": "bound\n"},
            "a": "echo made >/data/made; ls /data",
            "b": "cat /data/made /data/placed; head -c 3000000 /dev/zero >/srv/more/big",
            "c": "cat /data/made; ls /srv/more",
        },
    )
    done = workspace.run()

    assert done.code == 0, done.err
    assert output(done, "s:b") == "made\nplaced\n"
    assert output(done, "s:c") == "made\nbig\n"
    files = workspace.files("s:c")
    assert files["/data/made"].content == b"made\n"
    assert "/data/bound" not in files
    for step in ("s:a", "s:c"):
        config = json.loads(docker("inspect", workspace.name(step)).stdout)[0]["Config"]
        assert config["Volumes"] == {"/data": {}, "/srv/more": {}}
    assert set(workspace.plan()) == {"s:a", "s:b", "s:c"}
    assert workspace.to_run() == {}
    images = workspace.engine.labelled_images()
    grown_on = {image.parent_id for image in images}
    run = done.of("run_started")[0]["run"]
    left = [
        image for image in images if image.labels.get(labels.TEMPORARY) == run and image.id not in grown_on
    ]
    assert left == []


# Names that no image can hold


@pytest.mark.parametrize("name", [".wh.keep", ".wh..wh..opq"])
def test_a_name_that_would_delete_its_neighbours_is_refused(workspace, name):
    """In a layer it means that the neighbour, or all neighbours, were deleted."""
    one_stalk(
        workspace,
        {"a": "mkdir /srv; echo 1 >/srv/keep", "b": f"echo state >/srv/{name}; echo new >/srv/new"},
    )

    done = workspace.run()

    assert done.code == 1
    assert f"an image cannot hold /srv/{name}" in ended(done, "s:b")["brief"]
    assert workspace.image("s:b") is None
    assert workspace.files("s:a")["/srv/keep"].content == b"1\n"


# Awkward names, many files


AWKWARD = [
    "with space",
    "-rf",
    "$HOME",
    "`id`",
    "quote'",
    'dq"',
    "back\\slash",
    "#hash",
    "*",
    "!bang",
    "new\nline",
    "é",
]


def test_awkward_names_are_placed_and_taken_away(workspace):
    names = [*AWKWARD, os.fsdecode(b"latin\xe9"), "tab\t", "esc\x1b[31m"]
    for name in names:
        workspace.write(f"sysroot/opt/{name}", f"content of {name}".encode("ascii", "replace").decode())
    one_stalk(workspace, {"a": "ls -A /opt | wc -l; cat /opt/* /opt/-rf >/all; ls -A / | grep -c stalker"})

    done = workspace.run()

    assert done.code == 1  # grep found nothing
    assert output(done, "s:a").split() == [str(len(names)), "0"]
    one_stalk(workspace, {"a": "cat /opt/* >/all"})
    done = workspace.run()
    assert done.code == 0, done.err
    assert workspace.added("s:a").keys() == {"/all"}


def test_thousands_of_files_are_placed_in_one_go(workspace):
    """Every byte, mode and link; over files of the image too."""
    for number in range(3000):
        workspace.write(f"sysroot/many/d{number % 40}/f{number}", f"{number}\n")
    (workspace.path / "sysroot/many/d0/f0").chmod(0o4711)
    one_stalk(
        workspace,
        {
            "make": "mkdir -p /many/d1; echo mine >/many/d1/f1; chmod 600 /many/d1/f1",
            "a": "find /many -type f | wc -l; cat /many/d39/f2999; ls -l /many/d0/f0 | cut -c1-10",
        },
    )

    done = workspace.run()

    assert done.code == 0, done.err
    assert output(done, "s:a") == "3000\n2999\n-rws--x--x\n"
    kept = {path: (e.kind, e.mode) for path, e in workspace.added("s:a").items()}
    assert "/many/d0/f0" not in kept
    assert listing(workspace.engine, workspace.id("s:a")).keys() == workspace.files("s:make").keys()


def test_a_copy_after_the_last_step_may_be_at_the_top(workspace):
    """`/name` has no directory above it that could be missing."""
    workspace.tree({"s": {}})
    workspace.stalk("s", {"a": "[ ! -e /top ]", "b": {"copy": "/top", "text": "late", "mode": "0600"}})

    done = workspace.run()

    assert done.code == 0, done.err
    added = workspace.added("s:final")
    assert (added["/top"].content, added["/top"].mode) == (b"late", 0o600)
