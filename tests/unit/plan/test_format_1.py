"""What stalker 0.1 made is recognised as the same work, without running anything, where that is certain."""

from __future__ import annotations

import itertools
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from build import BASE, PREFIX, plan, run, stalk, step, tree
from stalker.config.digests import digest_directory
from stalker.engine.fake import FakeEngine
from stalker.model import labels
from stalker.model.diagnostics import Place
from stalker.model.images import Image
from stalker.model.tree import File, Mount, Option
from stalker.plan import format_1
from stalker.plan.graph import link_steps
from stalker.plan.image_index import made_from

DATA = Path(__file__).parent / "data/format_1.json"
PLACE = Place("stalks/s/s.hjson", 7)
OWNERS = "made by stalker 0.1.0, which did not count owners in /src"
SAME = "unchanged; made by stalker 0.1.0 as the same work"


def old_tree(workspace="/nonexistent", **changes):
    """Return the tree that `DATA` was made of; `changes` are variables of its first step."""
    digest = digest_directory(f"{workspace}/src", owners=True) if workspace != "/nonexistent" else "d" * 64
    cache = Mount("/cache", "store", "cache", True, PLACE)
    source = Mount("/src", "directory", "src", False, PLACE, digest)
    file = File("/tmp/f", "f", "e" * 64, PLACE, content=b"x", variables=())
    return tree(
        stalk(
            "root",
            step("a", "true\n", variables={"V": 1, **changes}, files=(file,), mounts=(cache,)),
            step(
                "b",
                "true\n",
                options=(Option("network", '"none"', True, PLACE),),
                environment=(("LC_ALL", "C"),),
            ),
        ),
        stalk("left", step("c", "true\n", platform="linux/amd64"), parent="root", platform="linux/amd64"),
        stalk("right", step("d", "true\n"), step("e", "true\n"), parent="root", needs=["left"]),
        stalk("mounting", step("m", "true\n", mounts=(source,)), step("n", "true\n"), parent="root"),
        workspace=workspace,
    )


@pytest.fixture
def engine():
    """An engine with what 0.1 left of `old_tree`."""
    made = FakeEngine()
    made._numbers = itertools.count(100)  # new ids are new
    for one in json.loads(DATA.read_text()):
        image = Image(**{**one, "tags": tuple(one["tags"])}, os="linux", diff_ids=(one["id"],))
        made.images_by_id[image.id] = image
        made.files[image.id], made.owned[image.id] = {}, {}
    return made


def found(engine, **changes):
    drawn = plan(old_tree(**changes), engine)
    return {name: (action.verdict, action.reason) for name, action in drawn.actions.items()}


def test_its_images_are_reused_and_the_plan_says_why(engine):
    """All but what hangs on a mounted directory, whose owners it did not count."""
    assert found(engine) == {
        **dict.fromkeys(["root:a", "root:b", "left:c", "right:d", "right:e"], ("REUSE", SAME)),
        "mounting:m": ("RUN", OWNERS),
        "mounting:n": ("RUN", "parent mounting:m ran"),
    }


@pytest.fixture
def workspace(tmp_path):
    """A workspace with the directory that is mounted."""
    (tmp_path / "src").mkdir()
    os.utime(tmp_path / "src", (1, 1))
    return str(tmp_path)


def test_only_what_cannot_be_proven_runs_once(engine, workspace):
    first = run(old_tree(workspace), engine)
    second = run(old_tree(workspace), engine)

    assert first.result.done == ["mounting:m", "mounting:n"]
    assert set(second.verdicts.values()) == {"REUSE"}
    assert second.reasons["mounting:m"] == "unchanged"
    assert second.reasons["right:e"] == SAME


def test_what_grows_on_an_image_of_0_1_names_it_by_its_id(engine, workspace):
    run(old_tree(workspace), engine)

    last = engine.image(f"{PREFIX}/root:b")
    assert made_from(engine.image(f"{PREFIX}/mounting:m"))["root:b"] == last.id


def test_a_change_is_told_as_ever(engine):
    """The images of 0.1 say what they were made of."""
    said = found(engine, V=2)

    assert said["root:a"] == ("RUN", "variable V: 1 -> 2")
    assert said["right:d"] == ("RUN", "parent root:b ran; needs left:c ran")
    assert said["mounting:m"] == ("RUN", f"{OWNERS}; parent root:b ran")


def test_what_was_run_again_since_does_not_keep_its_old_children(engine):
    """`--from` made another image of root:b, and the run was stopped there."""
    run(old_tree(), engine, start="root:b", until="root:b")

    said = found(engine)

    assert said["root:a"] == ("REUSE", SAME)
    assert said["root:b"] == ("REUSE", "unchanged")
    assert {said[name][0] for name in ("left:c", "right:d", "right:e")} == {"RUN"}
    assert said["left:c"][1] == "made by stalker 0.1.0, and root:b was run again since"


def test_another_base_is_another_history(engine):
    old = engine.image(BASE)
    new = engine.add_image(BASE)

    verdict, reason = found(engine)["root:a"]

    assert verdict == "RUN"
    assert reason == f"base image is another one: {old.id[7:19]} -> {new.id[7:19]}"


def test_a_base_with_volumes_proves_nothing(engine):
    """0.1 lost what a step wrote below them."""
    base = engine.image(BASE)
    engine.images_by_id[base.id] = replace(base, config={"Volumes": {"/data": {}}})

    verdict, reason = found(engine)["root:a"]

    assert verdict == "RUN"
    assert reason == (
        "made by stalker 0.1.0, which did not keep what is written below /data, a volume of the base"
    )


def test_a_step_with_a_terminal_proves_nothing():
    """In 0.1 its script had none."""
    base = Image("sha256:" + "b" * 64)
    known = {}
    for value in ("true", "false"):
        made = step("a", options=(Option("tty", value, True, PLACE),))
        [link] = link_steps(tree(stalk("root", made)))
        known[value] = format_1.history(link, {}, base, {})

    assert known["true"] == format_1.UNKNOWN
    assert known["false"].fingerprint


def test_a_missing_image_that_nothing_needs_is_not_made_again(engine):
    """A history that is no longer needed is not built again, of 0.1 either."""
    engine.untag(f"{PREFIX}/right:d")

    assert found(engine)["right:e"] == ("REUSE", SAME)
    assert found(engine)["right:d"][0] == "REUSE"


def test_a_script_is_told_the_fingerprint_that_a_needed_step_was_made_under(engine):
    """What that left in a store, it left under that name."""
    told = {}

    def program(name, environment):
        from stalker.engine.fake import FakeRun

        told[name] = environment
        return FakeRun()

    engine._program = program
    run(old_tree(), engine, start="right:d", until="right:d")

    made_as = engine.image(f"{PREFIX}/left:c").labels[labels.FINGERPRINT]
    assert told["d"]["STALKER_NEEDS"] == f"left:c {made_as}"
