"""The kantoo tree: each variant loads, and the stand-in runs all of its stalks for real.

Portage, its packages and what is installed from them are real. Entropy's commands are a recorded contract
(stalks/kantoo_standin/contract.py). What a real stage3 is verified by is shown by one of our own, from a server here.
"""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
from pathlib import Path

import pytest

from engines import rootfs
from portage_machine import TREE, put_wheel
from stalker.config import read_tree
from stalker.errors import NotThere
from stalker.model.artifacts import Disk, Rootfs
from stalker.model.tree import TarballBase
from unit.helpers.keys import KeyRing
from unit.helpers.server import serving

pytest_plugins = ["gentoo"]
pytestmark = pytest.mark.timeout(900)  # the first run on an engine makes the image with Portage

ROOT = Path(__file__).resolve().parents[2]
STORES = ("packages", "distfiles", "repository", "entropy")
GENTOO_KEY = "13EBBDBEDE7A12775DFDB1BABB572E0E2D182910"
PIPELINE = ["stage3", "build_binaries", "build_repo", "install", "stage4"]
VARIANTS = {
    # tree: architecture, platform, artifacts of stage4
    "kantoo": ("gentoo/x86-64bit/amd64-k10", "linux/amd64", {"stage4", "image"}),
    "kantoo-arm64": ("gentoo/arm-64bit/generic_64", "linux/arm64", {"stage4", "image"}),
    "kantoo-raspi3": ("gentoo/arm-32bit/raspi3", "linux/arm/v7", {"stage4", "raspi3"}),
}
YES = "Yes\n"


def load(name):
    return read_tree(f"trees/kantoo/{name}.hjson", str(ROOT))


@pytest.mark.parametrize("name", VARIANTS)
def test_a_variant_goes_from_a_verified_stage3_to_an_image(name):
    """The stalks in their order, the base with the full fingerprint of who signs it, what is published."""
    architecture, platform, artifacts = VARIANTS[name]

    tree = load(name)
    stalks = {stalk.name: stalk for stalk in tree.stalks}
    (base,) = stalks["stage3"].bases

    assert (tree.architecture, {stalk.platform for stalk in tree.stalks}) == (architecture, {platform})
    assert sorted(stalks) == sorted(PIPELINE)
    assert (stalks["build_binaries"].parent, stalks["install"].parent) == ("stage3", "stage3")
    assert [need for need, _ in stalks["install"].needs] == ["build_repo"]
    assert isinstance(base, TarballBase)
    assert (base.fingerprints, base.signature) == ((GENTOO_KEY,), base.source + ".asc")
    assert {artifact.name for artifact in stalks["stage4"].artifacts} == artifacts
    kinds = {type(artifact.kind) for artifact in stalks["stage4"].artifacts}
    assert kinds == {Rootfs, Disk}


def test_the_variants_differ_in_variables_alone():
    """The steps of all of them are the same scripts; the original's way has those of Entropy besides."""
    scripts = {name: scripts_of(load(name)) for name in (*VARIANTS, "kantoo-entropy", "kantoo-standin")}

    assert scripts["kantoo"] == scripts["kantoo-arm64"] == scripts["kantoo-raspi3"]
    assert set(scripts["kantoo"].items()) <= set(scripts["kantoo-entropy"].items())
    rest = {
        name: one for name, one in scripts["kantoo-standin"].items() if not name.startswith("kantoo_standin")
    }
    assert rest == scripts["kantoo-entropy"]


def scripts_of(tree):
    """Return the digest of each script by stalk file and step."""
    return {
        f"{stalk.file.split('/')[1]}:{step.name}": step.script.digest
        for stalk in tree.stalks
        for step in stalk.steps
    }


