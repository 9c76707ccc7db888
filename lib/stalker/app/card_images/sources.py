"""The sources of a card image: files, archives, the base, container images; measured, then fetched.

Each source has an id, the key in the configuration that names it. Sizes, paths and digests are kept by id.
"""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, NewType

from stalker.card.assemble import ImageArchive, Ingredients
from stalker.card.partitions import inspect_base
from stalker.card.sizing import Load
from stalker.errors import InputError, NotReached
from stalker.fetch.cache.parallel import DEFAULT_CONCURRENCY, Job, fetched_together
from stalker.fetch.cache.request import Request
from stalker.fetch.oci.archive_reader import check_archive
from stalker.fetch.oci.inspect import inspect_images
from stalker.fetch.oci.pull import fetch_image
from stalker.fetch.size_probe import SizeAsked, sizes_of
from stalker.fetch.source import request_of
from stalker.fetch.urls import local_path
from stalker.io.compression.reader import packing_of
from stalker.model.card import BaseImage, DataFile, InjectedFile, OciImage, RawData

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from stalker.card.partitions import BaseDisk
    from stalker.fetch.cache.cache import Cache
    from stalker.fetch.cache.request import Fetched
    from stalker.fetch.http.stop import Stop
    from stalker.fetch.oci.inspect import RemoteImage
    from stalker.fetch.oci.registry import Registries
    from stalker.fetch.size_probe import RemoteSize
    from stalker.io.progress import Reporter, Task
    from stalker.model.card import Creation, Source

    Item = BaseImage | DataFile | InjectedFile | OciImage | RawData

SourceId = NewType("SourceId", str)
"""`base`, `files.0`, `oci_images.1`, `injections.files.0`, `injections.raw.0`."""

BASE = SourceId("base")

UNPACKED_FACTOR = 3
"""How much larger a layer is assumed to be decompressed, when its size is not known."""

LOADED_FILE_BYTES = 36 << 10
"""The average size of a file of a container image, once it is loaded."""


@dataclass(frozen=True, slots=True)
class CardSource:
    """Something that is fetched for an image. `source` None is a container image of a registry."""

    id: SourceId
    item: Item
    source: Source | None

    @property
    def name(self) -> str:
        """Its name in the manifest."""
        match self.item:
            case DataFile():
                return f"/data{self.item.to}"
            case OciImage():
                return self.item.ident
            case InjectedFile():
                return f"{self.item.partition}:{self.item.to}"
            case RawData():
                return f"raw:{self.item.offset}"
            case _:
                return BASE


@dataclass(frozen=True, slots=True)
class Sources:
    """What an image is made of. `base` is the path of a base that is on this host, None for one to download.

    `inline` are files whose content is in the configuration.
    """

    creation: Creation
    base: Path | None
    fetched: tuple[CardSource, ...]
    inline: tuple[DataFile, ...]


@dataclass(frozen=True, slots=True)
class Servers:
    """The cache, the registries, and how they are used: for which platform, how many downloads at a time."""

    cache: Cache
    registries: Registries
    platform: str
    concurrency: int = 0

    @property
    def at_once(self) -> int:
        """How many requests run at a time."""
        return self.concurrency or DEFAULT_CONCURRENCY


@dataclass(frozen=True, slots=True)
class Measured:
    """What is known before anything is fetched.

    `disk` is the base as it was inspected, where it is on this host and not compressed; `base` else what its
    server reports. `loads` is the content of the data partition, `download_bytes` the most that is downloaded,
    `unknown` the names of sources without a known size.
    """

    disk: BaseDisk | None
    base: RemoteSize | None
    loads: tuple[Load, ...]
    download_bytes: int
    unknown: tuple[str, ...]
    remotes: Mapping[SourceId, RemoteImage] = field(default_factory=dict)


