"""timezone.set: the time zone of the system."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.docker


def test_the_clock_shows_the_zone(machine):
    """Winter in Berlin is CET; a second time changes nothing."""
    first = machine.use("timezone.set", zone="Europe/Berlin")
    listing = machine.listing()
    second = machine.use("timezone.set", zone="Europe/Berlin")

    assert (first.code, second.code) == (0, 0), first.output + second.output
    assert machine.read("date -d @1700000000 +%Z") == "CET"
    assert machine.read("readlink /etc/localtime; cat /etc/timezone") == (
        "../usr/share/zoneinfo/Europe/Berlin\nEurope/Berlin"
    )
    assert machine.listing() == listing


def test_another_zone_takes_its_place(machine):
    """The last one counts."""
    machine.use("timezone.set", zone="Europe/Berlin")

    ran = machine.use("timezone.set", zone="Asia/Tokyo")

    assert ran.code == 0, ran.output
    assert machine.read("date -d @1700000000 +%Z") == "JST"


REFUSED = [
    ("Europe/berlin", "is it: Europe/Berlin"),
    ("Mars/Olympus", "there is no time zone 'Mars/Olympus'"),
    ("Europe", "there is no time zone 'Europe'"),
    ("", "not a time zone name"),
    ("../../../etc/passwd", "not a time zone name"),
    ("/etc/passwd", "not a time zone name"),
]


@pytest.mark.parametrize(("zone", "message"), REFUSED, ids=[row[0] for row in REFUSED])
def test_what_cannot_be_is_refused_and_nothing_changes(machine, zone, message):
    """It fails, says why, and leaves everything as it was."""
    listing = machine.listing()

    ran = machine.use("timezone.set", zone=zone)

    assert ran.code == 1
    assert message in ran.output
    assert machine.listing() == listing


def test_no_data_base_is_told(machine):
    """The message names the package."""
    machine.read("rm -r /usr/share/zoneinfo")

    ran = machine.use("timezone.set", zone="Europe/Berlin")

    assert ran.code == 1
    assert "install the package tzdata" in ran.output
