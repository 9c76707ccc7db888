"""The names in the top directory of an ext2, ext3 or ext4, which say what the file system is for. Only read.

Nothing here trusts the file system: what cannot be read gives None. Apart from `ext4_reader`, because whatever is in
an image is probed by it, damaged or not, and quickly.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from stalker.errors import StalkerError
from stalker.formats.fs.ext4 import find_super
from stalker.formats.fs.ext4_reader import TOP_INODE, Ext4Reader

if TYPE_CHECKING:
    from stalker.formats.partition_table.table import Read

BLOCKS_MAX = 64
"""More blocks are not read: a system has some thirty names at its top."""


def top_names(read: Read, start: int) -> frozenset[str] | None:
    """Return the names in the top directory of what begins at `start`, None where they cannot be read."""
    shape = find_super(read, start)
    if shape is None:
        return None
    try:
        reader = Ext4Reader(read, start, shape)
        top = reader.node(TOP_INODE)
        if not top.is_folder:
            return None
        names = reader.names(top, BLOCKS_MAX)
    except (struct.error, StalkerError):
        return None
    return frozenset(name.decode("utf-8", "replace") for name in names)
