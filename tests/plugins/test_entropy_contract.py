"""entropy.*: the recorded contract of Entropy's commands, and no Entropy.

What runs as `eit` and `equo` is stalks/kantoo_standin/contract.py. It takes the calls as they were recorded, with
their answers on standard input, environment and files, refuses any other, and writes each down. The
packages are real ones of Portage, in the form gpkg, packed again as xpak by the real quickpkg.
"""

from __future__ import annotations

import json

import pytest

pytest_plugins = ["gentoo"]
# the first test on an engine makes the image with Portage
pytestmark = [pytest.mark.docker, pytest.mark.timeout(900)]

NAME, TARGET = "testing.example.org", "/entropy/artifacts"
SERVER = {"repository": NAME, "target": TARGET}
DATABASE = {**SERVER, "description": "a test", "architecture": "amd64"}
CLIENT = {"repository": NAME, "description": "a test", "uri": f"file://{TARGET}", "architecture": "amd64"}
FOLDER = f"{TARGET}/standard/{NAME}"
YES = "Yes\n"
FILES = "find /etc /entropy/artifacts /var/lib -printf '%p %m %s %T@ %C@\\n' | sort"


def calls(machine):
    """Return the calls since the last time, with what they were given on standard input."""
    lines = machine.read("cat /var/log/entropy-contract; rm /var/log/entropy-contract").splitlines()
    return [(" ".join(entry["call"]), entry["given"]) for entry in map(json.loads, lines)]


def use(machine, plugin, **arguments):
    ran = machine.use(plugin, **arguments)
    assert ran.code == 0, ran.output
    return ran.output


@pytest.fixture
def server(gentoo, built):
    """A machine with packages and a repository that is made and empty."""
    machine = gentoo(built)
    use(machine, "entropy.database", **DATABASE)
    calls(machine)
    return machine


def test_a_repository_is_made_once_and_then_brought_up_to_date(gentoo, built):
    """What erases a repository is called for a new one only."""
    machine = gentoo(built)

    use(machine, "entropy.database", **DATABASE)
    first = calls(machine)
    listing = machine.read(FILES)
    use(machine, "entropy.database", **DATABASE)
    second = calls(machine)

    assert first == [
        ("equo rescue generate", YES * 3),
        ("equo rescue spmsync", ""),
        (f"eit init --quick {NAME}", YES),
    ]
    assert second == [
        ("equo rescue spmsync", ""),
        (f"eit unlock {NAME}", ""),
        (f"eit pull --quick {NAME}", ""),
    ]
    assert machine.read(FILES) == listing
    assert machine.read("cat /etc/entropy/server.conf").splitlines()[-2:] == [
        f"default-repository = {NAME}",
        f"repository = {NAME}|a test|file://{TARGET}",
    ]


def test_only_what_is_new_is_injected(server):
    """Each injection raises a revision for all clients, so the same package is not injected twice."""
    use(server, "entropy.inject", **SERVER)
    (unlocked, _), (injected, given) = calls(server)
    again = use(server, "entropy.inject", **SERVER)

    assert (unlocked, given) == (f"eit unlock {NAME}", "")
    assert injected.startswith(f"eit inject --quick --to {NAME} /tmp/kantoo-inject.")
    assert [path.rpartition("/")[2] for path in injected.split()[5:]] == [
        "greeting-1.0.tbz2",
        "hello-1.0.tbz2",
        "standin-kernel-6.1.tbz2",
    ]
    assert "nothing new" in again
    assert server.sh("test -e /var/log/entropy-contract || ls /tmp/kantoo-inject.*").code == 2

    server.edit("app-misc/hello/files/hello.c", "return 0;", "return 0 * 1;")
    server.read("rm -rf /var/db/pkg/app-misc/hello-1.0")
    use(server, "portage.build", packages=["app-misc/hello"])
    changed = use(server, "entropy.inject", **SERVER)

    assert "1 packages injected" in changed
    assert [path.rpartition("/")[2] for path in calls(server)[-1][0].split()[5:]] == ["hello-1.0.tbz2"]
    assert server.read(f"cd {FOLDER}/packages/amd64/5 && ls app-misc").split() == [
        "app-misc:greeting-1.0~0.tbz2",
        "app-misc:hello-1.0~1.tbz2",
    ]


