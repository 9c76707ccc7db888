"""Mirrors of git repositories in the user's cache: what a name stands for, commits, and checkouts of them.

    <digest of the address>/   a bare repository with the commits that were asked for, and nothing else
    trees/<digest>/            a checkout, by the tree and those of its submodules
    trees/<digest>.sha256      the digest of that checkout's content when it was made

A commit that a mirror has needs no server. A checkout is compared with its digest before it is used, and made
again when it differs.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import posixpath
import re
import shutil
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from stalker.config.digests import digest_directory
from stalker.errors import InputError
from stalker.fetch.git.program import git, new_repository, repository_address
from stalker.fetch.urls import cannot_write, local_path, locked, shown
from stalker.io.atomic import write_file

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stalker.io.progress import Say
    from stalker.model.inputs import GitSource

COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")

DEPTH_MAX = 10
"""Submodules in submodules, at most."""

MTIME_S = 315532800
"""Of all files of a checkout, since a tree has no times: 1980, which every archive can hold."""


@dataclass(frozen=True, slots=True)
class Resolved:
    """What a git source is now: the commit, and what identifies the files that it gives.

    `trees` are the tree of each path: of the source itself under the empty one, and of its submodules.
    """

    source: GitSource
    commit: str
    trees: tuple[tuple[str, str, Path], ...]

    @property
    def digest(self) -> str:
        """What counts: the tree's id, which covers the commits of submodules, and which of the two was asked for."""
        (_, tree, _), *_ = self.trees
        return f"git tree {tree}" + (" with submodules" if self.source.has_submodules else "")


