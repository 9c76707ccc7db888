"""Which view a run has."""

from __future__ import annotations

import json

import pytest

from stalker.journal.views.choose import InfoView, Several, choose_view
from stalker.journal.views.json_lines import JsonView
from stalker.journal.views.live import LiveView
from stalker.journal.views.plain import PlainView
from stalker.journal.views.watch import WatchView
from unit.helpers.story import idle_story, story
from unit.helpers.streams import FakeTerminal, Pipe

XTERM = {"TERM": "xterm-256color"}


@pytest.mark.parametrize(
    ("stderr", "environ", "flags", "kind"),
    [
        (Pipe, XTERM, {}, PlainView),
        (FakeTerminal, XTERM, {}, LiveView),
        (FakeTerminal, {"TERM": "dumb"}, {}, PlainView),
        (FakeTerminal, {}, {}, PlainView),
        (FakeTerminal, XTERM, {"quiet": True}, PlainView),
        (FakeTerminal, XTERM, {"watch": True}, WatchView),
        (FakeTerminal, XTERM, {"json": True}, Several),
        (FakeTerminal, XTERM, {"eliot_info": True}, Several),
    ],
)
def test_the_view_follows_flags_and_streams(stderr, environ, flags, kind):
    """A terminal gets the live view unless something else is to be written there."""
    assert type(choose_view(Pipe(), stderr(), environ, **flags)) is kind


def told(events, **flags):
    stdout, stderr = Pipe(), Pipe()
    view = choose_view(stdout, stderr, {}, **flags)
    for event in events:
        view.on_event(event)
    view.close()
    return stdout.text, stderr.text


def test_messages_go_to_stderr_and_results_to_stdout():
    """A pipe from stdout holds nothing that was not asked for."""
    stdout, stderr = told(story())

    assert stdout == ""
    assert stderr.splitlines()[-1].startswith("failed: 2 steps ran")


def test_json_has_stdout_to_itself():
    """Every line is an object, whatever went wrong; warnings and failures are on stderr."""
    stdout, stderr = told(story(), json=True, watch=True, eliot_info=True)

    assert len([json.loads(line) for line in stdout.splitlines()]) == len(story())
    assert "db:pg  failed with exit code 7" in stderr


def test_watching_shows_output_on_stdout_and_failures_on_stderr():
    """Both can be taken apart."""
    stdout, stderr = told(story(), watch=True)

    assert "fetching\n" in stdout
    assert "failed with exit code" not in stdout
    assert "db:pg  failed with exit code 7" in stderr


def test_info_tells_of_containers_and_commits_as_the_original_did():
    """--eliot_info: who was created and what was committed, a line each."""
    stdout, _ = told(story(), eliot_info=True)

    assert stdout.splitlines() == [
        "base:initial : sha256:4ca5a981c9 found",
        "base:apt : sha256:4ca5a981c9 found",
        "db:pg : dreamy_bell created",
        "web:nginx : eager_poitras created",
        "db:pg : sha256:4ca5a981c9 committed",
        "db:dump : blocked, db:pg failed",
        "web:nginx : vibrant_hodgkin created",
        "web:nginx : sha256:4ca5a981c9 committed",
        "web:tune : vibrant_hodgkin reused",
        "web:tune : sha256:4ca5a981c9 committed",
    ]


def test_no_color_is_honoured():
    """The environment's wish counts on a terminal too."""
    screen = FakeTerminal()
    view = choose_view(Pipe(), screen, XTERM | {"NO_COLOR": "1"}, watch=True)

    for event in story():
        view.on_event(event)

    assert "\x1b" not in screen.text


@pytest.mark.parametrize("flags", [{"quiet": True}, {"quiet": True, "watch": True}])
def test_quiet_says_nothing_when_all_went_well(flags):
    """Also beside other flags."""
    assert told(idle_story(), **flags) == ("", "")


def test_views_are_built_of_the_streams_they_are_given():
    """A view alone needs no terminal."""
    for kind in (PlainView, JsonView, InfoView):
        stream = Pipe()
        kind(stream).close()
        assert stream.text == ""
