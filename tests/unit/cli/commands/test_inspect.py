"""Commands that only look: what they print, and that they need no engine."""

import json
import os
import re
import shutil
import stat
import subprocess
import sys

import pytest
from click.testing import CliRunner

from build import stalk, step, tree
from stalker.cli import draw as drawing
from stalker.cli.commands.inspect import as_text, variables_of
from stalker.cli.main import stalker
from stalker.errors import ArgumentsError, PlanError, StalkerError
from stalker.model.diagnostics import Place
from stalker.model.tree import File
from stalker.model.variables import Variable

TREE = """{
  architecture: { OS: "debian", ARCH: "x86", SUBARCH: "pc" }
  globals: { WHO: "world" }
  secrets: { KEY: { env: "LOOK_KEY" } }
  stalks: { web: { base: { tag: "a:b" }, LEVEL: 3 } }
}
"""
STALK = """{
  envplugins: { LC_ALL: "C" }
  plugins: {
    conf: { bind: "/etc/conf", WHO: "", text: "{WHO}" }
    fetch: { exec: true, WHO: "", KEY: "", text: "#!/bin/sh\\ntrue" }
    install: { exec: true, LEVEL: "", LINES: "a\\nb", text: "#!/bin/sh\\ntrue" }
  }
}
"""


class Space:
    """A workspace with one tree; no engine is there."""

    def __init__(self, root):
        self.root = root
        self.write("trees/t/t.hjson", TREE)
        self.write("stalks/web/web.hjson", STALK)

    def write(self, path, content):
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
        return file

    def stalker(self, *arguments):
        return CliRunner().invoke(stalker, ["--workspace", str(self.root), *arguments])


