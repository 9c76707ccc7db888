import io
import os
import socket
import subprocess
import tarfile

import pytest

from stalker.errors import InputError
from stalker.fetch.base.dockerfile_context import context_obstacle, folder_context, git_context

GIT = {
    **os.environ,
    "GIT_AUTHOR_NAME": "a",
    "GIT_AUTHOR_EMAIL": "a@example.org",
    "GIT_COMMITTER_NAME": "a",
    "GIT_COMMITTER_EMAIL": "a@example.org",
    "GIT_CONFIG_GLOBAL": "/dev/null",
}


def members(stream):
    with tarfile.open(fileobj=io.BytesIO(b"".join(stream))) as archive:
        return {
            info.name: archive.extractfile(info).read() if info.isreg() else info.linkname or info.type
            for info in archive
        }


def lay(folder, files):
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def git(folder, *arguments):
    return subprocess.run(
        ["git", "-C", str(folder), *arguments], env=GIT, check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.fixture
def repository(tmp_path):
    """A repository of two commits; the first is the interesting one."""
    folder = lay(
        tmp_path / "repo",
        {
            "Dockerfile": b"FROM scratch\n",
            ".dockerignore": b"secret*\n",
            "secret.txt": b"s",
            "run.sh": b"#!/bin/sh\n",
            "big": bytes(range(256)) * 9000,
            "left.out": b"kept all the same",
            "id": b"$Format:%H$",
            ".gitattributes": b"left.out export-ignore\nid export-subst\n",
        },
    )
    (folder / "run.sh").chmod(0o755)
    (folder / "link").symlink_to("run.sh")
    git(folder, "init", "-q", "-b", "trunk")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "one")
    (folder / "later").write_text("2")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "two")
    return folder


def test_a_folder_is_sent_as_it_is(tmp_path):
    """Content, modes, links, empty folders and odd names travel; owners become root."""
    lay(
        tmp_path, {"Dockerfile": b"FROM x", "a/b/c": b"1", "ü\udcff": b"2", "empty.txt": b"", "n" * 150: b"3"}
    )
    (tmp_path / "bare").mkdir()
    (tmp_path / "a/b/c").chmod(0o750)
    (tmp_path / "link").symlink_to("/etc/passwd")
    os.link(tmp_path / "a/b/c", tmp_path / "hard")

    data = b"".join(folder_context(tmp_path, "Dockerfile"))

    found = members([data])
    assert found["a/b/c"] == b"1"
    assert found["ü\udcff"] == b"2"
    assert found["link"] == "/etc/passwd"
    assert found["hard"] == "a/b/c"
    assert {"bare", "n" * 150, "empty.txt"} <= set(found)
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        assert {(info.uid, info.gid, info.uname) for info in archive} == {(0, 0, "")}
        assert archive.getmember("a/b/c").mode == 0o750


def test_a_folder_reads_the_same_twice(tmp_path):
    """Entries come in order of name."""
    lay(tmp_path, dict.fromkeys("zyxabc", b"x") | {"Dockerfile": b""})

    assert b"".join(folder_context(tmp_path, "Dockerfile")) == b"".join(
        folder_context(tmp_path, "Dockerfile")
    )


def test_what_is_ignored_stays_behind(tmp_path):
    """.dockerignore holds, exceptions too, and the Dockerfile comes anyway."""
    lay(
        tmp_path,
        {
            ".dockerignore": b"*\n!src\nsrc/*.o\n",
            "docker/Dockerfile": b"FROM x",
            "docker/other": b"",
            "src/a.c": b"",
            "src/a.o": b"",
            "secret": b"",
        },
    )

    found = members(folder_context(tmp_path, "docker/Dockerfile"))

    assert set(found) == {".dockerignore", "docker/Dockerfile", "src", "src/a.c"}


def test_a_dockerfile_may_have_its_own_ignore_file(tmp_path):
    """`<Dockerfile>.dockerignore` goes before the common one."""
    lay(tmp_path, {"D": b"", "D.dockerignore": b"a", ".dockerignore": b"b", "a": b"", "b": b""})

    assert set(members(folder_context(tmp_path, "D"))) == {"D", "D.dockerignore", ".dockerignore", "b"}


def test_a_socket_is_left_out(tmp_path):
    """What cannot be in a tar does not stop it."""
    lay(tmp_path, {"Dockerfile": b""})
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "s"))

        assert set(members(folder_context(tmp_path, "Dockerfile"))) == {"Dockerfile"}


