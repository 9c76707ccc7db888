"""Where artifacts are on the host, and what is found there.

artifacts/<tree>/<stalk>/<artifact>                      link to the published version; always resolves
artifacts/<tree>/<stalk>/<artifact>-<digest>/            a version: its files, .sha256, manifest.json
artifacts/<tree>/<stalk>/<artifact>-<digest>-2/          the same made again while the damaged one is linked
artifacts/<tree>/<stalk>/<artifact>-<digest>.unproven/   made, but a gate or the boot test refused it
artifacts/<tree>/<stalk>/.<artifact>-<run>.part/         being made by a run

The place of an artifact: locked against other runs, and cleared of what dead runs left and of old versions.

A run holds a lock on the directory that it fills, so that runs which do not see each other's processes, but
share the directory, know what is in use.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING

from stalker.config.tree.evidence import stat_of
from stalker.disk.checksums import SETTLED_NS, Evidence, checksum_lines, sha256_of
from stalker.disk.manifest import NAME, BadManifest, Manifest, read_manifest
from stalker.engine.run_id import fate
from stalker.errors import LockHeld
from stalker.io.locks import lock, try_lock
from stalker.model.events import Note
from stalker.plan.plan import Standing, Version
from stalker.run.lock import hold_names

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from stalker.artifacts.context import Workshop
    from stalker.config.tree.evidence import Sight
    from stalker.model.artifacts import Artifact, ArtifactId
    from stalker.model.tree import Tree


DIGITS = 12
UNPROVEN = ".unproven"
SLOW_S = 1.0
PART = ".part"


class Shelf:
    """The place of one artifact."""

    def __init__(self, folder: Path, name: str, cache: Path) -> None:
        """Take the directory of the artifacts of a stalk, an artifact's name, and the user's cache."""
        self.folder = folder
        self.link = folder / name
        self.name = name
        self._cache = cache
        digits = f"[0-9a-f]{{{DIGITS}}}"
        self._version = re.compile(rf"{re.escape(name)}-{digits}(-\d+)?({re.escape(UNPROVEN)})?")

    def evidence(self, folder: Path) -> Evidence:
        """Return what is known of the checksums in a version's directory."""
        return Evidence(self._cache, folder)

    def target(self) -> Path | None:
        """Return where the link points, None when there is no link of ours."""
        if not self.link.is_symlink():
            return None
        name = str(self.link.readlink())
        return self.folder / name if self._version.fullmatch(name) else None

    def folders(self) -> Iterator[Path]:
        """Return the directories that are called as versions are."""
        try:
            found = sorted(self.folder.iterdir())
        except OSError:
            return
        for path in found:
            if self._version.fullmatch(path.name) and path.is_dir() and not path.is_symlink():
                yield path

    def parts(self) -> list[Path]:
        """Return the directories of versions that a run began to make (`-`) or to remove (`~`)."""
        prefixes = (f".{self.name}-", f".{self.name}~")
        try:
            found = list(self.folder.iterdir())
        except OSError:
            return []
        return [path for path in found if path.name.startswith(prefixes) and path.name.endswith(PART)]

    def free_name(self, fingerprint: str) -> Path:
        """Return where a new version is to stand: next to a damaged one of the same fingerprint."""
        stem = self.folder / f"{self.name}-{fingerprint[:DIGITS]}"
        return next(
            path
            for path in (stem, *(Path(f"{stem}-{number}") for number in range(2, 1000)))
            if not (path.exists() or path.is_symlink())
        )

    def look(self, *, full: bool = False, on_bytes: Callable[[int], None] = lambda _count: None) -> Standing:
        """Look what is there; checksums are computed where files were touched since, or with `full`."""
        target = self.target()
        published = None
        trouble = ""
        if target is not None and target.is_dir():
            published = self._version_of(target, full=full, on_bytes=on_bytes)
        elif target is not None:
            trouble = f"{target.name} is gone"
        unproven = tuple(
            self._version_of(path, full=full, on_bytes=on_bytes)
            for path in self.folders()
            if path.name.endswith(UNPROVEN)
        )
        return Standing(published, unproven, trouble)

    def _version_of(self, folder: Path, *, full: bool, on_bytes: Callable[[int], None]) -> Version:
        try:
            manifest = read_manifest(folder)
        except BadManifest as error:
            return Version(str(folder), "", {}, {}, "", trouble=str(error))
        return Version(
            str(folder),
            manifest.fingerprint,
            manifest.inputs,
            manifest.proof_inputs,
            manifest.image,
            manifest.refused or ("it was not proven" if folder.name.endswith(UNPROVEN) else ""),
            find_damage(folder, manifest, self.evidence(folder), full=full, on_bytes=on_bytes),
        )


