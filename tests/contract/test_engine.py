"""Each promise of `engine/interface.py`, asked of the fake and of Docker."""

import gzip
import io
import tarfile
import threading
import time
import uuid
from dataclasses import replace

import pytest

from contract.conftest import Heard, World, one_file
from engines import remove_all_below
from stalker.engine.docker import http
from stalker.engine.docker.adapter import DockerEngine
from stalker.engine.docker.container_options import Configured
from stalker.engine.fake import FakeEngine, FakeRun
from stalker.engine.interface import ContainerSpec
from stalker.errors import EngineError, NoEngine, NotThere
from stalker.history.layers import layers_in
from stalker.model import labels
from stalker.model.diagnostics import Place
from stalker.model.identity import platform_of
from stalker.model.tree import Mount
from stalker.run.script.report import Report

NOWHERE = "f" * 64
PLACE = Place("stalks/s/s.hjson")


def quiet(*_):
    pass


def spec(image):
    return ContainerSpec(image, f"contract-{uuid.uuid4().hex[:8]}", {})


def names_in(engine, image):
    with tarfile.open(fileobj=io.BytesIO(b"".join(engine.export(image)))) as archive:
        return {member.name: member for member in archive}


CALLS = {
    "info": lambda engine: engine.info(),
    "labelled_images": lambda engine: engine.labelled_images(),
    "image": lambda engine: engine.image("x:1"),
    "registry_digest": lambda engine: engine.registry_digest("x:1"),
    "pull": lambda engine: engine.pull("x:1", "", quiet),
    "push": lambda engine: engine.push("x:1", quiet),
    "import_rootfs": lambda engine: engine.import_rootfs([b""], "x:1", {}, ""),
    "build": lambda engine: engine.build([b""], "Dockerfile", "x:1", {}, {}, "", quiet),
    "create": lambda engine: engine.create(spec("x:1")),
    "start": lambda engine: engine.start(NOWHERE),
    "put": lambda engine: engine.put(NOWHERE, one_file("x", b"")),
    "get": lambda engine: list(engine.get(NOWHERE, "/x")),
    "exec": lambda engine: engine.exec(NOWHERE, ["true"], {}, quiet),
    "open_shell": lambda engine: engine.open_shell(NOWHERE),
    "state": lambda engine: engine.state(NOWHERE),
    "commit": lambda engine: engine.commit(NOWHERE, "x", "1", {}, {}, "", pause=False),
    "tag": lambda engine: engine.tag("x:1", "x:2"),
    "untag": lambda engine: engine.untag("x:1"),
    "remove_container": lambda engine: engine.remove_container(NOWHERE),
    "containers": lambda engine: engine.containers({}),
    "changes": lambda engine: engine.changes(NOWHERE),
    "missing_paths": lambda engine: engine.missing_paths("x:1", ["/x"]),
    "without_volumes": lambda engine: engine.without_volumes("x:1", {}),
    "export": lambda engine: list(engine.export("x:1")),
    "save": lambda engine: list(engine.save([NOWHERE])),
    "ensure_volume": lambda engine: engine.ensure_volume("x", {}),
    "volumes": lambda engine: engine.volumes({}),
    "volume_path": lambda engine: engine.volume_path("x"),
    "remove_volume": lambda engine: engine.remove_volume("x"),
    "disk_free_bytes": lambda engine: engine.disk_free_bytes(),
    "sized": lambda engine: engine.sized("x:1"),
    "rootfs_bytes": lambda engine: engine.rootfs_bytes("x:1"),
    "layers_max": lambda engine: engine.layers_max(),
}
"""Each call of the engine, about things that are not there."""


def test_the_table_of_calls_is_whole():
    """A call that is added to the interface gets its tests."""
    from stalker.engine.interface import Engine

    promised = {name for name in vars(Engine) if not name.startswith("_")}

    assert promised - {"close"} == set(CALLS)


@pytest.fixture(params=["fake", pytest.param("docker", marks=pytest.mark.docker)])
def gone(request, tmp_path):
    """An engine that does not answer."""
    if request.param == "fake":
        engine = FakeEngine()
        engine.is_gone = True
        return engine
    return DockerEngine(http.Address(f"unix://{tmp_path}/no.sock"))


@pytest.mark.parametrize("call", CALLS)
def test_every_call_says_that_there_is_no_engine(gone, call):
    """Whatever was under way when the engine went, the exit code is 3."""
    with pytest.raises(NoEngine) as caught:
        CALLS[call](gone)

    assert caught.value.exit_code == 3
    assert caught.value.brief


ABOUT_NOTHING = [
    *("create", "start", "put", "exec", "open_shell", "state", "commit", "tag", "changes"),
    *("missing_paths", "without_volumes", "export", "save", "remove_volume"),
]


