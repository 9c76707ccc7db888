"""An image put together: the base copied, its data partition made ready, and everything written into it.

All that goes in is on this host already; here nothing is fetched. The image grows in a folder of its own and is
nobody's until it is finished.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from stalker.errors import PlanError
from stalker.image.edit.copying import take_base
from stalker.image.edit.editors import Editors
from stalker.image.edit.entries import Entry
from stalker.image.edit.frame import DataWish, base_of, frame
from stalker.image.edit.inject import inject
from stalker.image.edit.mending import mend
from stalker.image.edit.output import IMAGE
from stalker.image.edit.roles import roles_of
from stalker.image.edit.room import measure_of, room_for
from stalker.image.edit.stock import Bytes, Stock, stock_of
from stalker.image.layout import Measure
from stalker.image.packed import packing_of
from stalker.image.readback import read_disk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from stalker.image.edit.entries import Editor
    from stalker.image.edit.room import Load, Room
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
class Ingredients:
    """What was fetched: files, images and injected files by their number in the configuration.

    `digests` are the SHA-256 of those that were verified or counted, by the names they have in the manifest.
    """

    base: Path
    files: Mapping[int, Path] = field(default_factory=dict)
    images: Mapping[int, Path] = field(default_factory=dict)
    injected: Mapping[int, Path] = field(default_factory=dict)
    digests: Mapping[str, str] = field(default_factory=dict)


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


@dataclass(frozen=True, slots=True)
class Assembled:
    """A raw image that is finished: where it is, and its partitions by what they are there for."""

    image: Path
    roles: Mapping[str, PartitionFacts]
    room: Room


def assemble(
    creation: Creation,
    ingredients: Ingredients,
    terms: Terms,
    folder: Path,
    toolbox: Callable[[], Toolbox],
    told: Told,
) -> Assembled:
    """Put an image together in `folder`.

    Raises:
        PlanError: it does not fit the size that was asked for, or is larger than it may be.
        InputError: the base or an archive is damaged, or would write outside its folder.
        StalkerError: the base cannot be built upon, a file system cannot hold what is to go there, no room.
    """
    stock = _stock_of(creation, ingredients, terms, told)
    image, base = folder / IMAGE, ingredients.base
    is_packed = bool(packing_of(base))
    if is_packed:
        _take(base, image, told)
    known = base_of(image if is_packed else base, creation.data_label)
    room = room_for(known, _measure(creation, stock, terms), creation.output, max_bytes=terms.max_bytes)
    if not is_packed:
        _take(base, image, told)
    with late_tool(toolbox, folder) as tool:
        if stock.parts or creation.needs_data or room.image_bytes != known.size_bytes:
            partitions = _framed(creation, stock, terms, image, room, tool(), told)
        else:
            partitions = partitions_of(image, creation.data_label)
        with image.open("r+b", buffering=0) as stream:
            editors = open_editors(image, stream.fileno(), partitions, tool, terms.mtime_s, told)
            _fill(creation, ingredients, terms, stock, editors, stream.fileno(), told)
            editors.finish()
    return Assembled(image, partitions, room)


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


def _stock_of(creation: Creation, ingredients: Ingredients, terms: Terms, told: Told) -> Stock:
    files = [(file, ingredients.files.get(number)) for number, file in enumerate(creation.files)]
    images = [
        (image, terms.image_names[number], ingredients.images[number])
        for number, image in enumerate(creation.images)
    ]
    config = creation.text if creation.writes_config else None
    notices: list[str] = []
    stock = stock_of(files, images, config, mtime_s=terms.mtime_s, notices=notices)
    for text in notices:
        told.say(text)
    return stock


def _measure(creation: Creation, stock: Stock, terms: Terms) -> Measure | None:
    """Return what the data partition has to have room for: what is put there, and what images become there."""
    if not stock.parts and not creation.needs_data:
        return None
    own, later = stock.measure(), measure_of(terms.loaded)
    return Measure(*(one + other for one, other in zip(own.state(), later.state(), strict=True)))


def _take(base: Path, image: Path, told: Told) -> None:
    with image.open("xb") as target:
        take_base(base, target, told.adder("copying the base", base.stat().st_size), told.check)


def _framed(
    creation: Creation,
    stock: Stock,
    terms: Terms,
    image: Path,
    room: Room,
    tool: Tool,
    told: Told,
) -> Mapping[str, PartitionFacts]:
    wish = None
    if stock.parts or creation.needs_data:
        # The same configuration on the same base gives the same ids.
        wish = DataWish(creation.text, creation.data_label, len(stock.entries), terms.mtime_s)
    found = frame(image, tool, OUT, size_bytes=room.image_bytes, data=wish, check=told.check)
    for text in found.said:
        told.say(text)
    return partitions_of(image, creation.data_label)


def _fill(
    creation: Creation,
    ingredients: Ingredients,
    terms: Terms,
    stock: Stock,
    editors: Editors,
    descriptor: int,
    told: Told,
) -> None:
    if stock.parts:
        total = stock.content_bytes
        stock.put(editors.of("data"), descriptor, told.adder("writing the data partition", total))
    inject_all(creation, ingredients.injected, terms, editors, descriptor, told)


@contextlib.contextmanager
def late_tool(toolbox: Callable[[], Toolbox], folder: Path) -> Iterator[Callable[[], Tool]]:
    """Give what opens the toolbox when it is first asked for: what changes a FAT alone needs none."""
    with contextlib.ExitStack() as stack:
        opened: list[Tool] = []

        def tool() -> Tool:
            if not opened:
                opened.append(
                    stack.enter_context(
                        toolbox().opened(
                            "toolbox", folder=folder, folder_target=OUT, tmpfs={"/stage": "mode=1777"}
                        )
                    )
                )
            return opened[0]

        yield tool
