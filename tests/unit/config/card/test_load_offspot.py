from __future__ import annotations

import datetime as dt

import pytest
import yaml

from stalker.config.card.load import offspot_of
from unit.config.card.texts import created

TEXT = """\
base: 1.2.3
offspot:
  a: [1, 0x1F, 0644, 1_000, -5, 1.5, .inf, 1e3]
  b: [yes, off, ~, null, "yes", '1']
  c: 2024-01-02
  8080: number
  d: &d {x: 1, y: [2]}
  e: {<<: *d, x: 3}
  f: |
    two
    lines
  g: größe
"""


def test_values_are_those_of_yaml():
    """As the program has them that reads them on the machine."""
    values = yaml.safe_load(TEXT)["offspot"]

    assert offspot_of(TEXT) == values
    assert created(TEXT).offspot == values
    assert values["c"] == dt.date(2024, 1, 2)


@pytest.mark.parametrize("text", ["22:22", "53:53", "1:30.5", "190:20:30"])
def test_ports_are_no_numbers_to_the_base_of_60(text):
    """YAML 1.1 would make 1342 of 22:22."""
    assert not isinstance(yaml.safe_load(f"a: {text}")["a"], str)
    assert created(f"offspot: {{a: {text}}}\n").offspot == {"a": text}
    assert yaml.safe_load(yaml.safe_dump(created(f"offspot: {{a: {text}}}\n").offspot)) == {"a": text}


@pytest.mark.parametrize("text", ["2024-02-31", "0b_", "9" * 5000])
def test_what_is_no_value_after_all_is_text(text):
    """There is no 31st of February."""
    assert created(f"offspot: {{a: {text}}}\n").offspot == {"a": text}


def test_a_mapping_that_is_merged_into_the_file_counts():
    """Wherever its keys come from."""
    assert created("<<: {offspot: {a: 1}}\nbase: 1.2.3\n").offspot == {"a": 1}
