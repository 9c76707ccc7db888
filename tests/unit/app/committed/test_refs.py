from __future__ import annotations

from dataclasses import replace

import pytest

from stalker.app.committed.refs import find_ref
from stalker.errors import PlanError
from stalker.model import labels
from unit.helpers.forest import TREE, Forest, grown, stalk


def found(forest: Forest, ref: str, tree=TREE) -> str:
    return find_ref(forest.engine, ref, tree)[0].replace("os/arch/sub/", "")


@pytest.mark.parametrize(
    ("ref", "name"),
    [
        ("web:nginx", "web:nginx"),
        ("web:final", "web:final"),
        ("web", "web:final"),
        ("web:initial", "web:initial"),
        ("web:site.failed", "web:site.failed"),
        ("os/arch/sub/web:nginx", "web:nginx"),
    ],
)
def test_a_step_is_found_by_its_name_in_the_tree(ref, name):
    forest = grown()
    forest.fail("web:site", forest.base)

    assert found(forest, ref) == name


def test_a_stalk_without_steps_ends_where_it_starts():
    tree = replace(TREE, stalks=(*TREE.stalks, stalk("empty", parent="web")))

    assert found(grown(), "empty", tree) == "web:final"


@pytest.mark.parametrize(
    ("ref", "name"),
    [("os/arch/sub/web:nginx", "web:nginx"), ("os/arch/sub/web", "web:final"), ("debian", "debian")],
)
def test_without_a_tree_a_full_name_is_wanted(ref, name):
    forest = grown()
    forest.engine.add_image("debian")

    assert found(forest, ref, None) == name


@pytest.mark.parametrize("digits", [64, 20, 12])
@pytest.mark.parametrize("prefix", ["", "sha256:"])
def test_an_image_id_is_known_in_full_or_shortened(digits, prefix):
    forest = grown()
    image = forest.engine.image("os/arch/sub/web:nginx")

    assert found(forest, prefix + image.id.removeprefix("sha256:")[:digits], None) == "web:nginx"


@pytest.mark.parametrize("digits", [64, 20, 12])
def test_a_fingerprint_is_known_in_full_or_shortened(digits):
    forest = grown()
    image = forest.engine.image("os/arch/sub/web:nginx")

    assert found(forest, image.labels[labels.FINGERPRINT][:digits], None) == "web:nginx"


def test_a_fingerprint_means_our_image_not_one_derived_from_it():
    forest = grown()
    image = forest.engine.image("os/arch/sub/web:nginx")
    forest.derive("mine:1", image)

    assert find_ref(forest.engine, image.labels[labels.FINGERPRINT], None)[1].id == image.id


def test_an_old_build_without_a_name_is_found_by_its_fingerprint():
    forest = grown()
    old = forest.engine.image("os/arch/sub/web:site")
    forest.tag(forest.base, "web:site")
    forest.tag(forest.base, "web:final")

    name, image = find_ref(forest.engine, old.labels[labels.FINGERPRINT], None)

    assert image.id == old.id
    assert name == old.id.removeprefix("sha256:")[:12]


def test_a_beginning_that_fits_two_fingerprints_is_refused_with_both():
    forest = Forest()
    for tail in "ab":
        image = forest.grow("base:apt", forest.base)
        known = {**image.labels, labels.FINGERPRINT: "f" * 20 + tail * 44}
        forest.engine.images_by_id[image.id] = replace(image, labels=known)

    with pytest.raises(PlanError, match="2 fingerprints") as caught:
        find_ref(forest.engine, "f" * 14, None)

    assert "f" * 20 + "a" * 44 in caught.value.details
    assert "more digits" in caught.value.resolution


@pytest.mark.parametrize(
    ("ref", "tree", "said"),
    [
        ("web:ngix", TREE, "did you mean web:nginx"),
        ("wbe:nginx", TREE, "did you mean web:nginx"),
        ("web:nothing-like-it", TREE, "web:final"),
        ("os/arch/sub/web:ngin", None, "did you mean os/arch/sub/web:nginx"),
        ("web:nothing", None, "--tree"),
        ("web:ngin", None, "did you mean os/arch/sub/web:nginx"),
        ("0123456789ab", None, "no image"),
        ("web:../../info", TREE, "web:"),
        ("a b?c#d", None, "no image"),
        ("", TREE, "empty REF"),
    ],
)
def test_what_is_not_there_is_refused_with_what_comes_near(ref, tree, said):
    """Exit code 2, and the name that was probably meant."""
    with pytest.raises(PlanError) as caught:
        find_ref(grown().engine, ref, tree)

    assert said in f"{caught.value.brief} {caught.value.details} {caught.value.resolution}"
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("ref", "name"),
    [("web:site.failed", "web:site.failed"), ("db:pg", "db:pg"), ("web:mine", "web:mine")],
)
def test_without_a_tree_a_step_is_found_that_only_one_image_is_named_after(ref, name):
    forest = grown()
    forest.fail("web:site", forest.base)
    forest.keep("web:mine", forest.engine.image("os/arch/sub/web:nginx"), "web:nginx")
    forest.derive("mine/db:pg", forest.engine.image("os/arch/sub/db:pg"))

    assert found(forest, ref, None) == name


def test_without_a_tree_a_step_of_two_trees_is_refused_with_both():
    forest = grown()
    forest.tag(forest.engine.image("os/arch/sub/db:pg"), "os/arch/another/db:pg")

    with pytest.raises(PlanError, match="db:pg is the end of 2 names") as caught:
        find_ref(forest.engine, "db:pg", None)

    assert caught.value.details.splitlines() == ["os/arch/another/db:pg", "os/arch/sub/db:pg"]


@pytest.mark.parametrize("tree", [TREE, None])
def test_only_what_is_ours_is_suggested_and_only_once(tree):
    """Images of others have our labels when they were derived; other trees' are no help with --tree."""
    forest = grown()
    forest.derive("mine/web:nginy", forest.engine.image("os/arch/sub/web:nginx"))
    if tree:
        forest.tag(forest.engine.image("os/arch/sub/web:nginx"), "os/arch/another/web:nginx")

    with pytest.raises(PlanError) as caught:
        find_ref(forest.engine, "web:ngin", tree)

    said = caught.value.details.removeprefix("did you mean ").removesuffix("?").split(" or ")
    assert said[0] == ("web:nginx" if tree else "os/arch/sub/web:nginx")
    assert len(said) == len(set(said))
    assert not [name for name in said if "mine" in name or "another" in name]


def test_a_tree_without_images_gets_no_suggestions_of_other_trees():
    forest = grown()
    alone = replace(TREE, stalks=(stalk("web2"),))

    with pytest.raises(PlanError) as caught:
        find_ref(forest.engine, "web2:nginx", alone)

    assert caught.value.details == ""


@pytest.mark.parametrize("ref", ["../info", "a b", "x?y=1", "-x", "web:a/../../../info"])
def test_nothing_but_names_is_asked_of_the_engine(ref):
    """A REF becomes part of an address of the engine's API."""
    forest = grown()
    asked = []
    forest.engine.image = asked.append

    with pytest.raises(PlanError):
        find_ref(forest.engine, ref, TREE)

    assert [name for name in asked if not name or set(name) & set(" ?#%") or ".." in name] == []
