"""Verdicts on artifacts: a plan and what is on the host in, what is made and why out."""

from __future__ import annotations

from dataclasses import replace

import pytest

from build import BASE, plan, run, stalk, tree
from stalker.engine.fake import FakeEngine
from stalker.model.artifacts import (
    Artifact,
    BootTest,
    Disk,
    Expectation,
    Files,
    Gates,
    Partition,
    Repo,
    Rootfs,
    Write,
)
from stalker.model.base_key import base_key
from stalker.model.diagnostics import Place
from stalker.model.labels import BASE as BASE_LABEL
from stalker.model.tree import DiskBase, secret_marker
from stalker.plan.artifacts import definition, plan_artifacts, proof, steps_wanted
from stalker.plan.graph import link_steps, split_name
from stalker.plan.plan import Standing, Version
from stalker.plan.verdicts import select

PLACE = Place("trees/t/t.hjson", 9, 1)


def artifact(kind=None, name="root", stalk_name="s", **more):
    return Artifact(name, stalk_name, PLACE, kind or Rootfs("root.tar"), **more)


def of(*artifacts, **more):
    """A tree of one stalk with two steps and these artifacts."""
    return tree(stalk("s", "a", "b", artifacts=artifacts or (artifact(),), **more))


@pytest.fixture
def engine():
    made = FakeEngine()
    made.add_image(BASE)
    return made


def actions(made, engine, standing=None, **selection):
    drawn = plan(made, engine, **selection)
    links = link_steps(made)
    typed = {
        name: split_name(value, made) if isinstance(value, str) else value
        for name, value in selection.items()
    }
    return plan_artifacts(drawn, select(links, **typed), standing or {})


def published(made, engine, **more):
    """What is on the host after a run that published all."""
    return {
        name: Standing(
            Version(f"/artifacts/{name}-x", one.fingerprint, one.inputs, one.proof_inputs, one.image, **more)
        )
        for name, one in actions(made, engine).items()
    }


def verdict(made, engine, standing=None, name="s/root", **selection):
    found = actions(made, engine, standing, **selection)[name]
    return found.verdict, found.reason


def test_an_artifact_of_a_step_that_runs_is_made(engine):
    assert verdict(of(), engine) == ("MAKE", "s:b runs")


def test_an_artifact_that_was_never_made_is_made(engine):
    run(of(), engine)

    assert verdict(of(), engine) == ("MAKE", "not made yet")


def test_an_artifact_that_is_there_and_right_is_reused(engine):
    run(of(), engine)
    standing = published(of(), engine)

    found = actions(of(), engine, standing)["s/root"]

    assert (found.verdict, found.reason) == ("REUSE", "unchanged")
    assert found.version is standing["s/root"].published


def test_a_damaged_one_is_made_again(engine):
    run(of(), engine)
    standing = published(of(), engine, trouble="root.tar has 3 bytes, not 10")

    assert verdict(of(), engine, standing) == ("MAKE", "root.tar has 3 bytes, not 10")


def test_one_that_is_gone_says_so(engine):
    run(of(), engine)

    assert verdict(of(), engine, {"s/root": Standing(trouble="root.tar is gone")}) == (
        "MAKE",
        "root.tar is gone",
    )


def test_a_step_that_ran_again_since_is_the_reason(engine):
    """The same fingerprint is not the same image: what was downloaded may be newer."""
    run(of(), engine)
    standing = published(of(), engine)
    run(of(), engine, no_cache=True)

    found = verdict(of(), engine, standing)

    assert found[0] == "MAKE"
    assert found[1].startswith("s:b was run again since (")


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"exclude": ("/var/cache",)}, "exclude: (none) -> /var/cache"),
        ({"writes": (Write("/etc/hosts", b"1", PLACE),)}, "write /etc/hosts is new"),
        ({"epoch_s": 5}, "SOURCE_DATE_EPOCH: (none) -> 5"),
        ({"sbom": ("spdx",)}, "sbom: (none) -> spdx"),
        ({"kind": Rootfs("root.tar", "boot.tar")}, "boot: (none) -> boot.tar"),
        ({"kind": Rootfs("r.tar.zst")}, "file: root.tar -> r.tar.zst"),
        ({"kind": Repo("r", "/srv")}, "file: root.tar -> (none); folder: (none) -> r; and 2 more changes"),
    ],
)
def test_what_changed_in_the_tree_is_the_reason(engine, more, reason):
    run(of(), engine)

    assert verdict(of(artifact(**more)), engine, published(of(), engine)) == ("MAKE", reason)


