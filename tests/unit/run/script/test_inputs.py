"""What a step takes from this host is what its fingerprint says, or the step fails and commits nothing."""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from dataclasses import replace

import pytest

from build import BASE, run, stalk, step, tree
from stalker.config.digests import digest_directory
from stalker.config.workspace import evidence_of
from stalker.engine.fake import FakeEngine, FakeRun
from stalker.errors import EngineError, InputChanged
from stalker.model import events, labels
from stalker.model.diagnostics import Place
from stalker.model.tree import File, Mount
from stalker.run.script import inputs
from stalker.run.script.inputs import Directories, read_checked

HERE = Place("stalks/s/s.hjson", 1)
HOUR_S = 3600


@pytest.fixture
def source(tmp_path):
    """A directory of the host that nothing changed for an hour."""
    (tmp_path / "src/deep").mkdir(parents=True)
    (tmp_path / "src/version").write_text("1")
    (tmp_path / "src/deep/x").write_text("x")
    return tmp_path / "src"


def mounted(source, *, evidence=None):
    digest = digest_directory(str(source), owners=True)
    found = evidence_of(str(source)) if evidence is None else evidence
    return Mount("/src", "directory", str(source), False, HERE, digest, found)


def placed(path, **more):
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return File("/srv/big", "big", digest, HERE, host_path=str(path), **more)


def test_a_file_as_it_was_read_is_placed(source):
    assert read_checked(placed(source / "version")) == b"1"


def test_a_file_that_changed_since_it_was_read_is_not_placed(source):
    """Its new bytes would be committed under the digest of the old ones."""
    file = placed(source / "version")
    (source / "version").write_text("2")

    with pytest.raises(InputChanged, match="version changed while the step ran") as caught:
        read_checked(file)

    assert "run again" in caught.value.resolution


def test_a_file_that_is_gone_is_an_error_with_its_path(source):
    file = placed(source / "version")
    (source / "version").unlink()

    with pytest.raises(EngineError, match=r"could not read .*version"):
        read_checked(file)


