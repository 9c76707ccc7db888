"""Trees as a whole: every kind of problem with its place, precedence, names, starts."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stalker.config import read_names, read_tree
from stalker.errors import ArgumentsError, FilesError
from unit.config.space import Space

STEP = 'exec: true\n text: "#!/bin/sh\\n"'


def one(problems: list[str]) -> str:
    assert len(problems) == 1, problems
    return problems[0]


# each: what the node holds, what the top of the tree holds, what the step holds, the whole message
IN_TREE = {
    "unknown key of a node": (
        "neds: x",
        "",
        "trees/t/t.hjson:10:7: stalks.web.neds: unknown key 'neds'\n  did you mean 'needs'?",
    ),
    "unknown key of the tree": (
        "",
        "platfrm: linux/arm",
        "trees/t/t.hjson:7:3: platfrm: unknown key 'platfrm'\n  did you mean 'platform'?",
    ),
    "wrong type": (
        "pretend: 'true'",
        "",
        "trees/t/t.hjson:10:16: stalks.web.pretend: must be true or false, is text\n  write true without quotes",
    ),
    "missing stalk file": (
        "wbe: {}",
        "",
        "trees/t/t.hjson:10:7: stalks.web.wbe: no stalk file stalks/wbe/wbe.hjson\n  did you mean 'web'?",
    ),
    "control key that became a stalk": (
        "bases: {}",
        "",
        "trees/t/t.hjson:10:7: stalks.web.bases: no stalk file stalks/bases/bases.hjson\n  did you mean 'base'?",
    ),
    "control key that became a stalk with stalks in it": (
        "artefacts: { root: { rootfs: 'x.tar', gates: { waive: {} } } }",
        "",
        "trees/t/t.hjson:10:7: stalks.web.artefacts: no stalk file stalks/artefacts/artefacts.hjson\n  did you mean 'artifacts'?",
    ),
    "stalk file by a path": (
        "x: { stalk: '../web' }",
        "",
        "trees/t/t.hjson:10:19: stalks.web.x.stalk: '../web' cannot name a stalk file\n  a name, not a path",
    ),
    "unknown stalk in needs": (
        "needs: wbe",
        "",
        "trees/t/t.hjson:10:14: stalks.web.needs: no stalk named 'wbe' in this tree\n  did you mean 'web'?",
    ),
    "unknown step in needs": (
        "b: { stalk: 'web', needs: ['web:og'] }",
        "",
        "trees/t/t.hjson:10:34: stalks.web.b.needs.0: stalk 'web' has no step 'og'\n  steps: go",
    ),
    "unknown step in skip_until": (
        "skip_until: gone",
        "",
        "trees/t/t.hjson:10:19: stalks.web.skip_until: stalk 'web' has no step 'gone'\n  did you mean 'go'?",
    ),
    "a circle with itself": (
        "needs: web",
        "",
        (
            "trees/t/t.hjson:10:14: stalks.web.needs: a circle: web -> web\n"
            "  a stalk waits for the one it is nested in and for those it needs"
        ),
    ),
    "a circle by nesting": (
        "needs: b\n b: { stalk: 'web' }",
        "",
        (
            "trees/t/t.hjson:10:14: stalks.web.needs: a circle: web -> b -> web\n"
            "  a stalk waits for the one it is nested in and for those it needs"
        ),
    ),
    "bad platform": (
        "platform: arm",
        "",
        "trees/t/t.hjson:10:17: stalks.web.platform: 'arm' is not a platform; write os/architecture[/variant], like linux/arm/v7",
    ),
    "a variable that is a list": (
        "X: [1]",
        "",
        (
            "trees/t/t.hjson:10:10: stalks.web.X: a variable is text, a number, true or false, not a list\n"
            "  several words are one text with blanks"
        ),
    ),
    "a variable that is null": (
        "X: null",
        "",
        (
            "trees/t/t.hjson:10:10: stalks.web.X: a variable is text, a number, true or false, not null\n"
            "  an empty text is written as ''"
        ),
    ),
    "no variable's name": (
        "X-Y: 1",
        "",
        (
            "trees/t/t.hjson:10:7: stalks.web.X-Y: 'X-Y' cannot be a variable's name\n"
            "  names are A-Z, 0-9 and _, not beginning with a digit"
        ),
    ),
    "base of a nested stalk": (
        "b: { stalk: 'web', base: 'x' }",
        "",
        (
            "trees/t/t.hjson:10:26: stalks.web.b.base: this stalk is nested in 'web', which gives its first image\n"
            "  move the stalk up, or leave base out"
        ),
    ),
    "a stalk twice": (
        "b: { stalk: 'web', web: {} }",
        "",
        (
            "trees/t/t.hjson:10:26: stalks.web.b.web: a stalk named 'web' stands in this tree already\n"
            "  at trees/t/t.hjson:9:5; `stalk: web` under another name makes a variant"
        ),
    ),
    "two stalks with one image name": (
        "Web: { stalk: 'web' }",
        "",
        (
            "trees/t/t.hjson:10:7: stalks.web.Web: two stalks have the image name debian/arm-32bit/raspi3/web\n"
            "  the other one stands at trees/t/t.hjson:9:5"
        ),
    ),
    "a name that no image can have": (
        "a__-b: { stalk: 'web' }",
        "",
        (
            "trees/t/t.hjson:10:7: stalks.web.a__-b: 'a__-b' cannot be part of an image name: "
            "letters and digits, with single _ . or - between them"
        ),
    ),
    "a start that is not a stalk:tag": (
        "DOCKER_INIT_IMG: web",
        "",
        "trees/t/t.hjson:10:24: stalks.web.DOCKER_INIT_IMG: 'web' is not of the form stalk:tag",
    ),
    "a start at an unknown step": (
        "b: { stalk: 'web', DOCKER_INIT_IMG: 'web:goo' }",
        "",
        "trees/t/t.hjson:10:43: stalks.web.b.DOCKER_INIT_IMG: stalk 'web' has no step 'goo'\n  did you mean 'go'?",
    ),
    "base and start": (
        "base: 'debian:12'\n DOCKER_INIT_IMG: 'x:y'",
        "",
        "trees/t/t.hjson:10:7: stalks.web.base: both 'base' and 'DOCKER_INIT_IMG'\n  keep one of them",
    ),
    "DOCKER_OPTS in the tree": (
        "",
        "globals: { DOCKER_INIT_IMG: 'a:b' }",
        (
            "trees/t/t.hjson:7:14: globals.DOCKER_INIT_IMG: DOCKER_INIT_IMG cannot be set for all stalks\n"
            "  write it in the node or stalk file that it is for"
        ),
    ),
    "a secret that is a variable too": (
        "",
        "globals: { KEY: 1 }\n secrets: { KEY: { env: 'KEY' } }",
        "trees/t/t.hjson:7:14: globals.KEY: KEY is a secret too\n  the secret stands at trees/t/t.hjson:8:13; keep one",
    ),
    "a secret from two places": (
        "",
        "secrets: { KEY: { env: 'KEY', file: 'x' } }",
        "trees/t/t.hjson:7:19: secrets.KEY: a secret comes from either env or file\n  { env: NAME } or { file: path }",
    ),
    "a secret's file outside": (
        "",
        "secrets: { KEY: { file: '../x' } }",
        "trees/t/t.hjson:7:27: secrets.KEY.file: '../x' leaves the workspace\n  write an absolute path",
    ),
    "a sysroot outside": (
        "",
        "paths: { SYSROOT_DIR: '../x' }",
        "trees/t/t.hjson:7:12: paths.SYSROOT_DIR: '../x' leaves the workspace\n  write an absolute path",
    ),
    "logs outside": (
        "",
        "paths: { LOG_DIR: '../x' }",
        "trees/t/t.hjson:7:12: paths.LOG_DIR: '../x' leaves the workspace\n  write an absolute path",
    ),
}


@pytest.mark.parametrize(("node", "top", "message"), IN_TREE.values(), ids=IN_TREE.keys())
def test_a_slip_in_a_tree_is_told_with_its_place_and_a_suggestion(space, node, top, message):
    """Each slip gives one problem: file:line:column, the keys, what is wrong, what to do."""
    space.tree(node, top)

    assert one(space.problems()) == message


# each: keys of the step `go`, keys at the top of the stalk, the whole message
IN_STALK = {
    "a key given twice": (
        "retries: 1\n retries: 2",
        "",
        (
            "stalks/web/web.hjson:8:2: plugins.go.retries: key 'retries' is given twice\n"
            "  it stands first in line 7, column 7; keep one"
        ),
    ),
    "unknown key": (
        "timout: 1",
        "",
        "stalks/web/web.hjson:7:7: plugins.go.timout: unknown key 'timout'\n  did you mean 'timeout'?",
    ),
    "text with path": (
        "path: 'x'",
        "",
        "stalks/web/web.hjson:7:7: plugins.go.path: both 'text' and 'path'\n  keep one of them",
    ),
    "bind of a step": (
        "bind: '/x'",
        "",
        "stalks/web/web.hjson:7:7: plugins.go.bind: 'bind' does not go with exec",
    ),
    "copy of a step": (
        "copy: '/x'",
        "",
        "stalks/web/web.hjson:7:7: plugins.go.copy: 'copy' does not go with exec\n  what a script leaves behind is in the image",
    ),
    "a variable nobody set": (
        "WHO: ''",
        "",
        (
            "stalks/web/web.hjson:7:7: plugins.go.WHO: '' inherits, but nobody set WHO\n"
            "  set it in the tree, or with --set WHO=VALUE"
        ),
    ),
    "a variable nobody set but nearly": (
        "SUBARCG: ''",
        "",
        "stalks/web/web.hjson:7:7: plugins.go.SUBARCG: '' inherits, but nobody set SUBARCG\n  did you mean 'SUBARCH'?",
    ),
    "no duration": (
        "timeout: 'ten'",
        "",
        "stalks/web/web.hjson:7:16: plugins.go.timeout: 'ten' is not a duration; write it like 90s, 1h30m, 2d, or in seconds",
    ),
    "too many retries": (
        "retries: 11",
        "",
        "stalks/web/web.hjson:7:16: plugins.go.retries: must lie between 0 and 10, is 11",
    ),
    "with without use": (
        "with: {a: 1}",
        "",
        "stalks/web/web.hjson:7:7: plugins.go.with: 'with' gives arguments to 'use', which is missing",
    ),
    "unknown option": (
        "",
        "DOCKER_OPTS: { extra_host: {} }",
        "stalks/web/web.hjson:2:18: DOCKER_OPTS.extra_host: unknown option 'extra_host'\n  did you mean 'extra_hosts'?",
    ),
    "unknown template language": (
        "template: 'mako'",
        "",
        "stalks/web/web.hjson:7:17: plugins.go.template: 'mako' is not possible here\n  known: jinja2",
    ),
    "a name the environment cannot hold": (
        "",
        "envplugins: { a-b: 1 }",
        "stalks/web/web.hjson:2:17: envplugins.a-b: 'a-b' cannot be a variable's name",
    ),
}


@pytest.mark.parametrize(("keys", "top", "message"), IN_STALK.values(), ids=IN_STALK.keys())
def test_a_slip_in_a_stalk_is_told_with_its_place_and_a_suggestion(space, keys, top, message):
    """Each slip gives one problem: file:line:column, the keys, what is wrong, what to do."""
    space.step(keys, top)

    assert one(space.problems()) == message


def test_all_problems_of_all_files_are_told_at_once_by_file_then_line(space):
    """One run of the check shows all there is to repair, in the order of the files."""
    space.tree("needs: nobody\n OTHER: [1]\n db: {}")
    space.step("WHO: ''\n bind: relative")
    space.stalk("go: { exec: true, text: 'echo' }\n file: { bind: 'x', text: 'y' }", name="db")

    places = [problem.split(": ")[0] for problem in space.problems()]

    assert places == [
        "stalks/db/db.hjson:4:29",
        "stalks/db/db.hjson:5:16",
        "stalks/web/web.hjson:7:7",
        "stalks/web/web.hjson:8:2",
        "trees/t/t.hjson:10:14",
        "trees/t/t.hjson:11:9",
    ]


def test_a_problem_of_a_stalk_that_two_nodes_use_is_told_once(space):
    """A variant does not double what is wrong in its stalk file."""
    space.tree("lite: { stalk: 'web' }")
    space.step("timeout: never")

    assert len(space.problems()) == 1


COMMENTED = {
    "platform": ("platform: linux/arm/v7   # optional", "", "is not a platform"),
    "true or false": ("pretend: yes # for now", "", "must be true or false, is text"),
    "a number": ("", "retries: two # more", "must be a whole number, is text"),
    "a duration": ("", "timeout: 10m # at most", "is not a duration"),
    "a name": ("needs: [\n web // itself\n]", "", "no stalk named"),
    "one of a few": ("", "template: jinja2 /* the only one */", "is not possible here"),
}


@pytest.mark.parametrize(("node", "keys", "what"), COMMENTED.values(), ids=COMMENTED.keys())
def test_a_value_that_a_comment_spoiled_is_told_with_the_remedy(space, node, keys, what):
    """`10m # at most` is text up to the end of its line; where that cannot be, I am told to quote it."""
    space.tree(node)
    space.step(keys)

    (problem,) = space.problems()

    assert what in problem
    assert problem.endswith("\n  put the text in quotes, or the comment on a line of its own")


@pytest.mark.parametrize("written", ["true   # for now", "false // for now", "true /* for now */"])
def test_a_comment_behind_what_is_no_text_is_one(space, written):
    """true, false and numbers end before a comment."""
    space.tree(f"pretend: {written}")
    space.step("retries: 2 # more")

    assert space.read().stalks[0].pretend is written.startswith("true")
    assert space.go().retries == 2
    assert space.warnings() == []


def test_a_daemonized_step_without_a_network_is_a_warning(space):
    """Other steps may talk to it through a mount."""
    space.step("daemonize: true", top="DOCKER_OPTS: { network: none }")

    assert space.go().daemonize
    (warning,) = space.warnings()
    assert "no other step reaches a daemonized one over the network with network: none" in warning


# precedence


SETS = {
    "v": "'v' cannot be a variable's name\n  did you mean 'V'?",
    "9": "'9' cannot be a variable's name\n  names are in UPPER CASE",
    "DOCKER_OPTS": "DOCKER_OPTS cannot be set for all stalks",
    "KEY": "KEY is a secret; an argument is seen by all users of the host",
}


@pytest.mark.parametrize("name", SETS)
def test_set_refuses_what_is_no_variable(space, name):
    """--set takes variables, no secrets and nothing else."""
    space.tree(top="secrets: { KEY: { env: 'KEY' } }")

    assert SETS[name] in one(space.problems({name: "x"}))


def test_set_of_a_variable_that_nobody_inherits_is_an_error_of_the_command_line(space):
    """A slip in --set does not pass in silence, and no file is to blame."""
    space.step("GREETING: ''")

    with pytest.raises(ArgumentsError) as caught:
        space.read({"GREETING": "x", "GREETINGS": "y"})

    assert caught.value.brief == "--set GREETINGS: no plugin of this tree inherits it"
    assert caught.value.details == "did you mean 'GREETING'?"


def test_whether_a_variable_is_in_vain_is_not_judged_where_files_are_wrong(space):
    """A stalk file that cannot be read may inherit it."""
    space.write("stalks/web/web.hjson", "{ plugins: { a: ")

    with pytest.raises(FilesError) as caught:
        space.read({"GREETING": "x"})

    assert {problem.place.file for problem in caught.value.problems} == {"stalks/web/web.hjson"}


# names and starts


def test_images_are_named_by_architecture_and_node_in_lower_case(space):
    """<OS>/<ARCH>/<SUBARCH>/<node>, whatever stalk file the node uses."""
    space.tree("Lite: { stalk: 'web' }", "globals: {}")
    space.write("trees/t/t.hjson", (space.root / "trees/t/t.hjson").read_text().replace("debian", "Debian"))

    tree = space.read()

    assert [stalk.repository for stalk in tree.stalks] == [
        "debian/arm-32bit/raspi3/web",
        "debian/arm-32bit/raspi3/lite",
    ]
    assert (tree.architecture, tree.arch_label) == ("debian/arm-32bit/raspi3", "arm-32bit-raspi3")


@pytest.mark.parametrize(
    ("key", "value"), [("OS", "de bian"), ("ARCH", "a/b"), ("SUBARCH", "-x"), ("OS", "a..b")]
)
def test_an_architecture_that_no_image_can_have_is_refused(space, key, value):
    """What becomes part of an image's name follows Docker's grammar."""
    assert "cannot be part of an image name" in one(space.problems({key: value}))


def test_an_architecture_without_its_parts_is_refused(space):
    """OS, ARCH and SUBARCH are needed to name images."""
    space.write("trees/t/t.hjson", "{architecture: {OS: 'x', ARCH: 'y'}, stalks: {web: {}}}")

    assert "SUBARCH is missing" in one(space.problems())


# original trees


def test_a_tree_of_the_original_tool_loads_unchanged(space):
    """Keys that only the original knew are taken with a warning at most."""
    space.write(
        "trees/t/t.hjson",
        """{
  architecture: {
    OS: funtoo
    ARCH: x86-64bit
    SUBARCH: amd64-k10
    DIST: 1.3-release-std
    STAGE3_ARCHIVE: stage3-latest.tar.xz
    ENTROPY_ARCH: amd64
  }
  paths: {
    SYSROOT_DIR: lib/sysroot
    TMPFS: tmpfs
    LOG_DIR: logs
  }
  stalks: {
    web: {
      TREE_CONFIG_VAR: hello
      interactive: false
      pretend: false
      skip_until: ''
    }
  }
}""",
    )
    space.step(
        "TREE_CONFIG_VAR: ''\n mode: ro\n skip: false\n tmpfs: false",
        "DOCKER_OPTS: { tty: true, init: true, remove: false, detach: true, entrypoint: '/bin/bash' }",
    )

    tree = space.read()

    assert tree.stalks[0].repository == "funtoo/x86-64bit/amd64-k10/web"
    assert [warning.split(": ")[1] for warning in tree.warnings] == [
        "DOCKER_OPTS.entrypoint",
        "plugins.go.tmpfs",
        "paths.SYSROOT_DIR",
        "stalks.web.interactive",
    ]


# finding a tree


def test_a_stalk_can_be_named_by_a_number(space):
    """2024 is a name like any other, and no variable."""
    space.tree("2024: { stalk: 'web' }")

    assert [stalk.name for stalk in space.read().stalks] == ["web", "2024"]


def test_a_tree_that_is_not_there_is_told_with_the_nearest_name(space):
    """`--config tt` says what there is."""
    with pytest.raises(FilesError) as caught:
        read_tree("tt", str(space.root))

    assert (caught.value.brief, caught.value.details) == ("there is no tree 'tt'", "did you mean 't'?")
    assert caught.value.exit_code == 2


def test_a_workspace_without_trees_is_named(space, tmp_path_factory):
    """A user in the wrong folder sees which one was looked in."""
    folder = tmp_path_factory.mktemp("elsewhere")

    with pytest.raises(ArgumentsError) as caught:
        read_tree("t", str(folder))

    assert f"no trees are in {folder}/trees" in caught.value.details


@pytest.mark.parametrize(
    ("typed", "file"),
    [(name, name) for name in ("trees/t/t.hjson", "trees/single.hjson")] + [("trees/t", "trees/t/t.hjson")],
)
def test_a_tree_of_another_workspace_is_told_with_that_workspace(space, typed, file):
    """`stalker plan /ws/trees/t` from elsewhere: the path as typed, and what to give."""
    space.step("WHO: ''")
    space.write("trees/single.hjson", (space.root / "trees/t/t.hjson").read_text())
    with pytest.raises(FilesError) as caught:
        read_tree(f"{space.root}/{typed}", str(space.root.parent))

    assert caught.value.problems[0].place.file == f"{space.root}/{file}"
    assert caught.value.resolution.endswith(f"--workspace {space.root}")


def test_a_tree_of_this_workspace_is_told_without_another_one(space):
    """Nothing is guessed where trees and stalks are at home."""
    space.step("WHO: ''")

    with pytest.raises(FilesError) as caught:
        read_tree(f"{space.root}/trees/t", str(space.root))

    assert caught.value.resolution == ""


def test_a_tree_outside_the_workspace_keeps_its_own_path(space, tmp_path_factory):
    """Any path can be a tree; its stalks are those of the workspace."""
    away = tmp_path_factory.mktemp("away") / "x.hjson"
    away.write_bytes((space.root / "trees/t/t.hjson").read_bytes())

    assert read_tree(str(away), str(space.root)).file == str(away)


def test_a_tree_pickles_and_names_all_files_it_was_made_of(space):
    """It crosses processes, and says by digest what decided it."""
    space.write("sysroot/etc/motd", "hi")

    tree = space.read()

    assert pickle.loads(pickle.dumps(tree)) == tree
    assert [name for name, _ in tree.files_read] == [
        "stalks/web/web.hjson",
        "sysroot/etc/motd",
        "trees/t/t.hjson",
    ]


KEYS = {
    "A": "1",
    "B": "''",
    "text": "'#!/bin/sh'",
    "exec": "true",
    "retries": "1",
    "timeout": "5m",
}
OPTIONS = {"tty": "true", "hostname": "'x'", "cap_add": "['B', 'A']", "sysctls": "{ b: 1, a: 2 }"}
NODE = {"B": "2", "needs": "[]", "resources": "{ b: 1, a: 2 }", "pretend": "false"}


@given(st.permutations(list(KEYS)), st.permutations(list(OPTIONS)), st.permutations(list(NODE)))
def test_the_order_of_keys_changes_nothing_but_places(keys, options, node):
    """Only plugins have an order; variables and options come by name, wherever they stand."""

    def tree(keys, options, node):
        with tempfile.TemporaryDirectory() as folder:
            space = Space(Path(folder))
            space.tree("\n".join(f"{key}: {NODE[key]}" for key in node))
            step = "\n".join(f"{key}: {KEYS[key]}" for key in keys)
            opts = "\n".join(f"{key}: {OPTIONS[key]}" for key in options)
            space.stalk(f"go: {{\n {step}\n }}", f"DOCKER_OPTS: {{\n {opts}\n }}")
            return repr(without_places(asdict(space.read().stalks[0])))

    assert tree(keys, options, node) == tree(KEYS, OPTIONS, NODE)


def without_places(value):
    """Leave out where things stand."""
    if isinstance(value, dict):
        return {key: without_places(child) for key, child in value.items() if key != "place"}
    return [without_places(child) for child in value] if isinstance(value, (list, tuple)) else value


def test_reading_a_tree_loads_no_heavy_library(space):
    """A run with nothing to do takes a tenth of a second in all."""
    program = (
        "import sys; from stalker.config import read_tree; read_tree('t', sys.argv[1]);"
        "print(sorted({'pydantic', 'jinja2', 'hjson', 'networkx', 'docker', 'rich', 'difflib'} & set(sys.modules)))"
    )
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}

    done = subprocess.run(
        [sys.executable, "-c", program, str(space.root)],
        env=environ,
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.strip() == "[]"


# names alone


@pytest.mark.parametrize("stalk", ["{ plugins: { a: ", "{ plugins: { go: { exec: true } }, x: 1 }", None])
def test_names_are_known_without_good_stalk_files(space, stalk):
    """Images can be listed and removed while a stalk file is being written."""
    (space.root / "stalks/web/web.hjson").unlink()
    if stalk is not None:
        space.write("stalks/web/web.hjson", stalk)
    assert space.problems()

    tree = read_names("t", str(space.root))

    assert [(one.name, one.repository) for one in tree.stalks] == [("web", "debian/arm-32bit/raspi3/web")]


@pytest.mark.parametrize(
    "text",
    [
        "{ stalks: { web: ",
        "{ stalks: { web: {} } }",
        "{ architecture: { OS: 'a', ARCH: '/', SUBARCH: 'c' }, stalks: { web: {} } }",
        "{ architecture: { OS: 'a', ARCH: 'b', SUBARCH: 'c' }, stalks: { web: {}, WEB: { stalk: 'web' } } }",
    ],
    ids=["syntax", "no architecture", "bad architecture", "one name twice"],
)
def test_names_that_the_tree_does_not_tell_are_an_error(space, text):
    """Nothing is removed by a guess."""
    space.write("trees/t/t.hjson", text)

    with pytest.raises(FilesError) as caught:
        read_names("t", str(space.root))

    assert caught.value.problems[0].place.file == "trees/t/t.hjson"


@pytest.mark.parametrize(
    ("first", "second", "count"), [("rw", "locked", 1), ("locked", "locked", 0), ("ro", "locked", 0)]
)
def test_a_store_that_is_locked_in_one_stalk_and_not_in_another_is_a_warning(space, first, second, count):
    """The lock would keep out one of two writers."""
    step = 'go: { exec: true, text: "#!/bin/sh\\n" }'
    for name, mode in (("web", first), ("db", second)):
        space.stalk(f"c: {{ store: 'cache', bind: '/c', mode: {mode}\n}}\n {step}", name=name)
    space.tree("db: {}")

    warnings = space.warnings()

    assert len(warnings) == count
    if count:
        assert warnings[0].startswith(
            "stalks/web/web.hjson:4:5: warning: plugins.c: the store cache is rw here"
        )
        assert "locked at stalks/db/db.hjson:4:5" in warnings[0]
