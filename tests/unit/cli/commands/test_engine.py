"""`stalker engine up` and `stalker doctor` as they are typed."""

import json

import pytest
from click.testing import CliRunner

from stalker.app.settings import Settings
from stalker.cli.commands.engine import as_text, exit_code, read_trees
from stalker.cli.main import stalker
from stalker.engine.discovery import Candidate
from stalker.engine.docker.http import Address
from stalker.errors import NoEngine, PlanError
from stalker.host.doctor import Finding

OK = Finding("storage", "ok", "overlay2")
WARNING = Finding("disk", "warning", "3.0 GB free", "docker system df")
WRONG = Finding("engine", "wrong", "no engine answers\nno such socket", "stalker engine up")

TREE = '{ architecture: { OS: "o", ARCH: "a", SUBARCH: "s" }, stalks: { web: { base: { tag: "a:b" } } } }'
STALK = '{ plugins: { go: { exec: true, text: "#!/bin/sh\\ntrue" } } }'


@pytest.fixture
def space(tmp_path, monkeypatch):
    """A workspace on a machine where no engine answers."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nobody.sock")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for folder in ("trees", "stalks/web", "plugins", "sysroot"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "stalks/web/web.hjson").write_text(STALK)
    (tmp_path / "trees/good.hjson").write_text(TREE)
    return tmp_path


def call(*arguments):
    return CliRunner().invoke(stalker, arguments)


# engine up


def test_up_prints_the_address_of_the_engine(monkeypatch):
    """The address is the result; what was done is reported on stderr."""
    asked = {}

    def engine_up(**more):
        asked.update(more)
        more["say"]("starting it")
        return Candidate(Address("unix:///some.sock"), "the default socket")

    monkeypatch.setattr("stalker.cli.commands.engine.engine_up", engine_up)

    done = call("engine", "up", "--yes")

    assert (done.stdout, done.stderr) == ("unix:///some.sock\n", "stalker: starting it\n")
    assert asked["yes"] is True
    assert asked["ask"] is None  # no terminal, so nobody is asked


def test_up_with_no_engine_to_be_had_is_exit_code_3(space):
    """The engine that the user named is not there, and no other stands in for it."""
    error = call("engine", "up").exception

    assert isinstance(error, NoEngine)
    assert error.exit_code == 3


def test_containers_of_another_system_are_refused(monkeypatch):
    """The refusal comes first: no engine is started for it."""
    monkeypatch.setattr(
        "stalker.cli.commands.engine.engine_up", lambda **_: pytest.fail("an engine was started")
    )

    error = call("engine", "up", "--platform", "windows/amd64").exception

    assert isinstance(error, PlanError)
    assert "only containers of linux" in error.brief


# doctor


def test_doctor_says_when_no_engine_answers(space):
    """Exit code 3, and the remedy stands below."""
    done = call("doctor")

    assert done.exit_code == 3
    lines = done.stdout.splitlines()
    assert lines[0].split()[:2] == ["wrong", "engine"]
    assert lines[1].strip() == "DOCKER_HOST: no such socket"
    assert lines[2].strip() == "start that engine, or unset it to use an engine on this host"


def test_doctor_as_json_has_a_finding_each(space):
    found = json.loads(call("doctor", "--json").stdout)

    assert found[0]["name"] == "engine"
    assert {"name", "state", "what", "remedy"} == set(found[0])


def test_a_tree_with_problems_is_a_finding_and_no_obstacle(space):
    """The others are looked at all the same."""
    (space / "trees/bad.hjson").write_text("{ stalks: 7 }")

    trees, findings = read_trees(Settings(str(space)))

    assert [tree.name for tree in trees] == ["good"]
    assert [(finding.name, finding.state, finding.remedy) for finding in findings] == [
        ("tree bad", "warning", "stalker check trees/bad.hjson")
    ]


CODES = {
    "all is well": ([OK], True, 0),
    "a warning is not wrong": ([OK, WARNING], True, 0),
    "something is wrong": ([OK, WRONG], True, 1),
    "no engine": ([WRONG, OK], False, 3),
}


@pytest.mark.parametrize(("findings", "has_engine", "expected"), CODES.values(), ids=CODES)
def test_the_exit_code_of_doctor_tells_how_bad_it_is(findings, has_engine, expected):
    assert exit_code(findings, has_engine=has_engine) == expected


def test_each_finding_has_its_line_and_the_remedy_below():
    assert as_text([WRONG, OK, WARNING], coloured=False).splitlines() == [
        "wrong    engine   no engine answers",
        "                  no such socket",
        "                  stalker engine up",
        "ok       storage  overlay2",
        "warning  disk     3.0 GB free",
        "                  docker system df",
    ]


def test_colours_are_for_terminals_only():
    assert "\x1b[31mwrong  \x1b[0m  engine" in as_text([WRONG], coloured=True)
    assert "\x1b" not in as_text([WRONG], coloured=False)
