"""One container for several steps, and when a new one is needed."""

from __future__ import annotations

import pytest

from build import BASE, run, stalk, step, tree
from stalker.config.docker_options.table import TABLE
from stalker.engine.fake import FakeEngine, FakeRun
from stalker.errors import EngineError
from stalker.model import events
from stalker.model.diagnostics import Place
from stalker.model.tree import Mount, Option
from stalker.run.session import OF_NETWORK, OWN_STATE

PLACE = Place("stalks/s/s.hjson", 9)


def engine_with(program=None):
    made = FakeEngine(program)
    made.add_image(BASE)
    return made


def test_siblings_see_their_own_variables_only():
    """A sibling's variables leaked into every stalk."""
    seen = {}

    def program(name, environment):
        seen[name] = environment.get("V")
        return FakeRun()

    run(
        tree(
            stalk("root", "a"),
            stalk("one", step("b", variables={"V": 1}), parent="root"),
            stalk("two", step("c", variables={"V": 2}), parent="root"),
        ),
        engine_with(program),
    )

    assert seen == {"a": None, "b": "1", "c": "2"}


def test_one_session_serves_the_steps_of_a_stalk():
    engine = engine_with()

    ran = run(tree(stalk("root", "a", "b", "c")), engine)

    assert engine.calls["create"] == 1
    assert [event.is_reused for event in ran.of(events.ContainerStarted)] == [False, True, True]


@pytest.mark.parametrize(
    ("why", "first", "second"),
    [
        ("a process is left running", FakeRun(left=1), {}),
        ("its layer has grown", FakeRun(writes={"/big": b"x" * (3 << 20)}), {}),
        ("the options differ", FakeRun(), {"options": (Option("network", '"none"', True, PLACE),)}),
        ("the mounts differ", FakeRun(), {"mounts": (Mount("/c", "store", "c", True, PLACE),)}),
    ],
)
def test_a_session_is_not_reused_when(why, first, second):
    engine = engine_with(lambda name, _: first if name == "a" else FakeRun())

    run(tree(stalk("root", "a", step("b", **second), "c")), engine)

    assert engine.calls["create"] >= 2, why


BIG = FakeRun(writes={"/big": b"x" * (3 << 20)})


def test_later_containers_of_a_stalk_join_the_network_of_the_first():
    """Half of what a fresh container costs is its network."""
    engine = engine_with(lambda *_: BIG)
    specs = []
    create = engine.create
    engine.create = lambda spec: specs.append(spec) or create(spec)

    run(tree(stalk("root", "a", "b", "c"), stalk("x", "d", parent="root")), engine, jobs=1)

    joined = [bool(spec.network_of) for spec in specs]
    assert joined == [False, True, True, False]
    assert engine.live == {}


@pytest.mark.parametrize("option", ["network_mode", "cap_add", "hostname"])
def test_a_network_that_is_asked_for_is_not_shared(option):
    engine = engine_with(lambda *_: BIG)
    specs = []
    create = engine.create
    engine.create = lambda spec: specs.append(spec) or create(spec)
    options = (Option(option, '"x"', True, PLACE),)

    run(tree(stalk("root", step("a", options=options), step("b", options=options))), engine)

    assert [spec.network_of for spec in specs] == ["", ""]


def test_a_container_gets_its_own_network_when_the_first_one_is_gone():
    engine = engine_with(lambda *_: BIG)
    create = engine.create

    def refuse(spec):
        if spec.network_of:
            raise EngineError("cannot join network of a non running container")
        return create(spec)

    engine.create = refuse

    ran = run(tree(stalk("root", "a", "b")), engine)

    assert ran.result.exit_code == 0


def test_options_that_part_containers_are_options_of_a_stalk():
    passed = {row.name for row in TABLE if row.fate == "passed"}

    assert passed >= OF_NETWORK | OWN_STATE
