"""fstab: what is mounted where."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.docker

ROOT = "PARTUUID=@PARTUUID:root@ / ext4 noatime"


def test_entries_are_written_whole(machine):
    """What is not said is filled in, and mount points are made."""
    entries = [
        ROOT,
        "LABEL=BOOT /boot/firmware vfat umask=0077",
        "UUID=1-2 none swap sw",
        "tmpfs /a\\040b tmpfs",
    ]

    first = machine.use("fstab", entries=entries)
    listing = machine.listing()
    second = machine.use("fstab", entries=entries)

    assert (first.code, second.code) == (0, 0), first.output + second.output
    assert machine.read("grep -v '^#' /etc/fstab").splitlines() == [
        "PARTUUID=@PARTUUID:root@ / ext4 noatime 0 1",
        "LABEL=BOOT /boot/firmware vfat umask=0077 0 2",
        "UUID=1-2 none swap sw 0 0",
        "tmpfs /a\\040b tmpfs defaults 0 0",
    ]
    assert machine.sh("test -d /boot/firmware && test -d '/a b'").code == 0
    assert machine.listing() == listing


def test_what_util_linux_reads_is_what_was_meant(machine):
    """Its own program finds nothing wrong with the form."""
    machine.use("fstab", entries=["tmpfs /tmp tmpfs mode=1777,nosuid"])

    assert machine.read("findmnt --fstab --noheadings --output SOURCE,TARGET,FSTYPE,OPTIONS").split() == [
        *("tmpfs", "/tmp", "tmpfs", "mode=1777,nosuid")
    ]


REFUSED = [
    ([ROOT, "LABEL=x / ext4"], "two are mounted on /"),
    (["LABEL=x boot vfat"], "not a mount point"),
    (["LABEL=x none ext4"], "not on 'none'"),
    (["LABEL=x /swap swap"], "swap is not mounted"),
    (["LABEL=x /x ext4 defaults 0 7"], "not a dump"),
    (["LABEL=x /x y ext4 defaults 0 1"], "more than six fields"),
]


@pytest.mark.parametrize(("entries", "message"), REFUSED, ids=[row[1] for row in REFUSED])
def test_what_cannot_be_mounted_is_refused(machine, entries, message):
    """The file stays as it was."""
    listing = machine.listing()

    ran = machine.use("fstab", entries=entries)

    assert ran.code == 1
    assert message in ran.output
    assert machine.listing() == listing
