"""A container image of a registry, looked at: which one it is, and how large it is going to be."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

from stalker.errors import InputError, Interrupted, NotGenuine, as_one
from stalker.fetch.cache.cache import OFFLINE_TIMEOUT_S, Cache
from stalker.fetch.cache.request import Request, Use
from stalker.fetch.http.patience import Patience
from stalker.fetch.http.request import Answer
from stalker.fetch.http.stop import Stop
from stalker.fetch.oci.archive_reader import read_archive
from stalker.fetch.oci.archive_writer import archive_bytes, unique
from stalker.fetch.oci.manifest import (
    DEFAULT_PLATFORM,
    INDEXES,
    MANIFESTS,
    MOST_DOCUMENT_BYTES,
    Layer,
    Manifest,
    check_bytes,
    check_config,
    choose,
    read_document,
)
from stalker.fetch.oci.registry import Registries, Registry
from stalker.io.compression.size import gzip_size
from stalker.model.image_name import ImageName, parse_image_name
from stalker.model.platforms import parse_platform

MOST_LISTS = 3
"""An index may name another one."""


@dataclass(frozen=True, slots=True)
class RemoteImage:
    """An image as its registry has it now, or as it is in the cache (`is_at_hand`).

    `archive_bytes` is what its archive takes to the byte, None where a layer has to be unpacked for it first;
    `full_bytes` what its layers take unpacked, None where they do not tell. A layer of more than 4 GiB may
    tell too little.
    """

    name: ImageName
    platform: str
    digest: str
    config_digest: str
    layers: tuple[Layer, ...]
    archive_bytes: int | None
    full_bytes: int | None
    config: bytes = field(repr=False)
    is_at_hand: bool = False

    @property
    def ident(self) -> str:
        """Its full name."""
        return str(self.name)


def image_name(ident: str) -> ImageName:
    """Read a name. Raises InputError when it is none."""
    try:
        return parse_image_name(ident)
    except ValueError as error:
        raise InputError(
            f"{ident!r} is not a container image name", str(error), "write registry/name:tag"
        ) from error


def image_request(name: ImageName, platform: str = DEFAULT_PLATFORM) -> Request:
    """Return what an image is in the cache: its name, and the platform if that is not the usual one."""
    own, usual = parse_platform(platform), parse_platform(DEFAULT_PLATFORM)
    mark = "" if own == usual else f" ({own})"
    return Request(f"{name.repository}{mark}{str(name).removeprefix(name.repository)}", kind="image")


def inspect_image(
    ident: str,
    platform: str,
    registries: Registries,
    cache: Cache,
    *,
    stop: Stop | None = None,
) -> RemoteImage:
    """Return which image a name stands for; nothing large is fetched.

    What the cache has and the policy calls fresh is returned without a request, as is what a digest names.
    A copy there is also taken when the registry cannot be asked.

    Raises:
        InputError: it is not available for this platform; the text has the reason.
    """
    name = image_name(ident)
    wanted = image_request(name, platform)
    use: Use = "any" if name.digest else "policy"
    if there := _at_hand(name, platform, replace(wanted, use=use), cache):
        return there
    has_copy = cache.keeper.index.get(wanted.key) is not None
    patience = Patience(0, OFFLINE_TIMEOUT_S, registries.patience.pause) if has_copy else registries.patience
    try:
        return _ask(name, platform, registries.of(name), patience, stop)
    except InputError as error:
        if not has_copy or isinstance(error, NotGenuine):
            raise
        there = _at_hand(name, platform, replace(wanted, use="any"), cache)
        if there is None:
            raise
        registries.say(f"{error.brief}; the copy in the cache is used")
        return there


def inspect_images(
    idents: Sequence[str],
    platform: str,
    registries: Registries,
    cache: Cache,
    *,
    concurrency: int = 5,
    stop: Stop | None = None,
) -> list[RemoteImage]:
    """Look at several images at once. Raises InputError that names all that are not available."""
    stop = stop or Stop()
    failures: list[InputError] = []

    def one(ident: str) -> RemoteImage | None:
        try:
            return inspect_image(ident, platform, registries, cache, stop=stop)
        except InputError as error:
            failures.append(error)
            return None

    with ThreadPoolExecutor(max(1, concurrency), "inspect") as pool:
        try:
            found = list(pool.map(one, idents))
        except BaseException:
            stop.set()
            raise
    if failures:
        raise as_one(failures, f"{len(failures)} of {len(idents)} images are not available")
    return [one for one in found if one is not None]


def _ask(
    name: ImageName, platform: str, registry: Registry, patience: Patience, stop: Stop | None
) -> RemoteImage:
    what = str(name)
    reference, is_pinned = name.reference, bool(name.digest)
    for _ in range(MOST_LISTS):
        answer = registry.get(
            name,
            f"manifests/{reference}",
            most_bytes=MOST_DOCUMENT_BYTES,
            accept=", ".join((*MANIFESTS, *INDEXES)),
            patience=patience,
            stop=stop,
        )
        _check_whole(answer, what)
        told = answer.headers.get("docker-content-digest", "").strip()
        digest = reference if is_pinned else _digest_of(answer.body)
        # A tag is what the registry says: then only its own digest can verify it.
        for one in dict.fromkeys((digest, told if told.startswith("sha256:") else digest)):
            check_bytes(answer.body, one, what)
        found = read_document(answer.body, what)
        if isinstance(found, Manifest):
            return _complete(name, platform, registry, digest, found, stop)
        reference, is_pinned = choose(found, platform, what).digest, True
    raise InputError(
        f"{what} is damaged", f"its lists are nested more than {MOST_LISTS} deep", "push it again"
    )


def _complete(
    name: ImageName, platform: str, registry: Registry, digest: str, found: Manifest, stop: Stop | None
) -> RemoteImage:
    """Take the configuration along, and what the layers tell of their size."""
    path = f"blobs/{found.config_digest}"
    answer = registry.get(name, path, most_bytes=MOST_DOCUMENT_BYTES, stop=stop)
    _check_whole(answer, str(name))
    config = answer.body
    check_bytes(config, found.config_digest, f"the configuration of {name}")
    check_config(config, found, platform, str(name))
    if stop is not None and stop.is_set():
        raise Interrupted("the download was stopped", str(name), "")
    return RemoteImage(
        name,
        platform,
        digest,
        found.config_digest,
        found.layers,
        archive_bytes(name, found.config_digest, config, found.layers),
        _full_bytes(name, registry, found.layers, stop),
        config,
    )


def _check_whole(answer: Answer, what: str) -> None:
    if not answer.is_whole:
        raise InputError(
            f"{what} has a document past {MOST_DOCUMENT_BYTES} bytes", "no image needs that", "push it again"
        )


def _full_bytes(
    name: ImageName, registry: Registry, layers: Sequence[Layer], stop: Stop | None
) -> int | None:
    """Add up what the layers take unpacked, by the last bytes of each."""
    if any(layer.packing == "zstd" for layer in layers):
        return None
    total = 0
    for layer in unique(layers):
        told: int | None = layer.size_bytes
        if layer.packing == "gzip":
            end = registry.blob_part(name, layer.digest, layer.size_bytes - 4, 4, stop)
            told = gzip_size(layer.size_bytes, end) if end is not None else None
        if told is None:
            return None
        total += told
    return total


def _at_hand(name: ImageName, platform: str, wanted: Request, cache: Cache) -> RemoteImage | None:
    """Return an image as it is in the cache, None when it does not or is to be asked for."""
    entry = cache.keeper.index.get(wanted.key)
    found = cache.find(wanted) if entry is not None else None
    if entry is None or found is None:
        return None
    with found:
        archive = read_archive(found.path, platform)
    digest = f"sha256:{entry.validators.sha256}" if entry.validators.sha256 else ""
    return RemoteImage(
        name,
        platform,
        digest,
        _digest_of(archive.config),
        archive.layers,
        archive.file_bytes,
        archive.full_bytes,
        archive.config,
        is_at_hand=True,
    )


def _digest_of(body: bytes) -> str:
    return f"sha256:{hashlib.sha256(body).hexdigest()}"
