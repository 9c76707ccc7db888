"""What an engine lays over an image in each container, and so in each export: no part of the image."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stalker.formats.tar.header import Header

RUNTIME = (b"dev/", b"proc/", b"sys/")
"""What is below these directories, a running system puts there."""

MARKS = frozenset((b".dockerenv", b"run/.containerenv"))
"""How Docker and Podman mark a container. Podman's is in what it commits too, as are the stubs below."""

STUBS = frozenset((b"etc/hosts", b"etc/hostname", b"etc/resolv.conf"))
"""Docker mounts these into a container and leaves empty files below: they are in no layer."""

MTAB, MTAB_TARGET = b"etc/mtab", b"/proc/mounts"
"""Docker makes this link in each container, in no layer, also where the image has another one: what that
was, no export tells. systemd and OpenRC make it again when a system starts."""

TOUCHED = frozenset((b"", b"etc", b"dev", b"proc", b"sys"))
"""What Docker makes or changes in each container that it creates."""


def is_left_out(path: bytes) -> bool:
    """Return whether a path is an engine's mark or in a directory that a running system fills."""
    return path in MARKS or path.startswith(RUNTIME)


def is_stub(header: Header) -> bool:
    """Return whether a member is what Docker lays over the image's own file in each container."""
    path = header.path
    if path == MTAB:
        return header.kind == b"2" and header.link == MTAB_TARGET
    return path in STUBS and header.is_file and not header.size
