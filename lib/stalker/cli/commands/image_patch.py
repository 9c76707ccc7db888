"""`stalker image patch`, `apply` and `show`: an injection as a file, for images that are made on demand."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

import click

from stalker.app.card_images.injection import existing_image, read_injection
from stalker.app.card_images.patches import apply_patch, make_patch
from stalker.app.environment import cache_dir
from stalker.card.patch import lines_of, opened_patch
from stalker.errors import InputError, StalkerError
from stalker.fetch.cache.cache import Cache
from stalker.fetch.cache.request import Request
from stalker.journal.views.transfers import Transfers

if TYPE_CHECKING:
    from collections.abc import Iterator

OVERWRITE = click.option("-X", "--overwrite", is_flag=True, help="Replace what is there.")


@click.command()
@click.argument("base", metavar="BASE")
@click.argument("config", metavar="CONFIG")
@click.argument("target", metavar="PATCH")
@OVERWRITE
def patch(base: str, config: str, target: str, *, overwrite: bool) -> None:
    """Write what `image inject BASE CONFIG` would change as PATCH; BASE, a raw image, is read alone.

    PATCH holds passwords and keys that CONFIG names: only its owner can read it.
    """
    path = existing_image(base)
    with Transfers(quiet_s=1.0) as reporter:
        creation, files, terms = read_injection(config, reporter)
        with _written(target):
            made = make_patch(path, creation, files, terms, Path(target), reporter, overwrites=overwrite)
    print(f"{target}: {made.changed_bytes} bytes in {len(made.pieces)} pieces")


@click.command()
@click.argument("base", metavar="BASE")
@click.argument("source", metavar="PATCH")
@click.argument("output", metavar="OUT")
@OVERWRITE
def apply(base: str, source: str, output: str, *, overwrite: bool) -> None:
    """Make the raw image OUT of BASE and PATCH. BASE is a file or URL, compressed or not.

    It is refused when it is not the image that PATCH was made for.
    """
    with Transfers(quiet_s=1.0) as reporter, _base(base) as path, _written(output):
        made = apply_patch(path, Path(source), Path(output), reporter, overwrites=overwrite)
    print(f"{output}: {made.changed_bytes} bytes of {made.size} changed")


@click.command()
@click.argument("source", metavar="PATCH")
def show(source: str) -> None:
    """Show which image PATCH is for and how much it changes. What it contains is not shown."""
    with opened_patch(Path(source)) as (found, _):
        print("\n".join(lines_of(found)))


@contextlib.contextmanager
def _base(name: str) -> Iterator[Path]:
    """Give the file of a base; one at a URL is downloaded. Raises InputError."""
    if "://" not in name:
        if not Path(name).is_file():
            raise InputError(f"there is no base {name}", "", "check the path")
        yield Path(name).resolve()
        return
    with Cache(cache_dir() / "downloads") as cache, contextlib.closing(cache.get(Request(name))) as fetched:
        yield fetched.path


@contextlib.contextmanager
def _written(name: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StalkerError(
            f"{name} could not be made: {error.strerror}",
            str(error),
            "make room there, or repair its permissions",
        ) from error