@pytest.mark.parametrize("call", ABOUT_NOTHING)
def test_what_is_not_there_is_told_as_that(world, call):
    """An unknown image or container is not a riddle in the engine's words."""
    with pytest.raises(NotThere):
        CALLS[call](world.engine)


def test_removing_what_is_not_there_is_no_error(world):
    """Clean-up may run twice."""
    world.engine.untag(world.name())
    world.engine.remove_container(NOWHERE)

    assert world.engine.image(world.name()) is None


def test_an_engine_says_who_it_is(world):
    """Two calls name the same engine."""
    first, second = world.engine.info(), world.engine.info()

    assert first == second
    assert first.id
    assert first.os == "linux"
    assert first.cpus >= 1


def test_free_space_is_a_number_or_unknown(world):
    """What this host cannot see is None, never 0."""
    free = world.engine.disk_free_bytes()

    assert free is None or free > 0


# Images


def test_an_imported_root_file_system_can_run(world):
    """It has a PATH, and /bin/sh as its command; labels and comment are as given."""
    name = world.name()

    image = world.engine.import_rootfs([one_file("etc/hello", b"hi")], name, {"a.b": 'c "d"'}, "from a test")

    assert name in image.tags
    assert image.config["Cmd"] == ["/bin/sh"]
    assert any(entry.startswith("PATH=/") for entry in image.config["Env"])
    assert image.labels == {"a.b": 'c "d"'}
    assert image.comment == "from a test"
    assert "etc/hello" in names_in(world.engine, image.id)


@pytest.mark.parametrize(
    ("platform", "architecture"),
    [("linux/arm/v7", "arm"), ("linux/arm64", "arm64"), ("linux/riscv64", "riscv64")],
)
def test_an_imported_root_file_system_has_the_platform_it_was_made_for(world, platform, architecture):
    """So has what is committed on it; its labels, comment and content are as without."""
    name = world.name()

    image = world.engine.import_rootfs(
        [one_file("etc/hello", b"hi")], name, {"a.b": 'c "d"'}, "from a test", platform
    )
    container = world.container(image.id, platform=platform, start=False)
    grown = world.engine.image(world.commit(container, world.name()))
    world.container(grown.id, platform=platform, start=False)

    assert image.architecture == grown.architecture == architecture
    assert str(platform_of(image)) == str(platform_of(grown)) == platform
    assert image.tags == (name,)
    assert image.labels == {"a.b": 'c "d"'}
    assert image.comment == "from a test"
    assert image.config["Cmd"] == ["/bin/sh"]
    assert image.layers == 1
    assert "etc/hello" in names_in(world.engine, image.id)
    assert world.engine.image(name).id == image.id


def test_a_compressed_root_file_system_is_the_same(world):
    """A tarball is imported as it was downloaded."""
    packed = gzip.compress(one_file("etc/hello", b"hi"))

    image = world.engine.import_rootfs([packed[:20], packed[20:]], world.name(), {}, "")

    assert "etc/hello" in names_in(world.engine, image.id)


def test_an_image_is_found_by_name_and_by_id(world):
    """Both ways lead to the same image; an unknown one is None."""
    by_name = world.engine.image(world.base)

    assert world.engine.image(by_name.id) == by_name
    assert world.engine.image(world.name()) is None
    assert world.engine.image("sha256:" + "0" * 64) is None


def test_a_tag_is_moved_to_another_image(world):
    """A name points at one image; the one it pointed at loses it."""
    name = world.name()
    first = world.engine.import_rootfs([one_file("a", b"1")], name, {}, "")
    second = world.engine.import_rootfs([one_file("a", b"2")], world.name(), {}, "")

    world.engine.tag(second.id, name)

    assert world.engine.image(name).id == second.id
    kept = world.engine.image(first.id)
    assert kept is None or name not in kept.tags


def test_an_image_goes_with_its_last_name(world):
    """One name less leaves the image, the last one takes it along."""
    name, other = world.name(), world.name()
    image = world.engine.import_rootfs([one_file("a", b"")], name, {}, "")
    world.engine.tag(image.id, other)

    world.engine.untag(name)
    assert world.engine.image(image.id).tags == (other,)
    world.engine.untag(other)

    assert world.engine.image(image.id) is None


def test_an_image_that_another_grows_on_stays(world):
    """Taking the name of a step's image leaves what grew on it whole."""
    container = world.container()
    name = world.name()
    below = world.commit(container, name, {labels.VERSION: "1"})
    grown = world.container(below)
    world.write(grown, "/grown", "x")
    above = world.commit(grown, world.name(), {labels.VERSION: "1"})
    world.engine.remove_container(world.containers[-1])

    world.engine.untag(name)

    assert world.engine.image(name) is None
    assert world.engine.image(above).parent_id == below
    assert below in {image.id for image in world.engine.labelled_images()}


