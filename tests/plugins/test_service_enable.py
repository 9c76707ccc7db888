"""service.enable: which services start at boot, without an init system that runs."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.docker

OPENRC = "stalker-test/debian-openrc"


def test_systemd_services_are_enabled_and_disabled(machine):
    """The service starts at boot, then it does not; each a second time changes nothing."""
    machine.read("systemctl --root=/ disable ssh 2>&1")
    link = "/etc/systemd/system/multi-user.target.wants/ssh.service"

    for state, code in (("enabled", 0), ("disabled", 1)):
        first = machine.use("service.enable", services=["ssh"], state=state)
        listing = machine.listing()
        second = machine.use("service.enable", services=["ssh"], state=state)

        assert (first.code, second.code) == (0, 0), first.output + second.output
        assert machine.sh(f"test -L {link}").code == code
        assert machine.listing() == listing


def test_openrc_services_are_enabled_and_disabled(derived):
    """The link in the runlevel comes and goes."""
    machine = derived(OPENRC, ["openrc"])
    machine.read("rc-update -a delete ssh 2>&1 || true")

    for state, code in (("enabled", 0), ("disabled", 1)):
        first = machine.use("service.enable", services=["ssh"], state=state, init="openrc")
        listing = machine.listing()
        second = machine.use("service.enable", services=["ssh"], state=state, init="openrc")

        assert (first.code, second.code) == (0, 0), first.output + second.output
        assert machine.sh("test -L /etc/runlevels/default/ssh").code == code
        assert machine.listing() == listing


def test_an_unknown_runlevel_of_openrc_is_refused(derived):
    """There is no runlevel party."""
    machine = derived(OPENRC, ["openrc"])

    ran = machine.use("service.enable", services=["ssh"], init="openrc", runlevel="party")

    assert ran.code == 1
    assert "OpenRC has no runlevel 'party'" in ran.output


def test_system_v_services_are_enabled_and_disabled(machine):
    """The start links come and go; /sbin/init tells which init system it is."""
    # sysvinit-core itself cannot be installed in a container: it signals the first process
    machine.read("install -m 755 /dev/null /sbin/init; rm -f /etc/rc?.d/S*ssh")

    for state, count in (("disabled", "0"), ("enabled", "4")):
        first = machine.use("service.enable", services=["ssh"], state=state)
        listing = machine.listing()
        second = machine.use("service.enable", services=["ssh"], state=state)

        assert (first.code, second.code) == (0, 0), first.output + second.output
        assert machine.read("ls /etc/rc[2-5].d | grep -c 'S[0-9]*ssh$' || true") == count
        assert machine.listing() == listing


def test_no_init_system_is_told(machine):
    """Without any there is nothing that could start a service."""
    machine.read("rm /usr/lib/systemd/systemd")

    ran = machine.use("service.enable", services=["ssh"])

    assert ran.code == 1
    assert "there is no init system in this image" in ran.output


REFUSED = [
    ({"services": ["ssh", "nope", "none"]}, "systemd knows none named: nope none"),
    ({"services": ["ssh", "systemd-journald"]}, "cannot be enabled"),
    ({"services": ["ssh", "masked"]}, "'masked' is masked"),
    ({"services": []}, "the list is empty"),
    ({"services": ["--now"]}, "not a service name"),
    ({"services": ["ssh"], "state": "on"}, "neither enabled nor disabled"),
    ({"services": ["ssh"], "init": "runit"}, "none of auto"),
    ({"services": ["ssh"], "init": "openrc"}, "there is no 'rc-update'"),
]


@pytest.mark.parametrize(("arguments", "message"), REFUSED, ids=[row[1] for row in REFUSED])
def test_what_cannot_be_is_refused_and_nothing_changes(machine, arguments, message):
    """One wrong name, and the right ones beside it are not touched either."""
    machine.read("systemctl --root=/ disable ssh 2>&1; ln -s /dev/null /etc/systemd/system/masked.service")
    listing = machine.listing()

    ran = machine.use("service.enable", **arguments)

    assert ran.code == 1
    assert message in ran.output
    assert machine.listing() == listing
