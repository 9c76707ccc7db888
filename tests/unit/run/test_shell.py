"""The container of a shell: what is mounted and placed, what is kept, and its prompt."""

import json

import pytest

from build import PREFIX, stalk, step, tree
from stalker.app.settings import Settings
from stalker.cli.commands.shell import find_opening
from stalker.engine.fake import FakeEngine
from stalker.errors import EngineError
from stalker.model import labels
from stalker.model.diagnostics import Place
from stalker.model.images import Image
from stalker.model.tree import File, Mount, Option
from stalker.run.script.run_script import take_away
from stalker.run.shell import COMMENT, Opening, container_spec, keep, place_files, settings_of_shell

PLACE = Place("stalks/s/s.hjson", 3)
SETTINGS = Settings("/nonexistent")
NAME = f"{PREFIX}/web:install"


def option(name, value):
    return Option(name, json.dumps(value), counts=False, place=PLACE)


def opened(engine, one, **told):
    """Return an opening of a step on an image of the fake, with its container started."""
    made = engine.add_image(NAME, {labels.STEP: NAME, labels.FINGERPRINT: "f" * 64, **told})
    opening = find_opening(SETTINGS, NAME, engine.image(made.id), tree(stalk("web", one)))
    spec = container_spec(opening, "run-1")
    container = engine.create(spec)
    engine.start(container)
    return opening, spec, container


def test_the_container_is_the_steps_own_and_can_be_swept():
    """Mounts, options and platform of the step; the label of a run, so that a kill leaves nothing."""
    mount = Mount("/data", "store", "s", writable=True, place=PLACE)
    one = step("install", mounts=(mount,), options=(option("network", "none"),), platform="linux/arm/v7")

    opening, spec, _ = opened(FakeEngine(), one)

    assert spec.labels[labels.RUN] == "run-1"
    assert (spec.mounts, spec.options, spec.platform) == ((mount,), one.options, "linux/arm/v7")
    assert spec.image == opening.image.id
    assert labels.FINGERPRINT not in spec.labels


class Programs(FakeEngine):
    """Keeps what it was asked to run; `codes` are the exit codes to give, first come first served."""

    def __init__(self, *codes, said=b""):
        super().__init__()
        self.asked = []
        self.codes = list(codes)
        self.said = said

    def exec(self, container, argv, environment, on_output, stdin=(), **more):
        fed = b"".join(stdin)
        self.asked.append((fed.decode() or argv, more))
        code = self.codes.pop(0) if self.codes else 0
        if code:
            on_output(self.said, True)
            return code
        return super().exec(container, argv, environment, on_output, stdin=[fed] if fed else None, **more)


def test_files_are_placed_as_root_and_copies_are_not_placed_again():
    """The image has the copies, as the script left them."""
    engine = Programs()
    bound = File("/etc/bound", "b", "d", PLACE, content=b"bound content")
    copied = File("/etc/copied", "c", "d", PLACE, content=b"copied content")
    opening, _, container = opened(
        engine, step("install", files=(bound,), copies=(copied,), late_copies=(copied,))
    )

    payload = place_files(engine, container, opening)

    assert payload is not None
    enter = engine.asked[0][0]
    assert "bound content" in enter
    assert "copied" not in enter
    assert all(more["user"] == "0" for _, more in engine.asked)


def test_a_file_that_cannot_be_placed_ends_it():
    engine = Programs(125, said=b"read-only file system")
    opening, _, container = opened(engine, step("install"))

    with pytest.raises(EngineError) as caught:
        place_files(engine, container, opening)

    assert caught.value.details == "read-only file system"


@pytest.mark.parametrize(("code", "said", "is_refused"), [(1, b"rm: busy", True), (0, b"", False)])
def test_a_file_of_ours_that_stays_is_an_error(code, said, is_refused):
    """What is kept must not hold it."""
    engine = Programs(0, 0, code, said=said)
    opening, _, container = opened(engine, step("install"))
    payload = place_files(engine, container, opening)
    refused = ""

    try:
        take_away(engine, container, payload)
    except EngineError as error:
        refused = error.details

    assert refused == ("rm: busy" if is_refused else "")


@pytest.mark.parametrize("mounts", [(), (Mount("/a/b", "store", "s", writable=True, place=PLACE),)])
def test_what_is_kept_has_no_label_that_a_plan_looks_for(mounts):
    """With mounts the mount points go first, in a container without them."""
    engine = FakeEngine()
    one = step("install", mounts=mounts)
    told = {labels.BASE: "b", labels.INPUTS: "{}", labels.MADE_FROM: "{}", labels.LOG: "l"}
    opening, spec, container = opened(engine, one, **told)
    engine.live[container].writes["/new"] = b"new"

    image = engine.image(keep(engine, container, spec, opening, "mine"))

    assert image.tags == (f"{PREFIX}/web:mine",)
    filled = {name for name, value in image.labels.items() if value}
    assert filled == {labels.VERSION, labels.TREE, labels.RUN}
    assert image.comment == COMMENT + NAME
    assert engine.files[image.id] == {"/new": b"new"}
    assert list(engine.live) == [container]


def test_the_prompt_cannot_be_broken_by_a_name():
    """What is not a plain character of a name is a line."""
    assert "PS1='a_b_ $PWD# '" in settings_of_shell("a'b$")


def test_an_opening_without_a_step_has_no_mounts():
    spec = container_spec(Opening(Image("sha256:1"), "x", "", "/w"), "run-1")

    assert (spec.mounts, spec.options, spec.platform) == ((), (), "")