def test_an_untagged_image_is_removed_by_its_id(world):
    """What a killed run left half made has no name."""
    image = world.commit(world.container(), "", {labels.TEMPORARY: "x"})
    assert world.engine.image(image).tags == ()
    world.engine.remove_container(world.containers[-1])

    world.engine.untag(image)

    assert world.engine.image(image) is None


def test_labelled_images_are_listed_with_parents_and_without_strangers(world):
    """One call tells all that a plan has to know: ours, with what they grew on, tagged or not."""
    parent = world.engine.image(world.base).id
    untagged = world.commit(world.container(), "", {labels.VERSION: "1", labels.STEP: "a:b"})
    name = world.name()
    tagged = world.commit(world.container(untagged), name, {labels.VERSION: "1"})

    listed = {image.id: image for image in world.engine.labelled_images()}

    assert listed[untagged].labels[labels.STEP] == "a:b"
    assert listed[untagged].parent_id == parent
    assert listed[untagged].tags == ()
    assert listed[tagged].tags == (name,)
    assert listed[tagged].created_s >= listed[untagged].created_s
    assert parent not in listed
    world.engine.untag(name)


def test_a_build_takes_its_folder_as_a_stream(world):
    """A Dockerfile base is built under a name, with labels."""
    name, said = world.name(), []
    dockerfile = f"FROM {world.base}\nARG WHO\nRUN echo $WHO\n".encode()

    image = world.engine.build(
        [one_file("Dockerfile", dockerfile)], "Dockerfile", name, {"a": "b"}, {"WHO": "me"}, "", said.append
    )

    assert name in image.tags
    assert image.labels["a"] == "b"
    assert said


@pytest.mark.parametrize("call", ["registry_digest", "pull", "push"])
def test_a_registry_that_has_not_got_it_is_an_error_of_the_engine(world, call):
    """No name is made up, and none is left behind."""
    name = f"127.0.0.1:9/{world.name()}"
    arguments = {"registry_digest": (name,), "pull": (name, "", quiet), "push": (name, quiet)}[call]

    with pytest.raises(EngineError):
        getattr(world.engine, call)(*arguments)

    assert world.engine.image(name) is None


def test_missing_paths_are_those_that_are_in_no_layer(world):
    """A mount point that the image lacked is reported from one that it had."""
    assert world.engine.missing_paths(world.base, ["/etc", "/etc/passwd", "/none", "/etc/none/x"]) == [
        "/none",
        "/etc/none/x",
    ]


ASKS_FOR_VOLUMES = {
    "Cmd": ["c"],
    "Entrypoint": ["/bin/e"],
    "Env": ["PATH=/bin", "A=b"],
    "ExposedPorts": {"80/tcp": {}},
    "Healthcheck": {"Test": ["CMD", "true"], "Interval": 5000000000},
    "OnBuild": ["RUN true"],
    "Shell": ["/bin/sh", "-c"],
    "StopSignal": "9",
    "User": "root",
    "Volumes": {"/tmp": {}, "/var/lib/none": {}},
    "WorkingDir": "/tmp",
}


@pytest.fixture
def asking(world):
    """Give the id of an image of ours that asks for volumes and has a file below one."""
    container = world.container()
    world.write(container, "/tmp/base", "base")
    config = {**ASKS_FOR_VOLUMES, "Labels": {"theirs": "1"}}
    name, _, tag = world.name().rpartition(":")
    made = {labels.STEP: "a:b"}
    return world.engine.commit(container, name, tag, made, config, "from a test", pause=False)


@pytest.fixture(params=["takes", "refuses"])
def archives(request, monkeypatch):
    """An engine takes a configuration without its layers, or refuses it as containerd's store does."""
    if request.param == "refuses":
        monkeypatch.setattr(Configured, "archive", lambda _self, _name="": one_file("none", b""))


@pytest.mark.usefixtures("archives")
def test_an_image_without_volumes_is_the_same_in_all_else(world, asking):
    """Layers, platform and configuration; of our labels it has the given ones alone, and no name."""
    made = world.engine.without_volumes(asking, {labels.TEMPORARY: "x"})

    before, after = world.engine.image(asking), world.engine.image(made)
    kept = {name for name in ASKS_FOR_VOLUMES if name != "Volumes"}
    assert {name: after.config.get(name) for name in kept} == {name: before.config.get(name) for name in kept}
    assert not after.config.get("Volumes")
    # The base of these tests has a label of their session.
    assert {**after.labels, "session": ""} == {"theirs": "1", labels.TEMPORARY: "x", "session": ""}
    assert (after.tags, after.comment, after.parent_id) == ((), "", "")
    assert after.layers == before.layers
    assert (after.architecture, after.variant) == (before.architecture, before.variant)
    assert "tmp/base" in names_in(world.engine, made)
    assert before.config["Volumes"] == ASKS_FOR_VOLUMES["Volumes"]
    assert world.engine.without_volumes(asking, {labels.TEMPORARY: "x"}) == made
    world.engine.untag(made)


