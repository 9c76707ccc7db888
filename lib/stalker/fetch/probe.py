"""What can be known against a base before it is fetched: a look at files, one short question to a server.

Only a plain refusal counts. A server that does not answer this question may still answer apt's, which
knows proxies that we do not.
"""

from __future__ import annotations

import re
from pathlib import Path

from stalker.errors import InputError
from stalker.fetch.cache import Cache
from stalker.fetch.client import new_client
from stalker.fetch.files import local_path, shown
from stalker.fetch.mirror import deb_lines
from stalker.fetch.openpgp import full_fingerprint, gpg_obstacle
from stalker.fetch.tarball import check_is_pinned
from stalker.model.tree import BootstrapBase, TarballBase

PATIENCE_S = 5.0


def tarball_obstacle(base: TarballBase, workspace: Path, cache_dir: Path) -> str:
    """Say why a tarball cannot be had or verified here, empty when nothing is known against it."""
    try:
        check_is_pinned(base)
        for fingerprint in base.fingerprints:
            full_fingerprint(fingerprint)
    except InputError as error:
        return error.brief
    if base.signature:
        if not base.fingerprints:
            return "it has a signature, but no fingerprint says who may sign"
        if problem := gpg_obstacle():
            return problem
        for key in base.keys:
            if not (workspace / key).is_file():
                return f"there is no key file {workspace / key}"
    for source, sha256 in ((base.source, base.sha256), (base.signature, "")):
        if source and (problem := _source_obstacle(source, sha256, workspace, cache_dir)):
            return problem
    return ""


def suite_obstacle(base: BootstrapBase) -> str:
    """Say when the mirror has no such suite."""
    mirror = base.mirror or next((line.split()[1] for line in deb_lines(base.suite, ("main",))), "")
    if not re.match(r"https?://", mirror):
        return ""
    status, _ = _ask(f"{mirror.rstrip('/')}/dists/{base.suite}/InRelease")
    return f"{shown(mirror)} has no suite {base.suite}" if status in {404, 410} else ""


def _source_obstacle(source: str, sha256: str, workspace: Path, cache_dir: Path) -> str:
    path = local_path(source, workspace)
    if path is not None:
        if not path.is_file():
            return f"there is no file {path}"
        return "" if path.stat().st_size else f"{path} is empty"
    if not re.match(r"https?://", source, re.IGNORECASE):
        return f"{shown(source)} is neither http, https, file nor a path"
    if Cache(cache_dir).keeper.has(source, sha256):
        return ""
    status, reason = _ask(source)
    if not status:
        return f"{shown(source)} cannot be reached: {reason}"
    return f"{shown(source)}: the server answers {status}" if status in {401, 404, 410} else ""


def _ask(url: str) -> tuple[int, str]:
    """Return the status of a HEAD request, or 0 and the reason why there is none."""
    import httpx  # late: it takes a tenth of a second

    try:
        with new_client(PATIENCE_S) as client:
            return client.head(url).status_code, ""
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return 0, str(error) or type(error).__name__
