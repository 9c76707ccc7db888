"""Block maps (`.bmap`): which blocks of a disk image hold data, each range with its checksum.

Source: bmap-tools, the format's description in its own files, versions 1.2 to 2.0.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stalker.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

MAX_BYTES = 64 << 20
"""A larger map is none: that of a full terabyte in ranges of a megabyte is smaller."""

_FIELD = r"<{0}>\s*([0-9A-Za-z]+)\s*</{0}>"
_RANGE = re.compile(
    r"<Range(?:\s+(?:chksum|sha1)=\"([0-9a-fA-F]+)\")?\s*>\s*(\d+)(?:\s*-\s*(\d+))?\s*</Range>"
)
_CHECKSUMS = ("sha256", "sha1", "sha512")


@dataclass(frozen=True, slots=True)
class Range:
    """Bytes that hold data: from `begin` up to `end`; `digest` is empty where the map tells none."""

    begin: int
    end: int
    digest: str = ""


@dataclass(frozen=True, slots=True)
class BlockMap:
    """What a map says: the image's size, the kind of its checksums, the ranges in order."""

    image_bytes: int
    checksum: str
    ranges: tuple[Range, ...]

    @property
    def mapped_bytes(self) -> int:
        """How many bytes hold data."""
        return sum(one.end - one.begin for one in self.ranges)


def find_map(image: Path) -> Path | None:
    """Return the first of `map_names` that exists, None when there is none."""
    return next((one for one in map_names(image) if one.is_file()), None)


def map_names(image: Path) -> tuple[Path, ...]:
    """Return where a map of an image can be: `x.bmap` for `x.img`, `x.img.zst`."""
    stem = re.sub(r"\.(?:zst|xz|gz|zip)\Z", "", image.name)
    names = (f"{stem}.bmap", f"{stem.removesuffix('.img')}.bmap", f"{image.name}.bmap")
    return tuple(image.with_name(name) for name in dict.fromkeys(names))


def read_map(file: Path) -> BlockMap:
    """Read a map. Raises InputError when it is none, or damaged."""
    if file.stat().st_size > MAX_BYTES:
        raise _broken(file, f"it has more than {MAX_BYTES >> 20} MiB")
    text = file.read_bytes().decode("utf-8", "replace")
    size, block = int(_field(text, "ImageSize", file)), int(_field(text, "BlockSize", file))
    kind = _field(text, "ChecksumType", file) if "<ChecksumType>" in text else "sha1"
    if kind not in _CHECKSUMS or not 512 <= block <= 1 << 24:
        raise _broken(file, f"checksums of kind {kind}, blocks of {block} bytes")
    _check_itself(text, kind, file)
    ranges = []
    at = 0
    for digest, first, last in _RANGE.findall(text):
        begin, end = int(first) * block, min((int(last or first) + 1) * block, size)
        if begin < at or end <= begin:
            raise _broken(file, f"a range from block {first} to {last or first}")
        ranges.append(Range(begin, end, digest.lower()))
        at = end
    return BlockMap(size, kind, tuple(ranges))


def _check_itself(text: str, kind: str, file: Path) -> None:
    """Check the map's checksum of itself, which is reckoned with zeros in its own place."""
    if "<BmapFileChecksum>" not in text:
        return
    said = _field(text, "BmapFileChecksum", file)
    if hashlib.new(kind, text.replace(said, "0" * len(said), 1).encode()).hexdigest() != said.lower():
        raise _broken(file, "its own checksum is wrong")


def _field(text: str, name: str, file: Path) -> str:
    found = re.search(_FIELD.format(name), text)
    if found is None or (name.endswith("Size") and not found[1].isdigit()):
        raise _broken(file, f"it has no {name}")
    return found[1]


def _broken(file: Path, why: str) -> InputError:
    return InputError(
        f"{file}: no whole block map", why, "fetch it again, or remove it: all of the image is written then"
    )
