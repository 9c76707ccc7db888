"""The process in which ext4 is edited: foreign bytes are parsed there, in C, and nowhere else.

It has the image open for reading alone, and limits of memory and time; what it would change it sends back. A frame
is two lengths, JSON, and bytes:

    {"do": "put", "entries": [...]}  ->  {"value": {path: [[start, length], ...]}, "free": bytes}
                                         {"error": [kind, brief, details, resolution]}
                                         {"bug": "a traceback"}

JSON because nothing of the answer may be code: what answers has parsed the image.
"""

from __future__ import annotations

import json
import os
import resource
import struct
import sys
import traceback
from dataclasses import astuple
from typing import TYPE_CHECKING, Any

from stalker.disk.edit.ext4.filesystem import FileSystem
from stalker.disk.edit.view import Overlay
from stalker.errors import NeedsRepair, StalkerError
from stalker.formats.fs.entry import Entry

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stalker.disk.edit.view import Piece

FRAME = struct.Struct("<QQ")
MEMORY_BYTES, CPU_S = 2 << 30, 3600
"""What it may take; the caller limits the time of each answer."""


def packed(value: Mapping[str, Any], data: bytes = b"") -> bytes:
    """Return a frame."""
    text = json.dumps(value).encode()
    return FRAME.pack(len(text), len(data)) + text + data


def entry_row(entry: Entry) -> list[Any]:
    """Return an entry as JSON can have it."""
    xattrs = [[name.decode("latin-1"), value.decode("latin-1")] for name, value in entry.xattrs]
    fields = (entry.path, entry.kind, entry.size_bytes, entry.mode, entry.uid, entry.gid, entry.mtime_s)
    return [*fields, entry.target, xattrs]


def main() -> None:
    """Serve one file system until the caller closes the pipe; the arguments are descriptor, start, size and time."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
    descriptor, start, size_bytes, mtime_s = map(int, sys.argv[1:5])
    view = Overlay(descriptor)
    files: list[FileSystem] = []
    while request := _request():
        try:
            if not files:
                files.append(FileSystem(view, start, size_bytes, mtime_s=mtime_s))
            value, data = _answer(files[0], view, request)
            reply = packed({"value": value, "free": files[0].free_bytes}, data)
        except StalkerError as error:
            kind = "repair" if isinstance(error, NeedsRepair) else ""
            reply = packed({"error": [kind, error.brief, error.details, error.resolution]})
        except Exception:  # noqa: BLE001 - the caller reports it as the bug it is
            reply = packed({"bug": traceback.format_exc()})
        sys.stdout.buffer.write(reply)
        sys.stdout.buffer.flush()


def _request() -> dict[str, Any] | None:
    head = sys.stdin.buffer.read(FRAME.size)
    if len(head) < FRAME.size:
        return None
    length, _ = FRAME.unpack(head)
    found: dict[str, Any] = json.loads(sys.stdin.buffer.read(length))
    return found


def _answer(files: FileSystem, view: Overlay, request: dict[str, Any]) -> tuple[Any, bytes]:
    """Return what is asked for, as JSON can have it, and bytes."""
    match request["do"]:
        case "open":
            return files.block_bytes, b""
        case "look":
            return {path: astuple(one) for path, one in files.look(request["paths"]).items()}, b""
        case "resolve":
            return files.resolve(request["path"]), b""
        case "read":
            return None, files.read(request["path"])
        case "put":
            return files.put([_entry(row) for row in request["entries"]]), b""
        case "finish":
            files.finish()
            pieces = view.changes()
            return _places(pieces), b"".join(data for _, data in pieces)
    raise ValueError(request["do"])


def _entry(row: list[Any]) -> Entry:
    path, kind, size_bytes, mode, uid, gid, mtime_s, target, xattrs = row
    pairs = tuple((name.encode("latin-1"), value.encode("latin-1")) for name, value in xattrs)
    return Entry(path, kind, size_bytes, mode, uid, gid, mtime_s, target, pairs)


def _places(pieces: list[Piece]) -> list[tuple[int, int]]:
    return [(at, len(data)) for at, data in pieces]


if __name__ == "__main__":
    os.environ.pop("E2FSPROGS_FAKE_TIME", None)
    main()
