"""The plugins of a stalk file: steps, files, folders and stores, as one stalk of a tree sees them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from stalker.config import names
from stalker.config.contents import (
    Source,
    file_source,
    filled,
    script_of,
    tell_missing,
    text_source,
    usable_path,
)
from stalker.config.quantities import duration_s
from stalker.config.reusable import PluginInfo, find_plugin, given_arguments
from stalker.config.scope import Scope, plugin_variables
from stalker.config.shape import VARIABLE
from stalker.config.substitution import substitute
from stalker.model.places import Place
from stalker.model.tree import PLUGINS_DIR, File, Mount, Script, Variable

if TYPE_CHECKING:
    from stalker.config.hjson_reader import Node
    from stalker.config.report import Report
    from stalker.config.workspace import Workspace

_ANYWHERE = frozenset({"exec", "skip", "tmpfs", "mode"})
_KEYS = {
    "exec": _ANYWHERE | {"text", "path", "use", "with", "template", "timeout", "retries", "daemonize"},
    "file": _ANYWHERE | {"text", "path", "bind", "copy", "template"},
    "directory": _ANYWHERE | {"path", "bind"},
    "store": _ANYWHERE | {"store", "bind"},
}
_KINDS_IN_WORDS = {"exec": "exec", "file": "a file", "directory": "a folder", "store": "a store"}
_DOCKERS_OWN = frozenset({"/etc/hosts", "/etc/hostname", "/etc/resolv.conf"})


@dataclass(slots=True)
class Exec:
    """An exec plugin as read; `script` is None where it is wrong, which was told."""

    name: str
    place: Place
    script: Script | None
    variables: tuple[Variable, ...] = ()
    timeout_s: float | None = None
    retries: int = 0
    daemonize: bool = False
    info: PluginInfo | None = None
    copies: tuple[File, ...] = ()


@dataclass(slots=True)
class Plugins:
    """All plugins of a stalk; `late_copies` are those below the last exec plugin."""

    execs: list[Exec] = field(default_factory=list)
    files: list[File] = field(default_factory=list)
    mounts: list[Mount] = field(default_factory=list)
    late_copies: tuple[File, ...] = ()


def read_plugins(node: Node | None, scope: Scope, workspace: Workspace, report: Report) -> Plugins:
    """Read the `plugins` of a stalk file; what is wrong is told, the rest is returned."""
    reader = _Reader(scope, workspace, report)
    for name, child in node.items() if node is not None else ():
        if isinstance(child.value, dict):
            reader.read(name, child)
    reader.found.late_copies = tuple(reader.copies)
    reader.check_names()
    reader.check_targets()
    return reader.found


class _Reader:
    def __init__(self, scope: Scope, workspace: Workspace, report: Report) -> None:
        self.scope, self.workspace, self.report = scope, workspace, report
        self.found = Plugins()
        self.copies: list[File] = []
        self.targets: list[tuple[str, Place, bool]] = []
        """What stands where in a container, which key says so, and whether it is a mount."""

    def read(self, name: str, node: Node) -> None:
        try:
            names.check_plugin_name(name)
        except ValueError as error:
            self.report.problem(node.key_place, str(error))
            return
        if node.get("tmpfs") is not None:
            self.warn_of(node, "tmpfs", "'tmpfs' has no effect", "use tmpfs of DOCKER_OPTS")
        if _is_true(node, "exec"):
            self.read_exec(name, node)
            return
        if _is_true(node, "skip"):
            self.warn_of(node, "skip", "'skip' has no effect: only steps can be left out", "")
        if node.get("store") is not None:
            self.read_store(name, node)
        elif node.get("text") is not None or node.get("path") is not None:
            self.read_file_or_directory(name, node)
        else:
            hint = "a script also has exec: true" if node.get("use") is not None else ""
            self.report.problem(
                node.key_place, "a plugin has one of text, path, store, or exec with use", hint
            )

    def warn_of(self, node: Node, key: str, what: str, hint: str) -> None:
        child = node.get(key)
        if child is not None:
            self.report.warning(child.key_place, what, hint)

    def check_keys(self, node: Node, kind: str) -> None:
        for key, child in node.items():
            if VARIABLE.match(key):
                if kind in {"directory", "store"}:
                    what = f"the variable {key} has no effect on {_KINDS_IN_WORDS[kind]}"
                    self.report.warning(child.key_place, what)
            elif key not in _KEYS[kind] and any(key in keys for keys in _KEYS.values()):
                hint = (
                    "what a script leaves behind is in the image" if (kind, key) == ("exec", "copy") else ""
                )
                self.report.problem(
                    child.key_place, f"'{key}' does not go with {_KINDS_IN_WORDS[kind]}", hint
                )

    def is_text_or_path(self, node: Node, *others: str) -> bool:
        """Whether exactly one of the keys gives the content; told where not."""
        given = [key for key in ("text", "path", *others) if node.get(key) is not None]
        if len(given) == 1:
            child = node.get(given[0])
            return child is not None and isinstance(child.value, str)
        if given:
            second = node.get(given[1])
            assert second is not None
            self.report.problem(second.key_place, f"both '{given[0]}' and '{given[1]}'", "keep one of them")
        else:
            self.report.problem(node.key_place, f"one of {', '.join(('text', 'path', *others))} is missing")
        return False

    # exec plugins

    def read_exec(self, name: str, node: Node) -> None:
        if _is_true(node, "skip"):
            self.warn_of(node, "skip", f"the step '{name}' is left out", "")
            return
        self.check_keys(node, "exec")
        mode = node.get("mode")
        if mode is not None and mode.text != "ro":
            self.report.warning(mode.key_place, "'mode' has no effect on a script")
        variables = plugin_variables(node, self.scope, self.report)
        info: PluginInfo | None = None
        script: Script | None = None
        use = node.get("use")
        if self.is_text_or_path(node, "use"):
            if use is not None:
                info = find_plugin(use.text, use.place, self.workspace, self.report)
                if info is not None:
                    variables = self.with_arguments(node, info, variables)
                    script = self.reusable_script(info, use)
            else:
                script = self.own_script(node, variables)
        if use is None:
            self.refuse_with(node)
        self.targets.append((f"{PLUGINS_DIR}/{name}", node.key_place, False))
        self.found.execs.append(
            Exec(
                name=name,
                place=node.key_place,
                script=script,
                variables=variables,
                timeout_s=self.timeout(node.get("timeout")),
                retries=_number(node.get("retries")),
                daemonize=_is_true(node, "daemonize"),
                info=info,
                copies=tuple(self.copies),
            )
        )
        self.copies = []

    def refuse_with(self, node: Node) -> None:
        child = node.get("with")
        if child is not None:
            self.report.problem(child.key_place, "'with' gives arguments to 'use', which is missing")

    def own_script(self, node: Node, variables: tuple[Variable, ...]) -> Script | None:
        source = self.source(node, is_read=True)
        return None if source is None else script_of(source, variables, self.report)

    def source(self, node: Node, *, is_read: bool) -> Source | None:
        """Return the content of `text` or `path`, exactly one of which is there."""
        text, path = node.get("text"), node.get("path")
        is_template = node.get("template") is not None
        if text is not None:
            return text_source(text, is_template=is_template)
        assert path is not None
        if not self.is_file(path):
            return None
        is_template = is_template or path.text.endswith(".j2")
        return file_source(
            path, self.workspace, self.report, is_template=is_template, is_read=is_read or is_template
        )

    def reusable_script(self, info: PluginInfo, use: Node) -> Script | None:
        """Read a reusable script; it is taken as it is, because its author cannot know our variables."""
        data = self.workspace.read(info.script, use.place)
        if data is None:
            return None
        source = Source(data, self.workspace.digests[info.script], Place(info.script))
        return script_of(source, (), self.report, is_as_it_is=True)

    def with_arguments(self, node: Node, info: PluginInfo, own: tuple[Variable, ...]) -> tuple[Variable, ...]:
        """Return the plugin's own variables and its arguments; `{NAME}` in arguments is an own one."""
        given = given_arguments(node.get("with"), info, node.key_place, self.report)
        found = {variable.name: variable for variable in own}
        secrets = {variable.name for variable in own if variable.secret}
        for name, (value, place) in given.items():
            if name in found:
                what = f"the argument is the variable {name} in the script, which is also set as a variable"
                self.report.problem(place, what, "keep one of them")
                continue
            whole = value[1:-1] if value.startswith("{") and value.endswith("}") else ""
            if whole in secrets:
                found[name] = Variable(name, "", place, secret=found[whole].secret)
                continue
            mixed = next((secret for secret in secrets if "{" + secret + "}" in value), "")
            if mixed:
                what = f"the secret {mixed} is only part of the argument"
                self.report.problem(place, what, f"the argument must be '{{{mixed}}}' alone")
                continue
            found[name] = Variable(name, substitute(value.encode(), own).decode(), place)
        return tuple(found[name] for name in sorted(found))

    def timeout(self, node: Node | None) -> float | None:
        if node is None or not isinstance(node.value, str | int) or isinstance(node.value, bool):
            return None
        try:
            return duration_s(node.text)
        except ValueError as error:
            self.report.problem(node.place, str(error))
            return None

    def is_file(self, path: Node) -> bool:
        kind = usable_path(path, self.workspace, self.report)
        if not kind:
            tell_missing(path, self.workspace, self.report)
        elif kind not in {"file", "bad"}:
            self.report.problem(path.place, f"{path.text} is no file")
        return kind == "file"

    # files, folders, stores

    def read_file_or_directory(self, name: str, node: Node) -> None:
        path = node.get("path")
        is_directory = False
        if path is not None and node.get("text") is None and isinstance(path.value, str):
            kind = usable_path(path, self.workspace, self.report)
            mode = node.get("mode")
            may_be_made = mode is not None and mode.text == "rw" and self.workspace.is_inside(path.text)
            is_directory = kind == "directory" or (not kind and may_be_made and node.get("copy") is None)
            if kind == "bad":
                return
            if not kind and not is_directory:
                tell_missing(path, self.workspace, self.report)
                return
            if kind == "other":
                self.report.problem(path.place, f"{path.text} is neither a file nor a folder")
                return
        if is_directory:
            self.read_directory(name, node)
        else:
            self.read_file(name, node)

    def target(self, node: Node, name: str, *keys: str) -> tuple[str, Place]:
        """Return where something stands in a container, empty when that is not possible."""
        child = next((c for c in (node.get(key) for key in keys) if c is not None), None)
        if child is None:
            return f"{PLUGINS_DIR}/{name}", node.key_place
        try:
            return names.target_path(child.text), child.place
        except ValueError as error:
            self.report.problem(child.place, str(error))
            return "", child.place

    def read_directory(self, name: str, node: Node) -> None:
        self.check_keys(node, "directory")
        path = node.get("path")
        assert path is not None
        target, _ = self.target(node, name, "bind")
        writable = self.writable(node)
        source = self.workspace.shown(path.text)
        digest = "" if writable else self.workspace.directory_digest(path.text, path.place)
        if target:
            self.targets.append((target, node.key_place, True))
            self.found.mounts.append(Mount(target, "directory", source, writable, node.key_place, digest))

    def read_store(self, name: str, node: Node) -> None:
        self.check_keys(node, "store")
        store = node.get("store")
        assert store is not None
        if not isinstance(store.value, str):
            return
        try:
            names.check_volume(store.text)
        except ValueError as error:
            self.report.problem(store.place, str(error))
        if node.get("bind") is None:
            self.report.problem(node.key_place, "a store needs 'bind': where it stands in the container")
            return
        target, _ = self.target(node, name, "bind")
        if target:
            self.targets.append((target, node.key_place, True))
            mount = Mount(target, "store", store.text, self.writable(node), node.key_place)
            self.found.mounts.append(mount)

    def writable(self, node: Node) -> bool:
        mode = node.get("mode")
        if mode is None or mode.text in {"ro", "rw"}:
            return mode is not None and mode.text == "rw"
        self.report.problem(mode.place, f"'{mode.text}' is not possible here", "ro or rw")
        return False

    def read_file(self, name: str, node: Node) -> None:
        self.check_keys(node, "file")
        variables = plugin_variables(node, self.scope, self.report)
        bind, copy = node.get("bind"), node.get("copy")
        if bind is not None and copy is not None:
            self.report.problem(
                copy.key_place, "both 'bind' and 'copy'", "keep one: bind is never in an image, copy is"
            )
        if not self.is_text_or_path(node):
            return
        if copy is not None:
            self.refuse_secrets(variables, node)
        mode = self.file_mode(node.get("mode"))
        source = self.source(node, is_read=bool(variables))
        if source is None:
            return
        data = filled(source, variables, self.report)
        target, place = self.target(node, name, "copy", "bind")
        if not target:
            return
        self.targets.append((target, node.key_place, False))
        file = File(
            target=target,
            plugin=name,
            digest=source.digest,
            place=source.place,
            mode=mode if mode is not None else source.mode if source.mode is not None else 0o644,
            content=data,
            host_path=source.host_path if data is None else "",
            variables=variables,
        )
        if copy is None:
            self.found.files.append(file)
        else:
            if target in _DOCKERS_OWN:
                what = f"{target} is Docker's own file in each container: a copy there is in no image"
                self.report.warning(place, what)
            self.copies.append(file)

    def refuse_secrets(self, variables: tuple[Variable, ...], node: Node) -> None:
        for variable in variables:
            if variable.secret:
                child = node.get(variable.name)
                assert child is not None
                what = f"the secret {variable.secret} would stay in the image"
                self.report.problem(child.key_place, what, "use bind in place of copy")

    def file_mode(self, node: Node | None) -> int | None:
        if node is None or node.text == "ro":
            return None
        if node.text == "rw":
            self.report.warning(node.key_place, "'mode: rw' has no effect on a file: it is a copy of its own")
            return None
        if 3 <= len(node.text) <= 4 and all(digit in "01234567" for digit in node.text):
            return int(node.text, 8)
        self.report.problem(node.place, f"'{node.text}' is no mode", 'permission bits in octal, like "0644"')
        return None

    # what concerns several plugins

    def check_names(self) -> None:
        for position, one in enumerate(self.found.execs):
            try:
                names.check_step_name(one.name, is_last=position == len(self.found.execs) - 1)
            except ValueError as error:
                self.report.problem(one.place, str(error))

    def check_targets(self) -> None:
        """Tell where two plugins want the same path, or a file would be written into a mount."""
        taken: dict[str, Place] = {}
        for target, place, _ in self.targets:
            if target in taken:
                hint = f"the other one stands at {taken[target]}"
                self.report.problem(place, f"two plugins want {target} in the container", hint)
            taken.setdefault(target, place)
        mounts = [target + "/" for target, _, is_mount in self.targets if is_mount]
        for target, place, is_mount in self.targets:
            around = next((mount for mount in mounts if target.startswith(mount)), None)
            if around is not None and not is_mount:
                what = f"{target} would be written into what is mounted at {around.rstrip('/')}"
                self.report.problem(place, what, "let one of the two stand elsewhere")


def _is_true(node: Node, key: str) -> bool:
    child = node.get(key)
    return child is not None and child.value is True


def _number(node: Node | None) -> int:
    return node.value if node is not None and isinstance(node.value, int) else 0
