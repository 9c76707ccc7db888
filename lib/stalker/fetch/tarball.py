"""Root file systems as tar files: verified whole before a byte of them goes to the engine."""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from stalker.errors import InputError
from stalker.fetch.download import download, wrong_digest
from stalker.fetch.files import CHUNK_BYTES, NotGenuine, Progress, cache_path, file_name, local_path, shown
from stalker.fetch.openpgp import is_inline, verified_text, verify_detached
from stalker.model.tree import TarballBase

_CHECKSUM = re.compile(
    rb"^(?:(?P<hex>[0-9a-fA-F]{64}|[0-9a-fA-F]{128})[ \t]+[ *]?(?P<name>\S.*?)"
    rb"|SHA(?:256|512)[ \t]*\((?P<name2>[^)]+)\)[ \t]*=[ \t]*(?P<hex2>[0-9a-fA-F]{64}|[0-9a-fA-F]{128}))\s*$",
    re.MULTILINE,
)


@contextlib.contextmanager
def verified_tarball(
    base: TarballBase, workspace: Path, cache_dir: Path, progress: Progress
) -> Iterator[Iterator[bytes]]:
    """Yield the bytes of the tarball, fetched when needed and verified before the first of them.

    The bytes are counted again on their way: when the file changed since it was verified the stream
    ends with InputError, not with an end of file.

    Raises:
        InputError: it cannot be had, or is not what the tree says; a download of it is then removed.
    """
    check_is_pinned(base)
    cached = [cache_path(cache_dir, source) for source in _remote(base, workspace)]
    was_cached = any(path.exists() for path in cached)
    try:
        file, digest = _open_verified(base, workspace, cache_dir, progress, refresh=False)
    except NotGenuine:
        _forget(cached)
        if not was_cached:
            raise
        # A moving URL may serve a new tarball by now, while its old signature is cached.
        progress(f"{file_name(base.source)} in the cache does not verify, fetching it again")
        try:
            file, digest = _open_verified(base, workspace, cache_dir, progress, refresh=True)
        except NotGenuine:
            _forget(cached)
            raise
    with file:
        yield _read(file, digest, shown(base.source))


def check_is_pinned(base: TarballBase) -> None:
    """Refuse a tarball that nothing vouches for. Raises InputError."""
    if base.sha256 and not re.fullmatch(r"[0-9a-fA-F]{64}", base.sha256):
        raise InputError(
            f"{base.sha256!r} is no SHA-256", "it has 64 hexadecimal digits", f"correct it at {base.place}"
        )
    if not base.sha256 and not base.signature:
        raise InputError(
            f"nothing vouches for {shown(base.source)}",
            "a tarball needs its sha256, or a signature with a key and a full fingerprint",
            f"write the checksum that its publisher states at {base.place}",
        )


def _open_verified(
    base: TarballBase, workspace: Path, cache_dir: Path, progress: Progress, *, refresh: bool
) -> tuple[BinaryIO, str]:
    # With a checksum a cached tarball is verified by it: fetching it again brings nothing new.
    path = _get(
        base.source, workspace, cache_dir, progress, sha256=base.sha256, refresh=refresh and not base.sha256
    )
    try:
        file = path.open("rb")
    except OSError as error:
        raise InputError(
            f"{path} cannot be read: {error.strerror}", str(error), f"correct the path at {base.place}"
        ) from error
    try:
        if not file.read(1):
            raise InputError(f"{path} is empty", "it has 0 bytes", "get the tarball again")
        file.seek(0)
        progress(f"verifying {file_name(base.source)}")
        if base.signature:
            signature = _get(base.signature, workspace, cache_dir, progress, sha256="", refresh=refresh)
            digest = _check_signature(base, file, signature, [workspace / key for key in base.keys])
        else:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if base.sha256 and digest != base.sha256.lower():
            raise wrong_digest(shown(base.source), base.sha256, digest)
        file.seek(0)
    except BaseException:
        file.close()
        raise
    return file, digest


def _check_signature(base: TarballBase, file: BinaryIO, signature: Path, keys: list[Path]) -> str:
    """Return the SHA-256 of the very bytes that the signature was found good for."""
    name = file_name(base.source)
    sha256, sha512 = hashlib.sha256(), hashlib.sha512()
    if signature.is_file() and is_inline(signature):
        text = verified_text(signature, keys, base.fingerprints)
        for chunk in _chunks(file):
            sha256.update(chunk)
            sha512.update(chunk)
        listed = _listed(text, name)
        if not {sha256.hexdigest(), sha512.hexdigest()} & listed:
            raise NotGenuine(
                f"{name}: the signed list of checksums has another digest for it"
                if listed
                else f"{name} is not in the signed list of checksums",
                f"found sha256 {sha256.hexdigest()}\nlist: {signature}",
                "get the file and the list from the same release",
            )
        return sha256.hexdigest()

    def counted() -> Iterator[bytes]:
        for chunk in _chunks(file):
            sha256.update(chunk)
            yield chunk

    verify_detached(name, counted(), signature, keys, base.fingerprints)
    return sha256.hexdigest()


def _listed(text: bytes, name: str) -> set[str]:
    """Return the digests that a list of checksums (sha256sum, BSD, Gentoo DIGESTS) gives for `name`."""
    found = set()
    for match in _CHECKSUM.finditer(text):
        entry = (match["name"] or match["name2"]).decode("utf-8", "replace").strip()
        if entry.removeprefix("./") == name:
            found.add((match["hex"] or match["hex2"]).decode().lower())
    return found


def _get(
    source: str, workspace: Path, cache_dir: Path, progress: Progress, *, sha256: str, refresh: bool
) -> Path:
    path = local_path(source, workspace)
    if path is not None:
        return path
    target = cache_path(cache_dir, source)
    download(source, target, sha256=sha256, progress=progress, refresh=refresh)
    return target


def _remote(base: TarballBase, workspace: Path) -> list[str]:
    sources = [source for source in (base.source, base.signature) if source]
    return [source for source in sources if local_path(source, workspace) is None]


def _forget(paths: list[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)


def _read(file: BinaryIO, digest: str, what: str) -> Iterator[bytes]:
    found = hashlib.sha256()
    for chunk in _chunks(file):
        found.update(chunk)
        yield chunk
    if found.hexdigest() != digest:
        raise InputError(
            f"{what} changed while it was read",
            f"verified {digest}\nread     {found.hexdigest()}",
            "run again",
        )


def _chunks(file: BinaryIO) -> Iterator[bytes]:
    while chunk := file.read(CHUNK_BYTES):
        yield chunk
