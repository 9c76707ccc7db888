"""Which engine is talked to, and what is said when none answers."""

from __future__ import annotations

import grp  # noqa: F401  loaded before a test gives up the right to read the libraries
import hashlib
import json
import os
import pwd  # noqa: F401
import socket

import pytest

from stalker.engine.discovery import Candidate, answering, find_address, ping
from stalker.engine.docker.http import Address
from stalker.errors import NoEngine
from unit.helpers.engine_socket import OK, answering_socket


def listening(path, answer):
    """A server that gives each caller the same answer; None: it never answers."""
    return answering_socket(path, lambda _request: answer)


def at(url, source="here", *, asked=False):
    return Candidate(Address(url), source, asked)


def put_context(config, name, endpoint, *, tls=()):
    digest = hashlib.sha256(name.encode()).hexdigest()
    meta = config / "contexts/meta" / digest
    meta.mkdir(parents=True)
    (meta / "meta.json").write_text(json.dumps({"Name": name, "Endpoints": {"docker": endpoint}}))
    material = config / "contexts/tls" / digest / "docker"
    for file in tls:
        material.mkdir(parents=True, exist_ok=True)
        (material / file).write_text("x")
    return material


def test_without_a_word_of_the_user_the_usual_places_are_tried_in_order(tmp_path):
    """The default socket first, then rootless Docker, then Podman."""
    found = find_address({"XDG_RUNTIME_DIR": "/run/user/7"}, str(tmp_path))

    assert [candidate.socket for candidate in found] == [
        "/var/run/docker.sock",
        "/run/user/7/docker.sock",
        f"{tmp_path}/.docker/run/docker.sock",
        "/run/user/7/podman/podman.sock",
        "/run/podman/podman.sock",
    ]
    assert not any(candidate.is_asked_for for candidate in found)


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("unix:///a/b.sock", "unix:///a/b.sock"),
        ("/a/b.sock", "unix:///a/b.sock"),
        ("tcp://box:2375", "tcp://box:2375"),
        ("box:2375", "tcp://box:2375"),
        (" tcp://box:2375 ", "tcp://box:2375"),
    ],
)
def test_docker_host_is_the_only_candidate(host, url, tmp_path):
    """DOCKER_HOST wins over DOCKER_CONTEXT and everything else."""
    found = find_address({"DOCKER_HOST": host, "DOCKER_CONTEXT": "other"}, str(tmp_path))

    assert found == [Candidate(Address(url), "DOCKER_HOST", is_asked_for=True)]


def test_docker_host_with_tls_takes_the_users_certificates(tmp_path):
    """DOCKER_TLS_VERIFY adds the files of DOCKER_CERT_PATH and the port that TLS uses."""
    for name in ("ca", "cert", "key"):
        (tmp_path / f"{name}.pem").write_text("x")
    environ = {"DOCKER_HOST": "tcp://box", "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": str(tmp_path)}

    (found,) = find_address(environ, "/nowhere")

    files = [str(tmp_path / f"{name}.pem") for name in ("ca", "cert", "key")]
    assert found.address == Address("https://box:2376", *files, verify=True)


@pytest.mark.parametrize("how", ["environment", "config"])
def test_a_context_of_the_docker_cli_is_found_with_its_tls_files(how, tmp_path):
    """What `docker context use` or DOCKER_CONTEXT chose is what stalker talks to."""
    config = tmp_path / ".docker"
    material = put_context(config, "far", {"Host": "tcp://far:2376"}, tls=["ca.pem"])
    environ = {"DOCKER_CONTEXT": "far"} if how == "environment" else {}
    (config / "config.json").write_text(json.dumps({"currentContext": "far" if how == "config" else "gone"}))

    (found,) = find_address(environ, str(tmp_path))

    assert found.address == Address("https://far:2376", f"{material}/ca.pem", verify=True)
    assert found.is_asked_for
    assert "'far'" in found.source


def test_a_context_may_name_a_socket(tmp_path):
    """A context without TLS is its address as it is."""
    put_context(tmp_path / "elsewhere", "near", {"Host": "unix:///near.sock", "SkipTLSVerify": False})
    environ = {"DOCKER_CONTEXT": "near", "DOCKER_CONFIG": str(tmp_path / "elsewhere")}

    (found,) = find_address(environ, "/nowhere")

    assert found.address == Address("unix:///near.sock")


@pytest.mark.parametrize(
    "content", ["{", "[]", '{"currentContext": "default"}', '{"currentContext": ""}', "{}"]
)
def test_a_broken_or_default_docker_configuration_leaves_the_usual_places(content, tmp_path):
    """The docker CLI goes on with its default there, and so does stalker."""
    (tmp_path / ".docker").mkdir()
    (tmp_path / ".docker/config.json").write_text(content)

    found = find_address({}, str(tmp_path))

    assert found[0].socket == "/var/run/docker.sock"


def test_a_configuration_that_may_not_be_read_leaves_the_usual_places(tmp_path):
    """A home of somebody else, as `su` leaves it, is not a reason to fail."""
    (tmp_path / ".docker/config.json").mkdir(parents=True)

    found = find_address({}, str(tmp_path))

    assert found[0].socket == "/var/run/docker.sock"


def test_a_context_that_is_not_there_is_named(tmp_path):
    """Nothing else is tried in its place."""
    found = find_address({"DOCKER_CONTEXT": "lost"}, str(tmp_path))

    with pytest.raises(NoEngine) as caught:
        answering(found)
    assert "'lost'" in caught.value.details
    assert "no such context" in caught.value.details


