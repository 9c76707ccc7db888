"""Inputs of steps that come from servers: asked for where nothing pins them, fetched for the steps that run.

A plan knows each input by its content. A checksum is that, so nothing is asked of a server; of a URL without one the
server is asked once a plan, and what it has is then in the cache. All else is fetched just before the steps run.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from stalker.app.environment import cache_dir

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from stalker.fetch.cache.cache import Cache
    from stalker.fetch.cache.request import Fetched, Request
    from stalker.io.progress import Say
    from stalker.model.inputs import Download
    from stalker.model.tree import File, Step, Tree


def has_unsettled(tree: Tree) -> bool:
    """Return whether a tree has inputs whose content is not known before their servers are asked."""
    return bool(_unsettled(step for stalk in tree.stalks for step in stalk.steps))


def settle_inputs(tree: Tree, secrets: Mapping[str, str], environ: Mapping[str, str], say: Say) -> Tree:
    """Return the tree with the digest of each input; `secrets` are values read already.

    Raises:
        InputError: one is not available. FilesError: a secret that is needed for one cannot be read.
    """
    steps = [step for stalk in tree.stalks for step in stalk.steps]
    with _fetched(_unsettled(steps), tree, secrets, environ, say) as files:
        digests = {download: file.sha256 for download, file in files.items()}
    filling = _Filling(
        lambda file: replace(file, digest=digests[file.download]) if file.download in digests else file
    )
    stalks = tuple(
        replace(stalk, steps=tuple(filling.step(step) for step in stalk.steps)) for stalk in tree.stalks
    )
    return replace(tree, stalks=stalks)


@contextlib.contextmanager
def provided_inputs(
    tree: Tree, steps: Iterable[Step], secrets: Mapping[str, str], environ: Mapping[str, str], say: Say
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

        def placed(file: File) -> File:
            if file.download not in places:
                return file
            path, sha256 = places[file.download]
            return replace(file, host_path=path, digest=sha256)

        yield _Filling(placed).step


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
    from stalker.config.plugins.content import fill_secrets  # late: as above
    from stalker.fetch.source import request_of
    from stalker.model.card import Digest

    algorithm, _, digits = digest.rpartition(":")
    source = download.source
    if digest:
        source = replace(source, digest=Digest(algorithm or "sha256", digits))
    headers = {
        name: fill_secrets(value.encode(), secrets).decode("utf-8", "surrogateescape")
        for name, value in download.headers
    }
    return replace(request_of(source, cache), headers=headers)


def _header_secrets(
    downloads: Iterable[Download], tree: Tree, secrets: Mapping[str, str], environ: Mapping[str, str]
) -> Mapping[str, str]:
    needed = {name for download in downloads for name in download.secrets}
    missing = sorted(needed - secrets.keys())
    if not missing:
        return secrets
    from stalker.config.tree.secrets import read_secrets  # late: a tree from the cache needs no readers

    return {**secrets, **read_secrets(tree, missing, environ)}


@dataclass(slots=True)
class _Filling:
    """Changes the files of steps that have a download; what steps share stays shared."""

    change: Callable[[File], File]
    _known: dict[int, tuple[tuple[File, ...], tuple[File, ...]]] = field(default_factory=dict)

    def step(self, step: Step) -> Step:
        """Return a step with its files changed."""
        given = (step.files, step.copies, step.late_copies)
        files, copies, late = map(self._files, given)
        if (files, copies, late) == given:
            return step
        return replace(step, files=files, copies=copies, late_copies=late)

    def _files(self, files: tuple[File, ...]) -> tuple[File, ...]:
        if not any(file.download is not None for file in files):
            return files
        if id(files) not in self._known:
            self._known[id(files)] = files, tuple(map(self.change, files))
        return self._known[id(files)][1]
