"""What one machine has of its own, put into the file systems of its image; and what is needed for any change of one."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stalker.card.inject.inject import inject
from stalker.card.inject.raw_data import put_raw
from stalker.card.payload import Bytes, Stock
from stalker.disk.edit.open import Editors, NamedPartitions
from stalker.disk.edit.view import View
from stalker.disk.inspect import read_disk
from stalker.disk.roles import by_name, roles_of
from stalker.errors import PlanError
from stalker.formats.fs.entry import Entry
from stalker.formats.fs.fat.names import fold_path

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from stalker.disk.inspect import PartitionFacts
    from stalker.formats.fs.entry import Editor
    from stalker.io.progress import Reporter
    from stalker.model.card import Creation, FetchedInjection, SecretText
    from stalker.toolbox.container import Tool

OUT = "/out"
OFFSPOT = "/offspot.yaml"
NO_DISK_ID = re.compile(r"(?:00000000-..)?")
"""A PARTUUID of an MBR with a disk id of zero."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What an injection needs next to the configuration.

    `mtime_s` is the time of all that is made. `secrets` reads a secret when it is needed.
    """

    mtime_s: int
    secrets: Callable[[SecretText], str]


def partitions_of(image: Path, creation: Creation) -> NamedPartitions:
    """Return the partitions of a raw image by their roles, numbers and labels."""
    found = read_disk(image).partitions
    roles = roles_of(found, creation.data_label, creation.root_number)
    return NamedPartitions(by_name(found, roles), roles.why_no_root)


def open_editors(
    image: Path,
    view: View,
    partitions: NamedPartitions,
    tool: Callable[[], Tool],
    mtime_s: int,
    reporter: Reporter,
) -> Editors:
    """Return the editors of an image; what of a base is damaged is repaired by the toolbox before it is changed."""

    def ready(one: PartitionFacts) -> None:
        from stalker.disk.edit.fsck import mend  # late: a file system that is sound needs none

        said = mend(image, one, tool(), OUT, epoch_s=mtime_s, check=reporter.check)
        if said:
            reporter.say(said)

    return Editors(view, partitions, mtime_s=mtime_s, ready=ready)


def device_in_fstab(one: PartitionFacts) -> str:
    """Return what names a partition in an fstab: its PARTUUID, or the UUID of its file system where it has none.

    An MBR with a disk id of zero gives its partitions no PARTUUID: neither Linux (block/partitions/msdos.c) nor
    libblkid makes one then.
    """
    if NO_DISK_ID.fullmatch(one.entry.uuid):
        return f"UUID={one.filesystem.uuid}"
    return f"PARTUUID={one.entry.uuid}"


def inject_all(
    creation: Creation,
    files: Mapping[FetchedInjection, Path],
    terms: Terms,
    editors: Editors,
    view: View,
    reporter: Reporter,
) -> None:
    """Put in what one machine has of its own, and the runtime configuration. Raises StalkerError."""
    injected = inject(
        editors,
        creation.injections,
        terms.secrets,
        fetched=files,
        data_device=device_in_fstab(editors.facts("data")) if creation.mounts_data else "",
        mtime_s=terms.mtime_s,
    )
    if creation.offspot is not None:
        _refuse_second(OFFSPOT, editors.of("boot"), injected.stocks)
    raw = creation.injections.raw
    for text in [*injected.said, *(put_raw(raw, files, editors, view) if raw else ())]:
        reporter.say(text)
    for editor, stock in injected.stocks:
        stock.put(editor, view, lambda _: None)
    if creation.offspot is not None:
        content = offspot_text(creation.offspot).encode()
        entry = Entry(OFFSPOT, "file", len(content), mtime_s=terms.mtime_s)
        Stock([Bytes(entry, content)]).put(editors.of("boot"), view, lambda _: None)


def _refuse_second(path: str, editor: Editor, stocks: Sequence[tuple[Editor, Stock]]) -> None:
    """Raise PlanError when a file is going to be put at a path of the boot partition that is taken."""
    paths = [one.path for other, stock in stocks if other is editor for one in stock.entries]
    if fold_path(path) in map(fold_path, paths):
        raise PlanError(
            f"{path} of boot is wanted twice",
            "injections.files puts a file where offspot, of the configuration, is written",
            "leave one of them out",
        )


def offspot_text(values: Mapping[str, Any]) -> str:
    """Return a runtime configuration as YAML, in the order in which it was written."""
    import yaml  # late: a run without one needs it not

    text: str = yaml.safe_dump(dict(values), sort_keys=False, allow_unicode=True)
    return text
