"""Mirrors of repositories: names resolved, commits fetched once, checkouts that are what the tree says."""

from __future__ import annotations

import shutil

import pytest

from stalker.errors import InputError
from stalker.fetch.git.mirror import Mirrors
from stalker.model.diagnostics import Place
from stalker.model.inputs import GitSource
from unit.fetch.git.repositories import commit, git

HERE = Place("stalks/s/s.hjson", 3, 1)


@pytest.fixture
def repository(tmp_path):
    directory = tmp_path / "repository"
    commit(
        directory,
        {"a": b"one\n", "sub/b": b"\0binary", ".gitattributes": b"* text eol=crlf\na export-ignore\n"},
    )
    (directory / "run").write_text("#!/bin/sh\n")
    (directory / "run").chmod(0o755)
    (directory / "link").symlink_to("/etc/passwd")
    commit(directory, {})
    return directory


@pytest.fixture
def said():
    return []


@pytest.fixture
def mirrors(tmp_path, said):
    return Mirrors(tmp_path / "mirrors", said.append)


def source(repository, **more):
    return GitSource(repository.as_uri(), HERE, **more)


def test_a_checkout_has_the_files_of_the_commit_as_they_are(repository, mirrors):
    """No attribute rewrites or leaves out, modes and links stay, and no .git is in it."""
    path, _ = mirrors.checkout(mirrors.resolve(source(repository)))

    assert (path / "a").read_bytes() == b"one\n"
    assert (path / "sub/b").read_bytes() == b"\0binary"
    assert (path / "run").stat().st_mode & 0o777 == 0o755
    assert (path / "a").stat().st_mode & 0o777 == 0o644
    assert (path / "link").is_symlink()
    assert not (path / ".git").exists()


def test_the_tree_counts_and_not_the_commit_or_the_address(repository, mirrors, tmp_path):
    """The same files in another commit and at another address are the same."""
    first = mirrors.resolve(source(repository))
    git(repository, "commit", "-q", "--allow-empty", "-m", "nothing")
    copied = shutil.copytree(repository, tmp_path / "copy", symlinks=True)

    second = mirrors.resolve(source(copied))

    assert second.commit != first.commit
    assert second.digest == first.digest
    assert mirrors.checkout(second) == mirrors.checkout(first)


@pytest.mark.parametrize("kind", ["branch", "tag", "annotated", "full name", "commit"])
def test_a_ref_is_a_branch_a_tag_or_a_commit(repository, mirrors, kind):
    old = git(repository, "rev-parse", "HEAD")
    git(repository, "branch", "side")
    git(repository, "tag", "v1")
    git(repository, "tag", "-a", "v2", "-m", "v2")
    commit(repository, {"a": b"two\n"})
    names = {"branch": "side", "tag": "v1", "annotated": "v2", "full name": "refs/heads/side", "commit": old}

    assert mirrors.resolve(source(repository, ref=names[kind])).commit == old


def test_a_branch_is_asked_again_and_a_commit_is_not(repository, mirrors, said):
    """A commit needs no server once it is there; a branch whose server is gone is as last time, and that is said."""
    first = mirrors.resolve(source(repository, ref="main"))
    new = commit(repository, {"a": b"two\n"})
    second = mirrors.resolve(source(repository, ref="main"))
    shutil.rmtree(repository)
    said.clear()

    assert second.commit == new != first.commit
    assert mirrors.resolve(source(repository, ref=first.commit)) == mirrors.resolve(
        source(repository, ref=first.commit)
    )
    assert said == []
    assert mirrors.resolve(source(repository, ref="main")).commit == new
    assert "cannot be reached" in said[0]


def test_a_subdirectory_counts_by_itself(repository, mirrors):
    first = mirrors.resolve(source(repository, subdirectory="sub"))
    commit(repository, {"a": b"two\n"})

    second = mirrors.resolve(source(repository, subdirectory="sub"))

    assert second.digest == first.digest
    assert [one.name for one in mirrors.checkout(second)[0].iterdir()] == ["b"]


def test_a_changed_checkout_is_made_again(repository, mirrors):
    resolved = mirrors.resolve(source(repository))
    path, digest = mirrors.checkout(resolved)
    (path / "a").write_bytes(b"changed\n")

    assert mirrors.checkout(resolved) == (path, digest)
    assert (path / "a").read_bytes() == b"one\n"


@pytest.mark.parametrize(
    ("more", "what"),
    [
        ({"ref": "none"}, "no branch or tag 'none'"),
        ({"ref": "0" * 39 + "1"}, "could not be read"),
        ({"subdirectory": "none"}, "no directory none"),
        ({"subdirectory": "a"}, "no directory a"),
    ],
)
def test_what_a_repository_does_not_have_is_an_error(repository, mirrors, more, what):
    with pytest.raises(InputError) as caught:
        mirrors.resolve(source(repository, **more))

    assert what in caught.value.brief or "is not a commit" in caught.value.brief


def test_a_name_of_two_commits_is_refused(repository, mirrors):
    git(repository, "tag", "main")
    commit(repository, {"a": b"two\n"})

    with pytest.raises(InputError, match="a branch and a tag"):
        mirrors.resolve(source(repository, ref="main"))


def test_submodules_are_there_when_they_are_asked_for(repository, mirrors, tmp_path):
    """Also those in a submodule, by relative addresses; without, their directories are empty."""
    inner, outer = tmp_path / "inner", tmp_path / "outer"
    commit(inner, {"deep": b"deep\n"})
    git(repository, "submodule", "add", "-q", "../inner", "libs/inner")
    commit(repository, {})
    commit(outer, {"top": b"top\n"})
    git(outer, "-c", "protocol.file.allow=always", "submodule", "add", "-q", repository.as_uri(), "mods/r")
    commit(outer, {})

    with_them = mirrors.resolve(source(outer, has_submodules=True))
    without = mirrors.resolve(source(outer))

    path, _ = mirrors.checkout(with_them)
    assert (path / "mods/r/a").read_bytes() == b"one\n"
    assert (path / "mods/r/libs/inner/deep").read_bytes() == b"deep\n"
    assert not (mirrors.checkout(without)[0] / "mods/r/a").exists()
    assert with_them.digest != without.digest


def test_hooks_and_filters_are_not_run(repository, mirrors, tmp_path, monkeypatch):
    """Neither those of the repository, nor filters of the user's configuration that its attributes name."""
    ran = tmp_path / "ran"
    config = tmp_path / "config"
    config.write_text(
        f'[filter "x"]\n smudge = touch {ran}; cat\n required = true\n[core]\n hooksPath = {tmp_path}\n'
    )
    hook = tmp_path / "reference-transaction"
    hook.write_text(f"#!/bin/sh\ntouch {ran}\n")
    hook.chmod(0o755)
    commit(repository, {".gitattributes": b"* filter=x\n"})
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))

    path, _ = mirrors.checkout(mirrors.resolve(source(repository)))

    assert (path / "a").read_bytes() == b"one\n"
    assert not ran.exists()
