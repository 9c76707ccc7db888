"""Chunks as a file, for what reads archives as they come."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class Readable(io.RawIOBase):
    """Chunks as a file that can only be read."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = b""

    def read(self, size: int = -1) -> bytes:
        """Return up to `size` bytes, fewer only at the end."""
        parts, length = [self._rest], len(self._rest)
        while (size < 0 or length < size) and (chunk := next(self._chunks, None)) is not None:
            parts.append(chunk)
            length += len(chunk)
        data = b"".join(parts)
        cut = len(data) if size < 0 else size
        self._rest = data[cut:]
        return data[:cut]