def test_packages_in_the_form_xpak_are_injected_as_they_are(server):
    """What Portage built as xpak need not be installed here."""
    server.read(
        "mkdir /srv/xpak && PKGDIR=/srv/xpak BINPKG_FORMAT=xpak quickpkg --include-config=y app-misc/hello 2>&1"
        " && PKGDIR=/srv/xpak emaint --fix binhost 2>&1 && rm -rf /var/db/pkg/app-misc"
    )

    use(server, "entropy.inject", source="/srv/xpak", **SERVER)

    assert calls(server)[-1][0].endswith("/app-misc/hello-1.0.tbz2")


def test_a_gpkg_that_is_not_installed_cannot_be_injected(server):
    """Nothing is called, and the way out is reported."""
    server.read("rm -rf /var/db/pkg/app-misc/hello-1.0")

    ran = server.use("entropy.inject", **SERVER)

    assert ran.code == 1
    assert "app-misc/hello-1.0 is a gpkg, which Entropy does not read" in ran.output
    assert 'BINPKG_FORMAT="xpak"' in ran.output
    assert server.sh("test -e /var/log/entropy-contract").code == 1


@pytest.mark.parametrize(
    ("force", "call"), [(False, f"eit push --quick {NAME}"), (True, f"eit push --quick --force {NAME}")]
)
def test_a_repository_is_published(server, force, call):
    """With the index, revision and checksums that clients read; --force is asked for."""
    use(server, "entropy.inject", **SERVER)
    calls(server)

    use(server, "entropy.push", force=force, **SERVER)

    assert calls(server) == [(call, "")]
    assert server.read(f"ls {FOLDER}/database/amd64/5").split() == [
        "packages.db.bz2",
        "packages.db.bz2.md5",
        "packages.db.light.bz2",
        "packages.db.light.bz2.md5",
        "packages.db.revision",
    ]


def test_a_client_installs_from_the_repository(server):
    """It is told of the repository, learns what is installed, and installs all packages in one call."""
    use(server, "entropy.inject", **SERVER)
    use(server, "entropy.push", **SERVER)
    server.read("rm -rf /var/lib/entropy /usr/bin/hello-standin /usr/share/greeting")
    calls(server)

    use(server, "entropy.client", **CLIENT)
    use(server, "entropy.install", packages=["app-misc/greeting", "app-misc/hello"])

    assert calls(server) == [
        ("equo rescue generate", YES * 3),
        ("equo rescue spmsync", ""),
        ("equo update", ""),
        ("equo install app-misc/greeting app-misc/hello", ""),
    ]
    assert server.read(f"cat /etc/entropy/repositories.conf.d/entropy_{NAME}").splitlines() == [
        f"[{NAME}]",
        "desc = a test",
        f"repo = file://{TARGET}#bz2",
        "enabled = true",
        f"pkg = file://{TARGET}",
    ]
    assert server.read("hello-standin") == "hello from a binary package"


def test_what_entropy_refuses_fails_the_step(server):
    """Its exit code counts: nothing is said to be installed that is not."""
    use(server, "entropy.push", **SERVER)
    use(server, "entropy.client", **CLIENT)

    ran = server.use("entropy.install", packages=["app-misc/nothing"])

    assert ran.code == 1
    assert "app-misc/nothing: not found" in ran.output
    assert "entropy.install: equo install app-misc/nothing ended with 1" in ran.output


def test_an_injection_that_fails_is_tried_again_the_next_time(server):
    """What was not injected is not noted as injected."""
    server.read("printf '#!/bin/sh\\nexit 3\\n' > /usr/local/bin/eit; chmod +x /usr/local/bin/eit")
    failed = server.use("entropy.inject", **SERVER)
    server.read("rm /usr/local/bin/eit")

    again = use(server, "entropy.inject", **SERVER)

    assert failed.code == 1
    assert "3 packages injected" in again


def test_an_image_without_entropy_is_told(gentoo, built):
    """With what to install."""
    machine = gentoo(built)
    machine.read("mkdir /srv/bin; for name in python3 sh env; do ln -s $(command -v $name) /srv/bin/; done")

    ran = machine.sh(
        "PATH=/srv/bin PYTHONPATH=/entropy/plugins PACKAGES=a/b python3 -B /entropy/shelf/entropy.install.py"
    )

    assert ran.code == 1
    assert "there is no 'equo' in this image" in ran.output
    assert "install app-admin/equo first" in ran.output