def list_sources(creation: Creation, base: Path | None) -> Sources:
    """Return all that a configuration names, each with its id."""
    fetched: list[CardSource] = []

    def add(key: str, items: Iterable[Item]) -> None:
        for number, item in enumerate(items):
            source, is_inline = item.source, isinstance(item, DataFile) and item.content is not None
            if isinstance(item, OciImage) or (source is not None and not is_inline):
                fetched.append(CardSource(SourceId(f"{key}.{number}"), item, source))

    if creation.base.source is not None:
        fetched.append(CardSource(BASE, creation.base, creation.base.source))
    add("files", creation.files)
    add("injections.files", creation.injections.files)
    add("injections.raw", creation.injections.raw)
    add("oci_images", creation.images)
    inline = tuple(one for one in creation.files if one.content is not None)
    return Sources(creation, base, tuple(fetched), inline)


def measure_sources(sources: Sources, servers: Servers) -> Measured:
    """Query the sizes of all sources, and inspect a base that is on this host.

    Raises:
        InputError: names the sources that are not available.
        StalkerError: the base is not a disk that an image can grow from.
    """
    base = sources.base
    is_raw = base is not None and not packing_of(base)
    disk = None
    if base is not None and is_raw:
        creation = sources.creation
        disk = inspect_base(base, creation.data_label, root_number=creation.root_number)
    # A base that is inspected needs no query; the one of a tree may not be made yet.
    queried = [one for one in sources.fetched if not (one.id == BASE and is_raw)]
    sizes = _query_sizes(queried, servers)
    remotes = _query_registries(queried, servers)
    loads = [Load(1, len(one.content or b"")) for one in sources.inline]
    unknown: list[str] = []
    for one in queried:
        match one.item:
            case DataFile():
                loads.append(_file_load(one.item, sizes[one.id], unknown))
            case OciImage():
                loads += _image_loads(one.item, sizes.get(one.id), remotes.get(one.id), unknown)
    downloads = [
        sizes[one.id].size_bytes or 0
        for one in queried
        if one.source is not None and local_path(one.source.url, Path()) is None
    ]
    layers = [_layers_bytes(remote) for remote in remotes.values() if not remote.is_at_hand]
    return Measured(
        disk, sizes.get(BASE), tuple(loads), sum(downloads) + sum(layers), tuple(unknown), remotes
    )


@contextlib.contextmanager
def fetched_sources(
    sources: Sources, measured: Measured, servers: Servers, reporter: Reporter
) -> Iterator[Ingredients]:
    """Fetch all sources; their files are released at the end.

    Raises:
        InputError: names the sources that could not be fetched, or are not what they must be.
    """
    paths: dict[SourceId, Path] = {}
    jobs: dict[SourceId, Request | Job] = {}
    for one in sources.fetched:
        if one.source is None:
            remote = measured.remotes[one.id]
            jobs[one.id] = Job(one.name, _image_job(remote, servers))
        elif (local := local_path(one.source.url, Path())) is not None and one.source.digest is None:
            paths[one.id] = _existing(local)
        else:
            jobs[one.id] = _cache_request(one.source, servers.cache)
    with fetched_together(
        servers.cache, list(jobs.values()), concurrency=servers.concurrency, reporter=reporter
    ) as files:
        downloads = dict(zip(jobs, files, strict=True))
        paths |= {key: file.path for key, file in downloads.items()}
        _check_archives(sources, paths, servers)
        digests = {one.name: downloads[one.id].sha256 for one in sources.fetched if one.id in downloads}
        yield _ingredients(sources, measured, servers.platform, paths, digests)


def archive_name(ident: str, platform: str) -> str:
    """Return the name under which a machine finds the archive of an image: `registry_name_tag_linuxarm64v8.tar`."""
    return re.sub(r"[/:@]", "_", ident) + f"_{platform.replace('/', '')}.tar"


