"""A boot test in a manifest: written as JSON, read back as it was."""

from __future__ import annotations

import json

import pytest

from stalker.boot.record import as_record, from_record
from stalker.errors import StalkerError
from stalker.model.artifacts import BootTest, Expectation
from stalker.model.diagnostics import Place

PLACE = Place("m.json")
TEST = BootTest(
    "virt",
    PLACE,
    architecture="aarch64",
    cpus=2,
    memory_bytes=1 << 30,
    has_network=True,
    timeout_s=90,
    expectations=(
        Expectation("wait", "login:", PLACE, timeout_s=5.0),
        Expectation("type", "", PLACE, secret="KEY"),
        Expectation("run", "true", PLACE, matches="^$", exit_code=3),
    ),
)


def test_a_test_is_read_back_as_it_was_written():
    """Through JSON, as a manifest keeps it."""
    record = json.loads(json.dumps(as_record(TEST)))

    assert from_record(record, "m.json") == TEST


@pytest.mark.parametrize(
    "change",
    [
        {"machine": 1},
        {"cpus": "two"},
        {"expectations": None},
        {"expectations": [{"kind": "dance"}]},
        {"expectations": [{"kind": "wait", "text": 1}]},
    ],
)
def test_a_damaged_record_is_an_error_that_names_the_file(change):
    """A manifest may have been edited by hand."""
    with pytest.raises(StalkerError, match=r"^m\.json: "):
        from_record({**as_record(TEST), **change}, "m.json")
