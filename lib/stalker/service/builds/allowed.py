"""Refuse what a pushed tree asks of this machine beyond what its project allows, each with its line."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from stalker.config.syntax.report import Report
from stalker.errors import FilesError
from stalker.fetch.urls import local_path, shown
from stalker.model.diagnostics import Place
from stalker.model.tree import BootstrapBase, DiskBase, DockerfileBase, TarballBase

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from stalker.model.inputs import Download
    from stalker.model.service import Allowed
    from stalker.model.tree import Base, Option, Step, Tree

HARMLESS = frozenset(
    {
        "blkio_weight",
        "cap_drop",
        "cpu_period",
        "cpu_quota",
        "cpu_shares",
        "cpuset_cpus",
        "cpuset_mems",
        "detach",
        "dns",
        "dns_opt",
        "dns_search",
        "domainname",
        "entrypoint",
        "extra_hosts",
        "group_add",
        "hostname",
        "init",
        "mem_limit",
        "mem_reservation",
        "mem_swappiness",
        "memswap_limit",
        "nano_cpus",
        "pids_limit",
        "remove",
        "shm_size",
        "stderr",
        "stdin_open",
        "stdout",
        "tmpfs",
        "tty",
        "ulimits",
        "user",
        "working_dir",
    }
)
"""Options of DOCKER_OPTS that change the container alone; all others need `privileged`."""

USUAL_NETWORK = "bridge"


def refuse_beyond(tree: Tree, allowed: Allowed, roots: Sequence[str]) -> None:
    """Raise FilesError with all that a tree asks beyond `allowed`.

    `roots` are the directories that it may use: its checkout, and the kept directories of its project.
    """
    report = Report()
    inside = tuple(os.path.realpath(root) for root in roots)
    permitted = (*inside, *(os.path.realpath(path) for path in allowed.host_paths))
    for path, place in _host_paths(tree):
        if not _is_below(os.path.realpath(os.path.join(tree.workspace, path)), permitted):  # noqa: PTH118
            report.problem(place, f"{path} is outside of the repository", "allow.host_paths of the project")
    for name, path in (("LOG_DIR", tree.log_dir), ("ARTIFACTS_DIR", tree.artifacts_dir)):
        if not _is_below(os.path.realpath(os.path.join(tree.workspace, path)), inside):  # noqa: PTH118
            what = f"{name} is {path}, which is outside of the repository"
            report.problem(Place(tree.file), what, "the service keeps logs and artifacts")
    for secret in tree.secrets:
        if secret.env and secret.env not in allowed.secrets:
            what = f"the secret {secret.env} is not given to this project"
            report.problem(secret.place, what, "allow.secrets of the project")
    for address, place in _repositories(tree):
        if _uses_ssh(address) and not allowed.is_privileged:
            what = f"{shown(address)} is fetched by ssh, with the keys of the service"
            report.problem(place, what, "use https, or allow: { privileged: true } of the project")
    for stalk in tree.stalks:
        for step in stalk.steps:
            _check_options(step, allowed, report)
    if report.has_errors:
        raise FilesError(report.errors(), "`allow` of the project in service.hjson decides")


def _check_options(step: Step, allowed: Allowed, report: Report) -> None:
    network: tuple[str, Place] = (USUAL_NETWORK, step.place)
    for option in step.options:
        if option.name == "network_mode":
            network = (str(json.loads(option.value)), option.place)
        elif not allowed.is_privileged and _is_power(option):
            what = f"{option.name} gives rights over the machine"
            report.problem(option.place, what, "allow: { privileged: true } of the project")
    if network[0] not in allowed.networks and not allowed.is_privileged:
        report.problem(
            network[1], f"the network '{network[0]}' is not allowed", "allow.networks of the project"
        )


def _is_power(option: Option) -> bool:
    return option.name not in HARMLESS and option.value not in {"false", "null", "[]", "{}"}


def _host_paths(tree: Tree) -> Iterator[tuple[str, Place]]:
    """Give the paths of this machine that a tree reads or mounts, with their places."""
    for file, _ in tree.files_read:
        yield file, Place(tree.file)
    for secret in tree.secrets:
        if secret.file:
            yield secret.file, secret.place
    for stalk in tree.stalks:
        for base in stalk.bases:
            for path in _paths_of(base):
                yield path, base.place
        for step in stalk.steps:
            for mount in step.mounts:
                if mount.git is not None:
                    if mount.git.url.lower().startswith("file:"):
                        yield str(local_path(mount.git.url, Path())), mount.place
                elif mount.kind == "directory":
                    yield mount.source, mount.place
            for file_ in (*step.files, *step.copies, *step.late_copies):
                if file_.host_path:
                    yield file_.host_path, file_.place
                if file_.download is not None:
                    yield from ((path, file_.place) for path in _paths_of_download(file_.download))


def _paths_of_download(download: Download) -> Iterator[str]:
    """Give the paths of this machine among the addresses of a download."""
    source = download.source
    digest = (source.digest.value,) if source.digest is not None and source.digest.is_url else ()
    for url in (source.url, *source.mirrors, *digest):
        path = local_path(url, Path())
        if path is not None:
            yield str(path)


def _paths_of(base: Base) -> Iterator[str]:
    match base:
        case TarballBase():
            sources = (base.source, base.signature, *base.keys)
        case DiskBase():
            sources = (base.source,)
        case BootstrapBase():
            # mmdebstrap reads this machine's files by `file:` and `copy:`.
            sources = tuple(re.findall(r"(?:file|copy):(/\S*)", base.mirror))
        case DockerfileBase() if not base.commit:
            sources = (base.context,)
        case _:
            sources = ()
    for source in sources:
        path = local_path(source, Path()) if source else None
        if path is not None:
            yield str(path)


def _uses_ssh(address: str) -> bool:
    """Return whether git fetches an address by ssh, with the keys of the service's user."""
    scheme, mark, _ = address.partition("://")
    return scheme.lower() not in {"https", "http", "git", "file"} if mark else "@" in address


def _repositories(tree: Tree) -> Iterator[tuple[str, Place]]:
    """Give the git repositories that a tree names, with their places."""
    for stalk in tree.stalks:
        for base in stalk.bases:
            if isinstance(base, DockerfileBase) and base.commit:
                yield base.context, base.place
        for step in stalk.steps:
            yield from ((mount.git.url, mount.place) for mount in step.mounts if mount.git is not None)


def _is_below(path: str, roots: tuple[str, ...]) -> bool:
    return any(path == root or path.startswith(root.rstrip("/") + "/") for root in roots)