def test_the_key_in_the_tree_has_the_fingerprint_that_is_trusted(tmp_path):
    """Computed by gpg from the key itself."""
    key = ROOT / "trees/kantoo/keys/gentoo-release.asc"
    shown = subprocess.run(
        ["gpg", "--homedir", str(tmp_path), "--with-colons", "--show-keys", str(key)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout

    assert re.findall(r"^fpr:+([0-9A-F]{40}):", shown, re.MULTILINE)[0] == GENTOO_KEY


# -- the stand-in, for real ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def copy(new_copy, engine, standin):
    """A copy with names and stores of its own; the image with Portage is there already."""
    assert standin
    copy = new_copy()
    tree = copy.path / TREE
    tree.write_text(
        tree.read_text()
        .replace('"kantoo-standin"', f'"{copy.os}"')
        .replace("/kantoo-standin/", f"/{copy.os}/")
    )
    for store in STORES:
        for file in copy.path.glob("stalks/kantoo_*/*.hjson"):
            text = file.read_text(encoding="utf-8")
            file.write_text(
                text.replace(f"store: kantoo_{store},", f"store: {copy.os}_{store},"), encoding="utf-8"
            )
    put_wheel(copy.path)
    yield copy
    for store in STORES:
        with contextlib.suppress(NotThere):
            engine.remove_volume(f"{copy.os}_{store}")


@pytest.fixture(scope="module")
def ran(copy):
    """The first run."""
    done = copy.stalker("run", TREE, "--json")
    assert done.code == 0, done.err + said(done)
    return done


def said(done, *steps):
    """Return what steps printed, all of them when none is named."""
    return "".join(event["data"] for event in done.of("step_output") if not steps or event["step"] in steps)


def finished(done):
    return [event["step"] for event in done.of("step_finished") if event["state"] == "done"]


def built(done):
    """Return the packages that were compiled."""
    return sorted(re.findall(r"^portage\.\w+: built (\S+)", said(done), re.MULTILINE))


def inside(copy, step, script):
    """Return what a line of shell prints in the image of a step, without any mount."""
    done = subprocess.run(
        ["docker", "run", "--rm", "--network", "none", copy.image(step), "sh", "-c", script],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.docker
def test_packages_are_built_and_a_system_is_installed_from_them(ran, copy):
    """Three packages are compiled once; stage4 has them from the repository."""
    assert built(ran) == ["app-misc/greeting-1.0", "app-misc/hello-1.0", "sys-kernel/standin-kernel-6.1"]
    assert "3 packages, 3 new, 0 gone" in said(ran, "build_repo:binhost")
    assert "Emerging binary (1 of 3)" in said(ran, "install:install")
    assert inside(copy, "stage4:final", "hello-standin; ls /boot /lib/modules") == (
        "hello from a binary package\n/boot:\ncmdline.txt\nvmlinuz-6.1\n\n/lib/modules:\n6.1"
    )


@pytest.mark.docker
def test_stage4_is_ready_for_its_first_boot(ran, copy):
    """Services, mounts, serial console, host name; nothing of the store, the ebuilds or the helpers is left."""
    assert ran.code == 0
    assert inside(
        copy, "stage4:final", "cd /etc/runlevels && ls default boot | grep -v -e '^$' | grep -e : -e hello"
    ) == ("boot:\nhello-boot\ndefault:\nhello")
    assert "PARTUUID=@PARTUUID:root@ / ext4" in inside(copy, "stage4:final", "cat /etc/fstab")
    assert inside(
        copy, "stage4:final", "grep -h -e ^s0: -e ^hostname= /etc/inittab /etc/conf.d/hostname"
    ) == ('s0:12345:respawn:/sbin/agetty -L 115200 ttyS0 vt100\nhostname="kantoo"')
    assert (
        inside(copy, "stage4:final", "ls -d /portage /entropy /var/db/repos /usr/bin/eit 2>/dev/null || true")
        == ""
    )


@pytest.mark.docker
def test_the_password_of_root_is_in_the_image_as_a_hash_only(ran, copy, engine):
    """It was made for this workspace; no byte of the image and no line of a log holds it."""
    password = (copy.path / "workspace/root_password").read_text().strip()

    image = b"".join(engine.export(copy.image("stage4:final")))

    assert ran.code == 0
    assert len(password) >= 12
    assert password.encode() not in image
    assert re.match(r"root:\$(y|6)\$", inside(copy, "stage4:final", "grep ^root: /etc/shadow"))
    logs = [path.read_text(errors="replace") for path in copy.path.glob("logs/**/*") if path.is_file()]
    assert logs
    assert not [text for text in logs if password in text]


@pytest.mark.docker
def test_entropys_commands_are_called_as_recorded(ran, copy):
    """The server's calls and the client's, each with its answers, in this order."""
    assert ran.code == 0
    server = recorded(copy, "entropy_repo:push")
    client = recorded(copy, "entropy_install:install")

    assert [(re.sub(r" /tmp/\S+/(\S+)\.tbz2", r" \1", call), given) for call, given in server] == [
        ("equo rescue generate", YES * 3),
        ("equo rescue spmsync", ""),
        ("eit init --quick standin.example.org", YES),
        ("eit unlock standin.example.org", ""),
        ("eit inject --quick --to standin.example.org greeting-1.0 hello-1.0 standin-kernel-6.1", ""),
        ("eit push --quick standin.example.org", ""),
    ]
    assert client == [
        ("equo rescue generate", YES * 3),
        ("equo rescue spmsync", ""),
        ("equo update", ""),
        ("equo install app-misc/hello sys-kernel/standin-kernel", ""),
    ]


def recorded(copy, step):
    lines = inside(copy, step, "cat /var/log/entropy-contract").splitlines()
    return [(" ".join(entry["call"]), entry["given"]) for entry in map(json.loads, lines)]


@pytest.mark.docker
def test_what_leaves_the_engine_is_stage4_its_boot_files_and_the_repository(ran, copy):
    """Tars apart for / and /boot, and a folder that is a binhost as it stands."""
    assert ran.code == 0
    folder = copy.path / "artifacts/kantoo-standin"

    root = tar_names(folder / "stage4/stage4/stage4.tar.zst")
    boot = tar_names(folder / "stage4/stage4/boot.tar.zst")

    assert {"usr/bin/hello-standin", "lib/modules/6.1/modules.order", "etc/fstab"} <= {
        re.sub("^usr/lib/modules", "lib/modules", name) for name in root
    }
    assert {"vmlinuz-6.1", "cmdline.txt"} <= {name.rpartition("/")[2] for name in boot}
    assert not [name for name in root if name.endswith("vmlinuz-6.1")]
    assert not [name for name in root if re.match(r"(portage|entropy|var/db/repos)/", name)]
    binhost = folder / "build_repo/packages/binhost"
    assert sorted(path.name for path in binhost.rglob("*.gpkg.tar")) == [
        "greeting-1.0.gpkg.tar",
        "hello-1.0.gpkg.tar",
        "standin-kernel-6.1.gpkg.tar",
    ]
    assert (binhost / "Packages").read_text().count("\nCPV: ") == 3


def tar_names(path):
    listed = subprocess.run(["tar", "--zstd", "-tf", str(path)], capture_output=True, text=True, check=True)
    return {name.removeprefix("./") for name in listed.stdout.splitlines()}


@pytest.mark.docker
def test_a_second_run_has_nothing_to_do(ran, copy):
    """In less than seconds."""
    again = copy.stalker("run", TREE, "--json")

    assert ran.code == again.code == 0
    assert finished(again) == []


@pytest.mark.docker
def test_a_use_flag_and_an_ebuild_rebuild_their_packages_and_what_follows(ran, copy):
    """The kernel comes from the store; the repository and the system have the new packages."""
    copy.edit(TREE, 'GENTOO_USE: ""', "GENTOO_USE: app-misc/hello loud")
    copy.edit(
        "stalks/kantoo_standin/ebuilds/app-misc/greeting/greeting-1.0.ebuild", "hello from", "good day from"
    )

    changed = copy.stalker("run", TREE, "--json", "--until", "install")

    assert changed.code == ran.code == 0, changed.err + said(changed)
    assert built(changed) == ["app-misc/greeting-1.0", "app-misc/hello-1.0"]
    assert "3 packages, 2 new, 0 gone" in said(changed, "build_repo:binhost")
    assert not [step for step in finished(changed) if step.startswith(("standin:", "entropy_", "stage4"))]
    assert inside(copy, "install:final", "hello-standin") == "GOOD DAY FROM A BINARY PACKAGE"


# -- the stage3 ---------------------------------------------------------------------------------------


@pytest.fixture
def keys(tmp_path):
    ring = KeyRing(tmp_path / "gnupg")
    yield ring
    ring.close()


@pytest.fixture
def funtoo(new_copy, keys):
    """The original's tree with the base that its comment shows, its own key and a stage3 of busybox."""
    copy = new_copy()
    tree = "trees/kantoo/kantoo-entropy.hjson"
    text = (copy.path / tree).read_text()
    (shown,) = re.findall(r"^#   (base: \{ stage3: .*)$", text, re.MULTILINE)
    fingerprint = keys.new("builder")
    keys.public("builder", copy.path / "trees/kantoo/keys/funtoo.asc")
    copy.edit(tree, '      base: { tag: "funtoo/stage3:amd64-k10" }', "      " + shown)
    text = (copy.path / tree).read_text().replace("E8C574815DC174AF5A9E83853AA5CA5E683A2F8A", fingerprint)
    (copy.path / tree).write_text(text.replace("    OS: funtoo\n", f"    OS: {copy.os}\n"))
    copy.write(
        "stalks/kantoo_stage3/kantoo_stage3.hjson",
        f"plugins: {{ ok: {{ exec: true, text: '#!/bin/sh\\n: {copy.os}' }} }}",
    )
    return copy


@pytest.mark.docker
@pytest.mark.parametrize("signer", ["builder", "somebody"])
def test_a_stage3_is_taken_when_the_right_key_signed_it(funtoo, keys, signer):
    """Fetched from DIST/ARCH/SUBARCH/STAGE3_ARCHIVE with its .gpg; another key's signature ends the run."""
    if signer == "somebody":
        keys.new(signer)
        both = funtoo.path / "trees/kantoo/keys/funtoo.asc"
        both.write_bytes(both.read_bytes() + keys.gpg("--export", "--armor", f"<{signer}@example.org>"))
    stage3 = rootfs()
    signature = keys.sign(signer, stage3, funtoo.path / "signature", "--detach-sign").read_bytes()
    place = "std/x86-64bit/amd64-k10/stage3-latest.tar.xz"

    with serving(**{place: stage3, place + ".gpg": signature}) as served:
        tree = "trees/kantoo/kantoo-entropy.hjson"
        done = funtoo.stalker("run", tree, "--until", "stage3", "--json", "--set", f"DIST={served.url}/std")

    assert f"/{place}.gpg" in [path for _, path, _ in served.asked]
    if signer == "builder":
        assert done.code == 0, done.err
        assert finished(done) == ["stage3:ok"]
    else:
        assert done.code == 4
        assert "another key signed it" in done.err
        assert finished(done) == []
