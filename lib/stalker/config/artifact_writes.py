"""The files that an artifact writes in place of the image's own, with values put in."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from stalker.config import names
from stalker.config.scope import plugin_variables
from stalker.config.substitution import substitute
from stalker.model.artifacts import Write

if TYPE_CHECKING:
    from stalker.config.artifact_reader import ArtifactReader
    from stalker.config.document import Node
    from stalker.model.tree import Variable

_MODE = re.compile(r"0?[0-7]{3,4}\Z")
_BRACED = re.compile(r"(?<!\$)\{([A-Z_][A-Z0-9_]*)\}")


def read_writes(
    node: Node | None, variables: tuple[Variable, ...], reader: ArtifactReader
) -> tuple[Write, ...]:
    """Read the `write` of an artifact; `variables` are the artifact's own, under those of each file."""
    found: dict[str, Write] = {}
    for key, child in node.items() if node is not None else ():
        path = _write_path(key, child, reader)
        if path in found:
            reader.report.problem(child.key_place, f"{path} is written twice", f"at {found[path].place}, too")
        write = _write(path, child, variables, reader)
        if write is not None and path:
            found[path] = write
    for path, write in found.items():
        around = next((other for other in found if path.startswith(other + "/")), "")
        if around:
            reader.report.problem(write.place, f"{path} is below the file {around}, which is written, too")
    return tuple(found.values())


def _write_path(key: str, child: Node, reader: ArtifactReader) -> str:
    try:
        path = names.image_path(key)
        if path == "/" or key.endswith("/"):
            raise ValueError(f"'{key}' is a folder; files are written")
        first = path.split("/")[1]
        if first in {"dev", "proc", "sys"}:
            raise ValueError(f"/{first} is the kernel's and empty in every image")
    except ValueError as error:
        reader.report.problem(child.key_place, str(error))
        return ""
    return path


def _write(path: str, node: Node, variables: tuple[Variable, ...], reader: ArtifactReader) -> Write | None:
    own, mode, text = variables, 0o644, node
    if isinstance(node.value, dict):
        given, wanted = node.get("text"), node.get("mode")
        stronger = {one.name: one for one in plugin_variables(node, reader.scope, reader.report)}
        own = tuple({**{one.name: one for one in variables}, **stronger}.values())
        if wanted is not None and isinstance(wanted.value, str):
            if _MODE.match(wanted.text):
                mode = int(wanted.text, 8)
            else:
                hint = 'permission bits in octal, like "0644"'
                reader.report.problem(wanted.place, f"'{wanted.text}' is no mode", hint)
        if given is None:
            return None
        text = given
    if not isinstance(text.value, str):
        return None
    _tell_braces(text, own, reader)
    content = substitute(text.text.encode(), own)
    secrets = tuple(one for one in own if one.secret and f"{{{one.name}}}" in text.text)
    return Write(path, content, node.key_place, mode, secrets)


def _tell_braces(text: Node, own: tuple[Variable, ...], reader: ArtifactReader) -> None:
    """Warn of a variable in braces that stays as it is because the artifact does not name it."""
    mine = {one.name for one in own}
    for name in dict.fromkeys(_BRACED.findall(text.text)):
        if name not in mine and (name in reader.scope.settings or name in reader.scope.secrets):
            what = f"{{{name}}} stays as it is: {name} is no variable of this artifact"
            reader.report.warning(text.place, what, f"{name}: '' beside 'write' puts its value in")
