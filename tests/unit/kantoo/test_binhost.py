"""A folder of binary packages and its index."""

from __future__ import annotations

import hashlib
import os

import pytest
from kantoo.binhost import (
    check_index,
    kept_and_gone,
    mirror,
    name_of,
    needed_version,
    put_version,
    read_index,
)
from kantoo.utils import Failed

NAMES = {
    "app-misc/hello-1.0": "app-misc/hello",
    "app-misc/hello-1.0-r3": "app-misc/hello",
    "sys-libs/db-5.3.28_p1-r2": "sys-libs/db",
    "dev-libs/x-2a_beta3": "dev-libs/x",
    "media-fonts/font-100dpi-1.0": "media-fonts/font-100dpi",
    "sys-devel/gcc-13.2.1_p20240210": "sys-devel/gcc",
    "app-misc/hello": "app-misc/hello",
    "x11-misc/a-b-c": "x11-misc/a-b-c",
}


def put(folder, packages, header="VERSION: 0\n"):
    """Write packages (content by cpv) and an index that tells of them."""
    parts = [header]
    for cpv, content in packages.items():
        path = folder / f"{cpv}.gpkg.tar"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        sha1 = hashlib.sha1(content).hexdigest()
        parts.append(f"CPV: {cpv}\nPATH: {cpv}.gpkg.tar\nSHA1: {sha1}\nSIZE: {len(content)}\nUSE: a b\n")
    (folder / "Packages").write_text("\n".join(parts) + "\n")


@pytest.fixture
def store(tmp_path):
    """A folder with two packages."""
    folder = tmp_path / "store"
    folder.mkdir()
    put(folder, {"app-misc/hello-1.0": b"hello", "sys-libs/db-5": b"db"})
    return folder


@pytest.mark.parametrize("cpv", NAMES)
def test_the_name_of_a_package_is_told_from_its_version(cpv):
    """By the rules of PMS: a name may hold digits and hyphens."""
    assert name_of(cpv) == NAMES[cpv]


def test_an_index_is_read(store):
    """The header is not a package."""
    hello, db = read_index(str(store))

    assert (hello.cpv, hello.name, hello.path, hello.size_bytes) == (
        "app-misc/hello-1.0",
        "app-misc/hello",
        "app-misc/hello-1.0.gpkg.tar",
        5,
    )
    assert (hello.use, db.sha1) == (["a", "b"], hashlib.sha1(b"db").hexdigest())


def test_without_an_index_there_are_no_packages(tmp_path):
    """An empty folder is one that nobody has built into."""
    assert read_index(str(tmp_path)) == []
    assert check_index(str(tmp_path)) == []


FAULTS = {
    "is not there": lambda store: (store / "sys-libs/db-5.gpkg.tar").unlink(),
    "has 3 bytes, 2 by the index": lambda store: (store / "sys-libs/db-5.gpkg.tar").write_bytes(b"dbx"),
    "is another file than the one in the index": lambda store: (store / "sys-libs/db-5.gpkg.tar").write_bytes(
        b"bd"
    ),
    "sys-libs/new-1.tbz2 is not in the index": lambda store: (store / "sys-libs/new-1.tbz2").touch(),
    "has packages and no index": lambda store: (store / "Packages").unlink(),
}


@pytest.mark.parametrize("said", FAULTS)
def test_an_index_that_does_not_fit_is_told(store, said):
    """Each fault by itself."""
    check_index(str(store))
    FAULTS[said](store)

    with pytest.raises(Failed, match=said):
        check_index(str(store))


def test_what_is_installed_or_listed_is_kept(store):
    """By version where it is installed, in all versions where its name is listed, or one that is named."""
    put(store, {f"a/{name}": b"" for name in ("x-1", "x-2", "y-1", "y-2", "z-1", "z-2")})

    kept, gone = kept_and_gone(read_index(str(store)), {"a/x-2"}, {"a/y", "=a/z-1"})

    assert [package.cpv for package in kept] == ["a/x-2", "a/y-1", "a/y-2", "a/z-1"]
    assert [package.cpv for package in gone] == ["a/x-1", "a/z-2"]


def test_a_mirror_becomes_what_its_source_is(store, tmp_path):
    """New packages come, changed ones are replaced, old ones go; what is the same stays the same file."""
    target = tmp_path / "target"
    first = mirror(str(store), str(target))
    same = (target / "sys-libs/db-5.gpkg.tar").stat().st_ino
    (target / "Packages.gz").touch()
    (store / "app-misc/hello-1.0.gpkg.tar").unlink()
    put(store, {"app-misc/hello-1.1": b"hello", "sys-libs/db-5": b"db", "a/b-1": b""})

    second = mirror(str(store), str(target))

    assert (first, second) == ((2, 0), (2, 1))
    assert [package.cpv for package in check_index(str(target))] == [
        "app-misc/hello-1.1",
        "sys-libs/db-5",
        "a/b-1",
    ]
    assert (target / "sys-libs/db-5.gpkg.tar").stat().st_ino == same
    assert not (target / "Packages.gz").exists()
    assert not list(target.rglob("*.part"))


def test_a_mirror_with_a_damaged_package_is_mended(store, tmp_path):
    """The index of the mirror says one thing, the file is another."""
    target = tmp_path / "target"
    mirror(str(store), str(target))
    (target / "sys-libs/db-5.gpkg.tar").write_bytes(b"bad")

    mirror(str(store), str(target))

    assert (target / "sys-libs/db-5.gpkg.tar").read_bytes() == b"db"


def test_an_empty_store_is_no_reason_to_empty_a_mirror(store, tmp_path):
    """Somebody removed the volume: what was published stays."""
    target, empty = tmp_path / "target", tmp_path / "empty"
    mirror(str(store), str(target))
    empty.mkdir()

    with pytest.raises(Failed, match="there are no binary packages in"):
        mirror(str(empty), str(target))

    assert len(check_index(str(target))) == 2


def test_a_version_stays_what_it_was(store, tmp_path):
    """A link to each package, and the index of then."""
    versions = tmp_path / "versions"
    put_version(str(store), str(versions), "a" * 64)
    file = store / "sys-libs/db-5.gpkg.tar"
    same = file.stat().st_ino
    file.unlink()
    put(store, {"app-misc/hello-1.0": b"hello"})

    folder = needed_version(str(versions), "build_repo:binhost " + "a" * 64 + "\n")

    assert [package.cpv for package in check_index(folder)] == ["app-misc/hello-1.0", "sys-libs/db-5"]
    assert (versions / ("a" * 64) / "sys-libs/db-5.gpkg.tar").stat().st_ino == same


def test_the_newest_versions_stay(store, tmp_path):
    """Ten of them, and nothing half-made."""
    versions = tmp_path / "versions"
    (versions / ".0.part").mkdir(parents=True)
    os.utime(versions / ".0.part", (1, 1))
    for number in range(12):
        put_version(str(store), str(versions), f"{number:02}")
        os.utime(versions / f"{number:02}", (1000 + number, 1000 + number))
    put_version(str(store), str(versions), "12")

    assert sorted(path.name for path in versions.iterdir()) == [f"{number:02}" for number in range(3, 13)]


def test_a_version_that_nobody_needs_or_has_is_told(tmp_path):
    """With what to do."""
    with pytest.raises(Failed, match="this stalk needs no other"):
        needed_version(str(tmp_path), "")
    with pytest.raises(Failed, match="what a:b, c:d published is not in") as caught:
        needed_version(str(tmp_path), "a:b 1\nc:d 2\n")

    assert caught.value.remedy == "publish it again: ./stalker run TREE --from a:b"
