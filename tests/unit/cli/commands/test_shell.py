"""What `stalker shell` decides before and after the shell, on the fake engine."""

import json
from dataclasses import replace

import pytest

from build import BASE, PREFIX, stalk, step, tree
from stalker.app.settings import Settings
from stalker.cli.commands.shell import check_tag, find_opening, find_step
from stalker.engine.fake import FakeEngine
from stalker.errors import PlanError
from stalker.model import labels
from stalker.model.diagnostics import Place
from stalker.model.images import Image
from stalker.model.tree import File, Option, SecretSource
from stalker.model.variables import Variable
from stalker.plan.fingerprint import step_inputs
from stalker.run.shell import COMMENT

PLACE = Place("stalks/s/s.hjson", 3)
SETTINGS = Settings("/nonexistent")
NAME = f"{PREFIX}/web:install"


def option(name, value):
    return Option(name, json.dumps(value), counts=False, place=PLACE)


def image_of(name, **more):
    return Image("sha256:1234", (name,), {labels.STEP: name, **more}, config={"Labels": {labels.STEP: name}})


TREE = tree(stalk("web", "fetch", "install"), stalk("db", "install"))

FOUND = {
    "by its label, whatever its name": (f"{PREFIX}/web:final", {labels.STEP: NAME}, "", "web:install"),
    "a failed one by its label": (f"{NAME}.failed", {labels.FAILED: NAME}, "", "web:install"),
    "by its name when labels are emptied": (NAME, {labels.STEP: ""}, "", "web:install"),
    "a failed one by its name": (f"{NAME}.failed", {}, "", "web:install"),
    "the same step of another stalk": (f"{PREFIX}/db:install", {}, "", "db:install"),
    "a kept shell by its comment": (f"{PREFIX}/web:mine", {labels.STEP: ""}, COMMENT + NAME, "web:install"),
    "a step of another tree": ("other/x/y/web:install", {}, "", None),
    "a base": (BASE, {}, "", None),
    "a kept plain shell": ("a:mine", {}, COMMENT, None),
}


@pytest.mark.parametrize(("name", "told", "comment", "expected"), FOUND.values(), ids=FOUND)
def test_the_step_of_an_image_is_found(name, told, comment, expected):
    """A shell opens with the surroundings of the step that left the image."""
    found = find_step(TREE, name, Image("sha256:1", (name,), told, comment=comment))

    assert (found[1].id if found else None) == expected


def test_an_opening_holds_what_the_script_had(monkeypatch):
    """Environment of the stalk, then variables, then secrets; user and folder of DOCKER_OPTS."""
    monkeypatch.setenv("SHELL_KEY", "s3cret")
    one = step(
        "install",
        variables=(Variable("A", "1", PLACE), Variable("KEY", "", PLACE, secret="KEY")),
        environment=(("LC_ALL", "C"), ("A", "weaker")),
        options=(option("user", "worker"), option("working_dir", "/srv")),
    )
    made = tree(stalk("web", one), secrets=(SecretSource("KEY", PLACE, env="SHELL_KEY"),))

    opening = find_opening(SETTINGS, NAME, image_of(NAME), made)

    assert opening.environment == {"LC_ALL": "C", "A": "1", "KEY": "s3cret"}
    assert (opening.title, opening.user, opening.workdir) == ("web:install", "worker", "/srv")


def test_a_secret_of_a_file_counts_too_and_a_missing_one_is_told(capsys):
    """The shell opens all the same."""
    file = File(
        "/etc/key", "key", "d", PLACE, content=b"", variables=(Variable("KEY", "", PLACE, secret="KEY"),)
    )
    made = tree(
        stalk("web", step("install", files=(file,))),
        secrets=(SecretSource("KEY", PLACE, env="NOT_SET_ANYWHERE"),),
    )

    opening = find_opening(SETTINGS, NAME, image_of(NAME), made)

    assert opening.secrets == {}
    assert "the secret KEY is missing in this shell" in capsys.readouterr().err


