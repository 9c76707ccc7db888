"""Archives of container images, as `docker load` takes them: written, the same bytes each time."""

from __future__ import annotations

import json
import shutil
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

from stalker.fetch.oci.manifest import Layer
from stalker.io.hashing import CHUNK_BYTES
from stalker.model.image_name import ImageName

_BLOCK_BYTES = tarfile.BLOCKSIZE
_END = bytes(2 * _BLOCK_BYTES)


def archive_bytes(name: ImageName, config_digest: str, config: bytes, layers: Sequence[Layer]) -> int | None:
    """Return how large the archive is going to be; None where a layer has to be unpacked for it first."""
    if any(layer.packing == "zstd" for layer in layers):
        return None
    manifest = _manifest(name, config_digest, layers)
    sizes = [len(manifest), len(config), *(one.size_bytes for one in unique(layers))]
    return sum(_BLOCK_BYTES + _padded(size) for size in sizes) + len(_END)


def write_archive(
    target: Path,
    name: ImageName,
    config_digest: str,
    config: bytes,
    layers: Sequence[Layer],
    files: Mapping[str, Path],
) -> None:
    """Write an archive of the layers in `files`, by their digests.

    They stay packed: docker unpacks gzip when it loads. What it is made of comes first, so that a
    reader of a stream knows what follows.
    """
    with target.open("wb") as file:
        _put_bytes(file, "manifest.json", _manifest(name, config_digest, layers))
        _put_bytes(file, f"{_hex(config_digest)}.json", config)
        for layer in unique(layers):
            path = files[layer.digest]
            size = path.stat().st_size
            file.write(_header(layer_name(layer), size))
            with path.open("rb") as source:
                shutil.copyfileobj(source, file, CHUNK_BYTES)
            file.write(bytes(_padded(size) - size))
        file.write(_END)


def layer_name(layer: Layer) -> str:
    """Return what a layer is called in an archive; one of Zstandard is there unpacked."""
    return f"{_hex(layer.digest)}.tar{'.gz' if layer.packing == 'gzip' else ''}"


def unique(layers: Sequence[Layer]) -> tuple[Layer, ...]:
    """Return each layer once: an empty one may come several times."""
    return tuple({layer.digest: layer for layer in layers}.values())


def _manifest(name: ImageName, config_digest: str, layers: Sequence[Layer]) -> bytes:
    found = {
        "Config": f"{_hex(config_digest)}.json",
        "RepoTags": [name.familiar] if name.familiar else None,
        "Layers": [layer_name(layer) for layer in layers],
    }
    return json.dumps([found], separators=(",", ":")).encode()


def _hex(digest: str) -> str:
    """Return digits that make a name short enough for a plain header."""
    return digest.partition(":")[2][:64]


def _put_bytes(file: BinaryIO, name: str, data: bytes) -> None:
    file.write(_header(name, len(data)))
    file.write(data)
    file.write(bytes(_padded(len(data)) - len(data)))


def _header(name: str, size_bytes: int) -> bytes:
    info = tarfile.TarInfo(name)
    info.size = size_bytes
    return info.tobuf(tarfile.GNU_FORMAT)


def _padded(size_bytes: int) -> int:
    return -(-size_bytes // _BLOCK_BYTES) * _BLOCK_BYTES
