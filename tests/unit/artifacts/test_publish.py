"""Artifacts made and published in a folder of the host, from images of a fake engine."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import tarfile
import threading
import time
from dataclasses import replace

import pytest

from build import BASE, plan, run, stalk, tree
from stalker.artifacts import publish
from stalker.artifacts.context import Workshop
from stalker.artifacts.publish import Origin, make_artifact
from stalker.artifacts.store import in_use, leftovers, look_at_all, shelf_of, sweep
from stalker.disk.checksums import SETTLED_NS
from stalker.disk.manifest import read_manifest
from stalker.engine.fake import FakeEngine, FakeRun
from stalker.engine.run_id import new_run_id
from stalker.errors import Interrupted, LockHeld, StalkerError
from stalker.model import events
from stalker.model.artifacts import Artifact, Files, Gates, Repo, Rootfs, Write
from stalker.model.diagnostics import Place
from stalker.model.tree import secret_marker
from stalker.plan.artifacts import plan_artifacts
from stalker.plan.graph import link_steps
from stalker.plan.verdicts import select
from stalker.run.lock import hold_names

PLACE = Place("trees/t/t.hjson", 9, 1)
FILES = {
    "/etc/motd": b"hello\n",
    "/boot/vmlinuz": b"kernel",
    "/srv/repo/pool/a.deb": b"a",
    "/srv/repo/Packages": b"p",
}


def artifact(kind=None, name="root", **more):
    return Artifact(name, "s", PLACE, kind or Rootfs("root.tar"), **more)


class Bench:
    """A workspace, a fake engine with a committed stalk `s`, and what makes artifacts of it."""

    def __init__(self, path, *artifacts, files=FILES):
        self.path = path
        self.cache = path / "cache"
        self.files = dict(files)
        self.engine = FakeEngine(lambda _name, _environment: FakeRun(writes=dict(self.files)))
        self.engine.add_image(BASE)
        self.events = []
        self.given(*artifacts)
        run(self.tree, self.engine)

    def given(self, *artifacts):
        self.tree = tree(stalk("s", "a", artifacts=artifacts or (artifact(),)), workspace=str(self.path))

    def workshop(self, **more):
        emit = more.pop("emit", self.events.append)
        more.setdefault("run", new_run_id(0.0))
        return Workshop(self.engine, self.tree, str(self.path), more.pop("secrets", {}), emit, **more)

    def actions(self):
        links = link_steps(self.tree)
        standing = look_at_all(self.tree, self.cache)
        return plan_artifacts(plan(self.tree, self.engine), select(links), standing)

    def action(self, name="s/root"):
        return self.actions()[name]

    def make(self, name="s/root", **more):
        return make_artifact(self.action(name), self.workshop(**more), self.cache, Origin())

    @property
    def shelf(self):
        return shelf_of(self.tree, self.tree.stalks[0].artifacts[0], self.cache)

    @property
    def folder(self):
        return self.path / "artifacts/t/s"

    def names(self):
        return sorted(os.listdir(self.folder))


@pytest.fixture
def place(tmp_path):
    return Bench(tmp_path)


def members(path):
    with tarfile.open(path) as archive:
        return {one.name: archive.extractfile(one).read() if one.isreg() else None for one in archive}


def test_a_root_file_system_is_published_with_its_checksum_and_a_manifest(place):
    made = place.make()

    fingerprint = place.action().fingerprint
    link = place.folder / "root"
    data = (link / "root.tar").read_bytes()
    assert made.state == "done"
    assert os.readlink(link) == f"root-{fingerprint[:12]}"
    assert members(link / "root.tar")["etc/motd"] == b"hello\n"
    assert sorted(os.listdir(link)) == ["manifest.json", "root.tar", "root.tar.sha256"]
    document = json.loads((link / "manifest.json").read_bytes())
    assert document["schema"] == 1
    assert document["files"] == [
        {"name": "root.tar", "size_bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    ]
    assert (document["artifact"], document["step"], document["kind"]) == ("s/root", "s:a", "rootfs")
    assert document["fingerprint"] == fingerprint


def test_bills_of_materials_are_files_of_the_version(tmp_path):
    """Of the image that the artifact is made of; without one nothing is published."""
    place = Bench(tmp_path, artifact(sbom=("cyclonedx", "spdx")))
    seen = []

    def bills(given, image):
        seen.append((given.id, image.id))
        return {form: f"{form}\n" for form in given.sbom}

    assert place.make(bills=bills).state == "done"

    link = place.folder / "root"
    manifest = read_manifest(link)
    assert seen == [("s/root", manifest.image)]
    assert (link / "root.cdx.json").read_text() == "cyclonedx\n"
    assert [one.name for one in manifest.files] == ["root.tar", "root.cdx.json", "root.spdx.json"]
    assert manifest.files[2].sha256 == hashlib.sha256(b"spdx\n").hexdigest()
    assert (link / "root.spdx.json.sha256").exists()
    (link / "root.spdx.json").write_text("other")
    assert place.action().verdict == "MAKE"


def test_a_bill_of_materials_that_fails_leaves_the_old_version(place):
    place.make()
    old = place.names()
    place.given(artifact(sbom=("spdx",)))

    def bills(_given, _image):
        raise StalkerError("the export is not whole")

    with pytest.raises(StalkerError, match="not whole"):
        place.make(bills=bills)
    assert place.names() == old


def test_sha256sum_accepts_the_checksums(tmp_path):
    place = Bench(tmp_path, artifact(Rootfs("root.tar.gz", "boot.tar")))

    place.make()

    for name in ("root.tar.gz", "boot.tar"):
        done = subprocess.run(
            ["sha256sum", "-c", "--strict", f"{name}.sha256"],
            cwd=place.folder / "root",
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr


def test_what_was_published_is_reused(place):
    place.make()

    assert (place.action().verdict, place.action().reason) == ("REUSE", "unchanged")


def test_the_boot_folder_can_be_a_tar_of_its_own(tmp_path):
    place = Bench(tmp_path, artifact(Rootfs("root.tar", "boot.tar")))

    place.make()

    assert members(place.folder / "root/boot.tar")["vmlinuz"] == b"kernel"
    assert "boot/vmlinuz" not in members(place.folder / "root/root.tar")


def test_chosen_files_are_a_tar(tmp_path):
    place = Bench(tmp_path, artifact(Files("kernel.tar", ("/boot/vmlinuz*",))))

    place.make()

    assert members(place.folder / "root/kernel.tar") == {"boot": None, "boot/vmlinuz": b"kernel"}


def test_a_repository_is_a_folder(tmp_path):
    place = Bench(tmp_path, artifact(Repo("repo", "/srv/repo"), exclude=("/srv/repo/pool/*.tmp",)))

    place.make()

    root = place.folder / "root/repo"
    assert (root / "pool/a.deb").read_bytes() == b"a"
    done = subprocess.run(
        ["sha256sum", "-c", "--strict", "repo.sha256"],
        cwd=root.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0
    assert done.stdout.splitlines() == ["repo/Packages: OK", "repo/pool/a.deb: OK"]
    assert place.action().verdict == "REUSE"


def test_a_repository_that_is_not_there_is_told(tmp_path):
    place = Bench(tmp_path, artifact(Repo("repo", "/srv/nothing")))

    with pytest.raises(StalkerError):
        place.make()

    assert place.names() == []


# damage


def spoil_a_byte(folder):
    path = folder / "root.tar"
    data = bytearray(path.read_bytes())
    data[600] ^= 1
    path.write_bytes(data)


DAMAGES = {
    "a byte": (spoil_a_byte, "root.tar is damaged: its checksum is another one"),
    "cut": (
        lambda folder: os.truncate(folder / "root.tar", 10),
        "root.tar is damaged: it has 10 bytes, not ",
    ),
    "gone": (lambda folder: (folder / "root.tar").unlink(), "root.tar is gone"),
    "no checksum": (lambda folder: (folder / "root.tar.sha256").unlink(), "root.tar.sha256 is gone"),
    "checksum": (lambda folder: (folder / "root.tar.sha256").write_text("x"), "root.tar.sha256 is damaged"),
    "no manifest": (lambda folder: (folder / "manifest.json").unlink(), "manifest.json cannot be read: "),
    "manifest": (lambda folder: os.truncate(folder / "manifest.json", 90), "manifest.json is not whole"),
    "folder": (shutil.rmtree, "root-"),
    "a link": (
        lambda folder: ((folder / "root.tar").unlink(), (folder / "root.tar").symlink_to("/dev/null")),
        "root.tar is gone",
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_artifact_is_made_again(place, damage):
    """Whatever is wrong with it is the reason; the link never fails in between; nothing is left over."""
    place.make()
    before = (place.folder / "root/root.tar").read_bytes()
    spoil, reason = DAMAGES[damage]
    spoil((place.folder / "root").resolve())

    action = place.action()
    place.make()

    assert action.verdict == "MAKE"
    assert action.reason.startswith(reason)
    assert (place.folder / "root/root.tar").read_bytes() == before
    assert place.action().verdict == "REUSE"
    assert len([name for name in place.names() if name != "root"]) == 1 + (damage == "no manifest")


def test_a_changed_byte_is_noticed_though_size_and_time_are_the_same(place):
    place.make()
    assert place.action().verdict == "REUSE"  # now its checksum is known
    path = place.folder / "root/root.tar"
    seen = path.stat()
    spoil_a_byte(path.parent)
    os.utime(path, ns=(seen.st_atime_ns, seen.st_mtime_ns))

    assert place.action().verdict == "MAKE"


def test_a_file_nobody_touched_is_not_read_again(place, monkeypatch):
    """A disk has gigabytes; `stat` tells in no time that nothing happened to it."""
    place.make()
    seen = place.folder / "root/root.tar"
    past = seen.stat().st_mtime_ns - 10**9
    os.utime(seen, ns=(past, past))
    wait_until_settled(seen)
    assert place.action().verdict == "REUSE"
    monkeypatch.setattr("stalker.artifacts.store.sha256_of", lambda *_: pytest.fail("it was read"))

    assert place.action().verdict == "REUSE"


def wait_until_settled(path):
    """Wait until a change of the file could not go unnoticed."""
    while time.time_ns() - path.stat().st_ctime_ns <= SETTLED_NS:
        time.sleep(0.01)


def test_all_is_read_when_that_is_asked_for(place):
    """`artifacts --verify` trusts nothing that was noted."""
    place.make()
    place.action()
    shelf = place.shelf
    path = place.folder / "root/root.tar"
    seen = path.stat()
    counted = []
    standing = shelf.look(full=True, on_bytes=counted.append)

    assert standing.published.trouble == ""
    assert sum(counted) == seen.st_size


# what is there already


def test_an_older_version_goes_when_the_new_one_is_linked(place):
    place.make()
    place.given(artifact(exclude=("/etc/motd",)))

    place.make()

    assert len(place.names()) == 2
    assert "etc/motd" not in members(place.folder / "root/root.tar")


def test_what_others_put_there_stays(place):
    """Only versions that carry a manifest of ours are removed, and only what is called as ours are swept."""
    place.folder.mkdir(parents=True)
    strange = ["root-0123456789ab", "root-notes", "other", ".root-mine.part", ".other-x.part"]
    for name in strange:
        (place.folder / name).mkdir()
        (place.folder / name / "file").write_text("mine")
    place.make()
    place.given(artifact(exclude=("/etc/motd",)))
    place.make()

    assert set(strange) <= set(place.names())


@pytest.mark.parametrize(
    "make",
    [lambda path: path.mkdir(), lambda path: path.write_text("x"), lambda path: path.symlink_to("/tmp")],
)
def test_something_else_under_its_name_is_not_replaced(place, make):
    place.folder.mkdir(parents=True)
    make(place.folder / "root")

    with pytest.raises(StalkerError, match="is in the way"):
        place.make()

    assert place.names() == ["root"]


def test_a_run_that_works_on_it_is_waited_for_or_told(place):
    action, workshop = place.action(), place.workshop()
    key = os.path.realpath(place.folder) + "/root"

    with (
        hold_names("artifact", [key], "run x", wait=False, say=print),
        pytest.raises(LockHeld, match="run x"),
    ):
        make_artifact(action, workshop, place.cache, Origin())


def test_what_another_run_made_meanwhile_is_not_made_again(place):
    action = place.action()
    place.make()
    exports = place.engine.calls["export"]

    made = make_artifact(action, place.workshop(), place.cache, Origin())

    assert made.state == "done"
    assert place.engine.calls["export"] == exports


def test_an_image_that_is_gone_is_told(place):
    action = replace(place.action(), image="sha256:" + "0" * 64)

    with pytest.raises(StalkerError, match="the image of s:a is gone"):
        make_artifact(action, place.workshop(), place.cache, Origin())


# secrets


def test_no_secret_is_in_the_manifest(tmp_path):
    write = Write("/etc/key", secret_marker("KEY").encode(), PLACE)
    place = Bench(tmp_path, artifact(writes=(write,)))

    place.make(secrets={"KEY": "s3cr3t-value"})

    assert members(place.folder / "root/root.tar")["etc/key"] == b"s3cr3t-value"
    assert b"s3cr3t-value" not in (place.folder / "root/manifest.json").read_bytes()
    assert "s3cr3t-value" not in repr(place.events)


# broken off


class Stop(BaseException):
    """Stands for a kill: no handler of ours catches it, and no clean-up after it counts."""


MOMENTS = (
    "stalker.artifacts.publish._checksums",
    "stalker.artifacts.publish.write_manifest",
    "stalker.artifacts.publish._publish",
    "stalker.artifacts.store.Shelf.free_name",
    "stalker.artifacts.publish.remove",
    "pathlib.Path.symlink_to",
    "pathlib.Path.rename",
    "pathlib.Path.replace",
)


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("is_dead", [True, False])
def test_whatever_stops_it_leaves_the_old_one(place, monkeypatch, moment, is_dead):
    """Killed at any moment: the link is on a whole version, and the next run makes the rest good."""
    place.make()
    place.given(artifact(exclude=("/etc/motd",)))
    action = place.action()

    def stop(*_args, **_more):
        raise Stop

    with monkeypatch.context() as patch:
        patch.setattr(moment, stop)
        patch.setattr(publish.shutil, "rmtree", lambda *_args, **_more: None)  # a kill cleans nothing up
        dead = "20200101-000000-" + new_run_id(0.0).split("-")[2] + "-999999-1"
        with pytest.raises(Stop):
            make_artifact(
                action, place.workshop(run=dead if is_dead else new_run_id(0.0)), place.cache, Origin()
            )
    during = members(place.folder / "root/root.tar")
    standing = place.shelf.look()
    place.make()

    assert standing.published.trouble == ""
    assert ("etc/motd" in during) == (moment != "stalker.artifacts.publish.remove")
    assert "etc/motd" not in members(place.folder / "root/root.tar")
    if is_dead:
        sweep(place.shelf)
        assert not leftovers(place.shelf)
        assert len(place.names()) == 2


ELSEWHERE = "20261121-020304-0123456789ab-1-1b4f"


@pytest.mark.parametrize(
    ("age_s", "is_locked", "stays"), [(3600, False, False), (3600, True, True), (0, False, True)]
)
def test_what_a_run_elsewhere_is_filling_stays_as_long_as_it_holds_the_lock(place, age_s, is_locked, stays):
    """Its process cannot be seen; a folder without a lock may be so young that it has none yet."""
    place.make()
    part = place.shelf.folder / f".{place.shelf.name}-{ELSEWHERE}.part"
    part.mkdir()
    link = part.with_suffix(".link")
    link.symlink_to("x")
    for path in (part, link):
        os.utime(path, (time.time() - age_s,) * 2, follow_symlinks=False)

    with in_use(part) if is_locked else contextlib.nullcontext():
        sweep(place.shelf)

    assert part.exists() is stays
    assert link.is_symlink() is (age_s == 0)


def test_a_run_holds_the_lock_of_what_it_fills(place, monkeypatch):
    """So another run that shares the folder, but not the processes, sees that it is in use."""
    is_free = []

    def look(folder, _manifest):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                is_free.append(folder)
        finally:
            os.close(descriptor)
        raise Stop

    monkeypatch.setattr(publish, "write_manifest", look)
    with pytest.raises(Stop):
        place.make()

    assert is_free == []


def test_ctrl_c_leaves_nothing(place):
    cancel = threading.Event()
    cancel.set()

    with pytest.raises(Interrupted):
        place.make(cancel=cancel)

    assert place.names() == []


def test_a_full_disk_is_told_and_leaves_the_old_one(place, monkeypatch):
    place.make()
    before = place.names()
    place.given(artifact(exclude=("/etc/motd",)))

    def full(*_args, **_more):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(publish, "write_manifest", full)
    with pytest.raises(StalkerError, match="could not be written") as caught:
        place.make()

    assert "No space left" in caught.value.details
    assert place.names() == before


# progress


def test_progress_is_told(place):
    place.make()

    told = [event.doing for event in place.events if isinstance(event, events.ArtifactProgress)]
    assert told == ["writing root.tar", "packing the rest of root.tar", "computing checksums"]


def test_manifests_are_read_back_as_they_were_written(place):
    place.make()

    manifest = read_manifest(place.folder / "root")

    assert manifest.files[0].name == "root.tar"
    assert manifest.image == place.action().image


# gates


KEY = {**FILES, "/etc/ssh/ssh_host_rsa_key": b"-----BEGIN OPENSSH PRIVATE KEY-----\n"}
WAIVED = Gates((("ssh_host_keys", "made at first boot"),))


def test_what_a_gate_refuses_is_kept_aside_with_the_reason(tmp_path):
    place = Bench(tmp_path, artifact(gates=Gates()), files=KEY)

    made = place.make()

    action = place.action()
    assert made.state == "unproven"
    assert made.proof.refused == "gate ssh_host_keys"
    assert "/etc/ssh/ssh_host_rsa_key" in made.proof.details
    assert place.names() == [f"root-{action.fingerprint[:12]}.unproven"]
    assert (action.verdict, action.reason) == ("PROVE", "it was refused: gate ssh_host_keys")
    assert read_manifest(made.folder).gates[0]["gate"] == "ssh_host_keys"


def test_a_waiver_publishes_what_was_kept_aside_without_making_it_again(tmp_path):
    place = Bench(tmp_path, artifact(gates=Gates()), files=KEY)
    aside = place.make().folder
    inode = (aside / "root.tar").stat().st_ino
    place.given(artifact(gates=WAIVED))

    made = place.make()

    assert made.state == "done"
    assert (place.folder / "root/root.tar").stat().st_ino == inode
    assert len(place.names()) == 2
    assert read_manifest(place.folder / "root").gates[0]["waived_by"] == "made at first boot"
    assert place.action().verdict == "REUSE"


def test_a_published_one_that_a_changed_gate_refuses_stays(tmp_path):
    """Whoever uses it goes on; each run fails until it is settled."""
    place = Bench(tmp_path, artifact(gates=WAIVED), files=KEY)
    place.make()
    before = place.names()
    place.given(artifact(gates=Gates()))

    made = place.make()

    assert (made.state, made.folder) == ("unproven", place.folder / "root")
    assert place.names() == before
    assert place.action().verdict == "PROVE"
    place.given(artifact(gates=WAIVED))
    assert place.action().verdict == "REUSE"


def test_a_newer_one_that_is_refused_leaves_the_older_one_published(tmp_path):
    place = Bench(tmp_path, artifact(gates=WAIVED), files=KEY)
    place.make()
    place.given(artifact(gates=Gates(), exclude=("/etc/motd",)))

    place.make()

    assert "etc/motd" in members(place.folder / "root/root.tar")
    assert len(place.names()) == 3
    place.make()
    assert len(place.names()) == 3


def test_one_that_was_refused_goes_when_another_one_is_published(tmp_path):
    place = Bench(tmp_path, artifact(gates=Gates()), files=KEY)
    place.make()
    place.given(artifact(gates=Gates(), exclude=("/etc/ssh",)))

    assert place.make().state == "done"

    assert len(place.names()) == 2


def test_a_damaged_one_that_was_refused_is_made_again(tmp_path):
    place = Bench(tmp_path, artifact(gates=Gates()), files=KEY)
    spoil_a_byte(place.make().folder)

    assert place.action().verdict == "MAKE"
    assert place.make().state == "unproven"
    assert len(place.names()) == 1