def recorded(inputs):
    return image_of(NAME, **{labels.INPUTS: json.dumps(inputs)})


def coloured(**variables):
    return tree(stalk("web", step("install", variables=variables)))


def inputs_now(made):
    return step_inputs(made.stalks[0].steps[0])


def test_a_shell_has_the_variables_that_the_step_had(capsys):
    """The tree was changed since the step failed: its values are brought back, and told."""
    then = inputs_now(coloured(COLOR="blue", SIZE="1", GONE="x"))

    opening = find_opening(SETTINGS, NAME, recorded(then), coloured(COLOR="green", SIZE="1", NEW="n"))

    assert opening.environment == {"COLOR": "blue", "SIZE": "1", "GONE": "x"}
    assert capsys.readouterr().err.splitlines() == [
        "stalker: COLOR was blue then, the tree says green now; the shell has blue",
        "stalker: GONE was x then, the tree says not set now; the shell has x",
        "stalker: NEW was not set then, the tree says n now; the shell has none",
    ]


def test_nothing_is_said_when_nothing_has_changed(capsys):
    made = coloured(COLOR="blue", LONG="x" * 1000)

    opening = find_opening(SETTINGS, NAME, recorded(inputs_now(made)), made)

    assert opening.environment == {"COLOR": "blue", "LONG": "x" * 1000}
    assert capsys.readouterr().err == ""


def test_a_long_value_that_is_not_recorded_whole_is_that_of_now(capsys):
    then = inputs_now(coloured(LONG="x" * 1000))

    opening = find_opening(SETTINGS, NAME, recorded(then), coloured(LONG="short"))

    assert opening.environment == {"LONG": "short"}
    assert "the tree says short now; the shell has that of now" in capsys.readouterr().err


def test_a_variable_that_the_user_sets_has_that_value(capsys):
    """--set is stronger than what the step had."""
    then = inputs_now(coloured(COLOR="blue"))

    opening = find_opening(SETTINGS, NAME, recorded(then), coloured(COLOR="red"), given={"COLOR": "red"})

    assert opening.environment == {"COLOR": "red"}
    assert "COLOR was blue then; the shell has red, as --set says" in capsys.readouterr().err


def test_a_variable_that_was_a_secret_is_that_secret_again(monkeypatch, capsys):
    """Its value is in no label and in no note."""
    monkeypatch.setenv("SHELL_KEY", "s3cret")
    made = replace(coloured(KEY="plain"), secrets=(SecretSource("KEY", PLACE, env="SHELL_KEY"),))
    then = inputs_now(coloured()) | {"variable KEY": "secret KEY"}

    opening = find_opening(SETTINGS, NAME, recorded(then), made)

    said = capsys.readouterr().err
    assert opening.environment == {"KEY": "s3cret"}
    assert "KEY was secret KEY then, the tree says plain now" in said
    assert "s3cret" not in said


def test_files_and_a_script_that_are_others_now_are_told(capsys):
    """Their former content is nowhere; copies are in the image as they were."""
    files = {name: File(f"/etc/{name}", name, "new", PLACE, content=b"") for name in ("bound", "copied")}
    one = step("install", files=(files["bound"],), copies=(files["copied"],), environment=(("LC_ALL", "C"),))
    then = step_inputs(one) | {
        "file /etc/bound": "0644 old",
        "copy /etc/copied": "0644 old",
        "script": "old",
        "base": "sha256:1",
        "envplugin LC_ALL": "POSIX",
    }

    opening = find_opening(SETTINGS, NAME, recorded(then), tree(stalk("web", one)))

    assert opening.environment == {"LC_ALL": "POSIX"}
    assert capsys.readouterr().err.splitlines() == [
        "stalker: LC_ALL was POSIX then, the tree says C now; the shell has POSIX",
        "stalker: file /etc/bound changed (stalks/s/s.hjson:3) since then; the shell has what the tree says now",
        "stalker: script changed (stalks/s/s.hjson:3) since then; the shell has what the tree says now",
    ]