def test_an_image_without_volumes_keeps_its_platform(world):
    """An image of another architecture than the engine's stays that."""
    name = world.name()
    world.engine.import_rootfs([one_file("etc/hello", b"hi")], name, {}, "", "linux/arm/v7")

    made = world.engine.without_volumes(name, {})

    image = world.engine.image(made)
    assert str(platform_of(image)) == "linux/arm/v7"
    assert image.labels == {}
    world.engine.untag(made)


def test_what_is_written_where_an_image_asks_for_a_volume_is_committed(world, asking):
    """From a container of the image without volumes; the committed image asks for them again."""
    bare = world.engine.without_volumes(asking, {})
    container = world.container(bare)
    world.write(container, "/tmp/more", "more")

    config = world.engine.image(asking).config
    made = world.engine.commit(container, "", "", {labels.STEP: "a:c"}, config, "", pause=False)

    assert world.engine.image(made).config["Volumes"] == ASKS_FOR_VOLUMES["Volumes"]
    assert {"tmp/base", "tmp/more"} <= set(names_in(world.engine, made))
    world.engine.remove_container(container)
    world.engine.untag(made)
    world.engine.untag(bare)


def test_an_export_can_be_left_in_the_middle(world):
    """Who closes the stream leaves no container behind."""
    stream = world.engine.export(world.base)

    first = next(stream)
    stream.close()

    assert first
    base = world.engine.image(world.base).id
    assert [one for one in world.engine.containers({}) if one.image == base] == []


def test_a_path_below_a_file_is_not_there(world):
    """As one in a directory that is missing: both are not files of the container."""
    container = world.container()
    assert world.exec(container, "echo x >/f\n", FakeRun(writes={"/f": b"x\n"})).code == 0

    for path in ("/f/below", "/missing/below"):
        with pytest.raises(NotThere):
            list(world.engine.get(container, path))


def test_an_archive_of_images_has_each_of_their_layers(world):
    """By the digest of its content, as the image's configuration names it."""
    container = world.container()
    assert world.exec(container, "echo x >/f\n", FakeRun(writes={"/f": b"x\n"})).code == 0
    image = world.engine.image(world.commit(container))

    found = dict(layers_in(world.engine.save([image.id])))

    assert any(b"f" in listing for listing in found.values())
    if not isinstance(world.engine, FakeEngine):
        assert set(image.diff_ids) <= set(found)


def test_a_folder_of_a_container_comes_as_a_tar(world):
    """Under its last name, whether or not the container was ever started."""
    container = world.container()
    does = FakeRun(writes={"/srv/repo/Packages": b"one", "/srv/other": b"two"})
    script = "mkdir -p /srv/repo; printf one >/srv/repo/Packages; printf two >/srv/other\n"
    assert world.exec(container, script, does).code == 0
    image = world.commit(container)

    made = world.container(image, start=False)

    with tarfile.open(fileobj=io.BytesIO(b"".join(world.engine.get(made, "/srv/repo")))) as archive:
        files = {one.name: archive.extractfile(one).read() for one in archive if one.isreg()}
    assert files == {"repo/Packages": b"one"}


def test_a_folder_that_is_not_there_cannot_be_had(world):
    with pytest.raises(NotThere):
        list(world.engine.get(world.container(start=False), "/no/such: folder"))


# Containers


def test_a_created_container_runs_nothing_until_it_is_started(world):
    """Create and start are two acts."""
    container = world.container(start=False)

    before = world.engine.state(container).is_running
    world.engine.start(container)

    assert not before
    assert world.engine.state(container).is_running


def test_an_idle_container_has_written_nothing(world):
    """What idles in it leaves no trace in a layer."""
    container = world.container()

    is_podman = world.engine.info().kind == "Podman"
    assert world.engine.changes(container) == ([("C", "/etc")] if is_podman else [])
    most_bytes = 16384 if is_podman or world.engine.info().is_containerd else 0
    assert world.engine.state(container).writable_bytes <= most_bytes


def test_containers_are_found_by_all_of_their_labels(world):
    """An empty value asks for the label, any other one for the value too."""
    mark = uuid.uuid4().hex
    mine = world.container(labels={"a.mark": mark, "a.kind": "x"})
    world.container(labels={"a.mark": mark}, start=False)

    [found] = world.engine.containers({"a.mark": mark, "a.kind": ""})

    assert found.id == mine
    assert found.labels["a.kind"] == "x"
    assert found.name.startswith("contract-")
    assert found.image == world.engine.image(world.base).id
    assert found.state == "running"
    assert [one.state for one in world.engine.containers({"a.mark": mark})].count("created") == 1
    assert world.engine.containers({"a.mark": mark, "a.kind": "y"}) == []


