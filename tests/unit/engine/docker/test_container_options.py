"""From a container's description to what the engine is given."""

from __future__ import annotations

import inspect
import json

import pytest

from stalker.config.docker_options.table import ROWS
from stalker.engine.docker.container_options import IDLE, OF_CONTAINER, OF_EXEC, container_body, mount_points
from stalker.engine.interface import ContainerSpec
from stalker.model.diagnostics import Place
from stalker.model.images import Image
from stalker.model.tree import Mount, Option

PLACE = Place("stalks/s/s.hjson", 1)
PASSED = sorted({row.name for row in ROWS.values() if row.fate == "passed"})


def spec(options=(), **more):
    made = tuple(Option(name, json.dumps(value), True, PLACE) for name, value in dict(options).items())
    return ContainerSpec("image", "name", {"io.stalker.run": "r"}, options=made, **more)


def bare(**config):
    return Image("sha256:1", config=config)


@pytest.mark.parametrize("name", PASSED)
def test_each_option_that_is_passed_on_has_somewhere_to_go(name):
    """Nothing that a stalk may say of its containers is lost on the way."""
    from docker.types import HostConfig

    known = set(inspect.signature(HostConfig.__init__).parameters)

    spelt = "network_mode" if name == "network" else name
    assert name in {*OF_CONTAINER, *OF_EXEC, *known} or spelt in known


def test_nothing_is_kept_for_options_that_do_not_exist():
    assert {*OF_CONTAINER, *OF_EXEC} <= set(PASSED)


def test_the_body_names_only_the_idle_process():
    """What it does not name, the commit takes from the image."""
    body, host = container_body(spec(), bare(Cmd=["x"], Env=["A=1"], WorkingDir="/w"))

    assert body["Entrypoint"] == ["/bin/sh", "-c", IDLE]
    assert not {"Cmd", "Env", "WorkingDir", "Volumes", "User", "Healthcheck"} & set(body)
    assert host == {}


def test_a_user_or_health_check_of_the_image_does_not_reach_the_idle_process():
    body, _ = container_body(spec(), bare(User="nobody", Healthcheck={"Test": ["CMD", "x"]}))

    assert (body["User"], body["Healthcheck"]) == ("0", {"Test": ["NONE"]})


def test_mounts_are_host_configuration():
    """As `volumes` they would be asked for by the committed image for ever."""
    mounts = (
        Mount("/cache", "store", "cache", True, PLACE),
        Mount("/src", "directory", "src", False, PLACE),
        Mount("/abs", "directory", "/host", True, PLACE),
    )

    _, host = container_body(spec(mounts=mounts, workspace="/w"), bare())

    assert host["mounts"] == [
        {
            "Type": "volume",
            "Source": "cache",
            "Target": "/cache",
            "ReadOnly": False,
            "VolumeOptions": {"NoCopy": True},
        },
        {"Type": "bind", "Source": "/w/src", "Target": "/src", "ReadOnly": True},
        {"Type": "bind", "Source": "/host", "Target": "/abs", "ReadOnly": False},
    ]


def test_services_are_hosts_beside_the_stalks_own():
    _, host = container_body(spec({"extra_hosts": {"repo": "10.0.0.1"}}, hosts=(("db", "10.0.0.2"),)), bare())

    assert host["extra_hosts"] == {"repo": "10.0.0.1", "db": "10.0.0.2"}


def test_a_joined_network_takes_the_place_of_its_own():
    _, host = container_body(spec(network_of="abc"), bare())

    assert host["network_mode"] == "container:abc"


def test_mount_points_are_those_of_mounts_and_tmpfs():
    made = spec({"tmpfs": {"/t": "size=1m"}}, mounts=(Mount("/cache", "store", "c", True, PLACE),))

    assert mount_points(made) == ["/cache", "/t"]


@pytest.mark.parametrize(
    ("options", "added"),
    [
        ({}, ["MKNOD", "NET_RAW"]),
        ({"cap_add": ["SYS_PTRACE"]}, ["MKNOD", "NET_RAW", "SYS_PTRACE"]),
        ({"cap_drop": ["NET_RAW"]}, ["MKNOD"]),
        ({"cap_drop": ["cap_net_raw"]}, ["MKNOD"]),
        ({"cap_drop": ["ALL"]}, None),
        ({"cap_drop": ["ALL"], "cap_add": ["KILL"]}, ["KILL"]),
    ],
)
def test_what_an_engine_does_not_give_by_itself_is_asked_for_unless_it_is_dropped(options, added):
    _, host = container_body(spec(options), bare(), frozenset({"MKNOD", "NET_RAW"}))

    assert host.get("cap_add") == added