def test_the_user_of_the_image_serves_when_no_option_names_one():
    image = Image("sha256:1", (NAME,), {labels.STEP: NAME}, config={"User": "www"})

    assert find_opening(SETTINGS, NAME, image, TREE).user == "www"


def test_a_failed_state_is_named_so():
    image = Image("sha256:1", (f"{NAME}.failed",), {labels.FAILED: NAME})

    assert find_opening(SETTINGS, f"{NAME}.failed", image, TREE).title == "web:install.failed"


def test_an_image_of_no_known_tree_is_a_plain_shell(capsys):
    opening = find_opening(SETTINGS, "a/b:c", Image("sha256:1", ("a/b:c",)), None)

    assert (opening.step, opening.environment, opening.repository) == (None, {}, "a/b")
    assert "a plain shell" in capsys.readouterr().err


def test_a_tree_that_cannot_be_read_any_more_is_told(capsys):
    """The image names a file that is gone: the shell opens without the step."""
    image = Image("sha256:1", (NAME,), {labels.STEP: NAME, labels.TREE: "trees/gone.hjson"})

    opening = find_opening(SETTINGS, NAME, image, None)

    assert opening.step is None
    assert "trees/gone.hjson cannot be read: there is no such tree" in capsys.readouterr().err


def test_daemonized_steps_that_are_not_up_are_named(capsys):
    made = tree(stalk("web", step("server", daemonize=True), "install"))

    find_opening(SETTINGS, NAME, image_of(NAME), made)

    assert "web:server is not up here" in capsys.readouterr().err


REPOSITORIES = {
    "a/b:c": "a/b",
    "host:5000/a:c": "host:5000/a",
    "host:5000/a": "",
    "0123456789ab": "",
    "sha256:0123456789ab": "",
    "a@sha256:0123456789ab": "",
}


@pytest.mark.parametrize(("name", "expected"), REPOSITORIES.items())
def test_what_is_kept_stands_beside_what_was_opened(name, expected):
    """An image without a name gives none."""
    assert find_opening(SETTINGS, name, Image("sha256:1"), None).repository == expected


# --commit TAG

REFUSED = {
    "install": "the name of a step's own work",
    "fetch": "the name of a step's own work",
    "initial": "the name of a step's own work",
    "final": "the name of a step's own work",
    "install.failed": "the name of a step's own work",
    "": "not a valid tag",
    ".dot": "not a valid tag",
    "two words": "not a valid tag",
    "a:b": "not a valid tag",
    "x" * 129: "not a valid tag",
    "byhand": "is there already, and no shell left it",
}


@pytest.mark.parametrize(("tag", "why"), REFUSED.items())
def test_a_tag_that_could_pass_for_a_step_is_refused(tag, why):
    """Nothing that a person did by hand may be taken for a step's work."""
    engine = FakeEngine()
    engine.add_image(f"{PREFIX}/web:byhand")
    opening = find_opening(SETTINGS, NAME, image_of(NAME), TREE)

    with pytest.raises(PlanError, match=why):
        check_tag(engine, opening, tag)


@pytest.mark.parametrize("tag", ["mine", "0", "Fix_2.b-c", "x" * 128, "again"])
def test_another_tag_is_taken_also_that_of_an_earlier_shell(tag):
    engine = FakeEngine()
    engine.add_image(f"{PREFIX}/web:again", comment=COMMENT + NAME)
    opening = find_opening(SETTINGS, NAME, image_of(NAME), TREE)

    assert check_tag(engine, opening, tag) is None


def test_an_image_without_a_name_cannot_be_kept():
    opening = find_opening(SETTINGS, "0123456789ab", Image("sha256:1"), None)

    with pytest.raises(PlanError, match="has no repository for a tag"):
        check_tag(FakeEngine(), opening, "mine")
