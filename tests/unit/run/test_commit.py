"""The image that a step leaves: its names, labels, and what is removed before the commit."""

from __future__ import annotations

from build import BASE, PREFIX, run, stalk, step, tree
from stalker.engine.fake import FakeEngine, FakeRun
from stalker.errors import EngineError
from stalker.model import labels
from stalker.model.diagnostics import Place
from stalker.model.tree import Mount

PLACE = Place("stalks/s/s.hjson", 9)


def engine_with(program=None):
    made = FakeEngine(program)
    made.add_image(BASE)
    return made


def failing(*names):
    return engine_with(lambda name, _: FakeRun(7 if name in names else 0, stdout=f"{name} says\n".encode()))


def test_a_failed_step_is_not_committed_as_success():
    """`exit 7` was committed by the first tool, and the program returned 0."""
    engine = failing("a")

    ran = run(tree(stalk("root", "a", "b")), engine)

    assert ran.result.exit_code == 1
    assert engine.image(f"{PREFIX}/root:a") is None
    assert engine.scripts == ["a"]


def test_what_a_left_process_could_change_is_committed_under_a_pause():
    engine = engine_with(lambda name, _: FakeRun(left=1 if name == "a" else 0))

    run(tree(stalk("root", "a", "b")), engine)

    assert (engine.calls["commit_paused"], engine.calls["commit"]) == (1, 1)


def test_the_first_and_last_image_of_a_stalk_have_names():
    engine = engine_with()

    run(tree(stalk("root", "a", "b"), stalk("x", "c", parent="root")), engine)

    def of(name):
        return engine.image(f"{PREFIX}/{name}").id

    assert of("root:initial") == engine.image(BASE).id
    assert of("root:final") == of("root:b") == of("x:initial")
    assert of("x:final") == of("x:c")


def test_an_image_carries_its_history():
    engine = engine_with()

    run(tree(stalk("root", step("a", variables={"V": 1}), "b")), engine)

    image = engine.image(f"{PREFIX}/root:b")
    assert len(image.labels[labels.FINGERPRINT]) == 64
    assert image.comment == labels.COMMENT + image.labels[labels.FINGERPRINT]
    assert '"parent"' in image.labels[labels.INPUTS]


def test_each_image_is_swept_of_mount_points_that_the_first_one_lacked():
    """Not the last of a stalk only: any tag can be run, exported or grown on."""
    engine = engine_with()
    store = (Mount("/var/cache/x", "store", "x", True, PLACE),)

    run(tree(stalk("root", step("a", mounts=store), step("b", mounts=store))), engine)

    assert engine.calls["missing_paths"] == 1
    for name in "ab":
        image = engine.image(f"{PREFIX}/root:{name}")
        assert engine.images_by_id[image.parent_id].labels.get(labels.TEMPORARY)


def test_a_container_that_sweeps_has_no_network():
    """It removes directories; with the engine's default network it would fail where that cannot be set up."""
    engine = engine_with()
    specs = []
    create = engine.create
    engine.create = lambda spec: specs.append(spec) or create(spec)
    store = (Mount("/var/cache/x", "store", "x", True, PLACE),)

    run(tree(stalk("root", step("a", mounts=store))), engine)

    networks = [[one.value for one in spec.options if one.name == "network_mode"] for spec in specs]
    assert networks == [[], ['"none"']]
    assert [spec.network_of for spec in specs] == ["", ""]


def test_nothing_is_swept_where_the_mount_points_are_in_the_image():
    engine = engine_with()
    engine.files[engine.image(BASE).id] = {"/var/cache/x": b"", "/var/cache": b"", "/var": b""}
    store = (Mount("/var/cache/x", "store", "x", True, PLACE),)

    run(tree(stalk("root", step("a", mounts=store), step("b", mounts=store))), engine)

    assert engine.calls["create"] == 1


def test_the_container_that_sweeps_goes_when_sweeping_fails():
    engine = engine_with()
    run_in = engine.exec

    def refuse(container, argv, *rest, **more):
        if "rmdir" in argv[2] and "_stk" not in argv[2]:
            raise EngineError("the engine refused to run a program")
        return run_in(container, argv, *rest, **more)

    engine.exec = refuse
    store = (Mount("/var/cache/x", "store", "x", True, PLACE),)

    ran = run(tree(stalk("root", step("a", mounts=store))), engine)

    assert ran.result.failed == ["root:a"]
    assert engine.live == {}
