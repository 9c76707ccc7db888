"""The directory of a Dockerfile as a tar stream, from this host or from a commit of a git repository."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import re
import tarfile
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import IO

from stalker.config.tree.build_context import IGNORE_FILE, ContextDigest, sent_entries
from stalker.errors import InputError
from stalker.fetch.git.program import git, git_output, new_repository, repository_address
from stalker.fetch.urls import shown
from stalker.formats.dockerignore import IgnoreRules
from stalker.io.chunk_reader import Readable
from stalker.io.hashing import CHUNK_BYTES
from stalker.io.progress import Say

_KINDS = {tarfile.DIRTYPE: "directory", tarfile.SYMTYPE: "link", tarfile.LNKTYPE: "hard link"}


def folder_context(folder: Path, dockerfile: str, planned: str = "") -> Iterator[bytes]:
    """Yield a directory as a tar stream without what its .dockerignore names, entries in order of name.

    Links are sent as links; owners are root. `planned` is the digest that it had when the tree was read.
    Raises InputError when a file changes under the reader, or did since then.
    """
    digest = ContextDigest()
    # Used for what it knows of files only; nothing is written through it.
    with tarfile.TarFile(fileobj=io.BytesIO(), mode="w", format=tarfile.PAX_FORMAT) as reader:
        for name, _ in sent_entries(str(folder), dockerfile):
            path = folder / name
            info = reader.gettarinfo(str(path), name)
            if info is None:
                continue  # a socket
            if not info.isreg():
                kind = _KINDS.get(info.type, "node")
                digest.add(name, kind, 0o777 if kind == "link" else info.mode, info.linkname)
                yield _header(info)
                continue
            content = hashlib.sha256()
            with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:
                yield from _entry(info, file, content)
            digest.add(name, "file", info.mode, content.hexdigest())
    if planned and str(digest) != planned:
        raise InputError(
            f"{folder} changed while the run went on",
            "what was sent to the engine no longer is what was read when the run began",
            "run again, and leave it alone until the base is made",
        )
    yield tarfile.NUL * (2 * tarfile.BLOCKSIZE)


def context_obstacle(context: str, commit: str, dockerfile: str, workspace: Path) -> str:
    """Return why a Dockerfile is not available, empty when no reason is known."""
    if commit:
        try:
            _repository(context, commit, workspace)
        except InputError as error:
            return error.brief
        return ""
    if not (workspace / context).is_dir():
        return f"there is no folder {workspace / context}"
    if not (workspace / context / dockerfile).is_file():
        return f"there is no {dockerfile} in {workspace / context}"
    return ""


@contextlib.contextmanager
def git_context(
    context: str, commit: str, dockerfile: str, workspace: Path, say: Say
) -> Iterator[tuple[Iterator[bytes], str]]:
    """Yield a commit's files as a tar stream, and its Dockerfile; nothing is checked out on this host.

    Submodules are left out. Raises InputError when the repository does not hold that very commit.
    """
    source = _repository(context, commit, workspace)
    say(f"fetching {shown(context)} at {commit[:12]}")
    with tempfile.TemporaryDirectory(prefix="stalker-git-") as folder:
        new_repository(folder, has_sha256=len(commit) == 64)
        fetch = ("fetch", "--quiet", "--no-tags", "--no-recurse-submodules")
        try:
            git(folder, *fetch, "--depth=1", "--", source, commit)
        except InputError:
            # Not every server gives a commit that no branch points to.
            git(folder, *fetch, "--", source, "+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*")
        found = git(folder, "rev-parse", "--verify", "--end-of-options", f"{commit}^{{commit}}")
        if found.decode().strip() != commit.lower():
            raise InputError(
                f"{commit[:12]} is not a commit of {shown(context)}",
                f"it stands for {found.decode().strip()}",
                "write the full id of the commit itself: git rev-parse 'NAME^{commit}'",
            )
        rules = IgnoreRules(_git_ignore_file(folder, commit, dockerfile), (dockerfile, IGNORE_FILE))
        text = git(folder, "cat-file", "blob", f"{commit}:{os.path.normpath(dockerfile)}")
        with contextlib.closing(_git_archive(folder, commit, rules)) as stream:
            yield stream, text.decode("utf-8", "replace")


def _header(info: tarfile.TarInfo) -> bytes:
    info.uid = info.gid = 0
    info.uname = info.gname = ""
    info.mtime = int(info.mtime)
    info.pax_headers = {}
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")


def _entry(info: tarfile.TarInfo, file: IO[bytes], digest: hashlib._Hash | None = None) -> Iterator[bytes]:
    yield _header(info)
    left = info.size
    while left:
        chunk = file.read(min(left, CHUNK_BYTES))
        if not chunk:
            raise InputError(f"{info.name} became shorter while it was read", "", "run again")
        left -= len(chunk)
        if digest is not None:
            digest.update(chunk)
        yield chunk
    yield tarfile.NUL * (-info.size % tarfile.BLOCKSIZE)


def _repository(context: str, commit: str, workspace: Path) -> str:
    """Return what git is to fetch from, checked: git would run a program for some addresses."""
    if not re.fullmatch(r"[0-9a-fA-F]{40}|[0-9a-fA-F]{64}", commit):
        raise InputError(
            f"{commit!r} is not a full commit id",
            "branches, tags and short ids move; a full id has 40 (or 64) hexadecimal digits",
            "write the full id: git rev-parse NAME",
        )
    return repository_address(context, workspace)


def _git_ignore_file(folder: str, commit: str, dockerfile: str) -> str:
    wanted = [dockerfile, f"{dockerfile}{IGNORE_FILE}", IGNORE_FILE]
    listed = (
        git(folder, "ls-tree", "-z", "--name-only", "--end-of-options", commit, *wanted).decode().split("\0")
    )
    if os.path.normpath(dockerfile) not in listed:
        raise InputError(f"there is no {dockerfile} at commit {commit[:12]}", "", "correct the path")
    name = next((name for name in wanted[1:] if name in listed), "")
    return git(folder, "cat-file", "blob", f"{commit}:{name}").decode("utf-8", "replace") if name else ""


def _git_archive(folder: str, commit: str, rules: IgnoreRules) -> Generator[bytes, None, None]:
    chunks = git_output(folder, "-c", "tar.umask=0022", "archive", "--format=tar", "--end-of-options", commit)
    with contextlib.closing(chunks), tarfile.open(fileobj=Readable(chunks), mode="r|") as archive:
        for info in archive:
            if rules.is_ignored(info.name.rstrip("/")):
                continue
            content = archive.extractfile(info) if info.isreg() else None
            yield from [_header(info)] if content is None else _entry(info, content)
    yield tarfile.NUL * (2 * tarfile.BLOCKSIZE)
