"""A plan, done, on the fake engine."""

from __future__ import annotations

import threading

import pytest

from build import BASE, PREFIX, run, stalk, step, tree
from stalker.config.option_table import TABLE
from stalker.engine.fake import FakeEngine, FakeRun
from stalker.errors import EngineError, EngineFull, NoEngine
from stalker.model import events, labels
from stalker.model.places import Place
from stalker.model.tree import File, Mount, Option, Variable
from stalker.plan.images import commit_of, made_from
from stalker.run.session import OF_NETWORK, OWN_STATE

PLACE = Place("stalks/s/s.hjson", 9)


def engine_with(program=None):
    made = FakeEngine(program)
    made.add_image(BASE)
    return made


def failing(*names):
    return engine_with(lambda name, _: FakeRun(7 if name in names else 0, stdout=f"{name} says\n".encode()))


TWO = (stalk("base", "apt"), stalk("db", "pg", "tune", parent="base"), stalk("web", "nginx", parent="base"))


def test_a_failed_step_blocks_only_what_grows_on_it():
    """Web is built although db, its neighbour on the same base, failed."""
    engine = failing("pg")

    ran = run(tree(*TWO), engine, keep_going=True)

    assert set(ran.result.done) == {"base:apt", "web:nginx"}
    assert ran.result.failed == ["db:pg"]
    assert {(event.step, event.cause) for event in ran.of(events.StepBlocked)} == {
        ("db:tune", "db:pg failed")
    }
    assert ran.result.exit_code == 1


def test_a_failed_step_is_not_committed_as_success():
    """`exit 7` was committed by the first tool, and the program returned 0."""
    engine = failing("a")

    ran = run(tree(stalk("root", "a", "b")), engine)

    assert ran.result.exit_code == 1
    assert engine.image(f"{PREFIX}/root:a") is None
    assert engine.scripts == ["a"]


def test_a_failure_tells_its_exit_code_and_last_lines_and_keeps_its_state():
    engine = failing("a")

    ran = run(tree(stalk("root", "a")), engine)

    ended = ran.of(events.StepFinished)[-1]
    assert (ended.state, ended.exit_code, ended.last_lines) == ("failed", 7, ("a says",))
    assert ended.name == f"{PREFIX}/root:a.failed"
    assert "stalker shell root:a.failed" in ended.resolution
    kept = engine.image(ended.name)
    assert not kept.labels.get(labels.FINGERPRINT)
    assert kept.labels[labels.FAILED] == f"{PREFIX}/root:a"


def test_no_container_is_left_whatever_happens():
    engine = failing("b")

    run(tree(stalk("root", "a", "b"), stalk("x", "c", parent="root")), engine)

    assert engine.live == {}


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


def test_what_a_left_process_could_change_is_committed_under_a_pause():
    engine = engine_with(lambda name, _: FakeRun(left=1 if name == "a" else 0))

    run(tree(stalk("root", "a", "b")), engine)

    assert (engine.calls["commit_paused"], engine.calls["commit"]) == (1, 1)


def test_retries_start_again_from_the_clean_image():
    attempts = []

    def program(name, _):
        attempts.append(name)
        return FakeRun(0 if len(attempts) == 2 else 1, writes={f"/{len(attempts)}": b""})

    engine = engine_with(program)

    ran = run(tree(stalk("root", step("a", retries=2))), engine)

    assert ran.result.exit_code == 0
    first, second = ran.of(events.StepFinished)
    assert (first.state, first.will_retry_in_s, second.state) == ("failed", 1.0, "done")
    assert set(engine.files[second.image]) == {"/2"}


def test_a_step_that_takes_too_long_loses_its_container():
    engine = engine_with(lambda *_: FakeRun(None))

    ran = run(tree(stalk("root", step("a", timeout_s=0.05))), engine)

    ended = ran.of(events.StepFinished)[-1]
    assert (ended.state, ended.exit_code) == ("timeout", None)
    assert ended.brief == "root:a did not end within 0.05 s"
    assert engine.live == {}


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


def test_no_secret_reaches_an_event_or_a_label():
    value = "hunter2-is-secret"

    def program(_, environment):
        return FakeRun(
            3, stdout=b"it is " + environment["KEY"].encode()[:4], stderr=environment["KEY"].encode()
        )

    engine = engine_with(program)
    made = tree(stalk("root", step("a", variables=(Variable("KEY", "", PLACE, "KEY"),))))

    ran = run(made, engine, secrets={"KEY": value})

    assert value not in repr(ran.events)
    assert value not in repr(engine.images_by_id)


