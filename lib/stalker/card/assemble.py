"""Assemble an image: the base copied, its data partition prepared, and everything written into it.

All that goes in is on this host already; nothing is fetched here. The image grows in a directory of its own.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stalker.card.inject.image_file import OUT, inject_all, open_editors
from stalker.card.output import IMAGE
from stalker.card.partitions import DataRequest, frame, inspect_base
from stalker.card.payload import stock_of
from stalker.card.sizing import measure_of, plan_layout
from stalker.disk.edit.open import NamedPartitions
from stalker.disk.edit.view import FileView
from stalker.disk.layout import Measure
from stalker.disk.roles import by_name
from stalker.io.compression.reader import packing_of
from stalker.io.progress import Task
from stalker.io.sparse import take_base

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from stalker.card.inject.image_file import Terms
    from stalker.card.partitions import BaseDisk
    from stalker.card.payload import Stock
    from stalker.card.sizing import Layout, Load
    from stalker.disk.edit.open import Editors
    from stalker.disk.edit.view import View
    from stalker.disk.inspect import PartitionFacts
    from stalker.io.progress import Reporter
    from stalker.model.card import Creation, DataFile, FetchedInjection
    from stalker.toolbox.container import Tool


@dataclass(frozen=True, slots=True)
class ImageArchive:
    """The archive of a container image: its file name in the machine, its path, what it takes once loaded."""

    name: str
    path: Path
    loaded: Load


@dataclass(frozen=True, slots=True)
class Ingredients:
    """What was fetched, each with what the configuration says of it.

    `disk` is the base, if it was inspected before. `digests` are the SHA-256 of what was verified or hashed, by
    the names in the manifest.
    """

    base: Path
    disk: BaseDisk | None
    files: tuple[tuple[DataFile, Path | None], ...]
    images: tuple[ImageArchive, ...]
    injected: Mapping[FetchedInjection, Path]
    digests: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Assembled:
    """A raw image that is finished: its path, its layout, and its partitions by role and number."""

    image: Path
    layout: Layout
    partitions: Mapping[str, PartitionFacts]


def assemble(
    creation: Creation,
    ingredients: Ingredients,
    terms: Terms,
    directory: Path,
    tool: Callable[[], Tool],
    reporter: Reporter,
    *,
    max_bytes: int | None = None,
) -> Assembled:
    """Assemble an image in `directory`.

    Raises:
        PlanError: it does not fit the size that was requested, or is larger than it may be.
        InputError: the base or an archive is damaged, or would write outside its directory.
        StalkerError: no image can grow from the base, a file system cannot hold what goes there, no space.
    """
    stock = _stock_of(creation, ingredients, terms, reporter)
    measure = _measure(creation, stock, ingredients)
    image, base = directory / IMAGE, ingredients.base
    is_compressed = bool(packing_of(base))
    if is_compressed:
        _copy_base(base, image, reporter)
    disk = inspect_base(
        image if is_compressed else base,
        creation.data_label,
        ingredients.disk,
        root_number=creation.root_number,
        called=str(base),
    )
    layout = plan_layout(disk.base, measure, creation.output, max_bytes=max_bytes)
    if not is_compressed:
        _copy_base(base, image, reporter)
    if measure is not None or layout.image_bytes != disk.size_bytes:
        partitions = _framed(creation, stock, terms, image, disk, layout, tool(), reporter)
    else:
        partitions = disk.partitions
    with image.open("r+b", buffering=0) as stream:
        view = FileView(stream.fileno())
        named = NamedPartitions(partitions, disk.roles.why_no_root)
        editors = open_editors(image, view, named, tool, terms.mtime_s, reporter)
        with contextlib.closing(editors):
            _fill(creation, ingredients, terms, stock, editors, view, reporter)
            editors.finish()
    return Assembled(image, layout, partitions)


def _stock_of(creation: Creation, ingredients: Ingredients, terms: Terms, reporter: Reporter) -> Stock:
    images = [(one.name, one.path) for one in ingredients.images]
    config = creation.text if creation.writes_config else None
    notices: list[str] = []
    stock = stock_of(ingredients.files, images, config, mtime_s=terms.mtime_s, notices=notices)
    for text in notices:
        reporter.say(text)
    return stock


def _measure(creation: Creation, stock: Stock, ingredients: Ingredients) -> Measure | None:
    """Return what the data partition must hold: what is put there, and what images become there."""
    if not stock.parts and not creation.needs_data:
        return None
    own, later = stock.measure(), measure_of(one.loaded for one in ingredients.images)
    return Measure(*(one + other for one, other in zip(own.state(), later.state(), strict=True)))


def _copy_base(base: Path, image: Path, reporter: Reporter) -> None:
    with image.open("xb") as target:
        take_base(base, target, Task("copying the base", reporter, base.stat().st_size).add, reporter.check)


def _framed(
    creation: Creation,
    stock: Stock,
    terms: Terms,
    image: Path,
    disk: BaseDisk,
    layout: Layout,
    tool: Tool,
    reporter: Reporter,
) -> Mapping[str, PartitionFacts]:
    data = None
    if stock.parts or creation.needs_data:
        # The same configuration on the same base gives the same ids.
        data = DataRequest(creation.text, creation.data_label, len(stock.entries), terms.mtime_s)
    framed = frame(image, disk, tool, OUT, size_bytes=layout.image_bytes, data=data, check=reporter.check)
    for text in framed.changes:
        reporter.say(text)
    return by_name(framed.partitions, framed.roles)


def _fill(
    creation: Creation,
    ingredients: Ingredients,
    terms: Terms,
    stock: Stock,
    editors: Editors,
    view: View,
    reporter: Reporter,
) -> None:
    if stock.parts:
        total = stock.content_bytes
        stock.put(editors.of("data"), view, Task("writing the data partition", reporter, total).add)
    inject_all(creation, ingredients.injected, terms, editors, view, reporter)
