"""The smallest tree with an image: what it says, and the image built from nothing and booted."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from stalker.config import read_tree

ROOT = Path(__file__).resolve().parents[2]
IMAGE = "artifacts/amd64/amd64/disk"


def on_engine(test):
    """Two minutes on two idle cores; whichever test comes first waits for the build."""
    return pytest.mark.docker(pytest.mark.slow(pytest.mark.timeout(1200)(test)))


def test_the_tree_says_what_is_made_and_how_it_is_proven():
    """One stalk, one disk, and no disk that does not come up to a shell."""
    (stalk,) = read_tree("amd64", str(ROOT)).stalks
    (disk,) = stalk.artifacts

    assert disk.id == "amd64/disk"
    assert [one.source for one in disk.kind.partitions] == ["/boot/efi", "/"]
    assert disk.gates is not None
    assert disk.gates.waived == ()
    assert [one.kind for one in disk.boot_test.expectations][-1] == "power_off"


def test_the_password_reaches_one_step_and_no_file():
    """Only the step that makes a hash of it gets it."""
    (stalk,) = read_tree("amd64", str(ROOT)).stalks

    assert [step.name for step in stalk.steps if any(one.secret for one in step.variables)] == ["password"]
    assert [write for one in stalk.artifacts for write in one.writes if write.variables] == []


def test_a_busy_host_does_not_stop_the_boot():
    """Neither the image nor its test gives up while devices and services are merely slow to come."""
    (stalk,) = read_tree("amd64", str(ROOT)).stalks
    (disk,) = stalk.artifacts
    (fstab,) = [one.content.decode() for one in disk.writes if one.path == "/etc/fstab"]
    (esp,) = [line for line in fstab.splitlines() if "/boot/efi" in line]
    (settled,) = [one for one in disk.boot_test.expectations if "is-system-running" in one.text]

    assert {"nofail", "x-systemd.device-timeout=5min"} <= set(esp.split()[3].split(","))
    assert disk.boot_test.timeout_s > settled.timeout_s >= 600


@pytest.fixture(scope="module")
def copy(new_copy):
    """A copy whose password nobody else's image has: steps are taken over from other trees by what they do."""
    copy = new_copy()
    copy.edit(
        "stalks/amd64/amd64.hjson",
        "      ROOT_PASSWORD: ''\n",
        f"      ROOT_PASSWORD: ''\n      TREE: {copy.os}\n",
    )
    return copy


@pytest.fixture(scope="module")
def ran(copy):
    done = copy.stalker("run", "amd64", "--json")
    assert done.code == 0, done.err
    return done


@on_engine
def test_an_image_is_made_and_boots(copy, ran):
    """From nothing to a login on the serial console, by the disk's own boot loader."""
    folder = copy.path / IMAGE
    manifest = json.loads((folder / "manifest.json").read_text())
    digest = hashlib.sha256((folder / "amd64.img").read_bytes()).hexdigest()

    assert manifest["boot"]["passed"] is True
    assert manifest["refused"] == ""
    assert manifest["gates"] == []
    assert (folder / "amd64.img.sha256").read_text().split() == [digest, "amd64.img"]
    assert "amd64 login:" in (folder / "boot.log").read_text(errors="replace")


@on_engine
def test_no_log_knows_the_password(copy, ran):
    """It is typed at the login, and is in no output, journal, manifest or transcript."""
    password = (copy.path / "workspace/amd64_password").read_text().strip()
    written = [*(copy.path / "logs").rglob("*"), *(copy.path / IMAGE).glob("*")]
    texts = [one for one in written if one.is_file() and one.suffix != ".img"]

    assert len(password) == 20
    assert password not in ran.out + ran.err
    assert {"eliot.txt", "manifest.json", "boot.log"} <= {one.name for one in texts}
    assert [str(one) for one in texts if password in one.read_text(errors="replace")] == []


@on_engine
def test_a_second_run_makes_nothing(copy, ran):
    """What is there and right stays as it is."""
    before = (copy.path / IMAGE).resolve()

    again = copy.stalker("run", "amd64", "--json")

    assert again.code == 0, again.err
    assert again.of("step_started") == []
    assert again.of("artifact_started") == []
    assert (copy.path / IMAGE).resolve() == before
