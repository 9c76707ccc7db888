"""The straight way on further engines: run, resume, failure and repair, look, artifacts, prune; one tree, the same answers."""

from __future__ import annotations

import json
import subprocess
import tarfile
import time
import uuid

import pytest

from engines import rootfs
from further_engines import NAMES, new_base
from run_space import new_space
from stalker.engine.interface import ContainerSpec
from stalker.model import labels
from workspace import DEADLINE_S, busybox_rootfs

TREE = "trees/t/t.hjson"
STEPS = {
    "write": "echo one >/one; mkdir /d; chmod 750 /d; ln -s one /link; ln /one /hard",
    "more": "echo two >>/one; rm /hard; echo here >/place",
    "last": "cat /one /place >/all",
}


@pytest.fixture(scope="module", params=NAMES)
def further(request, further_of):
    """One of the further engines."""
    return further_of(request.param)


@pytest.fixture(scope="module")
def base(further):
    """A base that is the same image on every engine."""
    return new_base(further, rootfs())


@pytest.fixture
def space(tmp_path, further, base):
    """A workspace on a further engine, with one stalk."""
    with new_space(tmp_path, further, base, docker_host=further.address.url) as made:
        made.tree({"a": {}})
        made.stalk("a", STEPS)
        yield made


def run(space, *arguments):
    done = space.stalker("run", TREE, "--json", *arguments)
    return done, [f"{e['step']}:{e['state']}" for e in done.of("step_finished")]


def test_a_run_is_resumed_and_repaired(space):
    """What is there is not run again; a failed step says so, keeps its state, and the run goes on from before it."""
    done, steps = run(space)
    assert (done.code, steps) == (0, ["a:write:done", "a:more:done", "a:last:done"]), done.err
    assert run(space)[1] == []
    assert space.to_run() == {}

    space.stalk("a", {**STEPS, "last": "echo half >/half; exit 3"})
    done, steps = run(space)
    assert (done.code, steps) == (1, ["a:last:failed"])
    kept = space.engine.image(space.name("a:last.failed"))
    assert kept is not None
    assert kept.labels[labels.FAILED] == space.name("a:last")

    space.stalk("a", {**STEPS, "last": "cat /one >/all"})
    assert run(space)[1] == ["a:last:done"]
    space.stalk("a", {**STEPS, "more": "echo three >>/one", "last": "cat /one >/all"})
    assert set(space.to_run()) == {"a:more", "a:last"}
    assert space.containers() == []


def test_images_hold_what_the_steps_did_and_nothing_else(space):
    """Files, owners, modes, links; the configuration of the base; nothing that the engine lays over a container."""
    run(space)
    added = space.added("a:final")

    made = {
        path: entry
        for path, entry in added.items()
        if not path.startswith(("/dev", "/proc", "/sys", "/etc", "/run"))
    }
    assert {path: (entry.kind, entry.mode) for path, entry in made.items() if path != "/"} == {
        "/one": ("file", 0o644),
        "/d": ("folder", 0o750),
        "/link": ("link", 0o777),
        "/place": ("file", 0o644),
        "/all": ("file", 0o644),
    }
    assert made["/all"].content == b"one\ntwo\nhere\n"
    config = space.engine.image(space.name("a:final")).config
    assert config["Cmd"] == ["/bin/sh"]
    assert not config.get("Entrypoint")


def test_fingerprints_are_those_of_every_engine(space, engine, tmp_path):
    """One tree on one base: the host's engine gives each step the fingerprint that a further one gives it."""

    def fingerprints(where):
        done = where.stalker("plan", TREE, "--json")
        return {step["step"]: step["fingerprint"] for step in json.loads(done.out)["steps"]}

    here = new_base(engine, rootfs())
    (tmp_path / "here").mkdir()
    with new_space(tmp_path / "here", engine, here) as own:
        own.arch, own.subarch = space.arch, space.subarch
        own.tree({"a": {}})
        own.stalk("a", STEPS)
        expected = fingerprints(own)
    engine.untag(here)

    found = fingerprints(space)

    assert all(found.values())
    assert found == expected


