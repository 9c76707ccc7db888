"""The container that QEMU runs in, and what is put in place there before it starts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stalker.image.bootfiles import FOLDER, fetch_boot_files
from stalker.image.machines import card_bytes, kernel_arguments, qemu_argv

if TYPE_CHECKING:
    import contextlib
    from collections.abc import Sequence
    from pathlib import Path

    from stalker.image.machines import Part
    from stalker.image.toolbox import Tool, Toolbox
    from stalker.model.artifacts import BootTest

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
