"""A tree file and all that hangs on it: files in, one frozen Tree out, or all problems at once.

What a tree waives: hazards of foreign platforms that do not block here, each with a reason.
"""
# ruff: noqa: PTH112, PTH118, PTH119, PTH120

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from stalker.config.locate import find_tree
from stalker.config.schema import tree as shapes
from stalker.config.schema.types import VARIABLE, bind, check
from stalker.config.syntax.report import Report, did_you_mean
from stalker.config.tree import names
from stalker.config.tree.links import link_stalks
from stalker.config.tree.merge import merge_files
from stalker.config.tree.nodes import NO_VARIABLES, Trunk
from stalker.config.tree.secrets import declared_secrets
from stalker.config.tree.variables import Setting, settings_of
from stalker.config.workspace import Workspace
from stalker.errors import ArgumentsError, FilesError
from stalker.model.diagnostics import Place, Problem
from stalker.model.tree import Tree

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from stalker.config.syntax.document import Node
    from stalker.model.tree import Stalk


SET = "--set"
"""The file that a variable of the command line is said to come from."""


@dataclass(slots=True)
class Reading:
    """What came of reading a tree: `tree` is None when it could not be read at all.

    `typed` is the tree as it was asked for, `file` its file as messages show it. `root`
    is the tree's document with all files merged onto it.
    """

    tree: Tree | None
    report: Report
    workspace: Workspace
    typed: str = ""
    file: str = ""
    root: Node | None = None


def read_tree(path: str, workspace: str, overrides: Mapping[str, str] | None = None) -> Tree:
    """Read a tree with its stalks, plugins and files.

    `path` is a file, relative to the current directory or to the workspace, or a tree's name;
    `overrides` are the variables of `--set`. Nothing is asked of any engine, and no secret is read.

    Raises:
        FilesError: all problems of all files, by file, then line.
    """
    return checked(load_tree(path, workspace, overrides or {}))


def read_names(path: str, workspace: str, overrides: Mapping[str, str] | None = None) -> Tree:
    """Read a tree for the names of its stalks and images only; what is wrong in stalk files does not matter.

    Steps, stores and starts that such files would give can be missing in it.

    Raises:
        FilesError: the tree's own file does not tell the names.
    """
    reading = load_tree(path, workspace, overrides or {})
    if reading.tree is None:
        return checked(reading)
    repositories = [stalk.repository for stalk in reading.tree.stalks]
    is_unsure = "" in repositories or len(set(repositories)) < len(repositories)
    of_names = [
        problem
        for problem in reading.report.errors()
        if problem.place.file == SET
        or (problem.place.file == reading.file and problem.place.path.split(".")[0] != "stalks")
    ]
    return checked(reading) if is_unsure or of_names else reading.tree


def checked(reading: Reading) -> Tree:
    """Return the tree of a reading, with its warnings.

    Raises:
        FilesError: it has problems. ArgumentsError: variables of `--set` are wrong, or in vain.
    """
    problems = reading.report.errors()
    typed = [replace(p, what=f"--set {p.place.path}: {p.what}") for p in problems if p.place.file == SET]
    if typed:
        raise ArgumentsError(typed)
    if problems or reading.tree is None:
        if reading.typed.startswith("/"):
            file = reading.workspace.absolute(reading.file)
            problems = [
                replace(p, place=replace(p.place, file=file)) if p.place.file == reading.file else p
                for p in problems
            ]
        raise FilesError(problems, _other_workspace(reading))
    return replace(reading.tree, warnings=reading.report.warnings())


def _other_workspace(reading: Reading) -> str:
    """Return which workspace a tree was made for when it is plainly another one than ours."""
    folder = os.path.dirname(reading.workspace.absolute(reading.file))
    while os.path.basename(folder) != "trees":
        if folder == os.path.dirname(folder):
            return ""
        folder = os.path.dirname(folder)
    around = os.path.dirname(folder)
    if around == reading.workspace.path or not os.path.isdir(os.path.join(around, "stalks")):
        return ""
    return (
        f"its stalks were looked for in {reading.workspace.path}; is it of another one? --workspace {around}"
    )