def test_a_running_container_is_removed_at_once(world):
    """It is killed, not asked; a second removal is not an error."""
    container = world.container()

    world.engine.remove_container(container)
    world.engine.remove_container(container)

    with pytest.raises(NotThere):
        world.engine.state(container)


def test_a_container_stops_when_its_engine_object_is_closed(world):
    """So it does when the process ends in whatever way: what runs has an owner that lives."""
    with world.another_client() as client:
        spec = ContainerSpec(world.base, f"contract-{uuid.uuid4().hex[:8]}", {})
        ours, other, unstarted = (client.create(replace(spec, name=f"{spec.name}-{n}")) for n in range(3))
        world.containers += [ours, other, unstarted]
        for container in (ours, other):
            client.start(container)
        client.remove_container(other)
        before = world.engine.state(ours).is_running
    deadline_s = time.monotonic() + 30
    while world.engine.state(ours).is_running and time.monotonic() < deadline_s:
        time.sleep(0.02)  # the engine tells of it by nothing that this interface has

    assert before
    assert not world.engine.state(ours).is_running
    states = {one.id: one.state for one in world.engine.containers({})}
    assert (states[ours], states[unstarted]) == ("exited", "created")
    assert other not in states


def test_a_container_is_listed_with_when_it_was_created(world):
    """By the engine's clock, which is near ours."""
    mark = uuid.uuid4().hex
    world.container(labels={"a.mark": mark})

    [found] = world.engine.containers({"a.mark": mark})

    assert abs(found.created_s - time.time()) < 300


def test_changes_tell_added_from_changed(world):
    """A is new in the container, C was in the image."""
    container = world.container()
    world.write(container, "/new", "x")
    world.write(container, "/etc/passwd", "y")

    found = world.engine.changes(container)

    assert ("A", "/new") in found
    assert ("C", "/etc/passwd") in found


@pytest.mark.parametrize(
    ("path", "script"),
    [
        ("/srv/.wh.keep", ">/srv/.wh.keep"),
        ("/srv/a\nb", 'cd /srv; >"a\nb"'),
        ("/srv/fifo", "mkfifo /srv/fifo"),
        ("/srv/socket", "ln -s /srv/socket /dev/log; syslogd"),
    ],
    ids=["whiteout", "newline", "fifo", "socket"],
)
def test_changes_list_every_kind_of_file(world, path, script):
    """Those too that a commit takes for something else, such as `.wh.` names, or leaves out: sockets."""
    container = world.container()
    does = FakeRun(writes={path: b""})
    world.exec(container, f"mkdir -p /srv; {script}\n", does)

    assert ("A", path) in world.engine.changes(container)


@pytest.mark.docker
def test_changes_of_a_file_need_no_new_content(real):
    """Owner, mode or time are enough, of a directory owner or mode; what was deleted is listed as D."""
    engine, busybox = real
    world = World(engine, busybox, f"stalker-test/contract-{uuid.uuid4().hex[:8]}")
    made = "for d in mode owner time gone; do mkdir -p /srv/$d; touch /srv/$d.file; done; touch /srv/gone/x\n"
    script = """cd /srv
chmod 700 mode; chmod 700 mode.file; chown 7 owner; chown 7 owner.file
touch -d 2001-01-01 time; touch -d 2001-01-01 time.file; rm -r gone gone.file
"""
    try:
        assert world.exec(world.container(), made, FakeRun()).code == 0
        container = world.container(world.commit(world.containers[-1], world.name()))
        assert world.exec(container, script, FakeRun()).code == 0
        found = world.engine.changes(container)
    finally:
        for container in world.containers:
            engine.remove_container(container)
        remove_all_below(engine, world.prefix)

    # Podman sees the time of a directory and not its owner.
    directories = ["/srv/time"] if engine.info().kind == "Podman" else ["/srv/owner"]
    assert sorted(path for kind, path in found if kind == "C") == sorted(
        ["/srv", "/srv/mode", "/srv/mode.file", "/srv/owner.file", "/srv/time.file", *directories]
    )
    assert sorted(path for kind, path in found if kind == "D") == ["/srv/gone", "/srv/gone.file"]


def test_the_writable_layer_grows_with_what_is_written(world):
    """Its size decides whether the container serves the next step."""
    container = world.container()
    world.write(container, "/new", "x" * 5000)

    assert world.engine.state(container).writable_bytes >= 5000


def test_put_unpacks_with_owners_and_modes(world):
    """A file stands there as the archive has it."""
    container = world.container()

    world.engine.put(container, one_file("etc/put", b"\0\xff", 0o4750, (12, 34)))

    entry = names_in(world.engine, world.commit(container))["etc/put"]
    assert (entry.mode & 0o7777, entry.uid, entry.gid, entry.size) == (0o4750, 12, 34, 2)


