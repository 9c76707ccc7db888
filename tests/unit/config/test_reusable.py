from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from stalker.config import check_files, list_plugins, plugin_page
from stalker.config.arguments import TAKEN, TAKEN_BEGINNINGS
from stalker.errors import ArgumentsError, FilesError

SIDECAR = """{
  summary: Install packages with apt
  arguments: {
    packages: { type: list, required: true, pattern: "[a-z0-9.+-]+", help: "names of packages" }
    update: { type: boolean, default: true }
    retries: { type: integer, default: 3 }
    release: { allowed: ["stable", "testing"] }
    labels: { type: mapping }
    user-name: { pattern: "[a-z]+" }
  }
  needs: { packages: ["apt"], network: true, capabilities: ["CAP_CHOWN", "SYS_ADMIN"] }
  example: "install: { exec: true, use: apt.install }"
}
"""


@pytest.fixture
def plugins(space):
    """A workspace with one reusable plugin."""
    space.write("plugins/apt.install.sh", "#!/bin/sh -e\necho {PACKAGES}\n")
    space.write("plugins/apt.install.hjson", SIDECAR)
    return space


def use(space, arguments: str, more: str = "", top: str = "DOCKER_OPTS: { cap_add: ['SYS_ADMIN'] }") -> None:
    space.stalk(f"go: {{\n exec: true\n use: apt.install\n {more}\n with: {{ {arguments} }}\n }}", top)


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


def test_a_reusable_script_is_taken_as_it_is(plugins):
    """Its author does not know the user's variables: no braces are replaced, whatever runs it."""
    plugins.write("plugins/apt.install.sh", "#!/usr/bin/python3\nprint(f'{PACKAGES}')\n")
    use(plugins, "packages: ['x']")

    assert plugins.go().script.content == b"#!/usr/bin/python3\nprint(f'{PACKAGES}')\n"


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


def test_a_plugin_that_is_not_there_is_told_with_the_nearest_name(plugins):
    """Did you mean, and how to list them."""
    plugins.stalk("go: {\n exec: true\n use: apt.instal\n }")

    assert plugins.problems() == [
        (
            "stalks/web/web.hjson:6:7: plugins.go.use: no plugin named 'apt.instal'\n"
            "  did you mean 'apt.install'?   `stalker plugins` lists them"
        )
    ]


@pytest.mark.parametrize(
    ("top", "message"),
    [
        ("", "plugin 'apt.install' needs the capability SYS_ADMIN"),
        ("DOCKER_OPTS: { cap_add: ['SYS_ADMIN'], cap_drop: ['CHOWN'] }", "needs the capability CHOWN"),
    ],
)
def test_options_that_withhold_what_a_plugin_needs_are_told(plugins, top, message):
    """The sidecar's needs are held against DOCKER_OPTS."""
    use(plugins, "packages: ['x']", top=top)

    (problem,) = plugins.problems()

    assert message in problem


def test_a_missing_network_is_a_warning(plugins):
    """What the plugin would fetch may be there already, so `network: none` does not stop the run."""
    use(plugins, "packages: ['x']", top="DOCKER_OPTS: { network: none, privileged: true }")

    assert plugins.problems() == []
    (warning,) = plugins.warnings()
    assert "plugin 'apt.install' needs the network, and DOCKER_OPTS has network: none" in warning


SIDECARS = {
    "{ sumary: 'x' }": ["the key 'summary' is missing", "unknown key 'sumary'"],
    "{ summary: 'x', arguments: { a: { type: 'int' } } }": ["'int' is not possible here"],
    "{ summary: 'x', arguments: { a: { pattern: '(' } } }": ["'(' is no regular expression"],
    "{ summary: 'x', arguments: { a: { type: 'list', default: 'x' } } }": ["must be a list, is text"],
    "{ summary: 'x', arguments: { a: { required: true, default: 'x' } } }": [
        "a required argument has no default"
    ],
    "{ summary: 'x', arguments: { a: { allowed: ['y'], default: 'x' } } }": ["'x' is not possible here"],
    "{ summary: 'x', arguments: { 'a b': {} } }": ["'a b' cannot name an argument"],
    "{ summary: 'x', arguments: { path: {} } }": [
        "the script would get 'path' as PATH, which has a meaning to shells or other programs"
    ],
    "{ summary: 'x', arguments: { ld-preload: {} } }": ["the script would get 'ld-preload' as LD_PRELOAD"],
    "{ summary: 'x', arguments: { a-b: {}, a_b: {} } }": ["'a_b' and 'a-b' are the same variable"],
    "{ summary: 'x', needs: { network: 'yes' } }": ["must be true or false"],
}


