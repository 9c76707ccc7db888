"""The sources of a card image have ids, and what is known of them is kept by id."""

from __future__ import annotations

from dataclasses import replace

import pytest

from stalker.app.card_images.sources import Servers, fetched_sources, list_sources, measure_sources
from stalker.card.sizing import Load
from stalker.errors import InputError
from stalker.fetch.cache.cache import Cache
from stalker.fetch.oci.registry import Registries
from stalker.io.progress import Silent
from stalker.model.card import BaseImage, Creation, DataFile, InjectedFile, Injections, OciImage, Source
from stalker.model.diagnostics import Place
from unit.helpers.card_bases import Part, make_base

PLACE = Place("card.yaml")


@pytest.fixture
def creation(tmp_path):
    """Return a configuration with files that are inline, and files of this host with their name as content."""
    base = make_base(
        tmp_path / "base.img", [Part("vfat", 4, "BOOT", type="c"), Part("ext4", 8, "root", files=0)]
    )
    for name in ("one", "two", "three"):
        (tmp_path / name).write_text(name)

    def source(name):
        return Source(str(tmp_path / name))

    return Creation(
        "card.yaml",
        "text",
        BaseImage(PLACE, Source(str(base))),
        files=(
            DataFile("/a", PLACE, source=source("one")),
            DataFile("/b", PLACE, content=b"inline"),
            DataFile("/a", PLACE, source=source("two")),
        ),
        injections=Injections(
            files=(
                InjectedFile("boot", "/x", PLACE, b"inline"),
                InjectedFile("boot", "/y", PLACE, source=source("three")),
            )
        ),
    )


@pytest.fixture
def servers(tmp_path):
    with Cache(tmp_path / "cache") as cache, Registries({}) as registries:
        yield Servers(cache, registries, "linux/arm64/v8")


def test_an_id_is_the_key_of_the_configuration(creation):
    """Two sources for one path differ in their ids; what is inline is not a source."""
    creation = replace(creation, images=(OciImage("ghcr.io/a/b:1", PLACE),))

    sources = list_sources(creation, None)

    assert [(one.id, one.name) for one in sources.fetched] == [
        ("base", "base"),
        ("files.0", "/data/a"),
        ("files.2", "/data/a"),
        ("injections.files.1", "boot:/y"),
        ("oci_images.0", "ghcr.io/a/b:1"),
    ]
    assert [one.to for one in sources.inline] == ["/b"]


def test_a_base_of_this_host_is_inspected_and_not_queried(creation, servers, tmp_path):
    """Nothing of this host counts as a download."""
    measured = measure_sources(list_sources(creation, tmp_path / "base.img"), servers)

    assert measured.disk is not None
    assert measured.disk.path == tmp_path / "base.img"
    assert measured.base is None
    assert sorted(measured.loads) == [Load(1, 3), Load(1, 3), Load(1, 6)]
    assert (measured.download_bytes, measured.unknown) == (0, ())


def test_each_file_is_given_what_was_fetched_for_it(creation, servers, tmp_path):
    """In the order of the configuration, whatever is inline in between."""
    sources = list_sources(creation, tmp_path / "base.img")
    measured = measure_sources(sources, servers)

    with fetched_sources(sources, measured, servers, Silent()) as ingredients:
        files = [(file.to, path and path.read_text()) for file, path in ingredients.files]
        injected = {file.to: path.read_text() for file, path in ingredients.injected.items()}

    assert files == [("/a", "one"), ("/b", None), ("/a", "two")]
    assert injected == {"/y": "three"}
    assert ingredients.base == tmp_path / "base.img"
    assert ingredients.disk is measured.disk


def test_a_missing_file_is_named(creation, servers, tmp_path):
    (tmp_path / "two").unlink()

    with pytest.raises(InputError, match=r"two cannot be read"):
        measure_sources(list_sources(creation, tmp_path / "base.img"), servers)
