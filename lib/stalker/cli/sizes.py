"""`stalker image sizes`: what a container image takes, as a configuration of a card image says it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

ENDINGS = (".tar", ".tgz", ".tar.gz", ".tar.xz", ".tar.bz2", ".tar.zst")


@click.command()
@click.argument("image", metavar="REF|TAR")
@click.option(
    "--platform", metavar="OS/ARCH", default="linux/arm64/v8", show_default=True, help="The machine's."
)
@click.option("--cache-dir", metavar="DIR", help="The cache of downloads; default: that of stalker.")
def sizes(image: str, platform: str, cache_dir: str | None) -> None:
    """Print the lines of `oci_images` for the container image REF, or for its archive TAR.

    Of an image in a registry a few bytes are fetched, and all of it only when those do not tell. An
    archive's layers are unpacked and counted. The result is YAML that `image create` takes.
    """
    path = Path(image)
    if path.exists() or image.endswith(ENDINGS) or image.startswith(("/", "./", "../", "~")):
        ident, *amounts = _of_archive(path.expanduser(), platform)
    else:
        ident, *amounts = _of_registry(image, platform, cache_dir)
    click.echo(stanza(ident, *amounts))


def stanza(ident: str, file_bytes: int, full_bytes: int) -> str:
    """Return what goes into a configuration; without a name the place for one."""
    name = f'"{ident}"' if ident.startswith("[") else ident
    return "\n".join(
        (
            "oci_images:",
            f"  - ident: {name}" if ident else '  - ident: ""  # registry/name:tag; the archive names none',
            f"    filesize: {file_bytes}  # {binary_size(file_bytes)}",
            f"    fullsize: {full_bytes}  # {binary_size(full_bytes)}",
        )
    )


def binary_size(size_bytes: int) -> str:
    """Return `44.97 MiB`, or `1.20 GiB` from there on."""
    exponent, unit = (30, "GiB") if size_bytes >= 1 << 30 else (20, "MiB")
    return f"{size_bytes / (1 << exponent):.2f} {unit}"


def _of_archive(path: Path, platform: str) -> tuple[str, int, int]:
    from stalker.fetch.archive_reader import read_archive
    from stalker.model.image_names import parse_image_name

    archive = read_archive(path, platform, counts=True)
    assert archive.full_bytes is not None  # they were counted
    ident = str(parse_image_name(archive.names[0])) if archive.names else ""
    return ident, archive.file_bytes, archive.full_bytes


def _of_registry(ident: str, platform: str, folder: str | None) -> tuple[str, int, int]:
    from stalker.cli.settings import cache_dir as usual_cache
    from stalker.fetch.archive_reader import read_archive
    from stalker.fetch.cache import Cache
    from stalker.fetch.docker_login import read_docker_config
    from stalker.fetch.image_fetch import fetch_image
    from stalker.fetch.registry import Registries
    from stalker.fetch.remote_image import inspect_image

    config = read_docker_config(os.environ, os.path.expanduser("~"))  # noqa: PTH111
    root = Path(folder) if folder else usual_cache() / "downloads"
    with Cache(root, say=_say) as cache, Registries(config, say=_say) as registries:
        remote = inspect_image(ident, platform, registries, cache)
        if remote.archive_bytes is not None and remote.full_bytes is not None:
            return remote.ident, remote.archive_bytes, remote.full_bytes
        _say(f"{remote.name} does not tell how large it is; it is fetched to be measured")
        with fetch_image(cache, remote, registries, concurrency=3) as file:
            archive = read_archive(file.path, platform, counts=True)
    assert archive.full_bytes is not None  # they were counted
    return remote.ident, archive.file_bytes, archive.full_bytes


def _say(text: str) -> None:
    print(f"stalker: {text}", file=sys.stderr)
