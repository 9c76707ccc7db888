"""`stalker image boot`: a disk image in QEMU, with its serial console in this terminal, or tested again."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import threading
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from stalker.app.environment import connect
from stalker.app.toolbox_image import open_toolbox
from stalker.app.trees import read_tree
from stalker.boot.boot_files import FOLDER, NotBootable
from stalker.boot.guess_test import guess_test
from stalker.boot.machines import Part
from stalker.boot.qemu import DISK_FOLDER, ENVIRONMENT, IMAGE, accelerator_for, opened, prepared
from stalker.boot.record import from_record
from stalker.boot.run import boot_disk, part_of
from stalker.cli.commands.image_info import existing
from stalker.cli.terminal import say
from stalker.config.tree.secrets import read_secrets
from stalker.disk.inspect import is_packed, manifest_beside, read_disk, unpack_image
from stalker.engine.docker.attach import Program, run_in_pipes, run_in_terminal
from stalker.errors import Interrupted, StalkerError
from stalker.io.progress import Task
from stalker.io.signals import ended_by_signals
from stalker.io.units import duration_text, timeout_s
from stalker.journal.views.transfers import Transfers

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from stalker.app.settings import Settings
    from stalker.disk.manifest import Manifest
    from stalker.engine.docker.adapter import DockerEngine
    from stalker.model.artifacts import BootTest
    from stalker.toolbox.container import Toolbox

KEYS = "Ctrl-A X ends the machine, Ctrl-A H lists more keys; what it writes is thrown away"


@dataclass(slots=True)
class Bench:
    """What `boot_disk` needs of a workshop."""

    toolbox: Toolbox | None
    secrets: Mapping[str, str]
    cancel: threading.Event = field(default_factory=threading.Event)

    def check(self) -> None:
        """Raise Interrupted when `cancel` is set."""
        if self.cancel.is_set():
            raise Interrupted("interrupted")


@click.command()
@click.argument("image", metavar="IMG")
@click.option("--test", "is_test", is_flag=True, help="Go through the boot test that its manifest keeps.")
@click.option("--machine", metavar="NAME", default="", help="raspi2b, raspi3b, virt, q35, pc or microvm.")
@click.option("--network", is_flag=True, help="Let the machine reach the network.")
@click.option("--timeout", metavar="TIME", default="", help="With --test: 90s, 5m; default: the test's own.")
@click.option("--log", metavar="FILE", default="", help="With --test: keep the transcript of the console.")
@click.pass_context
def boot(
    ctx: click.Context, image: str, is_test: bool, machine: str, network: bool, timeout: str, log: str
) -> None:
    """Boot IMG in QEMU, with its serial console here.

    IMG is an .img, or one packed as .img.zst, .img.xz, .img.gz or .zip. How it boots is in its manifest, or read
    off what is in it. IMG is never written. In the machine's console, Ctrl-A X ends it.
    """
    if (timeout or log) and not is_test:
        ctx.fail("--timeout and --log go with --test")
    path = existing(image)
    manifest = manifest_beside(path)
    engine = connect()
    try:
        with ended_by_signals(), _opened(engine, path) as (toolbox, raw):
            parts = _parts(raw, manifest)
            test = _test(toolbox, raw, parts, manifest, machine)
            test = replace(test, has_network=test.has_network or network)
            if is_test:
                ctx.exit(_run_test(ctx.obj, image, _timed(test, timeout), raw, parts, toolbox, manifest, log))
            ctx.exit(_converse(engine, toolbox, test, raw, parts))
    finally:
        engine.close()


@contextlib.contextmanager
def _opened(engine: DockerEngine, path: Path) -> Iterator[tuple[Toolbox, Path]]:
    """Give a toolbox and the raw image; a compressed one is decompressed into a temporary directory."""
    toolbox = open_toolbox(engine, say)
    if not is_packed(path):
        yield toolbox, path
        return
    with tempfile.TemporaryDirectory(prefix="stalker-boot-") as scratch:
        with Transfers(quiet_s=1.0) as reporter, toolbox.opened("toolbox", folder=Path(scratch)) as tool:
            task = Task(f"unpacking {path.name}", reporter, path.stat().st_size)
            unpack_image(path, tool, "/out/disk.img", task.add)
        yield toolbox, Path(scratch) / "disk.img"


def _parts(raw: Path, manifest: Manifest | None) -> list[Part]:
    """Return the partitions of a disk: those that its manifest knows, else those of its table."""
    if manifest is not None and manifest.disk.get("partitions"):
        try:
            return [part_of(one) for one in manifest.disk["partitions"]]
        except (KeyError, TypeError, ValueError):
            say("its manifest does not list its partitions; the table is used")
    found = [
        Part(
            one.entry.number,
            str(one.entry.number),
            "vfat" if one.filesystem.kind.startswith(("fat", "vfat")) else one.filesystem.kind,
            one.start_bytes,
            one.size_bytes,
            one.entry.uuid,
        )
        for one in read_disk(raw).partitions
    ]
    # Who made the disk would know; most often it is so.
    roots = [one for one in found if one.filesystem in {"ext4", "squashfs"}]
    root = max(roots, key=lambda one: one.size_bytes, default=None)
    return [replace(one, source="/") if one is root else one for one in found]


def _test(
    toolbox: Toolbox, raw: Path, parts: Sequence[Part], manifest: Manifest | None, machine: str
) -> BootTest:
    record = manifest.boot.get("test") if manifest is not None else None
    known = from_record(record, "manifest.json") if record else None
    if known is not None and machine in {"", known.machine}:
        return known
    with raw.open("rb") as stream:
        has_boot_code = any(stream.read(440))
    with toolbox.opened(IMAGE, folder=raw.parent, folder_target=DISK_FOLDER, writable=False) as tool:
        target = f"{DISK_FOLDER}/{raw.name}"
        guessed = guess_test(tool, target, parts, machine=machine, has_boot_code=has_boot_code)
    if known is None:
        return guessed
    return replace(guessed, expectations=known.expectations, timeout_s=known.timeout_s)


def _timed(test: BootTest, timeout: str) -> BootTest:
    if not timeout:
        return test
    try:
        return replace(test, timeout_s=timeout_s(timeout))
    except ValueError as error:
        raise click.UsageError(f"--timeout {timeout}: {error}") from error


def _run_test(
    settings: Settings,
    name: str,
    test: BootTest,
    raw: Path,
    parts: Sequence[Part],
    toolbox: Toolbox,
    manifest: Manifest | None,
    log: str,
) -> int:
    if not test.expectations:
        say("no boot test is known of it: it is booted to a login")
    bench = Bench(toolbox, _secrets(settings, test, manifest))
    result = boot_disk(test, raw, parts, bench, Path(log or os.devnull), say)
    if result.passed:
        print(
            f"{name}: passed on {result.machine} ({result.accelerator}) after {duration_text(result.duration_s)}"
        )
        return 0
    print("\n".join(f"  | {line}" for line in result.last_lines), file=sys.stderr)
    print(f"{name}: the boot test failed on {result.machine}: {result.reason}", file=sys.stderr)
    return 1


def _secrets(settings: Settings, test: BootTest, manifest: Manifest | None) -> dict[str, str]:
    """Return the secrets that a test types: as its tree says, else from the environment."""
    names = {one.secret for one in test.expectations if one.secret}
    found = {name: os.environ[name] for name in names if os.environ.get(name)}
    missing = sorted(names - found.keys())
    if missing and manifest is not None:
        tree = read_tree(settings, manifest.tree)
        return found | read_secrets(tree, missing, os.environ)
    if missing:
        raise StalkerError(
            f"the boot test types {', '.join(missing)}",
            "no value was given",
            f"{missing[0]}=... in the environment",
        )
    return found


def _converse(
    engine: DockerEngine, toolbox: Toolbox, test: BootTest, raw: Path, parts: Sequence[Part]
) -> int:
    """Give the machine's console to the user; return QEMU's exit code."""
    accelerator = accelerator_for(test, raw, parts, toolbox)
    with opened(toolbox, raw, test, accelerator) as tool:
        target = f"{DISK_FOLDER}/{raw.name}"
        try:
            argv = prepared(tool, test, target, parts, accelerator, is_for_people=True)
        except NotBootable as error:
            raise StalkerError(f"this image does not boot on a {test.machine}: {error}") from error
        program = Program(tool.container, argv, ENVIRONMENT, user=tool.user, workdir=FOLDER)
        say(f"booting it on {test.machine} ({accelerator}); {KEYS}")
        if sys.stdin.isatty() and sys.stdout.isatty():
            try:
                return run_in_terminal(engine, program, stdin=0, stdout=1)
            finally:
                print("\x1b[0m\r")  # a machine that was ended leaves its colours
        return run_in_pipes(engine, program, stdin=0, stdout=1, stderr=2)