def find_damage(
    folder: Path,
    manifest: Manifest,
    evidence: Evidence,
    *,
    full: bool = False,
    on_bytes: Callable[[int], None] = lambda _count: None,
) -> str:
    """Return what is wrong with the files of a version, empty when nothing is."""
    for file in manifest.files:
        path = folder / file.name
        try:
            if path.is_symlink() or not path.is_file():
                return f"{file.name} is gone"
            size_bytes = path.stat().st_size
            if size_bytes != file.size_bytes:
                return f"{file.name} is damaged: it has {size_bytes} bytes, not {file.size_bytes}"
            if not full and evidence.is_known(file):
                continue
            if sha256_of(path, on_bytes) != file.sha256:
                return f"{file.name} is damaged: its checksum is another one"
        except OSError as error:
            return f"{file.name} cannot be read: {error.strerror}"
        evidence.note(file)
    evidence.save()
    for name, text in checksum_files(manifest).items():
        try:
            if (folder / name).read_text(encoding="utf-8", errors="surrogateescape") != text:
                return f"{name} is damaged"
        except OSError:
            return f"{name} is gone"
    return ""


def checksum_files(manifest: Manifest) -> dict[str, str]:
    """Return the `.sha256` files of a version: one for each file, or one for a repository's directory."""
    tops: dict[str, list[int]] = {}
    for number, file in enumerate(manifest.files):
        tops.setdefault(file.name.partition("/")[0], []).append(number)
    return {
        f"{top}.sha256": checksum_lines(manifest.files[number] for number in numbers)
        for top, numbers in tops.items()
    }


def shelf_of(tree: Tree, artifact: Artifact, cache: Path) -> Shelf:
    """Return the place of an artifact of a tree."""
    return Shelf(stalk_folder(tree, artifact.stalk), artifact.name, cache)


def stalk_folder(tree: Tree, stalk: str) -> Path:
    """Return the directory of a stalk's artifacts."""
    return Path(tree.workspace) / tree.artifacts_dir / tree.name / stalk


def look_at_all(
    tree: Tree, cache: Path, say: Callable[[str], None] = lambda _text: None
) -> dict[ArtifactId, Standing]:
    """Look what of a tree's artifacts is on the host; `say` is called when files have to be read for long."""
    began_s = time.monotonic()
    has_said = False

    def reading(_count: int) -> None:
        nonlocal has_said
        if not has_said and time.monotonic() - began_s > SLOW_S:
            has_said = True
            say("reading artifacts again whose files were touched since their checksums were computed")

    return {
        artifact.id: shelf_of(tree, artifact, cache).look(on_bytes=reading)
        for stalk in tree.stalks
        for artifact in stalk.artifacts
    }


def sights_of(shelf: Shelf) -> dict[str, Sight] | None:
    """Return what is seen of a published version's files and of the link, for a look whether it is so still.

    None when nothing is published, or when a file was touched so recently that a look would not tell.
    """
    target = shelf.target()
    if target is None:
        return None
    try:
        manifest = read_manifest(target)
    except BadManifest:
        return None
    evidence = shelf.evidence(target)
    if find_damage(target, manifest, evidence) or not all(map(evidence.is_known, manifest.files)):
        return None
    found: dict[str, Sight] = {str(shelf.link): ("real", os.path.realpath(shelf.link), (), False)}
    sums = {file.name: file.sha256 for file in manifest.files}
    for name in (*sums, *checksum_files(manifest), NAME):
        path = str(target / name)
        seen = stat_of(path)
        if not seen or time.time_ns() - max(seen[2:4]) <= SETTLED_NS:
            return None
        found[path] = ("content", sums.get(name, ""), seen, False)
    return found


