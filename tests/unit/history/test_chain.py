"""The states that an image grew through."""

from __future__ import annotations

import json

from stalker.history.chain import chain_of, needs_of
from stalker.model import labels
from stalker.model.images import Image


class Engine:
    """An engine with some images."""

    def __init__(self, *images):
        self.images = {image.id: image for image in images}

    def labelled_images(self):
        return [image for image in self.images.values() if image.labels]

    def image(self, name):
        return self.images.get(name)


def step(name, made_from, inputs=None, failed=False, parent=""):
    key = labels.FAILED if failed else labels.STEP
    own = {
        key: f"os/x/y/s:{name}",
        labels.MADE_FROM: json.dumps(made_from),
        labels.INPUTS: json.dumps(inputs or {}),
        labels.COMMIT: f"commit-{name}",
        labels.FINGERPRINT: "" if failed else f"fp-{name}",
    }
    return Image(f"sha256:{name}", labels=own, diff_ids=("x",), parent_id=parent, created_s=1.0)


BASE = Image("sha256:base", tags=("debian:12",), diff_ids=("x",))
A = step("a", {"start": "sha256:base", "initial": "sha256:base", "base": "key"})
B = step("b", {"start": "sha256:base", "s:a": "commit-a"})
C = step(
    "c", {"start": "sha256:base", "s:b": "commit-b", "repo:final": "commit-r"}, {"needs repo:final": "fp-r"}
)


def titles(engine, image):
    return [(state.title, state.gap) for state in chain_of(engine, image)]


def test_the_chain_goes_down_to_the_base():
    """What a step needs is an input, not a state before it; a session's images all have one engine parent."""
    repo = step("r", {})

    assert titles(Engine(BASE, A, B, C, repo), C) == [
        ("base debian:12", ()),
        ("s:a", ()),
        ("s:b", ()),
        ("s:c", ()),
    ]
    assert needs_of(C) == {"repo:final": "fp-r"}


def test_a_missing_image_is_named_and_the_chain_goes_on_where_its_container_started():
    assert titles(Engine(BASE, A, C), C) == [("base debian:12", ()), ("s:c", ("s:b",))]


def test_a_failed_state_finds_its_parent_by_fingerprint():
    failed = step("c", {}, {"parent": "fp-b"}, failed=True, parent="sha256:base")

    assert titles(Engine(BASE, A, B, failed), failed)[-2:] == [("s:b", ()), ("s:c.failed", ())]


def test_labels_that_lead_in_a_circle_end():
    """Another program may have written them."""
    one, two = step("a", {"s:b": "commit-b"}), step("b", {"s:a": "commit-a"})

    assert titles(Engine(one, two), one) == [("s:b", ()), ("s:a", ())]
