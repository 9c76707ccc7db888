"""What a card image is made of, looked at and fetched: files, archives, the base, container images."""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from stalker.cli.terms import now_s, read_secret
from stalker.errors import InputError
from stalker.fetch.archive_reader import check_archive
from stalker.fetch.digest_url import wanted_of
from stalker.fetch.files import NotReached, local_path
from stalker.fetch.image_fetch import fetch_image
from stalker.fetch.remote_image import inspect_images
from stalker.fetch.remote_size import RemoteSize, SizeAsked, sizes_of
from stalker.fetch.together import DEFAULT_CONCURRENCY, Job, fetched_together
from stalker.fetch.wanted import Wanted
from stalker.image.edit.assemble import Ingredients
from stalker.image.edit.injecting import Terms
from stalker.image.edit.room import Load
from stalker.image.packed import packing_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from stalker.fetch.cache import Cache
    from stalker.fetch.meter import Moving
    from stalker.fetch.registry import Registries
    from stalker.fetch.remote_image import RemoteImage
    from stalker.fetch.stopping import Stop
    from stalker.fetch.transfer import Moved
    from stalker.fetch.wanted import Fetched
    from stalker.model.creation import Creation, DataFile, OciImage, Source

UNPACKED_FACTOR = 3
"""How much larger a layer is taken to be unpacked, when nobody tells."""

LOADED_FILE_BYTES = 36 << 10
"""What a file of a container image has on average, once it is loaded."""


@dataclass(slots=True)
class Looked:
    """What is known before anything is fetched: `base` None for one that stands here; `loads` are what the data
    partition will hold, `download_bytes` what has to come at the most.
    """

    base: RemoteSize | None = None
    loads: list[Load] = field(default_factory=list)
    download_bytes: int = 0
    unknown: list[str] = field(default_factory=list)
    """Names of those that do not tell their size."""


