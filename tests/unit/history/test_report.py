"""A run as a report: data, and a page that loads nothing."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from stalker.history.report import Sources, critical_path, document_of, page_of
from stalker.history.run_record import Attempt, RunRecord, StepRecord, read_record
from stalker.journal.writer import Journal
from unit.helpers.story import story

EVIL = "<script>alert(1)</script>\x1b[2J\u202e"
NOTHING = Sources(lambda _step: "", lambda _log: [])
TEXTS = Sources(
    lambda step: f"#!/bin/sh\necho {step.step}\n" + "x" * 5000, lambda _log: [EVIL, "last line"] * 20
)
VOID = {"meta", "br", "rect", "i", "td", "th", "tr"}


def record_of(tmp_path, count=None):
    journal = Journal(tmp_path, "r1")
    for event in story()[:count]:
        journal.on_event(event)
    if count is None:
        journal.close()
    return read_record(journal.path)


def large(count):
    """A run of that many steps, in stalks of ten."""
    record = RunRecord(0.0, run="r", tree="large", exit_code=0)
    record.ended_s = count + 1.0
    for number in range(count):
        name = f"stalk{number // 10}:step{number}"
        before = f"stalk{(number - 1) // 10}:step{number - 1}" if number else ""
        attempt = Attempt(
            number, number + 1.0, 1, "logs/x.txt", state="done", script_s=0.5, commit_s=0.1, image="i"
        )
        attempt.cpu_s, attempt.memory_bytes, attempt.added_bytes, attempt.exit_code = 0.4, 5_000_000, 1000, 0
        reason = "parent is another one, and the script changed"
        step = StepRecord(name, "RUN", reason, before, fingerprint="f" * 64, estimate_s=0.5)
        step.attempts.append(attempt)
        record.steps[name] = step
    return record


class Reader(HTMLParser):
    """Reads a page strictly: what is opened is closed, and what it would load is noted."""

    def __init__(self):
        super().__init__()
        self.open, self.loads, self.tags, self.text = [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.loads += [value for name, value in attrs if name in {"src", "href", "srcset", "data", "style"}]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def read(page):
    reader = Reader()
    reader.feed(page)
    reader.close()
    assert reader.open == []
    return reader


def test_the_page_shows_first_what_failed_and_loads_nothing(tmp_path):
    page = page_of(document_of(record_of(tmp_path), TEXTS))

    reader = read(page)
    text = " ".join(reader.text)
    assert reader.loads == []
    assert "script" not in reader.tags
    assert "://" not in page
    assert "default-src 'none'" in page
    assert (
        text.index("db:pg") < text.index("Steps by stalk") < text.index("Timeline") < text.index("All steps")
    )
    assert "exit code 7" in text


def test_what_others_wrote_is_escaped(tmp_path):
    """A log may hold markup, control sequences, and characters that turn the direction of writing."""
    record = large(2)
    record.brief = record.details = record.tree = EVIL
    record.steps["stalk0:step1"].attempts[-1].state = "failed"
    record.steps["stalk0:step1"].attempts[-1].last_lines = (EVIL,)

    page = page_of(document_of(record, TEXTS))

    read(page)
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert not re.search("[\x00-\x08\x0b-\x1f\u202e]", page)


@pytest.mark.parametrize("count", [4, 32, 300, 3000])
def test_a_page_stays_small_however_many_steps_there_are(count):
    document = document_of(large(count), TEXTS)

    page = page_of(document)

    read(page)
    assert len(page.encode()) <= 2_000_000
    assert page.count('<td class="s">') == count
    assert len(document["critical_path"]) == count


def test_a_killed_run_has_a_report_too(tmp_path):
    """It says that there is no end, and what was under way."""
    document = document_of(record_of(tmp_path, 12), NOTHING)

    assert (document["state"], document["exit_code"]) == ("no end", None)
    assert "running" in {step["state"] for step in document["steps"]}
    read(page_of(document))


def test_spans_that_overlap_have_lanes_of_their_own(tmp_path):
    spans = document_of(record_of(tmp_path), NOTHING)["spans"]

    for one in spans:
        for other in spans:
            if one is not other and one["lane"] == other["lane"]:
                apart = (
                    one["x"] + one["width"] <= other["x"] + 0.7
                    or other["x"] + other["width"] <= one["x"] + 0.7
                )
                assert apart, (one, other)


def test_the_critical_path_goes_back_by_the_input_that_ended_last():
    record = RunRecord(0.0)
    for name, parent, needs, ended in [
        ("a", "", (), 1),
        ("b", "a", (), 5),
        ("c", "a", (), 3),
        ("d", "c", ("b",), 9),
        ("e", "c", (), 4),
    ]:
        step = StepRecord(name, "RUN", "", parent, needs)
        step.attempts.append(Attempt(0.0, float(ended), state="done"))
        record.steps[name] = step

    assert critical_path(record) == ["a", "b", "d"]
    assert critical_path(RunRecord(0.0)) == []


def test_an_estimate_is_compared_with_what_its_scripts_took():
    document = document_of(large(4), NOTHING)

    assert (document["estimated_s"], document["estimated_scripts_took_s"]) == (2.0, 2.0)
