"""A container image fetched from its registry: layers come, and an archive that `docker load` takes is made.

Layers that are in archives of other images already: a tag that moved brings along its new layers alone.
"""

from __future__ import annotations

import contextlib
import hashlib
import tarfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from stalker.errors import InputError, Interrupted, NoRoom, NotGenuine
from stalker.fetch.base.subprocess_stream import program_output
from stalker.fetch.cache.cache import Cache
from stalker.fetch.cache.entries import Keeper
from stalker.fetch.cache.entry import Key, Validators
from stalker.fetch.cache.request import Fetched
from stalker.fetch.http.download import Order, Transfer
from stalker.fetch.http.partial_file import Partial
from stalker.fetch.http.stop import Stop
from stalker.fetch.oci.archive_writer import layer_name, unique, write_archive
from stalker.fetch.oci.inspect import RemoteImage, image_request, inspect_image
from stalker.fetch.oci.manifest import Layer, diff_ids
from stalker.fetch.oci.registry import Registries
from stalker.fetch.urls import cannot_write, file_name, locked
from stalker.io.hashing import CHUNK_BYTES, Checksum
from stalker.io.progress import Lines, Silent, Task


def fetch_image(
    cache: Cache,
    remote: RemoteImage,
    registries: Registries,
    *,
    task: Task | None = None,
    stop: Stop | None = None,
    concurrency: int = 1,
) -> Fetched:
    """Return an archive of an image; close it when it has been used.

    It is taken from the cache when its registry has still the same; else its layers come, `concurrency` at a
    time, and go on where an earlier run stopped. The same image is the same bytes each time.

    `stop` ends it, and is set when a layer fails, so that the others end as well.

    Raises:
        InputError: it is not available, or a layer is not what its manifest says; nothing of it is kept then.
    """
    wanted = image_request(remote.name, remote.platform)
    if remote.is_at_hand:
        if there := cache.find(replace(wanted, use="any")):
            return there
        remote = inspect_image(remote.ident, remote.platform, registries, cache, stop=stop)
    told = Validators(sha256=remote.digest.removeprefix("sha256:"))
    try:
        if there := cache.find(wanted, told):
            return there
        with cache.alone(wanted, stop):
            if there := cache.find(wanted, told):
                return there
            fetching = _Fetching(cache, remote, registries, task, stop or Stop())
            with fetching.archive(concurrency) as file:
                return cache.put(wanted, file, told)
    except OSError as error:
        raise cannot_write(cache.store.root, error) from error


