"""The flagship: what its tree says, and the image for the Raspberry Pi, built and booted.

All that runs hangs on one run, which takes minutes: so this module is the last of a session.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import subprocess
import tarfile
from pathlib import Path

import pytest

from stalker.config import read_tree
from stalker.plan.graph import link_steps
from trees.conftest import keep, remove_old

ROOT = Path(__file__).resolve().parents[2]
ARM = "linux/arm/v7"
STALKS = (
    *("debian_build_binaries", "debian_build_repo", "package_boardinfo", "package_leave"),
    *("raspi_system", "raspi_stage4"),
)
STORES = ("exchange", "keys", "ccache", "distfiles")
DEBS = ("debs_build", "debs_system")
"""Stores of downloads; their names are the same in each copy, so that steps that use them are."""

KEPT = ("stage3", "build_binaries", "system")
"""Three minutes of emulated apt and dpkg. The packages, the repository and both images of what the tests look at
are made each time."""

IMAGE = "artifacts/raspi3/stage4/image"
REPO = "artifacts/raspi3/build_repo/repo"

CARD = """
base: {tree: raspi3}
output: {size: 2GiB}
files:
- {to: /data/hello, content: hi}
injections: {hostname: kiosk-7}
data: {mount: true}
"""
"""Of a size that QEMU takes for a card: a power of two."""

heavy = [pytest.mark.docker, pytest.mark.slow, pytest.mark.last, pytest.mark.timeout(2400)]


def marked(test):
    """Mark a test that hangs on the run."""
    for mark in heavy:
        test = mark(test)
    return test


@pytest.fixture(scope="module")
def tree():
    return read_tree("raspi3", str(ROOT))


def test_two_images_share_all_but_their_last_stalk(tree):
    """The second variant costs no more than what it has of its own."""
    links = link_steps(tree)
    last = {stalk.name: stalk.steps[-1].id for stalk in tree.stalks}

    first, lite = (
        {name for name in links.ancestors([last[stalk]]) if not name.startswith("stage4")}
        for stalk in ("stage4", "stage4_lite")
    )

    assert first == lite
    assert {name.partition(":")[0] for name in first} == {
        *("stage3", "build_binaries", "package_leave", "package_boardinfo", "build_repo", "system")
    }


def test_a_package_is_needed_by_the_repository_and_what_installs_from_it(tree):
    """Nothing else comes after it: neither the other package nor the kernel."""
    links = link_steps(tree)

    behind = {name.partition(":")[0] for name in links.descendants(["package_boardinfo:build"])}

    assert behind == {"package_boardinfo", "build_repo", "stage4", "stage4_lite"}


def test_all_of_it_is_for_the_board(tree):
    """Each step runs as ARMv7, and the image names say what they are for."""
    assert {step.platform for stalk in tree.stalks for step in stalk.steps} == {ARM}
    assert tree.architecture == "debian/arm-32bit/raspi3"


def test_no_image_is_published_that_was_not_seen_to_boot(tree):
    """A login, our own package, and switching off; no gate is waived."""
    (image,) = [one for stalk in tree.stalks for one in stalk.artifacts if one.name == "image"]

    assert image.boot_test.machine == "raspi2b"
    assert image.gates.waived == ()
    commands = [one.text for one in image.boot_test.expectations if one.kind == "run"]
    assert {"boardinfo", "uname -m"} <= set(commands)
    assert image.boot_test.expectations[-1].kind == "power_off"


@pytest.fixture(scope="module")
def copy(new_copy, engine):
    """A copy whose stores and password are its own, on an engine that runs ARM programs."""
    remove_old(engine)
    copy = new_copy()
    for stalk in STALKS:
        file = copy.path / f"stalks/{stalk}/{stalk}.hjson"
        text = file.read_text()
        for store in DEBS:
            text = text.replace(f"raspi3_{store}", f"stalker-test_{store}")
        file.write_text(text.replace("raspi3_", f"{copy.os}_"))
    copy.edit("trees/raspi3/raspi3.hjson", "OS: debian\n", f"OS: {copy.os}\n")
    copy.edit(
        "stalks/raspi_stage4/raspi_stage4.hjson",
        "      PI_PASSWORD: ''\n",
        f"      PI_PASSWORD: ''\n      TREE: {copy.os}\n",
    )
    up = copy.stalker("engine", "up", "--platform", ARM, "--yes")
    assert up.code == 0, up.err
    yield copy
    keep(engine, copy, KEPT)
    for store in STORES:
        subprocess.run(["docker", "volume", "rm", f"{copy.os}_{store}"], capture_output=True, check=False)


@pytest.fixture(scope="module")
def ran(copy):
    done = copy.stalker("run", "raspi3", "--json", patience_s=2300)
    assert done.code == 0, done.err
    return done


def file_of(engine, image, name):
    """Return a file of an image."""
    archive = io.BytesIO(b"".join(engine.export(image)))
    with tarfile.open(fileobj=archive) as members:
        stream = members.extractfile(name)
        assert stream is not None
        return stream.read()


def image_of(copy, step):
    return f"{copy.os}/arm-32bit/raspi3/{step}"


@marked
def test_the_image_was_seen_to_boot_before_it_was_published(copy, ran):
    """The console shows the login, the board as our package tells it, and a root that has grown."""
    folder = copy.path / IMAGE
    manifest = json.loads((folder / "manifest.json").read_text())
    console = (folder / "boot.log").read_text(errors="replace")

    assert manifest["boot"]["passed"] is True
    assert manifest["gates"] == []
    assert "raspi3 login:" in console
    assert "Raspberry Pi 2 Model B" in console
    digest = hashlib.sha256((folder / "raspi3.img").read_bytes()).hexdigest()
    assert (folder / "raspi3.img.sha256").read_text().split() == [digest, "raspi3.img"]
    assert copy.stalker("image", "verify", str(folder / "raspi3.img")).code == 0


@marked
def test_the_repository_is_one_that_apt_takes(copy, ran):
    """Both packages are in it, for ARM, and the key that signs is beside it and no private one."""
    repo = copy.path / REPO / "repo"
    packages = (repo / "dists/stable/main/binary-armhf/Packages").read_text()

    assert sorted(line[9:] for line in packages.splitlines() if line.startswith("Package: ")) == [
        "boardinfo",
        "leave",
    ]
    assert {line for line in packages.splitlines() if line.startswith("Architecture: ")} == {
        "Architecture: armhf"
    }
    assert (repo / "dists/stable/InRelease").read_text().startswith("-----BEGIN PGP SIGNED MESSAGE-----")
    assert (repo / "archive-key.asc").read_text().startswith("-----BEGIN PGP PUBLIC KEY BLOCK-----")
    assert not [file for file in repo.rglob("*") if file.is_file() and b"PRIVATE KEY" in file.read_bytes()]


@marked
def test_the_variant_has_what_its_variables_say(copy, ran, engine):
    """One of the packages, and a name of its own."""
    archive = io.BytesIO(b"".join(engine.export(image_of(copy, "stage4_lite:final"))))
    with tarfile.open(fileobj=archive) as members:
        names = set(members.getnames())

    assert "usr/bin/boardinfo" in names
    assert "usr/bin/leave" not in names
    assert b'DEFAULT_HOSTNAME="raspi3-lite"' in file_of(
        engine, image_of(copy, "stage4_lite:final"), "usr/lib/os-release"
    )


@marked
def test_nobody_can_read_the_password(copy, ran):
    """It is typed at the login, and no log, manifest or transcript has it."""
    password = (copy.path / "workspace/raspi3_password").read_text().strip()
    texts = [*(copy.path / "logs").rglob("*.txt"), *(copy.path / IMAGE).glob("*.[jl]*")]

    assert password not in ran.out + ran.err
    assert [str(one) for one in texts if one.is_file() and password in one.read_text(errors="replace")] == []


@marked
def test_a_card_image_of_the_tree_boots_with_a_name_and_data_of_its_own(copy, ran):
    """On a raspi2b: the login says the name that was injected, and the data partition is mounted."""
    (copy.path / "card.yaml").write_text(CARD)

    made = copy.stalker("image", "create", "card.yaml", "card.img", patience_s=300)
    booted = copy.stalker("image", "boot", "--test", "--log", "card.log", "card.img", patience_s=900)

    assert made.code == 0, made.err
    assert booted.code == 0, booted.err
    console = (copy.path / "card.log").read_text(errors="replace")
    assert "kiosk-7 login:" in console
    assert re.search(r"EXT4-fs \(mmcblk\dp3\): mounted", console), console[-3000:]


@marked
def test_a_run_with_nothing_to_do_ends_in_seconds(copy, ran):
    """Neither step nor artifact is made again."""
    again = copy.stalker("run", "raspi3", "--json")

    assert again.code == 0, again.err
    assert (again.of("step_started"), again.of("artifact_started")) == ([], [])
    assert again.took_s < 120


@marked
def test_one_package_changed_is_built_published_and_installed_and_nothing_else(copy, ran, engine):
    """A new version of boardinfo reaches the variant; what only shares the kernel with it is not touched."""
    copy.edit("stalks/package_boardinfo/source/debian/changelog", "boardinfo (1.0)", "boardinfo (1.1)")

    changed = copy.stalker("run", "raspi3", "--until", "stage4_lite", "--json", patience_s=1200)

    assert changed.code == 0, changed.err
    steps = {event["step"].partition(":")[0] for event in changed.of("step_started")}
    assert steps == {"package_boardinfo", "build_repo", "stage4_lite"}
    status = file_of(engine, image_of(copy, "stage4_lite:final"), "var/lib/dpkg/status").decode()
    (about,) = [part for part in status.split("\n\n") if part.startswith("Package: boardinfo\n")]
    assert "\nVersion: 1.1\n" in about
    left = copy.stalker("plan", "raspi3", "--json")
    due = {
        step["step"].partition(":")[0] for step in json.loads(left.out)["steps"] if step["verdict"] == "RUN"
    }
    assert due == {"stage4"}
