"""A checkout is the files of one commit; nothing of it runs here, and nothing of it leads out."""

from __future__ import annotations

import os
import subprocess

import pytest

from stalker.errors import InputError
from stalker.service.builds import checkout
from stalker.service.builds.places import Places


@pytest.fixture
def repository(tmp_path):
    path = tmp_path / "repository"
    path.mkdir()
    git(path, "init", "-q", "-b", "trunk")
    commit(path, "file", "one")
    return path


def git(path, *arguments):
    identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
    done = subprocess.run(
        ["git", *identity, *arguments], cwd=path, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def commit(path, name, content):
    (path / name).write_text(content)
    git(path, "add", "-A")
    git(path, "commit", "-q", "-m", "x")
    return git(path, "rev-parse", "HEAD")


@pytest.fixture
def places(tmp_path):
    return Places(tmp_path / "work")


def export(repository, places, commit_id):
    project = places.project("p")
    checkout.fetch(str(repository), project.mirror)
    found = checkout.fetch_commit(str(repository), project.mirror, commit_id)
    target = places.build("b").checkout
    checkout.export(project.mirror, found, project, target)
    return target


def test_a_commit_is_exported_whole(repository, places):
    """An older commit, while the branch has gone on."""
    old = git(repository, "rev-parse", "HEAD")
    commit(repository, "file", "two")

    target = export(repository, places, old)

    assert (target / "file").read_text() == "one"
    assert not (target / ".git").exists()


def test_what_builds_share_is_in_each_checkout(repository, places):
    """Generated secrets, logs and artifacts are the project's."""
    head = git(repository, "rev-parse", "HEAD")
    (export(repository, places, head) / "workspace/kept").write_text("x")

    assert (export(repository, places, head) / "workspace/kept").read_text() == "x"


def test_a_forced_push_is_followed(repository, places):
    export(repository, places, git(repository, "rev-parse", "HEAD"))
    git(repository, "commit", "-q", "--amend", "-m", "y")
    new = git(repository, "rev-parse", "HEAD")

    export(repository, places, new)

    assert checkout.commit_of(places.project("p").mirror, "refs/heads/trunk") == new


def test_an_annotated_tag_is_its_commit(repository, places):
    git(repository, "tag", "-a", "v1", "-m", "v1")
    export(repository, places, git(repository, "rev-parse", "v1"))

    mirror = places.project("p").mirror
    assert checkout.commit_of(mirror, "refs/tags/v1") == git(repository, "rev-parse", "HEAD")
    assert checkout.commit_of(mirror, "refs/heads/none") == ""


def test_the_default_branch_is_that_of_the_repository(repository):
    assert checkout.default_branch(str(repository)) == "refs/heads/trunk"


@pytest.mark.parametrize("target", ["/etc/passwd", "../../outside", "/nowhere"])
def test_a_link_that_leads_out_is_refused(repository, places, target):
    (repository / "directory").mkdir()
    (repository / "directory/link").symlink_to(target)

    with pytest.raises(InputError) as raised:
        export(repository, places, commit(repository, "other", "x"))

    assert raised.value.details == f"directory/link -> {target}"


def test_a_link_inside_is_kept(repository, places):
    (repository / "link").symlink_to("file")

    target = export(repository, places, commit(repository, "other", "x"))

    assert os.readlink(target / "link") == "file"


def test_filters_and_hooks_of_the_repository_do_not_run(repository, places, tmp_path):
    (repository / ".gitattributes").write_text("* filter=evil\n")
    (repository / ".gitconfig").write_text(f'[filter "evil"]\n smudge = touch {tmp_path}/ran\n')
    hook = repository / ".git/hooks/post-checkout"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    hook.chmod(0o755)

    export(repository, places, commit(repository, "other", "x"))

    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("wrong", ["main", "--help", "a" * 40])
def test_a_commit_that_is_missing_is_an_error(repository, places, wrong):
    with pytest.raises(InputError):
        export(repository, places, wrong)


def test_a_repository_that_is_missing_is_an_error(tmp_path, places):
    with pytest.raises(InputError, match="git fetch failed"):
        checkout.fetch(str(tmp_path / "none"), places.project("p").mirror)