@pytest.mark.parametrize("text", SIDECARS)
def test_a_sidecar_is_checked_itself(plugins, text):
    """Its own slips are told at its own lines."""
    plugins.write("plugins/apt.install.hjson", text)

    with pytest.raises(FilesError) as caught:
        list_plugins(str(plugins.root))

    assert all(said in str(p) for said, p in zip(SIDECARS[text], caught.value.problems, strict=True))


@pytest.mark.parametrize(
    ("gone", "added", "message"),
    [
        ("plugins/apt.install.hjson", "", "plugin 'apt.install' has no sidecar plugins/apt.install.hjson"),
        ("plugins/apt.install.sh", "", "a sidecar without a script"),
        ("", "plugins/apt.install.py", "two scripts are plugin 'apt.install'"),
    ],
)
def test_script_and_sidecar_belong_together(plugins, gone, added, message):
    """One script and one sidecar a plugin."""
    if gone:
        (plugins.root / gone).unlink()
    if added:
        plugins.write(added, "#!/usr/bin/python3\n")

    with pytest.raises(FilesError) as caught:
        list_plugins(str(plugins.root))

    assert message in caught.value.details


def test_plugins_are_listed_by_name(plugins):
    """`stalker plugins` has names and summaries; a workspace without plugins has none."""
    (info,) = list_plugins(str(plugins.root))

    assert (info.name, info.summary, info.script) == (
        "apt.install",
        "Install packages with apt",
        "plugins/apt.install.sh",
    )
    assert list_plugins(str(plugins.root / "stalks")) == []


def test_a_plugins_page_tells_arguments_needs_and_an_example(plugins):
    """`stalker plugins NAME`."""
    assert (
        plugin_page("apt.install", str(plugins.root))
        == """apt.install - Install packages with apt
script: plugins/apt.install.sh

Arguments
  packages   list, required, of the form [a-z0-9.+-]+: names of packages
  update     boolean, default true
  retries    integer, default 3
  release    string, one of stable, testing
  labels     mapping
  user-name  string, of the form [a-z]+

Needs
  package apt, network, capability CHOWN, capability SYS_ADMIN

Example
  install: { exec: true, use: apt.install }
"""
    )


def test_help_of_several_lines_keeps_to_its_column(plugins):
    """Each argument can be found by the eye."""
    plugins.write("plugins/a.sh", "#!/bin/sh\n")
    plugins.write("plugins/a.hjson", "{ summary: 'x', arguments: { b: { help: 'one\\n\\ntwo' } } }")

    page = plugin_page("a", str(plugins.root))

    assert "\n  b  string: one\n\n     two\n" in page


def test_the_page_of_no_plugin_is_an_error_with_a_suggestion(plugins):
    """`stalker plugins apt.instal`."""
    with pytest.raises(ArgumentsError, match="there is no plugin") as caught:
        plugin_page("apt.instal", str(plugins.root))

    assert caught.value.details.startswith("did you mean 'apt.install'?")


def test_a_workspace_without_plugins_is_told_its_folder(space):
    """There is nothing to list."""
    with pytest.raises(ArgumentsError) as caught:
        plugin_page("my.own", str(space.root))

    assert caught.value.details == f"the workspace has no plugins in {space.root}/plugins"


SHIPPED = Path(__file__).parents[3] / "plugins"


def test_a_plugin_that_comes_with_stalker_is_told_with_its_link(space):
    """Without a folder plugins/ the whole folder is linked; the command works as it is printed."""
    space.stalk("go: {\n exec: true\n use: user.add\n with: { name: 'pi' }\n }")

    (problem,) = space.problems()

    said, _, command = problem.partition("it comes with stalker: ")
    assert said.endswith("no plugin named 'user.add'\n  ")
    assert command == f"ln -s {SHIPPED} plugins"
    subprocess.run(command, shell=True, cwd=space.root, check=True)
    assert space.problems() == []


def test_a_plugin_is_linked_into_a_folder_that_is_there_with_the_helpers(plugins):
    """The workspace's own plugins stay."""
    plugins.stalk("go: {\n exec: true\n use: user.add\n with: { name: 'pi' }\n }")

    (problem,) = plugins.problems()

    command = problem.partition("it comes with stalker: ")[2]
    assert command == f"ln -s {SHIPPED}/user.add.* plugins/; ln -s {SHIPPED}/lib plugins/lib"
    subprocess.run(command, shell=True, cwd=plugins.root, check=True)
    assert plugins.problems() == []
    assert "/entropy/plugins/kantoo.sh" in {file.target for file in plugins.go().files}


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
