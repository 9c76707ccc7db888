"""Inject into a ready image what one machine has of its own.

1 load the configuration, 2 look for the files of this host, 3 lock the image, 4 inject in place; where
a file system has to be repaired, 5 copy the image, inject into the copy, and publish it in the image's place.
"""

from __future__ import annotations

import contextlib
import functools
import os
from pathlib import Path
from typing import TYPE_CHECKING

from stalker.app.card_images.config import config_text, read_secret
from stalker.app.card_images.lazy_tool import lazy_tool
from stalker.app.environment import cache_dir, now_s
from stalker.card.inject.image_file import Terms, inject_all, open_editors, partitions_of
from stalker.card.output import IMAGE, publish, remove_descriptions, working
from stalker.config.card.load import read_creation
from stalker.disk.edit.open import Editors
from stalker.disk.edit.view import FileView
from stalker.disk.edit.write_ahead import recover, write_pieces
from stalker.errors import NeedsRepair, PlanError, StalkerError
from stalker.fetch.cache.cache import Cache
from stalker.fetch.source import request_of
from stalker.fetch.urls import local_path
from stalker.host.block_device import refuse_used
from stalker.io.compression.reader import packing_of
from stalker.io.locks import try_lock
from stalker.io.progress import Task
from stalker.io.sparse import copy_image
from stalker.model.program import program

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from stalker.io.progress import Reporter
    from stalker.model.card import Creation, FetchedInjection, Source


def inject_into_image(image: str, config: str, reporter: Reporter) -> Path:
    """Put into a raw image what a configuration says under `injections` and `offspot`; return its path.

    Raises:
        FilesError, PlanError: the configuration or the image is invalid.
        StalkerError: something failed; the image is as it was then.
    """
    path = existing_image(image)
    creation, files, terms = read_injection(config, reporter)  # 1, 2
    try:
        if not _in_place(path, creation, files, terms, reporter):  # 3, 4
            _by_copy(path, creation, files, terms, reporter)  # 5
    except OSError as error:
        raise StalkerError(
            f"{image} could not be changed: {error.strerror}",
            str(error),
            "free space where it is, or correct its permissions, then run again",
        ) from error
    return path


def read_injection(config: str, reporter: Reporter) -> tuple[Creation, dict[FetchedInjection, Path], Terms]:
    """Return what CONFIG says of one machine, the files that it names, and the terms.

    Raises:
        FilesError, PlanError: it cannot be put into a ready image.
        InputError: a file has another checksum.
    """
    path = Path(config)
    creation = read_creation(config_text(path), config, folder=path.resolve().parent, needs_base=False)
    for warning in creation.warnings:
        reporter.say(warning)
    if creation.files or creation.images or creation.writes_config or creation.mounts_data:
        raise PlanError(
            f"{config} asks for a data partition",
            "a ready image is given what is under injections and offspot",
            f"create the image with them: {program()} image create",
        )
    return creation, _local_files(creation), Terms(now_s(), read_secret)


def _in_place(
    image: Path, creation: Creation, files: Mapping[FetchedInjection, Path], terms: Terms, reporter: Reporter
) -> bool:
    """Inject into the image itself; False where a file system has to be repaired first: nothing is written."""
    with image.open("r+b", buffering=0) as stream, _locked(stream.fileno(), image):
        if recovered := recover(image, stream.fileno()):
            reporter.say(recovered)
        view = FileView(stream.fileno())
        editors = Editors(view, partitions_of(image, creation), mtime_s=terms.mtime_s)
        with contextlib.closing(editors):
            try:
                inject_all(creation, files, terms, editors, view, reporter)
                pieces = editors.pieces()
            except NeedsRepair as error:
                reporter.say(f"{error.brief}: {error.details}; it is repaired in a copy")
                return False
        os.fsync(stream.fileno())  # the content of files is where nothing was before
        remove_descriptions(image, reporter.say)
        write_pieces(image, stream.fileno(), pieces)
    return True


def _by_copy(
    image: Path, creation: Creation, files: Mapping[FetchedInjection, Path], terms: Terms, reporter: Reporter
) -> None:
    """Inject into a copy, and publish it in the place of the image. Raises StalkerError: the image is as it was."""
    mode = image.stat().st_mode
    size_bytes = image.stat().st_size
    with (
        image.open("rb") as old,
        _locked(old.fileno(), image),
        working(image, None, keeps=False, say=reporter.say) as directory,
        lazy_tool(directory, reporter.say) as tool,
    ):
        copy = directory / IMAGE
        with copy.open("x+b", buffering=0) as stream:
            copy_image(image, stream, Task(f"copying {image.name}", reporter, size_bytes).add, reporter.check)
            partitions = partitions_of(copy, creation)
            view = FileView(stream.fileno())
            editors = open_editors(copy, view, partitions, tool, terms.mtime_s, reporter)
            with contextlib.closing(editors):
                inject_all(creation, files, terms, editors, view, reporter)
                editors.finish()
        on_bytes = Task("copying it to its place", reporter, size_bytes).add
        then = functools.partial(remove_descriptions, image, reporter.say)
        publish(copy, image, on_bytes, reporter.check, then=then)
        image.chmod(mode & 0o7777)


def existing_image(name: str) -> Path:
    """Return the path of a raw image. Raises PlanError when there is none."""
    path = Path(os.path.realpath(name))
    if not path.is_file():
        raise PlanError(f"there is no image {name}", "", "name an .img that is there")
    try:
        packing = packing_of(path)
    except OSError as error:
        raise StalkerError(
            f"{name} cannot be read: {error.strerror}", str(error), "correct its permissions"
        ) from error
    if packing:
        raise PlanError(f"{name} is compressed", "", "decompress it, or create it with the injections in it")
    return path


def _local_files(creation: Creation) -> dict[FetchedInjection, Path]:
    """Return the paths of the injected files, which are on this host. Raises PlanError for a URL."""
    paths = {}
    for file in creation.injections.with_sources:
        assert file.source is not None
        path = local_path(file.source.url, Path())
        if path is None or not path.is_file():
            raise PlanError(
                f"{file.place}: {file.source.url} is not a file of this host",
                "only those are put into a ready image",
                "fetch it before, or create the image with it",
            )
        if file.source.digest is not None:
            _verify(file.source)
        paths[file] = path
    return paths


def _verify(source: Source) -> None:
    """Raise InputError when a file of this host does not have its checksum."""
    with Cache(cache_dir() / "downloads") as cache:
        cache.get(request_of(source, cache)).close()


@contextlib.contextmanager
def _locked(descriptor: int, image: Path) -> Iterator[None]:
    """Lock the image for the time of the change. Raises StalkerError when it is locked already, or mounted."""
    # It may also have been replaced since we opened it.
    if not try_lock(descriptor) or not os.path.samestat(os.fstat(descriptor), image.stat()):
        raise StalkerError(f"{image} is being changed by another process", "", "run again when that is done")
    refuse_used(descriptor)
    yield
