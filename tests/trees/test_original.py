"""A tree and a stalk written for the original tool run unchanged."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from trees.conftest import Copy, shown_by_rules

pytestmark = pytest.mark.docker

ORIGINAL = Path(__file__).parent / "data/original"
TREE = "trees/hello_world/hello_world.hjson"
FROM_SH = """
TREE_CONFIG_VAR is set to hello from stalker config
STALK_CONFIG_VAR is set to hello from dockerdriver config
{F_STRING_VAR} in /tmp/hello_file is set to
hello from f-string subsitution in a file

"""


@pytest.fixture(scope="module")
def base(new_copy):
    """The name of an image that hello_world starts from."""
    shipped = new_copy()
    ran = shipped.stalker("--config", TREE)
    assert ran.code == 0, ran.err
    return shipped.image("hello_world:initial")


@pytest.fixture(scope="module")
def original(new_copy, tmp_path_factory):
    """The original files beside the helpers of this checkout; only `OS` is set, by the command line."""
    shipped = new_copy()
    copy = Copy(tmp_path_factory.mktemp("original"), shipped.os, "")
    shutil.copytree(ORIGINAL, copy.path, dirs_exist_ok=True)
    shutil.copytree(shipped.path / "plugins", copy.path / "plugins")
    return copy


def run(original):
    # --no-cache: the same work may be in the engine under another name
    return original.stalker("run", TREE, "--watch_stdout", "--no-cache", "--set", f"OS={original.os}")


def test_without_an_initial_image_it_says_which_one_is_missing(original):
    """There is no `base`, so the image must be there under its name."""
    ran = run(original)

    assert ran.code == 2
    assert original.image("hello_world:initial") in ran.err


def test_it_runs_from_the_initial_image_that_is_there(original, engine, base):
    """All four messages appear in order, and a SYSROOT_DIR that is not there is a warning."""
    engine.tag(base, original.image("hello_world:initial"))

    ran = run(original)

    assert ran.code == 0, ran.err
    assert shown_by_rules(ran.out)[1] == [
        FROM_SH,
        "\nhello from a python plugin via environment variables\n\n",
        "\nhello from a python plugin via arguments\n\n",
        "\nhello from a python plugin via explicit arguments\n\n",
    ]
    assert "SYSROOT_DIR: lib/sysroot is not there" in ran.err
