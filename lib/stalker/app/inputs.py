"""Inputs of steps that come from servers: asked for where nothing pins them, fetched for the steps that run.

Files come by URL, directories from git repositories.

A plan knows each input by its content. A checksum is that, so nothing is asked of a server; of a URL without one the
server is asked once a plan, and what it has is then in the cache. All else is fetched just before the steps run.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from stalker.app.environment import cache_dir

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from stalker.fetch.cache.cache import Cache
    from stalker.fetch.cache.request import Fetched, Request
    from stalker.fetch.git.mirror import Mirrors, Resolved
    from stalker.io.progress import Say
    from stalker.model.inputs import Download, GitSource
    from stalker.model.tree import File, Mount, Step, Tree


def has_unsettled(tree: Tree) -> bool:
    """Return whether a tree has inputs whose content is not known before something else is looked at."""
    steps = _steps(tree)
    return bool(_unsettled(steps) or _repositories(steps))


def has_moving(tree: Tree) -> bool:
    """Return whether a tree has inputs that can be another content tomorrow, as no checksum or commit pins them."""
    return bool(moving_inputs(tree))


def moving_inputs(tree: Tree) -> list[tuple[str, str]]:
    """Return URL and ref of each input that can be another content tomorrow; the ref of a file is empty."""
    steps = _steps(tree)
    found = [(download.source.url, "") for download in _unsettled(steps)]
    found += [(one.url, one.ref) for one in _repositories(steps) if one.is_moving]
    return list(dict.fromkeys(found))


def settle_inputs(tree: Tree, secrets: Mapping[str, str], environ: Mapping[str, str], say: Say) -> Tree:
    """Return the tree with the digest of each input; `secrets` are values read already.

    Raises:
        InputError: one is not available. FilesError: a secret that is needed for one cannot be read.
    """
    steps = _steps(tree)
    with _fetched(_unsettled(steps), tree, secrets, environ, say) as files:
        digests = {download: file.sha256 for download, file in files.items()}
    resolved = _resolved(_repositories(steps), tree, secrets, environ, say)

    def settled(file: File) -> File:
        return replace(file, digest=digests[file.download]) if file.download in digests else file

    def pinned(mount: Mount) -> Mount:
        if mount.git is None:
            return mount
        found = resolved[mount.git]
        # What runs later is the commit that the plan knows.
        return replace(mount, digest=found.digest, git=replace(mount.git, ref=found.commit))

    return change_inputs(tree, settled, pinned)


def change_inputs(tree: Tree, change: Callable[[File], File], change_mount: Callable[[Mount], Mount]) -> Tree:
    """Return a tree with its files and mounts changed where they are fetched; what steps share stays shared."""
    filling = _Filling(change, change_mount)
    stalks = tuple(
        replace(stalk, steps=tuple(filling.step(step) for step in stalk.steps)) for stalk in tree.stalks
    )
    return replace(tree, stalks=stalks)


@contextlib.contextmanager
def provided_inputs(
    tree: Tree, steps: Sequence[Step], secrets: Mapping[str, str], environ: Mapping[str, str], say: Say
) -> Iterator[Callable[[Step], Step]]:
    """Fetch the inputs of some steps; yield what gives a step the files of this host that they are in.

    The files stay until the end. Raises as `settle_inputs` does.
    """
    found = {
        file.download: file.digest
        for step in steps
        for file in (*step.files, *step.copies, *step.late_copies)
        if file.download is not None
    }
    with _fetched(found, tree, secrets, environ, say) as files:
        places = {download: (str(file.path), file.sha256) for download, file in files.items()}
        directories = _checkouts(_repositories(steps), tree, secrets, environ, say)

        def placed(file: File) -> File:
            if file.download not in places:
                return file
            path, sha256 = places[file.download]
            return replace(file, host_path=path, digest=sha256)

        def mounted(mount: Mount) -> Mount:
            if mount.git is None:
                return mount
            path, digest = directories[mount.git]
            return replace(mount, source=path, digest=digest, git=None)

        yield _Filling(placed, mounted).step


def _steps(tree: Tree) -> list[Step]:
    return [step for stalk in tree.stalks for step in stalk.steps]


def _repositories(steps: Iterable[Step]) -> list[GitSource]:
    """Return the repositories that steps mount directories of, each once."""
    groups = {id(step.mounts): step.mounts for step in steps if step.mounts}
    found = (mount.git for mounts in groups.values() for mount in mounts if mount.git is not None)
    return list(dict.fromkeys(found))


def _mirrors(say: Say) -> Mirrors:
    from stalker.fetch.git.mirror import Mirrors  # late: few trees have inputs that are fetched

    return Mirrors(cache_dir() / "git", say)


def _resolved(
    sources: Sequence[GitSource],
    tree: Tree,
    secrets: Mapping[str, str],
    environ: Mapping[str, str],
    say: Say,
) -> dict[GitSource, Resolved]:
    """Return what each source is now, with its headers filled."""
    if not sources:
        return {}
    values = _header_secrets(sources, tree, secrets, environ)
    mirrors = _mirrors(say)
    return {one: mirrors.resolve(replace(one, headers=_headers(one, values))) for one in sources}


def _checkouts(
    sources: Sequence[GitSource],
    tree: Tree,
    secrets: Mapping[str, str],
    environ: Mapping[str, str],
    say: Say,
) -> dict[GitSource, tuple[str, str]]:
    """Return the directory of this host with the files of each source, and the digest of its content."""
    resolved = _resolved(sources, tree, secrets, environ, say)
    found = {source: _mirrors(say).checkout(one) for source, one in resolved.items()}
    return {source: (str(path), digest) for source, (path, digest) in found.items()}


def _headers(source: Download | GitSource, secrets: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Return the headers of an input with the values of its secrets."""
    from stalker.config.plugins.content import fill_secrets  # late: a tree from the cache needs no readers

    return tuple(
        (name, fill_secrets(value.encode(), secrets).decode("utf-8", "surrogateescape"))
        for name, value in source.headers
    )


