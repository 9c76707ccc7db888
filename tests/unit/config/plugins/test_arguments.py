from __future__ import annotations

import shutil
import subprocess

import pytest

from stalker.config import check_files
from stalker.config.plugins.arguments import TAKEN, TAKEN_BEGINNINGS
from stalker.errors import FilesError
from unit.config.plugins.apt import SIDECAR, use


def test_arguments_reach_the_script_as_variables(plugins):
    """Upper case; lists by line, mappings as key=value by line, booleans as words, the rest by default."""
    use(
        plugins,
        "packages: ['chrony', 'avahi-daemon'], update: false, labels: { a: 1, b: 'x y' }, user-name: 'pi'",
    )

    step = plugins.go()

    assert {v.name: v.value for v in step.variables} == {
        "PACKAGES": "chrony\navahi-daemon",
        "UPDATE": "false",
        "RETRIES": "3",
        "RELEASE": "",
        "LABELS": "a=1\nb=x y",
        "USER_NAME": "pi",
    }
    assert step.uses == "apt.install"
    assert step.script.interpreter == ("/bin/sh", "-e")
    assert step.script.place.file == "plugins/apt.install.sh"


def test_an_argument_can_hold_the_plugins_own_variables(plugins):
    """{NAME} of the plugin, inherited or not; other braces stay."""
    plugins.tree("WHO: pi")
    use(plugins, "packages: ['lib{WHO}', 'x'], labels: { a: '{OTHER}' }", "WHO: ''")
    plugins.write("plugins/apt.install.hjson", SIDECAR.replace('pattern: "[a-z0-9.+-]+", ', ""))

    values = {v.name: v.value for v in plugins.go().variables}

    assert (values["PACKAGES"], values["LABELS"], values["WHO"]) == ("libpi\nx", "a={OTHER}", "pi")


def test_a_whole_argument_can_be_a_secret_and_part_of_one_cannot(plugins):
    """A secret travels by name only."""
    plugins.tree(top="secrets: { KEY: { env: 'KEY' } }")
    use(plugins, "packages: ['x'], release: '{KEY}'", "KEY: ''")
    plugins.write("plugins/apt.install.hjson", SIDECAR.replace('{ allowed: ["stable", "testing"] }', "{}"))
    secrets = {v.name: v.secret for v in plugins.go().variables if v.secret}

    use(plugins, "packages: ['x'], release: 'a{KEY}'", "KEY: ''")

    assert secrets == {"KEY": "KEY", "RELEASE": "KEY"}
    assert "the secret KEY is only part of the argument" in plugins.problems()[0]


def test_a_variable_of_the_tree_reaches_an_argument_of_any_type(plugins):
    """Its value is checked and converted, not the braces."""
    plugins.tree("PACKAGE: vim\n TIMES: 2\n FRESH: 'false'\n WHICH: stable\n WHO: pi")
    use(
        plugins,
        "packages: ['{PACKAGE}'], update: '{FRESH}', retries: '{TIMES}', release: '{WHICH}', user-name: 'x{WHO}'",
        "PACKAGE: '', TIMES: '', FRESH: '', WHICH: '', WHO: ''",
    )

    values = {v.name: v.value for v in plugins.go().variables}

    assert [values[name] for name in ("PACKAGES", "UPDATE", "RETRIES", "RELEASE", "USER_NAME")] == [
        "vim",
        "false",
        "2",
        "stable",
        "xpi",
    ]


def test_the_lines_of_a_variable_are_a_list_or_a_mapping(plugins):
    """A tree has the packages of each variant in a variable, one a line; the stalk is the same."""
    plugins.tree('MANY: "vim\\n\\n chrony\\n"\n FLAGS: "a=1\\nb=x=y"')
    use(plugins, "packages: '{MANY}', labels: '{FLAGS}'", "MANY: '', FLAGS: ''")

    values = {v.name: v.value for v in plugins.go().variables}

    assert (values["PACKAGES"], values["LABELS"]) == ("vim\nchrony", "a=1\nb=x=y")


