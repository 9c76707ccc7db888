"""Images as the engine lists them."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Image:
    """An image of the engine.

    `parent_id` and `comment` may be empty where the engine does not say; `created_s` is Unix time;
    `config` is the engine's own `Config` object, present after an inspection, as are `os`,
    `architecture`, `variant` (`linux`, `arm`, `v7`) and `diff_ids`, the digests of its layers; empty
    where only a listing was asked, as `layers` is 0.
    """

    id: str
    tags: tuple[str, ...] = ()
    labels: dict[str, str] = field(default_factory=dict)
    parent_id: str = ""
    created_s: float = 0.0
    size_bytes: int = 0
    layers: int = 0
    architecture: str = ""
    variant: str = ""
    comment: str = ""
    digests: tuple[str, ...] = ()
    config: dict[str, object] = field(default_factory=dict)
    os: str = ""
    diff_ids: tuple[str, ...] = ()


def short_id(image_id: str) -> str:
    """Return the 12 digits that docker shows: `sha256:4ca5a981c925...` -> `4ca5a981c925`."""
    return image_id.removeprefix("sha256:")[:12]