def test_an_engine_that_goes_away_ends_the_run_with_3_and_names_the_step():
    engine = engine_with()

    def program(name, _):
        if name == "b":
            engine.is_gone = True
        return FakeRun()

    engine._program = program

    ran = run(tree(stalk("root", "a", "b", "c")), engine)

    assert ran.result.exit_code == 3
    assert isinstance(ran.result.error, NoEngine)
    assert ran.result.error.brief.startswith("root:b: ")
    assert ran.result.done == ["root:a"]


def test_a_full_disk_is_a_clear_error_and_leaves_no_tag():
    engine = engine_with()
    commit = engine.commit

    def full(container, repository, tag, *rest, **more):
        if tag == "b":
            raise EngineFull("could not commit: the engine's disk is full", "", "make room")
        return commit(container, repository, tag, *rest, **more)

    engine.commit = full

    ran = run(tree(stalk("root", "a", "b")), engine)

    ended = ran.of(events.StepFinished)[-1]
    assert (ended.brief, ended.resolution) == ("could not commit: the engine's disk is full", "make room")
    assert engine.image(f"{PREFIX}/root:b") is None
    assert ran.result.exit_code == 1


def test_independent_stalks_run_at_the_same_time():
    together = threading.Barrier(2, timeout=5)

    def program(name, _):
        if name in {"b", "c"}:
            together.wait()
        return FakeRun()

    ran = run(
        tree(stalk("root", "a"), stalk("x", "b", parent="root"), stalk("y", "c", parent="root")),
        engine_with(program),
        jobs=2,
    )

    assert ran.result.exit_code == 0


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


def test_a_disk_that_is_full_from_the_start_is_told():
    """The first thing that needs room is the name of the stalk's first image."""

    class Full(FakeEngine):
        def tag(self, image, name):
            if name.endswith(":initial"):
                raise EngineFull(f"could not tag {name}: the engine's disk is full", "", "make room")
            super().tag(image, name)

    engine = Full()
    engine.add_image(BASE)

    ran = run(tree(stalk("root", "a", "b")), engine)

    (told,) = ran.of(events.StepFinished)
    assert (told.step, told.state, told.resolution) == ("root:a", "failed", "make room")
    assert "disk is full" in told.brief


def test_a_bug_in_a_worker_is_told_as_one():
    """Not `1 failed` and silence."""

    class Odd(FakeEngine):
        def create(self, spec):
            raise ZeroDivisionError("odd")

    engine = Odd()
    engine.add_image(BASE)

    ran = run(tree(stalk("root", "a")), engine)

    (told,) = ran.of(events.StepFinished)
    assert "ZeroDivisionError" in told.brief
    assert told.details == "this is a bug in stalker"


def test_a_writable_folder_of_the_workspace_is_made(tmp_path):
    mount = Mount("/out", "directory", "workspace/out", True, PLACE)

    run(tree(stalk("root", step("a", mounts=(mount,))), workspace=str(tmp_path)), engine_with())

    assert (tmp_path / "workspace/out").is_dir()


def test_a_large_or_binary_file_travels_as_an_archive():
    engine = engine_with()
    binary = File("/usr/bin/x", "x", "d", PLACE, 0o755, content=b"\x00\xff")

    run(tree(stalk("root", step("a", files=(binary,)))), engine)

    assert engine.calls["put"] == 1


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


def test_little_of_what_a_stalk_writes_is_stored_again():
    """A session may serve on for a step when that repeats few of the bytes written so far."""
    engine = engine_with(lambda name, _: FakeRun(writes={f"/{name}": b"x" * (3 << 20)}))

    run(tree(stalk("root", *(f"s{n}" for n in range(20)))), engine)

    stored = sum(
        sum(
            len(data)
            for path, data in engine.files[image.id].items()
            if path not in engine.files[image.parent_id]
        )
        for image in engine.images_by_id.values()
        if image.parent_id
    )
    assert stored <= 1.3 * 20 * (3 << 20)
    assert engine.calls["create"] < 20


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


