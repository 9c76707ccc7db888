"""Patches of images: made for a base, applied to a copy of it."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from stalker.card.inject.image_file import inject_all, partitions_of
from stalker.card.output import IMAGE, PACKED, check_output, publish, remove_descriptions, working
from stalker.card.patch import check_base, check_digest, opened_patch, patch_of, write_patch
from stalker.disk.edit.open import Editors
from stalker.disk.edit.view import FileView, Overlay
from stalker.disk.edit.write_ahead import changes_of
from stalker.errors import PlanError, StalkerError
from stalker.io.compression.reader import packing_of
from stalker.io.locks import try_lock
from stalker.io.progress import Task
from stalker.io.sparse import take_base
from stalker.model.program import program

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import BinaryIO

    from stalker.card.inject.image_file import Terms
    from stalker.card.patch import Patch
    from stalker.io.progress import Reporter
    from stalker.model.card import Creation, FetchedInjection


def make_patch(
    base: Path,
    creation: Creation,
    files: Mapping[FetchedInjection, Path],
    terms: Terms,
    target: Path,
    reporter: Reporter,
    *,
    overwrites: bool,
) -> Patch:
    """Write what an injection would change in `base`, which is read alone, as the patch `target`.

    Raises:
        PlanError: `target` is there already.
        StalkerError: the base is in use, has to be repaired first, or changed meanwhile.
    """
    if target.is_dir() or (target.exists() and not overwrites):
        raise PlanError(f"{target} is there already", "", "-X replaces it")
    with base.open("rb") as stream, _unchanged(stream, base):
        overlay = Overlay(stream.fileno())
        editors = Editors(overlay, partitions_of(base, creation), mtime_s=terms.mtime_s)
        with contextlib.closing(editors):
            inject_all(creation, files, terms, editors, overlay, reporter)
            editors.finish()
        pieces = overlay.changes()
        patch = patch_of(stream, pieces, terms.mtime_s)
    write_patch(target, patch, pieces)
    return patch


def apply_patch(base: Path, path: Path, output: Path, reporter: Reporter, *, overwrites: bool) -> Patch:
    """Make `output` of a base, compressed or not, and a patch; it is there and whole when this returns.

    Raises:
        PlanError: `output` is there already, or is named as a compressed image.
        InputError: the patch is damaged, or made for another base.
        StalkerError: the disk is full, or cannot be written.
    """
    target = check_output(output, overwrites=overwrites, base=base)
    if target.name.lower().endswith(tuple(PACKED)):
        raise PlanError(f"{output} is named as a compressed image", "a raw one is made", "name it .img")
    with (
        opened_patch(path) as (patch, pieces),
        working(target, None, keeps=False, say=reporter.say) as directory,
    ):
        if not packing_of(base):
            with base.open("rb") as stream:
                check_base(stream, patch, base.name)
        made = directory / IMAGE
        with made.open("x+b") as stream:
            take_base(
                base, stream, Task(f"copying {base.name}", reporter, base.stat().st_size).add, reporter.check
            )
            stream.flush()
            check_base(stream, patch, base.name)
            check_digest(stream, patch, base.name, Task("checking the copy", reporter, patch.base.size).add)
            view = FileView(stream.fileno())
            for at, data in pieces:
                view.pwrite(data, at)
        publish(
            made, target, Task("copying it to its place", reporter, patch.size).add, reporter.check, overwrites=overwrites,
            then=lambda: remove_descriptions(target, reporter.say),
        )  # fmt: skip
    return patch


@contextlib.contextmanager
def _unchanged(stream: BinaryIO, base: Path) -> Iterator[None]:
    """Hold a base that is read: no injection changes it meanwhile. Raises StalkerError."""
    if not try_lock(stream.fileno(), shared=True):
        raise StalkerError(f"{base} is being changed by another process", "", "run again then")
    if changes_of(base).exists():
        raise StalkerError(
            f"changes of {base} were begun and are not finished",
            f"{changes_of(base).name} is beside it",
            f"finish them: {program()} image inject",
        )
    before = os.fstat(stream.fileno())
    yield
    after = os.fstat(stream.fileno())
    if (before.st_mtime_ns, before.st_size) != (after.st_mtime_ns, after.st_size):
        raise StalkerError(f"{base} changed while it was read", "", "run again when no process writes to it")
