"""A card image is created: read, look, fetch, assemble, publish."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from stalker.cli.downloads import Downloads
from stalker.cli.gathering import Gathering, terms_of
from stalker.cli.settings import end_as_by_ctrl_c
from stalker.cli.telling import Telling, late_toolbox
from stalker.cli.terms import check_secrets, config_text
from stalker.config.creation import read_creation
from stalker.errors import InputError, Interrupted, PlanError, StalkerError
from stalker.fetch.cache import Cache
from stalker.fetch.docker_login import read_docker_config
from stalker.fetch.files import local_path, shown
from stalker.fetch.registry import Registries
from stalker.image.edit.assemble import assemble
from stalker.image.edit.finished import describe, finish
from stalker.image.edit.frame import base_of
from stalker.image.edit.output import check_output, format_of, working
from stalker.image.edit.room import measure_of, room_for, told_base
from stalker.image.edit.volumes import needed_on_volumes
from stalker.image.packed import packing_of
from stalker.model.units import size_text

if TYPE_CHECKING:
    from stalker.cli.gathering import Looked
    from stalker.cli.settings import Settings
    from stalker.cli.tree_base import TreeBase
    from stalker.image.edit.room import Room
    from stalker.model.creation import Creation, OutputFormat

MOST_CONFIG_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Wish:
    """What was typed."""

    config: str
    output: Path
    build_dir: Path | None
    cache_dir: Path
    only_checks: bool = False
    keeps: bool = False
    overwrites: bool = False
    concurrency: int = 0
    max_bytes: int | None = None
    platform: str = "linux/arm64/v8"
    base_pattern: str = ""


def create_image(settings: Settings, wish: Wish) -> None:
    """Create an image; OUTPUT is there and whole when this returns.

    Raises:
        FilesError, PlanError: the configuration or OUTPUT cannot be (exit code 2).
        InputError: a source cannot be had, or is not what it must be (4).
        StalkerError: something failed (1, 3).
    """
    end_as_by_ctrl_c()
    told = Telling()
    began_s = time.monotonic()
    try:
        size_bytes = _create(settings, wish, told)
    except KeyboardInterrupt:
        raise Interrupted(
            "interrupted",
            f"{wish.output} is as it was; what was downloaded is kept",
            "the next run goes on from there",
        ) from None
    finally:
        told.display.end()
    if size_bytes is not None:
        print(f"{wish.output}: {size_text(size_bytes)}, in {time.monotonic() - began_s:.1f} s")


def _create(settings: Settings, wish: Wish, told: Telling) -> int | None:
    creation = _read(wish)
    for text in creation.warnings:
        told.say(text)
    tree_base = _tree_base(settings, creation)
    base = tree_base.path if tree_base else _local_base(creation)
    output = check_output(wish.output, overwrites=wish.overwrites, base=base)
    kind = _format(creation, output, told)
    config = read_docker_config(os.environ, os.path.expanduser("~"))  # noqa: PTH111
    with (
        Cache(wish.cache_dir, say=told.say) as cache,
        Registries(config, say=told.say) as registries,
    ):
        if tree_base is not None and tree_base.reason and not wish.only_checks:
            from stalker.cli.tree_base import make_tree_base

            told.say(f"making the base {tree_base.artifact.id}: {tree_base.reason}")
            base = make_tree_base(settings, tree_base)
        gathering = Gathering(creation, base, cache, registries, wish.platform, wish.concurrency)
        check_secrets(creation)
        looked = gathering.look()
        room = _reckon(creation, base, looked, wish)
        _tell_room(room, looked, told)
        _check_volumes(room, base, looked, wish, output)
        if wish.only_checks:
            return None
        with Downloads() as shown, gathering.fetched(shown.moving) as ingredients:
            terms = terms_of(creation, gathering, ingredients, wish.max_bytes)
            with (
                working(output, wish.build_dir, keeps=wish.keeps, say=told.say) as folder,
                late_toolbox(told) as toolbox,
            ):
                made = assemble(creation, ingredients, terms, folder, toolbox, told)
                about = describe(creation, ingredients, made, output.name, terms.mtime_s)
                finish(
                    made.image,
                    output,
                    kind,
                    about,
                    toolbox,
                    told,
                    terms.mtime_s,
                    overwrites=wish.overwrites,
                )
    return output.stat().st_size


def _read(wish: Wish) -> Creation:
    if "://" in wish.config:
        return read_creation(_text_at(wish), shown(wish.config), base_pattern=wish.base_pattern)
    path = Path(wish.config)
    folder = path.resolve().parent
    return read_creation(config_text(path), wish.config, base_pattern=wish.base_pattern, folder=folder)


def _text_at(wish: Wish) -> str:
    with Cache(wish.cache_dir) as cache:
        answer = cache.ask("GET", wish.config, most_bytes=MOST_CONFIG_BYTES)
    if answer.status != 200 or not answer.is_whole:
        why = f"the server answers {answer.line}" if answer.status != 200 else "it is larger than 1 MiB"
        raise InputError(f"{shown(wish.config)} cannot be read: {why}", "", "check the URL")
    try:
        return answer.body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{shown(wish.config)} is no UTF-8 text", str(error), "check the URL") from error


def _tree_base(settings: Settings, creation: Creation) -> TreeBase | None:
    if creation.base.tree is None:
        return None
    from stalker.cli.tree_base import find_tree_base

    return find_tree_base(settings, creation.base.tree)


def _local_base(creation: Creation) -> Path | None:
    """Return a base that is a file of this host. Raises InputError when there is none of that name."""
    source = creation.base.source
    path = None if source is None else local_path(source.url, Path())
    if path is not None and not path.is_file():
        raise InputError(f"there is no base {path}", f"{creation.base.place} names it", "check the path")
    return path


def _format(creation: Creation, output: Path, told: Telling) -> OutputFormat:
    """Return how OUTPUT is packed: as its name says. Raises PlanError when the configuration says otherwise."""
    by_name = format_of(output)
    wanted = creation.output.format
    if wanted and wanted != by_name:
        ending = ".zip" if wanted == "zip" else f".{wanted}"
        raise PlanError(
            f"{output.name} is not named as what it is to be: {wanted}",
            "output.format, or output.compress, of the configuration says so",
            f"name it {output.name.removesuffix('.img')}{ending}",
        )
    if creation.output.compresses and by_name == "img":
        told.say(f"output.compress: the name says how; {output.name}.zst would be packed")
    return by_name


def _reckon(creation: Creation, base: Path | None, looked: Looked, wish: Wish) -> Room:
    """Return how large the image becomes, as well as it is known now. Raises PlanError when it cannot be."""
    measure = measure_of(looked.loads) if looked.loads or creation.needs_data else None
    if base is not None and not packing_of(base):
        known = base_of(base, creation.data_label)
    else:
        size = looked.base
        told_bytes = (
            size.unpacked_bytes if size and size.unpacked_bytes else size.size_bytes if size else None
        )
        known = told_base(told_bytes, creation.base.rootfs_bytes)
    return room_for(known, measure, creation.output, max_bytes=wish.max_bytes)


def _tell_room(room: Room, looked: Looked, told: Telling) -> None:
    about = "" if room.is_exact else "at least "
    told.say(
        f"the image takes {about}{size_text(room.image_bytes)}, {size_text(room.content_bytes)} of it for data;"
        f" at most {size_text(looked.download_bytes)} to download"
    )
    if looked.unknown:
        told.say(f"not known before they are here: the sizes of {', '.join(looked.unknown)}")


def _check_volumes(room: Room, base: Path | None, looked: Looked, wish: Wish, output: Path) -> None:
    """Raise StalkerError when a volume surely has not the room for what comes there."""
    stored = base.stat().st_blocks * 512 if base is not None else 0
    image = room.content_bytes + stored
    needs = [(wish.build_dir or output.parent, image), (wish.cache_dir, looked.download_bytes)]
    problems = needed_on_volumes(needs)
    if problems:
        raise StalkerError(
            "there is not enough room", "\n".join(problems), "make room, or name other folders"
        )
