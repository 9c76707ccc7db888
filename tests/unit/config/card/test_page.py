from __future__ import annotations

import re
from pathlib import Path

import pytest

from doc_pages import ROOT, blocks
from stalker.config.card.conversions import DIGITS
from stalker.config.card.load import read_creation
from stalker.config.schema.card import IMAGE
from stalker.config.schema.types import Either, Items, Keys
from stalker.model.card import CONFIG_COPY, OUTPUT_FORMATS, VIAS

PAGE = ROOT / "docs/reference/image-config.md"


@pytest.fixture(scope="module")
def example():
    (block,) = [block for block in blocks(PAGE) if block.language == "yaml"]
    return read_creation(block.body, "card.yaml", folder=Path("/srv/cards"))


def keys_of(shape):
    """Return every key that a shape knows, however deep."""
    if isinstance(shape, Keys):
        inner = [keys_of(one) for one in (*shape.keys.values(), shape.others)]
        return set(shape.keys).union(*inner)
    if isinstance(shape, Items):
        return keys_of(shape.item)
    if isinstance(shape, Either):
        return set().union(*(keys_of(one) for one in shape.shapes))
    return set()


def test_the_example_of_the_page_is_right(example):
    """Who copies it has a configuration without a problem, or even a warning."""
    assert example.warnings == ()
    assert example.output.size_words == "32GB card"
    assert [image.ident.rpartition("/")[2] for image in example.images] == ["library:1.4", "files:2"]
    assert example.files[1].source.url == "/srv/archives/maps.tar.zst"
    assert example.offspot["containers"]["services"]["library"]["ports"] == ["80:80"]
    assert example.injections.users[0].has_sudo
    assert example.injections.wifi[0].password.path == "/srv/cards/wifi.key"
    assert example.mounts_data


def test_the_page_names_every_key_and_every_word():
    """Nothing can be written that the page does not say."""
    text = PAGE.read_text(encoding="utf-8")
    code = re.findall(r"`([^`\n]+)`|(?m:^## (\w+)$)", text)
    known = set(re.findall(r"[\w./-]+", " ".join(inline or title for inline, title in code)))
    words = {*VIAS, *OUTPUT_FORMATS, f"/data{CONFIG_COPY}"}

    assert keys_of(IMAGE) - known == set()
    assert words - known == set()
    assert {re.sub(r"sha(?=\d)", "sha-", name) for name in DIGITS} - known == set()