def test_options_that_part_containers_are_options_of_a_stalk():
    passed = {row.name for row in TABLE if row.fate == "passed"}

    assert passed >= OF_NETWORK | OWN_STATE


def test_nothing_is_swept_where_the_mount_points_are_in_the_image():
    engine = engine_with()
    engine.files[engine.image(BASE).id] = {"/var/cache/x": b"", "/var/cache": b"", "/var": b""}
    store = (Mount("/var/cache/x", "store", "x", True, PLACE),)

    run(tree(stalk("root", step("a", mounts=store), step("b", mounts=store))), engine)

    assert engine.calls["create"] == 1


def test_an_image_without_a_shell_is_told_so():
    engine = engine_with()

    def start(_):
        raise EngineError(
            "could not start a container", 'exec: "/bin/sh": stat /bin/sh: no such file or directory'
        )

    engine.start = start

    ran = run(tree(stalk("root", "a")), engine)

    assert ran.of(events.StepFinished)[-1].brief == "the image has no /bin/sh, and a step is run by one"
    assert engine.live == {}


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


def test_a_script_is_told_which_work_it_is_and_which_it_comes_after():
    """Its own fingerprint, and those of what its stalk needs, in each step of the stalk."""
    seen = {}

    def program(name, environment):
        seen[name] = {key: environment[key] for key in ("STALKER_FINGERPRINT", "STALKER_NEEDS")}
        return FakeRun()

    ran = run(
        tree(
            stalk("base", "apt"),
            stalk("debs", "make", parent="base"),
            stalk("web", "a", "b", parent="base", needs=["debs"]),
        ),
        engine_with(program),
    )

    made = {action.step.name: action.fingerprint for action in ran.plan.actions.values()}
    assert {name: about["STALKER_FINGERPRINT"] for name, about in seen.items()} == made
    needed = f"debs:make {made['make']}"
    assert [seen[name]["STALKER_NEEDS"] for name in ("apt", "make", "a", "b")] == ["", "", needed, needed]


def test_a_reused_need_is_told_by_the_fingerprint_that_it_has():
    """The second run makes only what needs it, and that finds the same work."""
    seen = []

    def program(name, environment):
        seen.append((name, environment["STALKER_NEEDS"]))
        return FakeRun()

    engine = engine_with(program)
    stalks = [stalk("debs", "make"), stalk("web", "a", needs=["debs"])]
    run(tree(*stalks), engine)
    stalks[1] = stalk("web", step("a", "other\n"), needs=["debs"])

    ran = run(tree(*stalks), engine)

    assert set(ran.result.done) == {"web:a"}
    assert [name for name, _ in seen] == ["make", "a", "a"]
    assert seen[1] == seen[2]


def test_the_same_work_in_two_stalks_runs_once_and_both_have_their_names():
    """Variants share all steps up to the first in which they differ, in one run too."""
    engine = FakeEngine()
    engine.add_image(BASE)
    made = tree(stalk("a", "one", "two"), stalk("v", "one", "two"))

    ran = run(made, engine)

    assert engine.scripts == ["one", "two"]
    assert sorted(ran.result.done) == ["a:one", "a:two"]
    assert sorted(ran.result.shared) == ["v:one", "v:two"]
    for name in ("initial", "one", "two", "final"):
        assert engine.image(f"{PREFIX}/v:{name}").id == engine.image(f"{PREFIX}/a:{name}").id
    assert [(event.step, event.reason, event.shared_with) for event in ran.of(events.StepReused)] == [
        ("v:one", "the same work as a:one, which ran", "a:one"),
        ("v:two", "the same work as a:two, which ran", "a:two"),
    ]
    assert ran.reasons["v:one"] == "not built yet; a:one is the same work, which runs once"
    assert set(run(made, engine).verdicts.values()) == {"REUSE"}


def test_a_variant_goes_on_alone_where_it_differs():
    engine = FakeEngine()
    engine.add_image(BASE)

    ran = run(tree(stalk("a", "one", "two"), stalk("v", "one", step("two", "other\n"))), engine)

    assert engine.scripts.count("one") == 1
    assert engine.scripts.count("two") == 2
    assert ran.result.exit_code == 0
    first = engine.image(f"{PREFIX}/v:two")
    assert made_from(first)["v:one"] == commit_of(engine.image(f"{PREFIX}/a:one"))