# Programs


@pytest.mark.parametrize("code", [0, 1, 7, 125, 255])
def test_an_exit_code_comes_as_it_is(world, code):
    """Exit 7 is 7."""
    heard = world.exec(world.container(), f"exit {code}\n", FakeRun(code))

    assert heard.code == code


def test_stdout_and_stderr_come_apart_and_byte_for_byte(world):
    """Output need not be text."""
    script = "printf 'out\\000\\377\\n'; printf 'err\\n' >&2\n"

    heard = world.exec(world.container(), script, FakeRun(0, b"out\0\xff\n", b"err\n"))

    assert (heard.out, heard.err) == (b"out\0\xff\n", b"err\n")


def test_a_program_sees_the_environment_it_is_given(world):
    """Values come through whatever is in them."""
    value = "a 'b' \"c\" $d `e`\n\\f"

    heard = world.exec(world.container(), 'printf %s "$WHO"\n', FakeRun(0, b"@WHO"), {"WHO": value})

    assert heard.out.decode() == value


def test_a_program_runs_as_whom_and_where_it_is_told(world):
    """User and folder are those of the call."""
    container = world.container()
    world.engine.exec(container, ["/bin/mkdir", "-p", "-m", "777", "/entropy/plugins"], {}, quiet, user="0")
    does = FakeRun(0, b"@user @workdir")

    heard = world.exec(container, 'printf %s "$(id -u) $(pwd)"\n', does, user="7", workdir="/tmp")

    assert heard.out == b"7 /tmp"


def test_a_program_on_a_terminal_has_one_stream(world):
    """Its input, output and errors are the terminal; nothing comes as stderr."""
    script = "test -t 0 && test -t 1 && test -t 2 && echo all; echo error >&2; exit 3\n"

    heard = world.exec(world.container(), script, FakeRun(3, b"all\n", b"error\n"), tty=True)

    assert heard.code == 3
    assert (heard.out, heard.err) == (b"all\r\nerror\r\n", b"")


def test_a_program_without_a_terminal_has_none(world):
    """Neither of its streams is one."""
    script = "test -t 0 || test -t 1 || test -t 2 || echo none\n"

    assert world.exec(world.container(), script, FakeRun(0, b"none\n")).out == b"none\n"


def test_a_program_on_a_terminal_can_be_stopped(world):
    """It may wait for input for ever."""
    heard = world.exec(world.container(), "read line\n", FakeRun(None), tty=True, stop=lambda: True)

    assert heard.code is None


def test_output_of_a_terminal_comes_byte_for_byte(world):
    """What looks like the head of a frame is passed on as any other data, whatever its size."""
    data = b"\1\0\0\0\0\0\0\5x" * 30000
    piece = r"\001\000\000\000\000\000\000\005x" * 100
    script = f"i=0; while [ $i -lt 300 ]; do printf '{piece}'; i=$((i + 1)); done\n"

    heard = world.exec(world.container(), script, FakeRun(0, data), tty=True)

    assert heard.out == data


def test_a_program_that_is_stopped_gives_no_exit_code(world):
    """None comes back at once, and the container is still there to be removed."""
    container = world.container()
    asked = threading.Event()

    def stop():
        asked.set()
        return True

    heard = world.exec(container, "sleep 1000\n", FakeRun(None), stop=stop)

    assert asked.is_set()
    assert heard.code is None
    assert world.engine.state(container).is_running


def test_a_program_whose_container_dies_gives_no_exit_code(world):
    """Who removes a container ends what runs in it; nothing hangs."""
    container = world.container()
    is_on = threading.Event()

    def remove():
        is_on.wait(20)
        world.engine.remove_container(container)

    def stop():
        is_on.set()
        return False

    remover = threading.Thread(target=remove)
    remover.start()
    try:
        code = world.exec(container, "sleep 1000\n", FakeRun(None), stop=stop).code
    except NotThere:
        code = None
    finally:
        remover.join()

    assert code in {None, 137}


def test_a_program_is_fed_to_the_end_of_its_input(world):
    """Each byte arrives, and the end: what reads until then comes to its own end."""
    pieces = [bytes(range(256)) * 400, b"", memoryview(b"the end")]

    heard = world.exec(
        world.container(), "cat; echo over\n", FakeRun(0, b"over\n", echoes=True), stdin=pieces
    )

    assert heard.code == 0
    assert heard.out == b"".join(pieces) + b"over\n"


def test_an_input_of_nothing_is_at_its_end(world):
    """A program that reads it ends at once."""
    heard = world.exec(world.container(), "cat\n", FakeRun(echoes=True), stdin=[])

    assert (heard.code, heard.out) == (0, b"")


