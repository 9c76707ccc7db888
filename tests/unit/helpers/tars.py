"""Tar archives made and read by Python's own tarfile, the other implementation that ours is checked against."""

from __future__ import annotations

import io
import tarfile
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

FORMATS = {"ustar": tarfile.USTAR_FORMAT, "gnu": tarfile.GNU_FORMAT, "pax": tarfile.PAX_FORMAT}


def member(name: str, **fields: Any) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.mtime = 1_000_000
    info.mode = 0o644
    for key, value in fields.items():
        setattr(info, key, value)
    return info


def folder(name: str, **fields: Any) -> tarfile.TarInfo:
    return member(name, type=tarfile.DIRTYPE, mode=fields.pop("mode", 0o755), **fields)


def link(name: str, target: str, **fields: Any) -> tarfile.TarInfo:
    return member(name, type=tarfile.SYMTYPE, linkname=target, **fields)


def hard_link(name: str, target: str, **fields: Any) -> tarfile.TarInfo:
    return member(name, type=tarfile.LNKTYPE, linkname=target, **fields)


def device(name: str, minor: int = 3, **fields: Any) -> tarfile.TarInfo:
    return member(name, type=tarfile.CHRTYPE, devmajor=1, devminor=minor, **fields)


def make_tar(*members: tarfile.TarInfo | tuple[str | tarfile.TarInfo, bytes], kind: str = "pax") -> bytes:
    """Make an archive of headers, and of (name or header, content) for files."""
    into = io.BytesIO()
    with tarfile.open(fileobj=into, mode="w", format=FORMATS[kind], errors="surrogateescape") as archive:
        for one in members:
            if isinstance(one, tarfile.TarInfo):
                archive.addfile(one)
                continue
            info = one[0] if isinstance(one[0], tarfile.TarInfo) else member(one[0])
            info.size = len(one[1])
            archive.addfile(info, io.BytesIO(one[1]))
    return into.getvalue()


def read_tar(data: bytes | Iterable[bytes]) -> dict[str, tuple[Any, ...]]:
    """Read an archive: name -> all that tarfile knows of the member, and its content."""
    whole = data if isinstance(data, bytes) else b"".join(data)
    found = {}
    with tarfile.open(fileobj=io.BytesIO(whole), mode="r:", errors="surrogateescape") as archive:
        for info in archive:
            content = archive.extractfile(info).read() if info.isreg() else b""
            xattrs = {key: value for key, value in info.pax_headers.items() if "xattr" in key}
            found[info.name] = (
                info.type,
                info.mode & 0o7777,  # Docker puts the file type there too
                info.uid,
                info.gid,
                info.mtime,
                info.linkname,
                (info.devmajor, info.devminor) if info.isdev() else None,
                xattrs,
                content,
            )
    return found


def pieces(data: bytes, *sizes: int) -> Iterator[bytes]:
    """Cut data into chunks of these sizes, over and over."""
    at = number = 0
    while at < len(data):
        size = sizes[number % len(sizes)]
        yield data[at : at + size]
        at += size
        number += 1


def upto_end(data: bytes) -> bytes:
    """Return an archive with the two blocks of its end and without what pads it to a record."""
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:", errors="surrogateescape") as archive:
        archive.getmembers()
        return data[: archive.offset + 1024]
