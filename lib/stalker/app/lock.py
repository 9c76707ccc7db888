"""The lock of a tree: its moving inputs as they were when it was written, for all plans and runs after that."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from stalker.app.inputs import change_inputs, moving_inputs, settle_inputs
from stalker.config.tree.lock_file import Lock, lock_text, read_lock
from stalker.errors import InputError, PlanError
from stalker.fetch.urls import shown
from stalker.io.atomic import write_file
from stalker.model.program import program

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from stalker.io.progress import Say
    from stalker.model.tree import File, Mount, Tree


@dataclass(frozen=True, slots=True)
class Change:
    """An input whose lock changes: `old` is empty for one that was not locked, `new` for one that the tree left."""

    name: str
    old: str
    new: str


def lock_path(tree: Tree) -> Path:
    """Return where the lock file of a tree is."""
    path = Path(tree.workspace, tree.file)
    return path.with_name(f"{path.name.removesuffix('.hjson')}.lock.hjson")


def read_lock_of(tree: Tree) -> Lock | None:
    """Return the lock of a tree, None where it has none. Raises FilesError, InputError."""
    path = lock_path(tree)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path} cannot be read", str(error), "correct the lock file, or remove it"
        ) from error
    return read_lock(text, _name_of(tree))


def write_lock(tree: Tree, lock: Lock) -> None:
    """Write the lock file of a tree, whole or not at all. Raises InputError."""
    path = lock_path(tree)
    try:
        write_file(path, lock_text(lock))
    except OSError as error:
        raise InputError(f"{path} cannot be written", str(error), "make its directory writable") from error


def settle_locked(
    tree: Tree, secrets: Mapping[str, str], environ: Mapping[str, str], say: Say, *, locked: bool = False
) -> tuple[Tree, str]:
    """Return the tree with the digest of each input, and a line about the lock file, empty where none was used.

    What the lock has is taken as it is there; of all else the servers are asked, or it is refused with `locked`.

    Raises:
        PlanError: `locked`, and an input is not in the lock. FilesError: the lock file has problems, or a secret
            cannot be read. InputError: an input is not available.
    """
    lock = read_lock_of(tree)
    before = len(moving_inputs(tree))
    if lock is not None:
        tree = with_lock(tree, lock)
    left = moving_inputs(tree)
    if locked and left:
        raise PlanError(
            f"--locked: not in {_name_of(tree)}: {shown(left[0][0])}"
            + (f", and {len(left) - 1} more" if left[1:] else ""),
            "\n".join(" ".join((shown(url), ref)).rstrip() for url, ref in left),
            f"{program()} lock {tree.file}",
        )
    used = before - len(left)
    note = f"{used} of {before} moving inputs as in {_name_of(tree)}" if used else ""
    return settle_inputs(tree, secrets, environ, say), note


def with_lock(tree: Tree, lock: Lock) -> Tree:
    """Return the tree with the inputs of a lock as they are there."""

    def file(one: File) -> File:
        if one.download is None or one.digest:
            return one
        return replace(one, digest=lock.urls.get(one.download.source.url, ""))

    def mount(one: Mount) -> Mount:
        if one.git is None or not one.git.is_moving or (one.git.url, one.git.ref) not in lock.git:
            return one
        return replace(one, git=replace(one.git, ref=lock.git[one.git.url, one.git.ref]))

    return change_inputs(tree, file, mount)


def resolve_lock(
    tree: Tree, known: Lock, secrets: Mapping[str, str], environ: Mapping[str, str], say: Say
) -> Lock:
    """Return a lock with all moving inputs of a tree: as in `known`, else as their servers say now.

    Raises as `settle_inputs` does.
    """
    settled = settle_inputs(with_lock(tree, known), secrets, environ, say)
    lock = Lock()
    for old, new in _inputs(tree, settled):
        if old.download is not None and not old.digest:
            lock.urls[old.download.source.url] = new.digest
    for was, is_now in _mounts(tree, settled):
        if was.git is not None and is_now.git is not None and was.git.is_moving:
            lock.git[was.git.url, was.git.ref] = is_now.git.ref
    return lock


def forgotten(lock: Lock, names: Sequence[str]) -> Lock:
    """Return a lock without the inputs of these names, which are URLs or the last part of their path; none is all.

    Raises PlanError: a name is not in the lock.
    """
    if not names:
        return Lock()
    known = {*lock.urls, *(url for url, _ in lock.git)}
    for name in names:
        if not any(_is_named(url, name) for url in known):
            raise PlanError(
                f"{name} is not in the lock",
                "\n".join(map(shown, sorted(known))),
                "give a URL, or its last part",
            )
    return Lock(
        {url: one for url, one in lock.urls.items() if not any(_is_named(url, name) for name in names)},
        {key: one for key, one in lock.git.items() if not any(_is_named(key[0], name) for name in names)},
    )


def changes_of(old: Lock, new: Lock) -> list[Change]:
    """Return what differs between two locks, sorted by name."""
    before, after = _entries(old), _entries(new)
    return [
        Change(name, before.get(name, ""), after.get(name, ""))
        for name in sorted({*before, *after})
        if before.get(name) != after.get(name)
    ]


def _entries(lock: Lock) -> dict[str, str]:
    files = {shown(url): f"sha256:{digits}" for url, digits in lock.urls.items()}
    return files | {f"{shown(url)} {ref}": commit for (url, ref), commit in lock.git.items()}


def _is_named(url: str, name: str) -> bool:
    last = urlsplit(url).path.rstrip("/").rpartition("/")[2]
    return name in {url, last, last.removesuffix(".git")}


def _name_of(tree: Tree) -> str:
    return f"{tree.file.removesuffix('.hjson')}.lock.hjson"


def _inputs(tree: Tree, settled: Tree) -> Iterator[tuple[File, File]]:
    for old, new in zip(tree.stalks, settled.stalks, strict=True):
        for one, other in zip(old.steps, new.steps, strict=True):
            yield from zip(one.files, other.files, strict=True)
            yield from zip(one.copies, other.copies, strict=True)
            yield from zip(one.late_copies, other.late_copies, strict=True)


def _mounts(tree: Tree, settled: Tree) -> Iterator[tuple[Mount, Mount]]:
    for old, new in zip(tree.stalks, settled.stalks, strict=True):
        for one, other in zip(old.steps, new.steps, strict=True):
            yield from zip(one.mounts, other.mounts, strict=True)
