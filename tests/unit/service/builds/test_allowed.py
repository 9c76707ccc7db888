"""What a pushed tree asks of the machine is refused with its line, unless its project allows it."""

from __future__ import annotations

import json

import pytest

from stalker.config.tree.load import read_tree
from stalker.errors import FilesError
from stalker.model.service import Allowed
from stalker.service.builds.allowed import HARMLESS, refuse_beyond


@pytest.fixture
def refused(tmp_path):
    """Return what is refused of a tree, as a list of texts with their places."""
    root = tmp_path / "checkout"

    def refused(options=None, plugins=None, allowed=None, files=(), **tree):
        for directory in ("trees", "stalks/x"):
            (root / directory).mkdir(parents=True, exist_ok=True)
        for name, content in files:
            target = root / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(content)
        node = tree.pop("node", {"base": "debian"})
        document = {"architecture": {"OS": "o", "ARCH": "a", "SUBARCH": "s"}, **tree, "stalks": {"x": node}}
        (root / "trees/t.hjson").write_text(json.dumps(document))
        stalk = {
            "DOCKER_OPTS": options or {},
            "plugins": {**(plugins or {}), "go": {"exec": True, "text": "#!/bin/sh\n"}},
        }
        (root / "stalks/x/x.hjson").write_text(json.dumps(stalk))
        read = read_tree("t", str(root))
        try:
            refuse_beyond(read, allowed or Allowed(), [str(root)])
        except FilesError as error:
            return [str(problem) for problem in error.problems]
        return []

    return refused


def test_a_tree_of_its_own_files_is_allowed(refused):
    assert refused({"mem_limit": "1g", "network": "none", "tmpfs": {"/tmp": "size=1m"}}) == []


@pytest.mark.parametrize(
    "option",
    [
        {"privileged": True},
        {"cap_add": ["SYS_ADMIN"]},
        {"devices": ["/dev/kvm"]},
        {"security_opt": ["seccomp=unconfined"]},
        {"pid_mode": "host"},
        {"ipc_mode": "host"},
        {"userns_mode": "host"},
        {"cgroup_parent": "/"},
        {"runtime": "other"},
        {"log_config": {"type": "syslog"}},
    ],
)
def test_rights_over_the_machine_need_privileged(refused, option):
    """Whatever is not known to be harmless is refused."""
    (problem,) = refused(option)

    assert "gives rights over the machine" in problem
    assert problem.startswith("stalks/x/x.hjson:1:")
    assert refused(option, allowed=Allowed(is_privileged=True)) == []


def test_false_gives_no_rights(refused):
    assert refused({"privileged": False}) == []


@pytest.mark.parametrize("network", ["host", "container:x", "other"])
def test_networks_are_those_of_the_project(refused, network):
    (problem,) = refused({"network": network})

    assert f"the network '{network}' is not allowed" in problem
    assert refused({"network": network}, allowed=Allowed(networks=(network,))) == []


def test_the_usual_network_may_be_refused_too(refused):
    """A tree without `network` is on the bridge."""
    (problem,) = refused(allowed=Allowed(networks=("none",)))

    assert "'bridge'" in problem


def test_directories_of_the_machine_are_refused(refused):
    plugins = {"m": {"path": "/etc", "bind": "/host"}}

    assert any("/etc is outside of the repository" in one for one in refused(plugins=plugins))
    assert refused(plugins=plugins, allowed=Allowed(host_paths=("/etc",))) == []


def test_a_longer_name_is_another_directory(refused, tmp_path):
    """`/x/allowed` does not allow `/x/allowed2`."""
    for name in ("allowed", "allowed2"):
        (tmp_path / name).mkdir()
    plugins = {"m": {"path": str(tmp_path / "allowed2"), "bind": "/host"}}

    assert refused(plugins=plugins, allowed=Allowed(host_paths=(str(tmp_path / "allowed"),)))


def test_files_of_the_machine_are_not_read(refused):
    """Their content would be in an image or a log."""
    found = refused(plugins={"f": {"path": "/etc/hostname", "bind": "/x"}})

    assert any("/etc/hostname is outside of the repository" in one for one in found)


def test_secrets_are_those_of_the_project(refused):
    (problem,) = refused(secrets={"KEY": {"env": "OTHER"}})

    assert "the secret OTHER is not given to this project" in problem
    assert refused(secrets={"KEY": {"env": "OTHER"}}, allowed=Allowed(secrets=("OTHER",))) == []
    assert any("/etc/shadow" in one for one in refused(secrets={"KEY": {"file": "/etc/shadow"}}))


def test_logs_and_artifacts_stay_inside(refused, tmp_path):
    found = refused(paths={"LOG_DIR": str(tmp_path / "elsewhere")})

    assert any("LOG_DIR" in one and "outside" in one for one in found)


def test_a_base_of_the_machine_is_refused(refused, tmp_path):
    (tmp_path / "x.tar").write_bytes(b"x")
    base = {"tarball": str(tmp_path / "x.tar"), "sha256": "a" * 64}

    assert any("x.tar is outside" in one for one in refused(node={"base": base}))


def test_harmless_options_are_options():
    """A typing error in the list would allow nothing, and nobody would see it."""
    from stalker.config.docker_options.table import TABLE

    assert {row.name for row in TABLE} >= HARMLESS


def test_inputs_that_are_fetched_from_this_machine_are_refused(refused):
    """By `file:` a tree would read what lies outside of its checkout; servers it may ask."""
    plugins = {
        "file": {"bind": "/a", "url": "file:///etc/passwd", "sha256": "0" * 64},
        "mirror": {"bind": "/b", "url": "https://h/x", "mirrors": ["file:///etc/group"], "sha256": "0" * 64},
        "git": {"bind": "/c", "git": "file:///srv/private.git"},
        "fine": {"bind": "/d", "git": "https://h/x.git"},
        "fine_too": {"bind": "/e", "url": "https://h/x", "sha256": "0" * 64},
    }

    found = refused(plugins=plugins)

    assert len(found) == 3
    for path in ("/etc/passwd", "/etc/group", "/srv/private.git"):
        assert any(f"{path} is outside of the repository" in one for one in found)


@pytest.mark.parametrize(
    "base",
    [
        {"tarball": "file:///srv/x.tar", "sha256": "a" * 64},
        {
            "tarball": "https://h/x.tar",
            "signature": "file:///srv/x.sig",
            "keys": ["keys/a.asc"],
            "fingerprints": ["A" * 40],
        },
        {"disk": {"image": "file:///srv/x.img", "checksum": "sha256:" + "a" * 64}},
        {"bootstrap": {"suite": "bookworm", "mirror": "file://localhost/srv/debian"}},
        {"bootstrap": {"suite": "bookworm", "mirror": "copy://localhost/srv/debian"}},
    ],
)
def test_a_base_that_is_fetched_from_this_machine_is_refused(refused, base):
    found = refused(node={"base": base}, files=[("keys/a.asc", "")])

    assert any("/srv/" in one and "is outside of the repository" in one for one in found), found


@pytest.mark.parametrize("address", ["ssh://git@h/private.git", "git@h:private.git"])
def test_what_is_fetched_with_the_keys_of_the_service_is_refused(refused, address):
    """Its user may have keys that whoever pushed has not."""
    base = {"dockerfile": address, "commit": "a" * 40}
    plugin = {"git": {"bind": "/c", "git": "ssh://git@h/private.git"}}

    assert any("ssh" in one for one in refused(plugins=plugin))
    assert any("ssh" in one for one in refused(node={"base": base}))
    assert refused(node={"base": base}, plugins=plugin, allowed=Allowed(is_privileged=True)) == []
