from __future__ import annotations

import json

import pytest

from stalker.config.docker_opts import DEFAULT_CAPABILITIES, capabilities_of, read_options
from stalker.config.hjson_reader import read_hjson
from stalker.config.option_table import ROWS, TABLE
from stalker.config.report import Report


def read(text: str):
    report = Report()
    document = read_hjson("\n" + text, "s")
    assert document.root is not None, document.problems
    options = read_options(document.root, report)
    return {o.name: json.loads(o.value) for o in options}, [p.what for p in report.errors()], report.sorted()


PASSED = {
    "network: none": {"network_mode": "none"},
    "network_mode: host": {"network_mode": "host"},
    "cap_add: [sys_ptrace\nCAP_NET_ADMIN\n]": {"cap_add": ["NET_ADMIN", "SYS_PTRACE"]},
    "cap_drop: ALL": {"cap_drop": ["ALL"]},
    'tmpfs: { /var/tmp: "size=8g" }': {"tmpfs": {"/var/tmp": "size=8g"}},
    "tmpfs: ['/a', '/b:size=1m']": {"tmpfs": {"/a": "", "/b": "size=1m"}},
    "extra_hosts: { repo: '10.0.0.1', gw: 'host-gateway' }": {
        "extra_hosts": {"gw": "host-gateway", "repo": "10.0.0.1"}
    },
    "extra_hosts: ['repo:::1']": {"extra_hosts": {"repo": "::1"}},
    "dns: ['9.9.9.9']": {"dns": ["9.9.9.9"]},
    "mem_limit: 2g": {"mem_limit": 2 * 1024**3},
    "mem_limit: 1000": {"mem_limit": 1000},
    "memswap_limit: -1": {"memswap_limit": -1},
    "shm_size: 64MiB": {"shm_size": 64 * 1024**2},
    "cpuset_cpus: 0-3,5": {"cpuset_cpus": "0-3,5"},
    "cpuset_cpus: 0": {"cpuset_cpus": "0"},
    "cpu_shares: 512": {"cpu_shares": 512},
    "nano_cpus: 1500000000": {"nano_cpus": 1500000000},
    "pids_limit: -1": {"pids_limit": -1},
    "ulimits: { nofile: '1024:2048', core: 0 }": {
        "ulimits": [{"Name": "core", "Soft": 0, "Hard": 0}, {"Name": "nofile", "Soft": 1024, "Hard": 2048}]
    },
    "ulimits: [{ name: 'nofile', soft: 1, hard: 2 }]": {
        "ulimits": [{"Name": "nofile", "Soft": 1, "Hard": 2}]
    },
    "sysctls: { net.ipv4.ip_forward: 1 }": {"sysctls": {"net.ipv4.ip_forward": "1"}},
    "devices: ['/dev/fuse', '/dev/a:/dev/b:rw']": {"devices": ["/dev/fuse", "/dev/a:/dev/b:rw"]},
    "user: 1000": {"user": "1000"},
    "user: builder:users": {"user": "builder:users"},
    "working_dir: /a//b": {"working_dir": "/a/b"},
    "group_add: [10, 'audio']": {"group_add": ["10", "audio"]},
    "tty: true": {"tty": True},
    "privileged: false": {"privileged": False},
    "oom_score_adj: -500": {"oom_score_adj": -500},
    "log_config: { type: 'none', config: {} }": {"log_config": {"Type": "none", "Config": {}}},
    "cgroupns: host": {"cgroupns": "host"},
}


@pytest.mark.parametrize("text", PASSED)
def test_an_option_is_passed_on_in_one_form(text):
    """However docker-py lets one write it, the engine gets one spelling."""
    options, problems, _ = read(text)

    assert problems == []
    assert options == PASSED[text]


