import base64
import json
import os
import stat

import pytest

from stalker.engine.logins import DockerConfig, Login, read_docker_config

ANN = {"auth": base64.b64encode(b"ann:open:sesame").decode()}


@pytest.fixture
def home(tmp_path, monkeypatch):
    """Write a configuration and read it as docker's, with programs that keep logins."""
    path_before = os.environ["PATH"]

    def home(found, helpers=(), daemon=None, text=None):
        folder = tmp_path / ".docker"
        folder.mkdir(exist_ok=True)
        (folder / "config.json").write_text(text if text is not None else json.dumps(found))
        (tmp_path / "daemon.json").write_text(json.dumps(daemon or {}))
        programs = tmp_path / "bin"
        programs.mkdir(exist_ok=True)
        for name, script in dict(helpers).items():
            path = programs / f"docker-credential-{name}"
            path.write_text(f"#!/bin/sh\nread key\n{script}\n")
            path.chmod(path.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("PATH", f"{programs}:{path_before}")
        monkeypatch.setenv("OUT", str(tmp_path / "out"))
        return read_docker_config({}, str(tmp_path), daemon_config=tmp_path / "daemon.json")

    return home


def giving(user, secret):
    return f"""[ "$1" = get ] && echo "$key" >> $OUT && echo '{{"Username":"{user}","Secret":"{secret}"}}'"""


@pytest.mark.parametrize("key", ["host:5000", "https://host:5000", "http://host:5000/v2/"])
def test_a_login_in_the_file_is_found(home, key):
    """By its host, however docker wrote it down; the first colon ends the name."""
    found, problem = home({"auths": {key: ANN}}).login_of("host:5000")

    assert (found, problem) == (Login("ann", "open:sesame"), "")
    assert home({"auths": {key: ANN}}).login_of("host") == (None, "")


@pytest.mark.parametrize("key", ["https://index.docker.io/v1/", "docker.io", "index.docker.io"])
def test_the_hub_is_known_by_its_old_address(home, key):
    assert home({"auths": {key: ANN}}).login_of("docker.io")[0] == Login("ann", "open:sesame")


def test_an_identity_token_stands_for_a_password(home):
    found, _ = home({"auths": {"host": {"identitytoken": "who"}}}).login_of("host")

    assert found == Login(identity_token="who")


def test_the_program_for_a_registry_comes_before_that_for_all_and_the_file(home, tmp_path):
    helpers = {"one": giving("one", "1"), "all": giving("all", "2"), "tok": giving("<token>", "3")}
    config = home(
        {"credHelpers": {"a": "one", "t": "tok"}, "credsStore": "all", "auths": {"a": ANN, "b": ANN}}, helpers
    )

    assert config.login_of("a")[0] == Login("one", "1")
    assert config.login_of("b")[0] == Login("all", "2")
    assert config.login_of("t")[0] == Login(identity_token="3")
    assert config.login_of("docker.io")[0] == Login("all", "2")
    assert (tmp_path / "out").read_text().split() == ["a", "b", "t", "https://index.docker.io/v1/"]


@pytest.mark.parametrize(
    ("script", "problem"),
    [
        ("echo credentials not found in native keychain; exit 1", ""),
        ("echo the password is sesame; exit 3", "gave no login (exit code 3)"),
        ("echo sesame", "printed something else than a login"),
        (None, "is not installed"),
    ],
)
def test_a_program_that_gives_nothing_leaves_the_file(home, script, problem):
    """What it says is not passed on: it may hold what must not be shown."""
    helpers = {"own": script} if script else {}

    found, told = home({"credsStore": "own"}, helpers).login_of("host")
    assert found is None
    assert problem in told
    assert "sesame" not in told
    assert home({"credsStore": "own", "auths": {"host": ANN}}, helpers).login_of("host")[0] is not None


def test_a_program_is_none_by_a_path(home):
    assert "not a valid name of a program" in home({"credsStore": "../../bin/sh"}).login_of("host")[1]


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"auths": []}', '{"auths": {"host": "x"}}', '{"auths": {"host": {}}}']
)
def test_a_file_that_cannot_be_read_knows_nobody(home, text):
    assert home({}, text=text).login_of("host")[0] is None


def test_a_folder_of_the_environment_comes_first(home, tmp_path):
    home({"auths": {"host": ANN}})

    found = read_docker_config({"DOCKER_CONFIG": str(tmp_path / ".docker")}, "/nowhere")
    assert found.login_of("host")[0] is not None
    assert read_docker_config({}, "/nowhere").login_of("host") == (None, "")


@pytest.mark.parametrize(
    ("registry", "is_insecure"),
    [
        ("localhost", True), ("localhost:5000", True), ("127.0.0.1:5000", True), ("127.9.9.9", True),
        ("[::1]:5000", True), ("host:5000", True), ("host:5001", False), ("10.1.2.3:80", True),
        ("10.2.2.3", False), ("docker.io", False), ("localhost.example", False),
    ],
)  # fmt: skip
def test_only_this_host_and_what_docker_is_told_of_is_insecure(home, registry, is_insecure):
    config = home({}, daemon={"insecure-registries": ["host:5000", "10.1.0.0/16"]})

    assert config.is_insecure(registry) is is_insecure


def test_what_is_secret_is_not_shown_by_chance(home):
    config = home({"auths": {"host": ANN, "other": {"identitytoken": "who-I-am"}}})
    shown = repr(config) + repr(config.login_of("host")) + repr(config.login_of("other"))

    assert "sesame" not in shown
    assert ANN["auth"] not in shown
    assert "who-I-am" not in shown
    assert DockerConfig().login_of("host") == (None, "")


def test_a_damaged_entry_hides_no_other(home):
    """One login that cannot be read is not a reason to be refused everywhere."""
    auths = {"bad": {"auth": "%%%"}, "worse": "x", "none": {"auth": "YW5u"}, "host": ANN}

    assert home({"auths": auths}).login_of("host")[0] == Login("ann", "open:sesame")
    assert home({"auths": auths}).login_of("bad")[0] is None


def test_the_bytes_that_docker_pads_a_password_with_are_no_part_of_it(home):
    """As docker reads it."""
    padded = base64.b64encode(b"ann:sesame\0\0").decode()

    assert home({"auths": {"host": {"auth": padded}}}).login_of("host")[0] == Login("ann", "sesame")