def _unsettled(steps: Iterable[Step]) -> dict[Download, str]:
    """Return the downloads whose digest is not known; what steps share is looked at once."""
    groups = {
        id(files): files for step in steps for files in (step.files, step.copies, step.late_copies) if files
    }
    return {
        file.download: ""
        for files in groups.values()
        for file in files
        if file.download is not None and not file.digest
    }


@contextlib.contextmanager
def _fetched(
    downloads: Mapping[Download, str],
    tree: Tree,
    secrets: Mapping[str, str],
    environ: Mapping[str, str],
    say: Say,
) -> Iterator[dict[Download, Fetched]]:
    """Yield a file for each download; `downloads` gives the digest that was planned, empty for none."""
    if not downloads:
        yield {}
        return
    # late: few trees have inputs that are fetched, and httpx takes 80 ms
    from stalker.fetch.cache.cache import Cache
    from stalker.fetch.cache.parallel import fetched_together
    from stalker.io.progress import Lines

    values = _header_secrets(downloads, tree, secrets, environ)
    with Cache(cache_dir() / "downloads", say=say) as cache:
        requests = [_request(one, digest, values, cache) for one, digest in downloads.items()]
        with fetched_together(cache, requests, reporter=Lines(say)) as files:
            yield dict(zip(downloads, files, strict=True))


def _request(download: Download, digest: str, secrets: Mapping[str, str], cache: Cache) -> Request:
    """Return what the cache is asked for: what was planned, where something was."""
    from stalker.fetch.source import request_of  # late: as above
    from stalker.model.card import Digest

    algorithm, _, digits = digest.rpartition(":")
    source = download.source
    if digest:
        source = replace(source, digest=Digest(algorithm or "sha256", digits))
    return replace(request_of(source, cache), headers=dict(_headers(download, secrets)))


def _header_secrets(
    inputs: Iterable[Download | GitSource], tree: Tree, secrets: Mapping[str, str], environ: Mapping[str, str]
) -> Mapping[str, str]:
    needed = {name for one in inputs for name in one.secrets}
    missing = sorted(needed - secrets.keys())
    if not missing:
        return secrets
    from stalker.config.tree.secrets import read_secrets  # late: a tree from the cache needs no readers

    return {**secrets, **read_secrets(tree, missing, environ)}


@dataclass(slots=True)
class _Filling:
    """Changes the files of steps that have a download, and the mounts; what steps share stays shared."""

    change: Callable[[File], File]
    change_mount: Callable[[Mount], Mount]
    _known: dict[int, tuple[tuple[File, ...], tuple[File, ...]]] = field(default_factory=dict)
    _mounts: dict[int, tuple[tuple[Mount, ...], tuple[Mount, ...]]] = field(default_factory=dict)

    def step(self, step: Step) -> Step:
        """Return a step with its files changed."""
        given = (step.files, step.copies, step.late_copies)
        files, copies, late = map(self._files, given)
        mounts = self._mounted(step.mounts)
        if (files, copies, late, mounts) == (*given, step.mounts):
            return step
        return replace(step, files=files, copies=copies, late_copies=late, mounts=mounts)

    def _mounted(self, mounts: tuple[Mount, ...]) -> tuple[Mount, ...]:
        if not any(mount.git is not None for mount in mounts):
            return mounts
        if id(mounts) not in self._mounts:
            self._mounts[id(mounts)] = mounts, tuple(map(self.change_mount, mounts))
        return self._mounts[id(mounts)][1]

    def _files(self, files: tuple[File, ...]) -> tuple[File, ...]:
        if not any(file.download is not None for file in files):
            return files
        if id(files) not in self._known:
            self._known[id(files)] = files, tuple(map(self.change, files))
        return self._known[id(files)][1]
