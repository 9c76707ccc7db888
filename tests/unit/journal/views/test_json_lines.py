"""--json: events for programs."""

from __future__ import annotations

import json
import re
from typing import get_args

from stalker.journal.views import json_lines
from stalker.journal.views.json_lines import JsonView
from stalker.model.events import Event, StepFinished, StepOutput
from unit.helpers.story import WEB, T, story
from unit.helpers.streams import Pipe


def told(events):
    stream = Pipe()
    view = JsonView(stream)
    for event in events:
        view.on_event(event)
    return [json.loads(line) for line in stream.text.splitlines()]


def test_each_event_is_one_object_with_its_name():
    """Names are in snake case, in the order of the run."""
    names = [message["event"] for message in told(story())]

    assert names[:4] == ["run_started", "file_read", "file_read", "variables_set"]
    assert names[-1] == "run_finished"
    assert len(names) == len(story())


def test_fields_have_the_names_of_the_events():
    """A program reads what the documentation says."""
    finished = next(message for message in told(story()) if message["event"] == "step_finished")

    assert (finished["step"], finished["exit_code"], finished["last_lines"]) == ("web:nginx", 1, ["fetching"])


def test_the_plan_is_a_list_of_objects():
    """Verdict and reason of each step."""
    planned = next(message for message in told(story()) if message["event"] == "planned")

    assert planned["steps"][1] == {
        "step": "web:nginx", "verdict": "RUN", "reason": "variable PORT: 8080 -> 80", "parent": "base:apt",
        "needs": [], "estimate_s": 3.0, "image": "", "fingerprint": "",
    }  # fmt: skip


def test_output_is_text_whatever_it_was():
    """A character in two pieces is whole; what is not UTF-8 is replaced; nothing is lost at the end."""
    pieces = [b"a\xc3", b"\xa4", b"\xff", b"\xe6\x97"]
    events = [*(StepOutput(T, WEB, piece) for piece in pieces), StepFinished(T, WEB, 1, "done", 1.0)]

    texts = [message["data"] for message in told(events) if message["event"] == "step_output"]

    assert texts == ["a", "ä", "\ufffd", "\ufffd"]


def test_the_documentation_names_every_event_and_field():
    """The module's docstring is the schema."""
    for kind in get_args(Event):
        name = re.sub(r"(?<!^)(?=[A-Z])", "_", kind.__name__).lower()
        pattern = rf"^    {name} (.*(?:\n {{8,}}.*)*)"
        documented = set(re.findall(r"\w+", re.search(pattern, json_lines.__doc__, re.MULTILINE).group(1)))

        assert set(kind.__dataclass_fields__) - {"at"} <= documented, name