REFUSED = {
    "volumes: {}": "'volumes' cannot be set: use plugins with path and bind, or store",
    "mounts: []": "'mounts' cannot be set: use plugins with path and bind, or store",
    "environment: {}": "'environment' cannot be set: use envplugins",
    "command: sh": "'command' cannot be set: stalker's own process idles in a container; scripts are exec plugins",
    "name: x": "'name' cannot be set: stalker names its containers",
    "read_only: true": "'read_only' cannot be set: nothing could be committed",
    "ports: {}": "'ports' cannot be set: nothing outside talks to a step; steps of a stalk share their network",
    "restart_policy: {}": "'restart_policy' cannot be set: use retries of the step",
    "isolation: x": "'isolation' cannot be set: it is for Windows",
    "cpu_count: 1": "'cpu_count' cannot be set: it is for Windows",
    "labels: {}": "'labels' cannot be set: labels tell stalker its own containers and images",
    "healthcheck: {}": "'healthcheck' cannot be set: a step says by its exit code how it went",
    "detach: false": "'detach: false' cannot be: containers always run in the background",
    "remove: 1": "must be true or false, is a number",
    "netwrok: x": "unknown option 'netwrok'",
    "network: 'a b'": "'a b' is no network's name",
    "network: none\nnetwork_mode: none": "'network_mode' is given twice: 'network_mode' is the same option",
    "mem_limit: lots": "'lots' is no size: 512m, 2g, or bytes",
    "mem_limit: true": "must be text or a number, is true or false",
    "tty: 'yes'": "must be true or false, is text",
    "cap_add: ['SYS-PTRACE']": "'SYS-PTRACE' is no capability; they are written like SYS_PTRACE",
    "extra_hosts: { repo: 'nowhere' }": "'nowhere' is no IP address",
    "dns: [8]": "must be text, is a number",
    "tmpfs: { tmp: '' }": "'tmp' is no absolute path",
    "ulimits: { nofile: 'many' }": "'nofile=many' is no limit; write name: soft or name: soft:hard",
    "oom_score_adj: 2000": "must lie between -1000 and 1000, is 2000",
    "working_dir: x": "'x' is no absolute path",
    "devices: ['sda']": "'sda' is no device; write /dev/host[:/dev/there[:rwm]]",
    "sysctls: [1]": "must be a mapping, is a list",
    "cgroupns: mine": "must be host or private, is 'mine'",
    "nano_cpus: 1\ncpu_quota: 1": "nano_cpus and cpu_quota with cpu_period say the same; keep one",
}


@pytest.mark.parametrize("text", REFUSED)
def test_an_option_that_cannot_be_is_refused_with_the_reason(text):
    """Nothing is ignored in silence."""
    _, problems, _ = read(text)

    assert problems == [REFUSED[text]]


SETTLED = {
    "detach: true": 0,
    "remove: false": 0,
    "remove: true": 0,
    "auto_remove: true": 0,
    "init: true": 0,
    "init: false": 1,
    "stdin_open: false": 0,
    "stdin_open: true": 1,
    "entrypoint: /bin/bash": 1,
    "entrypoint: ['/bin/sh', '-c']": 1,
}


@pytest.mark.parametrize("text", SETTLED)
def test_what_stalker_does_anyway_is_accepted(text):
    """A stalk of the original tool loads; what has no effect is a warning."""
    options, problems, told = read(text)

    assert (options, problems) == ({}, [])
    assert len(told) == SETTLED[text]


def test_resources_do_not_count_and_what_scripts_see_does():
    """More memory makes no step run again; another network does."""
    report = Report()
    document = read_hjson("{mem_limit: 1, cpu_shares: 2, network: 'none', tty: true, user: 'x'}", "s")

    options = read_options(document.root, report)

    assert {o.name: o.counts for o in options} == {
        "cpu_shares": False,
        "mem_limit": False,
        "network_mode": True,
        "tty": True,
        "user": True,
    }


def test_the_order_of_keys_and_lists_that_are_sets_does_not_matter():
    """The same options are the same text."""
    first = read("cap_add: ['A', 'B']\ntty: true")[0]
    second = read("tty: true\ncap_add: ['B', 'A']")[0]

    assert list(first.items()) == list(second.items())


def test_every_option_of_docker_py_is_in_the_table():
    """What docker-py's run and create take, the table names."""
    import inspect

    from docker.models.containers import RUN_CREATE_KWARGS, RUN_HOST_CONFIG_KWARGS, ContainerCollection

    taken = {
        *RUN_CREATE_KWARGS,
        *RUN_HOST_CONFIG_KWARGS,
        *inspect.signature(ContainerCollection.run).parameters,
    }

    assert taken - ROWS.keys() - {"self", "kwargs"} == set()


def test_every_row_says_what_it_is_or_why_not():
    """Each option has its help, each refusal its reason, each name once."""
    names = [name for row in TABLE for name in (row.name, *row.aliases)]

    assert len(names) == len(set(names))
    assert [row.name for row in TABLE if not row.help or (row.fate != "passed") != bool(row.why)] == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("tty: true", DEFAULT_CAPABILITIES),
        ("cap_add: [SYS_ADMIN\n]", DEFAULT_CAPABILITIES | {"SYS_ADMIN"}),
        ("cap_drop: [CHOWN\n]", DEFAULT_CAPABILITIES - {"CHOWN"}),
        ("cap_drop: ALL\ncap_add: CHOWN", {"CHOWN"}),
        ("privileged: true", None),
        ("cap_add: ALL", None),
    ],
)
def test_the_capabilities_of_a_container_are_known(text, expected):
    """So that a plugin that lacks one is told before anything runs."""
    document = read_hjson("\n" + text, "s")

    assert capabilities_of(read_options(document.root, Report())) == expected