def test_a_step_that_is_another_one_is_the_reason(engine):
    old = of()
    run(old, engine)
    standing = published(old, engine)
    new = tree(stalk("s", "a", "b", "c", artifacts=(artifact(),)))
    run(new, engine)

    assert verdict(new, engine, standing) == ("MAKE", "s:c is another one")


# proofs


GATED = {"gates": Gates(), "boot_test": BootTest("virt", PLACE)}


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"gates": Gates((("ssh_host_keys", "made at first boot"),))}, "its gates changed"),
        ({"gates": Gates(setuid=("/bin/x",))}, "its gates changed"),
        ({"boot_test": BootTest("virt", PLACE, cpus=2)}, "the boot test changed"),
        (
            {"boot_test": BootTest("virt", PLACE, expectations=(Expectation("wait", "login:", PLACE),))},
            "the boot test changed",
        ),
        ({"boot_test": None, "gates": None}, "its gates changed; the boot test changed"),
    ],
)
def test_a_changed_test_is_run_on_the_files_that_are_there(engine, more, reason):
    before, after = of(artifact(**GATED)), of(artifact(**{**GATED, **more}))
    run(before, engine)
    standing = published(before, engine)

    found = actions(after, engine, standing)["s/root"]

    assert (found.verdict, found.reason) == ("PROVE", reason)
    assert found.fingerprint == standing["s/root"].published.fingerprint


def test_a_refused_one_is_proven_again_and_not_made_again(engine):
    run(of(), engine)
    version = replace(published(of(), engine)["s/root"].published, refused="'login:' did not come")

    found = verdict(of(), engine, {"s/root": Standing(unproven=(version,))})

    assert found == ("PROVE", "it was refused: 'login:' did not come")


def test_a_refused_one_whose_test_was_changed_is_told_by_the_change(engine):
    """What it was refused for is of the old test, and says nothing of the new one."""
    before, after = of(artifact(**GATED)), of(artifact(**{**GATED, "boot_test": None}))
    run(before, engine)
    version = replace(published(before, engine)["s/root"].published, refused="'login:' did not come")

    found = verdict(after, engine, {"s/root": Standing(unproven=(version,))})

    assert found == ("PROVE", "the boot test changed")


def test_a_refused_one_of_older_things_is_made_again(engine):
    run(of(), engine)
    version = replace(published(of(), engine)["s/root"].published, refused="no login", fingerprint="0" * 64)

    assert verdict(of(), engine, {"s/root": Standing(unproven=(version,))})[0] == "MAKE"


# a disk that holds others


def disk(*held):
    parts = tuple(Partition(f"p{number}", PLACE, "ext4", artifact=name) for number, name in enumerate(held))
    return artifact(Disk("d.img", "mbr", parts), "disk")


def test_a_disk_is_made_again_when_what_it_holds_is(engine):
    """Written before or after it, the tar comes first."""
    run(of(), engine)
    made = of(disk("root"), artifact())
    standing = published(made, engine)
    standing["s/root"] = Standing(trouble="root.tar is gone")

    found = actions(made, engine, standing)

    assert list(found) == ["s/disk", "s/root"]
    assert (found["s/disk"].verdict, found["s/disk"].reason) == ("MAKE", "artifact s/root is made again")


def test_a_disk_whose_tar_was_made_by_itself_is_made_again(engine):
    run(of(), engine)
    standing = published(of(artifact(), disk("root")), engine)
    after = of(artifact(exclude=("/x",)), disk("root"))
    standing["s/root"] = published(after, engine)["s/root"]

    assert verdict(after, engine, standing, "s/disk") == ("MAKE", "artifact s/root is another one")


# selections


def three():
    return tree(
        stalk("base", "a", artifacts=(artifact(stalk_name="base"),)),
        stalk("web", "b", parent="base", artifacts=(artifact(stalk_name="web"),)),
        stalk("db", "c", parent="base", artifacts=(artifact(stalk_name="db"),)),
    )


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        ({}, {"base/root", "web/root", "db/root"}),
        ({"until": "web"}, {"base/root", "web/root"}),
        ({"only": "web"}, {"web/root"}),
    ],
)
def test_only_what_was_asked_for_is_made(engine, selection, expected):
    run(three(), engine)

    assert set(actions(three(), engine, **selection)) == expected


