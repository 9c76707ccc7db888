"""Write a disk image onto a card and read it back.

1 open the image, check its first bytes, 2 look at the device, 3 confirm, 4 check the image's checksum and block map, 5 open the device exclusively and
check it again, 6 write, 7 verify, 8 read the new partition table.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stalker.errors import Interrupted
from stalker.flash.source import check_digest, check_head, check_map, open_source
from stalker.flash.writer import held, reread_table, verify_card, write_card
from stalker.host.block_device import check_writable, see_device
from stalker.io.progress import Task

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from stalker.flash.source import Source
    from stalker.host.block_device import Device
    from stalker.io.progress import Reporter

INCOMPLETE = "the card is incomplete: it has no partition table and starts nothing"


@dataclass(frozen=True, slots=True)
class WrittenCard:
    """What was written: the device, the bytes of the image, whether they were read back, the time it took."""

    device: str
    written_bytes: int
    is_verified: bool
    duration_s: float


def write_image_to_card(
    image: Path,
    device: str,
    confirm: Callable[[Source, Device], None],
    reporter: Reporter,
    *,
    allow_fixed: bool = False,
    whole: bool = False,
    verifies: bool = True,
    force: bool = False,
) -> WrittenCard:
    """Write an image onto a card; all on the device is lost.

    `confirm` is called before anything is written, and raises to refuse. With `whole` every byte is written,
    also what the block map leaves out; with `force` also what is not a disk image.

    Raises:
        PlanError: the device is not one to write to. InputError: the image is damaged or too large.
        StalkerError: the device fails. Interrupted: the text says whether the card is complete.
    """
    source = open_source(image, whole=whole)  # 1
    check_head(source, force=force)
    if source.notice:
        reporter.say(source.notice)
    card = see_device(device)  # 2
    check_writable(card, source.known_bytes, allow_fixed=allow_fixed)
    confirm(source, card)  # 3
    began_s, is_touched = time.monotonic(), False
    try:
        check_digest(source, Task("checking", reporter, source.path.stat().st_size).add)  # 4
        check_map(source)
        with held(card) as descriptor:  # 5
            # It may have been mounted, or changed, while the question was open.
            check_writable(see_device(device), source.known_bytes, allow_fixed=allow_fixed)
            is_touched = True
            written = write_card(descriptor, card, source, reporter)  # 6
            is_touched = False
            if verifies:
                verify_card(descriptor, card, written, reporter)  # 7
            reread_table(descriptor)  # 8
    except KeyboardInterrupt:
        state = INCOMPLETE if is_touched else "all is written; it was not read back to the end"
        raise Interrupted("interrupted", f"{card.path}: {state}", "write it again") from None
    except BaseException:
        if is_touched:
            reporter.say(f"{card.path}: {INCOMPLETE}")
        raise
    return WrittenCard(card.path, written.bytes, verifies, time.monotonic() - began_s)