class Mirrors:
    """The mirrors below `root`; any number of threads and processes may use one root."""

    def __init__(self, root: Path, say: Say) -> None:
        self.root = root
        self.say = say

    def resolve(self, source: GitSource) -> Resolved:
        """Ask for the commit that a source names now, and fetch it where it is missing.

        Without a server, the commit of the last time is used, and reported. `headers` of the source hold no
        markers any more. Raises InputError.
        """
        mirror = self._mirror(source)
        with self._locked(mirror, source):
            self._ensure(mirror, source)
            commit = (
                source.ref.lower()
                if COMMIT.fullmatch(source.ref.lower())
                else self._commit_of(mirror, source)
            )
            self._fetch(mirror, source, commit)
        path = f"{commit}^{{tree}}" if not source.subdirectory else f"{commit}:{source.subdirectory}"
        tree = self._tree(mirror, path, source)
        trees = [("", tree, mirror)]
        if source.has_submodules:
            trees += self._submodules(mirror, source, commit, 1)
        return Resolved(source, commit, tuple(trees))

    def checkout(self, resolved: Resolved) -> tuple[Path, str]:
        """Return the directory with the files of a resolved source, and the digest of its content.

        Owners count in the digest, as in that of other directories that are mounted. Raises InputError.
        """
        key = hashlib.sha256(
            "\0".join(f"{path}\0{tree}" for path, tree, _ in resolved.trees).encode()
        ).hexdigest()
        target = self.root / "trees" / key
        note = target.with_name(f"{key}.sha256")
        try:
            with self._locked(target, resolved.source):
                with contextlib.suppress(OSError):
                    known = note.read_text()
                    if digest_directory(str(target), owners=True) == known:
                        return target, known
                return target, self._check_out(resolved, target, note)
        except OSError as error:
            raise cannot_write(self.root, error) from error

    def _check_out(self, resolved: Resolved, target: Path, note: Path) -> str:
        shutil.rmtree(target, ignore_errors=True)
        with tempfile.TemporaryDirectory(prefix=".making-", dir=target.parent) as temporary:
            made = Path(temporary, "tree")
            made.mkdir()
            for path, tree, mirror in resolved.trees:
                below = made / path
                below.mkdir(parents=True, exist_ok=True)
                index = {"GIT_INDEX_FILE": str(Path(temporary, "index"))}
                Path(index["GIT_INDEX_FILE"]).unlink(missing_ok=True)
                git(str(mirror), "read-tree", tree, environment=index)
                git(
                    str(mirror),
                    *("-c", "core.bare=false", "-c", "core.symlinks=true", f"--work-tree={below}"),
                    *("checkout-index", "--all", "--force"),
                    environment=index,
                )
            _normalise(made)
            digest = digest_directory(str(made), owners=True)
            made.rename(target)
            write_file(str(note), digest.encode(), mode=0o644)
        return digest

    def _submodules(
        self, mirror: Path, source: GitSource, commit: str, depth: int, below: str = ""
    ) -> Iterator[tuple[str, str, Path]]:
        """Yield path, tree and mirror of each submodule below a source's subdirectory, those in them too."""
        places = _links(mirror, commit)
        if not places:
            return
        if depth > DEPTH_MAX:
            raise InputError(f"{shown(source.url)}: more than {DEPTH_MAX} submodules in each other", commit)
        addresses = _addresses(mirror, commit, source)
        prefix = f"{source.subdirectory}/" if source.subdirectory else ""
        for path, pinned in places.items():
            if not path.startswith(prefix):
                continue
            if path not in addresses:
                raise InputError(
                    f"{shown(source.url)}: .gitmodules at {commit[:12]} gives no URL of {path}",
                    "",
                    "correct the repository, or leave submodules out",
                )
            url = _joined(source.url, addresses[path])
            if local_path(url, Path("/")) is not None and "://" not in url:
                url = Path(url).as_uri()
            if url.startswith("file:") and not _is_local(source.url):
                raise InputError(
                    f"{shown(source.url)}: the submodule {path} is on this host: {shown(url)}",
                    "a repository of a server cannot name files of this host",
                    "correct the repository, or leave submodules out",
                )
            is_same_host = url.split("/", 3)[:3] == source.url.split("/", 3)[:3]
            headers = source.headers if is_same_host else ()
            own = replace(source, url=url, ref=pinned, subdirectory="", headers=headers)
            inner = self._mirror(own)
            with self._locked(inner, own):
                self._ensure(inner, own)
                self._fetch(inner, own, pinned)
            at = posixpath.join(below, path.removeprefix(prefix))
            yield at, self._tree(inner, f"{pinned}^{{tree}}", own), inner
            yield from self._submodules(inner, own, pinned, depth + 1, at)

    def _mirror(self, source: GitSource) -> Path:
        return self.root / hashlib.sha256(source.url.encode()).hexdigest()[:32]

    def _locked(self, path: Path, source: GitSource) -> contextlib.AbstractContextManager[None]:
        return locked(path, self.say, shown(source.url))

    def _ensure(self, mirror: Path, source: GitSource) -> None:
        if (mirror / "HEAD").exists():
            return
        with tempfile.TemporaryDirectory(prefix=".making-", dir=mirror.parent) as temporary:
            made = Path(temporary, "mirror")
            new_repository(str(made), has_sha256=len(source.ref) == 64)
            made.rename(mirror)

    def _commit_of(self, mirror: Path, source: GitSource) -> str:
        """Return the commit of a branch or tag as its server says now."""
        kept = f"refs/stalker/names/{hashlib.sha256(source.ref.encode()).hexdigest()}"
        try:
            address = repository_address(source.url, Path("/"))
            names = [source.ref]
            if not source.ref.startswith("refs/") and source.ref != "HEAD":
                names = [f"refs/heads/{source.ref}", f"refs/tags/{source.ref}"]
            names += [f"{name}^{{}}" for name in names]
            listed = git(
                str(mirror), "ls-remote", "--quiet", "--", address, *names, headers=source.headers
            ).decode("utf-8", "replace")
        except InputError as error:
            known = _rev(mirror, kept)
            if not known:
                raise InputError(
                    f"{shown(source.url)} cannot be read", error.details or error.brief, error.resolution
                ) from error
            self.say(
                f"{shown(source.url)} cannot be reached; {source.ref} is taken as {known[:12]}, as last time"
            )
            return known
        lines = (line.partition("\t") for line in listed.splitlines())
        found = {name: commit for commit, _, name in lines}
        commits = [
            commit
            for name in names
            if not name.endswith("^{}")
            if (commit := found.get(f"{name}^{{}}") or found.get(name))
        ]
        if not commits:
            raise InputError(
                f"{shown(source.url)} has no branch or tag '{source.ref}'",
                f"at {source.place}",
                "a commit is written in full: 40 digits",
            )
        if len(set(commits)) > 1:
            raise InputError(
                f"{shown(source.url)}: '{source.ref}' is a branch and a tag",
                f"at {source.place}",
                f"write refs/heads/{source.ref} or refs/tags/{source.ref}",
            )
        self._fetch(mirror, source, commits[0])
        git(str(mirror), "update-ref", kept, commits[0])
        return commits[0]

    def _fetch(self, mirror: Path, source: GitSource, commit: str) -> None:
        """Fetch one commit without its history, unless it is there whole."""
        kept = f"refs/stalker/commits/{commit}"
        if _rev(mirror, kept):
            return
        self.say(f"fetching {shown(source.url)} at {commit[:12]}")
        address = repository_address(source.url, Path("/"))
        fetch = ("fetch", "--quiet", "--no-tags", "--no-recurse-submodules", "--no-write-fetch-head")
        try:
            git(str(mirror), *fetch, "--depth=1", "--", address, commit, headers=source.headers)
        except InputError:
            # Not every server gives a commit that no branch points to.
            every = "+refs/*:refs/stalker/all/*"
            git(str(mirror), *fetch, "--", address, every, headers=source.headers)
        found = _rev(mirror, f"{commit}^{{commit}}")
        if found != commit:
            raise InputError(
                f"{commit[:12]} is not a commit of {shown(source.url)}",
                f"at {source.place}",
                "write the full id of the commit itself: git rev-parse 'NAME^{commit}'",
            )
        git(str(mirror), "update-ref", kept, commit)

    def _tree(self, mirror: Path, name: str, source: GitSource) -> str:
        tree = _rev(mirror, name)
        if not tree or git(str(mirror), "cat-file", "-t", tree).strip() != b"tree":
            raise InputError(
                f"{shown(source.url)} has no directory {source.subdirectory} at {name[:12]}",
                f"at {source.place}",
                "correct subdirectory or ref",
            )
        return tree


