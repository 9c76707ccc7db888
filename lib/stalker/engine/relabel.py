"""The right platform for an imported image on engines that ignore it, such as Docker 20.10.

Such an engine writes its own architecture into whatever it imports. It takes a `docker load` archive
for an image whose layer it has already without that layer being in the archive: so the configuration
alone, some hundred bytes, makes an image of the right platform, and no byte of content moves again.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stalker.model.platforms import Platform


def has_platform(found: Mapping[str, Any], wanted: Platform) -> bool:
    """Say whether an inspected image is of a platform; 64-bit ARM may or may not call itself v8."""
    variant = str(found.get("Variant") or "")
    same_variant = variant == wanted.variant or (wanted.architecture, variant) == ("arm64", "v8")
    return found.get("Architecture") == wanted.architecture and same_variant


def relabelled(
    found: Mapping[str, Any], wanted: Platform, labels: Mapping[str, str], name: str
) -> tuple[bytes, str]:
    """Return a `docker load` archive of an inspected image as one of another platform, and its id.

    `labels` are added. The archive holds no layer: the engine has it, by its digest.
    """
    created, comment = found.get("Created"), str(found.get("Comment") or "")
    own = found.get("Config") or {}
    config = {
        "architecture": wanted.architecture,
        **({"variant": wanted.variant} if wanted.variant else {}),
        "os": wanted.os,
        "created": created,
        "comment": comment,
        "config": {**own, "Labels": {**(own.get("Labels") or {}), **labels}},
        "rootfs": {"type": "layers", "diff_ids": found["RootFS"]["Layers"]},
        "history": [{"created": created, "comment": comment} for _ in found["RootFS"]["Layers"]],
    }
    content = json.dumps(config, sort_keys=True).encode()
    digest = hashlib.sha256(content).hexdigest()
    file = f"{digest}.json"
    layers = [f"{layer.rpartition(':')[2]}/layer.tar" for layer in found["RootFS"]["Layers"]]
    manifest = [{"Config": file, "RepoTags": [name], "Layers": layers}]
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for entry, data in ((file, content), ("manifest.json", json.dumps(manifest).encode())):
            info = tarfile.TarInfo(entry)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue(), f"sha256:{digest}"
