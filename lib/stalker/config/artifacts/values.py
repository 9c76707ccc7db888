"""What reading any artifact of a node needs: paths, patterns, sizes and times, each reported where it is wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from stalker.config.syntax.document import items_of
from stalker.config.tree import names
from stalker.io.disk_sizes import exact_bytes

if TYPE_CHECKING:
    from collections.abc import Callable

    from stalker.config.syntax.document import Node
    from stalker.config.syntax.report import Report
    from stalker.config.tree.variables import Scope
    from stalker.config.workspace import Workspace
    from stalker.model.tree import DiskBase

_Read = TypeVar("_Read")


@dataclass(slots=True)
class ArtifactReader:
    """Reads the artifacts of one stalk of a tree.

    `mounts` are the paths that the stalk's steps have mounted: what is there is in no image.
    `platform` is the stalk's, empty for the engine's own. `disk_base` is the disk image that the stalk starts from.
    """

    scope: Scope
    workspace: Workspace
    report: Report
    platform: str = ""
    mounts: tuple[str, ...] = ()
    disk_base: DiskBase | None = None

    def told(self, node: Node, read: Callable[[str], _Read]) -> _Read | None:
        """Return what `read` makes of a text or number; None where it raises ValueError, which is reported."""
        if not isinstance(node.value, str | int) or isinstance(node.value, bool):
            return None
        return self.report.attempt(node.place, read, node.text)

    def path(self, node: Node | None) -> str:
        """Return a path in the image, normalised; empty where there is none that can be, which is reported."""
        return (self.told(node, names.image_path) or "") if node is not None else ""

    def paths(self, node: Node | None, read: Callable[[str], str] = names.image_path) -> tuple[str, ...]:
        """Return one path or pattern or a list of them; those that are written twice are reported."""
        found: dict[str, None] = {}
        for child in items_of(node):
            path = self.told(child, read)
            if path is None:
                continue
            if path in found:
                self.report.problem(child.place, f"{path} stands here twice", "keep one")
            found[path] = None
        return tuple(found)

    def patterns(self, node: Node | None) -> tuple[str, ...]:
        """Return one pattern of paths or a list of them."""
        return self.paths(node, names.path_pattern)

    def excluded(self, node: Node | None) -> tuple[str, ...]:
        """Return the patterns of what is left out; one that leaves nothing is reported."""
        return self.paths(node, names.excluded_pattern)

    def size(self, node: Node | None, read: Callable[[str], int] = exact_bytes) -> int | None:
        """Return a size; None for none, for `auto`, and for an invalid one, which is reported."""
        if node is None or node.text == "auto":
            return None
        size = self.told(node, read)
        if size is not None and not 0 < size < 1 << 60:
            self.report.problem(node.place, f"a size of {node.text} is not possible")
            return None
        return size

    def is_mounted(self, path: str) -> str:
        """Return the mount that a path is in, empty for what is in the image."""
        inside = (mount for mount in self.mounts if f"{path}/".startswith(mount.rstrip("/") + "/"))
        return next(inside, "")
