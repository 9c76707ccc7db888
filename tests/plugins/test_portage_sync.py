"""portage.sync: a dated snapshot of the ebuild repository by the real emerge-webrsync, whose signature is checked."""

from __future__ import annotations

import calendar
import hashlib
import io
import tarfile

import pytest

from plugins.conftest import docker, image_is_there
from portage_machine import FOLDER, KEPT
from unit.helpers.keys import KeyRing
from unit.helpers.server import serving

pytest_plugins = ["gentoo"]
# the first test on an engine makes the image with Portage
pytestmark = [pytest.mark.docker, pytest.mark.timeout(900)]


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


TOOLED = f"{KEPT}/tooled"
"""The stand-in with what emerge-webrsync runs; kept."""

DAY = "20260131"
NAME = f"gentoo-{DAY}.tar.xz"
LOCATION = "/var/db/repos/gentoo"
KEY = "/usr/share/openpgp-keys/gentoo-release.asc"
# Portage takes the key with this address
SIGNER = "A test <infrastructure@gentoo.org>"


@pytest.fixture
def keys(tmp_path):
    ring = KeyRing(tmp_path / "gnupg")
    ring.gpg("--quick-generate-key", SIGNER, "ed25519", "sign", "never")
    yield ring
    ring.close()


@pytest.fixture
def tooled(gentoo, standin):
    """A machine with the programs, an empty repository that Portage knows, and no key yet."""
    tooled = (
        f"{TOOLED}:{docker('image', 'inspect', '--format={{.Id}}', standin).removeprefix('sha256:')[:12]}"
    )
    if not image_is_there(tooled):
        maker = gentoo(standin, is_bare=True)
        maker.read("apt-get -qq update && apt-get -qq install --no-install-recommends gnupg wget rsync 2>&1")
        maker.commit(tooled)
    machine = gentoo(tooled, is_bare=True)
    machine.read("mkdir -p /etc/portage /usr/share/openpgp-keys")
    machine.read(
        f"printf '[DEFAULT]\\nmain-repo=gentoo\\n[gentoo]\\nlocation={LOCATION}\\n' > /etc/portage/repos.conf"
    )
    return machine


def snapshot():
    """Return the stand-in's repository as a mirror has it."""
    buffer = io.BytesIO()
    seconds = calendar.timegm((int(DAY[:4]), int(DAY[4:6]), int(DAY[6:]), 12, 0, 0))
    with tarfile.open(fileobj=buffer, mode="w:xz") as archive:
        archive.add(FOLDER / "ebuilds", f"gentoo-{DAY}")
        layout = (FOLDER / "ebuilds/metadata/layout.conf").read_bytes().replace(b"standin", b"gentoo")
        for name, text in (
            ("profiles/repo_name", b"gentoo\n"),
            ("metadata/layout.conf", layout),
            ("metadata/timestamp.x", b"%d today\n" % seconds),
        ):
            member = tarfile.TarInfo(f"gentoo-{DAY}/{name}")
            member.size, member.mtime = len(text), seconds
            archive.addfile(member, io.BytesIO(text))
    return buffer.getvalue()


def mirror(keys, tmp_path, data, signed=None):
    """Serve a snapshot with its checksum and signature."""
    signature = keys.gpg("--local-user", SIGNER, "--detach-sign", "--output", "-", data=signed or data)
    md5 = f"{hashlib.md5(data).hexdigest()}  {NAME}\n".encode()
    files = {NAME: data, f"{NAME}.gpgsig": signature, f"{NAME}.md5sum": md5}
    return serving(**{f"snapshots/{name}": content for name, content in files.items()})


def put_key(keys, machine, tmp_path):
    (tmp_path / "key.asc").write_bytes(keys.gpg("--export", "--armor", "infrastructure@gentoo.org"))
    docker("cp", str(tmp_path / "key.asc"), f"{machine.id}:{KEY}")


def test_a_snapshot_is_fetched_verified_and_not_fetched_again(tooled, keys, tmp_path):
    """Portage finds its ebuilds there; the second time nothing is asked of the mirror."""
    put_key(keys, tooled, tmp_path)

    with mirror(keys, tmp_path, snapshot()) as served:
        first = tooled.use("portage.sync", snapshot=DAY, mirror=served.url)
        asked = len(served.asked)
        second = tooled.use("portage.sync", snapshot=DAY, mirror=served.url)

    assert (first.code, second.code) == (0, 0), first.output + second.output
    assert "Good signature" in first.output
    assert len(served.asked) == asked > 0
    assert "is of 20260131 already" in second.output
    assert tooled.use("portage.configure", profile="standin").code == 0
    assert "app-misc/hello-1.0" in tooled.read("emerge --pretend --color=n app-misc/hello")


def test_a_snapshot_that_somebody_changed_is_refused(tooled, keys, tmp_path):
    """The signature is of other bytes: nothing is put into the repository."""
    put_key(keys, tooled, tmp_path)

    with mirror(keys, tmp_path, snapshot(), signed=b"another snapshot") as served:
        ran = tooled.use("portage.sync", snapshot=DAY, mirror=served.url)

    assert ran.code == 1
    assert "signature verification failed" in ran.output
    assert "portage.sync: emerge-webrsync --revert=20260131 ended with 1" in ran.output
    assert tooled.read(f"ls {LOCATION} | wc -l") == "0"
