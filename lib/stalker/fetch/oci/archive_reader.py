"""Archives of container images, read: what is in them, for which platform, and how large it is once loaded.

Both forms are read: docker's own (`manifest.json`) and the OCI layout (`index.json`), packed as a whole or
not. Nothing is unpacked to a file, and of members only small documents are taken into memory.
"""

from __future__ import annotations

import json
import lzma
import posixpath
import tarfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from stalker.errors import InputError
from stalker.fetch.oci.manifest import (
    Layer,
    Manifest,
    Packing,
    choose,
    platform_in,
    read_document,
    wrong_platform,
)
from stalker.io.compression.magic import compression_in
from stalker.io.compression.reader import check_installed, decompressed
from stalker.io.compression.size import gzip_size
from stalker.io.hashing import CHUNK_BYTES
from stalker.model.image_name import parse_image_name
from stalker.model.platforms import parse_platform, runs_on

MOST_DOCUMENT_BYTES = 16 << 20
_NAMES = ("io.containerd.image.name", "org.opencontainers.image.ref.name")


@dataclass(frozen=True, slots=True)
class Archive:
    """An archive. `names` are what its images are called once loaded; `platform` is empty when it does not say.

    `layers` are all of its images' layers, each once, as they are in it.
    """

    path: Path
    file_bytes: int
    names: tuple[str, ...]
    platform: str
    config: bytes
    layers: tuple[Layer, ...]
    full_bytes: int | None
    """What the layers take unpacked; None where that was not counted and they do not tell."""

    def has_name(self, ident: str) -> bool:
        """Return whether an image is there under this name once it is loaded."""
        wanted = parse_image_name(ident)
        return any(parse_image_name(one).familiar == wanted.familiar for one in self.names)


def read_archive(path: Path, platform: str, *, counts: bool = False) -> Archive:
    """Read an archive; with `counts` each layer is unpacked on the way to know how large it is.

    Raises:
        InputError: it is none that docker loads, is damaged, or is for another platform.
    """
    try:
        with tarfile.open(path) as archive:
            return _Reader(path, archive, platform).read(counts=counts)
    except FileNotFoundError as error:
        raise InputError(f"there is no file {path}", "", "check the path") from error
    except (tarfile.TarError, EOFError, OSError, lzma.LZMAError, zlib.error, RecursionError) as error:
        raise _unusable(path, str(error) or type(error).__name__) from error


def check_archive(path: Path, ident: str, platform: str) -> str:
    """Hold an archive that was fetched by its URL against the image that is wanted of it.

    Return what its author should know, empty for nothing: it is loaded under other names.

    Raises:
        InputError: it is none that docker loads, is damaged, or is for another platform.
    """
    archive = read_archive(path, platform)
    if archive.has_name(ident):
        return ""
    names = ", ".join(archive.names) or "no name"
    return f"the archive of {ident} loads as {names}: nothing will be called {ident}"