@dataclass(slots=True)
class Gathering:
    """Asks for and fetches all that a configuration names; `base` is one that stands here already."""

    creation: Creation
    base: Path | None
    cache: Cache
    registries: Registries
    platform: str
    concurrency: int = 0
    _remotes: dict[int, RemoteImage] = field(default_factory=dict)

    @property
    def at_once(self) -> int:
        """How many are asked for at a time."""
        return self.concurrency or DEFAULT_CONCURRENCY

    def look(self) -> Looked:
        """Ask for all sizes. Raises InputError that names what cannot be had."""
        creation = self.creation
        looked = Looked()
        asked: list[SizeAsked] = []
        # One of a tree may not be made yet; one that stands here raw is read itself.
        asks_base = creation.base.source is not None and (self.base is None or bool(packing_of(self.base)))
        if asks_base:
            assert creation.base.source is not None
            asked.append(SizeAsked(creation.base.source, image_only=True))
        files = [one for one in creation.files if one.source is not None and one.content is None]
        asked += [_question(one) for one in files]
        images = [(one, one.source) for one in creation.images if one.source is not None]
        asked += [SizeAsked(source, is_packed=False) for _, source in images]
        injected = [one.source for one in creation.injections.files if one.source is not None]
        asked += [SizeAsked(one, is_packed=False) for one in injected]
        sizes = sizes_of(asked, self.cache, concurrency=self.at_once)
        for question, size in zip(asked, sizes, strict=True):
            if local_path(question.source.url, Path()) is None:
                looked.download_bytes += size.size_bytes or 0
        found = iter(sizes)
        if asks_base:
            looked.base = next(found)
        for file in creation.files:
            is_asked = file.source is not None and file.content is None
            self._add_file(looked, file, next(found) if is_asked else None)
        for image, _ in images:
            self._add_image(looked, image, next(found).size_bytes, None)
        self._look_at_registries(looked)
        return looked

    @contextlib.contextmanager
    def fetched(self, on_moving: Callable[[Moving, Moving], None]) -> Iterator[Ingredients]:
        """Fetch everything, and let go of it at the end. Raises InputError that names what could not be had."""
        creation = self.creation
        places: list[tuple[str, int]] = []
        wanted: list[Wanted | Job] = []
        here: dict[tuple[str, int], Path] = {}

        def want(kind: str, number: int, source: Source) -> None:
            local = local_path(source.url, Path())
            if local is not None and source.digest is None:
                here[kind, number] = _there(local)
                return
            places.append((kind, number))
            wanted.append(self._wanted(source))

        if creation.base.source is not None:
            want("base", 0, creation.base.source)
        for number, file in enumerate(creation.files):
            if file.source is not None and file.content is None:
                want("file", number, file.source)
        for number, injected in enumerate(creation.injections.files):
            if injected.source is not None:
                want("injected", number, injected.source)
        for number, image in enumerate(creation.images):
            if image.source is not None:
                want("image", number, image.source)
            else:
                places.append(("image", number))
                wanted.append(Job(image.ident, self._job(self._remotes[number])))
        with fetched_together(self.cache, wanted, concurrency=self.concurrency, on_moving=on_moving) as files:
            found = dict(zip(places, files, strict=True))
            paths = here | {place: file.path for place, file in found.items()}
            self._check_archives(paths)
            yield Ingredients(
                base=paths.get(("base", 0)) or self._made_base,
                files=_of_kind(paths, "file"),
                images=_of_kind(paths, "image"),
                injected=_of_kind(paths, "injected"),
                digests={self._name(*place): file.sha256 for place, file in found.items()},
            )

    @property
    def _made_base(self) -> Path:
        assert self.base is not None  # the one of a tree
        return self.base

    def full_bytes(self, number: int, archive_bytes: int) -> int:
        """Return what an image takes once it is loaded, as far as it is known."""
        image, remote = self.creation.images[number], self._remotes.get(number)
        return image.full_bytes or (remote.full_bytes if remote else None) or archive_bytes

    def _check_archives(self, paths: dict[tuple[str, int], Path]) -> None:
        """Raise InputError when what was fetched as the archive of an image is none."""
        for number, image in enumerate(self.creation.images):
            if image.source is not None:
                said = check_archive(paths["image", number], image.ident, self.platform)
                if said:
                    self.cache.say(said)

    def _look_at_registries(self, looked: Looked) -> None:
        numbers = [number for number, one in enumerate(self.creation.images) if one.source is None]
        idents = [self.creation.images[number].ident for number in numbers]
        if not idents:
            return
        found = inspect_images(idents, self.platform, self.registries, self.cache, concurrency=self.at_once)
        for number, remote in zip(numbers, found, strict=True):
            self._remotes[number] = remote
            layers = sum(layer.size_bytes for layer in remote.layers)
            looked.download_bytes += 0 if remote.is_at_hand else layers
            image = self.creation.images[number]
            # Layers that docker cannot unpack as they are come unpacked into the archive.
            archive = remote.archive_bytes or remote.full_bytes or layers * UNPACKED_FACTOR
            self._add_image(looked, image, archive, remote.full_bytes)

    def _add_file(self, looked: Looked, file: DataFile, size: RemoteSize | None) -> None:
        if file.content is not None:
            looked.loads.append(Load(1, len(file.content)))
            return
        assert size is not None
        known = size.size_bytes if file.via == "direct" else (file.size_bytes or size.unpacked_bytes)
        if file.via in {"tar", "base64"} and known is None:
            known = size.size_bytes
        if known is None:
            looked.unknown.append(file.to)
        looked.loads.append(Load(1, known or 0))

    def _add_image(self, looked: Looked, image: OciImage, archive: int | None, full: int | None) -> None:
        size = archive or image.file_bytes
        if size is None:
            looked.unknown.append(image.ident)
        loaded = image.full_bytes or full or size or 0
        looked.loads += [Load(1, size or 0), loaded_load(loaded)]

    def _wanted(self, source: Source) -> Wanted:
        try:
            return wanted_of(source, self.cache)
        except NotReached:
            # Its checksum was held against it when it came.
            plain = Wanted(source.url, mirrors=source.mirrors)
            held = self.cache.keeper.peek(plain, is_stale_too=True)
            if held is None:
                raise
            held.close()
            return replace(plain, use="any")
        except InputError as error:
            if source.digest is None or not source.digest.is_optional:
                raise
            self.cache.say(f"{error.brief}; the base is taken without a checksum")
            return wanted_of(replace(source, digest=None), self.cache)

    def _job(self, remote: RemoteImage) -> Callable[[Moved, Stop], Fetched]:
        def run(moved: Moved, stop: Stop) -> Fetched:
            return fetch_image(self.cache, remote, self.registries, moved=moved, stop=stop)

        return run

    def _name(self, kind: str, number: int) -> str:
        match kind:
            case "file":
                return f"/data{self.creation.files[number].to}"
            case "image":
                return self.creation.images[number].ident
            case "injected":
                one = self.creation.injections.files[number]
                return f"{one.partition}:{one.to}"
        return "base"


def terms_of(
    creation: Creation, gathering: Gathering, ingredients: Ingredients, max_bytes: int | None
) -> Terms:
    """Return the terms of a creation."""
    names = {
        number: archive_name(image.ident, gathering.platform) for number, image in enumerate(creation.images)
    }
    loaded = [
        loaded_load(gathering.full_bytes(number, path.stat().st_size))
        for number, path in ingredients.images.items()
    ]
    return Terms(
        mtime_s=now_s(),
        secrets=read_secret,
        image_names=names,
        loaded=loaded,
        max_bytes=max_bytes,
    )


def archive_name(ident: str, platform: str) -> str:
    """Return the name under which a machine finds the archive of an image: `registry_name_tag_linuxarm64v8.tar`."""
    return re.sub(r"[/:@]", "_", ident) + f"_{platform.replace('/', '')}.tar"


def loaded_load(size_bytes: int) -> Load:
    """Return what a container image takes once the machine has loaded it."""
    return Load(size_bytes // LOADED_FILE_BYTES, size_bytes, size_bytes // LOADED_FILE_BYTES // 10)


def _question(file: DataFile) -> SizeAsked:
    assert file.source is not None
    return SizeAsked(file.source, is_packed=file.via not in {"direct", "tar", "base64"})


def _of_kind(paths: dict[tuple[str, int], Path], kind: str) -> dict[int, Path]:
    return {number: path for (one, number), path in paths.items() if one == kind}


def _there(path: Path) -> Path:
    if not path.is_file():
        raise InputError(f"there is no file {path}", "", "check the path")
    return path
