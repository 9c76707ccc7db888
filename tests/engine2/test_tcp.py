"""An engine reached by TCP, plain and by TLS: what scripts write comes through whole."""

import contextlib
import signal
import socket
import subprocess

import pytest

from engines import busybox_image
from stalker.engine.discovery import answering, find_address
from stalker.engine.docker.adapter import DockerEngine
from stalker.engine.interface import ContainerSpec
from stalker.model.diagnostics import Place
from stalker.model.tree import Option

NO_NETWORK = Option("network", '"none"', counts=False, place=Place("here"))
LINES = 20_000
TALK = f"i=0; while [ $i -lt {LINES} ]; do echo line $i; i=$((i+1)); done; echo broken >&2; echo text > /text"


def grow(space):
    (space.path / "data").mkdir(parents=True)
    space.tree({"a": {}})
    text = "#!/bin/sh\n" + TALK + "\n"
    space.stalk(
        "a",
        {
            "conf": {"copy": "/etc/conf", "text": "x" * 300_000},
            "talk": {"exec": True, "text": text},
            "check": "cat /text; wc -c < /etc/conf",
        },
    )


@contextlib.contextmanager
def serving(second, *options):
    """Let the engine serve a port of the loopback too; gives the port."""
    with socket.create_server(("127.0.0.1", 0)) as listen:
        second.end(signal.SIGTERM)
        second.start(*options, listen=listen)
        try:
            yield listen.getsockname()[1]
        finally:
            second.end(signal.SIGTERM)


def assert_all_came(done):
    assert done.code == 0, done.err
    said = {(event["step"], event["stream"]): "" for event in done.of("step_output")}
    for event in done.of("step_output"):
        said[event["step"], event["stream"]] += event["data"]
    assert said["a:talk", "stdout"].splitlines() == [f"line {number}" for number in range(LINES)]
    assert said["a:talk", "stderr"] == "broken\n"
    assert said["a:check", "stdout"].split() == ["text", "300000"]


def test_a_run_over_tcp(space, second):
    """DOCKER_HOST=tcp://HOST:PORT works as the socket does."""
    grow(space)
    with serving(second) as port:
        done = space.run(DOCKER_HOST=f"tcp://127.0.0.1:{port}")
        again = space.run(DOCKER_HOST=f"tcp://127.0.0.1:{port}")

    assert_all_came(done)
    assert again.of("run_finished")[0]["reused"] == 2


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """A folder as DOCKER_CERT_PATH names it, and the server's own files."""
    folder = tmp_path_factory.mktemp("tls")

    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    authority = "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=ca -keyout ca-key.pem -out ca.pem"
    openssl(*authority.split())
    for name, extension in (
        ("server", "subjectAltName=IP:127.0.0.1"),
        ("client", "extendedKeyUsage=clientAuth"),
    ):
        (folder / "ext").write_text(extension)
        request = f"req -newkey rsa:2048 -nodes -subj /CN={name} -keyout {name}-key.pem -out {name}.csr"
        sign = f"x509 -req -in {name}.csr -CA ca.pem -CAkey ca-key.pem -CAcreateserial -days 2 -extfile ext"
        openssl(*request.split())
        openssl(*sign.split(), "-out", f"{name}.pem")
    (folder / "client.pem").rename(folder / "cert.pem")
    (folder / "client-key.pem").rename(folder / "key.pem")
    return folder


def test_a_run_over_tls(space, second, certificates):
    """DOCKER_TLS_VERIFY and DOCKER_CERT_PATH as the docker CLI has them; without them the run is refused."""
    grow(space)
    files = [f"--tlscacert={certificates}/ca.pem", f"--tlscert={certificates}/server.pem"]
    with serving(second, "--tlsverify", *files, f"--tlskey={certificates}/server-key.pem") as port:
        host = f"tcp://127.0.0.1:{port}"
        done = space.run(DOCKER_HOST=host, DOCKER_TLS_VERIFY="1", DOCKER_CERT_PATH=str(certificates))
        plain = space.run(DOCKER_HOST=host)
        unknown = space.run(DOCKER_HOST=host, DOCKER_TLS_VERIFY="1", DOCKER_CERT_PATH=str(space.path))

    assert_all_came(done)
    assert plain.code == 3
    assert "DOCKER_TLS_VERIFY" in plain.err
    assert unknown.code == 3
    assert "Traceback" not in plain.err + unknown.err


@pytest.mark.parametrize("how", ["plain", "tls"])
def test_a_program_is_fed_over_tcp(second, certificates, how, monkeypatch):
    """Much goes in while much comes out, and the end of the input arrives."""
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    piece = bytes(range(256)) * 256
    files = [f"--tlscacert={certificates}/ca.pem", f"--tlscert={certificates}/server.pem"]
    options = ["--tlsverify", *files, f"--tlskey={certificates}/server-key.pem"] if how == "tls" else []
    tls = {"DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": str(certificates)} if options else {}
    heard = []
    with serving(second, *options) as port:
        found = find_address({"DOCKER_HOST": f"tcp://127.0.0.1:{port}", **tls}, "/nowhere")
        engine = DockerEngine(answering(found).address)
        with contextlib.closing(engine), busybox_image(engine) as image:
            container = engine.create(ContainerSpec(image, "fed", {}, options=(NO_NETWORK,)))
            engine.start(container)
            try:
                code = engine.exec(
                    container,
                    ["sh", "-c", "cat; echo over"],
                    {},
                    lambda data, _: heard.append(data),
                    stdin=(piece for _ in range(200)),
                )
            finally:
                engine.remove_container(container)

    assert code == 0
    assert b"".join(heard) == piece * 200 + b"over\n"
