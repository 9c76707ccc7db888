"""Disk images that stalks start from: verified as they are published, and decompressed.

What is decompressed is a file without a name: nothing of it is left, however this process ends.
"""

from __future__ import annotations

import contextlib
import hashlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from stalker.errors import InputError
from stalker.fetch.cache.cache import Cache
from stalker.fetch.cache.request import Request
from stalker.fetch.urls import cannot_write, file_name, local_path, shown
from stalker.io.compression.reader import packing_of
from stalker.io.hashing import Checksum, wrong_digest
from stalker.io.progress import Say
from stalker.io.sparse import nothing, unpack_base
from stalker.model.tree import DiskBase


@contextlib.contextmanager
def published_image(base: DiskBase, workspace: Path, cache_dir: Path, say: Say) -> Iterator[Path]:
    """Give the image as it is published, compressed or not, fetched when needed and verified.

    Raises:
        InputError: it is missing, or not what the tree says; a download of it is then removed.
    """
    algorithm, _, digits = base.checksum.partition(":")
    path = local_path(base.source, workspace)
    if path is not None:
        say(f"verifying {file_name(base.source)}")
        try:
            with path.open("rb") as stream:
                found = hashlib.file_digest(stream, algorithm or "sha256").hexdigest()
        except OSError as error:
            raise InputError(
                f"{path} cannot be read: {error.strerror}", str(error), f"correct the path at {base.place}"
            ) from error
        if digits and found != digits:
            raise wrong_digest(shown(base.source), Checksum(algorithm, digits), found)
        yield path
        return
    checksum = Checksum.of(algorithm, digits)
    if checksum.algorithm == "sha256":
        wanted = Request(base.source, sha256=digits, use="any")
    else:
        wanted = Request(base.source, checksum=checksum, use="any")
    with Cache(cache_dir, say=say) as cache, cache.get(wanted) as fetched:
        yield fetched.path


@contextlib.contextmanager
def raw_image(base: DiskBase, workspace: Path, cache_dir: Path, say: Say) -> Iterator[Path]:
    """Give the image decompressed; the path is good until the end of the block.

    Raises:
        InputError: as `published_image`, or it is damaged.
    """
    with published_image(base, workspace, cache_dir, say) as path:
        if not packing_of(path):
            yield path
            return
        say(f"decompressing {file_name(base.source)}")
        try:
            cache_dir.mkdir(parents=True, exist_ok=True)
            spool = tempfile.TemporaryFile(dir=cache_dir)  # noqa: SIM115 - closed below
        except OSError as error:
            raise cannot_write(cache_dir, error) from error
        with spool:
            unpack_base(path, spool, nothing)
            yield Path(f"/proc/self/fd/{spool.fileno()}")
