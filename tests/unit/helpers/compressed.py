"""Archives for tests of their readers, made by the standard library, and what is read of them."""

from __future__ import annotations

import bz2
import functools
import gzip
import io
import lzma
import subprocess
import zipfile
from typing import TYPE_CHECKING, Any

from stalker.formats.archive.open import contents, members

if TYPE_CHECKING:
    from pathlib import Path


def zstd(data: bytes) -> bytes:
    return subprocess.run(["zstd", "-q", "-c"], input=data, stdout=subprocess.PIPE, check=True).stdout


PACK = {
    "tar": bytes,
    "gztar": functools.partial(gzip.compress, compresslevel=1),
    "bztar": functools.partial(bz2.compress, compresslevel=1),
    "xztar": functools.partial(lzma.compress, preset=0),
    "zstdtar": zstd,
}


def info(name: str, *, mode: int = 0, method: int = zipfile.ZIP_STORED, **fields: Any) -> zipfile.ZipInfo:
    one = zipfile.ZipInfo(name, fields.pop("date_time", (2001, 2, 3, 4, 5, 6)))
    one.external_attr = mode << 16 | 0x20  # zipfile takes 0 for 0600
    one.compress_type = method
    for key, value in fields.items():
        setattr(one, key, value)
    return one


def make_zip(*parts: tuple[str | zipfile.ZipInfo, bytes]) -> bytes:
    into = io.BytesIO()
    with zipfile.ZipFile(into, "w") as archive:
        for name, data in parts:
            archive.writestr(name if isinstance(name, zipfile.ZipInfo) else info(name), data)
    return into.getvalue()


def placed(folder: Path, data: bytes, name: str = "archive") -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def read(path: Path, via: Any, to: str = "/d", **more: Any) -> dict[str, Any]:
    """Read an archive twice, as it is done for an image: path -> (entry, bytes or None)."""
    entries = members(path, via, to, **more)
    found = {one.path: (one, None) for one in entries}
    for entry, data in contents(path, via, entries):
        found[entry.path] = (entry, b"".join(data))
    return found