@pytest.fixture
def space(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nobody.sock")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return Space(tmp_path)


# graph


PICTURES = {
    "g.svg": b"<?xml",
    "g.PNG": b"\x89PNG",
    "g.dot": b"digraph",
    "g.gv": b"digraph",
    "g.mmd": b"---\ntitle",
}


@pytest.mark.skipif(not shutil.which("dot"), reason="graphviz is not installed")
@pytest.mark.parametrize(("name", "beginning"), PICTURES.items())
def test_the_format_is_that_of_the_ending(space, name, beginning):
    done = space.stalker("graph", "t", "-o", name)

    assert (done.exit_code, done.stdout) == (0, "")
    assert (space.root / name).read_bytes().startswith(beginning)


def test_without_a_file_the_graph_is_dot_on_stdout(space):
    """And without an engine it is drawn without colours, which is reported."""
    done = space.stalker("graph", "t")

    assert done.exit_code == 0
    assert done.stdout.startswith("digraph")
    assert drawing.COLOURS["RUN"][0] not in done.stdout
    assert "drawn without verdicts: no engine answers" in done.stderr


def test_the_format_given_wins_over_the_ending(space):
    space.stalker("graph", "t", "-o", "g.svg", "--format", "mermaid")

    assert (space.root / "g.svg").read_text().startswith("---\ntitle")


def test_an_ending_that_tells_nothing_is_refused(space):
    error = space.stalker("graph", "t", "-o", "graph.pdf").exception

    assert isinstance(error, PlanError)
    assert error.details == "known endings: .svg, .png, .dot, .gv, .mmd, .mermaid"


def test_a_picture_without_graphviz_names_the_package(space, monkeypatch):
    """And leaves a picture that is there alone."""
    space.write("g.svg", "before")
    monkeypatch.setenv("PATH", str(space.root))

    error = space.stalker("graph", "t", "-o", "g.svg").exception

    assert isinstance(error, StalkerError)
    assert error.resolution == "apt-get install graphviz"
    assert (space.root / "g.svg").read_text() == "before"


def test_what_graphviz_says_when_it_fails_is_shown(space, monkeypatch):
    program = space.write("dot", "#!/bin/sh\necho no font >&2\nexit 3\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{space.root}:{os.environ['PATH']}")

    error = space.stalker("graph", "t", "--format", "svg").exception

    assert error.brief == "graphviz could not draw the picture (exit code 3)"
    assert error.details == "no font"


def test_a_file_that_cannot_be_written_leaves_nothing_half_done(space):
    (space.root / "g.dot").mkdir()

    error = space.stalker("graph", "t", "-o", "g.dot").exception

    assert isinstance(error, PlanError)
    assert sorted(path.name for path in space.root.iterdir() if "part" in path.name) == []
    assert stat.S_ISDIR((space.root / "g.dot").stat().st_mode)


# show


def test_every_variable_is_shown_with_where_it_was_set(space):
    """The tree's, the node's and the plugin's own, those of files, and the environment."""
    done = space.stalker("show", "t", "web:install")

    assert done.stdout.splitlines() == [
        "web:install",
        "  LEVEL              3      trees/t/t.hjson:5",
        r"  LINES              a\nb   stalks/web/web.hjson:6",
        "  conf.WHO           world  trees/t/t.hjson:3",
        "  envplugins.LC_ALL  C      stalks/web/web.hjson",
    ]


def test_a_secret_is_never_shown(space, monkeypatch):
    """Not its value, only where it is declared."""
    monkeypatch.setenv("LOOK_KEY", "s3cret")

    text = space.stalker("show", "t").stdout
    document = space.stalker("show", "t", "--json").stdout

    assert re.search(r"KEY +\*\*\* +trees/t/t.hjson:4", text)
    assert "s3cret" not in text + document
    found = {one["name"]: one for one in json.loads(document)["steps"][0]["variables"]}
    assert (found["KEY"]["value"], found["KEY"]["secret"]) == ("***", True)


def test_what_was_typed_is_shown_as_set_by_the_command_line(space):
    """--set has no line."""
    done = space.stalker("show", "t", "web:fetch", "--set", "WHO=you", "--json")

    (step_,) = json.loads(done.stdout)["steps"]
    assert step_["variables"][-2] == {
        "name": "WHO",
        "value": "you",
        "secret": False,
        "plugin": "conf",
        "file": "--set",
        "line": None,
        "column": None,
    }


@pytest.mark.parametrize(
    ("what", "expected"),
    [("", ["web:fetch", "web:install"]), ("web", ["web:fetch", "web:install"]), ("web:fetch", ["web:fetch"])],
)
def test_a_tree_a_stalk_or_a_step_is_shown(space, what, expected):
    done = space.stalker("show", "t", *([what] if what else []), "--json")

    assert [one["step"] for one in json.loads(done.stdout)["steps"]] == expected


def test_a_step_that_is_not_there_is_refused_with_the_nearest_name(space):
    error = space.stalker("show", "t", "web:fetsh").exception

    assert isinstance(error, PlanError)
    assert error.details == "did you mean 'fetch'?"


def test_a_file_plugin_is_shown_once():
    """A plugin that places several files has its variables once."""
    place = Place("f", 2)
    files = tuple(
        File(f"/{n}", "conf", "d", place, content=b"", variables=(Variable("A", "1", place),))
        for n in range(3)
    )
    made = tree(stalk("web", step("install", files=files)))

    assert len(list(variables_of(made.stalk("web").steps[0], made))) == 1


def test_a_step_without_variables_says_so():
    assert as_text(step("install"), []) == ":install\n  no variables"


@pytest.mark.parametrize(
    ("value", "expected"), [("a b", "a b"), ("a\nb", r"a\nb"), ("\x1b[31m", r"\x1b[31m"), ("größe", "größe")]
)
def test_a_value_stays_on_its_line_and_does_nothing_to_the_terminal(value, expected):
    one = {"name": "A", "value": value, "plugin": "", "file": "f\x1b", "line": 1}

    assert as_text(step("install"), [one]) == f":install\n  A  {expected}  f\\x1b:1"


# check, schema, plugins


@pytest.mark.parametrize("typed", ["t", "trees/t", "trees/t/t.hjson"])
def test_a_tree_is_checked_by_name_folder_or_file_and_all_that_was_read_is_counted(space, typed):
    """The tree and its stalk; what is named twice counts once."""
    done = space.stalker("check", typed, "stalks/web/web.hjson")

    assert (done.exit_code, done.stdout) == (0, "2 files read, no problems\n")


def test_problems_are_the_result_and_stand_on_stdout(space):
    """With file, line and column, and exit code 2."""
    space.write("trees/bad.hjson", "{\n  stalks: { web: { bass: {} } }\n  x: 1\n}\n")

    done = space.stalker("check", "trees/bad.hjson")

    assert done.exit_code == 2
    assert "trees/bad.hjson:3:3: " in done.stdout
    assert re.fullmatch(r"2 files read, \d+ problems", done.stdout.splitlines()[-1])
    assert done.stderr == ""


def test_a_file_that_is_not_there_is_told_after_the_others_are_checked(space):
    """No file has a place for that problem."""
    done = space.stalker("check", "tt", "stalks/web/web.hjson", "gone")

    assert done.stdout == "1 file read, no problems\n"
    assert isinstance(done.exception, ArgumentsError)
    assert done.exception.brief == "there is no file or tree 'tt' or 'gone'"
    assert done.exception.details == "did you mean 't'?"


def test_warnings_alone_are_no_failure(space, monkeypatch):
    """They are shown and counted."""
    space.write("trees/t/t.hjson", TREE.replace("globals:", 'paths: { SYSROOT_DIR: "gone" }\n  globals:'))

    done = space.stalker("check", "trees/t/t.hjson")

    assert done.exit_code == 0
    assert "warning: " in done.stdout
    assert done.stdout.splitlines()[-1] == "2 files read, no problems, 1 warning"


@pytest.mark.parametrize(
    ("file", "text"),
    [("card.yaml", "base: 1.2.3\notput: {}\n"), ("card.hjson", "{\n  base: 1.2.3\n  otput: 1\n}")],
)
def test_a_card_image_is_checked(space, file, text):
    """YAML, or Hjson with a base."""
    space.write(file, text)

    done = space.stalker("check", file)

    assert done.exit_code == 2
    assert re.match(
        rf"{file}:[23]:[13]: otput: unknown key 'otput'\n  did you mean 'output'\?\n", done.stdout
    )
    assert done.stdout.splitlines()[-1] == "1 file read, 1 problem"


def test_a_card_image_without_a_problem_is_told_so(space):
    """Its warnings are shown."""
    space.write("cards/card.yml", "base: ../base.img\nwite_config: true\n")

    done = space.stalker("check", "cards/card.yml")

    assert (done.exit_code, done.stdout.splitlines()[-1]) == (0, "1 file read, no problems, 1 warning")


@pytest.mark.parametrize("kind", ["tree", "stalk", "plugin", "image"])
def test_a_schema_is_json(space, kind):
    document = json.loads(space.stalker("schema", kind).stdout)

    assert (document["title"], document["type"]) == (f"stalker {kind}", "object")


def test_plugins_are_listed_and_each_has_a_page(space):
    space.write("plugins/say.hi.sh", "#!/bin/sh\necho hi\n")
    space.write(
        "plugins/say.hi.hjson",
        '{\n  summary: "Greet."\n  arguments: { who: { type: "string", help: "Whom." } }\n}\n',
    )

    first, *others = space.stalker("plugins").stdout.splitlines()
    assert first.split() == ["say.hi", "workspace", "Greet."]
    assert {line.split()[1] for line in others} == {"stalker"}
    assert "Whom." in space.stalker("plugins", "say.hi").stdout


def test_a_plugin_that_is_not_there_is_an_error_of_what_was_typed(space):
    space.write("plugins/say.hi.sh", "#!/bin/sh\necho hi\n")
    space.write("plugins/say.hi.hjson", '{ summary: "Greet." }\n')

    error = space.stalker("plugins", "say.ho").exception

    assert isinstance(error, ArgumentsError)
    assert error.brief == "there is no plugin 'say.ho'"
    assert "did you mean 'say.hi'?" in error.details


def test_a_plugin_of_the_workspace_that_hides_one_is_noted(space):
    """The result is on stdout, the note on stderr."""
    space.write("plugins/user.add.sh", "#!/bin/sh\necho hi\n")
    space.write("plugins/user.add.hjson", '{ summary: "Greet." }\n')

    done = space.stalker("plugins")

    assert "user.add: the workspace's is used, not the one that comes with stalker" in done.stderr
    assert [line.split()[1] for line in done.stdout.splitlines() if line.startswith("user.add ")] == [
        "workspace"
    ]


def test_looking_loads_neither_docker_nor_networkx():
    """`show` and `check` come at once."""
    code = "import stalker.cli.commands.inspect, stalker.cli.commands.log, sys; print(sorted({'docker', 'networkx', 'rich', 'pydantic'} & set(sys.modules)))"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}

    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False
    )

    assert done.stdout == "[]\n"
