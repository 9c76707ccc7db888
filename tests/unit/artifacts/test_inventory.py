"""What `artifacts` lists, from what is on the host and what a run would do."""

from __future__ import annotations

from dataclasses import replace

import pytest

from build import stalk, tree
from stalker.artifacts.inventory import item_document, items_table, take_stock
from stalker.artifacts.store import shelf_of
from stalker.model.artifacts import Artifact, Rootfs
from stalker.model.diagnostics import Place
from stalker.plan.artifacts import definition
from stalker.plan.plan import ArtifactAction, Standing, Version

ARTIFACT = Artifact("root", "s", Place("trees/t/t.hjson"), Rootfs("r.tar"))
VERSION = Version(
    "/w/artifacts/t/s/root-0123456789ab", "f" * 64, {**definition(ARTIFACT, "t"), "step s:a": "1"}, {}, "i"
)


def one_tree(tmp_path, artifact=ARTIFACT):
    return tree(stalk("s", "a", artifacts=(artifact,)), workspace=str(tmp_path))


def judged(tmp_path, standing, verdict="", reason="", version=None, artifact=ARTIFACT):
    actions = {"s/root": ArtifactAction(artifact, verdict, reason, version=version)} if verdict else {}
    (item,) = take_stock(one_tree(tmp_path, artifact), {"s/root": standing}, actions, tmp_path / "cache")
    return item.state, item.reason


REFUSED = replace(VERSION, refused="no login", folder=VERSION.folder + ".unproven")


@pytest.mark.parametrize(
    ("standing", "action", "expected"),
    [
        (Standing(), ("MAKE", "not made yet"), ("missing", "not made yet")),
        (Standing(trouble="root-1 is gone"), ("MAKE", "x"), ("damaged", "root-1 is gone")),
        (Standing(VERSION), ("REUSE", "unchanged"), ("made", "")),
        (Standing(VERSION), ("MAKE", "s:a runs"), ("stale", "s:a runs")),
        (Standing(VERSION), ("BLOCKED", "s:a is blocked"), ("stale", "s:a is blocked")),
        (Standing(VERSION), ("PROVE", "the boot test changed"), ("stale", "the boot test changed")),
        (Standing(replace(VERSION, trouble="r.tar is gone")), ("MAKE", "x"), ("damaged", "r.tar is gone")),
        (Standing(unproven=(REFUSED,)), ("PROVE", "x"), ("unproven", "no login")),
        (
            Standing(VERSION, (REFUSED,)),
            ("PROVE", "it was refused: no login"),
            ("stale", "a newer one was refused: no login"),
        ),
    ],
)
def test_the_state_is_what_a_run_would_find(tmp_path, standing, action, expected):
    assert judged(tmp_path, standing, *action) == expected


def test_without_an_engine_only_the_definition_is_held_against_it(tmp_path):
    changed = replace(ARTIFACT, exclude=("/x",))

    assert judged(tmp_path, Standing(VERSION)) == ("made", "")
    assert judged(tmp_path, Standing(VERSION), artifact=changed) == ("stale", "its definition changed")


def test_a_list_for_people_and_one_for_programs(tmp_path):
    items = take_stock(one_tree(tmp_path), {"s/root": Standing(VERSION)}, {}, tmp_path / "cache")

    table = items_table(items, 0.0, str(tmp_path), with_tree=True)
    document = item_document(items[0])

    assert table.splitlines()[1].split() == ["t/s/root", "made", "artifacts/t/s/root"]
    assert document["path"] == str(shelf_of(one_tree(tmp_path), ARTIFACT, tmp_path).link)
    assert (document["state"], document["kind"], document["files"]) == ("made", "rootfs", [])