def loaded_load(size_bytes: int) -> Load:
    """Return what a container image takes once the machine has loaded it."""
    return Load(size_bytes // LOADED_FILE_BYTES, size_bytes, size_bytes // LOADED_FILE_BYTES // 10)


def _query_sizes(queried: Iterable[CardSource], servers: Servers) -> dict[SourceId, RemoteSize]:
    questions = {one.id: _question(one.item, one.source) for one in queried if one.source is not None}
    sizes = sizes_of(list(questions.values()), servers.cache, concurrency=servers.at_once)
    return dict(zip(questions, sizes, strict=True))


def _question(item: Item, source: Source) -> SizeAsked:
    match item:
        case BaseImage():
            return SizeAsked(source, image_only=True)
        case DataFile():
            return SizeAsked(source, is_packed=item.via not in {"direct", "tar", "base64"})
        case _:
            return SizeAsked(source, is_packed=False)


def _query_registries(queried: Iterable[CardSource], servers: Servers) -> dict[SourceId, RemoteImage]:
    idents = {one.id: one.name for one in queried if one.source is None}
    if not idents:
        return {}
    images = inspect_images(
        list(idents.values()),
        servers.platform,
        servers.registries,
        servers.cache,
        concurrency=servers.at_once,
    )
    return dict(zip(idents, images, strict=True))


def _layers_bytes(remote: RemoteImage) -> int:
    return sum(layer.size_bytes for layer in remote.layers)


def _file_load(file: DataFile, size: RemoteSize, unknown: list[str]) -> Load:
    known = size.size_bytes if file.via == "direct" else (file.size_bytes or size.unpacked_bytes)
    if file.via in {"tar", "base64"} and known is None:
        known = size.size_bytes
    if known is None:
        unknown.append(file.to)
    return Load(1, known or 0)


def _image_loads(
    image: OciImage, size: RemoteSize | None, remote: RemoteImage | None, unknown: list[str]
) -> list[Load]:
    """Return what the archive of an image takes, and what it takes once loaded."""
    archive = size.size_bytes if size is not None else None
    full = None
    if remote is not None:
        full = remote.full_bytes
        # Layers that docker cannot decompress as they are come decompressed into the archive.
        archive = remote.archive_bytes or full or _layers_bytes(remote) * UNPACKED_FACTOR
    archive = archive or image.file_bytes
    if archive is None:
        unknown.append(image.ident)
    return [Load(1, archive or 0), loaded_load(image.full_bytes or full or archive or 0)]


def _cache_request(source: Source, cache: Cache) -> Request:
    try:
        return request_of(source, cache)
    except NotReached:
        # Its checksum was compared when it was downloaded.
        plain = Request(source.url, mirrors=source.mirrors)
        cached = cache.keeper.peek(plain, is_stale_too=True)
        if cached is None:
            raise
        cached.close()
        return replace(plain, use="any")
    except InputError as error:
        if source.digest is None or not source.digest.is_optional:
            raise
        cache.say(f"{error.brief}; the base is taken without a checksum")
        return request_of(replace(source, digest=None), cache)


def _image_job(remote: RemoteImage, servers: Servers) -> Callable[[Task, Stop], Fetched]:
    def run(task: Task, stop: Stop) -> Fetched:
        return fetch_image(servers.cache, remote, servers.registries, task=task, stop=stop)

    return run


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise InputError(f"there is no file {path}", "", "check the path")
    return path


def _check_archives(sources: Sources, paths: Mapping[SourceId, Path], servers: Servers) -> None:
    """Raise InputError when an archive does not contain its container image."""
    for one in sources.fetched:
        if isinstance(one.item, OciImage) and one.source is not None:
            remark = check_archive(paths[one.id], one.item.ident, servers.platform)
            if remark:
                servers.cache.say(remark)


def _ingredients(
    sources: Sources,
    measured: Measured,
    platform: str,
    paths: Mapping[SourceId, Path],
    digests: Mapping[str, str],
) -> Ingredients:
    creation, base = sources.creation, paths.get(BASE) or sources.base
    assert base is not None  # the one of a tree is made by now
    by_item = {one.item: paths[one.id] for one in sources.fetched}
    remotes = {one.item: measured.remotes.get(one.id) for one in sources.fetched}

    def archive(image: OciImage) -> ImageArchive:
        path, remote = by_item[image], remotes[image]
        full = image.full_bytes or (remote.full_bytes if remote else None) or path.stat().st_size
        return ImageArchive(archive_name(image.ident, platform), path, loaded_load(full))

    return Ingredients(
        base=base,
        disk=measured.disk,
        files=tuple((file, by_item.get(file)) for file in creation.files),
        images=tuple(map(archive, creation.images)),
        injected={one: by_item[one] for one in creation.injections.with_sources},
        digests=digests,
    )