FROM_VARIABLES = {
    "packages: ['{X}']": (
        "A b",
        "packages.0: 'A b' is not of the form [a-z0-9.+-]+\n  names of packages\n  X is set",
    ),
    "packages: ['x'], retries: '{X}'": (
        "2.5",
        "retries: must be a whole number, is '2.5'\n  X is set at trees/t/",
    ),
    "packages: ['x'], retries: '1{X}'": ("x", "retries: must be a whole number, is '1x'"),
    "packages: ['x'], update: '{X}'": (
        "True",
        "update: must be true or false, is 'True'\n  X is set at trees/t/",
    ),
    "packages: ['x'], release: '{X}'": (
        "stabel",
        "release: 'stabel' is not possible here\n  did you mean 'stable'?",
    ),
    "packages: '{X}'": ("A", "packages: 'A' is not of the form [a-z0-9.+-]+"),
    "packages: ['x'], labels: '{X}'": ("a: 1", "labels: must be a mapping, is 'a: 1'\n  X is set at"),
}


@pytest.mark.parametrize("arguments", FROM_VARIABLES)
def test_a_wrong_value_of_a_variable_is_told_with_where_it_was_set(plugins, arguments):
    """The slip may be in the tree, not in the stalk file."""
    value, said = FROM_VARIABLES[arguments]
    plugins.tree(f"X: '{value}'")
    use(plugins, arguments, "X: ''")

    (problem,) = plugins.problems()

    assert f"plugins.go.with.{said}" in problem


def test_only_what_came_from_a_variable_is_converted(plugins):
    """A quoted number in the file is text there, and no number is meant."""
    use(plugins, "packages: ['x'], retries: '2'")

    assert "retries: must be a whole number, is text" in plugins.problems()[0]


def test_arguments_whose_variables_only_a_tree_knows_are_not_judged_without_one(plugins):
    """`stalker check stalks/web/web.hjson` cannot know them; the others are judged."""
    use(plugins, "packages: ['{X}'], retries: '{X}', release: 'old'", "X: ''")

    (problem,) = check_files(["stalks/web/web.hjson"], str(plugins.root))

    assert problem.what == "'old' is not possible here"


def test_a_secret_is_not_held_against_a_pattern(plugins):
    """Nobody reads it before the step runs."""
    plugins.tree(top="secrets: { KEY: { env: 'KEY' } }")
    use(plugins, "packages: ['{KEY}'], user-name: '{KEY}'", "KEY: ''")

    assert plugins.problems() == []
    assert {v.name for v in plugins.go().variables if v.secret} == {"KEY", "PACKAGES", "USER_NAME"}


def test_an_argument_for_a_secret_takes_nothing_else(space):
    """Text would stand in the file for all to read."""
    space.write("plugins/lock.sh", "#!/bin/sh\n")
    space.write("plugins/lock.hjson", "{ summary: 'Lock.', arguments: { key: { secret: true } } }")
    space.tree(top="secrets: { DOOR: { env: 'DOOR' } }")
    space.stalk("go: { exec: true, DOOR: '', use: 'lock', with: { key: '{DOOR}' } }")
    variables = space.go().variables
    space.stalk("go: { exec: true, use: 'lock', with: { key: 'raspberry' } }")

    with pytest.raises(FilesError) as caught:
        space.go()

    assert [(one.name, one.secret) for one in variables] == [("DOOR", "DOOR"), ("KEY", "DOOR")]
    assert "'key' takes a secret" in str(caught.value.problems[0])
    assert "raspberry" not in str(caught.value.problems[0])


@pytest.mark.parametrize("arguments", ["packages: ['x', '{KEY}']", "packages: ['x'], labels: { a: '{KEY}' }"])
def test_a_secret_is_no_item_among_others(plugins, arguments):
    """What the script gets would hold it in part."""
    plugins.tree(top="secrets: { KEY: { env: 'KEY' } }")
    use(plugins, arguments, "KEY: ''")

    (problem,) = plugins.problems()

    assert "the secret KEY is only part of the argument" in problem


