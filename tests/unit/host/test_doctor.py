"""What the doctor finds, and the command that fixes it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from stalker.engine.interface import EngineInfo
from stalker.host.doctor import GB, Facts, diagnose, judge
from stalker.host.platform_support import Ground

INFO = EngineInfo(
    id="id", name="vm", version="20.10.24", storage="overlay2", os="linux", architecture="x86_64", cpus=2,
    memory_bytes=GB, root_dir="/var/lib/docker", address="unix:///var/run/docker.sock",
)  # fmt: skip
NOW = 1_790_000_000.0
WELL = Facts(
    address="unix:///var/run/docker.sock",
    info=INFO,
    api_version="1.41",
    engine_clock_s=NOW + 1,
    clock_s=NOW,
    engine_free_bytes=80 * GB,
    workspace="/w",
    workspace_free_bytes=80 * GB,
    folders=tuple((name, True) for name in ("trees", "stalks", "logs")),
    workspace_writable=True,
    tools=(("dot", "/usr/bin/dot"), ("mmdebstrap", ""), ("gpg", "/usr/bin/gpg"), ("git", "")),
    ground=Ground("x86_64", (), lambda word: f"{word} does not run"),
)


def without_folder(name):
    return tuple(entry for entry in WELL.folders if entry[0] != name)


def test_a_healthy_machine_has_only_good_findings():
    """Everything is listed, nothing is wrong, and no remedy is offered."""
    found = judge(WELL)

    assert {finding.state for finding in found} == {"ok"}
    assert not any(finding.remedy for finding in found)
    assert {"engine", "storage driver", "clock", "workspace", "dot"} <= {finding.name for finding in found}


@pytest.mark.parametrize(
    ("info", "limits"),
    [
        (INFO, []),
        (replace(INFO, is_containerd=True, storage="overlayfs"), ["no variant"]),
        (replace(INFO, is_rootless=True), ["no device nodes"]),
        (replace(INFO, kind="Podman", storage="overlay"), ["container=podman", "no variant"]),
    ],
)
def test_what_an_engine_does_not_do_is_named(info, limits):
    """It is nothing to repair, so no remedy is offered."""
    found = [finding for finding in judge(replace(WELL, info=info)) if finding.name == "engine's limits"]

    assert [limit in finding.what for finding, limit in zip(found, limits, strict=True)] == [True] * len(
        limits
    )
    assert {finding.state for finding in found} <= {"ok"}


def test_a_variant_that_the_engine_does_not_keep_is_a_warning():
    ground = replace(WELL.ground, architecture="armv7l", loses_variants=True)

    def warned(platform):
        found = judge(replace(WELL, ground=ground, platforms=frozenset({platform})))
        return [one for one in found if one.name == f"platform {platform}" and one.state == "warning"]

    assert warned("linux/arm/v7") == []
    [warning] = warned("linux/arm/v6")
    assert "linux/arm/v7" in warning.what
    assert "overlay2" in warning.remedy


@pytest.mark.parametrize(
    ("change", "name", "state", "what", "remedy"),
    [
        ({"address": "", "info": None, "trouble": ("no engine answers", "./stalker engine up")},
         "engine", "wrong", "no engine answers", "./stalker engine up"),
        ({"info": replace(INFO, storage="vfs")}, "storage driver", "warning", "whole image", "overlay2"),
        ({"info": replace(INFO, storage="devicemapper")}, "storage driver", "warning", "slow", "overlay2"),
        ({"engine_free_bytes": GB}, "engine's disk", "warning", "954 MiB", "prune"),
        ({"engine_free_bytes": 0}, "engine's disk", "wrong", "0 B", "prune"),
        ({"workspace_free_bytes": 1000}, "workspace's disk", "wrong", "free", "df -h /w"),
        ({"clock_s": 3600.0, "engine_clock_s": None}, "clock", "wrong", "1970", "date"),
        ({"engine_clock_s": NOW - 90}, "clock", "warning", "90 s behind", "on the engine's host"),
        ({"engine_clock_s": NOW + 90}, "clock", "warning", "90 s ahead", "on the engine's host"),
        ({"folders": without_folder("trees")}, "workspace", "wrong", "no folder trees", "--workspace"),
        ({"folders": without_folder("stalks")}, "workspace", "wrong", "no folder stalks", "--workspace"),
        ({"folders": (*without_folder("logs"), ("logs", False))}, "workspace", "wrong", "logs", "chown"),
        ({"folders": without_folder("logs"), "workspace_writable": False}, "workspace", "wrong", "logs", "chown"),
        ({"tools": (("dot", ""),)}, "dot", "warning", "not installed", "apt-get install -y graphviz"),
        ({"needed": frozenset({"mmdebstrap"})}, "mmdebstrap", "wrong", "a tree needs it", "apt-get install"),
        ({"leftovers": ("stalker-1", "stalker-2")}, "leftovers", "warning", "2 containers", "docker rm -fv stalker-1"),
        ({"platforms": frozenset({"linux/arm/v7"})}, "platform linux/arm/v7", "wrong", "no emulator", "engine up --yes --platform linux/arm/v7"),
    ],
)  # fmt: skip
def test_each_fault_is_found_alone_with_its_remedy(change, name, state, what, remedy):
    """One thing is wrong: one finding says so, with the command that fixes it."""
    found = [finding for finding in judge(replace(WELL, **change)) if finding.state != "ok"]

    assert [(finding.name, finding.state) for finding in found] == [(name, state)]
    assert what in found[0].what
    assert remedy in found[0].remedy


def test_the_containerd_store_is_named():
    """Its commits take longer, which is worth knowing and no fault."""
    found = judge(replace(WELL, info=replace(INFO, storage="overlayfs", is_containerd=True)))

    assert any("of containerd" in finding.what for finding in found)
    assert {finding.state for finding in found} == {"ok"}


def test_a_machine_without_an_engine_is_diagnosed_too(tmp_path):
    """The doctor never ends with an error of its own: it says what is wrong."""
    (tmp_path / "trees").mkdir()

    found = diagnose(
        None, str(tmp_path), environ={"DOCKER_HOST": f"unix://{tmp_path}/none", "PATH": "/usr/bin"}
    )

    wrong = [finding for finding in found if finding.state == "wrong"]
    assert wrong[0].name == "engine"
    assert "DOCKER_HOST: no such socket" in wrong[0].what
    assert any("stalks" in finding.what for finding in wrong)


def test_a_workspace_needs_trees_and_stalks_alone(tmp_path):
    """Plugins, sysroot and logs may be missing: a first tree needs none of them."""
    for name in ("trees", "stalks"):
        (tmp_path / name).mkdir()

    found = diagnose(None, str(tmp_path), environ={"DOCKER_HOST": f"unix://{tmp_path}/none"})

    assert [(one.state, one.what) for one in found if one.name == "workspace"] == [("ok", str(tmp_path))]


def test_a_workspace_that_is_not_there_is_a_finding(tmp_path):
    """A wrong --workspace is reported, no crash."""
    found = diagnose(None, str(tmp_path / "nowhere"), environ={"DOCKER_HOST": f"unix://{tmp_path}/none"})

    assert any(finding.name == "workspace" and finding.state == "wrong" for finding in found)
