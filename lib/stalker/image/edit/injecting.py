"""What one machine has of its own, put into the file systems of its image; and what is needed for any change of one."""

from __future__ import annotations

import contextlib
import functools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from stalker.errors import PlanError
from stalker.image.edit.editors import Editors
from stalker.image.edit.entries import Entry
from stalker.image.edit.inject import inject
from stalker.image.edit.roles import roles_of
from stalker.image.edit.stock import Bytes, Stock
from stalker.image.readback import read_disk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from stalker.image.edit.entries import Editor
    from stalker.image.edit.room import Load
    from stalker.image.readback import PartitionFacts
    from stalker.image.toolbox import Tool, Toolbox
    from stalker.model.creation import Creation, SecretText

OUT = "/out"
OFFSPOT = "/offspot.yaml"


class Told(Protocol):
    """Who is told what is done: lines, and how far something long is."""

    def say(self, text: str) -> None:
        """Hear of something."""

    def adder(self, doing: str, total_bytes: int) -> Callable[[int], None]:
        """Return what is told how many bytes more of it are done."""

    def check(self) -> None:
        """Raise Interrupted when it is to stop."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What was said besides the configuration.

    `image_names` are the file names of the container images by their number, `loaded` what these take once they
    are loaded. `mtime_s` is the time of all that is made. `secrets` reads a secret when it is needed.
    """

    mtime_s: int
    secrets: Callable[[SecretText], str]
    image_names: Mapping[int, str] = field(default_factory=dict)
    loaded: Sequence[Load] = ()
    max_bytes: int | None = None


def partitions_of(image: Path, data_label: str) -> dict[str, PartitionFacts]:
    """Return the partitions of a raw image by what they are there for, and by their numbers."""
    found = read_disk(image).partitions
    roles = roles_of(found, data_label)
    named = {"boot": roles.boot, "root": roles.root, "data": roles.data}
    numbered = {str(one.entry.number): one for one in found}
    return {name: one for name, one in named.items() if one is not None} | numbered


def open_editors(
    image: Path,
    descriptor: int,
    partitions: Mapping[str, PartitionFacts],
    tool: Callable[[], Tool],
    mtime_s: int,
    told: Told,
) -> Editors:
    """Return the editors of an image; what of a base is not clean is mended before it is changed."""

    def ready(one: PartitionFacts) -> None:
        from stalker.image.edit.mending import mend  # late: a FAT that is sound needs none

        said = mend(image, one, tool(), OUT, epoch_s=mtime_s, check=told.check)
        if said:
            told.say(said)

    return Editors(descriptor, partitions, tool, f"{OUT}/{image.name}", mtime_s=mtime_s, ready=ready)


def inject_all(
    creation: Creation,
    files: Mapping[int, Path],
    terms: Terms,
    editors: Editors,
    descriptor: int,
    told: Told,
) -> None:
    """Put in what one machine has of its own, and the runtime configuration. Raises StalkerError."""
    injected = inject(
        editors,
        creation.injections,
        terms.secrets,
        fetched=files,
        data_partuuid=editors.facts("data").entry.uuid if creation.mounts_data else "",
        mtime_s=terms.mtime_s,
    )
    if creation.offspot is not None:
        _refuse_second(OFFSPOT, editors.of("boot"), injected.stocks)
    for text in injected.said:
        told.say(text)
    for editor, stock in injected.stocks:
        stock.put(editor, descriptor, lambda _: None)
    if creation.offspot is not None:
        content = offspot_text(creation.offspot).encode()
        entry = Entry(OFFSPOT, "file", len(content), mtime_s=terms.mtime_s)
        Stock([Bytes(entry, content)]).put(editors.of("boot"), descriptor, lambda _: None)


def _refuse_second(path: str, editor: Editor, stocks: Sequence[tuple[Editor, Stock]]) -> None:
    """Raise PlanError when a file is going to be put at a path of the boot partition that is taken."""
    paths = [one.path for other, stock in stocks if other is editor for one in stock.entries]
    if any(one.lower() == path for one in paths):
        raise PlanError(
            f"{path} of boot is wanted twice",
            "injections.files puts a file where offspot, of the configuration, comes to stand",
            "leave one of them out",
        )


def offspot_text(values: Mapping[str, Any]) -> str:
    """Return a runtime configuration as YAML, in the order in which it was written."""
    import yaml  # late: a run without one needs it not

    text: str = yaml.safe_dump(dict(values), sort_keys=False, allow_unicode=True)
    return text


@contextlib.contextmanager
def late_tool(toolbox: Callable[[], Toolbox], folder: Path) -> Iterator[Callable[[], Tool]]:
    """Give what opens the toolbox when it is first asked for: what changes a FAT alone needs none."""
    with contextlib.ExitStack() as stack:

        @functools.cache
        def tool() -> Tool:
            return stack.enter_context(toolbox().opened("toolbox", folder=folder, folder_target=OUT))

        yield tool
