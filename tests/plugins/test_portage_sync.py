"""portage.sync: the ebuild repository is there, or it is told what is missing."""

from __future__ import annotations

import pytest

pytest_plugins = ["gentoo"]
pytestmark = pytest.mark.docker


def test_a_repository_that_is_mounted_is_taken_as_it_is(gentoo, standin):
    """Nothing is fetched and nothing changes."""
    machine = gentoo(standin)
    listing = machine.listing()

    ran = machine.use("portage.sync")

    assert ran.code == 0, ran.output
    assert "the repository 'standin' is there: /var/db/repos/standin" in ran.output
    assert machine.listing() == listing


def test_a_repository_that_is_not_there_is_told(gentoo, standin):
    """With the two ways to one."""
    machine = gentoo(standin)
    (machine.ebuilds / "profiles").rename(machine.ebuilds / "gone")

    ran = machine.use("portage.sync")

    assert ran.code == 1
    assert "the repository 'standin' is not in /var/db/repos/standin" in ran.output
    assert "give a snapshot" in ran.output


def test_a_snapshot_without_keys_to_check_it_is_refused(gentoo, standin):
    """Before anything is fetched."""
    machine = gentoo(standin)

    ran = machine.use("portage.sync", snapshot="20260131")

    assert ran.code == 1
    assert "/usr/share/openpgp-keys/gentoo-release.asc is not in this image" in ran.output
