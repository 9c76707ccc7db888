"""Which base gives a root stalk its first image, and why."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from build import PREFIX, stalk, step, tree
from stalker.engine.fake import FakeEngine
from stalker.model import labels
from stalker.model.base_key import base_key
from stalker.model.diagnostics import Place
from stalker.model.identity import image_identity
from stalker.model.tree import DockerfileBase
from stalker.plan.bases import find_bases
from stalker.plan.image_index import ImageIndex

PLACE = Place("trees/t/t.hjson", 1)
BUILT = DockerfileBase("ctx", PLACE, context_digest="c" * 64)


def found(engine, *bases, obstacle=""):
    index = ImageIndex(engine.labelled_images(), engine.image)
    return find_bases(tree(stalk("s", step("a"), bases=bases)), index, lambda _base, _platform: obstacle)["s"]


@pytest.fixture
def engine():
    """An engine with a base that was made of a Dockerfile on the image `on:1`."""
    made = FakeEngine()
    on = made.add_image("on:1")
    built_on = json.dumps({"on:1": image_identity(on)})
    told = {labels.VERSION: "1", labels.BASE: base_key(BUILT), labels.BASE_IMAGES: built_on}
    made.add_image(f"{PREFIX}/s:initial", told)
    return made


def test_a_dockerfile_that_was_built_serves(engine):
    assert found(engine, BUILT).verdict == "REUSE"


def test_it_is_built_again_when_the_image_in_from_is_another_one_now(engine):
    engine.add_image("on:1")

    action = found(engine, BUILT)

    assert (action.verdict, action.reason) == (
        "RUN",
        "dockerfile ctx will be made: it builds on on:1, which is another image now",
    )


def test_it_serves_while_the_image_in_from_is_not_here(engine):
    """What is in the engine serves without asking anybody."""
    engine.untag("on:1")

    assert found(engine, BUILT, obstacle="offline").verdict == "REUSE"


def test_it_serves_under_another_id_of_the_same_image(engine):
    on = engine.image("on:1")
    engine.images_by_id["sha256:other"] = replace(on, id="sha256:other")
    del engine.images_by_id[on.id]

    assert found(engine, BUILT).verdict == "REUSE"
