"""What `stalker new` adds to a workspace: a stalk with a tree that runs it, or a reusable plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stalker.config.tree.names import plugin_name, repository_part
from stalker.errors import PlanError
from stalker.templates.files import DATA, NewFile

if TYPE_CHECKING:
    from collections.abc import Callable


def stalk_files(name: str, *, with_tree: bool = True) -> list[NewFile]:
    """Return the files of a new stalk, and of a tree of that name in which it runs. Raises PlanError."""
    _check(name, repository_part)
    found = [_filled("stalk.hjson", f"stalks/{name}/{name}.hjson", name)]
    if with_tree:
        found.append(_filled("tree.hjson", f"trees/{name}/{name}.hjson", name))
    return found


def plugin_files(name: str, *, is_python: bool = False) -> list[NewFile]:
    """Return script and sidecar of a new reusable plugin. Raises PlanError."""
    _check(name, plugin_name)
    source, ending = ("plugin.python", "py") if is_python else ("plugin.shell", "sh")
    return [
        _filled(source, f"plugins/{name}.{ending}", name, mode=0o755),
        _filled("plugin.hjson", f"plugins/{name}.hjson", name),
    ]


def other_script(name: str, *, is_python: bool) -> str:
    """Return the script that a plugin of that name must not have as well."""
    return f"plugins/{name}.{'sh' if is_python else 'py'}"


def _filled(source: str, path: str, name: str, mode: int = 0o644) -> NewFile:
    text = (DATA / "new" / source).read_text(encoding="utf-8")
    step = name.replace(".", "_").replace("-", "_")
    return NewFile(path, text.replace("@NAME@", name).replace("@STEP@", step).encode(), mode)


def _check(name: str, rule: Callable[[str], str]) -> None:
    try:
        is_same = rule(name) == name
    except ValueError as error:
        raise PlanError(f"'{name}' is not a possible name", str(error)) from error
    if not is_same:
        raise PlanError(f"'{name}' is not a possible name", "", f"in lower case: {rule(name)}")