def load_tree(
    path: str, workspace: str, overrides: Mapping[str, str], with_files: Sequence[str] = ()
) -> Reading:
    """Read a tree, `with_files` merged onto it; problems are in the report, and the tree is as good as they allow.

    Raises:
        ArgumentsError: there is no such tree, or no such file to merge.
    """
    report = Report()
    files = Workspace(workspace, report)
    name = find_tree(path, workspace)
    if not name:
        raise ArgumentsError([_no_tree(path, files)], f"there is no tree '{path}'")
    reading = Reading(None, report, files, path, files.shown(name))
    document = files.document(name)
    merge = merge_files(document.root if document is not None else None, with_files, files, report)
    if document is None or document.root is None:
        return reading
    root = reading.root = document.root
    if not check(root, shapes.TREE, shapes.NAMED, report):
        return reading
    prefix, label = _architecture(root, overrides, report)
    trunk = Trunk(
        workspace=files,
        report=report,
        prefix=prefix,
        settings=_tree_settings(root),
        overrides=_overrides(overrides, root, report),
        secrets=declared_secrets(root.get("secrets"), files, report),
    )
    trunk.platform = trunk.read_platform(root.get("platform"))
    _tell_clashes(root, trunk, report)
    stalks = root.get("stalks")
    if stalks is not None and stalks.value == {}:
        report.problem(stalks.place, "there is no stalk")
    for key, child in stalks.items() if stalks is not None else ():
        if isinstance(child.value, dict):
            trunk.grow(key, child, "", {}, trunk.platform)
    log_dir = _folder("LOG_DIR", "logs", trunk)
    artifacts_dir = _folder("ARTIFACTS_DIR", "artifacts", trunk)
    _tell_read_folder(artifacts_dir, trunk)
    hazards = root.get("hazards")
    waive = hazards.get("waive") if hazards is not None else None
    tree = Tree(
        name=os.path.basename(name).removesuffix(".hjson"),
        file=document.file,
        workspace=files.path,
        log_dir=log_dir,
        architecture=prefix,
        arch_label=label,
        stalks=link_stalks(trunk),
        secrets=tuple(trunk.secrets[secret] for secret in sorted(trunk.secrets)),
        artifacts_dir=artifacts_dir,
        hazards_waived=tuple(bind(waive, shapes.WAIVED_HAZARDS, report).items()) if waive is not None else (),
    )
    _warn_of_unlocked(tree.stalks, report)
    _tell_unused(trunk, _settings_of_added(merge.added), report)
    reading.tree = replace(tree, files_read=tuple(sorted(files.digests.items())))
    return reading


def _no_tree(path: str, files: Workspace) -> Problem:
    known = [tree for tree, _ in tree_files(files)]
    hint = f"no trees are in {files.absolute('trees')}; `--workspace DIR` says where they are"
    if known:
        hint = did_you_mean(path.rstrip("/").split("/")[-1].removesuffix(".hjson"), known, "trees")
    return Problem(Place(path), "there is no such tree", hint)


def tree_files(workspace: Workspace) -> list[tuple[str, str]]:
    """Return names and files of the trees of a workspace."""
    found: list[tuple[str, str]] = []
    for name in workspace.listing("trees"):
        if name.endswith(".lock.hjson"):
            continue
        if name.endswith(".hjson"):
            found.append((name.removesuffix(".hjson"), f"trees/{name}"))
        elif workspace.kind(f"trees/{name}/{name}.hjson") == "file":
            found.append((name, f"trees/{name}/{name}.hjson"))
    return found


def _tree_settings(root: Node) -> dict[str, Setting]:
    settings: dict[str, Setting] = {}
    for key in ("architecture", "paths", "globals"):
        settings.update(settings_of(root.get(key)))
    return settings


def _architecture(root: Node, overrides: Mapping[str, str], report: Report) -> tuple[str, str]:
    """Return `<os>/<arch>/<subarch>` in lower case, and `<ARCH>-<SUBARCH>` as logs are named."""
    node = root.get("architecture")
    parts: list[str] = []
    for key in ("OS", "ARCH", "SUBARCH"):
        child = node.get(key) if node is not None else None
        value = overrides.get(key) or (child.text if child is not None else "")
        if not value:
            if node is not None:
                report.problem(node.place, f"{key} is missing", "OS, ARCH and SUBARCH name the images")
            parts.append("unknown")
            continue
        try:
            names.repository_part(value)
        except ValueError as error:
            at = Place(SET, path=key) if key in overrides or child is None else child.place
            report.problem(at, str(error))
            value = "unknown"
        parts.append(value)
    return "/".join(parts).lower(), f"{parts[1]}-{parts[2]}"