def test_a_file_that_shrinks_under_the_reader_is_an_error(tmp_path):
    """A context is never half of a file."""
    lay(tmp_path, {"Dockerfile": b"", "a": bytes(3_000_000)})
    stream = folder_context(tmp_path, "Dockerfile")
    next(chunk for chunk in stream if len(chunk) > 100_000)
    os.truncate(tmp_path / "a", 1_500_000)

    with pytest.raises(InputError, match="became shorter"):
        list(stream)


def test_a_commit_is_sent_without_being_checked_out(repository, tmp_path):
    """The files of that very commit, modes and links kept, attributes of the commit without effect."""
    commit = git(repository, "rev-parse", "HEAD~1")
    told = []

    with git_context(repository.as_uri(), commit, "Dockerfile", tmp_path, told.append) as (stream, _):
        data = b"".join(stream)

    found = members([data])
    assert found["big"] == bytes(range(256)) * 9000
    assert found["link"] == "run.sh"
    assert found["left.out"] == b"kept all the same"
    assert found["id"] == b"$Format:%H$"
    assert "later" not in found
    assert "secret.txt" not in found
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        assert archive.getmember("run.sh").mode == 0o755
        assert archive.pax_headers == {}
    assert told == [f"fetching {repository.as_uri()} at {commit[:12]}"]


def test_a_repository_may_be_a_path_in_the_workspace(repository, tmp_path):
    """A relative path is relative to the workspace."""
    commit = git(repository, "rev-parse", "HEAD")

    with git_context("repo", commit, "Dockerfile", tmp_path, lambda _: None) as (stream, _):
        assert members(stream)["later"] == b"2"


def test_a_commit_that_is_not_there_is_an_error(repository, tmp_path):
    """Forty digits, but of nothing in this repository."""
    with (
        pytest.raises(InputError, match="could not be read"),
        git_context(repository.as_uri(), "0" * 39 + "1", "Dockerfile", tmp_path, lambda _: None),
    ):
        pass


def test_a_tag_object_is_no_commit(repository, tmp_path):
    """An annotated tag has an id too; the tree must pin the commit itself."""
    git(repository, "tag", "-a", "v1", "-m", "v1")
    tag = git(repository, "rev-parse", "v1")

    with (
        pytest.raises(InputError, match="is not a commit of"),
        git_context(repository.as_uri(), tag, "Dockerfile", tmp_path, lambda _: None),
    ):
        pass


@pytest.mark.parametrize("commit", ["trunk", "HEAD", "abc1234", "--upload-pack=x", ""])
def test_only_a_full_commit_id_is_taken(repository, tmp_path, commit):
    """Names and short ids move."""
    with (
        pytest.raises(InputError, match="not a full commit id"),
        git_context(repository.as_uri(), commit, "Dockerfile", tmp_path, lambda _: None),
    ):
        pass


@pytest.mark.parametrize(
    "context", ["ext::sh -c 'touch {}'", "fd::7", "ext://x", "--upload-pack=touch {}", "-u", "nowhere"]
)
def test_an_address_never_runs_a_program(tmp_path, context):
    """Git can run commands for some addresses; these are refused."""
    mark = tmp_path / "ran"

    with (
        pytest.raises(InputError),
        git_context(context.format(mark), "0" * 40, "Dockerfile", tmp_path, lambda _: None),
    ):
        pass

    assert not mark.exists()


def test_a_missing_dockerfile_is_said_before_the_engine_hears_of_it(repository, tmp_path):
    """The path is wrong in the commit."""
    commit = git(repository, "rev-parse", "HEAD")

    with (
        pytest.raises(InputError, match="there is no build/Dockerfile at commit"),
        git_context(repository.as_uri(), commit, "build/Dockerfile", tmp_path, lambda _: None),
    ):
        pass


@pytest.mark.parametrize(
    ("context", "commit", "dockerfile", "said"),
    [
        ("there", "", "Dockerfile", ""),
        ("there", "", "Other", "there is no Other in"),
        ("gone", "", "Dockerfile", "there is no folder"),
        ("https://example.org/x.git", "a" * 40, "Dockerfile", ""),
        ("git@example.org:x/y.git", "a" * 64, "Dockerfile", ""),
        ("https://example.org/x.git", "main", "Dockerfile", "not a full commit id"),
        ("ftp://example.org/x.git", "a" * 40, "Dockerfile", "cannot be fetched by ftp"),
        ("gone", "a" * 40, "Dockerfile", "there is no repository"),
    ],
)
def test_what_is_known_against_a_context_is_said(tmp_path, context, commit, dockerfile, said):
    """The plan's question, answered without a network."""
    lay(tmp_path, {"there/Dockerfile": b""})

    answer = context_obstacle(context, commit, dockerfile, tmp_path)

    assert said in answer
    assert bool(answer) == bool(said)