def test_a_value_is_not_looked_into_again(plugins):
    """Braces in a value stay, also those that name a secret."""
    plugins.tree("WHO: '{KEY}'", "secrets: { KEY: { env: 'KEY' } }")
    use(plugins, "packages: ['x'], labels: { a: '{WHO}' }", "KEY: ''\n WHO: ''")

    assert {v.name: v.value for v in plugins.go().variables}["LABELS"] == "a={KEY}"


def test_a_message_has_the_first_sentence_of_the_help(plugins):
    """All of it stands on the plugin's page."""
    help_text = "Where e.g. it goes, v1.5 on. A second\\n\\nmore"
    plugins.write("plugins/apt.install.hjson", SIDECAR.replace("names of packages", help_text))
    use(plugins, "packages: ['A']")

    (problem,) = plugins.problems()

    assert problem.endswith("is not of the form [a-z0-9.+-]+\n  Where e.g. it goes, v1.5 on.")


WRONG = {
    "": "plugins.go.with: plugin 'apt.install' needs the argument 'packages'\n  names of packages",
    "packages: ['x'], pakages: 1": "plugins.go.with.pakages: plugin 'apt.install' has no argument 'pakages'\n  did you mean 'packages'?",
    "packages: 'x'": "plugins.go.with.packages: must be a list, is text\n  write [x]",
    "packages: ['X y']": "plugins.go.with.packages.0: 'X y' is not of the form [a-z0-9.+-]+\n  names of packages",
    "packages: [['x']]": "plugins.go.with.packages.0: must be text, a number, true or false, is a list",
    "packages: ['x'], update: 'yes'": "plugins.go.with.update: must be true or false, is text",
    "packages: ['x'], retries: 1.5": "plugins.go.with.retries: must be a whole number, is a number",
    "packages: ['x'], release: 'stabel'": "plugins.go.with.release: 'stabel' is not possible here\n  did you mean 'stable'?",
    "packages: ['x'], release: true": "plugins.go.with.release: must be text, is true or false",
    "packages: ['x'], labels: ['a']": "plugins.go.with.labels: must be a mapping, is a list",
    "packages: ['x'], labels: { a: \"x\\ny\" }": "plugins.go.with.labels.a: a mapping cannot hold a line break",
}


@pytest.mark.parametrize("arguments", WRONG)
def test_arguments_are_checked_before_anything_runs(plugins, arguments):
    """Unknown, missing, of the wrong type, or not allowed."""
    use(plugins, arguments)

    (problem,) = plugins.problems()

    assert WRONG[arguments] in problem


@pytest.mark.skipif(not shutil.which("bash"), reason="bash is not installed")
def test_no_argument_can_be_called_like_a_variable_that_bash_has_by_itself():
    """Whatever bash sets in an empty environment is refused as an argument's name."""
    done = subprocess.run(["bash", "-c", "compgen -v"], env={}, capture_output=True, text=True, check=True)

    names = [name for name in done.stdout.split() if name.upper() == name]
    assert {"PATH", "IFS", "GROUPS"} <= set(names)
    assert [n for n in names if n not in TAKEN and not n.startswith(TAKEN_BEGINNINGS)] == []


@pytest.mark.parametrize(
    "name", ["path", "home", "uid", "groups", "ifs", "user", "bash-env", "ld_library_path"]
)
def test_an_argument_that_would_be_a_variable_of_the_shell_is_refused(plugins, name):
    """A script that gets its argument as PATH finds no command."""
    plugins.write("plugins/x.sh", "#!/bin/sh\n")
    plugins.write("plugins/x.hjson", f"{{ summary: 'x', arguments: {{ {name}: {{}} }} }}")

    (problem,) = check_files(["plugins/x.hjson"], str(plugins.root))

    assert problem.place.path == f"arguments.{name}"
    assert "which has a meaning to shells" in problem.what
    assert problem.hint.startswith("give it a name of its own: target_path for path")
