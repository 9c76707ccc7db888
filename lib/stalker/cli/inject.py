"""`stalker image inject`: what one machine has of its own, put into a ready image."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from stalker.errors import PlanError, StalkerError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from stalker.cli.telling import Telling
    from stalker.image.edit.injecting import Terms
    from stalker.image.toolbox import Tool
    from stalker.model.creation import Creation, Source


@click.command()
@click.argument("image", metavar="IMG")
@click.argument("config", metavar="CONFIG")
def inject(image: str, config: str) -> None:
    """Put into the raw image IMG what CONFIG says under `injections` and `offspot`.

    What goes onto a FAT, as the boot partition is, is written in place: all of it or nothing, also after a
    power cut. For other file systems IMG is copied, shared with the old one where that can be, and replaced by
    the finished copy. Nobody else may use IMG meanwhile.
    """
    from stalker.cli.telling import Telling
    from stalker.cli.terms import config_text, now_s, read_secret
    from stalker.config.creation import read_creation
    from stalker.image.edit.injecting import Terms

    path, told = _existing(image), Telling()
    file = Path(config)
    creation = read_creation(config_text(file), config, folder=file.resolve().parent, needs_base=False)
    for warning in creation.warnings:
        told.say(warning)
    if creation.files or creation.images or creation.writes_config or creation.mounts_data:
        raise PlanError(
            f"{config} asks for a data partition",
            "a ready image is given what is under injections and offspot",
            "create the image with them: ./stalker image create",
        )
    terms = Terms(mtime_s=now_s(), secrets=read_secret)
    files = _local_files(creation)
    try:
        if not _in_place(path, creation, files, terms, told):
            _by_copy(path, creation, files, terms, told)
    except OSError as error:
        raise StalkerError(
            f"{image} could not be changed: {error.strerror}",
            str(error),
            "make room where it lies, or mend its rights, then run again",
        ) from error


def _in_place(
    image: Path, creation: Creation, files: Mapping[int, Path], terms: Terms, told: Telling
) -> bool:
    """Write what goes onto FATs alone, and say whether that was all; else nothing is written."""
    from stalker.image.edit.editors import Editors
    from stalker.image.edit.fat import FatEditor
    from stalker.image.edit.injecting import inject_all, partitions_of
    from stalker.image.edit.journaled import recover, write_pieces

    with image.open("r+b", buffering=0) as stream, _alone(stream.fileno(), image):
        if said := recover(image, stream.fileno()):
            told.say(said)
        partitions = partitions_of(image, creation.data_label)
        own = creation.injections
        wanted = {file.partition for file in own.files} | (
            {"boot"} if creation.offspot is not None else set()
        )
        is_more = own.hostname or own.users or own.ssh_keys or own.wifi or own.country
        kinds = {partitions[name].filesystem.kind for name in wanted if name in partitions}
        if is_more or not all(kind.startswith("fat") for kind in kinds):
            return False

        def no_tool() -> Tool:
            raise AssertionError("a FAT needs no tool")

        editors = Editors(stream.fileno(), partitions, no_tool, "", mtime_s=terms.mtime_s)
        inject_all(creation, files, terms, editors, stream.fileno(), told)
        pieces = [piece for one in editors.opened() if isinstance(one, FatEditor) for piece in one.pieces()]
        os.fsync(stream.fileno())  # what was written lies where nothing was before
        write_pieces(image, stream.fileno(), pieces)
    return True


def _by_copy(image: Path, creation: Creation, files: Mapping[int, Path], terms: Terms, told: Telling) -> None:
    """Change a copy, and let it take the place of the image. Raises StalkerError: the image is as it was then."""
    from stalker.cli.telling import late_toolbox
    from stalker.image.edit.copying import copy_image
    from stalker.image.edit.injecting import inject_all, late_tool, open_editors, partitions_of
    from stalker.image.edit.output import IMAGE, publish, working

    mode = image.stat().st_mode
    with (
        image.open("rb") as old,
        _alone(old.fileno(), image),
        working(image, None, keeps=False, say=told.say) as folder,
        late_toolbox(told) as toolbox,
        late_tool(toolbox, folder) as tool,
    ):
        made = folder / IMAGE
        with made.open("x+b", buffering=0) as stream:
            copy_image(image, stream, told.adder(f"copying {image.name}", image.stat().st_size), told.check)
            partitions = partitions_of(made, creation.data_label)
            editors = open_editors(made, stream.fileno(), partitions, tool, terms.mtime_s, told)
            inject_all(creation, files, terms, editors, stream.fileno(), told)
            editors.finish()
        publish(made, image, told.adder("copying it to its place", image.stat().st_size), told.check)
        image.chmod(mode & 0o7777)
    told.display.end()


def _existing(name: str) -> Path:
    """Return the path of a raw image. Raises PlanError when it is none."""
    from stalker.image.packed import packing_of

    path = Path(os.path.realpath(name))
    if not path.is_file():
        raise PlanError(f"there is no image {name}", "", "name an .img that is there")
    try:
        packing = packing_of(path)
    except OSError as error:
        raise StalkerError(
            f"{name} cannot be read: {error.strerror}", str(error), "mend its rights"
        ) from error
    if packing:
        raise PlanError(f"{name} is packed", "", "unpack it, or create it with the injections in it")
    return path


def _local_files(creation: Creation) -> dict[int, Path]:
    """Return the files of this host that are injected, by their number. Raises PlanError for a URL."""
    from stalker.fetch.files import local_path

    found = {}
    for number, file in enumerate(creation.injections.files):
        if file.source is None:
            continue
        path = local_path(file.source.url, Path())
        if path is None or not path.is_file():
            raise PlanError(
                f"{file.place}: {file.source.url} is no file of this host",
                "into a ready image only those are put",
                "fetch it before, or create the image with it",
            )
        if file.source.digest is not None:
            _hold_against(file.source)
        found[number] = path
    return found


def _hold_against(source: Source) -> None:
    """Raise InputError when a file of this host has another checksum than it must have."""
    from stalker.cli.settings import cache_dir
    from stalker.fetch.cache import Cache
    from stalker.fetch.digest_url import wanted_of

    with Cache(cache_dir() / "downloads") as cache:
        cache.get(wanted_of(source, cache)).close()


@contextlib.contextmanager
def _alone(descriptor: int, image: Path) -> Iterator[None]:
    """Hold the image for the time of the change. Raises StalkerError when another one does, or mounts it."""
    import fcntl

    from stalker.image.edit.in_use import refuse_used

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        is_there = os.path.samestat(os.fstat(descriptor), image.stat())
    except BlockingIOError:
        is_there = False
    if not is_there:  # held by another, or it has replaced it since we opened it
        raise StalkerError(f"{image} is being changed by another", "", "run again when that is done")
    refuse_used(descriptor)
    yield