def _rev(mirror: Path, name: str) -> str:
    """Return the id that a name stands for in a mirror, empty when it has none."""
    with contextlib.suppress(InputError):
        found = git(str(mirror), "rev-parse", "--quiet", "--verify", "--end-of-options", name)
        return str(found.decode()).strip()
    return ""


def _links(mirror: Path, commit: str) -> dict[str, str]:
    """Return the paths of submodules, each with its commit."""
    listed = git(str(mirror), "ls-tree", "-r", "-z", "--full-tree", "--end-of-options", commit)
    found = {}
    for line in listed.decode("utf-8", "surrogateescape").split("\0"):
        head, _, path = line.partition("\t")
        mode, _, rest = head.partition(" ")
        if mode == "160000":
            found[path] = rest.split()[1]
    return found


def _addresses(mirror: Path, commit: str, source: GitSource) -> dict[str, str]:
    """Return path and URL of each submodule as `.gitmodules` has them."""
    try:
        listed = git(str(mirror), "config", "--blob", f"{commit}:.gitmodules", "--list", "-z")
    except InputError as error:
        raise InputError(
            f"{shown(source.url)}: there is no .gitmodules at {commit[:12]}", error.details
        ) from error
    named: dict[str, dict[str, str]] = {}
    for line in listed.decode("utf-8", "replace").split("\0"):
        key, _, value = line.partition("\n")
        if key.startswith("submodule."):
            name, _, field = key.removeprefix("submodule.").rpartition(".")
            named.setdefault(name, {})[field] = value
    return {one["path"]: one["url"] for one in named.values() if one.keys() >= {"path", "url"}}


def _joined(url: str, other: str) -> str:
    """Return the address of a submodule; a relative one is relative to the repository, as git has it."""
    if not other.startswith(("./", "../")):
        return other
    if "://" in url:
        scheme, _, rest = url.partition("://")
        host, _, path = rest.partition("/")
        return f"{scheme}://{host}{posixpath.normpath(posixpath.join('/', path, other))}"
    host, colon, path = url.rpartition(":")
    return host + colon + posixpath.normpath(posixpath.join(path, other))


def _is_local(url: str) -> bool:
    return url.lower().startswith("file:") or url.startswith("/")


def _normalise(directory: Path) -> None:
    """Give a checkout the modes and times that it has everywhere, whatever the umask."""
    for above, names, files in os.walk(directory, topdown=False):
        for name in (*files, *names):
            path = Path(above, name)
            if not path.is_symlink():
                is_program = path.is_dir() or path.stat().st_mode & 0o100
                path.chmod(0o755 if is_program else 0o644)
            os.utime(path, (MTIME_S, MTIME_S), follow_symlinks=False)
    directory.chmod(0o755)
    os.utime(directory, (MTIME_S, MTIME_S))
