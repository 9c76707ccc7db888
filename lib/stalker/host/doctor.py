"""What is wrong with this machine for stalker, and the command that fixes it.

`gather` looks, `judge` decides: a pure function over what was seen, so that each judgement is tested
without an engine. `diagnose` is one after the other.
"""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from stalker.engine.discovery import answering, find_address, ping
from stalker.engine.profile import limits_of
from stalker.errors import StalkerError
from stalker.host.platform_support import Ground, judge_platform, see_ground
from stalker.io.units import size_text
from stalker.model import labels
from stalker.model.program import program
from stalker.model.tree import BootstrapBase, DockerfileBase, TarballBase

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from stalker.engine.interface import Engine, EngineInfo
    from stalker.model.tree import Tree

GB = 10**9
SLOW_STORAGE = {
    "vfs": "copies a whole image for each step",
    "devicemapper": "is slow, and gone from newer engines",
    "aufs": "is gone from newer engines",
    "fuse-overlayfs": "is slower than overlay2",
}
FOLDERS = ("trees", "stalks", "logs")
"""The directories of a workspace that are looked at: the first two are needed, the last is made by a run."""

PACKAGES = {"dot": "graphviz", "mmdebstrap": "mmdebstrap", "gpg": "gpg", "git": "git"}
USES = {
    "dot": "graph draws svg and png with it",
    "mmdebstrap": "a base with `bootstrap` is made by it",
    "gpg": "a base with a signature is verified by it",
    "git": "a Dockerfile from a git URL is fetched by it",
}
RELEASED_S = 1_700_000_000
"""No true clock is older than this program (Unix time, November 2023)."""

