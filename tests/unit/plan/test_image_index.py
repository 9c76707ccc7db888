"""Images by name, by work and by step, and whose work an image is."""

from __future__ import annotations

import json

from stalker.model import labels
from stalker.model.images import Image
from stalker.plan.image_index import ImageIndex, commit_of, duration_of, inputs_of, made_from

NOBODY = dict[str, Image]()


def image(name, fingerprint="f", *, parent="start", created_s=0.0, step="r/s:a", **more):
    own = {
        labels.FINGERPRINT: fingerprint,
        labels.STEP: step,
        labels.MADE_FROM: json.dumps({"start": "start"}),
        **more.pop("labels", {}),
    }
    return Image(f"id {name}", (name,) if name else (), own, parent_id=parent, created_s=created_s, **more)


def index(*images, others=NOBODY):
    return ImageIndex(images, others.get)


def test_the_image_with_the_steps_name_comes_before_a_newer_one():
    named, newer, oldest = (
        image("r/s:a", created_s=2.0),
        image("other:1", created_s=3.0),
        image("", created_s=1.0),
    )

    found = index(oldest, newer, named).with_fingerprint("f", "r/s:a")

    assert found == [named, newer, oldest]


def test_an_image_that_another_tool_derived_is_not_the_steps_work():
    """It has the labels, but sits on another image, and no comment of ours."""
    derived = image("r/s:a", parent="id of the step")

    assert index(derived).with_fingerprint("f", "r/s:a") == []


def test_without_a_parent_the_comment_says_whose_work_it_is():
    """A listing has no comments: the engine is asked for the image."""
    listed = image("r/s:a", parent="")
    inspected = image("r/s:a", parent="", comment=labels.COMMENT + "f")

    assert index(listed, others={listed.id: inspected}).made_by_us(listed)
    assert not index(listed, others={listed.id: listed}).made_by_us(listed)


def test_a_name_without_labels_of_ours_is_asked_for_once():
    asked = []
    debian = Image("id debian", ("debian:12",), {})

    def inspect(name):
        asked.append(name)
        return debian

    known = ImageIndex((), inspect)

    assert (known.named("debian:12"), known.named("debian:12")) == (debian, debian)
    assert asked == ["debian:12"]


def test_the_latest_of_a_step_is_the_one_with_its_name_else_the_newest():
    old, new = image("r/s:a", created_s=1.0), image("", created_s=2.0)
    moved = image("r/s:a", step="r/s:other", created_s=3.0)

    assert index(old, new).latest_of_step("r/s:a") == old
    assert index(new, moved).latest_of_step("r/s:a") == new
    assert index().latest_of_step("r/s:a") is None


def test_labels_that_cannot_be_read_say_nothing():
    """A label may be changed by anyone."""
    odd = image("x:1", labels={labels.MADE_FROM: "{", labels.INPUTS: "[]", labels.DURATION: "long"})

    assert (made_from(odd), inputs_of(odd), duration_of(odd)) == ({}, {}, None)


def test_a_commit_is_known_by_its_label_else_by_the_images_id():
    assert commit_of(image("x:1", labels={labels.COMMIT: "c"})) == "c"
    assert commit_of(image("x:1")) == "id x:1"
