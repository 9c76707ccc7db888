"""A container image fetched from its registry: layers come, and an archive that `docker load` takes is made."""

from __future__ import annotations

import contextlib
import hashlib
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import replace
from pathlib import Path

from stalker.errors import InputError, Interrupted
from stalker.fetch.cache import Cache
from stalker.fetch.checksum import Checksum
from stalker.fetch.entry import Key, Validators
from stalker.fetch.files import NoRoom, NotGenuine, cannot_write, file_name, locked
from stalker.fetch.known_layers import KnownLayers
from stalker.fetch.meter import Teller
from stalker.fetch.oci import Layer, diff_ids
from stalker.fetch.oci_archive import unique, write_archive
from stalker.fetch.order import Order
from stalker.fetch.partial import Partial
from stalker.fetch.program import program_output
from stalker.fetch.registry import Registries
from stalker.fetch.remote_image import RemoteImage, inspect_image, wanted_image
from stalker.fetch.stopping import Stop
from stalker.fetch.transfer import Moved, Transfer
from stalker.fetch.wanted import Fetched


def fetch_image(
    cache: Cache,
    remote: RemoteImage,
    registries: Registries,
    *,
    moved: Moved | None = None,
    stop: Stop | None = None,
    concurrency: int = 1,
) -> Fetched:
    """Return an archive of an image; close it when it has been used.

    It is taken from the cache when its registry has still the same; else its layers come, `concurrency` at a
    time, and go on where an earlier run stopped. The same image is the same bytes each time.

    `stop` ends it, and is set when a layer fails, so that the others end as well.

    Raises:
        InputError: it cannot be had, or a layer is not what its manifest says; nothing of it is kept then.
    """
    wanted = wanted_image(remote.name, remote.platform)
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
            fetching = _Fetching(cache, remote, registries, moved, stop or Stop())
            with fetching.archive(concurrency) as file:
                return cache.put(wanted, file, told)
    except OSError as error:
        raise cannot_write(cache.store.root, error) from error


class _Fetching:
    def __init__(
        self, cache: Cache, remote: RemoteImage, registries: Registries, moved: Moved | None, stop: Stop
    ) -> None:
        self._cache = cache
        self._remote = remote
        self._registry = registries.of(remote.name)
        self._patience = registries.patience
        self._stop = stop
        name = file_name(str(remote.name))
        self._say = lambda text: cache.say(f"{name}: {text}")
        self._moved = moved or Teller(name, cache.say).moved
        self._layers = unique(remote.layers)
        self._known = KnownLayers(cache.keeper)
        self._there: dict[str, int] = {}
        self._guard = threading.Lock()

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
        """Get all layers whole; the first that cannot be had stops the others, which are kept."""
        self._there = {digest: part.size_bytes for digest, part in parts.items()}
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

        def moved(size_bytes: int, _: int | None) -> None:
            with self._guard:
                self._there[layer.digest] = size_bytes
                self._moved(sum(self._there.values()), sum(one.size_bytes for one in self._layers))

        if not part.size_bytes and self._known.copy(layer, part):
            moved(part.size_bytes, None)
            return
        algorithm, _, value = layer.digest.partition(":")
        try:
            order = Order(
                (self._registry.blob_url(name, layer.digest, self._stop),),
                value if algorithm == "sha256" else "",
                None if algorithm == "sha256" else Checksum(algorithm, value),
                self._registry.blob_headers(name, self._stop),
            )
            Transfer(order, part, say=self._say, moved=moved, patience=self._patience, stop=self._stop).run(
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
