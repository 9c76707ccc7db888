"""Files in, values out: trees, stalks, plugins, sysroot; all problems at once, each with its place.

What others call is here and is loaded when it is first asked for.
"""

from __future__ import annotations

from typing import Any

_HOMES = {
    "PluginInfo": "plugins.reusable",
    "check_files": "check",
    "digest_directory": "digests",
    "fill_secrets": "plugins.content",
    "list_plugins": "plugins.reusable",
    "plugin_page": "plugins.reusable",
    "read_names": "tree.load",
    "read_secrets": "tree.secrets",
    "read_tree": "tree.load",
    "read_tree_cached": "tree.cache",
    "tree_files": "tree.load",
}

__all__ = sorted(_HOMES)  # noqa: PLE0605 - one list of names, not two


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
