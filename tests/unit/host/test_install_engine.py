"""An engine is installed by the package manager that is there, after a yes."""

from __future__ import annotations

import pytest

from stalker.errors import NoEngine
from stalker.host.install_engine import Host, install


def host(folder, *, is_root=True):
    """A host whose only programs are those of a folder."""
    return Host(
        is_root=is_root, has_systemd=False, user="ann", environ={"PATH": str(folder), "LOG": f"{folder}/log"}
    )


def program(folder, name, body="exit 0"):
    """Put a program there that notes its arguments and then does `body`."""
    file = folder / name
    file.write_text(
        f'#!/bin/sh\necho "$0" "$@" | sed "s,.*/,," >>"$LOG"\n{body}\n'.replace("sed", "/bin/sed")
    )
    file.chmod(0o755)


def calls(folder):
    log = folder / "log"
    return log.read_text().splitlines() if log.exists() else []


def refused(question):
    raise AssertionError(question)


@pytest.mark.parametrize(
    ("manager", "package"),
    [
        ("apt-get", "docker.io"),
        ("dnf", "moby-engine"),
        ("zypper", "docker"),
        ("pacman", "docker"),
        ("apk", "docker"),
    ],
)
def test_each_package_manager_installs_its_engine(manager, package, tmp_path):
    """With --yes nothing is asked."""
    program(tmp_path, manager)
    said = []

    install(host(tmp_path), yes=True, ask=refused, say=said.append)

    (call,) = calls(tmp_path)
    assert call.startswith(manager)
    assert package in call.split()
    assert said


def test_missing_package_lists_are_fetched(tmp_path):
    """On a fresh Debian the first try fails; the lists are fetched and it is tried again."""
    program(tmp_path, "apt-get", '[ "$1" = update ] && : >"${0%/*}/lists"; [ -e "${0%/*}/lists" ]')

    install(host(tmp_path), yes=True, ask=None, say=lambda _: None)

    assert [call.split()[1] for call in calls(tmp_path)] == ["install", "update", "install"]


def test_the_docker_command_is_installed_where_it_is_a_package_of_its_own(tmp_path):
    """Debian 13 has it apart from the engine, Debian 12 has no such package; the refreshed lists decide."""
    lists = '"${0%/*}/lists"'
    program(tmp_path, "apt-get", f'[ "$1" = update ] && : >{lists}; [ -e {lists} ]')
    program(tmp_path, "apt-cache", f'[ "$*" = "show docker-cli" ] && [ -e {lists} ]')
    said = []

    install(host(tmp_path), yes=True, ask=None, say=said.append)

    first, _, last = [call for call in calls(tmp_path) if call.startswith("apt-get")]
    assert "docker-cli" not in first.split()
    assert "docker-cli" in last.split()
    assert "docker.io" in last.split()


def test_the_command_that_is_shown_has_all_packages(tmp_path):
    """It is what the user is asked about, or is to run."""
    program(tmp_path, "apt-get")
    program(tmp_path, "apt-cache")

    with pytest.raises(NoEngine) as caught:
        install(host(tmp_path, is_root=False), yes=True, ask=None, say=lambda _: None)
    assert " docker-cli" in caught.value.resolution


def test_a_failed_installation_is_quoted(tmp_path):
    """What the package manager said is in the message."""
    program(tmp_path, "dnf", "echo no such mirror >&2; exit 1")

    with pytest.raises(NoEngine) as caught:
        install(host(tmp_path), yes=True, ask=None, say=lambda _: None)
    assert "no such mirror" in caught.value.details


def test_a_user_at_a_terminal_is_asked(tmp_path):
    """The question names the command; after a yes it is run."""
    program(tmp_path, "apk")
    asked = []

    install(
        host(tmp_path), yes=False, ask=lambda question: asked.append(question) or True, say=lambda _: None
    )

    assert len(asked) == 1
    assert "apk add" in asked[0]
    assert len(calls(tmp_path)) == 1


def test_nothing_is_installed_after_a_no(tmp_path):
    """A no is an answer; the message says how to come back to it."""
    program(tmp_path, "apk")

    with pytest.raises(NoEngine) as caught:
        install(host(tmp_path), yes=False, ask=lambda _: False, say=lambda _: None)
    assert "--yes" in caught.value.resolution
    assert calls(tmp_path) == []


def test_without_a_terminal_nothing_is_installed_unasked(tmp_path):
    """CI gets exit code 3 and the command that does it."""
    program(tmp_path, "apt-get")

    with pytest.raises(NoEngine) as caught:
        install(host(tmp_path), yes=False, ask=None, say=lambda _: None)
    assert caught.value.exit_code == 3
    assert "stalker engine up --yes" in caught.value.resolution
    assert calls(tmp_path) == []


def test_who_is_not_root_is_told_the_command(tmp_path):
    """The command has sudo in it, for the user to run."""
    program(tmp_path, "apt-get")

    with pytest.raises(NoEngine) as caught:
        install(host(tmp_path, is_root=False), yes=True, ask=None, say=lambda _: None)
    assert caught.value.resolution.startswith("sudo apt-get install -y")
    assert "usermod -aG docker ann" in caught.value.resolution
    assert calls(tmp_path) == []


def test_an_unknown_system_is_told_so(tmp_path):
    """Without a package manager that is known the user installs by hand."""
    with pytest.raises(NoEngine) as caught:
        install(host(tmp_path), yes=True, ask=None, say=lambda _: None)
    assert "by hand" in caught.value.resolution
