"""An image's root file system as a tar, as it would be on a disk: nothing of Docker's in it.

The engine's stream is passed on member by member, so memory stays flat however large the image is.
Two exports of one image are equal byte for byte: Docker touches a few folders when it makes the
container that is exported, and their time is set back to when the image was made.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stalker.errors import EngineError, InputError, StalkerError
from stalker.image.artifact import STDOUT, Target, plan_target, written
from stalker.image.tarheader import Header, plain
from stalker.image.tarstream import split_tar

if TYPE_CHECKING:
    from collections.abc import Generator

    from stalker.engine.interface import Engine
    from stalker.model.images import Image

FILLED = (b"dev/", b"proc/", b"sys/")
"""What is below these folders, a running system puts there."""

STUBS = frozenset((b"etc/hosts", b"etc/hostname", b"etc/resolv.conf"))
"""Docker mounts these into a container and leaves empty files below: they are in no layer."""

MTAB, MTAB_TARGET = b"etc/mtab", b"/proc/mounts"
"""Docker makes this link in each container, in no layer, also where the image has another one: what that
was, no export tells. systemd and OpenRC make it anew when a system starts."""

TOUCHED = frozenset((b"", b"etc", b"dev", b"proc", b"sys"))
"""What Docker makes or changes in each container that it creates."""

ROOT, BOOT, DROPPED = 0, 1, 2


@dataclass(frozen=True, slots=True)
class Exported:
    """A file that was written: its path and size; 0 bytes when it went to a pipe."""

    path: str
    size_bytes: int


def plan_export(output: str, boot: str) -> list[Target]:
    """Find out how the files of an export are written; nothing is touched. Raises PlanError."""
    from stalker.errors import PlanError

    targets = [plan_target(output)]
    if boot:
        if boot == STDOUT:
            raise PlanError("--boot wants a file", "stdout takes one tar only", "name a file for it")
        targets.append(plan_target(boot))
        if targets[0].path == targets[1].path:
            raise PlanError(f"-o and --boot both name {boot}", "", "name two files")
    return targets


def export_image(
    engine: Engine, image: Image, targets: list[Target], *, latest_s: int | None = None
) -> list[Exported]:
    """Write an image's root file system to the first target, and what is below `/boot` to the second.

    With a second one the root keeps an empty `/boot`, and names in the boot tar have no `boot/` before
    them: it is what a boot partition holds. No time is later than `latest_s`.

    Raises:
        EngineError: the engine's stream broke off.
        StalkerError: a file could not be written, or the image has no `/boot` to split off.
    """
    sorting = _Sorting(splits_boot=len(targets) > 1, made_s=int(image.created_s))
    stream = engine.export(image.id)
    with written(targets) as artifacts, contextlib.closing(_closable(stream)) as chunks:
        writers = [artifact.write for artifact in artifacts]
        try:
            for output, data in split_tar(chunks, sorting.route, len(targets), latest_s=latest_s):
                writers[output](data)
        except InputError as error:
            raise EngineError(
                f"the engine's export of {image.id} is not whole", error.brief, "export it again"
            ) from error
        if len(targets) > 1 and not sorting.boot_members:
            raise StalkerError(
                "the image has nothing below /boot", "", "leave --boot out, or put a kernel into the image"
            )
    return [Exported(artifact.target.path, artifact.size_bytes) for artifact in artifacts]


def is_left_out(path: bytes) -> bool:
    """Say whether a path is Docker's mark or in a folder that a running system fills."""
    return path == b".dockerenv" or path.startswith(FILLED)


def is_stub(header: Header) -> bool:
    """Say whether a member is what Docker lays over the image's own file in each container."""
    path = header.path
    if path == MTAB:
        return header.kind == b"2" and header.link == MTAB_TARGET
    return path in STUBS and header.is_file and not header.size


def _closable(stream: object) -> Generator[bytes, None, None]:
    return stream  # type: ignore[return-value]  # the promise of Engine.export: a generator to be closed


class _Sorting:
    """Says of each member where it goes."""

    def __init__(self, *, splits_boot: bool, made_s: int) -> None:
        self._splits_boot = splits_boot
        self._made_s = made_s
        self.boot_members = 0

    def route(self, header: Header) -> tuple[int, Header] | None:
        """Return the output and the header as it is to stand there, None for what is left out."""
        path = header.path
        where = self._place(path)
        if where == ROOT and is_stub(header):
            return None
        if header.kind == b"1" and where != DROPPED:
            self._check_link(header, where)
        if where == DROPPED:
            return None
        if path in TOUCHED and self._made_s > 0:
            header = header.clamped(self._made_s)
        if where == BOOT:
            self.boot_members += 1
            link = plain(header.link)[5:] if header.kind == b"1" else header.link
            header = header.renamed(path[5:] + b"/" * header.is_folder, link)
        return where, header

    def _place(self, path: bytes) -> int:
        if is_left_out(path):
            return DROPPED
        return BOOT if self._splits_boot and path.startswith(b"boot/") else ROOT

    def _check_link(self, header: Header, where: int) -> None:
        """Refuse a hard link whose file goes elsewhere: its content has already passed by."""
        target = plain(header.link)
        if self._place(target) == where:
            return
        name, other = (text.decode("utf-8", "replace") for text in (header.path, target))
        raise StalkerError(
            f"/{name} is a hard link to /{other}, which does not go into the same tar",
            "hard links do not cross file systems",
            f"make it a file of its own in the last step: "
            f"cp -a --remove-destination $(readlink -f /{other}) /{name}",
        )
