"""The shortest way to "nothing to do" is gone only when nothing is to do."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from engines import BUSYBOX, remove_all_below

pytestmark = pytest.mark.docker

ROOT = Path(__file__).parents[2]
PREFIX = "stalker-test/unchanged/x"


@pytest.fixture
def space(tmp_path, busybox, engine):
    for name in ("trees", "stalks/s", "logs"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "trees/t.hjson").write_text(
        f"""architecture: {{ OS: "stalker-test", ARCH: "unchanged", SUBARCH: "x" }}
        stalks: {{ s: {{ base: {{ tag: "{busybox}" }} }} }}"""
    )
    write_stalk(tmp_path, "one")
    yield tmp_path
    remove_all_below(engine, f"{PREFIX}/")


def write_stalk(space, text):
    (space / "stalks/s/s.hjson").write_text(
        f"""DOCKER_OPTS: {{ network: "none" }}
        plugins: {{ a: {{ exec: true, text: '''
            #!/bin/sh
            echo {text} > /{text}
            ''' }} }}"""
    )


def run(space, *more):
    done = subprocess.run(
        [sys.executable, "-P", "-X", "importtime", "-m", "stalker.cli", "run", "trees/t.hjson", *more],
        cwd=space,
        env={**os.environ, "PYTHONPATH": str(ROOT / "lib"), "XDG_CACHE_HOME": str(space / "cache")},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    is_short = "stalker.cli.main" not in done.stderr
    said = [line for line in done.stderr.splitlines() if not line.startswith("import time:")]
    assert done.returncode == 0, said
    return is_short, said


def make_unchanged(space):
    run(space)
    is_short, said = run(space)
    assert is_short
    return said


def test_the_run_after_the_work_has_nothing_to_do_and_says_so(space):
    said = make_unchanged(space)

    assert said[-1].startswith("nothing to do: 1 step is there (")


def test_a_run_the_long_way_notes_it_again(space):
    make_unchanged(space)
    [note] = (space / "cache/stalker/unchanged").iterdir()
    note.unlink()

    assert [run(space)[0] for _ in range(2)] == [False, True]


def test_it_writes_a_journal_of_its_own(space):
    make_unchanged(space)

    runs = sorted((space / "logs/runs").iterdir())
    lines = [json.loads(line) for line in (space / "logs/eliot.txt").read_text().splitlines()]
    assert len(runs) == 2
    assert lines[0]["run"] == runs[-1].name
    assert len({line["task_uuid"] for line in lines}) == 1
    assert (space / "logs/eliot.txt").resolve() == runs[-1] / "eliot.txt"


CHANGES = {
    "a file": lambda space: write_stalk(space, "two"),
    "a file of the same size": lambda space: write_stalk(space, "eno"),
    "a tag removed": lambda _: docker("rmi", f"{PREFIX}/s:a"),
    "the initial tag removed": lambda _: docker("rmi", f"{PREFIX}/s:initial"),
    "the initial tag moved": lambda _: docker("tag", f"{PREFIX}/s:a", f"{PREFIX}/s:initial"),
    "the final tag moved": lambda _: docker("tag", BUSYBOX, f"{PREFIX}/s:final"),
    "a new file in sysroot": lambda space: (
        (space / "sysroot/etc").mkdir(parents=True) or (space / "sysroot/etc/new").write_text("x")
    ),
}


def docker(*argv):
    subprocess.run(["docker", *argv], check=True, capture_output=True)


@pytest.mark.parametrize("change", CHANGES)
def test_any_change_takes_the_long_way(space, change):
    make_unchanged(space)

    CHANGES[change](space)

    is_short, _ = run(space)
    assert not is_short


def test_a_broken_note_takes_the_long_way(space):
    make_unchanged(space)
    [note] = (space / "cache/stalker/unchanged").iterdir()
    note.write_bytes(note.read_bytes()[:-1] + b"x")

    is_short, said = run(space)

    assert not is_short
    assert said[-1].startswith("nothing to do: 1 step")


def test_options_that_ask_for_more_take_the_long_way(space):
    make_unchanged(space)

    assert [
        run(space, *more)[0] for more in (["--json"], ["--set", "LOG_DIR=logs"], ["--until", "s"], ["-q"])
    ] == [
        False,
        False,
        False,
        True,
    ]
