from __future__ import annotations

import json

import pytest

from stalker.config.docker_options.table import (
    DEFAULT_CAPABILITIES,
    ROWS,
    TABLE,
    capabilities_of,
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
    """So that a plugin that lacks one is reported before anything runs."""
    document = read_hjson("\n" + text, "s")

    assert capabilities_of(read_options(document.root, Report())) == expected
