"""The pages that show the rooms and the straight lines name what exists."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

from stalker.errors import StalkerError

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "lib/stalker"
PAGES = {name: (ROOT / name).read_text(encoding="utf-8") for name in ("lib/README.md", "docs/explanation.md")}
LINES = (
    "A run",
    "An artifact",
    "A card image",
    "An injection",
    "A write to a card",
    "A download",
    "Image prune",
)

_STEP = re.compile(r"^ +\d+  ([a-z_]+(?:\.\w+)+)", re.MULTILINE)
_NUMBERED = re.compile(r"^ +\d+  (\S+)", re.MULTILINE)
_QUOTED = re.compile(r"`((?:app|card|run|plan|fetch|images|artifacts)(?:\.\w+){2,})`")


def sections(text):
    """Return the text below each title of the third level."""
    return dict(part.split("\n", 1) for part in re.split(r"^### ", text, flags=re.MULTILINE)[1:])


def resolve(name):
    """Return what `module.function`, or `module.Class.method`, names below stalker."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(["stalker", *parts[:length]]))
        except ModuleNotFoundError:
            continue
        for attribute in parts[length:]:
            found = getattr(found, attribute)
        return found
    raise LookupError(name)


def test_a_name_that_does_not_exist_is_noticed():
    """A function that was renamed, a module that was moved."""
    assert resolve("errors.StalkerError") is StalkerError
    with pytest.raises(AttributeError):
        resolve("app.run.run_forest")
    with pytest.raises(LookupError):
        resolve("nowhere.run")


@pytest.mark.parametrize("page", PAGES)
def test_each_straight_line_is_shown_in_numbered_steps(page):
    """Every step is a function: what a reader looks for next."""
    lines = sections(PAGES[page])

    assert set(LINES) <= set(lines)
    for title in LINES:
        names = _STEP.findall(lines[title])
        assert len(names) > 3
        assert names == _NUMBERED.findall(lines[title])


@pytest.mark.parametrize(
    ("page", "name"),
    [
        (page, name)
        for page, text in PAGES.items()
        for name in dict.fromkeys(_STEP.findall(text) + _QUOTED.findall(text))
    ],
)
def test_each_function_of_a_straight_line_exists(page, name):
    """A renamed function is renamed in the pages too."""
    assert callable(resolve(name)), page


@pytest.mark.parametrize("page", PAGES)
def test_the_rooms_are_those_on_disk(page):
    """All packages, with the numbers of the layer test."""
    rooms = {one.parent.name for one in PACKAGE.glob("*/__init__.py")}
    drawn = re.findall(r"^(?: {4}|\| )`?([a-z]+)/`?(?: \||) *(\d+)", PAGES[page], re.MULTILINE)

    assert {name for name, _ in drawn} == rooms
    layers = importlib.import_module("test_layers").LAYERS
    assert {name: int(number) for name, number in drawn} == {name: layers[name] for name in rooms}
