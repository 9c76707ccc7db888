"""What an image is on every engine: its layers, its platform and its configuration, never the engine's own id.

An image id is the digest of a configuration on one kind of store and of a manifest on another, so that one
image has two ids. What a container of it sees is the same.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from stalker.model.labels import PREFIX
from stalker.model.platforms import Platform, parse_platform

if TYPE_CHECKING:
    from stalker.model.images import Image

_CONFIG = (
    "Cmd",
    "Entrypoint",
    "Env",
    "ExposedPorts",
    "Healthcheck",
    "Labels",
    "OnBuild",
    "Shell",
    "StopSignal",
    "StopTimeout",
    "User",
    "Volumes",
    "WorkingDir",
)
"""The entries that the image specification and Docker give a meaning to. Others (`Hostname`, `Image`) are left
over from the container that an image was committed from."""


def image_identity(image: Image) -> str:
    """Return the SHA-256 (hex) of what an inspected image is; the same on every engine.

    Over canonical JSON of: diff ids, os, architecture, variant, and the non-empty entries of its
    configuration without labels of ours.
    """
    platform = platform_of(image)
    content = {
        "diff_ids": list(image.diff_ids),
        "os": platform.os,
        "architecture": platform.architecture,
        "variant": platform.variant,
        "config": _config(image),
    }
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def platform_of(image: Image) -> Platform:
    """Return the platform of an inspected image, in one spelling.

    64-bit ARM may or may not call itself v8. 32-bit ARM without a variant is v7, as `parse_platform` reads it: some
    engines keep no variant.
    """
    usual = {("arm64", "v8"): "", ("arm", ""): "v7"}
    variant = usual.get((image.architecture, image.variant), image.variant)
    return Platform(image.os or "linux", image.architecture, variant)


def platform_text(platform: str, image: Image | None) -> str:
    """Return in one spelling what a stalk's containers run as: its own platform, or that of its base image."""
    if platform:
        return str(parse_platform(platform))
    return str(platform_of(image)) if image is not None else ""


def _config(image: Image) -> dict[str, object]:
    found = {name: image.config.get(name) for name in _CONFIG}
    labels = found["Labels"]
    if isinstance(labels, dict):
        found["Labels"] = {name: text for name, text in labels.items() if not name.startswith(PREFIX)}
    if found["WorkingDir"] == "/":  # where a program begins that has no other directory
        found["WorkingDir"] = ""
    return {name: value for name, value in found.items() if value}
