"""One step: its attempts, its time limit, its failure, and what its script is given."""

from __future__ import annotations

from build import BASE, PREFIX, run, stalk, step, tree
from stalker.engine.fake import FakeEngine, FakeRun
from stalker.model import events, labels
from stalker.model.diagnostics import Place
from stalker.model.tree import Mount
from stalker.model.variables import Variable

PLACE = Place("stalks/s/s.hjson", 9)


def engine_with(program=None):
    made = FakeEngine(program)
    made.add_image(BASE)
    return made


def failing(*names):
    return engine_with(lambda name, _: FakeRun(7 if name in names else 0, stdout=f"{name} says\n".encode()))


def test_a_failure_reports_its_exit_code_and_last_lines_and_keeps_its_state():
    engine = failing("a")

    ran = run(tree(stalk("root", "a")), engine)

    ended = ran.of(events.StepFinished)[-1]
    assert (ended.state, ended.exit_code, ended.last_lines) == ("failed", 7, ("a says",))
    assert ended.name == f"{PREFIX}/root:a.failed"
    assert "stalker shell root:a.failed" in ended.resolution
    kept = engine.image(ended.name)
    assert not kept.labels.get(labels.FINGERPRINT)
    assert kept.labels[labels.FAILED] == f"{PREFIX}/root:a"


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


def test_a_writable_folder_of_the_workspace_is_made(tmp_path):
    mount = Mount("/out", "directory", "workspace/out", True, PLACE)

    run(tree(stalk("root", step("a", mounts=(mount,))), workspace=str(tmp_path)), engine_with())

    assert (tmp_path / "workspace/out").is_dir()


def test_a_script_gets_the_fingerprints_of_its_step_and_of_those_before():
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


def test_a_reused_need_has_the_fingerprint_of_its_image():
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
