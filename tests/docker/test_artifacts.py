"""Artifacts on a real engine: made, proven, published, damaged, killed, and told."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import tarfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from engines import has_to_be_there
from kernels import kernel_for
from run_space import docker
from unit.helpers.tars import device, folder, hard_link, link, make_tar, member, read_tar
from workspace import DEADLINE_S

if TYPE_CHECKING:
    from collections.abc import Iterator

    from run_space import Space
    from workspace import Done

pytestmark = pytest.mark.docker

TREE = "trees/t/t.hjson"
BOOT_S = 240
"""A kernel in an emulator on a busy machine takes its time."""

CAPABILITY = {"SCHILY.xattr.security.capability": "\x01\x00\x00\x02\x00 " + "\x00" * 14}


def given(space: Space, artifacts: dict[str, Any], script: str = "", **more: Any) -> None:
    """Write a tree of one stalk that publishes these; its work is shared with no other test."""
    space.tree({"s": {"artifacts": artifacts}}, **more)
    space.stalk("s", {"a": f"echo {space.prefix} > /mine; {script or 'true'}"})


def run(space: Space, *arguments: str, **environ: str) -> Done:
    return space.stalker("run", TREE, *arguments, **environ)


def run_long(space: Space) -> tuple[int, str]:
    """Run what boots a machine; return the exit code and what was reported."""
    running = space.start("run", TREE)
    try:
        told = running.communicate(timeout=BOOT_S)[1]
    finally:
        running.kill()
    return running.returncode, told


def published(space: Space, name: str = "root") -> Path:
    return space.path / "artifacts/t/s" / name


def names(space: Space) -> list[str]:
    try:
        return sorted(os.listdir(space.path / "artifacts/t/s"))
    except FileNotFoundError:
        return []


def artifact_verdicts(space: Space) -> dict[str, tuple[str, str]]:
    done = space.stalker("plan", TREE, "--json")
    return {one["artifact"]: (one["verdict"], one["reason"]) for one in json.loads(done.out)["artifacts"]}


def states(space: Space, *arguments: str) -> dict[str, str]:
    done = space.stalker("artifacts", TREE, "--json", *arguments)
    return {one["artifact"]: one["state"] for one in json.loads(done.out)}


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_root_file_system_leaves_the_engine(workspace):
    """With checksum and manifest, under a name that stays."""
    writes = {"/etc/hostname": "pi\n", "/etc/hosts": "127.0.0.1 localhost\n"}
    given(workspace, {"root": {"rootfs": "root.tar.gz", "write": writes}})

    done = run(workspace)

    assert done.code == 0, done.err
    with tarfile.open(published(workspace) / "root.tar.gz") as archive:
        files = {one.name: one for one in archive}
        assert archive.extractfile("etc/hostname").read() == b"pi\n"
    assert "etc/resolv.conf" not in files
    assert ".dockerenv" not in files
    checked = subprocess.run(
        ["sha256sum", "-c", "root.tar.gz.sha256"], cwd=published(workspace), capture_output=True, check=False
    )
    assert checked.returncode == 0
    manifest = json.loads((published(workspace) / "manifest.json").read_bytes())
    assert manifest["step"] == "s:a"
    assert manifest["image"] == workspace.id("s:a")
    assert manifest["made_of"]["bases"][0]["image"] == workspace.engine.image(workspace.base).id
    assert TREE in manifest["made_of"]["files"]
    assert "s/root  published in" in done.err


def test_a_bill_of_materials_is_published_with_its_image(workspace):
    """The same as `stalker sbom` writes, also of packages whose list is left out; dropped and added by a new version."""
    script = (
        "mkdir -p /var/lib/dpkg; printf 'Package: tool\\nStatus: install ok installed\\nVersion: 1.0\\n"
        "Architecture: all\\n' >/var/lib/dpkg/status; echo 'ID=debian' >/etc/os-release"
    )
    root = {"rootfs": "root.tar.gz", "exclude": "/var/lib/dpkg"}
    given(workspace, {"root": {**root, "sbom": ["cyclonedx", "spdx"]}}, script)

    done = run(workspace)

    assert done.code == 0, done.err
    manifest = json.loads((published(workspace) / "manifest.json").read_bytes())
    assert {one["name"]: one["sha256"] for one in manifest["files"]} == {
        name: sha256(published(workspace) / name)
        for name in ("root.tar.gz", "root.cdx.json", "root.spdx.json")
    }
    bill = json.loads((published(workspace) / "root.cdx.json").read_bytes())
    assert [one["purl"] for one in bill["components"] if "purl" in one] == [
        "pkg:deb/debian/tool@1.0?arch=all&distro=debian"
    ]
    for ending in ("cdx.json", "spdx.json"):
        written = workspace.path / f"by_hand.{ending}"
        assert workspace.stalker("sbom", str(published(workspace)), "-o", str(written)).code == 0
        assert written.read_bytes() == (published(workspace) / f"root.{ending}").read_bytes()
    given(workspace, {"root": root}, script)
    assert artifact_verdicts(workspace)["s/root"] == ("MAKE", "sbom: cyclonedx spdx -> (none)")
    assert run(workspace).code == 0
    assert not (published(workspace) / "root.cdx.json").exists()


def test_two_builds_give_the_same_bytes(workspace):
    """Everything made again, a moment later: with SOURCE_DATE_EPOCH nothing tells them apart."""
    given(
        workspace, {"root": {"rootfs": "root.tar.gz", "boot": "boot.tar"}}, "mkdir -p /boot; echo k > /boot/k"
    )
    assert run(workspace, SOURCE_DATE_EPOCH="1700000000").code == 0
    first = [sha256(published(workspace) / name) for name in ("root.tar.gz", "boot.tar")]
    shutil.rmtree(workspace.path / "artifacts")
    before = time.time()
    while int(time.time()) == int(before):
        time.sleep(0.05)  # a stamp has whole seconds

    assert run(workspace, "--no-cache", SOURCE_DATE_EPOCH="1700000000").code == 0

    assert [sha256(published(workspace) / name) for name in ("root.tar.gz", "boot.tar")] == first


def test_files_and_a_repository_in_a_store_leave_the_engine(workspace):
    given(
        workspace,
        {
            "conf": {"files": "conf.tar", "paths": ["/etc/pass*"]},
            "repo": {"repo": "repo", "from": "/srv/repo"},
        },
    )
    store = f"{workspace.os}-repo"
    workspace.stalk(
        "s",
        {
            "packages": {"store": store, "bind": "/srv/repo", "mode": "rw"},
            "a": f"echo {workspace.prefix} > /mine; mkdir -p /srv/repo/pool; echo deb > /srv/repo/pool/a.deb",
        },
    )

    try:
        done = run(workspace)
    finally:
        docker("volume", "rm", "-f", store)

    assert done.code == 0, done.err
    assert list(read_tar((published(workspace, "conf") / "conf.tar").read_bytes())) == ["etc", "etc/passwd"]
    assert (published(workspace, "repo") / "repo/pool/a.deb").read_text() == "deb\n"
    assert workspace.containers() == []


def test_nothing_to_do_says_so_and_reads_nothing(workspace):
    given(workspace, {"root": {"rootfs": "root.tar"}})
    assert run(workspace).code == 0
    assert run(workspace).code == 0

    done = run(workspace)

    assert done.err.startswith("nothing to do: 1 step and 1 artifact are there")


def spoil(path: Path) -> None:
    """Change one byte, and leave size and time as they were."""
    seen = path.stat()
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)
    os.utime(path, ns=(seen.st_atime_ns, seen.st_mtime_ns))


@pytest.mark.parametrize(
    "damage",
    [
        lambda at: spoil(at / "root.tar"),
        lambda at: (at / "root.tar").unlink(),
        lambda at: (at / "root.tar.sha256").write_text(""),
        lambda at: shutil.rmtree(at.resolve()),
    ],
)
def test_a_damaged_artifact_is_made_again(workspace, damage):
    """After any number of runs with nothing to do; nothing else is made."""
    given(
        workspace, {"root": {"rootfs": "root.tar"}, "conf": {"files": "conf.tar", "paths": ["/etc/passwd"]}}
    )
    for _ in range(2):
        assert run(workspace).code == 0
    before = sha256(published(workspace) / "root.tar")
    damage(published(workspace))

    state = states(workspace, "--verify")
    done = run(workspace)

    assert state == {"s/root": "damaged", "s/conf": "made"}
    assert done.code == 0, done.err
    assert "1 artifact published" in done.err
    assert sha256(published(workspace) / "root.tar") == before
    assert states(workspace, "--verify") == {"s/root": "made", "s/conf": "made"}


def test_what_changed_makes_it_stale_with_the_reason(workspace):
    given(workspace, {"root": {"rootfs": "root.tar"}})
    assert run(workspace).code == 0
    given(workspace, {"root": {"rootfs": "root.tar", "exclude": ["/mine"]}})

    verdict = artifact_verdicts(workspace)
    state = states(workspace)
    done = run(workspace)

    assert verdict == {"s/root": ("MAKE", "exclude: (none) -> /mine")}
    assert state == {"s/root": "stale"}
    assert done.code == 0
    assert "mine" not in read_tar((published(workspace) / "root.tar").read_bytes())
    assert len(names(workspace)) == 2


def test_a_gate_that_finds_something_keeps_it_aside_and_a_waiver_lets_it_through(workspace):
    """The published one stays; nothing is made again for the waiver."""
    given(workspace, {"root": {"rootfs": "root.tar"}})
    assert run(workspace).code == 0
    key = "mkdir -p /etc/ssh; echo key > /etc/ssh/ssh_host_rsa_key"
    given(workspace, {"root": {"rootfs": "root.tar"}}, key)

    refused = run(workspace)
    old = read_tar((published(workspace) / "root.tar").read_bytes())
    state = states(workspace)
    waived = {"gates": {"waive": {"ssh_host_keys": "this is a test"}}}
    given(workspace, {"root": {"rootfs": "root.tar", **waived}}, key)
    verdict = artifact_verdicts(workspace)["s/root"][0]
    through = run(workspace)

    assert refused.code == 1
    assert "gate ssh_host_keys" in refused.err
    assert ".unproven" in refused.err
    assert "etc/ssh/ssh_host_rsa_key" not in old
    assert state == {"s/root": "stale"}
    assert verdict == "PROVE"
    assert through.code == 0, through.err
    assert "etc/ssh/ssh_host_rsa_key" in read_tar((published(workspace) / "root.tar").read_bytes())
    manifest = json.loads((published(workspace) / "manifest.json").read_bytes())
    assert manifest["gates"][0]["waived_by"] == "this is a test"
    assert len(names(workspace)) == 2


def test_artifacts_of_a_branch_are_made_though_another_one_failed(workspace):
    """--keep-going; without it nothing is begun after a failure."""
    workspace.tree(
        {
            "s": {
                "bad": {"artifacts": {"root": {"rootfs": "root.tar"}}},
                "good": {"artifacts": {"root": {"rootfs": "root.tar"}}},
            }
        }
    )
    workspace.stalk("s", {"a": f"echo {workspace.prefix} > /mine"})
    workspace.stalk("bad", {"b": "exit 3"})
    workspace.stalk("good", {"c": "sleep 1; echo c > /c"})

    done = run(workspace, "--keep-going")

    assert done.code == 1
    assert (workspace.path / "artifacts/t/good/root/root.tar").is_file()
    assert not (workspace.path / "artifacts/t/bad").exists()
    assert "bad/root  blocked: bad:b failed" in done.err
    assert "1 artifact not (bad/root)" in done.err


def test_an_image_with_everything_a_file_system_can_hold(workspace, engine):
    """Hostile and strange names, devices, links, capabilities: what goes in comes out."""
    own = [
        folder("bin"),
        (member("bin/ping", mode=0o755, pax_headers=CAPABILITY), b"\x7fELF" * 1000),
        folder("srv", uid=1000, gid=50),
        (member("srv/caf\udce9\udcff", mtime=86400), b"latin"),
        ("srv/a\nb\x1b[2J\x7f\\", b"control"),
        ("srv/" + "n" * 255, b"long name"),
        ("srv/" + "/".join(["d" * 200] * 3), b"long path"),
        hard_link("srv/hard", "bin/ping"),
        link("srv/away", "../../../../etc/shadow", mode=0o777),
        device("srv/null"),
        member("srv/pipe", type=tarfile.FIFOTYPE),
        ("srv/..dots", b"1"),
        ("srv/-rf", b"2"),
        folder("tmp", mode=0o1777),
    ]
    base = f"{workspace.prefix}/strange:1"
    engine.import_rootfs([make_tar(*own)], base, {}, "")
    workspace.tree(
        {"s": {"base": {"tag": base}, "pretend": True, "artifacts": {"root": {"rootfs": "r.tar"}}}}
    )
    workspace.stalk("s", {"a": "true"})
    engine.tag(base, workspace.name("s:a"))

    try:
        done = run(workspace)
        found = read_tar((published(workspace) / "r.tar").read_bytes())
    finally:
        for name in (base, workspace.name("s:a")):
            engine.untag(name)

    assert done.code == 0, done.err
    expected = read_tar(make_tar(*own))
    there = {path: what for path, what in found.items() if path in expected}
    assert {path: what[:1] + what[-1:] for path, what in there.items()} == {
        path: what[:1] + what[-1:] for path, what in expected.items()
    }
    assert "\x1b" not in done.err


# stopped


BIG = "dd if=/dev/urandom of=/big bs=1M count=60"


@pytest.fixture(scope="module")
def big_space(shared_space) -> Space:
    """A workspace with an image of 60 MB that does not pack."""
    space = shared_space()
    given(space, {"root": {"rootfs": "root.tar.gz"}}, BIG)
    done = run(space)
    assert done.code == 0, done.err
    return space


def is_whole(space: Space) -> bool:
    """Say whether what stands under the stable name is what its checksum says."""
    checked = subprocess.run(
        ["sha256sum", "-c", "--status", "root.tar.gz.sha256"], cwd=published(space), check=False
    )
    return checked.returncode == 0


@contextlib.contextmanager
def changing(space: Space, number: int) -> Iterator[subprocess.Popen[str]]:
    """Start a run that has to make the artifact again."""
    exclude = [f"/nothing-{number}"]
    given(space, {"root": {"rootfs": "root.tar.gz", "exclude": exclude}}, BIG)
    running = space.start("run", TREE)
    try:
        yield running
    finally:
        running.kill()
        running.communicate(timeout=DEADLINE_S)


def part_of(space: Space) -> Path | None:
    return next((space.path / "artifacts/t/s").glob(".root-*.part"), None)


@pytest.mark.slow
def test_a_kill_at_any_moment_leaves_the_old_one(big_space):
    """Twelve moments from the first byte to the last rename: always whole, and the next run tidies up."""
    space = big_space
    chance = random.Random(7)
    for number in range(12):
        before = sha256(published(space) / "root.tar.gz")
        with changing(space, number) as running:
            wait_for(lambda: part_of(space) is not None or running.poll() is not None)
            time.sleep(chance.random() * 1.5)  # the moment is what is tried here
        assert is_whole(space)
        assert sha256(published(space) / "root.tar.gz") == before  # what it excludes was never in it

    done = run(space)

    assert done.code == 0, done.err
    assert is_whole(space)
    assert len(names(space)) == 2, names(space)
    assert not [one for one in space.containers() if one.state == "running"]


def wait_for(is_so: Any) -> None:
    end_s = time.monotonic() + DEADLINE_S
    while not is_so():
        assert time.monotonic() < end_s
        time.sleep(0.01)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_leaves_no_trace(big_space, number):
    space = big_space
    run(space)
    before = names(space)
    with changing(space, 100 + number) as running:
        wait_for(lambda: part_of(space) is not None)
        running.send_signal(number)
        code = running.wait(DEADLINE_S)

    assert code == 130
    after = names(space)
    # On a busy machine it may have been published before the signal came: then it is the new one, and whole.
    assert after == before or (len(after) == len(before) and not any(name.startswith(".") for name in after))
    assert is_whole(space)
    assert space.containers() == []


def test_a_full_disk_is_told_and_leaves_the_old_one(workspace, tmp_path):
    """The folder for artifacts is on a disk of its own, of 12 MB."""
    if os.geteuid() != 0:
        has_to_be_there("a disk can be mounted by root alone")
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m", "none", disk], check=True)
    paths = {"ARTIFACTS_DIR": str(disk)}
    try:
        given(workspace, {"root": {"rootfs": "root.tar"}}, paths=paths)
        assert run(workspace).code == 0
        before = sorted(os.listdir(disk / "t/s"))
        digest = sha256(disk / "t/s/root/root.tar")
        given(
            workspace,
            {"root": {"rootfs": "root.tar"}},
            "dd if=/dev/urandom of=/r bs=1M count=20",
            paths=paths,
        )

        done = run(workspace)

        assert done.code == 1
        assert "No space left on device" in done.err
        assert "what stood there before is untouched" in done.err
        assert sorted(os.listdir(disk / "t/s")) == before
        assert sha256(disk / "t/s/root/root.tar") == digest
        assert workspace.containers() == []
    finally:
        subprocess.run(["umount", disk], check=True)


def test_two_runs_at_once_make_it_once(big_space):
    """The second one waits, and finds it there."""
    space = big_space
    given(space, {"root": {"rootfs": "root.tar.gz", "exclude": ["/nothing-two"]}}, BIG)
    first, second = (space.start("run", TREE, "--wait") for _ in range(2))
    said = [one.communicate(timeout=DEADLINE_S) for one in (first, second)]

    assert (first.returncode, second.returncode) == (0, 0), said
    assert is_whole(space)
    assert len(names(space)) == 2


# secrets


def test_secrets_reach_what_is_written_and_no_manifest_or_log(workspace):
    write = {"/key": {"text": "{KEY}", "KEY": ""}}
    given(workspace, {"root": {"rootfs": "root.tar", "write": write}}, secrets={"KEY": {"env": "THE_KEY"}})

    done = run(workspace, THE_KEY="s3cr3t-0123456789")

    assert done.code == 0, done.err
    assert read_tar((published(workspace) / "root.tar").read_bytes())["key"][-1] == b"s3cr3t-0123456789"
    for path in [*workspace.path.rglob("manifest.json"), *(workspace.path / "logs").rglob("*.txt")]:
        assert b"s3cr3t-0123456789" not in path.read_bytes(), path
    assert "s3cr3t" not in done.err + done.out


def test_a_secret_that_is_not_there_is_told_before_anything_runs(workspace):
    write = {"/key": {"text": "{KEY}", "KEY": ""}}
    given(workspace, {"root": {"rootfs": "root.tar", "write": write}}, secrets={"KEY": {"env": "THE_KEY"}})

    done = run(workspace)

    assert done.code == 2
    assert "THE_KEY is not set" in done.err
    assert workspace.image("s:a") is None


# disks and boot tests


def test_a_disk_holds_another_artifact_and_a_folder_of_the_workspace(workspace):
    """Each comes from where the tree says; the disk is made again when one of them changes."""
    workspace.write("data/hello", "hello\n")
    partitions = {
        "boot": {"filesystem": "vfat", "size": "40MiB", "directory": "data"},
        "conf": {"filesystem": "ext4", "artifact": "conf"},
        "root": {"filesystem": "ext4", "from": "/"},
    }
    artifacts = {
        "image": {"disk": "image.img", "partitions": partitions, "formats": ["img.zst", "bmap"]},
        "conf": {"files": "conf.tar.gz", "paths": ["/etc/passwd"]},
    }
    given(workspace, artifacts)

    first = run(workspace)
    sums = sha256(published(workspace, "image") / "image.img.zst")
    nothing = run(workspace)
    workspace.write("data/hello", "hello you\n")
    verdict = artifact_verdicts(workspace)
    second = run(workspace)

    assert (first.code, second.code) == (0, 0), first.err + second.err
    assert nothing.err.startswith("nothing to do: 1 step and 2 artifacts are there")
    assert verdict["s/image"] == ("MAKE", "directory data changed")
    assert verdict["s/conf"][0] == "REUSE"
    assert sha256(published(workspace, "image") / "image.img.zst") != sums
    manifest = json.loads((published(workspace, "image") / "manifest.json").read_bytes())
    assert [one["name"] for one in manifest["disk"]["partitions"]] == ["boot", "conf", "root"]
    assert [one["name"] for one in manifest["files"]] == ["image.img.zst", "image.bmap"]
    assert workspace.containers() == []


@pytest.mark.slow
def test_what_does_not_boot_is_kept_aside_until_its_test_passes(workspace, engine):
    """The last lines of the console are shown; when the test is repaired, nothing is made again."""
    kernel = kernel_for("amd64")
    rootfs = subprocess.run(
        ["tar", "-c", "-C", kernel.root, "--owner=0", "--group=0", "."], capture_output=True, check=True
    ).stdout
    base = f"{workspace.prefix}/tiny:1"
    engine.import_rootfs([rootfs], base, {}, "")
    test = {
        "machine": "q35",
        "cpu": "max",
        "kernel": "/boot/vmlinuz",
        "initrd": "/boot/initrd.img",
        "append": "console=ttyS0 root=/dev/vda rw",
        "timeout": "100s",
    }
    workspace.write("kernel/vmlinuz", "")
    for name, source in (("vmlinuz", kernel.image), ("initrd.img", kernel.initrd)):
        shutil.copyfile(source, workspace.path / "kernel" / name)

    def tree(expect: list[dict[str, Any]]) -> None:
        tiny = {"rootfs": "tiny.tar", "boot_test": {**test, "expect": expect}}
        tiny["gates"] = {"waive": {"default_passwords": "this is a test"}}
        workspace.tree({"s": {"base": {"tag": base}, "artifacts": {"root": tiny}}})
        workspace.stalk(
            "s",
            {
                "kernel": {"path": "kernel", "bind": "/kernel"},
                "a": f"echo {workspace.prefix} > /mine; mkdir /boot; cp /kernel/* /boot/",
            },
        )

    try:
        tree([{"wait": "login:"}, {"wait": "what never comes", "timeout": "3s"}])
        code, refused = run_long(workspace)
        kept = [name for name in names(workspace) if name.endswith(".unproven")]
        state = states(workspace)
        tree([{"wait": "login:"}])
        verdict = artifact_verdicts(workspace)["s/root"][0]
        passed, said = run_long(workspace)
    finally:
        engine.untag(base)

    assert code == 1
    assert "the boot test failed: 'what never comes' did not come within 3 s" in refused
    assert "| (none) login:" in refused
    assert f"console: artifacts/t/s/{kept[0]}/boot.log" in refused
    assert state == {"s/root": "unproven"}
    assert verdict == "PROVE"
    assert passed == 0, said
    assert "proving" in said
    assert sorted(os.listdir(published(workspace))) == [
        "boot.log",
        "manifest.json",
        "tiny.tar",
        "tiny.tar.sha256",
    ]
    assert json.loads((published(workspace) / "manifest.json").read_bytes())["boot"]["passed"]
    assert workspace.containers() == []


def test_prune_leaves_artifacts_alone(workspace):
    given(workspace, {"root": {"rootfs": "root.tar"}})
    assert run(workspace).code == 0
    before = names(workspace)

    assert workspace.stalker("prune", TREE, "--yes").code == 0

    assert names(workspace) == before
