"""Extended attributes that mke2fs does not take from a tar, put into the finished file system."""

from __future__ import annotations

import io
import tarfile
from typing import TYPE_CHECKING

from stalker.errors import StalkerError
from stalker.model.escaping import path_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from stalker.toolbox.container import Tool

UNSPEAKABLE = frozenset(b'"\n\r\0')
"""What no path may hold that debugfs is to find."""


def put_xattrs(
    tool: Tool,
    device: str,
    folder: str,
    xattrs: Sequence[tuple[bytes, bytes, bytes]],
    environment: Mapping[str, str],
) -> None:
    """Set (path, name, value) in the ext4 of `device`; `folder` is a writable one in the container.

    Raises:
        StalkerError: a path cannot be passed to debugfs, or it refused one.
    """
    lines = []
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for number, (path, name, value) in enumerate(xattrs):
            if UNSPEAKABLE & set(path + name):
                raise StalkerError(
                    f"the extended attributes of {path_text(path)} cannot be kept",
                    "its name holds a quote or a line break",
                    "rename it, or take them off: setfattr -x",
                )
            lines.append(b'ea_set -f %s/values/%d "/%s" %s\n' % (folder.encode(), number, path, name))
            _add(archive, f"values/{number}", value)
        _add(archive, "commands", b"".join(lines))
    tool.run(["tar", "-x", "-f", "-", "-C", folder], [buffer.getvalue()])
    # It ends with 0 whatever happened, and says what went wrong on stderr, after its version.
    said = tool.run(
        ["sh", "-c", f'debugfs -w -f {folder}/commands "$0" 2>&1 >/dev/null', device], None, environment
    )
    wrong = [line for line in said.decode("utf-8", "replace").splitlines()[1:] if line.strip()]
    if wrong:
        raise StalkerError("extended attributes could not be kept", "\n".join(wrong[:5]))
    tool.run(["rm", "-rf", f"{folder}/values", f"{folder}/commands"])


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    archive.addfile(entry, io.BytesIO(content))