class _Reader:
    def __init__(self, path: Path, archive: tarfile.TarFile, platform: str) -> None:
        self._path = path
        self._archive = archive
        self._platform = platform
        self._members = {posixpath.normpath(one.name): one for one in archive if not one.isdir()}

    def read(self, *, counts: bool) -> Archive:
        if "manifest.json" in self._members:
            images = self._of_docker()
        elif "index.json" in self._members:
            images = self._of_oci()
        else:
            raise _unusable(self._path, "it holds neither manifest.json nor index.json")
        if not images:
            raise _unusable(self._path, "it holds no image")
        configs = [config for _, config, _ in images]
        platforms = [self._checked(config) for config in configs]
        files = dict.fromkeys(self._real(name) for _, _, names in images for name in names)
        layers, total = [], 0
        known = True
        for name in files:
            layer, full = self._layer(name, counts=counts)
            layers.append(layer)
            known, total = known and full is not None, total + (full or 0)
        return Archive(
            self._path,
            self._path.stat().st_size,
            tuple(dict.fromkeys(name for names, _, _ in images for name in names)),
            platforms[0],
            configs[0],
            tuple(layers),
            total if known else None,
        )

    def _of_docker(self) -> list[tuple[list[str], bytes, list[str]]]:
        """Return names, configuration and layers of each image."""
        images = []
        try:
            for one in self._json("manifest.json"):
                names = [str(name) for name in one.get("RepoTags") or ()]
                images.append((names, self._bytes(one["Config"]), [str(name) for name in one["Layers"]]))
        except (KeyError, TypeError, AttributeError) as error:
            raise _unusable(self._path, f"manifest.json: {error!r}") from error
        return images

    def _of_oci(self) -> list[tuple[list[str], bytes, list[str]]]:
        images = []
        try:
            for one in self._json("index.json")["manifests"]:
                notes = one.get("annotations") or {}
                if "vnd.docker.reference.type" in notes:
                    continue
                # docker cannot use a name that is nothing but a tag.
                names = [notes[key] for key in _NAMES if "/" in notes.get(key, "")][:1]
                found = self._document(one["digest"])
                for _ in range(4):
                    if isinstance(found, Manifest):
                        break
                    found = self._document(choose(found, self._platform, str(self._path)).digest)
                else:
                    raise _unusable(self._path, "its lists are nested too deeply")
                assert isinstance(found, Manifest)
                config = self._bytes(_blob(found.config_digest))
                images.append((names, config, [_blob(layer.digest) for layer in found.layers]))
        except (KeyError, TypeError, AttributeError) as error:
            raise _unusable(self._path, f"index.json: {error!r}") from error
        return images

    def _document(self, digest: str) -> Manifest | tuple[Any, ...]:
        return read_document(self._bytes(_blob(digest)), str(self._path))

    def _checked(self, config: bytes) -> str:
        """Return the platform of a configuration, checked against the requested one."""
        try:
            found = platform_in(json.loads(config))
        except (ValueError, AttributeError) as error:
            raise _unusable(self._path, "a configuration in it is not a JSON object") from error
        wanted = parse_platform(self._platform)
        if found is None:
            return ""
        if found.os != wanted.os or not runs_on(self._platform, found.architecture, found.variant):
            raise wrong_platform(str(self._path), self._platform, str(found))
        return str(found)

    def _layer(self, name: str, *, counts: bool) -> tuple[Layer, int | None]:
        """Return a layer as it stands, and what it takes unpacked."""
        file = self._open(name)
        size = self._members[name].size
        head = file.read(6)
        kind = compression_in(head)
        packing: Packing = "gzip" if kind == "gz" else "zstd" if kind == "zst" else ""
        digits = posixpath.basename(name).partition(".")[0]
        layer = Layer(f"sha256:{digits}", size, packing)
        if not kind:
            return layer, size
        if not counts:
            if packing != "gzip" or size < 18:
                return layer, None
            file.seek(size - 4)
            return layer, gzip_size(size, file.read(4))
        file.seek(0)
        check_installed(kind, str(self._path))
        with decompressed(file, kind) as stream:
            return layer, sum(len(chunk) for chunk in iter(lambda: stream.read(CHUNK_BYTES), b""))

    def _json(self, name: str) -> Any:
        try:
            return json.loads(self._bytes(name))
        except ValueError as error:
            raise _unusable(self._path, f"{name} is not JSON: {error}") from error

    def _bytes(self, name: str) -> bytes:
        data = self._open(self._real(name)).read(MOST_DOCUMENT_BYTES + 1)
        if len(data) > MOST_DOCUMENT_BYTES:
            raise _unusable(self._path, f"{name} is larger than {MOST_DOCUMENT_BYTES} bytes")
        return data

    def _open(self, name: str) -> IO[bytes]:
        file = self._archive.extractfile(self._members[name])
        assert file is not None  # _real saw to it
        return file

    def _real(self, name: str) -> str:
        """Return the member that holds what a name stands for: old dockers link layers that are the same."""
        name = posixpath.normpath(name)
        for _ in range(8):
            member = self._members.get(name)
            if member is None:
                raise _unusable(self._path, f"{name} is missing in it")
            if member.isreg():
                return name
            if not (member.issym() or member.islnk()):
                break
            folder = posixpath.dirname(name) if member.issym() else ""
            name = posixpath.normpath(posixpath.join(folder, member.linkname))
        raise _unusable(self._path, f"{name} in it is not a file")


def _blob(digest: str) -> str:
    algorithm, _, value = str(digest).partition(":")
    return f"blobs/{algorithm}/{value}"


def _unusable(path: Path, why: str) -> InputError:
    return InputError(
        f"{path} is not an archive that docker loads", why, "make one: docker save NAME:TAG -o FILE.tar"
    )