class _Fetching:
    def __init__(
        self, cache: Cache, remote: RemoteImage, registries: Registries, task: Task | None, stop: Stop
    ) -> None:
        self._cache = cache
        self._remote = remote
        self._registry = registries.of(remote.name)
        self._patience = registries.patience
        self._stop = stop
        name = file_name(str(remote.name))
        self._say = lambda text: cache.say(f"{name}: {text}")
        self._task = task or Task(name, Lines(cache.say))
        self._layers = unique(remote.layers)
        self._known = KnownLayers(cache.keeper)

    @contextlib.contextmanager
    def archive(self, concurrency: int) -> Iterator[Path]:
        """Make the archive; it is gone when something fails meanwhile."""
        remote = self._remote
        self._cache.say(f"downloading {remote.name}")
        with contextlib.ExitStack() as held:
            # In one order for all, so that no two images wait for each other's layers.
            for layer in sorted(self._layers, key=lambda one: one.digest):
                path = self._cache.store.lock_path(_key(layer))
                held.enter_context(locked(path, self._cache.say, f"a layer of {remote.name}", self._stop))
            # What others held until now may be in the cache since.
            self._known = KnownLayers(self._cache.keeper)
            parts = {layer.digest: self._part(layer) for layer in self._layers}
            target = self._cache.new_file()
            try:
                self._gather(parts, concurrency)
                with self._unpacked(parts) as files:
                    write_archive(
                        target, remote.name, remote.config_digest, remote.config, remote.layers, files
                    )
                yield target
            except BaseException as error:
                target.unlink(missing_ok=True)
                if isinstance(error, NotGenuine):
                    _discard(parts)
                raise
            _discard(parts)

    def _part(self, layer: Layer) -> Partial:
        target = self._cache.store.part_target(_key(layer))
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Blobs are the same everywhere: what came from one registry can go on from another.
        return Partial(target, layer.digest)

    def _gather(self, parts: Mapping[str, Partial], concurrency: int) -> None:
        """Get all layers whole; the first that is not available stops the others, which are kept."""
        self._layers_moved = _Sum(
            self._task, {digest: part.size_bytes for digest, part in parts.items()}, self._layers
        )
        pool = ThreadPoolExecutor(max(1, concurrency), "layer")
        try:
            futures = [pool.submit(self._get, layer, parts[layer.digest]) for layer in self._layers]
            done = wait(futures, return_when=FIRST_EXCEPTION).done
            if any(one.exception() for one in done):
                self._stop.set()
        except BaseException:
            self._stop.set()
            raise
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
        failures = [error for one in futures if not one.cancelled() and (error := one.exception())]
        for error in sorted(failures, key=lambda one: isinstance(one, Interrupted)):
            raise error

    def _get(self, layer: Layer, part: Partial) -> None:
        name = self._remote.name
        task = Task(layer.digest, self._layers_moved)
        if not part.size_bytes and self._known.copy(layer, part):
            task.move(part.size_bytes, None)
            return
        algorithm, _, value = layer.digest.partition(":")
        try:
            order = Order(
                (self._registry.blob_url(name, layer.digest, self._stop),),
                value if algorithm == "sha256" else "",
                None if algorithm == "sha256" else Checksum(algorithm, value),
                self._registry.blob_headers(name, self._stop),
            )
            Transfer(order, part, say=self._say, task=task, patience=self._patience, stop=self._stop).run(
                self._registry.blobs
            )
        except NoRoom:
            raise
        except InputError as error:
            raise type(error)(f"a layer of {name}: {error.brief}", error.details, error.resolution) from error
        if part.size_bytes != layer.size_bytes:
            raise NotGenuine(
                f"a layer of {name} has {part.size_bytes} bytes",
                f"its manifest tells of {layer.size_bytes}",
                "nothing was kept; push it again",
            )

    @contextlib.contextmanager
    def _unpacked(self, parts: Mapping[str, Partial]) -> Iterator[dict[str, Path]]:
        """Give the files of the layers; those that docker 20.10 cannot unpack are unpacked."""
        files = {digest: part.path for digest, part in parts.items()}
        ids = dict(
            zip((one.digest for one in self._remote.layers), diff_ids(self._remote.config), strict=True)
        )
        with contextlib.ExitStack() as made:
            for layer in self._layers:
                if layer.packing != "zstd":
                    continue
                target = self._cache.new_file()
                made.callback(target.unlink, missing_ok=True)
                state = hashlib.sha256()
                output = program_output(
                    ["zstd", "-dcq", "--long=31", "--", str(files[layer.digest])],
                    what=f"a layer of {self._remote.name}",
                    resolution="push it again",
                )
                with target.open("wb") as file, contextlib.closing(output):
                    for chunk in output:
                        state.update(chunk)
                        file.write(chunk)
                if f"sha256:{state.hexdigest()}" != ids[layer.digest]:
                    raise NotGenuine(
                        f"a layer of {self._remote.name} does not unpack to what its configuration says",
                        f"expected {ids[layer.digest]}\nfound    sha256:{state.hexdigest()}",
                        "nothing was kept; push it again",
                    )
                files[layer.digest] = target
            yield files


def _discard(parts: Mapping[str, Partial]) -> None:
    for part in parts.values():
        part.discard()


def _key(layer: Layer) -> Key:
    return "layer", layer.digest


class _Spot(NamedTuple):
    """Where a layer stands: in which content, from which byte on."""

    sha256: str
    at: int
    size_bytes: int


class _Sum(Silent):
    """Adds up the layers of an image, whose threads report to it."""

    def __init__(self, task: Task, there: dict[str, int], layers: Sequence[Layer]) -> None:
        self._task = task
        self._there = there
        self._total_bytes = sum(one.size_bytes for one in layers)
        self._guard = threading.Lock()

    def moved(self, task: Task) -> None:
        """Report the image; a layer that has just begun may go on from an earlier run."""
        if task.done_bytes:
            with self._guard:
                self._there[task.name] = task.done_bytes
                self._task.move(sum(self._there.values()), self._total_bytes)


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
