"""Files of others merged onto a tree."""

from __future__ import annotations

import pytest

from stalker.config import read_tree_cached
from stalker.errors import ArgumentsError


@pytest.fixture
def greeting(space):
    """A tree whose step inherits GREETING, set by `globals`, and NAME, set by the node."""
    space.step("GREETING: ''\n NAME: ''")
    space.tree("NAME: node\n base: [ { tag: 'a:1' }, { tag: 'b:1' } ]", "globals: { GREETING: 'hello' }")
    return space


def variables(tree):
    return {one.name: (one.value, one.place.short) for one in tree.stalks[0].steps[0].variables}


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        ("w.hjson", "globals: {\n  GREETING: good evening\n}\n", 2),
        ("w.json", '{"globals": {\n"GREETING": "good evening"}}', 2),
        ("w.yaml", "globals:\n  GREETING: good evening\n", 2),
    ],
)
def test_a_mapping_is_merged_deep_and_its_values_know_their_file(greeting, name, text, line):
    """Hjson, JSON and YAML alike; what the file does not name stays."""
    greeting.write(name, text)

    assert variables(greeting.read({}, name)) == {
        "GREETING": ("good evening", f"{name}:{line}"),
        "NAME": ("node", "trees/t/t.hjson:10"),
    }


def test_a_list_is_replaced(greeting):
    greeting.write("w.hjson", "stalks: { web: { base: [ { tag: 'c:2' } ] } }")

    assert [base.name for base in greeting.read({}, "w.hjson").stalks[0].bases] == ["c:2"]


def test_null_removes(greeting):
    greeting.write("w.hjson", "stalks: {\n web: {\n base: null\n }\n }")

    [base] = greeting.read({}, "w.hjson").stalks[0].bases
    assert base.name == "debian/arm-32bit/raspi3/web:initial"


def test_later_files_and_set_are_stronger(greeting):
    greeting.write("a.hjson", "stalks: { web: { NAME: a } }\nglobals: { GREETING: a }")
    greeting.write("b.hjson", "stalks: { web: { NAME: b } }")

    read = variables(greeting.read({"GREETING": "typed"}, "a.hjson", "b.hjson"))

    assert {name: value for name, (value, _) in read.items()} == {"GREETING": "typed", "NAME": "b"}


def test_a_stalk_of_the_workspace_can_be_added(greeting):
    greeting.step(name="db")
    greeting.write("w.hjson", "stalks: { db: { needs: [ 'web' ] }, web: { web2: { stalk: 'web' } } }")

    assert [stalk.name for stalk in greeting.read({}, "w.hjson").stalks] == ["web", "web2", "db"]


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        (
            "stalks: {\n  wbe: { NAME: x }\n}",
            ["w.hjson:2:3: stalks.wbe: the tree has no stalk 'wbe' here\n  did you mean 'web'?"],
        ),
        (
            "stalks: {\n  inner: { NAME: x }\n}",
            ["w.hjson:2:3: stalks.inner: the tree has no stalk 'inner' here\n  it is at stalks.web.inner"],
        ),
        (
            "stalks: {\n  web: {\n    artifact: { a: 1 }\n  }\n}",
            [
                "w.hjson:3:5: stalks.web.artifact: the tree has no stalk 'artifact' here\n  did you mean 'artifacts'?"
            ],
        ),
        ("gobals: { A: 1 }", ["w.hjson:1:1: gobals: unknown key 'gobals'\n  did you mean 'globals'?"]),
        (
            "globals: {\n  GREETNG: null\n}",
            [
                "w.hjson:2:3: globals.GREETNG: null removes 'GREETNG', which the tree lacks\n  did you mean 'GREETING'?"
            ],
        ),
        (
            "globals: {\n  GREETNG: hi\n}",
            ["w.hjson:2:3: globals.GREETNG: no plugin of this tree inherits it\n  did you mean 'GREETING'?"],
        ),
        ("[1]", ["w.hjson:1:1: must be a mapping, is a list\n  it is merged onto a tree"]),
        ("", ["w.hjson:1:1: the file is empty"]),
        (
            "stalks: {\n  web: {\n    pretend: perhaps\n  }\n}",
            ["w.hjson:3:14: stalks.web.pretend: must be true or false, is text"],
        ),
    ],
)
def test_a_problem_has_its_place_in_the_merged_file(greeting, text, problems):
    """A component or key that the tree cannot have is an error with the name that was meant."""
    greeting.step(name="inner")
    greeting.tree("NAME: node\n inner: { }", "globals: { GREETING: 'hello' }")
    greeting.write("w.hjson", text)

    found = greeting.problems({}, "w.hjson")

    assert [one.split("\n")[0] for one in found] == [one.split("\n")[0] for one in problems]
    assert found == problems


def test_yaml_with_half_a_surrogate_pair_is_a_problem(greeting):
    greeting.write("w.yaml", 'globals:\n  GREETING: "\\ud800"\n')

    assert greeting.problems({}, "w.yaml") == [
        "w.yaml:2:13: globals.GREETING: half of a surrogate pair, which is not a character"
    ]


def test_a_missing_file_is_named(greeting):
    with pytest.raises(ArgumentsError, match=r"--with: no file 'x\.hjson'"):
        greeting.read({}, "x.hjson")


def test_merged_files_are_among_the_files_of_the_tree(greeting):
    greeting.write("w.hjson", "globals: { GREETING: w }")

    assert "w.hjson" in dict(greeting.read({}, "w.hjson").files_read)


def test_a_kept_tree_is_read_again_when_a_merged_file_changes(greeting, tmp_path_factory):
    """Which files are merged, and what is in them, decides whether a kept tree is used."""
    cache = str(tmp_path_factory.mktemp("cache"))

    def read(*files):
        tree = read_tree_cached("t", str(greeting.root), {}, files, cache=cache)
        return variables(tree)["GREETING"][0]

    file = greeting.write("w.hjson", "globals: { GREETING: w1 }")
    assert [read(), read("w.hjson"), read()] == ["hello", "w1", "hello"]

    file.write_text("globals: { GREETING: w2 }")
    assert [read("w.hjson"), read()] == ["w2", "hello"]