LINK = ".link"

YOUNG_S = 60.0
"""A directory is made first and locked then."""


@contextlib.contextmanager
def held(shelf: Shelf, workshop: Workshop, *, wait: bool) -> Iterator[None]:
    """Hold the place of an artifact; no other run makes it meanwhile. Raises LockHeld, Interrupted."""
    who = f"run {workshop.run} (process {os.getpid()}, {workshop.tree.file})"
    place = os.path.realpath(shelf.folder) + f"/{shelf.name}"

    def say(text: str) -> None:
        workshop.emit(Note(time.time(), text))

    try:
        with hold_names("artifact", [place], who, wait=wait, say=say, stop=workshop.cancel.is_set):
            yield
    except LockHeld as error:
        raise LockHeld(error.brief, "", error.resolution) from error


def sweep(shelf: Shelf) -> None:
    """Remove what dead runs left, and versions that nothing points at; to be called under the lock."""
    for path in shelf.parts():
        if path.name[len(shelf.name) + 1] == "~" or _is_abandoned(path, shelf):
            shutil.rmtree(path, ignore_errors=True)
    with contextlib.suppress(OSError):
        for path in shelf.folder.iterdir():
            named = path.name.startswith(f".{shelf.name}-") and path.name.endswith(LINK)
            if named and _is_abandoned(path, shelf):
                path.unlink(missing_ok=True)
    target = shelf.target()
    for folder in shelf.folders():
        if folder != target and not folder.name.endswith(UNPROVEN):
            remove(shelf, folder)


@contextlib.contextmanager
def in_use(part: Path) -> Iterator[None]:
    """Hold the lock of a directory that is being filled."""
    descriptor = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with contextlib.suppress(OSError):  # a file system without locks: then only process numbers count
            lock(descriptor)
        yield
    finally:
        os.close(descriptor)


def _is_abandoned(path: Path, shelf: Shelf) -> bool:
    """Return whether the run that made a passing directory or link is over, by its process or by the lock."""
    known = fate(_run_of(path, shelf))
    if known != "unknown":
        return known == "dead"
    try:
        if time.time() - path.lstat().st_mtime < YOUNG_S:
            return False
        if path.is_symlink():
            return True  # a link is moved to its name at once
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            return try_lock(descriptor)
        finally:
            os.close(descriptor)
    except OSError:
        return False


def _run_of(path: Path, shelf: Shelf) -> str:
    return path.stem.removeprefix(f".{shelf.name}-")


def sweep_alone(shelf: Shelf, workshop: Workshop) -> None:
    """Sweep where nothing is made; not while another run works on the artifact."""
    with contextlib.suppress(LockHeld, OSError), held(shelf, workshop, wait=False):
        sweep(shelf)


def leftovers(shelf: Shelf) -> bool:
    """Return whether `sweep` would find something to look at."""
    target = shelf.target()
    return bool(shelf.parts()) or any(
        folder != target and not folder.name.endswith(UNPROVEN) for folder in shelf.folders()
    )


def remove(shelf: Shelf, folder: Path) -> None:
    """Remove a version if it is ours; under another name first, so that half of one never looks whole."""
    try:
        manifest = read_manifest(folder)
    except BadManifest:
        if any(folder.iterdir()) and not (folder / "manifest.json").exists():
            return  # nothing says that we made it
    else:
        if manifest.artifact.rpartition("/")[2] != shelf.name:
            return
    shelf.evidence(folder).forget()
    gone = shelf.folder / f".{shelf.name}~{secrets.token_hex(6)}{PART}"
    with contextlib.suppress(OSError):
        folder.rename(gone)
        shutil.rmtree(gone, ignore_errors=True)
