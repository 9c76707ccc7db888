"""The compression of a file, by its first bytes."""

from __future__ import annotations

from typing import Literal

Packing = Literal["", "zst", "xz", "gz", "bz2", "zip"]
"""Empty for what is not compressed."""

ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
XZ_MAGIC = b"\xfd7zXZ\x00"
GZIP_MAGIC = b"\x1f\x8b\x08"
"""With the one method that there is (RFC 1952, 2.3.1)."""
ZIP_MAGICS = (b"PK\x03\x04", b"PK\x05\x06")

MAGICS: dict[Packing, tuple[bytes, ...]] = {
    "zst": (ZSTD_MAGIC, *(bytes([code]) + b"\x2a\x4d\x18" for code in range(0x50, 0x60))),
    "xz": (XZ_MAGIC,),
    "gz": (GZIP_MAGIC,),
    "bz2": tuple(b"BZh%d" % level for level in range(1, 10)),
    "zip": ZIP_MAGICS,
}
"""The first bytes of each; a `zst` may also begin with a frame that is skipped (RFC 8878, 3.1.2)."""


def compression_in(head: bytes) -> Packing:
    """Return the compression of what begins with these bytes, six at least; empty for none that is known."""
    none: Packing = ""
    return next((kind for kind, magics in MAGICS.items() if head.startswith(magics)), none)