def test_a_program_that_writes_as_much_as_it_reads_does_not_wait_for_ever(world):
    """Input and output flow at the same time, whatever is larger than all buffers between."""
    piece = b"x" * 65536

    heard = world.exec(
        world.container(),
        "cat\n",
        FakeRun(echoes=True),
        stdin=(piece for _ in range(256)),
        stop=lambda: False,
    )

    assert heard.code == 0
    assert len(heard.out) == 256 * len(piece)


def test_a_program_may_end_before_it_has_read_all(world):
    """What it did not want is not sent, and its exit code is its own."""
    endless = (b"x" * 65536 for _ in range(2000))

    heard = world.exec(world.container(), "head -c 3; exit 4\n", FakeRun(4, b"xxx"), stdin=endless)

    assert (heard.code, heard.out) == (4, b"xxx")


def test_an_input_that_breaks_off_comes_out(world):
    """The error of who makes the input is the error of the call."""

    def broken():
        yield b"x"
        raise KeyError("broken")

    with pytest.raises(KeyError, match="broken"):
        world.exec(world.container(), "cat\n", FakeRun(), stdin=broken())


def test_a_program_that_does_not_read_can_be_stopped(world):
    """Neither a full pipe nor a program that sleeps keeps the caller."""
    pieces = (b"x" * 65536 for _ in range(200))

    heard = world.exec(world.container(), "sleep 1000\n", FakeRun(None), stdin=pieces, stop=lambda: True)

    assert heard.code is None


def test_a_shell_takes_programs_one_after_the_other(world):
    """Each runs by itself: its output is its own, and nothing of it stays in the shell."""
    container = world.container()
    shell = world.engine.open_shell(container)
    heard = []
    for script, does in (
        ("x=1; echo one; exit 3\n", FakeRun(3, b"one\n")),
        ("echo $x two\n", FakeRun(0, b"two\n")),
    ):
        payload = world.payload(script, does)
        one = Heard()
        report = Report(payload.nonce, one.take)
        assert shell.run(world.feed(payload), report.feed, lambda of=report: of.has_ended, lambda: False)
        heard.append((report.exit_code, one.out, one.err))
    shell.close()

    assert heard == [(3, b"one\n", b""), (0, b"two\n", b"")]


def test_a_shell_that_is_stopped_says_so(world):
    """Its container goes, as with any program that must end."""
    shell = world.engine.open_shell(world.container())
    payload = world.payload("sleep 1000\n", FakeRun(None))
    report = Report(payload.nonce, quiet)

    went_on = shell.run(world.feed(payload), report.feed, lambda: report.has_ended, lambda: True)
    shell.close()

    assert went_on is False
    assert report.exit_code is None


# Commits


def test_a_commit_holds_what_was_written_and_is_tagged_in_one_act(world):
    """The image is there under its name, with the container's files and the image it grew on."""
    container = world.container()
    world.write(container, "/new", "x")
    name = world.name()

    image = world.commit(container, name, {labels.STEP: "a:b"})

    found = world.engine.image(name)
    assert found.id == image
    assert found.comment == "contract"
    assert found.labels[labels.STEP] == "a:b"
    assert found.parent_id == world.engine.image(world.base).id
    assert found.layers == world.engine.image(world.base).layers + 1
    assert "new" in names_in(world.engine, image)


def test_a_comment_is_not_passed_on(world):
    """By its comment an image of ours is reported from what others make of it, also where its own parent is unknown."""
    name = world.name()
    world.commit(world.container(), name, {labels.STEP: "a:b"})
    container = world.container(name)
    world.write(container, "/theirs", "x")
    config = world.engine.image(name).config

    without_its_own = world.engine.commit(container, "", "", {}, config, "", pause=False)
    dockerfile = f'FROM {name}\nCMD ["theirs"]\n'.encode()
    built = world.engine.build(
        [one_file("Dockerfile", dockerfile)], "Dockerfile", world.name("2"), {}, {}, "", lambda _: None
    )

    assert world.engine.image(name).comment == "contract"
    assert world.engine.image(without_its_own).comment == ""
    assert built.comment != "contract"


def test_a_commit_keeps_the_configuration(world):
    """Entrypoint, command, environment, user and folder are the base's, not those of the idle process."""
    config = {
        **world.engine.image(world.base).config,
        "Entrypoint": ["/bin/e"],
        "Cmd": ["c"],
        "Env": ["PATH=/bin", "A=b"],
        "User": "nobody",
        "WorkingDir": "/tmp",
        "Labels": {"theirs": "1", labels.STEP: "old"},
    }
    container = world.container(labels={labels.RUN: "of the container"})

    made = {labels.STEP: "new", labels.RUN: "of the step"}
    image = world.engine.commit(container, "", "", made, config, "", pause=True)

    kept = world.engine.image(image).config
    kept["Env"] = [entry for entry in kept["Env"] if entry not in world.adds_to_env]
    assert {name: kept.get(name) for name in config if name != "Labels"} == {
        name: value for name, value in config.items() if name != "Labels"
    }
    # The base of these tests has a label of their session.
    assert {**world.engine.image(image).labels, "session": ""} == {"theirs": "1", **made, "session": ""}


