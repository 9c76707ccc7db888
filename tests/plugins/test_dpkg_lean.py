"""dpkg.lean: packages without documentation, and a dpkg that does not wait for the disk."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.docker


def test_what_is_left_out_is_gone_and_does_not_come_back(debian, start):
    """A package that is installed afterwards has its program and licence, and no manual."""
    machine = start(debian)
    before = machine.read("find /usr/share/man /usr/share/locale -type f | wc -l")

    ran = machine.use("dpkg.lean")
    installed = machine.use("apt.install", packages=["less"])

    assert (ran.code, installed.code) == (0, 0), ran.output + installed.output
    assert int(before) > 100
    left = machine.read("find /usr/share/man /usr/share/locale /usr/share/doc ! -type d ! -name copyright")
    assert left == ""
    assert machine.read("less --version").startswith("less ")
    assert machine.sh("test -s /usr/share/doc/less/copyright").code == 0


def test_exceptions_stay(machine):
    """German is kept, all other languages go; a second time changes nothing."""
    machine.read(
        "mkdir -p /usr/share/locale/de /usr/share/locale/fr; touch /usr/share/locale/de/a.mo /usr/share/locale/fr/a.mo"
    )

    first = machine.use("dpkg.lean", keep=["/usr/share/locale/de/*"], unsafe_io=False)
    listing = machine.listing()
    second = machine.use("dpkg.lean", keep=["/usr/share/locale/de/*"], unsafe_io=False)

    assert (first.code, second.code) == (0, 0), first.output + second.output
    left = machine.read("find /usr/share/locale -type f").splitlines()
    assert "/usr/share/locale/de/a.mo" in left
    assert [file for file in left if not file.startswith("/usr/share/locale/de/")] == []
    assert machine.sh("grep -r unsafe-io /etc/dpkg").code == 1
    assert machine.listing() == listing


def test_dpkg_and_apt_take_the_settings(machine):
    """Neither of the two complains about its files."""
    ran = machine.use("dpkg.lean")

    assert ran.code == 0, ran.output
    assert machine.read("dpkg --audit; apt-config dump Acquire::Languages").endswith('"none";')


def test_a_pattern_that_is_no_path_is_refused(machine):
    """Nothing is removed."""
    listing = machine.listing()

    ran = machine.use("dpkg.lean", exclude=["usr/share/doc/*"])

    assert ran.code == 1
    assert "not an absolute path" in ran.output
    assert machine.listing() == listing