def test_an_artifact_of_a_blocked_step_is_blocked(engine):
    made = tree(stalk("s", "a", artifacts=(artifact(),), bases=()))

    found = verdict(made, engine)

    assert found == ("BLOCKED", "s:a is blocked")


def test_a_stalk_without_a_step_has_nothing_to_make_it_of(engine):
    made = tree(stalk("s", artifacts=(artifact(),)))

    assert verdict(made, engine)[0] == "BLOCKED"


def test_artifacts_of_a_stalk_that_only_pretends_are_made_of_its_tag(engine):
    made = of(pretend=True)
    engine.add_image("stalker-test/x/y/s:b")

    assert verdict(made, engine) == ("MAKE", "not made yet")


def test_a_stalk_without_steps_of_its_own_has_its_parents_image(engine):
    made = tree(stalk("p", "a"), stalk("s", parent="p", artifacts=(artifact(),)))
    run(made, engine)

    found = actions(made, engine)["s/root"]

    assert found.step == "p:a"
    assert found.image


def test_an_image_that_is_gone_is_wanted_back_only_for_what_has_to_be_made(engine):
    """The image of base was removed, and those of web and db, which grew on it, are there."""
    made = three()
    run(made, engine)
    standing = published(made, engine)
    image = engine.image("stalker-test/x/y/base:a").id
    for name in (*engine.image(image).tags, image):
        engine.untag(name)
    engine.images_by_id.pop(image, None)

    kept, missing = actions(made, engine, standing), actions(made, engine, {})

    assert {one.verdict for one in kept.values()} == {"REUSE"}
    assert steps_wanted(kept.values()) == frozenset()
    assert steps_wanted(missing.values()) == {"base:a"}


# what an artifact is


def test_no_value_of_a_secret_is_in_it():
    """The name of a secret is: another one is another content."""
    one, two = (
        definition(artifact(writes=(Write("/k", secret_marker(name).encode(), PLACE),)), "t")
        for name in ("ONE", "TWO")
    )

    assert one != two


def test_places_do_not_count():
    """A line that moves in the tree file makes nothing again."""
    there, elsewhere = (
        artifact(
            Disk("d.img", "mbr", (Partition("p", place, "ext4"),)),
            writes=(Write("/k", b"", place),),
            boot_test=BootTest("virt", place, expectations=(Expectation("wait", "x", place),)),
        )
        for place in (PLACE, Place("trees/t/t.hjson", 99, 9))
    )

    assert definition(there, "t") == definition(elsewhere, "t")
    assert proof(there) == proof(elsewhere)


def test_each_part_of_a_definition_counts():
    base = Partition("p", PLACE, "ext4")
    variants = [
        base,
        replace(base, size_bytes=5),
        replace(base, margin_percent=3),
        replace(base, margin_bytes=0),
        replace(base, label="x"),
        replace(base, source="/"),
        replace(base, directory="d"),
        replace(base, directory="d", directory_digest="1"),
        replace(base, artifact="a"),
        replace(base, uuid="1"),
        replace(base, is_bootable=True),
    ]
    disks = [Disk("d.img", "mbr", (one,)) for one in variants]
    disks += [
        replace(disks[0], table="gpt"),
        replace(disks[0], size_bytes=1),
        replace(disks[0], align_bytes=1),
        replace(disks[0], disk_id="1"),
        replace(disks[0], fill=("/x",)),
        replace(disks[0], formats=("img", "bmap")),
        replace(disks[0], partitions=(base, replace(base, name="q"))),
        replace(disks[0], partitions=(replace(base, name="q"), base)),
    ]
    kinds = [*disks, Files("f.tar", ("/a",)), Files("f.tar", ("/a", "/b")), Repo("r", "/a"), Rootfs("f.tar")]

    found = {tuple(sorted(definition(artifact(kind), "t").items())) for kind in kinds}

    assert len(found) == len(kinds)


def test_a_disk_like_its_base_counts_by_all_of_the_image(engine):
    """Also by what is in no step: another boot loader before the same root makes another disk."""
    like = artifact(Disk("x.img", "mbr", (), like="base"), name="image")
    found = []
    for digits in ("1", "2"):
        base = DiskBase("x.img", PLACE, f"sha256:{digits * 64}")
        engine.add_image(f"like:{digits}", labels={BASE_LABEL: base_key(base)})
        made = of(like, bases=(base,))
        found.append(actions(made, engine)["s/image"].inputs)

    assert found[0]["like"] != found[1]["like"]
