"""`stalker engine up` and `stalker doctor` as they are typed."""

import json

import pytest
from click.testing import CliRunner

from stalker.cli.engine import as_text, exit_code, read_trees, refuse_foreign
from stalker.cli.main import stalker
from stalker.cli.settings import Settings
from stalker.engine import foreign, up
from stalker.engine.discovery import Candidate
from stalker.engine.doctor import Finding
from stalker.engine.foreign import Emulator
from stalker.engine.wire import Address
from stalker.errors import NoEngine, PlanError

OK = Finding("storage", "ok", "overlay2")
WARNING = Finding("disk", "warning", "3.0 GB free", "docker system df")
WRONG = Finding("engine", "wrong", "no engine answers\nno such socket", "./stalker engine up")

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
    """The address is the result; what was done is told on stderr."""
    asked = {}

    def engine_up(**more):
        asked.update(more)
        more["say"]("starting it")
        return Candidate(Address("unix:///some.sock"), "the default socket")

    monkeypatch.setattr(up, "engine_up", engine_up)

    done = call("engine", "up", "--yes")

    assert (done.stdout, done.stderr) == ("unix:///some.sock\n", "stalker: starting it\n")
    assert asked["yes"] is True
    assert asked["ask"] is None  # no terminal, so nobody is asked


def test_up_with_no_engine_to_be_had_is_exit_code_3(space):
    """The engine that the user named is not there, and no other stands in for it."""
    error = call("engine", "up").exception

    assert isinstance(error, NoEngine)
    assert error.exit_code == 3


NATIVE = {
    "linux/amd64": "x86_64",
    "amd64": "x86_64",
    "x86_64": "x86_64",
    "LINUX/AMD64": "x86_64",
    "linux/386": "x86_64",
    "linux/arm64": "aarch64",
    "arm64/v8": "aarch64",
    "linux/arm/v7": "armv7l",
}


@pytest.mark.parametrize(("platform", "machine"), NATIVE.items())
def test_the_platform_of_this_machine_needs_nothing(platform, machine):
    assert refuse_foreign(platform, machine) is None


@pytest.mark.parametrize("platform", ["linux/arm/v7", "arm/v7", "linux/riscv64"])
def test_a_foreign_platform_is_refused_with_the_command_that_registers_it(monkeypatch, platform):
    monkeypatch.setattr(foreign, "read_emulators", tuple)

    with pytest.raises(PlanError, match="registering foreign architectures is not part") as caught:
        refuse_foreign(platform, "x86_64")

    assert "qemu-user-static" in caught.value.resolution
    assert caught.value.exit_code == 2


def test_a_foreign_platform_that_is_registered_is_fine(monkeypatch):
    monkeypatch.setattr(foreign, "read_emulators", lambda: (Emulator("qemu-arm", "OCF", is_enabled=True),))

    assert refuse_foreign("linux/arm/v7", "x86_64") is None


def test_containers_of_another_system_are_refused():
    with pytest.raises(PlanError, match="only containers of linux"):
        refuse_foreign("windows/amd64", "x86_64")


def test_nothing_is_started_for_a_platform_that_is_refused(monkeypatch):
    """The refusal comes first."""
    monkeypatch.setattr(foreign, "read_emulators", tuple)
    monkeypatch.setattr(up, "engine_up", lambda **_: pytest.fail("an engine was started"))

    assert isinstance(call("engine", "up", "--platform", "linux/s390x").exception, PlanError)


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
        ("tree bad", "warning", "./stalker check trees/bad.hjson")
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
        "                  ./stalker engine up",
        "ok       storage  overlay2",
        "warning  disk     3.0 GB free",
        "                  docker system df",
    ]


def test_colours_are_for_terminals_only():
    assert "\x1b[31mwrong  \x1b[0m  engine" in as_text([WRONG], coloured=True)
    assert "\x1b" not in as_text([WRONG], coloured=False)
