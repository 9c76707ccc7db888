"""`stalker image create`: one configuration in, a card image out."""

from __future__ import annotations

import contextlib
import os
import sys
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

import click

from stalker import __version__
from stalker.app.card_images.create import CardRequest, create_card_image
from stalker.app.environment import cache_dir as default_cache
from stalker.cli.commands.cache import show
from stalker.errors import PlanError, StalkerError
from stalker.io.signals import end_like_ctrl_c
from stalker.io.units import decimal_bytes, size_text
from stalker.journal.observers import open_observers
from stalker.journal.views.transfers import Transfers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stalker.app.card_images.create import CardImage
    from stalker.app.settings import Settings

BASE_PATTERN = "STALKER_BASE_IMAGES"
"""The variable with the URL of official images, `{version}` in it."""


def _max_size(ctx: click.Context, parameter: click.Parameter, value: str | None) -> int | None:
    del ctx, parameter
    if value is None:
        return None
    try:
        return decimal_bytes(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


@click.command()
@click.argument("config", metavar="CONFIG")
@click.argument("output", metavar="OUTPUT")
@click.option("--build-dir", metavar="DIR", help="Where the image grows; default: next to OUTPUT.")
@click.option("--cache-dir", metavar="DIR", help="The cache of downloads; default: that of stalker.")
@click.option("-C", "--check", is_flag=True, help="Check configuration, sources and sizes; make nothing.")
@click.option("-K", "--keep", is_flag=True, help="Keep what was made of the image when it fails.")
@click.option("-X", "--overwrite", is_flag=True, help="Replace OUTPUT, once the new image is finished.")
@click.option(
    "-T",
    "--concurrency",
    type=click.IntRange(min=0),
    default=0,
    help="Downloads at a time; 0: as many as is sensible, 1: one after the other.",
)
@click.option("--max-size", metavar="SIZE", callback=_max_size, help="Refuse a larger image: 512GB, 32GiB.")
@click.option("--platform", metavar="OS/ARCH", default="linux/arm64/v8", help="Of oci_images.")
@click.option("--show-cache", is_flag=True, help="List what is cached first.")
@click.option("-D", "--debug", is_flag=True, help="Say more, and show where an error comes from.")
@click.version_option(__version__, "-V", "--version", prog_name="stalker image create")
@click.pass_context
def create(
    ctx: click.Context,
    config: str,
    output: str,
    build_dir: str | None,
    cache_dir: str | None,
    check: bool,
    keep: bool,
    overwrite: bool,
    concurrency: int,
    max_size: int | None,
    platform: str,
    show_cache: bool,
    debug: bool,
) -> None:
    """Create the card image OUTPUT from the configuration CONFIG: a file or a URL, YAML or Hjson.

    A base image, files, archives and container images on its data partition, and what one machine has of its
    own. Nothing is mounted, no root is needed. OUTPUT appears when it is finished, else not at all; its name
    says how it is packed: .img, .img.zst, .img.xz, .img.gz, .zip.
    """
    if show_cache:
        ctx.invoke(show, cache_dir=cache_dir, as_json=False)
    request = CardRequest(
        config=config,
        output=Path(output),
        build_dir=Path(build_dir).absolute() if build_dir else None,
        cache_dir=Path(cache_dir).absolute() if cache_dir else default_cache() / "downloads",
        only_checks=check,
        keeps=keep,
        overwrites=overwrite,
        concurrency=concurrency,
        max_bytes=max_size,
        platform=platform,
        base_pattern=_pattern(),
    )
    end_like_ctrl_c()
    began_s = time.monotonic()
    with _traceback(is_shown=debug), _disk_named(output):
        image = _create(ctx.obj, request)
    if image.size_bytes is not None:
        print(f"{output}: {size_text(image.size_bytes)}, in {time.monotonic() - began_s:.1f} s")


def _create(settings: Settings, request: CardRequest) -> CardImage:
    with Transfers(quiet_s=1.0) as reporter:
        return create_card_image(settings, request, reporter, open_observers)


@contextlib.contextmanager
def _traceback(*, is_shown: bool) -> Iterator[None]:
    """Print where an error comes from, with --debug."""
    try:
        yield
    except Exception:
        if is_shown:
            traceback.print_exc(file=sys.stderr)
        raise


@contextlib.contextmanager
def _disk_named(output: str) -> Iterator[None]:
    """Name the image that a full or broken disk cannot hold."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        where = f": {error.filename}" if error.filename else ""
        raise StalkerError(
            f"{output} could not be made: {error.strerror or error}{where}",
            "it grows next to its place, or in --build-dir; downloads go into --cache-dir",
            "free space there, or correct the permissions",
        ) from error


def _pattern() -> str:
    pattern = os.environ.get(BASE_PATTERN, "")
    if pattern and "{version}" not in pattern:
        raise PlanError(
            f"{BASE_PATTERN}={pattern} has no {{version}}", "", "put {version} where the version is"
        )
    return pattern
