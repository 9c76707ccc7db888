"""`images`, `diff`, `export` and `prune` on a real engine."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from run_space import docker, listing
from unit.helpers.tars import device, folder, hard_link, link, make_tar, member, read_tar
from workspace import DEADLINE_S

if TYPE_CHECKING:
    from collections.abc import Iterator

    from run_space import Space
    from stalker.engine.docker.adapter import DockerEngine

pytestmark = pytest.mark.docker

TREE = "trees/t/t.hjson"
CAPABILITY = {"SCHILY.xattr.security.capability": "\x01\x00\x00\x02\x00 " + "\x00" * 14}
RSS_MAX_KB = 120 << 10


@contextlib.contextmanager
def imported(engine: DockerEngine, space: Space, data: bytes) -> Iterator[str]:
    """Give the name of an image of these files; it is removed at the end."""
    name = f"{space.prefix}/imported:1"
    engine.import_rootfs([data], name, {}, "")
    try:
        yield name
    finally:
        engine.untag(name)


def export(space: Space, ref: str, name: str, *more: str, **environ: str) -> Path:
    done = space.stalker("export", ref, "-o", name, *more, **environ)
    assert done.code == 0, done.err
    return space.path / name


def containers_of(image: str) -> list[str]:
    return docker("ps", "-aq", "--filter", f"ancestor={image}").stdout.split()


def test_all_that_a_file_system_can_hold_comes_out_as_it_went_in(workspace, engine):
    """Capabilities, devices, hard links, long names and names that are not UTF-8."""
    own = [
        folder("bin"),
        (member("bin/ping", mode=0o755, pax_headers=CAPABILITY), b"\x7fELF" * 1000),
        (member("bin/su", mode=0o4755), b"su"),
        hard_link("bin/zsu", "bin/su", mode=0o4755),
        folder("boot", mode=0o700),
        folder("srv", uid=1000, gid=50),
        (member("srv/caf\udce9\udcff", mtime=86400), b"latin"),
        (member("srv/" + "long" * 40, uid=3_000_000), b"long"),
        link("srv/away", "/nowhere/" + "x" * 120, mode=0o777),
        device("srv/null"),
        member("srv/pipe", type=tarfile.FIFOTYPE),
        folder("tmp", mode=0o1777),
    ]

    with imported(engine, workspace, make_tar(*own)) as name:
        found = read_tar(export(workspace, name, "r.tar").read_bytes())

    assert {path: what for path, what in found.items() if path not in {"dev", "etc", "proc", "sys"}} == (
        read_tar(make_tar(*own))
    )
    assert {"dev", "proc", "sys"} <= found.keys()
    assert found.keys().isdisjoint({".dockerenv", "dev/pts"})
    assert found.keys().isdisjoint({"etc/hosts", "etc/hostname", "etc/resolv.conf", "etc/mtab"})


def test_a_step_exports_what_docker_exports_without_its_stubs(workspace, engine):
    workspace.tree({"s": {}})
    workspace.stalk("s", {"a": f"echo {workspace.prefix} > /a; mkdir -p /x/y", "b": "echo 2 > /x/y/b; rm /a"})
    assert workspace.stalker("run", TREE).code == 0
    stubs = {"/.dockerenv", "/etc/hosts", "/etc/hostname", "/etc/resolv.conf", "/etc/mtab"}
    theirs = {
        path
        for path in listing(engine, workspace.id("s:b"))
        if path not in stubs and not path.startswith("/dev/")
    }

    path = export(workspace, "s", "r.tar", "--tree", TREE)

    assert {f"/{name}" for name in read_tar(path.read_bytes())} == theirs
    assert "/x/y/b" in theirs


@pytest.mark.parametrize("ending", ["tar", "tar.gz", "tar.xz"])
def test_the_same_image_gives_the_same_bytes(workspace, engine, ending):
    """Docker stamps each container that it exports; that does not show."""
    with imported(engine, workspace, make_tar(folder("etc", mtime=5), ("etc/a", b"1"))) as name:
        first = export(workspace, name, f"1.{ending}").read_bytes()
        before = time.time()
        while int(time.time()) == int(before):
            time.sleep(0.05)  # a stamp has whole seconds
        second = export(workspace, name, f"2.{ending}").read_bytes()

    assert first == second


def test_boot_and_root_are_split_in_one_pass(workspace):
    workspace.tree({"s": {}})
    workspace.stalk(
        "s", {"a": "mkdir -p /boot/overlays; echo k > /boot/kernel; echo o > /boot/overlays/o; echo r > /r"}
    )
    assert workspace.stalker("run", TREE).code == 0

    root = export(workspace, "s:a", "r.tar", "--boot", "b.tar.gz", "--tree", TREE, SOURCE_DATE_EPOCH="77")

    with tarfile.open(workspace.path / "b.tar.gz") as archive:
        boot = {one.name: one.mtime for one in archive}
    found = read_tar(root.read_bytes())
    assert boot == {".": 77, "kernel": 77, "overlays": 77, "overlays/o": 77}
    assert [name for name in found if name.startswith("boot")] == ["boot"]
    assert found["r"][-1] == b"r\n"
    assert max(what[4] for what in found.values()) == 77


def test_stdout_takes_a_tar(workspace):
    with subprocess.Popen(
        workspace.command("export", workspace.base, "-o", "-"),
        cwd=workspace.path,
        env=workspace.environ(),
        stdout=subprocess.PIPE,
    ) as running:
        assert running.stdout is not None
        data = running.stdout.read()

    assert running.returncode == 0
    assert "bin/busybox" in read_tar(data)


@pytest.fixture(scope="module")
def large_space(shared_space) -> Space:
    """A workspace with an image of 400 MB."""
    space = shared_space()
    space.tree({"big": {}})
    space.stalk(
        "big", {"a": "dd if=/dev/urandom of=/r bs=1M count=40; dd if=/dev/zero of=/z bs=1M count=360"}
    )
    assert space.stalker("run", TREE).code == 0
    return space


def started(space: Space, *arguments: str) -> subprocess.Popen[bytes]:
    """Start an export and return when it is writing."""
    running = subprocess.Popen(
        space.command("export", *arguments), cwd=space.path, env=space.environ(), stderr=subprocess.DEVNULL
    )
    end_s = time.monotonic() + DEADLINE_S
    while time.monotonic() < end_s and running.poll() is None:
        with contextlib.suppress(OSError):
            for one in Path(f"/proc/{running.pid}/fd").iterdir():
                if os.readlink(one).startswith(f"{space.path}/") and one.stat().st_size > 1 << 20:
                    return running
        time.sleep(0.01)
    raise AssertionError("it never wrote")


@pytest.mark.parametrize("name", ["r.tar", "r.tar.gz"])
@pytest.mark.parametrize("was_there", [True, False])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_leaves_all_as_it_was(large_space, name, was_there, number):
    """No half file, no temporary one, no container; an older file is still whole."""
    large, name = large_space.name("big:a"), f"{was_there}-{number}-{name}"
    if was_there:
        (large_space.path / name).write_bytes(b"old")
    before = sorted(os.listdir(large_space.path))
    running = started(large_space, large, "-o", name)

    running.send_signal(number)

    assert running.wait(DEADLINE_S) == 130
    assert sorted(os.listdir(large_space.path)) == before
    assert not was_there or (large_space.path / name).read_bytes() == b"old"
    assert containers_of(large) == []


def test_ctrl_c_ends_a_diff_at_once(large_space):
    large = large_space.name("big:a")
    running = subprocess.Popen(
        large_space.command("diff", large_space.base, large), cwd=large_space.path, env=large_space.environ()
    )
    end_s = time.monotonic() + DEADLINE_S
    while not containers_of(large) and time.monotonic() < end_s:
        time.sleep(0.01)

    running.send_signal(signal.SIGINT)

    assert running.wait(DEADLINE_S) == 130
    assert containers_of(large) == []


def test_a_kill_leaves_no_file(large_space):
    large = large_space.name("big:a")
    before = sorted(os.listdir(large_space.path))
    running = started(large_space, large, "-o", "killed.tar")

    running.kill()
    running.wait(DEADLINE_S)

    assert sorted(os.listdir(large_space.path)) == before
    docker("rm", "-f", *containers_of(large))


@pytest.mark.parametrize("arguments", [["export", "{large}", "-o", "r.tar"], ["diff", "{base}", "{large}"]])
def test_memory_stays_flat(large_space, arguments):
    """What is read and written is 400 MB, what is held of it at any time is a few chunks."""
    argv = [word.format(large=large_space.name("big:a"), base=large_space.base) for word in arguments]
    # A child's peak counts what it was forked from, so a small process starts it, not this one.
    small = (
        "import resource, subprocess, sys; "
        "code = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL).returncode; "
        "print(code, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    done = subprocess.run(
        [sys.executable, "-c", small, *large_space.command(*argv)],
        cwd=large_space.path,
        env=large_space.environ(),
        capture_output=True,
        text=True,
        check=True,
    )

    code, peak_kb = map(int, done.stdout.split())
    assert code == 0
    assert peak_kb < RSS_MAX_KB


# diff and images


def test_diff_tells_what_a_step_did(workspace):
    workspace.tree({"s": {}})
    workspace.stalk(
        "s",
        {
            "a": "echo 1 > /same; echo old > /text; echo m > /mode; ln -s a /link; ln /same /hard",
            "b": "echo newer > /text; chmod 700 /mode; ln -sfn b /link; rm /hard; mkdir /d; touch /same",
        },
    )
    assert workspace.stalker("run", TREE).code == 0

    done = workspace.stalker("diff", "s:a", "s:b", "--tree", TREE)

    assert [" ".join(line.split()) for line in done.out.splitlines()] == [
        "A folder /d",
        "D 2 B /hard",
        "C link /link (target a -> b)",
        "C 2 B /mode (mode 0644 -> 0700)",
        "C 4 B -> 6 B /text",
    ]


def test_images_lists_what_a_run_left(workspace):
    workspace.tree({"s": {"t": {}}})
    workspace.stalk("s", {"a": f"echo {workspace.prefix}; dd if=/dev/zero of=/z bs=1k count=100"})
    workspace.stalk("t", {"b": "exit 3"})
    assert workspace.stalker("run", TREE).code == 1

    done = workspace.stalker("images", TREE, "--json")

    rows = {row["name"].removeprefix(f"{workspace.prefix}/"): row for row in json.loads(done.out)}
    assert list(rows) == ["s:initial", "s:a", "s:final", "t:initial", "t:b.failed"]
    assert rows["s:a"]["own_bytes"] == 102400
    assert rows["t:b.failed"]["failed"]
    assert rows["s:final"]["fingerprint"] == rows["s:a"]["fingerprint"] != ""


# prune


def names_of(space: Space) -> set[str]:
    lines = docker("images", "--format", "{{.Repository}}:{{.Tag}}").stdout.split()
    return {line.removeprefix(f"{space.prefix}/") for line in lines if line.startswith(f"{space.prefix}/")}


def ids_of(space: Space) -> set[str]:
    return {
        row["id"] for row in json.loads(space.stalker("images", TREE, "--json").out) if row["kind"] != "base"
    }


def built_twice(space: Space) -> None:
    space.tree({"s": {"t": {}}})
    space.stalk("t", {"c": "echo c > /c"})
    for number in (1, 2):
        # Equal work is shared by all trees of an engine, and here each test counts its own.
        space.stalk("s", {"a": f"echo {number} {space.prefix} > /a", "b": "echo b > /b"})
        assert space.stalker("run", TREE).code == 0


def test_prune_takes_old_builds_then_all(workspace, engine):
    """--keep 1 leaves what has a name; without it the tree's images go and its base stays."""
    built_twice(workspace)
    names = names_of(workspace)
    every = ids_of(workspace)

    first = workspace.stalker("prune", TREE, "--keep", "1", "--yes")
    left = ids_of(workspace)
    after_first = names_of(workspace)
    plan_still_reuses = set(workspace.to_run())
    second = workspace.stalker("prune", TREE, "--yes")

    assert (first.code, second.code) == (0, 0), first.err + second.err
    assert (len(every), len(left)) == (6, 3)
    assert after_first == names
    assert plan_still_reuses == set()
    assert ids_of(workspace) == set()
    assert names_of(workspace) == set()
    assert all(engine.image(one) is None for one in every)
    assert engine.image(workspace.base) is not None


