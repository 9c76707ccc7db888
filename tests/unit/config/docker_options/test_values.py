from __future__ import annotations

import json

import pytest

from stalker.config.docker_options.table import (
    read_options,
)
from stalker.config.syntax.hjson import read_hjson
from stalker.config.syntax.report import Report


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
    "detach: false": "'detach: false' is not possible: containers always run in the background",
    "remove: 1": "must be true or false, is a number",
    "netwrok: x": "unknown option 'netwrok'",
    "network: 'a b'": "'a b' is not a network name",
    "network: none\nnetwork_mode: none": "'network_mode' is given twice: 'network_mode' is the same option",
    "mem_limit: lots": "'lots' is not a size; write it like 512MiB, 8GiB, or in bytes",
    "mem_limit: true": "must be text or a number, is true or false",
    "tty: 'yes'": "must be true or false, is text",
    "cap_add: ['SYS-PTRACE']": "'SYS-PTRACE' is not a capability; write it like SYS_PTRACE",
    "extra_hosts: { repo: 'nowhere' }": "'nowhere' is not an IP address",
    "dns: [8]": "must be text, is a number",
    "tmpfs: { tmp: '' }": "'tmp' is not an absolute path",
    "ulimits: { nofile: 'many' }": "'nofile=many' is not a limit; write name: soft or name: soft:hard",
    "oom_score_adj: 2000": "must lie between -1000 and 1000, is 2000",
    "working_dir: x": "'x' is not an absolute path",
    "devices: ['sda']": "'sda' is not a device; write /dev/host[:/dev/there[:rwm]]",
    "sysctls: [1]": "must be a mapping, is a list",
    "cgroupns: mine": "must be host or private, is 'mine'",
    "nano_cpus: 1\ncpu_quota: 1": "nano_cpus and cpu_quota with cpu_period say the same; keep one",
}


@pytest.mark.parametrize("text", REFUSED)
def test_an_option_that_cannot_be_is_refused_with_the_reason(text):
    """Nothing is ignored in silence."""
    _, problems, _ = read(text)

    assert problems == [REFUSED[text]]
