"""An image put together: the base copied, its data partition made ready, and everything written into it.

All that goes in is on this host already; here nothing is fetched. The image grows in a folder of its own and is
nobody's until it is finished.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from stalker.image.edit.copying import take_base
from stalker.image.edit.frame import DataWish, base_of, frame
from stalker.image.edit.injecting import OUT, inject_all, late_tool, open_editors, partitions_of
from stalker.image.edit.output import IMAGE
from stalker.image.edit.room import measure_of, room_for
from stalker.image.edit.stock import Stock, stock_of
from stalker.image.layout import Measure
from stalker.image.packed import packing_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from stalker.image.edit.editors import Editors
    from stalker.image.edit.injecting import Terms, Told
    from stalker.image.edit.room import Room
    from stalker.image.readback import PartitionFacts
    from stalker.image.toolbox import Tool, Toolbox
    from stalker.model.creation import Creation


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
class Assembled:
    """A raw image that is finished: where it is, and its partitions by what they are there for."""

    image: Path
    roles: Mapping[str, PartitionFacts]


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
    return Assembled(image, partitions)


def _stock_of(creation: Creation, ingredients: Ingredients, terms: Terms, told: Told) -> Stock:
    files = [(file, ingredients.files.get(number)) for number, file in enumerate(creation.files)]
    images = [(name, ingredients.images[number]) for number, name in terms.image_names.items()]
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
