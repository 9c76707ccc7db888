"""What of an image a release manager asks about, read from its root file system as it streams by.

In memory are the entries, and the contents of a few small files.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from stalker.formats.tar.header import Header, plain
from stalker.formats.tar.stream import walk
from stalker.history.layers import seen_of
from stalker.rootfs.overlay import is_left_out, is_stub

if TYPE_CHECKING:
    from collections.abc import Iterable

    from stalker.rootfs.diff import Entry

KEPT_MAX_BYTES = 64 << 20
DPKG_STATUS = b"var/lib/dpkg/status"
_KEPT = re.compile(
    rb"etc/(passwd|group|os-release|apt/sources\.list|apk/repositories)|usr/lib/os-release"
    rb"|etc/apt/sources\.list\.d/[^/]+\.(list|sources)"
    rb"|usr/share/doc/[^/]+/copyright"
    rb"|var/lib/dpkg/status(\.d/[^/]+)?|(usr/)?lib/apk/db/installed"
)
_UNITS = re.compile(rb"etc/systemd/system/[^/]+\.(?:wants|requires)/([^/]+)|etc/runlevels/([^/]+/[^/]+)")

SETUID, SETGID = 0o4000, 0o2000
CAPABILITY = b"security.capability"


@dataclass(slots=True)
class System:
    """A root file system. `md5` is of the files below /etc, by path, in hex: dpkg knows its own by that."""

    entries: dict[bytes, Entry] = field(default_factory=dict)
    contents: dict[bytes, bytes] = field(default_factory=dict)
    md5: dict[bytes, str] = field(default_factory=dict)
    headers: dict[bytes, Header] = field(default_factory=dict)
    """Those of the members whose content is kept, and of directories: what lists of packages are read from."""

    def text(self, path: str) -> str:
        """Return a small file, empty where there is none."""
        return self.contents.get(path.encode(), b"").decode("utf-8", "replace")

    @property
    def rights(self) -> dict[str, str]:
        """What gives rights by path: setuid, setgid and file capabilities, in words."""
        found = {}
        for path, entry in self.entries.items():
            if entry.kind != "file":
                continue
            bits = [name for name, bit in (("setuid", SETUID), ("setgid", SETGID)) if entry.mode & bit]
            capability = dict(entry.xattrs).get(CAPABILITY)
            if capability is not None:
                bits.append(f"capabilities {capability.hex()}")
            if bits:
                found[_shown(path)] = f"{', '.join(bits)}, owner {entry.uid}:{entry.gid}"
        return found

    @property
    def units(self) -> set[str]:
        """Names of the services that are enabled: systemd's links, OpenRC's with their runlevel."""
        matches = (_UNITS.fullmatch(path) for path in self.entries)
        return {_text(match[1] or match[2]) for match in matches if match}

    @property
    def accounts(self) -> dict[str, str]:
        """Users and groups, by name, without what /etc/shadow holds."""
        found = {}
        for kind, path, parts in (("user", "etc/passwd", 7), ("group", "etc/group", 4)):
            for line in self.text(path).splitlines():
                fields = line.split(":")
                if len(fields) >= parts:
                    found[f"{kind} {fields[0]}"] = ":".join(fields[2:])
        return found

    @property
    def sources(self) -> set[str]:
        """Where packages come from: lines of apt's and apk's lists."""
        found = set()
        for path, content in self.contents.items():
            if not path.startswith((b"etc/apt/", b"etc/apk/")):
                continue
            text = content.decode("utf-8", "replace")
            if path.endswith(b".sources"):
                found |= {
                    " ".join(" ".join(stanza.split()).split())
                    for stanza in text.split("\n\n")
                    if stanza.strip() and not stanza.lstrip().startswith("#")
                }
            else:
                found |= {" ".join(line.split()) for line in text.splitlines() if _is_entry(line)}
        return found

    @property
    def changed_configuration(self) -> set[str]:
        """Configuration files that differ from what their package brought, by dpkg's own list."""
        found = set()
        for match in re.finditer(
            r"^ (/\S+) ([0-9a-f]{32})(?: obsolete)?$", self.text(_text(DPKG_STATUS)), re.MULTILINE
        ):
            own = self.md5.get(match[1].lstrip("/").encode())
            if own is not None and own != match[2]:
                found.add(match[1])
        return found

    @property
    def installed_bytes(self) -> dict[str, int]:
        """What dpkg says that each package takes."""
        found = {}
        for stanza in self.text(_text(DPKG_STATUS)).split("\n\n"):
            name = re.search(r"^Package: (\S+)", stanza, re.MULTILINE)
            size = re.search(r"^Installed-Size: (\d+)", stanza, re.MULTILINE)
            if name and size:
                found[name[1]] = int(size[1]) * 1024
        return found

    @property
    def size_bytes(self) -> int:
        """The size of all files; one with several names counts once each."""
        return sum(entry.size_bytes for entry in self.entries.values())


def _is_entry(line: str) -> bool:
    return bool(line.strip()) and not line.lstrip().startswith("#")


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def _shown(path: bytes) -> str:
    return "/" + path.decode("utf-8", "surrogateescape")


def read_system(chunks: Iterable[bytes | memoryview]) -> System:
    """Read an exported root file system. Raises InputError."""
    found = System()
    current: _Member | None = None
    for item in walk(chunks):
        if isinstance(item, memoryview):
            if current is not None:
                current.take(item)
            continue
        if current is not None:
            current.close(found)
        current = _Member(item)
    if current is not None:
        current.close(found)
    return found


class _Member:
    """A member whose data comes."""

    def __init__(self, header: Header) -> None:
        self._header = header
        path = header.path
        self._digest = hashlib.sha256()
        self._md5 = hashlib.md5(usedforsecurity=False) if path.startswith(b"etc/") else None
        is_kept = bool(_KEPT.fullmatch(path)) and header.is_file and header.size <= KEPT_MAX_BYTES
        self._content = bytearray() if is_kept else None

    def take(self, data: memoryview) -> None:
        self._digest.update(data)
        if self._md5 is not None:
            self._md5.update(data)
        if self._content is not None:
            self._content += data

    def close(self, system: System) -> None:
        header, path = self._header, self._header.path
        if header.kind == b"g" or not path or is_left_out(path) or is_stub(header):
            return
        if header.kind == b"1":
            target = plain(header.link)
            if target in system.entries:
                system.entries[path] = system.entries[target]
            return
        system.entries[path] = seen_of(header, self._digest.digest()).entry
        if self._md5 is not None and header.is_file:
            system.md5[path] = self._md5.hexdigest()
        if self._content is not None:
            system.contents[path] = bytes(self._content)
        if self._content is not None or header.is_folder:
            system.headers[path] = header