def test_images_are_listed_compared_exported_and_removed(space, tmp_path):
    """`images` knows what each step adds, `diff` the paths, `export` leaves nothing of the engine in the tar."""
    space.stalk("a", {**STEPS, "last": "head -c 4000000 /dev/urandom >/big"})
    run(space)

    listed = json.loads(space.stalker("images", TREE, "--json").out)
    own = {row["name"].rpartition(":")[2]: row["own_bytes"] for row in listed if row["kind"] == "step"}
    assert own["write"] < 1_000_000
    assert own["more"] < 1_000_000
    assert 3_900_000 < own["last"] < 9_000_000

    compared = space.stalker("diff", "a:write", "a:more", "--tree", TREE)
    assert compared.code in {0, 1}, compared.err
    assert "/place" in compared.out
    assert "/hard" in compared.out
    assert ".containerenv" not in compared.out

    tar = tmp_path / "a.tar"
    assert space.stalker("export", "a:final", "-o", str(tar), "--tree", TREE).code == 0
    with tarfile.open(tar) as archive:
        names = {name.lstrip("./") for name in archive.getnames()}
    assert {"big", "place", "bin/busybox"} <= names
    assert not names & {".dockerenv", "run/.containerenv", "etc/hosts", "etc/resolv.conf", "etc/hostname"}

    pruned = space.stalker("prune", TREE, "--yes")
    assert pruned.code == 0, pruned.err
    assert space.image("a:final") is None
    assert space.engine.image(space.base) is not None


def test_what_stalker_did_not_make_stays(space):
    """Images of others and their containers, on each engine and through a run with leftovers to sweep and a prune."""
    run(space)
    theirs = new_base(space.engine, rootfs({"etc/theirs": b"x"}))

    run(space, "--no-cache")
    assert space.stalker("prune", TREE, "--yes", "--bases").code == 0

    assert space.engine.image(theirs) is not None
    assert space.engine.image(space.base) is not None
    space.engine.untag(theirs)


def test_what_others_made_of_a_step_is_never_its_work(space):
    """Not even under the name of the step, and when the step's own image is gone."""
    run(space)
    name = space.name("a:more")
    config = space.engine.image(name).config
    container = space.engine.create(ContainerSpec(name, f"stalker-test-{uuid.uuid4().hex[:8]}", {}))
    space.engine.put(container, busybox_rootfs({"theirs": b"x"}))
    repository, _, tag = name.rpartition(":")
    theirs = space.engine.commit(container, repository, tag, {}, config, "", pause=False)
    space.engine.remove_container(container)
    kept = f"stalker-test/theirs-{uuid.uuid4().hex[:8]}:1"
    space.engine.tag(theirs, kept)

    assert run(space)[0].code == 0
    own = space.id("a:more")
    assert own != theirs
    # Podman removes it; where an engine refuses to, as theirs grows on it, the next run finds it again.
    remove = ["docker", "--host", space.docker_host, "rmi", "-f", own]
    subprocess.run(remove, capture_output=True, check=False)
    space.engine.tag(theirs, name)
    space.stalk("a", {**STEPS, "last": "ls / >/all"})
    assert run(space)[0].code == 0
    assert space.id("a:more") != theirs
    assert "/theirs" not in space.files("a:final")

    assert space.stalker("prune", TREE, "--yes").code == 0
    assert space.engine.image(theirs) is not None
    space.engine.untag(kept)


def test_a_killed_run_is_swept_by_the_next_and_a_live_one_is_left_alone(space):
    """The container of a run that is alive stays, whoever looks; that of one that was killed goes."""
    space.tree({"a": {}, "b": {}})
    space.stalk("b", {"wait": "echo up >/up; sleep 100"})
    running = space.start("run", TREE, "--only", "b:wait")
    end_s = time.monotonic() + DEADLINE_S
    while not (up := [one for one in space.containers() if one.state == "running"]):
        assert time.monotonic() < end_s
        assert running.poll() is None
        time.sleep(0.1)

    assert run(space, "--until", "a:last")[1] == ["a:write:done", "a:more:done", "a:last:done"]
    assert {one.id for one in up} <= {one.id for one in space.containers() if one.state == "running"}

    running.kill()
    running.communicate()
    while any(one.state == "running" for one in space.containers()):
        assert time.monotonic() < end_s
        time.sleep(0.1)
    done, _ = run(space, "--until", "a:last")
    assert done.code == 0, done.err
    assert space.containers() == []


def test_a_disk_of_a_step_is_made(space):
    """A tar of its files, and an ext4 that is as large as they need."""
    artifacts = {"root": {"rootfs": "root.tar"}}
    # The tools of a disk write through a mount, and a user's own engine has no access to what root's tests make.
    has_access = not space.engine.info().is_rootless
    if has_access:
        artifacts["card"] = {"disk": "card.img", "partitions": {"root": {"filesystem": "ext4", "from": "/"}}}
    space.tree({"a": {"artifacts": artifacts}})

    done, _ = run(space)

    assert done.code == 0, done.err
    with tarfile.open(space.path / "artifacts/t/a/root/root.tar") as archive:
        assert b"here" in archive.extractfile("place").read()
    if not has_access:
        return
    looked = space.stalker("image", "info", str(space.path / "artifacts/t/a/card/card.img"))
    assert looked.code == 0, looked.err
    assert "ext4" in looked.out
