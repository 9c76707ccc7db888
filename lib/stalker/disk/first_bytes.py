"""What the first bytes of a file say that it is: something a machine can start from, or something else, by name.

Sources: ECMA-119 (ISO 9660), POSIX pax (ustar), 7-Zip `7zFormat.txt`, QEMU `docs/interop/qcow2.rst`, libvmdk, VDI of
VirtualBox, Android `libsparse/sparse_format.h`.
"""

from __future__ import annotations

from stalker.formats.fs.probe import inspect
from stalker.formats.partition_table.table import read_table
from stalker.io.compression.magic import compression_in

HEAD_BYTES = 1 << 20
"""So much of an image is enough for tables, superblocks and the first descriptor of an ISO."""

_ISO = 32769, b"CD001"
_KINDS: tuple[tuple[int, bytes, str], ...] = (
    (257, b"ustar", "a tar archive"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (0, b"Rar!", "a rar archive"),
    (0, b"QFI\xfb", "a qcow2 image of QEMU"),
    (0, b"KDMV", "a VMDK image"),
    (64, b"\x7f\x10\xda\xbe", "a VDI image"),
    (0, b"\x3a\xff\x26\xed", "a sparse image of Android"),
    (0, b"\x7fELF", "a program"),
)
_PACKINGS = {"zst": "zstd", "gz": "gzip"}


def not_an_image(head: bytes, size_bytes: int) -> str:
    """Return what begins with `head` and has `size_bytes`, empty for a disk image.

    An image has a partition table, a boot sector, a file system or an ISO 9660 at its beginning.
    """

    def read(at: int, count: int) -> bytes:
        return head[at : at + count]

    at, magic = _ISO
    if head[510:512] == b"\x55\xaa" or head[at:].startswith(magic):
        return ""
    if read_table(read, size_bytes).kind or inspect(read, 0, size_bytes).kind:
        return ""
    packing = compression_in(head)
    if packing:
        return f"compressed with {_PACKINGS.get(packing, packing)}"
    for at, magic, kind in _KINDS:
        if head[at:].startswith(magic):
            return kind
    if b"<bmap" in head[:4096]:
        return "a block map"
    if not head.strip(b"\0"):
        return "zeros"
    return "text" if _is_text(head[:4096]) else "data without a partition table, a file system or an ISO"


def _is_text(head: bytes) -> bool:
    try:
        text = head.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(head) - 4:  # a letter may be cut at the end
            return False
        text = head[: error.start].decode("utf-8")
    return all(letter.isprintable() or letter in "\t\r\n" for letter in text)
