"""Plugins that are placed or mounted in a container: files, directories of the host, stores."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stalker.config.plugins.content import Source, filled, tell_missing, usable_path
from stalker.config.plugins.downloads import planned_digest, read_download, read_git
from stalker.config.tree import names
from stalker.config.tree.targets import Target
from stalker.config.tree.variables import plugin_variables
from stalker.model.tree import PLUGINS_DIR, File, Mount
from stalker.model.variables import Variable

if TYPE_CHECKING:
    from stalker.config.plugins.values import PluginReader
    from stalker.config.syntax.document import Node

WITH_URL = ("sha256", "checksum", "mirrors", "headers")
WITH_GIT = ("ref", "subdirectory", "submodules")


def read_placed(name: str, node: Node, reader: PluginReader) -> File | Mount | None:
    """Read a plugin that is not a step; None when it is invalid, which is reported."""
    path = node.get("path")
    if node.get("git") is not None:
        return _git(name, node, reader)
    keys = (*(WITH_URL if node.get("url") is None else ()), *WITH_GIT)
    for child in filter(None, map(node.get, keys)):
        key = child.path.rpartition(".")[2]
        needed = "git" if key in WITH_GIT else "url"
        reader.report.problem(child.key_place, f"'{key}' goes with {needed}, which is missing")
    if node.get("store") is not None:
        return _store(name, node, reader)
    if node.get("text") is not None or node.get("url") is not None:
        return _file(name, node, reader)
    if path is None:
        hint = "a script also has exec: true" if node.get("use") is not None else ""
        reader.report.problem(
            node.key_place, "a plugin has one of text, path, url, git, store, or exec with use", hint
        )
        return None
    if not isinstance(path.value, str):
        return None
    kind = usable_path(path, reader.workspace, reader.report)
    if not kind and node.get("copy") is None and _is_made(node, path, reader):
        kind = "directory"
    if not kind:
        tell_missing(path, reader.workspace, reader.report)
    elif kind == "other":
        reader.report.problem(path.place, f"{path.text} is neither a file nor a folder")
    elif kind == "directory":
        return _directory(name, node, path, reader)
    elif kind == "file":
        return _file(name, node, reader)
    return None


def _is_made(node: Node, path: Node, reader: PluginReader) -> bool:
    """Return whether a directory that is not there is made by the run: a writable one of the workspace."""
    mode = node.get("mode")
    return mode is not None and mode.text == "rw" and reader.workspace.is_inside(path.text)


def _target(node: Node, name: str, reader: PluginReader, *keys: str) -> str:
    """Return where something is in a container, empty when that is not possible."""
    child = next((child for child in (node.get(key) for key in keys) if child is not None), None)
    if child is None:
        return f"{PLUGINS_DIR}/{name}"
    return reader.report.attempt(child.place, names.target_path, child.text) or ""


def _directory(name: str, node: Node, path: Node, reader: PluginReader) -> Mount | None:
    reader.check_keys(node, "a folder")
    writable = _mount_mode(node, reader, "ro", "rw") == "rw"
    source = reader.workspace.shown(path.text)
    digest, evidence = ("", "") if writable else reader.workspace.mounted_directory(path.text, path.place)
    target = _target(node, name, reader, "bind")
    if not target:
        return None
    reader.targets.append(Target(target, node.key_place, "mount"))
    return Mount(target, "directory", source, writable, node.key_place, digest, evidence=evidence)


def _git(name: str, node: Node, reader: PluginReader) -> Mount | None:
    reader.check_keys(node, "git")
    _mount_mode(node, reader, "ro")
    source = read_git(node, plugin_variables(node, reader.scope, reader.report), reader)
    target = _target(node, name, reader, "bind")
    if source is None or not target:
        return None
    reader.targets.append(Target(target, node.key_place, "mount"))
    return Mount(target, "directory", source.url, False, node.key_place, git=source)


def _store(name: str, node: Node, reader: PluginReader) -> Mount | None:
    reader.check_keys(node, "a store")
    store = node.get("store")
    assert store is not None
    if not isinstance(store.value, str):
        return None
    reader.report.attempt(store.place, names.volume_name, store.text)
    if node.get("bind") is None:
        reader.report.problem(node.key_place, "a store needs 'bind': where it stands in the container")
        return None
    target = _target(node, name, reader, "bind")
    if not target:
        return None
    reader.targets.append(Target(target, node.key_place, "mount"))
    mode = _mount_mode(node, reader, "ro", "rw", "locked")
    is_locked = mode == "locked"
    return Mount(target, "store", store.text, is_locked or mode == "rw", node.key_place, is_locked=is_locked)


def _mount_mode(node: Node, reader: PluginReader, *allowed: str) -> str:
    """Return the mode of a mount, the first one where none is given or it is wrong."""
    mode = node.get("mode")
    if mode is None or mode.text in allowed:
        return mode.text if mode is not None else allowed[0]
    hint = f"{', '.join(allowed[:-1])} or {allowed[-1]}" if allowed[1:] else f"it is {allowed[0]}"
    if mode.text == "locked":
        hint += "; only a store can be locked"
    reader.report.problem(mode.place, f"'{mode.text}' is not possible here", hint)
    return allowed[0]


def _file(name: str, node: Node, reader: PluginReader) -> File | None:
    reader.check_keys(node, "a file")
    report = reader.report
    variables = plugin_variables(node, reader.scope, report)
    copy = node.get("copy")
    if copy is not None and node.get("bind") is not None:
        hint = "keep one: bind is never in an image, copy is"
        report.problem(copy.key_place, "both 'bind' and 'copy'", hint)
    if not reader.has_one_of(node, "text", "path", "url"):
        return None
    mode = _permissions(node.get("mode"), reader)
    download = None
    if node.get("url") is not None:
        download = read_download(node, variables, reader)
        if download is None:
            return None
        source = Source(None, planned_digest(download.source.digest), download.place)
        variables = ()  # they are part of the request, and the content is what counts
    else:
        if copy is not None:
            _refuse_secrets(variables, node, reader)
        found = reader.source(node, is_read=bool(variables))
        if found is None:
            return None
        source = found
    data = filled(source, variables, report)
    target = _target(node, name, reader, "copy", "bind")
    if not target:
        return None
    reader.targets.append(Target(target, node.key_place, "file" if copy is None else "copy"))
    return File(
        target=target,
        plugin=name,
        digest=source.digest,
        place=source.place,
        mode=mode if mode is not None else source.mode if source.mode is not None else 0o644,
        content=data,
        host_path=source.host_path if data is None else "",
        variables=variables,
        download=download,
    )


def _refuse_secrets(variables: tuple[Variable, ...], node: Node, reader: PluginReader) -> None:
    for variable in variables:
        child = node.get(variable.name)
        if variable.secret and child is not None:
            what = f"the secret {variable.secret} would stay in the image"
            reader.report.problem(child.key_place, what, "use bind in place of copy")


def _permissions(node: Node | None, reader: PluginReader) -> int | None:
    """Return the permission bits that `mode` gives a file, None where it gives none."""
    if node is None or node.text == "ro":
        return None
    if node.text == "rw":
        what = "'mode: rw' has no effect on a file: it is a copy of its own"
        reader.report.warning(node.key_place, what)
        return None
    if 3 <= len(node.text) <= 4 and all(digit in "01234567" for digit in node.text):
        return int(node.text, 8)
    hint = 'permission bits in octal, like "0644"'
    reader.report.problem(node.place, f"'{node.text}' is not a mode", hint)
    return None
