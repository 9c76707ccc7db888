"""A daemonized step: up while later steps run, and started again for the step that needs it."""

from __future__ import annotations

import pytest

from build import BASE, run, stalk, step, tree
from stalker.engine.fake import FakeEngine, FakeRun
from stalker.model import events
from stalker.run.script import service


@pytest.fixture(autouse=True)
def not_seen(monkeypatch):
    """A fake engine cannot show that a script was opened; how long that is waited for is not the point here."""
    monkeypatch.setattr(service, "UNSEEN_S", 0.1)


def engine_with(program=None):
    made = FakeEngine(program)
    made.add_image(BASE)
    return made


def test_a_daemonized_step_is_up_while_later_steps_of_its_stalk_run():
    engine = engine_with(lambda name, _: FakeRun(None if name == "server" else 0))
    made = tree(stalk("root", step("server", daemonize=True), "client"))

    ran = run(made, engine)

    client = next(event for event in ran.of(events.ContainerStarted) if event.step == "root:client")
    assert ran.result.exit_code == 0
    assert not client.is_reused
    assert engine.live == {}


def test_a_reused_daemonized_step_is_started_again_for_the_step_that_talks_to_it():
    engine = engine_with(lambda name, _: FakeRun(None if name == "server" else 0))
    run(tree(stalk("root", step("server", daemonize=True), "client")), engine)

    ran = run(tree(stalk("root", step("server", daemonize=True), step("client", "other\n"))), engine)

    assert ran.verdicts == {"root:server": "REUSE", "root:client": "RUN"}
    started = [event for event in ran.of(events.StepStarted) if event.step == "root:server"]
    assert [event.service for event in started] == [True]


def test_a_step_whose_service_does_not_come_up_again_says_so():
    """The step never began, and the user still hears of it and why."""
    made = tree(stalk("root", step("server", daemonize=True), "client"))
    codes = iter([0, 3])
    engine = engine_with(lambda name, _: FakeRun(next(codes) if name == "server" else 0))
    run(made, engine)

    ran = run(tree(stalk("root", step("server", daemonize=True), step("client", "other\n"))), engine)

    told = {event.step: event for event in ran.of(events.StepFinished)}
    assert ran.result.failed == ["root:client"]
    assert told["root:server"].exit_code == 3
    assert told["root:client"].brief == "root:client: root:server, which has to be up for it, did not come up"
