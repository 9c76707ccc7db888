"""What identifies a base, so that a later plan finds its image without asking anything.

An image that was made for a base (tarball, bootstrap, Dockerfile, disk image) carries `base_key` as the label
`io.stalker.base`. Images of a registry and tags are found by their own name and get no label.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable

from stalker.model.images import Image
from stalker.model.labels import BASE, BASE_IMAGES, FINGERPRINT, STEP
from stalker.model.tree import Base, BootstrapBase, DiskBase, DockerfileBase, ImageBase, TagBase, TarballBase

BASE_COMMENT = "stalker base "
"""What the comment of an imported base starts with; its key follows."""

_SCHEME = "stalker base 1"


def base_key(base: Base, platform: str = "") -> str:
    """Return the SHA-256 (hex) over all that decides what a base holds, each field framed by length.

    Where content is pinned, the place it is fetched from does not count: a tarball with a checksum is
    the same from any mirror, a commit the same from any clone. `platform` counts when it is given.
    """
    fields = [_SCHEME, *_identity(base)]
    if platform:
        fields += ["platform", platform]
    digest = hashlib.sha256()
    for text in fields:
        data = text.encode()
        digest.update(b"%d:" % len(data))
        digest.update(data)
    return digest.hexdigest()


def describe_base(base: Base) -> str:
    """Return a base in two or three words: `bootstrap bookworm`, `tarball stage3.tar.xz`."""
    match base:
        case ImageBase():
            return f"image {base.name}"
        case TarballBase():
            return f"tarball {_last_part(base.source)}"
        case BootstrapBase():
            return f"bootstrap {base.suite}" + (f" {base.architecture}" if base.architecture else "")
        case DockerfileBase():
            return f"dockerfile {_last_part(base.context)}" + (f"@{base.commit[:12]}" if base.commit else "")
        case TagBase():
            return f"tag {base.name}"
        case DiskBase():
            return f"disk {_last_part(base.source)}"


def made_bases(images: Iterable[Image]) -> dict[str, list[Image]]:
    """Return the images that were made for bases, by key, the oldest of a key first.

    Whatever is built on a base inherits its labels, so steps are left out, and of those with equal labels
    the oldest is taken.
    """
    oldest: dict[tuple[str, str], Image] = {}
    for image in sorted(images, key=lambda image: (image.created_s, image.id)):
        key = image.labels.get(BASE)
        if key and not image.labels.get(FINGERPRINT) and not image.labels.get(STEP):
            oldest.setdefault((key, image.labels.get(BASE_IMAGES, "")), image)
    found: dict[str, list[Image]] = {}
    for (key, _), image in oldest.items():
        found.setdefault(key, []).append(image)
    return found


def find_base(
    images: Iterable[Image], key: str, identity_of: Callable[[str], str] = lambda _name: ""
) -> Image | None:
    """Return the image that was made for the base `key`, None when none of `images` is it.

    `identity_of` returns what the image of a name is now, empty where there is none: one that was built on
    images that their names no longer mean does not do.
    """
    candidates = made_bases(images).get(key, ())
    return next((image for image in candidates if not moved_images(image, identity_of)), None)


def moved_images(image: Image, identity_of: Callable[[str], str]) -> list[str]:
    """Return the names in a Dockerfile that mean other images now than when a base was built of it."""
    return [name for name, identity in built_on(image).items() if identity_of(name) not in {"", identity}]


def built_on(image: Image) -> dict[str, str]:
    """Return the names in the Dockerfile that a base was made of, each with what its image was."""
    try:
        found = json.loads(image.labels.get(BASE_IMAGES) or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _identity(base: Base) -> list[str]:
    match base:
        case ImageBase():
            return ["image", base.name, base.digest]
        case TarballBase():
            signers = sorted(base.fingerprints) if base.signature else []
            source = (
                ["sha256", base.sha256.lower()] if base.sha256 else ["source", base.source, base.signature]
            )
            return ["tarball", *source, *_framed(signers)]
        case BootstrapBase():
            return [
                "bootstrap",
                base.suite,
                base.variant,
                base.mirror,
                base.architecture,
                *_framed(sorted(set(base.include))),
                *_framed(base.components),
            ]
        case DockerfileBase():
            arguments = [text for pair in sorted(base.arguments) for text in pair]
            if base.commit:
                source = ["commit", base.commit.lower()]
            elif base.context_digest:
                source = ["digest", base.context_digest]
            else:
                source = ["folder", base.context]
            return ["dockerfile 2", *source, base.dockerfile, *_framed(arguments)]
        case TagBase():
            return ["tag", base.name]
        case DiskBase():
            return ["disk 1", base.checksum, str(base.root)]


def _framed(texts: Iterable[str]) -> list[str]:
    items = list(texts)
    return [str(len(items)), *items]


def _last_part(source: str) -> str:
    """Return the last part of a path or URL, without query and credentials."""
    path = re.sub(r"[?#].*", "", source.partition("://")[2]) if "://" in source else source
    return path.rstrip("/").rpartition("/")[2].rpartition("@")[2]
