from __future__ import annotations

from pathlib import Path

import pytest

from stalker.config import list_plugins, plugin_page
from stalker.errors import ArgumentsError, FilesError
from unit.config.plugins.apt import use


def test_a_reusable_script_is_taken_as_it_is(plugins):
    """Its author does not know the user's variables: no braces are replaced, whatever runs it."""
    plugins.write("plugins/apt.install.sh", "#!/usr/bin/python3\nprint(f'{PACKAGES}')\n")
    use(plugins, "packages: ['x']")

    assert plugins.go().script.content == b"#!/usr/bin/python3\nprint(f'{PACKAGES}')\n"


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
    """The sidecar's needs are checked against DOCKER_OPTS."""
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
    "{ summary: 'x', arguments: { a: { pattern: '(' } } }": ["'(' is not a valid regular expression"],
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
    """Its own slips are reported at its own lines."""
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
    """`stalker plugins` has names and summaries, those of the workspace first, then what comes with stalker."""
    own, *shipped = list_plugins(str(plugins.root))

    assert (own.name, own.summary, own.script, own.origin) == (
        "apt.install",
        "Install packages with apt",
        "plugins/apt.install.sh",
        "workspace",
    )
    names = [info.name for info in shipped]
    assert {info.origin for info in shipped} == {"stalker"}
    assert "user.add" in names
    assert names == sorted(names)
    assert "apt.install" not in names


def test_of_two_plugins_with_one_name_the_workspaces_is_used(plugins):
    """It hides the one that comes with stalker, which is marked."""
    infos = {info.name: info for info in list_plugins(str(plugins.root))}

    assert infos["apt.install"].hides_shipped
    assert not infos["user.add"].hides_shipped
    page = plugin_page("apt.install", str(plugins.root))
    assert "it hides the plugin of that name that comes with stalker" in page
    assert "origin: comes with stalker" in plugin_page("user.add", str(plugins.root))


def test_a_link_to_a_plugin_that_comes_with_stalker_hides_nothing(space):
    """Earlier versions printed the command that makes such links."""
    (space.root / "plugins").mkdir()
    for file in SHIPPED.glob("user.add.*"):
        (space.root / "plugins" / file.name).symlink_to(file)

    infos = {info.name: info for info in list_plugins(str(space.root))}

    assert infos["user.add"].origin == "workspace"
    assert not infos["user.add"].hides_shipped


def test_the_plugins_of_the_checkout_are_those_of_a_workspace(space):
    """There each is listed once, as the workspace's."""
    infos = list_plugins(str(SHIPPED.parent))

    assert {info.origin for info in infos} == {"workspace"}
    assert len({info.name for info in infos}) == len(infos)


def test_a_plugins_page_tells_arguments_needs_and_an_example(plugins):
    """`stalker plugins NAME`."""
    assert (
        plugin_page("apt.install", str(plugins.root))
        == """apt.install - Install packages with apt
script: plugins/apt.install.sh
origin: the workspace; it hides the plugin of that name that comes with stalker

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


SHIPPED = Path(__file__).parents[4] / "plugins"


def test_a_plugin_that_comes_with_stalker_is_used_without_a_directory_of_plugins(space):
    """Its helper library is placed with it, for its script names it."""
    space.stalk("go: {\n exec: true\n use: user.add\n with: { name: 'pi' }\n }")

    step = space.go()

    assert space.problems() == []
    assert step.script.content == (SHIPPED / "user.add.sh").read_bytes()
    assert "/entropy/plugins/kantoo.sh" in {file.target for file in step.files}