def _overrides(overrides: Mapping[str, str], root: Node, report: Report) -> dict[str, Setting]:
    secrets = root.get("secrets")
    found: dict[str, Setting] = {}
    for name, value in overrides.items():
        place = Place(SET, path=name)
        if not VARIABLE.match(name):
            hint = (
                f"did you mean '{name.upper()}'?"
                if VARIABLE.match(name.upper())
                else "names are in UPPER CASE"
            )
            report.problem(place, f"'{name}' cannot be a variable's name", hint)
        elif name in NO_VARIABLES:
            report.problem(place, f"{name} cannot be set for all stalks", "write it in the files")
        elif secrets is not None and secrets.get(name) is not None:
            report.problem(place, f"{name} is a secret; an argument is seen by all users of the host")
        elif "\0" in value:
            report.problem(place, "a variable cannot hold the character NUL")
        else:
            found[name] = Setting(value, place)
    return found


def _tell_clashes(root: Node, trunk: Trunk, report: Report) -> None:
    for name in trunk.secrets:
        setting = trunk.settings.get(name)
        if setting is not None:
            hint = f"the secret stands at {trunk.secrets[name].place}; keep one"
            report.problem(setting.place, f"{name} is a secret too", hint)
    for key in ("architecture", "paths", "globals"):
        node = root.get(key)
        for name in NO_VARIABLES:
            child = node.get(name) if node is not None else None
            if child is not None:
                where = "the stalk file" if name == "DOCKER_OPTS" else "the node or stalk file that it is for"
                report.problem(
                    child.key_place, f"{name} cannot be set for all stalks", f"write it in {where}"
                )


def _folder(name: str, usual: str, trunk: Trunk) -> str:
    """Return a directory that a variable of `paths` names, relative to the workspace or absolute."""
    setting = trunk.overrides.get(name) or trunk.settings.get(name)
    if setting is None or not setting.value:
        return usual
    if not setting.value.startswith("/") and not trunk.workspace.is_inside(setting.value):
        what = f"'{setting.value}' leaves the workspace"
        trunk.report.problem(setting.place, what, "write an absolute path")
    return setting.value


def _tell_read_folder(artifacts_dir: str, trunk: Trunk) -> None:
    """Tell a directory for artifacts in which a run reads: what it publishes would change the next run."""
    setting = trunk.overrides.get("ARTIFACTS_DIR") or trunk.settings.get("ARTIFACTS_DIR")
    if setting is None:
        return
    workspace = trunk.workspace
    wanted = workspace.absolute(artifacts_dir)
    sysroot = trunk.settings.get("SYSROOT_DIR", Setting("", setting.place)).value or "sysroot"
    read = [*("trees", "stalks", "plugins"), sysroot]
    folder = next((one for one in read if f"{wanted}/".startswith(workspace.absolute(one) + "/")), "")
    if wanted == workspace.path or folder:
        what = f"artifacts cannot stand in {folder or 'the workspace itself'}, where a run reads its files"
        trunk.report.problem(setting.place, what, "name a folder of their own, like artifacts")


def _warn_of_unlocked(stalks: Iterable[Stalk], report: Report) -> None:
    """Warn where a stalk writes to a store without the lock that another one takes."""
    mounts = [mount for stalk in stalks for mount in (stalk.steps[0].mounts if stalk.steps else ())]
    locked = {mount.source: mount.place for mount in mounts if mount.is_locked}
    for mount in mounts:
        if mount.kind == "store" and mount.writable and not mount.is_locked and mount.source in locked:
            what = f"the store {mount.source} is rw here and locked at {locked[mount.source]}"
            report.warning(mount.place, what, "rw does not wait for the lock; use mode: locked in both")


def _settings_of_added(added: Mapping[str, Node]) -> dict[str, Setting]:
    """Return the variables that merged files add, without those that are read for themselves."""
    return {
        name: Setting(node.text, node.key_place) for name, node in added.items() if name not in NO_VARIABLES
    }


def _tell_unused(trunk: Trunk, added: Mapping[str, Setting], report: Report) -> None:
    """Report variables of `--set` and of merged files that change nothing, unless other problems hide a use."""
    if report.has_errors:
        return
    used = trunk.asked | {"OS", "ARCH", "SUBARCH", "SYSROOT_DIR", "LOG_DIR", "ARTIFACTS_DIR"}
    for name, setting in {**added, **trunk.overrides}.items():
        if name not in used:
            near = did_you_mean(name, used)
            hint = near if near.startswith("did") else "a plugin inherits a variable by NAME: ''"
            report.problem(setting.place, "no plugin of this tree inherits it", hint)
