"""Images and containers of a foreign architecture on a real engine: 32-bit ARM."""

from __future__ import annotations

import json
import os
import subprocess
import uuid
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from engines import remove_all_below, rootfs
from run_space import Space
from stalker.app.toolbox_image import image_maker
from stalker.engine.interface import ContainerSpec
from stalker.fetch.base.bootstrap import deb_lines
from stalker.fetch.base.provider import Bases
from stalker.formats import elf
from stalker.host import binfmt
from stalker.host.binfmt import find_interpreter, new_entry, read_emulators
from stalker.host.install_engine import look_around
from stalker.host.platform_support import find_emulator
from stalker.host.register_emulator import platform_up
from stalker.model.base_key import base_key
from stalker.model.diagnostics import Place
from stalker.model.labels import BASE
from stalker.model.tree import BootstrapBase

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stalker.engine.docker.adapter import DockerEngine
    from stalker.model.images import Image

pytestmark = pytest.mark.docker

ARM = "linux/arm/v7"
NAMES = f"stalker-test/foreign-{uuid.uuid4().hex[:8]}"
MIRROR = next((line.split()[1] for line in deb_lines("bookworm", ("main",)) if "[" not in line), "")
TINY = BootstrapBase(
    "bookworm",
    Place("trees/t/t.hjson"),
    variant="extract",
    mirror=MIRROR,  # one alone: security updates are not mirrored for every architecture everywhere
    include=("base-files", "coreutils", "dash"),
)
"""A Debian of which nothing runs while it is made; that it is armhf, the platform says."""


