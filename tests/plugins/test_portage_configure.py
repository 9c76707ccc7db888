"""portage.configure: profile, make.conf and the files package.*, in a Debian with the real Portage."""

from __future__ import annotations

import pytest

pytest_plugins = ["gentoo"]
# the first test on an engine makes the image with Portage
pytestmark = [pytest.mark.docker, pytest.mark.timeout(900)]

FILES = "find /etc/portage -type f | sort | xargs head -v -n 99"


def test_portage_sees_what_was_asked_for(gentoo, standin):
    """Profile, PKGDIR, a variable that builds on the one before, and USE flags of one package."""
    machine = gentoo(standin)
    machine.read("echo 'USE=\"from-stage3\"' > /etc/portage/make.conf")

    ran = machine.use(
        "portage.configure",
        profile="standin",
        packages_dir="/portage/packages",
        make_conf="USE=${USE} more\nMAKEOPTS=-j3",
        package_use=["app-misc/hello loud"],
    )

    assert ran.code == 0, ran.output
    assert machine.read("portageq envvar PKGDIR MAKEOPTS") == "/portage/packages\n-j3"
    assert {"from-stage3", "more"} <= set(machine.read("portageq envvar USE").split())
    assert "loud" in machine.read("emerge --pretend --verbose --nodeps app-misc/hello").split('USE="')[1]


def test_a_second_time_nothing_changes_and_what_is_not_asked_for_any_more_goes(gentoo, standin):
    """What others wrote stays where it is."""
    machine = gentoo(standin)
    machine.read("echo 'USE=\"mine\"' > /etc/portage/make.conf; mkdir -p /etc/portage/package.use")
    machine.read("echo 'a/b c' > /etc/portage/package.use/mine")
    before = machine.read(FILES)
    asked = {"make_conf": "CFLAGS=-O1", "package_use": ["app-misc/hello loud"], "package_mask": ["a/b"]}

    first = machine.use("portage.configure", **asked)
    configured, listing = machine.read(FILES), machine.listing()
    second = machine.use("portage.configure", **asked)

    assert (first.code, second.code) == (0, 0), first.output + second.output
    assert 'CFLAGS="-O1"' in configured
    assert machine.listing() == listing
    assert machine.use("portage.configure").code == 0
    assert machine.read(FILES) == before


def test_a_file_that_was_one_becomes_a_folder_and_counts_still(gentoo, standin):
    """A stage3 may have package.use as a file."""
    machine = gentoo(standin)
    machine.read("echo 'app-misc/hello loud' > /etc/portage/package.use")

    ran = machine.use("portage.configure", profile="standin", package_use=["app-misc/greeting quiet"])

    assert ran.code == 0, ran.output
    assert machine.read("cat /etc/portage/package.use/*") == "app-misc/hello loud\napp-misc/greeting quiet"
    assert "loud" in machine.read("emerge --pretend --verbose --nodeps app-misc/hello").split('USE="')[1]


REFUSED = [
    ({"profile": "none/such"}, "there is no 'none/such' in /var/db/repos/standin/profiles"),
    ({"make_conf": 'CFLAGS=-DX="1"'}, "CFLAGS has a quote"),
    ({"make_conf": "MY-FLAGS=1"}, "'MY-FLAGS' is not a variable name"),
]


@pytest.mark.parametrize(("arguments", "message"), REFUSED, ids=[row[1] for row in REFUSED])
def test_what_cannot_be_is_refused_and_nothing_changes(gentoo, standin, arguments, message):
    """Portage would fail later, with words that do not lead back here."""
    machine = gentoo(standin)
    listing = machine.listing()

    ran = machine.use("portage.configure", **arguments)

    assert ran.code == 1
    assert message in ran.output
    assert machine.listing() == listing
