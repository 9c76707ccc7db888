"""What an image is, is the same on every engine, and another one as soon as a container of it differs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from stalker.model import labels
from stalker.model.identity import image_identity, platform_text
from stalker.model.images import Image

BASE = Image(
    id="sha256:a",
    tags=("debian:1",),
    architecture="arm64",
    os="linux",
    diff_ids=("sha256:1", "sha256:2"),
    config={"Env": ["PATH=/bin", "A=1"], "Cmd": ["/bin/sh"], "Labels": {"a": "b"}, "Volumes": None},
)


def with_config(**entries):
    return replace(BASE, config={**BASE.config, **entries})


SAME = {
    "an id of another store": replace(BASE, id="sha256:b"),
    "names, age and parent": replace(BASE, tags=(), created_s=7.0, parent_id="sha256:c", comment="x"),
    "the usual variant": replace(BASE, variant="v8"),
    "empty entries": with_config(Entrypoint=[], User="", Volumes={}, OnBuild=None),
    "what a container left": with_config(Hostname="4ca5a981c925", Image="sha256:x", AttachStdin=True),
    "labels of ours": with_config(Labels={"a": "b", labels.VERSION: "1", labels.BASE: "k"}),
    "the order of keys": replace(BASE, config=dict(reversed(BASE.config.items()))),
}


@pytest.mark.parametrize("image", SAME.values(), ids=SAME.keys())
def test_what_differs_between_engines_does_not_count(image):
    assert image_identity(image) == image_identity(BASE)


OTHERS = {
    "a layer": replace(BASE, diff_ids=("sha256:1", "sha256:3")),
    "the order of layers": replace(BASE, diff_ids=BASE.diff_ids[::-1]),
    "the architecture": replace(BASE, architecture="amd64"),
    "the variant": replace(BASE, architecture="arm", variant="v7"),
    "the system": replace(BASE, os="windows"),
    "the environment": with_config(Env=["A=1", "PATH=/bin"]),
    "a volume": with_config(Volumes={"/data": {}}),
    "the user": with_config(User="joe"),
    "a label": with_config(Labels={"a": "c"}),
}


@pytest.mark.parametrize("image", OTHERS.values(), ids=OTHERS.keys())
def test_what_a_step_can_see_counts(image):
    assert image_identity(image) != image_identity(BASE)


@pytest.mark.parametrize(
    ("platform", "image", "text"),
    [
        ("", BASE, "linux/arm64"),
        ("", replace(BASE, variant="v8"), "linux/arm64"),
        ("linux/arm64/v8", None, "linux/arm64"),
        ("aarch64", None, "linux/arm64"),
        ("linux/arm", BASE, "linux/arm/v7"),
        ("", replace(BASE, architecture="arm", variant="v6"), "linux/arm/v6"),
        ("", None, ""),
    ],
)
def test_a_platform_has_one_spelling(platform, image, text):
    """The stalk's own, else that of the base image: never what the engine happens to be."""
    assert platform_text(platform, image) == text