CHANGES = {
    "a content": lambda s: (s / "version").write_text("2"),
    "a content of the same length and time": lambda s: (
        (s / "deep/x").write_text("y"),
        os.utime(s / "deep/x", (1, 1)),
    ),
    "a mode": lambda s: (s / "version").chmod(0o600),
    "its own mode": lambda s: s.chmod(0o711),
    "an owner": lambda s: os.chown(s / "version", 7, 7),
    "a new file": lambda s: (s / "deep/new").touch(),
    "a removed file": lambda s: (s / "deep/x").unlink(),
    "the whole directory": lambda s: s.rename(s.parent / "moved"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_a_directory_that_changed_fails_the_step(source, change):
    """Whatever of it a container sees."""
    mount = mounted(source)
    change(source)

    with pytest.raises(InputChanged, match="src changed while the step ran"):
        Directories().check([mount], "/", time.time() - HOUR_S)


def test_a_directory_that_changed_and_was_put_back_meanwhile_fails_the_step(source):
    """The script may have read what was there in between."""
    mount = mounted(source)
    began_s = time.time()
    (source / "version").write_text("2")
    (source / "version").write_text("1")

    with pytest.raises(InputChanged):
        Directories().check([mount], "/", began_s - 1)


@pytest.mark.parametrize("target", ["{0}", "other/../{1}"], ids=["absolute", "relative"])
def test_a_link_that_led_elsewhere_meanwhile_fails_the_step(source, target):
    """The container may have been started with the other directory."""
    (source.parent / "other").mkdir()
    middle, link = source.with_name("middle"), source.with_name("current")
    middle.symlink_to(target.format(source, source.name))
    link.symlink_to("middle")
    mount, began_s = mounted(link), time.time() - 1
    directories = Directories()
    directories.check([mount], "/", time.time() + 1)

    middle.unlink()
    middle.symlink_to("other")
    middle.unlink()
    middle.symlink_to(target.format(source, source.name))

    with pytest.raises(InputChanged):
        directories.check([mount], "/", began_s)


def test_a_directory_that_was_touched_before_the_step_began_is_fine(source):
    """A fresh checkout of the same files is the same input."""
    mount = mounted(source, evidence="of another day")

    Directories().check([mount], "/", time.time() + 1)


def test_a_quiet_directory_is_read_once_a_run(source, monkeypatch):
    """Each step asks for the states of its entries, which is all it costs."""
    readings = []
    real = digest_directory
    monkeypatch.setattr(inputs, "digest_directory", lambda *a, **k: readings.append(a) or real(*a, **k))
    monkeypatch.setattr(inputs, "YOUNG_NS", -HOUR_S * 10**9)
    mount = mounted(source, evidence="")
    directories = Directories()

    for _ in range(3):
        directories.check([mount], "/", time.time() + 1)

    assert len(readings) == 1


def test_what_has_just_changed_is_read_each_time(source, monkeypatch):
    """A second change within one tick of the file system would look the same."""
    mount = mounted(source)
    directories = Directories()
    directories.check([mount], "/", time.time() + 1)
    real = inputs.directory_evidence(str(source))
    monkeypatch.setattr(inputs, "directory_evidence", lambda _: real)
    (source / "version").write_text("2")

    with pytest.raises(InputChanged):
        directories.check([mount], "/", time.time() + 1)


def test_what_is_writable_or_a_store_may_change(source):
    """It counts by name."""
    mounts = [
        replace(mounted(source), writable=True, digest=""),
        Mount("/s", "store", "a-store", False, HERE),
    ]
    (source / "version").write_text("2")

    Directories().check(mounts, "/", 0.0)


# A run


def changing(path):
    """An engine on which the user changes a file while the step `wait` runs."""

    def program(name, _environment):
        if name == "wait":
            path.write_text("2")
        return FakeRun()

    made = FakeEngine(program)
    made.add_image(BASE)
    return made


def committed(engine):
    return [
        image.labels[labels.STEP] for image in engine.images_by_id.values() if labels.STEP in image.labels
    ]


def test_a_directory_that_changes_while_a_step_runs_fails_it_and_nothing_is_committed(source):
    engine = changing(source / "version")

    ran = run(tree(stalk("s", step("wait", mounts=(mounted(source),), retries=2), "one")), engine)

    [ended] = ran.of(events.StepFinished)
    assert ended.state == "failed"
    assert ended.brief == f"{source} changed while the step ran"
    assert ended.image == ""
    assert committed(engine) == []
    assert engine.scripts == ["wait"]


def test_a_directory_that_was_replaced_by_an_equal_one_is_mounted_again(source):
    """A container goes on showing the one that it was started with, which is empty by now."""
    engine = FakeEngine()
    engine.add_image(BASE)
    mounts = (mounted(source),)
    steps = [step(name, mounts=mounts) for name in ("one", "two", "three")]

    def replace_it(event):
        if isinstance(event, events.StepFinished) and event.step == "s:one":
            source.rename(source.with_name("old"))
            shutil.copytree(source.with_name("old"), source)
            shutil.rmtree(source.with_name("old"))

    ran = run(tree(stalk("s", *steps)), engine, on_event=replace_it)

    assert ran.result.exit_code == 0
    assert [event.is_reused for event in ran.of(events.ContainerStarted)] == [False, False, True]


def test_a_file_that_changes_before_its_step_begins_fails_that_step(source):
    """The step before does not see it, and is committed."""
    engine = changing(source / "version")
    file = placed(source / "version")

    ran = run(tree(stalk("s", "wait", step("one", copies=(file,), retries=2))), engine)

    assert ran.result.failed == ["s:one"]
    assert [event.brief for event in ran.of(events.StepFinished)][1:] == [
        f"{source / 'version'} changed while the step ran"
    ]
    assert [name.rpartition(":")[2] for name in committed(engine)] == ["wait"]
    assert engine.image("stalker-test/x/y/s:one.failed") is None