def test_prune_leaves_what_others_made_of_it(workspace, engine):
    """A build on top and a name of somebody else stay, and their layers with them."""
    built_twice(workspace)
    mine, theirs = f"{workspace.prefix}-mine:1", f"{workspace.prefix}-theirs:1"
    engine.tag(workspace.id("t:c"), mine)
    context = io.BytesIO()
    with tarfile.open(fileobj=context, mode="w") as archive:
        text = f"FROM {workspace.name('s:a')}\nRUN echo more > /more\n".encode()
        info = tarfile.TarInfo("Dockerfile")
        info.size = len(text)
        archive.addfile(info, io.BytesIO(text))
    engine.build([context.getvalue()], "Dockerfile", theirs, {}, {}, "", lambda _line: None)

    done = workspace.stalker("prune", TREE, "--yes")

    try:
        assert done.code == 0, done.err
        assert names_of(workspace) == set()
        assert "which stalker did not make" in done.out
        assert "/more" in listing(engine, theirs)
        assert "/c" in listing(engine, mine)
    finally:
        engine.untag(theirs)
        engine.untag(mine)


def test_prune_does_not_take_along_an_untagged_base(workspace, engine):
    """`debian:bookworm` was pulled again: the old one has no name left and is not ours to remove."""
    base = f"{workspace.prefix}-base:1"
    old = engine.import_rootfs(engine.export(workspace.base), base, {}, "").id
    workspace.tree({"s": {"base": {"tag": base}}})
    workspace.stalk("s", {"a": f"echo {workspace.prefix} > /a"})
    assert workspace.stalker("run", TREE).code == 0
    engine.untag(workspace.name("s:initial"))
    engine.import_rootfs([make_tar(folder("bin"))], base, {}, "")

    done = workspace.stalker("prune", TREE, "--yes")

    try:
        assert done.code == 0, done.err
        assert names_of(workspace) == set()
        assert engine.image(old) is not None
        assert docker("ps", "-aq", "--filter", "name=stalker-prune").stdout == ""
    finally:
        engine.untag(base)
        engine.untag(old)


def test_prune_keeps_what_a_container_uses(workspace, engine):
    built_twice(workspace)
    made = docker("create", workspace.name("s:b"), "true").stdout.strip()

    done = workspace.stalker("prune", TREE, "--yes")

    try:
        assert done.code == 0, done.err
        assert {"s:a", "s:b"} <= names_of(workspace), done.out + done.err
        assert "t:c" not in names_of(workspace)
        assert "uses it" in done.out
    finally:
        engine.remove_container(made)
