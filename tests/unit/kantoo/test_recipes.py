"""What a binary package was made of."""

from __future__ import annotations

import pytest
from kantoo.recipes import Repository, recipe, record, stale

from unit.kantoo.test_binhost import put

CPV = "app-misc/hello-1.0"


@pytest.fixture
def ebuilds(tmp_path):
    """A repository with one ebuild that inherits an eclass, which inherits one of its master."""
    for name, text in {
        "own/app-misc/hello/hello-1.0.ebuild": "EAPI=8\ninherit \\\n\tone missing # not two\nDESCRIPTION=x\n",
        "own/app-misc/hello/hello-2.0.ebuild": "EAPI=8\n",
        "own/app-misc/hello/files/sub/fix.patch": "a patch",
        "own/eclass/one.eclass": "\tinherit three\n",
        "own/eclass/two.eclass": "",
        "master/eclass/three.eclass": "KEYWORDS=x\n",
        "master/eclass/one.eclass": "of the master\n",
    }.items():
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return tmp_path


@pytest.fixture
def repository(ebuilds):
    return Repository(str(ebuilds / "own"), [str(ebuilds / "master")])


@pytest.mark.parametrize(
    "name",
    [
        "own/app-misc/hello/hello-1.0.ebuild",
        "own/app-misc/hello/files/sub/fix.patch",
        "own/eclass/one.eclass",
        "master/eclass/three.eclass",
    ],
)
def test_a_recipe_is_all_that_a_package_is_made_of(ebuilds, repository, name):
    """The ebuild, its files, its eclasses, and theirs."""
    before = recipe(CPV, repository)
    with (ebuilds / name).open("a") as file:
        file.write("\n# changed\n")

    assert recipe(CPV, repository) != before


@pytest.mark.parametrize(
    "name", ["own/app-misc/hello/hello-2.0.ebuild", "own/eclass/two.eclass", "master/eclass/one.eclass"]
)
def test_what_it_does_not_use_does_not_count(ebuilds, repository, name):
    """Another version, an eclass that is not inherited, one that a nearer one stands before."""
    before = recipe(CPV, repository)
    (ebuilds / name).write_text("# changed\n")

    assert recipe(CPV, repository) == before


def test_a_file_that_is_renamed_is_another_recipe(ebuilds, repository):
    """An ebuild names its patches."""
    before = recipe(CPV, repository)
    folder = ebuilds / "own/app-misc/hello/files/sub"
    (folder / "fix.patch").rename(folder / "other.patch")

    assert recipe(CPV, repository) != before


def test_packages_are_stale_until_recorded_and_after_a_change(ebuilds, repository, tmp_path):
    """Not known, as recorded, changed, built again, without an ebuild."""
    store = tmp_path / "store"
    store.mkdir()
    put(store, {CPV: b"one", "app-misc/hello-2.0": b"two"}, "VERSION: 0\n")
    text = (store / "Packages").read_text().replace("USE: a b", "USE: a b\nREPO: own")
    (store / "Packages").write_text(text)
    repositories = {"own": repository}

    def names():
        return [package.cpv for package in stale(str(store), repositories)]

    unknown = names()
    record(str(store), repositories)
    known = names()
    (ebuilds / "own/app-misc/hello/hello-1.0.ebuild").write_text("EAPI=8 # another")
    changed = names()
    record(str(store), repositories)
    still = names()
    (ebuilds / "own/app-misc/hello/hello-2.0.ebuild").unlink()

    assert unknown == [CPV, "app-misc/hello-2.0"]
    assert known == []
    assert changed == still == [CPV]
    assert names() == [CPV, "app-misc/hello-2.0"]


@pytest.mark.parametrize("text", ["", "{", "[1]"])
def test_a_damaged_record_costs_a_build_and_nothing_else(repository, tmp_path, text):
    """It is as if there were none."""
    put(tmp_path, {CPV: b"one"})
    (tmp_path / ".kantoo").mkdir()
    (tmp_path / ".kantoo/recipes.json").write_text(text)

    assert [package.cpv for package in stale(str(tmp_path), {"": repository})] == [CPV]
