"""The programs of a step, given to the shell of its container."""

from __future__ import annotations

from build import BASE, run, stalk, step, tree
from stalker.engine.fake import FakeEngine
from stalker.errors import EngineError
from stalker.model import events
from stalker.model.diagnostics import Place
from stalker.model.tree import File

PLACE = Place("stalks/s/s.hjson", 9)


def engine_with(program=None):
    made = FakeEngine(program)
    made.add_image(BASE)
    return made


def test_a_large_or_binary_file_travels_as_an_archive():
    engine = engine_with()
    binary = File("/usr/bin/x", "x", "d", PLACE, 0o755, content=b"\x00\xff")

    run(tree(stalk("root", step("a", files=(binary,)))), engine)

    assert engine.calls["put"] == 1


def test_an_image_without_a_shell_is_an_error_that_says_so():
    engine = engine_with()

    def start(_):
        raise EngineError(
            "could not start a container", 'exec: "/bin/sh": stat /bin/sh: no such file or directory'
        )

    engine.start = start

    ran = run(tree(stalk("root", "a")), engine)

    assert ran.of(events.StepFinished)[-1].brief == "the image has no /bin/sh, and a step is run by one"
    assert engine.live == {}