@pytest.fixture(scope="module")
def armhf(engine: DockerEngine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    """A tiny Debian for ARMv7, bootstrapped once."""
    folder = tmp_path_factory.mktemp("armhf")
    bases = Bases(engine, folder / "cache", folder, yes=True, platform=ARM)
    assert bases.obstacle(TINY) == ""
    yield bases.provide(TINY, f"{NAMES}/base:initial", lambda _: None)
    remove_all_below(engine, NAMES)


def test_a_bootstrap_for_a_platform_is_of_that_platform(engine, armhf):
    """Nobody said armhf: the tree said linux/arm/v7, and the image says so too, on every engine."""
    assert (armhf.architecture, armhf.variant) == ("arm", "v7")
    assert armhf.labels[BASE] == base_key(TINY, ARM)
    assert armhf.comment == f"stalker base {base_key(TINY, ARM)}"
    assert engine.missing_paths(armhf.id, ["/bin/cp", "/bin/dash"]) == []


# programs of that platform


@pytest.fixture(scope="module")
def emulated(tmp_path_factory: pytest.TempPathFactory, engine: DockerEngine) -> str:
    """See to it that this machine emulates ARM, as a user would, and shows what is registered; what was said."""
    binfmt.mount(look_around(os.environ), lambda _: None)
    space = Space(tmp_path_factory.mktemp("up"), "stalker-test", "", engine=engine, arch="x", subarch="y")
    done = space.stalker("engine", "up", "--yes", "--platform", ARM)
    assert done.code == 0, done.err
    return done.err


def test_engine_up_makes_the_engine_run_a_platform(emulated, workspace):
    """The emulator is opened at registration and keeps setuid; a second time changes nothing."""
    entry = find_emulator("arm", read_emulators())

    assert entry is not None
    assert {"O", "C", "F"} <= set(entry.flags)
    again = workspace.stalker("engine", "up", "--platform", ARM)
    assert again.code == 0
    assert f"{ARM}: emulated by {entry.name}" in again.err
    assert "registered" not in again.err


@pytest.fixture
def arm(emulated: str, workspace: Space, armhf: Image) -> Space:
    """A workspace whose stalks grow on the tiny Debian for ARMv7."""
    del emulated, armhf
    return replace(workspace, base=f"{NAMES}/base:initial")


def test_steps_of_a_foreign_platform_run_and_their_images_say_so(arm, engine):
    """They see an ARM, and what is committed is of that platform."""
    arm.tree({"web": {}}, platform=ARM)
    arm.stalk("web", {"look": "uname -m; echo seen >/seen", "again": "cat /seen"})

    done = arm.run()

    assert done.code == 0, done.err
    assert arm.log("web", "look") == b"armv7l\n"
    for step in ("look", "again"):
        image = engine.image(f"{arm.prefix}/web:{step}")
        assert (image.architecture, image.variant) == ("arm", "v7")


def test_setuid_programs_have_their_rights_in_an_emulator(emulated, engine, armhf):
    """Flag C: without it sudo and su do nothing in such a container."""
    container = engine.create(ContainerSpec(armhf.id, f"{NAMES.replace('/', '-')}-setuid", {}, platform=ARM))
    out = bytearray()
    try:
        engine.start(container)
        make = (
            "cp /bin/dash /tmp/d; chmod 4755 /tmp/d; mkdir -p /root; echo secret >/root/s; chmod 600 /root/s"
        )
        assert engine.exec(container, ["/bin/sh", "-c", make], {}, lambda *_: None) == 0
        read = ["/tmp/d", "-p", "-c", "read line </root/s; echo $line"]
        code = engine.exec(container, read, {}, lambda data, _: out.extend(data), user="1000:1000")
    finally:
        engine.remove_container(container)

    assert (code, bytes(out)) == (0, b"secret\n")


# a platform that nobody registered


RISC = "linux/riscv64"


@pytest.fixture
def unregistered() -> Iterator[None]:
    """A machine that does not emulate RISC-V; as it was before, afterwards."""
    before = find_emulator("riscv64", read_emulators())
    if before is not None:
        take_away(before)
    try:
        yield
    finally:
        now = find_emulator("riscv64", read_emulators())
        if now is not None:
            take_away(now)
        if before is not None:
            binfmt.register(before, None, "riscv64")


def take_away(entry: binfmt.Emulator) -> None:
    Path(f"{binfmt.BINFMT}/{entry.name}").write_text("-1", encoding="ascii")


@pytest.fixture
def risc(emulated: str, unregistered: None, engine: DockerEngine, workspace: Space) -> Space:
    """A workspace whose stalks grow on an image for RISC-V."""
    del emulated, unregistered
    name = f"{NAMES}/risc:initial"
    engine.import_rootfs([rootfs()], name, {}, "", RISC)
    return replace(workspace, base=name)


def test_a_step_whose_platform_cannot_run_is_blocked_before_anything_is_done(risc):
    """The plan names the command that fixes it; a run refuses with the same words."""
    risc.tree({"web": {}}, platform=RISC)
    risc.stalk("web", {"one": "true", "two": "true"})

    planned = risc.plan()
    done = risc.run()

    assert planned["web:one"][0] == planned["web:two"][0] == "BLOCKED"
    assert "no emulator for riscv64" in planned["web:one"][1]
    assert f"./stalker engine up --yes --platform {RISC}" in planned["web:one"][1]
    assert done.code == 2
    assert done.err.count(f"./stalker engine up --yes --platform {RISC}") == 1
    assert "web:one (1 step waits for it): linux/riscv64" in done.err
    assert risc.containers() == []


def test_a_run_with_yes_sees_to_the_emulator_that_its_tree_needs(risc):
    """It says what it changed, and runs the steps."""
    risc.tree({"web": {}}, platform=RISC)
    risc.stalk("web", {"one": "true", "two": "true"})

    done = risc.run("--yes")

    assert done.code == 0, done.err
    assert "registered" in done.err
    assert "undo, as root:" in done.err
    assert find_emulator("riscv64", read_emulators()) is not None


def test_a_hazard_that_the_tree_waives_does_not_block(risc):
    """Somebody who knows better says why."""
    why = {"no_emulator": "its programs are never run, only copied"}
    risc.tree({"web": {}}, platform=RISC, hazards={"waive": why})
    risc.stalk("web", {"one": "true"})

    assert risc.plan()["web:one"][0] == "RUN"


def test_the_doctor_says_whether_a_platform_runs(emulated, unregistered, workspace):
    """Of each platform of a tree, with the command for the one that does not."""
    workspace.tree({"web": {}, "arm": {"platform": ARM}}, platform=RISC)
    workspace.stalk("web", {"one": "true"})
    workspace.stalk("arm", {"one": "true"})

    findings = json.loads(workspace.stalker("doctor", "--json").out)

    states = {finding["name"]: finding for finding in findings if finding["name"].startswith("platform")}
    assert states[f"platform {RISC}"]["state"] == "wrong"
    assert states[f"platform {RISC}"]["remedy"] == f"./stalker engine up --yes --platform {RISC}"
    assert states[f"platform {ARM}"]["state"] != "wrong"


def test_an_entry_without_flags_is_replaced_and_can_be_brought_back(emulated, unregistered, workspace):
    """What is said is what undoes it, typed into a shell."""
    interpreter, _ = find_interpreter("riscv64", look_around(os.environ))
    old = replace(new_entry("riscv64", interpreter, "PF"), name="old-riscv")
    binfmt.register(old, None, "riscv64")

    refused = workspace.stalker("engine", "up", "--platform", RISC)
    assert refused.code == 1
    assert f"./stalker engine up --yes --platform {RISC}" in refused.err
    assert find_emulator("riscv64", read_emulators()).name == "old-riscv"

    done = workspace.stalker("engine", "up", "--yes", "--platform", RISC)

    assert done.code == 0, done.err
    now = find_emulator("riscv64", read_emulators())
    assert (now.name, {"O", "C", "F"} <= set(now.flags)) == ("qemu-riscv64", True)
    (undo,) = [line.partition("undo, as root: ")[2] for line in done.err.splitlines() if "undo" in line]
    subprocess.run(["sh", "-c", undo], check=True)
    assert [one for one in read_emulators() if one.emulates("riscv64")] == [replace(old, flags="PF")]
    assert elf.try_to_run("riscv64") == ""


def test_a_user_without_root_registers_from_the_toolbox(emulated, unregistered, engine):
    """A container that may mount does it; the emulator works when container and image are out of use."""
    said: list[str] = []
    host = replace(look_around(os.environ), is_root=False)

    platform_up(
        RISC,
        engine,
        host,
        yes=True,
        ask=None,
        say=said.append,
        image_of=image_maker(engine, said.append),
        labels={},
    )

    assert elf.try_to_run("riscv64") == ""
    assert not [one for one in engine.containers({}) if one.name.startswith("stalker-binfmt")]
    assert any("of the toolbox as qemu-riscv64 with flags POCF" in line for line in said)
