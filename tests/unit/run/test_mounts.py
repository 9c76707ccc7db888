"""What mounts need before they are there, and what goes after them."""

from __future__ import annotations

from stalker.engine.fake import FakeEngine
from stalker.model.diagnostics import Place
from stalker.model.images import Image
from stalker.model.tree import Mount
from stalker.run.mounts import (
    folders_of_mounts,
    image_without_volumes,
    prepare_mounts,
    sources_now,
    volumes_of,
)

PLACE = Place("stalks/s/s.hjson")


def mount(source, *, kind="directory", writable=True):
    return Mount("/mnt", kind, source, writable, PLACE)


def test_a_store_and_a_writable_directory_of_the_workspace_are_made(tmp_path):
    """What is only read has to be there, and a path of the host belongs to its owner."""
    engine = FakeEngine()
    absent = tmp_path / "absolute"

    prepare_mounts(
        engine,
        [
            mount("cache", kind="store"),
            mount("out/deep"),
            mount("input", writable=False),
            mount(str(absent)),
        ],
        str(tmp_path / "work"),
    )

    assert engine.volumes({}) == ["cache"]
    assert (tmp_path / "work/out/deep").is_dir()
    assert not (tmp_path / "work/input").exists()
    assert not absent.exists()


def test_a_directory_that_was_replaced_is_another_source(tmp_path):
    """An equal one under the same name too; a store is none."""
    mounts = [mount("a"), mount("cache", kind="store"), mount("none")]
    (tmp_path / "a").mkdir()
    before = sources_now(mounts, str(tmp_path))
    (tmp_path / "a").rename(tmp_path / "old")
    (tmp_path / "a").mkdir()

    after = sources_now(mounts, str(tmp_path))

    assert before[0] != after[0]
    assert before[1:] == after[1:] == [None]


def test_the_folders_above_mount_points_are_listed_once():
    assert folders_of_mounts(["/srv/a", "/srv/b/c"]) == ["/srv", "/srv/a", "/srv/b", "/srv/b/c"]


def test_only_an_image_that_declares_volumes_is_replaced():
    plain = Image("id", (), {})

    assert volumes_of(Image("id", (), {}, config={"Volumes": {"/data": {}}})) == ("/data",)
    assert volumes_of(Image("id", (), {}, config={"Volumes": None})) == ()
    assert image_without_volumes(FakeEngine(), plain, "run") == "id"
