"""Documents of a container image, read: manifests, lists of them by platform, configurations.

Source: OCI image specification 1.1 (image-index, manifest, config), and docker's own forms of the same.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from stalker.errors import InputError, NotGenuine
from stalker.model.platforms import Platform, parse_platform, runs_on

Packing = Literal["", "gzip", "zstd"]

DEFAULT_PLATFORM = "linux/arm64/v8"
"""What the original kantoo-devkit's cards are."""

MANIFESTS = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
INDEXES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
MOST_DOCUMENT_BYTES = 4 << 20
"""Registries need not take larger manifests (distribution specification)."""

_LAYERS: Mapping[str, Packing] = {
    "application/vnd.oci.image.layer.v1.tar": "",
    "application/vnd.oci.image.layer.v1.tar+gzip": "gzip",
    "application/vnd.oci.image.layer.v1.tar+zstd": "zstd",
    "application/vnd.docker.image.rootfs.diff.tar": "",
    "application/vnd.docker.image.rootfs.diff.tar.gzip": "gzip",
    "application/vnd.docker.image.rootfs.diff.tar.zstd": "zstd",
}
_DIGEST = re.compile(r"(sha256):([0-9a-f]{64})|(sha512):([0-9a-f]{128})")


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer as the registry, or an archive, has it: its digest is that of the packed bytes."""

    digest: str
    size_bytes: int
    packing: Packing = "gzip"


@dataclass(frozen=True, slots=True)
class Manifest:
    """An image of one platform."""

    config_digest: str
    config_bytes: int
    layers: tuple[Layer, ...]


@dataclass(frozen=True, slots=True)
class Pointer:
    """A line of an index; `platform` is None where it does not say."""

    digest: str
    platform: Platform | None


def read_document(body: bytes, what: str) -> Manifest | tuple[Pointer, ...]:
    """Read a manifest, or an index of several. Raises InputError; `what` names the image."""
    found = _object(body, what)
    if found.get("schemaVersion") == 1 or "fsLayers" in found:
        raise InputError(
            f"{what} is of a form that docker gave up",
            "its manifest is of schema 1, which holds no digest of its configuration",
            "push it again with a docker of this decade, or choose another tag",
        )
    if "manifests" in found and ("layers" in found or "config" in found):
        # Two readers would see two images in it (CVE-2021-41190).
        raise InputError(f"{what} is damaged", "its manifest is a list and an image at once", "push it again")
    try:
        if "manifests" in found:
            return tuple(one for line in found["manifests"] if (one := _pointer(line)))
        config = found["config"]
        return Manifest(
            checked_digest(config["digest"]),
            _size(config["size"]),
            tuple(_layer(one, what) for one in found["layers"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(
            f"{what} is not a container image", f"its manifest lacks something: {error!r}", "check the name"
        ) from error


def choose(pointers: tuple[Pointer, ...], platform: str, what: str) -> Pointer:
    """Return the line of an index for a platform: the newest variant that runs there. Raises InputError."""
    wanted = parse_platform(platform)
    fitting = [
        (one.platform.variant, -number)
        for number, one in enumerate(pointers)
        if one.platform is not None and _serves(one.platform, wanted)
    ]
    if fitting:
        return pointers[-max(fitting)[1]]
    silent = [one for one in pointers if one.platform is None]
    if len(silent) == 1:
        return silent[0]
    there = sorted({str(one.platform) for one in pointers if one.platform is not None})
    raise wrong_platform(what, platform, ", ".join(there) or "none that it tells of")


def check_config(body: bytes, manifest: Manifest, platform: str, what: str) -> str:
    """Check an image's configuration against its manifest and a platform; return its platform.

    Raises:
        InputError: it is none of a container image, or for another platform.
    """
    found = _object(body, what)
    rootfs = found.get("rootfs")
    ids = rootfs.get("diff_ids") if isinstance(rootfs, dict) else None
    if not isinstance(ids, list) or len(ids) != len(manifest.layers):
        raise InputError(
            f"{what} is not a container image",
            "its configuration does not tell of its layers",
            "check the name; charts and other things live in registries, too",
        )
    own = platform_in(found)
    if own is not None:
        wanted = parse_platform(platform)
        if own.os != wanted.os or not runs_on(platform, own.architecture, own.variant):
            raise wrong_platform(what, platform, str(own))
    return str(own) if own is not None else ""


def diff_ids(config: bytes) -> list[str]:
    """Return the digests of the unpacked layers that a checked configuration tells."""
    return [str(one) for one in json.loads(config)["rootfs"]["diff_ids"]]


def platform_in(found: Mapping[str, Any]) -> Platform | None:
    """Return the platform that a configuration or a line of an index names, None for none."""
    words = [str(found.get(key) or "") for key in ("os", "architecture", "variant")]
    if not words[1]:
        return None
    return parse_platform("/".join([words[0] or "linux", *(word for word in words[1:] if word)]))


def wrong_platform(what: str, platform: str, there: str) -> InputError:
    """Return the error that says which platforms there are."""
    return InputError(
        f"{what} is not made for {platform}", f"it is made for: {there}", "choose another tag or platform"
    )


def check_bytes(body: bytes, digest: str, what: str) -> None:
    """Check a document against its digest. Raises NotGenuine."""
    algorithm, _, value = digest.partition(":")
    found = hashlib.new(algorithm, body).hexdigest()
    if found != value:
        raise NotGenuine(
            f"{what} is not what its registry says",
            f"expected {digest}\nfound    {algorithm}:{found}",
            "nothing was kept; run again, and tell those who run the registry",
        )


def checked_digest(text: object) -> str:
    """Return a digest as it stands. Raises ValueError when it is none, so that it can be a path."""
    if not isinstance(text, str) or not _DIGEST.fullmatch(text):
        raise ValueError(f"{text!r} is not a digest")
    return text


def _object(body: bytes, what: str) -> Mapping[str, Any]:
    try:
        found = json.loads(body)
    except ValueError as error:
        raise InputError(
            f"{what} is damaged", f"a document of it is not JSON: {error}", "push it again"
        ) from error
    if not isinstance(found, dict):
        raise InputError(f"{what} is damaged", "a document of it is not a JSON object", "push it again")
    return found


def _pointer(line: Mapping[str, Any]) -> Pointer | None:
    """Return a line of an index; None for what is said of an image rather than one."""
    platform = line.get("platform")
    notes = line.get("annotations") or {}
    own = platform_in(platform) if isinstance(platform, dict) else None
    if "vnd.docker.reference.type" in notes or (own is not None and own.os == "unknown"):
        return None
    if own is not None and own.architecture == "unknown":
        return None
    return Pointer(checked_digest(line["digest"]), own)


def _layer(found: Mapping[str, Any], what: str) -> Layer:
    media = str(found.get("mediaType", ""))
    if "foreign" in media or "nondistributable" in media:
        raise InputError(
            f"{what} has a layer that registries do not give away",
            f"{media}: it is had from its maker alone",
            "choose an image without such layers",
        )
    if media not in _LAYERS:
        raise InputError(
            f"{what} has a layer that docker does not load",
            media or "its kind is not declared",
            "check the name; charts and other things live in registries, too",
        )
    return Layer(checked_digest(found["digest"]), _size(found["size"]), _LAYERS[media])


def _size(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"{value!r} is not a size")
    return value


def _serves(own: Platform, wanted: Platform) -> bool:
    """Return whether an image runs on a platform: an older variant of 32-bit ARM does on a newer one."""
    if (own.os, own.architecture) != (wanted.os, wanted.architecture):
        return False
    if wanted.architecture != "arm":
        return own.variant in {"", wanted.variant}
    return own.variant <= wanted.variant