def test_a_damaged_context_is_named(tmp_path):
    """A context without an address says which file is bad."""
    put_context(tmp_path / ".docker", "odd", {})

    with pytest.raises(NoEngine) as caught:
        answering(find_address({"DOCKER_CONTEXT": "odd"}, str(tmp_path)))
    assert "meta.json cannot be read" in caught.value.details


def test_the_first_that_answers_is_taken(tmp_path):
    """A dead socket before it is passed over, a live one after it is not asked."""
    socket.socket(socket.AF_UNIX).bind(str(tmp_path / "dead"))
    with listening(tmp_path / "live", OK) as live, listening(tmp_path / "later", OK) as later:
        found = answering([at(f"unix://{tmp_path}/none"), at(f"unix://{tmp_path}/dead"), at(live), at(later)])

    assert found.address.url == live


def test_a_ping_tells_the_api_version(tmp_path):
    """The engine says which API it speaks."""
    with listening(tmp_path / "s", OK) as url:
        assert ping(at(url)).api_version == "1.41"


def test_an_engine_that_cannot_be_used_is_passed_over_and_named(tmp_path):
    """Podman 4.3 is found by itself; another engine behind it serves."""
    old = OK.replace(b"\r\nContent", b"\r\nLibpod-Api-Version: 4.3.1\r\nContent")
    with listening(tmp_path / "old", old) as podman, listening(tmp_path / "live", OK) as live:
        assert answering([at(podman), at(live)]).address.url == live
        with pytest.raises(NoEngine) as caught:
            answering([at(podman, asked=True)])

    assert "cannot be used" in caught.value.brief
    assert "loses the labels" in caught.value.details
    assert "Podman 5.4" in caught.value.resolution


def test_when_none_answers_each_is_listed_with_its_reason(tmp_path):
    """A missing socket, one left by a dead engine, and one that is not an engine are told apart."""
    socket.socket(socket.AF_UNIX).bind(str(tmp_path / "dead"))
    with listening(tmp_path / "odd", b"SSH-2.0-OpenSSH\r\n\r\n") as odd, pytest.raises(NoEngine) as caught:
        answering(
            [
                at(f"unix://{tmp_path}/none", "first"),
                at(f"unix://{tmp_path}/dead", "second"),
                at(odd, "third"),
            ]
        )

    lines = caught.value.details.splitlines()
    assert [line.partition(",")[0] for line in lines] == ["first", "second", "third"]
    assert "no such socket" in lines[0]
    assert "left by an engine that is gone" in lines[1]
    assert "not a Docker engine" in lines[2]
    assert caught.value.resolution == "stalker engine up"
    assert caught.value.exit_code == 3


@pytest.mark.parametrize(
    "answer", [None, b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\xff\x00", b"HTTP/1.1 500 X\r\n\r\n"]
)
def test_what_is_no_engine_is_refused(answer, tmp_path):
    """Silence, a closed connection, another protocol and an error are no answer."""
    with listening(tmp_path / "s", answer) as url, pytest.raises(NoEngine) as caught:
        ping(at(url), timeout_s=0.2)
    assert str(tmp_path / "s") in caught.value.brief
    assert caught.value.details


def test_a_socket_that_the_user_may_not_use_says_how_to_be_allowed(tmp_path):
    """The docker group is named, and the command that joins it."""
    candidate = at(f"unix://{tmp_path}/s")
    with listening(tmp_path / "s", OK):
        (tmp_path / "s").chmod(0)
        result = _as_nobody(tmp_path, candidate)

    assert "permission denied" in result
    assert "sudo usermod -aG" in result


def test_the_engine_that_the_user_named_is_never_replaced(tmp_path):
    """DOCKER_HOST that does not answer is an error that names it, whatever else runs."""
    found = find_address({"DOCKER_HOST": f"unix://{tmp_path}/gone"}, str(tmp_path))

    with pytest.raises(NoEngine) as caught:
        answering(found)
    assert caught.value.brief == f"no engine answers at unix://{tmp_path}/gone"
    assert caught.value.details == "DOCKER_HOST: no such socket"
    assert "unset it" in caught.value.resolution


@pytest.mark.parametrize(("host", "reason"), [("tcp://127.0.0.1:1", "refused"), ("ssh://box", "ssh")])
def test_an_address_that_cannot_be_reached_says_why(host, reason, tmp_path):
    """A closed port, and a kind of address that is not spoken."""
    with pytest.raises(NoEngine) as caught:
        answering(find_address({"DOCKER_HOST": host}, str(tmp_path)))
    assert reason in caught.value.details
    assert caught.value.resolution


def _as_nobody(folder, candidate):
    """Ping as a user without rights, in a child process; return what it said."""
    if os.getuid() != 0:
        with pytest.raises(NoEngine) as caught:
            ping(candidate)
        return f"{caught.value.details} {caught.value.resolution}"
    for parent in (folder, folder.parent, folder.parent.parent):
        parent.chmod(0o755)
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setuid(65534)
            ping(candidate)
        except NoEngine as error:
            os.write(write, f"{error.details} {error.resolution}".encode())
        finally:
            os._exit(0)
    os.close(write)
    os.waitpid(child, 0)
    with os.fdopen(read) as pipe:
        return pipe.read()
