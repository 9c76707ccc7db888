"""Published files are whole, and the link to the newest always leads somewhere."""

from __future__ import annotations

import os
import threading

import pytest

from stalker.errors import StalkerError
from stalker.model.diagnostics import Place
from stalker.model.service import Project, Published
from stalker.service.builds.publish import fields, publish
from stalker.service.store.builds import Build


def build(commit="a" * 40, ref="refs/heads/feature/x"):
    return Build(
        1, "id", "p", "t", ref, commit, "running", "push", "", 0.0, None, None,
        None, "", {}, "", "", "", (), 1, False,
    )  # fmt: skip


@pytest.fixture
def artifacts(tmp_path):
    """The directory of artifacts with `t/stalk/kernel` -> a version with `kernel.tar`."""
    version = tmp_path / "artifacts/t/stalk/kernel-0123456789ab"
    version.mkdir(parents=True)
    (version / "kernel.tar").write_text("content")
    (version.parent / "kernel").symlink_to(version.name)
    return tmp_path / "artifacts"


PROJECT = Project(
    "p", Place("s"), "t", publish=(Published("kernel.tar", "k-{branch}-{commit:.4}.tar", "k-{branch}.tar"),)
)


def test_a_file_gets_its_name_and_its_link(artifacts, tmp_path):
    (file,) = publish(build(), PROJECT, artifacts, tmp_path / "storage")

    directory = tmp_path / "storage/p"
    assert (file.name, file.link, file.size_bytes) == ("k-feature-x-aaaa.tar", "k-feature-x.tar", 7)
    assert (directory / file.name).read_text() == "content"
    assert os.readlink(directory / file.link) == file.name
    assert sorted(path.name for path in directory.iterdir()) == [file.name, file.link]


def test_the_link_always_leads_to_a_whole_file(artifacts, tmp_path):
    """While versions are published a reader of the link never misses it."""
    publish(build("0" * 40), PROJECT, artifacts, tmp_path / "storage")
    link = tmp_path / "storage/p/k-feature-x.tar"
    missed, done = [], threading.Event()

    def read():
        while not done.is_set():
            try:
                missed.extend([] if link.read_text() == "content" else ["half"])
            except OSError as error:
                missed.append(str(error))

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(100):
        publish(build(f"{number:040x}"[::-1]), PROJECT, artifacts, tmp_path / "storage")
    done.set()
    reader.join()

    assert missed == []


def test_a_file_that_the_tree_did_not_make_is_an_error(artifacts, tmp_path):
    project = Project("p", Place("s"), "t", publish=(Published("other.tar", "x"),))

    with pytest.raises(StalkerError, match=r"published no file other\.tar"):
        publish(build(), project, artifacts, tmp_path / "storage")


def test_a_file_of_several_artifacts_is_an_error(artifacts, tmp_path):
    other = artifacts / "t/stalk/second-0123456789ab"
    other.mkdir()
    (other / "kernel.tar").write_text("x")
    (other.parent / "second").symlink_to(other.name)

    with pytest.raises(StalkerError, match="several artifacts"):
        publish(build(), PROJECT, artifacts, tmp_path / "storage")


def test_a_branch_cannot_leave_the_directory():
    """A ref becomes a part of names."""
    values = fields(build(ref="refs/heads/../../etc/x"))

    assert "/" not in values["branch"]
    assert not values["branch"].startswith(".")
    assert fields(build(), raw=True)["branch"] == "feature/x"
