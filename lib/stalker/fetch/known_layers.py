"""Layers that stand in archives of other images already: a tag that moved brings along its new layers alone."""

from __future__ import annotations

import contextlib
import hashlib
import tarfile
import threading
from typing import NamedTuple

from stalker.fetch.entry import Validators
from stalker.fetch.files import CHUNK_BYTES
from stalker.fetch.keeping import Keeper
from stalker.fetch.oci import Layer
from stalker.fetch.oci_archive import layer_name
from stalker.fetch.partial import Partial


class _Spot(NamedTuple):
    """Where a layer stands: in which content, from which byte on."""

    sha256: str
    at: int
    size_bytes: int


class KnownLayers:
    """The layers in the cache; nothing is read before one is asked for."""

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper
        self._guard = threading.Lock()
        self._spots: dict[str, _Spot] | None = None

    def copy(self, layer: Layer, part: Partial) -> bool:
        """Copy a layer into an empty part, if it is there and right."""
        with self._guard:
            if self._spots is None:
                self._spots = self._found()
        spot = self._spots.get(layer_name(layer))
        algorithm, _, value = layer.digest.partition(":")
        if spot is None or spot.size_bytes != layer.size_bytes or layer.packing == "zstd":
            return False
        held = self._keeper.store.hold(spot.sha256)
        if held is None:
            return False
        state, left = hashlib.new(algorithm), spot.size_bytes
        part.begin("", Validators(), layer.size_bytes)
        with contextlib.closing(held), part.open() as target:
            held.file.seek(spot.at)
            while left and (chunk := held.file.read(min(CHUNK_BYTES, left))):
                state.update(chunk)
                target.write(chunk)
                left -= len(chunk)
        if not left and state.hexdigest() == value:
            return True
        part.discard()
        return False

    def _found(self) -> dict[str, _Spot]:
        """Return all layers by their names in archives; an archive's table takes no reading of its content."""
        spots: dict[str, _Spot] = {}
        for entry in self._keeper.index.entries():
            held = self._keeper.store.hold(entry.sha256) if entry.kind == "image" else None
            if held is None:
                continue
            with (
                contextlib.closing(held),
                contextlib.suppress(tarfile.TarError, OSError),
                tarfile.open(fileobj=held.file, mode="r:") as archive,
            ):
                spots.update(
                    (one.name, _Spot(entry.sha256, one.offset_data, one.size))
                    for one in archive
                    if one.isreg()
                )
        return spots
