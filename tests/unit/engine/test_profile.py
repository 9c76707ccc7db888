"""The kinds of engines: read from a ping, refused where they cannot work, and what each needs."""

from __future__ import annotations

import pytest

from stalker.engine.docker.http import image_id
from stalker.engine.profile import changes_of, is_containerd, layers_max, profile_of

DOCKER = {"server": "Docker/28.5.2+dfsg4 (linux)", "api-version": "1.51"}
PODMAN = {"server": "Libpod/5.4.2 (linux)", "libpod-api-version": "5.4.2", "api-version": "1.41"}


@pytest.mark.parametrize(
    ("answer", "title"),
    [
        (DOCKER, "Docker 28.5.2"),
        ({"server": "Docker/20.10.24 (linux)", "api-version": "1.41"}, "Docker 20.10.24"),
        (PODMAN, "Podman 5.4.2"),
        ({"api-version": "1.45"}, "Docker"),
        ({}, "Docker"),
    ],
)
def test_an_engine_is_known_by_its_answer_to_a_ping(answer, title):
    profile = profile_of(answer)

    assert profile.title == title
    assert profile.refusal == ("", "")


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ({**PODMAN, "libpod-api-version": "4.3.1"}, "Podman 4.3.1 loses the labels"),
        ({**DOCKER, "api-version": "1.40"}, "speaks API 1.40"),
    ],
)
def test_an_engine_that_cannot_work_is_refused_with_one_that_can(answer, why):
    said, remedy = profile_of(answer).refusal

    assert why in said
    assert "Docker 20.10" in remedy


def test_podmans_names_and_ids_are_written_as_docker_writes_them():
    podman, docker = profile_of(PODMAN), profile_of(DOCKER)

    for name in ("docker.io/library/debian:12", "docker.io/debian:12", "localhost/debian:12", "debian:12"):
        assert podman.image_name(name) == "debian:12"
    assert podman.image_name("quay.io/x/y:1") == "quay.io/x/y:1"
    assert docker.image_name("localhost/x:1") == "localhost/x:1"
    assert image_id("a" * 64) == "sha256:" + "a" * 64
    assert image_id("") == ""
    assert podman.engine_id({"ID": "1", "Name": "n", "DockerRootDir": "/r"}) == podman.engine_id(
        {"ID": "2", "Name": "n", "DockerRootDir": "/r"}
    )


def test_a_configuration_is_written_as_lines_of_a_dockerfile():
    lines = changes_of(
        {
            "Entrypoint": None,
            "Cmd": ["/bin/sh", 'a "b"'],
            "Env": ['A=x "y" $z \\', "B="],
            "Labels": {"l": '{"k": "v"}'},
            "User": "",
            "WorkingDir": "",
            "ExposedPorts": {"80/tcp": {}},
            "Volumes": {"/data": {}},
            "StopSignal": "SIGINT",
            "Shell": ["/bin/sh", "-c"],
            "Healthcheck": {"Test": ["CMD", "true"], "Interval": 5_000_000_000, "Retries": 2},
        }
    )

    assert lines == [
        "ENTRYPOINT []",
        'CMD ["/bin/sh", "a \\"b\\""]',
        'ENV A="x \\"y\\" \\$z \\\\"',
        'ENV B=""',
        'LABEL "l"="{\\"k\\": \\"v\\"}"',
        "WORKDIR /",
        "EXPOSE 80/tcp",
        'VOLUME ["/data"]',
        "STOPSIGNAL SIGINT",
        'SHELL ["/bin/sh", "-c"]',
        'HEALTHCHECK --interval=5000000us --retries=2 CMD ["true"]',
    ]


def test_the_store_is_told_by_its_driver():
    """Its limit of layers is its own."""
    containerd = {"Driver": "overlayfs", "DriverStatus": [["driver-type", "io.containerd.snapshotter.v1"]]}
    classic = {"Driver": "overlay2", "DriverStatus": [["Backing Filesystem", "extfs"]]}

    assert is_containerd(containerd)
    assert not is_containerd(classic)
    assert layers_max(containerd) > layers_max(classic) == 125
