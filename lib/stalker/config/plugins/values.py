"""What reading any plugin of a stalk needs: the keys of each kind, and where its content is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from stalker.config.plugins.content import Source, file_source, tell_missing, text_source, usable_path
from stalker.config.schema.tree import PLUGIN
from stalker.config.schema.types import VARIABLE

if TYPE_CHECKING:
    from stalker.config.syntax.document import Node
    from stalker.config.syntax.report import Report
    from stalker.config.tree.targets import Target
    from stalker.config.tree.variables import Scope
    from stalker.config.workspace import Workspace


_KINDS = {key: frozenset(one.of.split()) for key, one in PLUGIN.keys.items() if one.of}
"""Key -> the kinds of plugins that have it."""


@dataclass(slots=True)
class PluginReader:
    """Reads plugins as one stalk of a tree sees them.

    `targets` collects the paths in a container, as the plugins come.
    """

    scope: Scope
    workspace: Workspace
    report: Report
    targets: list[Target] = field(default_factory=list)

    def check_keys(self, node: Node, kind: str) -> None:
        """Tell the keys that do not go with a kind of plugin."""
        word = kind.removeprefix("a ")
        for key, child in node.items():
            if VARIABLE.match(key):
                if kind in {"a folder", "a store"}:
                    self.report.warning(child.key_place, f"the variable {key} has no effect on {kind}")
            elif key in _KINDS and word not in _KINDS[key]:
                hint = (
                    "what a script leaves behind is in the image" if (kind, key) == ("exec", "copy") else ""
                )
                self.report.problem(child.key_place, f"'{key}' does not go with {kind}", hint)

    def warn_of(self, node: Node, key: str, what: str, hint: str = "") -> None:
        """Warn at a key that is there."""
        child = node.get(key)
        if child is not None:
            self.report.warning(child.key_place, what, hint)

    def has_one_of(self, node: Node, *keys: str) -> bool:
        """Return whether exactly one of the keys gives the content; reported where not."""
        given = [child for child in (node.get(key) for key in keys) if child is not None]
        if len(given) == 1:
            return isinstance(given[0].value, str)
        if given:
            first, second = (child.path.rpartition(".")[2] for child in given[:2])
            self.report.problem(given[1].key_place, f"both '{first}' and '{second}'", "keep one of them")
        else:
            self.report.problem(node.key_place, f"one of {', '.join(keys)} is missing")
        return False

    def source(self, node: Node, *, is_read: bool) -> Source | None:
        """Return the content of `text` or `path`, exactly one of which is there.

        None when it is invalid, which is reported. With `is_read` large files are read, too.
        """
        text, path = node.get("text"), node.get("path")
        is_template = node.get("template") is not None
        if text is not None:
            return text_source(text, is_template=is_template)
        assert path is not None
        kind = usable_path(path, self.workspace, self.report)
        if not kind:
            tell_missing(path, self.workspace, self.report)
        elif kind not in {"file", "bad"}:
            self.report.problem(path.place, f"{path.text} is not a file")
        if kind != "file":
            return None
        is_template = is_template or path.text.endswith(".j2")
        return file_source(
            path, self.workspace, self.report, is_template=is_template, is_read=is_read or is_template
        )