def test_a_container_goes_on_after_a_commit(world):
    """The next step runs where the last one did."""
    container = world.container()
    world.write(container, "/one", "1")
    first = world.commit(container)
    world.write(container, "/two", "2")
    second = world.commit(container)

    assert "two" not in names_in(world.engine, first)
    assert {"one", "two"} <= set(names_in(world.engine, second))


# Volumes


def test_a_volume_is_made_once_and_found_by_its_labels(world):
    """Asking twice for a store gives the same one."""
    name = f"stalker-test-{uuid.uuid4().hex[:8]}"
    world.volumes.append(name)
    world.engine.ensure_volume(name, {"a.mark": name})
    world.engine.ensure_volume(name, {"a.mark": name})

    found = world.engine.volumes({"a.mark": name})
    world.engine.remove_volume(name)

    assert found == [name]
    assert world.engine.volumes({"a.mark": name}) == []


def test_a_file_in_a_volume_can_be_mounted_by_its_path(world):
    """A volume has a directory on the engine's host; without one of that name there is none."""
    name = f"stalker-test-{uuid.uuid4().hex[:8]}"
    world.volumes.append(name)
    world.engine.ensure_volume(name, {})

    assert world.engine.volume_path(name).startswith("/")
    with pytest.raises(NotThere):
        world.engine.volume_path("stalker-test-none")


def test_a_volume_outlives_the_containers_that_mount_it(world):
    """Stores are shared between runs; only what has no name goes with its container."""
    name = f"stalker-test-{uuid.uuid4().hex[:8]}"
    world.volumes.append(name)
    world.engine.ensure_volume(name, {"a.mark": name})
    container = world.container(mounts=(Mount("/store", "store", name, writable=True, place=PLACE),))

    world.engine.remove_container(container)

    assert world.engine.volumes({"a.mark": name}) == [name]


def test_what_is_in_a_volume_is_read_without_starting_anything(real):
    """A package repository in a store is read so, read-only, with nothing of the image running."""
    engine, busybox = real
    world = World(engine, busybox, f"stalker-test/contract-{uuid.uuid4().hex[:8]}")
    name = f"stalker-test-{uuid.uuid4().hex[:8]}"
    engine.ensure_volume(name, {})
    try:
        filled = world.container(mounts=(Mount("/store", "store", name, writable=True, place=PLACE),))
        world.write(filled, "/store/Packages", "one")
        engine.remove_container(filled)
        reader = world.container(
            start=False, mounts=(Mount("/store", "store", name, writable=False, place=PLACE),)
        )
        data = b"".join(engine.get(reader, "/store"))
    finally:
        for container in world.containers:
            engine.remove_container(container)
        engine.remove_volume(name)

    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        content = {name.partition("/")[2]: archive.extractfile(name) for name in archive.getnames()}
        assert content["Packages"].read() == b"one"


def test_an_engine_that_was_closed_answers_again(world):
    """To let go of connections is not the end."""
    world.engine.close()

    assert world.engine.info().id


def test_a_listing_and_an_engine_agree_on_sizes(world):
    """What a step wrote shows in its image's size, as the listing has it, and in that of its files."""
    container = world.container()
    world.exec(container, "head -c 3000000 /dev/urandom >/big\n", FakeRun(writes={"/big": b"x" * 3_000_000}))
    made = world.commit(container, world.name(), {labels.VERSION: "1"})

    listed = next(image for image in world.engine.labelled_images() if image.id == made)
    below = world.engine.sized(
        world.base if isinstance(world.engine, FakeEngine) else world.engine.image(world.base).id
    )

    assert world.engine.sized(made).size_bytes == listed.size_bytes
    if not isinstance(world.engine, FakeEngine):
        grown = world.engine.rootfs_bytes(made) - world.engine.rootfs_bytes(below.id)
        assert 3_000_000 <= grown < 3_100_000
        assert listed.size_bytes - below.size_bytes >= 3_000_000


def test_an_engine_takes_a_hundred_layers_at_least(world):
    assert world.engine.layers_max() >= 100
    assert world.engine.sized(NOWHERE) is None


def test_a_script_may_do_what_docker_lets_it(real):
    """Make a device node, as root of the engine's host; a user's own engine refuses that to all."""
    engine, busybox = real
    world = World(engine, busybox, f"stalker-test/contract-{uuid.uuid4().hex[:8]}")
    try:
        made = world.exec(world.container(), "mknod /null c 1 3 && [ -c /null ]\n", FakeRun())
    finally:
        for container in world.containers:
            engine.remove_container(container)

    assert (made.code == 0) is not engine.info().is_rootless, made.err
