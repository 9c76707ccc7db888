"""hostname.set: a host name that the image itself carries."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.docker


def test_systemd_finds_the_name_in_os_release(machine):
    """DEFAULT_HOSTNAME is in the file that /etc/os-release links to; a second time changes nothing."""
    first = machine.use("hostname.set", name="raspi3")
    listing = machine.listing()
    second = machine.use("hostname.set", name="raspi3")

    assert (first.code, second.code) == (0, 0), first.output + second.output
    assert machine.read(". /etc/os-release; echo $ID $DEFAULT_HOSTNAME") == "debian raspi3"
    assert machine.read("readlink /etc/os-release") == "../usr/lib/os-release"
    assert machine.listing() == listing


def test_another_name_takes_the_place_of_the_first(machine):
    """One name stands there, the last."""
    machine.use("hostname.set", name="first")

    ran = machine.use("hostname.set", name="second.example.org")

    assert ran.code == 0, ran.output
    assert machine.read("grep DEFAULT_HOSTNAME /etc/os-release") == 'DEFAULT_HOSTNAME="second.example.org"'


def test_openrc_finds_the_name_in_conf_d(machine):
    """With OpenRC the name is in /etc/conf.d/hostname; what else stands there stays."""
    machine.read("mkdir /etc/conf.d; printf '# by hand\\nhostname=\"old\"\\n' > /etc/conf.d/hostname")
    machine.read("ln -s /bin/true /usr/sbin/rc-update; rm /usr/lib/systemd/systemd")

    ran = machine.use("hostname.set", name="raspi3")

    assert ran.code == 0, ran.output
    assert machine.read("cat /etc/conf.d/hostname") == '# by hand\nhostname="raspi3"'
    assert machine.sh("grep DEFAULT_HOSTNAME /etc/os-release").code == 1


def test_system_v_init_alone_is_refused_with_the_reason(machine):
    """It reads nothing but /etc/hostname, and a step cannot write that."""
    machine.read("rm /usr/lib/systemd/systemd; touch /etc/inittab")

    ran = machine.use("hostname.set", name="raspi3")

    assert ran.code == 1
    assert "reads the name from /etc/hostname only" in ran.output


def test_without_an_init_system_the_name_waits_for_systemd(machine):
    """It is set, with a warning."""
    machine.read("rm /usr/lib/systemd/systemd")

    ran = machine.use("hostname.set", name="raspi3")

    assert ran.code == 0, ran.output
    assert "no init system" in ran.output
    assert machine.read(". /etc/os-release; echo $DEFAULT_HOSTNAME") == "raspi3"


def test_an_engine_that_mounts_no_hostname_gets_the_plain_files(debian, start):
    """Without the mounts, /etc/hostname and the 127.0.1.1 line are written."""
    machine = start(
        debian, "--network", "none", "--cap-add", "SYS_ADMIN", "--security-opt", "apparmor=unconfined"
    )
    machine.read(
        "umount /etc/hostname /etc/hosts; printf '127.0.0.1 localhost\\n127.0.1.1 old\\n' > /etc/hosts"
    )

    first = machine.use("hostname.set", name="web.example.org")
    listing = machine.listing()
    second = machine.use("hostname.set", name="web.example.org")

    assert (first.code, second.code) == (0, 0), first.output + second.output
    assert machine.read("cat /etc/hostname") == "web.example.org"
    assert machine.read("cat /etc/hosts") == "127.0.0.1 localhost\n127.0.1.1 web.example.org web"
    assert machine.listing() == listing


NAMES = ["", "-a", "a-", "a_b", "a..b", ".a", "a.", "a b", "a\nb", "é", "a" * 64, "a" * 40 + "." + "b" * 40]


@pytest.mark.parametrize("name", NAMES)
def test_what_is_no_host_name_is_refused_and_nothing_changes(machine, name):
    """RFC 1123, and Linux' own limit of 64."""
    listing = machine.listing()

    ran = machine.use("hostname.set", name=name)

    assert ran.code == 1
    assert ran.output.startswith("hostname.set: name: ")
    assert machine.listing() == listing


@pytest.mark.parametrize("name", ["a", "3com", "a-b", "A1", "a" * 63, "a.b.c"])
def test_every_host_name_is_taken(machine, name):
    """Short, long, with digits first, with dots."""
    ran = machine.use("hostname.set", name=name)

    assert ran.code == 0, ran.output
