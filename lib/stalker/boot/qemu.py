"""The container that QEMU runs in, and what is put in place there before it starts.

Whether a host's KVM really runs guests: on many hosts /dev/kvm is there, and guests hang in it.

So nothing is believed: the test's own kernel is started with KVM for some seconds, and must come past what any
half-working KVM manages. The answer holds for a host as long as it is up, and for one image of QEMU.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from stalker.boot.boot_files import FOLDER, NotBootable, fetch_boot_files
from stalker.boot.machines import architecture_of, board_of, card_bytes, kernel_arguments, qemu_argv
from stalker.errors import Interrupted, NoEngine, StalkerError
from stalker.io.atomic import write_file

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stalker.boot.machines import Part
    from stalker.model.artifacts import BootTest
    from stalker.toolbox.container import Tool, Toolbox


IMAGE = "toolbox_qemu"
KVM = "/dev/kvm"
DISK_FOLDER = "/disk"
OVERLAY = f"{FOLDER}/overlay.qcow2"
ENVIRONMENT = {"LC_ALL": "C.UTF-8", "TZ": "UTC", "HOME": FOLDER, "TMPDIR": FOLDER}


def opened(
    toolbox: Toolbox, disk: Path, test: BootTest, accelerator: str
) -> contextlib.AbstractContextManager[Tool]:
    """Open a container that sees a disk and nothing else."""
    return toolbox.opened(
        IMAGE,
        folder=disk.parent,
        folder_target=DISK_FOLDER,
        writable=False,
        network=test.has_network,
        devices=(KVM,) if accelerator == "kvm" else (),
    )


def prepared(
    tool: Tool,
    test: BootTest,
    disk: str,
    parts: Sequence[Part],
    accelerator: str,
    *,
    more: str = "",
    is_for_people: bool = False,
) -> tuple[str, ...]:
    """Put in place what QEMU needs and return its command; `more` is added to the kernel's arguments.

    Raises:
        NotBootable: the disk does not hold what the test boots.
    """
    files = fetch_boot_files(tool, disk, test, parts)
    size = int(tool.run(["stat", "-c", "%s", disk]))
    # Its own size is the card's: a real card is larger than the image, too.
    make = ["qemu-img", "create", "-q", "-f", "qcow2", "-b", disk, "-F", "raw", OVERLAY]
    tool.run([*make, str(card_bytes(test, size))])
    append = f"{kernel_arguments(test, files.arguments, parts)} {more}".strip() if test.kernel else ""
    return qemu_argv(
        test,
        disk=OVERLAY,
        kernel=files.kernel,
        initrd=files.initrd,
        device_tree=files.device_tree,
        append=append,
        accelerator=accelerator,
        is_for_people=is_for_people,
    )


PROBE_S = 10.0
LOUD = "loglevel=7 ignore_loglevel panic=-1"
ALIVE = re.compile(rb"Freeing unused|Run /\S*init as init|Kernel panic|login:|systemd\[1\]")
"""What a kernel says that has come past its drivers."""

PROGRAMS = {
    "x86_64": ("x86_64", "i386"),
    "amd64": ("x86_64", "i386"),
    "aarch64": ("aarch64",),
    "arm64": ("aarch64",),
}
"""The machines that an engine's processor runs by itself."""

_known: dict[str, bool] = {}
_lock = threading.Lock()


def accelerator_for(test: BootTest, disk: Path, parts: Sequence[Part], toolbox: Toolbox) -> str:
    """Return `kvm` where a probe has shown that it works here, else `tcg`.

    Raises:
        Interrupted: the user stopped the run.
    """
    if not can_be(test, toolbox):
        return "tcg"
    with _lock:
        key = _key(test, toolbox)
        if key not in _known:
            _known.update(_read(toolbox))
        if key not in _known:
            _known[key] = _runs(test, disk, parts, toolbox)
            _write(toolbox, key)
        return "kvm" if _known[key] else "tcg"


def can_be(test: BootTest, toolbox: Toolbox) -> bool:
    """Return whether a probe is worth its seconds."""
    info = toolbox.engine.info()
    return (
        not board_of(test).is_fixed
        and not test.cpu
        and architecture_of(test) in PROGRAMS.get(info.architecture, ())
        and info.address.startswith("unix:")
        and os.access(KVM, os.R_OK | os.W_OK)
    )


def _runs(test: BootTest, disk: Path, parts: Sequence[Part], toolbox: Toolbox) -> bool:
    heard = bytearray()
    began_s = time.monotonic()

    def is_told() -> bool:
        over = time.monotonic() - began_s > PROBE_S or ALIVE.search(heard) is not None
        return over or (toolbox.cancel is not None and toolbox.cancel.is_set())

    try:
        with opened(toolbox, disk, replace(test, has_network=False), "kvm") as tool:
            argv = prepared(tool, test, f"{DISK_FOLDER}/{disk.name}", parts, "kvm", more=LOUD)
            began_s = time.monotonic()
            tool.engine.exec(
                tool.container,
                argv,
                ENVIRONMENT,
                lambda data, _: heard.extend(data),
                user=tool.user,
                workdir=FOLDER,
                stop=is_told,
            )
    except (Interrupted, NoEngine):
        raise
    except (StalkerError, NotBootable):
        return False
    if toolbox.cancel is not None and toolbox.cancel.is_set():
        raise Interrupted("interrupted", "a machine was being started")
    return ALIVE.search(heard) is not None


def _key(test: BootTest, toolbox: Toolbox) -> str:
    try:
        boot_id = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        boot_id = ""
    return f"{boot_id} {toolbox.image_of(IMAGE)} {test.machine} {architecture_of(test)}"


def _read(toolbox: Toolbox) -> dict[str, bool]:
    if toolbox.cache_dir is None:
        return {}
    try:
        found = json.loads((toolbox.cache_dir / "kvm.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {str(key): value is True for key, value in found.items()} if isinstance(found, dict) else {}


def _write(toolbox: Toolbox, key: str) -> None:
    """Keep the answers that hold since this host is up; without a cache they hold for this process."""
    if toolbox.cache_dir is None:
        return
    kept = {
        other: value
        for other, value in _known.items()
        if other.split(maxsplit=1)[0] == key.split(maxsplit=1)[0]
    }
    file = toolbox.cache_dir / "kvm.json"
    with contextlib.suppress(OSError):
        toolbox.cache_dir.mkdir(parents=True, exist_ok=True)
        write_file(file, json.dumps(kept, indent=1), durable=False)
