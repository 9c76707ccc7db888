"""Root file systems as tar files: verified whole before a byte of them goes to the engine."""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from stalker.errors import InputError, NotGenuine
from stalker.fetch.cache.cache import Cache
from stalker.fetch.cache.request import Request
from stalker.fetch.openpgp import is_inline, verified_text, verify_detached
from stalker.fetch.urls import file_name, local_path, shown
from stalker.io.hashing import CHUNK_BYTES, Checksum, wrong_digest
from stalker.io.progress import Say
from stalker.model.tree import TarballBase

_CHECKSUM = re.compile(
    rb"^(?:(?P<hex>[0-9a-fA-F]{64}|[0-9a-fA-F]{128})[ \t]+[ *]?(?P<name>\S.*?)"
    rb"|SHA(?:256|512)[ \t]*\((?P<name2>[^)]+)\)[ \t]*=[ \t]*(?P<hex2>[0-9a-fA-F]{64}|[0-9a-fA-F]{128}))\s*$",
    re.MULTILINE,
)


@contextlib.contextmanager
def verified_tarball(
    base: TarballBase, workspace: Path, cache_dir: Path, say: Say
) -> Iterator[Iterator[bytes]]:
    """Yield the bytes of the tarball, fetched when needed and verified before the first of them.

    The bytes are counted again on their way: when the file changed since it was verified the stream
    ends with InputError, not with an end of file.

    Raises:
        InputError: it is not available, or is not what the tree says; a download of it is then removed.
    """
    check_is_pinned(base)
    remote = _remote(base, workspace)
    with Cache(cache_dir, say=say) as cache, contextlib.ExitStack() as held:
        opener = _Opener(base, workspace, cache, held, say)
        was_cached = any(cache.keeper.has(source) for source in remote)
        try:
            file, digest = opener.open(refresh=False)
        except NotGenuine:
            held.close()
            if not was_cached:
                _forget(cache, remote)
                raise
            # A moving URL may serve a new tarball by now, while its old signature is cached.
            say(f"{file_name(base.source)} in the cache does not verify, fetching it again")
            try:
                file, digest = opener.open(refresh=True)
            except NotGenuine:
                held.close()
                _forget(cache, remote)
                raise
        yield _read(file, digest, shown(base.source))


def check_is_pinned(base: TarballBase) -> None:
    """Refuse a tarball that nothing vouches for. Raises InputError."""
    if base.sha256 and not re.fullmatch(r"[0-9a-fA-F]{64}", base.sha256):
        raise InputError(
            f"{base.sha256!r} is not a SHA-256", "it has 64 hexadecimal digits", f"correct it at {base.place}"
        )
    if not base.sha256 and not base.signature:
        raise InputError(
            f"nothing vouches for {shown(base.source)}",
            "a tarball needs its sha256, or a signature with a key and a full fingerprint",
            f"write the checksum that its publisher states at {base.place}",
        )


class _Opener:
    """Opens one tarball; what it gets from the cache is held until `held` is closed."""

    def __init__(
        self,
        base: TarballBase,
        workspace: Path,
        cache: Cache,
        held: contextlib.ExitStack,
        say: Say,
    ) -> None:
        self._base = base
        self._workspace = workspace
        self._cache = cache
        self._held = held
        self._say = say

    def open(self, *, refresh: bool) -> tuple[BinaryIO, str]:
        """Return the open file and the SHA-256 that it was verified with."""
        base = self._base
        # With a checksum a cached tarball is verified by it: fetching it again brings nothing new.
        path = self._get(base.source, sha256=base.sha256, refresh=refresh and not base.sha256)
        try:
            file = self._held.enter_context(path.open("rb"))
        except OSError as error:
            raise InputError(
                f"{path} cannot be read: {error.strerror}", str(error), f"correct the path at {base.place}"
            ) from error
        if not file.read(1):
            raise InputError(f"{path} is empty", "it has 0 bytes", "get the tarball again")
        file.seek(0)
        self._say(f"verifying {file_name(base.source)}")
        if base.signature:
            signature = self._get(base.signature, sha256="", refresh=refresh)
            keys = [self._workspace / key for key in base.keys]
            digest = _check_signature(base, file, signature, keys)
        else:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if base.sha256 and digest != base.sha256.lower():
            raise wrong_digest(shown(base.source), Checksum("sha256", base.sha256.lower()), digest)
        file.seek(0)
        return file, digest

    def _get(self, source: str, *, sha256: str, refresh: bool) -> Path:
        path = local_path(source, self._workspace)
        if path is not None:
            return path
        wanted = Request(source, sha256=sha256, use="again" if refresh else "any")
        return self._held.enter_context(self._cache.get(wanted)).path


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


def _remote(base: TarballBase, workspace: Path) -> list[str]:
    sources = [source for source in (base.source, base.signature) if source]
    return [source for source in sources if local_path(source, workspace) is None]


def _forget(cache: Cache, sources: list[str]) -> None:
    for source in sources:
        cache.keeper.forget(("file", source))


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