SKEW_S = 5.0


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at; `remedy` is a command, empty when all is well."""

    name: str
    state: Literal["ok", "warning", "wrong"]
    what: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Facts:
    """What was seen. None and empty where it could not be: a far engine, a call that failed.

    `trouble` is why no engine answers, (brief and details, resolution). Times are Unix time. `folders`
    are those of the workspace that exist, with whether they can be written. `tools` are programs with
    their places; `needed` those that a tree asks for. `leftovers` are containers of runs that are over.
    """

    address: str = ""
    trouble: tuple[str, str] = ("", "")
    info: EngineInfo | None = None
    api_version: str = ""
    engine_clock_s: float | None = None
    clock_s: float = 0.0
    engine_free_bytes: int | None = None
    workspace: str = ""
    workspace_free_bytes: int | None = None
    folders: tuple[tuple[str, bool], ...] = ()
    workspace_writable: bool = False
    tools: tuple[tuple[str, str], ...] = ()
    needed: frozenset[str] = frozenset()
    platforms: frozenset[str] = frozenset()
    ground: Ground | None = None
    leftovers: tuple[str, ...] = ()


def diagnose(
    engine: Engine | None,
    workspace: str,
    *,
    environ: Mapping[str, str],
    trees: Sequence[Tree] = (),
    is_left_over: Callable[[str, str], bool] = lambda _run, _state: False,
) -> list[Finding]:
    """Look at everything and judge it; `gather` says what the arguments are."""
    return judge(gather(engine, workspace, environ=environ, trees=trees, is_left_over=is_left_over))


def gather(
    engine: Engine | None,
    workspace: str,
    *,
    environ: Mapping[str, str],
    trees: Sequence[Tree] = (),
    is_left_over: Callable[[str, str], bool] = lambda _run, _state: False,
) -> Facts:
    """See what is there; changes nothing, and raises nothing of ours.

    `engine` may be None: then the one that answers is asked what a ping tells. `trees` say which
    platforms and programs are needed; `is_left_over` whether a container of that run in that state is.
    """
    address, trouble, api_version, engine_clock_s = _ask_for_pong(environ)
    info, free, leftovers = _ask_engine(engine, is_left_over)
    folder = Path(workspace)
    path = f"{environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
    return Facts(
        address=address,
        trouble=trouble,
        info=info,
        api_version=api_version,
        engine_clock_s=engine_clock_s,
        clock_s=time.time(),
        engine_free_bytes=free,
        workspace=workspace,
        workspace_free_bytes=shutil.disk_usage(folder).free if folder.is_dir() else None,
        folders=tuple(
            (name, os.access(folder / name, os.W_OK)) for name in FOLDERS if (folder / name).is_dir()
        ),
        workspace_writable=os.access(folder, os.W_OK),
        tools=tuple((name, shutil.which(name, path=path) or "") for name in PACKAGES),
        needed=programs_needed(trees),
        platforms=frozenset(stalk.platform for tree in trees for stalk in tree.stalks if stalk.platform),
        ground=see_ground(info) if info is not None else None,
        leftovers=leftovers,
    )


def programs_needed(trees: Iterable[Tree]) -> frozenset[str]:
    """Name the programs that the bases of some trees are made with."""
    needed = set()
    for tree in trees:
        for base in (base for stalk in tree.stalks for base in stalk.bases):
            if isinstance(base, BootstrapBase):
                needed.add("mmdebstrap")
            elif isinstance(base, TarballBase) and base.signature:
                needed.add("gpg")
            elif isinstance(base, DockerfileBase) and base.commit:
                needed.add("git")
    return frozenset(needed)


def _ask_for_pong(environ: Mapping[str, str]) -> tuple[str, tuple[str, str], str, float | None]:
    """Return address, trouble, API version and clock of the engine that answers."""
    try:
        found = answering(find_address(environ, environ.get("HOME") or str(Path("~").expanduser())))
        pong = ping(found)
    except StalkerError as error:
        return "", (f"{error.brief}\n{error.details}".strip(), error.resolution), "", None
    try:
        clock_s = parsedate_to_datetime(pong.headers["date"]).timestamp()
    except (KeyError, ValueError):
        return found.address.url, ("", ""), pong.api_version, None
    return found.address.url, ("", ""), pong.api_version, clock_s


def _ask_engine(
    engine: Engine | None, is_left_over: Callable[[str, str], bool]
) -> tuple[EngineInfo | None, int | None, tuple[str, ...]]:
    if engine is None:
        return None, None, ()
    try:
        ours = engine.containers({labels.RUN: "", labels.VERSION: labels.CONTAINER})
        dead = tuple(one.name for one in ours if is_left_over(one.labels.get(labels.RUN, ""), one.state))
        return engine.info(), engine.disk_free_bytes(), dead
    except StalkerError:
        # The ping reported it already, or the next call that matters will.
        return None, None, ()


def judge(facts: Facts) -> list[Finding]:
    """Decide what of all this is wrong, in the order in which it is worth fixing."""
    findings = [_judge_engine(facts)]
    if facts.address:
        findings += [
            *_judge_storage(facts),
            *_judge_limits(facts),
            *_judge_space(
                "engine's disk", facts.engine_free_bytes, f"docker system df; {program()} prune TREE"
            ),
            *_judge_leftovers(facts),
        ]
    findings += _judge_platforms(facts)
    findings += _judge_clock(facts)
    findings += _judge_workspace(facts)
    findings += _judge_space("workspace's disk", facts.workspace_free_bytes, f"df -h {facts.workspace}")
    findings += _judge_tools(facts)
    return findings


def _judge_engine(facts: Facts) -> Finding:
    if not facts.address:
        return Finding("engine", "wrong", facts.trouble[0] or "no engine answers", facts.trouble[1])
    version = f" {facts.info.version}" if facts.info else ""
    kind = facts.info.kind if facts.info else "an engine"
    return Finding(
        "engine", "ok", f"{kind}{version} at {facts.address}, API {facts.api_version or 'unknown'}"
    )


def _judge_limits(facts: Facts) -> list[Finding]:
    """Name what this kind of engine does not do; a tree that asks for it fails or gets something else."""
    if facts.info is None:
        return []
    return [Finding("engine's limits", "ok", limit) for limit in limits_of(facts.info)]


def _judge_storage(facts: Facts) -> list[Finding]:
    if facts.info is None:
        return []
    driver = facts.info.storage
    if driver in SLOW_STORAGE:
        return [
            Finding(
                "storage driver",
                "warning",
                f"{driver} {SLOW_STORAGE[driver]}",
                'set {"storage-driver": "overlay2"} in /etc/docker/daemon.json and restart Docker; '
                "its images are then made again",
            )
        ]
    note = (
        " of containerd, which commits and lists more slowly than overlay2"
        if facts.info.is_containerd
        else ""
    )
    return [
        Finding("storage driver", "ok", f"{driver}{note}; images of up to {facts.info.layers_max} layers")
    ]


def _judge_space(name: str, free_bytes: int | None, remedy: str) -> list[Finding]:
    if free_bytes is None:
        return []
    what = f"{size_text(free_bytes)} free"
    if free_bytes < GB // 2:
        return [Finding(name, "wrong", what, remedy)]
    if free_bytes < 5 * GB:
        return [Finding(name, "warning", f"{what}: little for operating-system images", remedy)]
    return [Finding(name, "ok", what)]


def _judge_leftovers(facts: Facts) -> list[Finding]:
    if not facts.leftovers:
        return []
    count = len(facts.leftovers)
    what = f"{count} container{'s' if count != 1 else ''} of runs that are over: {', '.join(facts.leftovers[:5])}"
    remedy = f"the next run removes them; now: docker rm -fv {' '.join(facts.leftovers)}"
    return [Finding("leftovers", "warning", what, remedy)]


def _judge_platforms(facts: Facts) -> list[Finding]:
    """Judge each platform that a tree asks for."""
    if facts.ground is None:
        return []
    found = []
    for platform in sorted(facts.platforms):
        hazards, how = judge_platform(platform, facts.ground)
        name = f"platform {platform}"
        found += [Finding(name, hazard.state, hazard.what, hazard.remedy) for hazard in hazards]
        if not hazards:
            found.append(Finding(name, "ok", how))
    return found


def _judge_clock(facts: Facts) -> list[Finding]:
    remedy = "timedatectl set-ntp true, or: date -s ..."
    if facts.clock_s < RELEASED_S:
        year = time.gmtime(facts.clock_s).tm_year
        return [Finding("clock", "wrong", f"it says {year}: TLS and signatures fail", remedy)]
    if facts.engine_clock_s is None:
        return [Finding("clock", "ok", time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(facts.clock_s)))]
    skew_s = facts.engine_clock_s - facts.clock_s
    if abs(skew_s) > SKEW_S:
        side = "ahead of" if skew_s > 0 else "behind"
        what = f"the engine's clock is {abs(skew_s):.0f} s {side} ours: ages and times are wrong by that"
        return [Finding("clock", "warning", what, f"on the engine's host: {remedy}")]
    return [
        Finding(
            "clock", "ok", time.strftime("%Y-%m-%d %H:%M UTC, as the engine's", time.gmtime(facts.clock_s))
        )
    ]


def _judge_workspace(facts: Facts) -> list[Finding]:
    there = dict(facts.folders)
    found = []
    for name in ("trees", "stalks"):
        if name not in there:
            what = f"there is no folder {name} in {facts.workspace}"
            found.append(
                Finding("workspace", "wrong", what, "cd into the workspace, or give --workspace DIR")
            )
    if not there.get("logs", facts.workspace_writable):
        what = f"logs in {facts.workspace} cannot be written"
        found.append(Finding("workspace", "wrong", what, f"sudo chown -R $USER {facts.workspace}/logs"))
    return found or [Finding("workspace", "ok", facts.workspace)]


def _judge_tools(facts: Facts) -> list[Finding]:
    found = []
    for name, place in facts.tools:
        remedy = f"apt-get install -y {PACKAGES[name]}"
        if place:
            found.append(Finding(name, "ok", place))
        elif name in facts.needed:
            found.append(Finding(name, "wrong", f"not installed, and a tree needs it: {USES[name]}", remedy))
        elif name == "dot":
            found.append(Finding(name, "warning", f"not installed: {USES[name]}", remedy))
        else:
            found.append(Finding(name, "ok", f"not installed; no tree here needs it ({USES[name]})"))
    return found
