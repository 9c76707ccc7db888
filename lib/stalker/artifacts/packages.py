"""The packages of an image, read from its package managers' files as they pass by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stalker.formats.tar.header import Header

DPKG = b"var/lib/dpkg/status"
DPKG_PARTS = b"var/lib/dpkg/status.d/"
APK = frozenset((b"lib/apk/db/installed", b"usr/lib/apk/db/installed"))
PORTAGE = b"var/db/pkg/"
PACMAN = b"var/lib/pacman/local/"


@dataclass(frozen=True, slots=True, order=True)
class Package:
    """An installed package; `architecture` is empty where the manager has one for all."""

    manager: str
    name: str
    version: str
    architecture: str = ""


class Packages:
    """Watcher that lists the packages of dpkg, Portage, apk and pacman. A broken entry is left out."""

    def __init__(self) -> None:
        self._found: set[Package] = set()

    def wants(self, header: Header) -> bool:
        """Ask for the lists; of Portage and pacman the names of directories tell all."""
        path = header.path
        return path == DPKG or path in APK or path.startswith(DPKG_PARTS)

    def see(self, path: bytes, header: Header, content: bytes | None) -> None:
        """Take a member."""
        if content is not None:
            if path == DPKG or (path.startswith(DPKG_PARTS) and not path.endswith(b".md5sums")):
                self._found.update(_dpkg(content))
            elif path in APK:
                self._found.update(_apk(content))
        elif header.is_folder and path.startswith((PORTAGE, PACMAN)):
            self._found.update(_of_folder(path))

    def all(self) -> tuple[Package, ...]:
        """Return the packages seen so far, in order."""
        return tuple(sorted(self._found))


def _dpkg(content: bytes) -> Iterator[Package]:
    for fields in _stanzas(content, ": "):
        # Distroless images have no Status: what is listed there is installed.
        status = fields.get("Status", "install ok installed")
        if "Package" in fields and "Version" in fields and status.endswith(" installed"):
            yield Package("dpkg", fields["Package"], fields["Version"], fields.get("Architecture", ""))


def _apk(content: bytes) -> Iterator[Package]:
    for fields in _stanzas(content, ":"):
        if "P" in fields and "V" in fields:
            yield Package("apk", fields["P"], fields["V"], fields.get("A", ""))


def _stanzas(content: bytes, separator: str) -> Iterator[dict[str, str]]:
    for stanza in content.decode("utf-8", "replace").split("\n\n"):
        lines = [
            line.partition(separator) for line in stanza.splitlines() if not line.startswith((" ", "\t"))
        ]
        yield {name: value.strip() for name, _, value in reversed(lines)}  # the first of a name counts


def _of_folder(path: bytes) -> Iterator[Package]:
    """Read `var/db/pkg/sys-apps/sed-4.9-r1` or `var/lib/pacman/local/sed-4.9-3`."""
    parts = path.decode("utf-8", "replace").split("/")
    if path.startswith(PORTAGE) and len(parts) == 5 and not parts[4].startswith("-"):
        name, version = _split(parts[4], 2 if _is_revision(parts[4].rpartition("-")[2]) else 1)
        if name:
            yield Package("portage", f"{parts[3]}/{name}", version)
    elif path.startswith(PACMAN) and len(parts) == 5:
        name, version = _split(parts[4], 2)
        if name:
            yield Package("pacman", name, version)


def _split(text: str, dashes: int) -> tuple[str, str]:
    """Split `name-version` at the last dash, or at the one before."""
    parts = text.rsplit("-", dashes)
    return (parts[0], "-".join(parts[1:])) if len(parts) == dashes + 1 else ("", "")


def _is_revision(text: str) -> bool:
    return text[:1] == "r" and text[1:].isdigit()
