"""What `import stalker` gives, and what it costs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import stalker

LIB = Path(stalker.__file__).resolve().parents[1]
PROGRAM = """
import sys, time
began_s = time.perf_counter()
import stalker
print(time.perf_counter() - began_s, [name for name in sys.modules if name.startswith("stalker.")])
"""


def test_the_import_takes_at_most_thirty_milliseconds_and_loads_nothing_else():
    took = []
    for _ in range(5):
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM],
            env={"PYTHONPATH": str(LIB)},
            capture_output=True,
            text=True,
            check=True,
        )
        seconds, loaded = done.stdout.split(maxsplit=1)
        took.append(float(seconds))
        assert loaded.strip() == "[]"

    assert min(took) <= 0.030


@pytest.mark.parametrize("name", stalker.__all__)
def test_each_public_name_is_there(name):
    assert getattr(stalker, name) is not None


def test_another_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        stalker.nothing  # noqa: B018


def test_the_package_is_typed():
    assert (LIB / "stalker/py.typed").exists()
