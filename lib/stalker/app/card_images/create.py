"""Create a card image, as a straight line: each step is one call with one frozen result.

1 load the configuration, 2 resolve its sources, 3 measure them, 4 plan the layout, 5 check the space,
6 fetch, 7 assemble, 8 publish.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from stalker.app.card_images.base import find_tree_base, make_tree_base
from stalker.app.card_images.config import check_secrets, load_creation, read_secret
from stalker.app.card_images.lazy_tool import lazy_tool
from stalker.app.card_images.sources import Servers, fetched_sources, list_sources, measure_sources
from stalker.app.environment import now_s
from stalker.card.assemble import assemble
from stalker.card.describe import describe, publish_image
from stalker.card.inject.image_file import Terms
from stalker.card.output import OutputPlan, check_output, format_of, working
from stalker.card.sizing import declared_base, measure_of, plan_layout
from stalker.engine.logins import read_docker_config
from stalker.errors import InputError, Interrupted, PlanError, StalkerError
from stalker.fetch.cache.cache import Cache
from stalker.fetch.oci.registry import Registries
from stalker.fetch.urls import local_path
from stalker.host.block_device import needed_on_volumes
from stalker.io.units import size_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stalker.app.card_images.sources import Measured, Sources
    from stalker.app.run import Observe
    from stalker.app.settings import Settings
    from stalker.card.sizing import Layout
    from stalker.io.progress import Reporter
    from stalker.model.card import Creation, OutputFormat


@dataclass(frozen=True, slots=True)
class CardRequest:
    """What is requested next to the configuration: where files go, what may be replaced, and limits.

    `config` is a path or a URL. `base_pattern` is the URL of official bases, `{version}` in it, empty for the
    default. With `only_checks` nothing is made.
    """

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


@dataclass(frozen=True, slots=True)
class CardImage:
    """A card image that was created, or only checked: then `size_bytes` is None. `layout` is what was planned."""

    path: Path
    layout: Layout
    size_bytes: int | None


def create_card_image(
    settings: Settings, request: CardRequest, reporter: Reporter, observe: Observe
) -> CardImage:
    """Create a card image; OUTPUT exists and is complete when this returns.

    `observe` opens the observers of a run, for a base that a tree has to make.

    Raises:
        FilesError, PlanError: the configuration or OUTPUT is invalid (exit code 2).
        InputError: a source is not available, or is not what it must be (4).
        StalkerError: something failed (1, 3).
    """
    try:
        return _create(settings, request, reporter, observe)
    except KeyboardInterrupt:
        raise Interrupted(
            "interrupted",
            f"{request.output} is as it was; what was downloaded is kept",
            "the next run goes on from there",
        ) from None


def _create(settings: Settings, request: CardRequest, reporter: Reporter, observe: Observe) -> CardImage:
    creation = load_creation(request.config, request.cache_dir, request.base_pattern, reporter)  # 1
    check_secrets(creation)
    with _servers(request, reporter) as servers:
        sources, output = _resolve(settings, request, creation, reporter, observe)  # 2
        measured = measure_sources(sources, servers)  # 3
        layout = _plan_layout(sources, measured, request)  # 4
        _report(layout, measured, reporter)
        _check_space(layout, sources, measured, request, output)  # 5
        if request.only_checks:
            return CardImage(output.path, layout, None)
        terms = Terms(now_s(), read_secret)
        with contextlib.ExitStack() as stack:
            ingredients = stack.enter_context(fetched_sources(sources, measured, servers, reporter))  # 6
            work = working(output.path, request.build_dir, keeps=request.keeps, say=reporter.say)
            directory = stack.enter_context(work)
            tool = stack.enter_context(lazy_tool(directory, reporter.say))
            assembled = assemble(  # 7
                creation, ingredients, terms, directory, tool, reporter, max_bytes=request.max_bytes
            )
            manifest = describe(creation, ingredients, assembled, output.path.name, terms.mtime_s)
            publish_image(assembled.image, output, manifest, tool, reporter, terms.mtime_s)  # 8
    return CardImage(output.path, assembled.layout, output.path.stat().st_size)


@contextlib.contextmanager
def _servers(request: CardRequest, reporter: Reporter) -> Iterator[Servers]:
    """Open the cache and the registries."""
    config = read_docker_config(os.environ, os.path.expanduser("~"))  # noqa: PTH111
    with (
        Cache(request.cache_dir, say=reporter.say) as cache,
        Registries(config, say=reporter.say) as registries,
    ):
        yield Servers(cache, registries, request.platform, request.concurrency)


def _resolve(
    settings: Settings, request: CardRequest, creation: Creation, reporter: Reporter, observe: Observe
) -> tuple[Sources, OutputPlan]:
    """List the sources of an image and check its output; a stale base of a tree is made now.

    Raises:
        PlanError: OUTPUT is not a valid place, or there is no such tree.
        InputError: the base is not on this host.
        StepFailed: the tree's base could not be made.
    """
    tree_base = find_tree_base(settings, creation.base.tree, reporter.say) if creation.base.tree else None
    base = tree_base.path if tree_base else _local_base(creation)
    path = check_output(request.output, overwrites=request.overwrites, base=base)
    output = OutputPlan(path, _format(creation, path, reporter), request.overwrites)
    if tree_base is not None and tree_base.reason and not request.only_checks:
        reporter.say(f"making the base {tree_base.artifact.id}: {tree_base.reason}")
        base = make_tree_base(settings, tree_base, observe)
    return list_sources(creation, base), output


def _local_base(creation: Creation) -> Path | None:
    """Return a base that is a file of this host. Raises InputError when there is no file of that name."""
    source = creation.base.source
    path = None if source is None else local_path(source.url, Path())
    if path is not None and not path.is_file():
        raise InputError(f"there is no base {path}", f"{creation.base.place} names it", "check the path")
    return path


def _format(creation: Creation, output: Path, reporter: Reporter) -> OutputFormat:
    """Return the format of OUTPUT by its name. Raises PlanError when the configuration sets another one."""
    by_name = format_of(output)
    required = creation.output.format
    if required and required != by_name:
        ending = ".zip" if required == "zip" else f".{required}"
        raise PlanError(
            f"{output.name} is not named as what it is to be: {required}",
            "output.format, or output.compress, of the configuration says so",
            f"name it {output.name.removesuffix('.img')}{ending}",
        )
    if creation.output.compresses and by_name == "img":
        reporter.say(f"output.compress: the name says how; {output.name}.zst would be packed")
    return by_name


def _plan_layout(sources: Sources, measured: Measured, request: CardRequest) -> Layout:
    """Plan the layout from what is known by now; it is exact only for a base that was inspected.

    Raises:
        PlanError: the image does not fit the size that was requested, or is larger than it may be.
    """
    creation = sources.creation
    measure = measure_of(measured.loads) if measured.loads or creation.needs_data else None
    if measured.disk is not None:
        base = measured.disk.base
    else:
        size = measured.base
        declared = (size.unpacked_bytes or size.size_bytes) if size is not None else None
        base = declared_base(declared, creation.base.rootfs_bytes)
    return plan_layout(base, measure, creation.output, max_bytes=request.max_bytes)


def _report(layout: Layout, measured: Measured, reporter: Reporter) -> None:
    about = "" if layout.is_exact else "at least "
    reporter.say(
        f"the image takes {about}{size_text(layout.image_bytes)}, {size_text(layout.content_bytes)} of it for"
        f" data; at most {size_text(measured.download_bytes)} to download"
    )
    if measured.unknown:
        reporter.say(f"not known before they are here: the sizes of {', '.join(measured.unknown)}")


def _check_space(
    layout: Layout, sources: Sources, measured: Measured, request: CardRequest, output: OutputPlan
) -> None:
    """Raise StalkerError when a volume certainly has less space than what is written to it."""
    stored = sources.base.stat().st_blocks * 512 if sources.base is not None else 0
    needs = [
        (request.build_dir or output.path.parent, layout.content_bytes + stored),
        (request.cache_dir, measured.download_bytes),
    ]
    problems = needed_on_volumes(needs)
    if problems:
        raise StalkerError(
            "there is not enough room", "\n".join(problems), "make room, or name other folders"
        )
