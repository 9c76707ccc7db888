"""The artifacts of a stalk, and the files that one writes in place of the image's own."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from stalker.config.artifacts.boot_tests import read_boot_test
from stalker.config.artifacts.disks import read_disk, tell_artifacts_in_disks
from stalker.config.plugins.content import substitute
from stalker.config.schema.artifacts import ARTIFACT, KINDS, WAIVED_GATES
from stalker.config.schema.types import bind, check_kind
from stalker.config.syntax.document import items_of
from stalker.config.tree import names
from stalker.config.tree.variables import plugin_variables
from stalker.model.artifacts import BILLS, Artifact, Disk, Files, Gates, Repo, Rootfs, Write, bill_files
from stalker.model.variables import Variable

if TYPE_CHECKING:
    from stalker.config.artifacts.values import ArtifactReader
    from stalker.config.syntax.document import Node
    from stalker.model.diagnostics import Place
    from stalker.model.tree import Stalk


BASE_NAME = "BASE"
EPOCH = "SOURCE_DATE_EPOCH"
EPOCH_MAX = 2**33
"""Later times (after the year 2242) do not fit the headers of all tars."""

TAR_ENDINGS = (".tar", ".tar.zst", ".tar.xz", ".tar.gz")


def read_artifacts(node: Node | None, stalk: Stalk, reader: ArtifactReader) -> tuple[Artifact, ...]:
    """Read the `artifacts` of a node; what is wrong is reported, the rest is returned."""
    found: list[Artifact] = []
    if node is None or not isinstance(node.value, dict):
        return ()
    for name, child in node.items():
        if not isinstance(child.value, dict):
            continue
        if reader.report.attempt(child.key_place, names.artifact_name, name) is not None:
            artifact = _read(name, child, stalk.name, reader)
            if artifact is not None:
                found.append(artifact)
    _tell_clashes(found, reader)
    tell_artifacts_in_disks(found, reader.report)
    return tuple(found)


def _read(name: str, node: Node, stalk: str, reader: ArtifactReader) -> Artifact | None:
    kinds = [key for key in KINDS if node.get(key) is not None]
    if len(kinds) != 1:
        what = f"an artifact is one of {', '.join(KINDS)}" + (f", not {' and '.join(kinds)}" if kinds else "")
        hint = "make two artifacts of it" if kinds else "like rootfs: root.tar.zst"
        reader.report.problem(node.key_place, what, hint)
        return None
    kind_name = kinds[0]
    check_kind(node, ARTIFACT.keys, kind_name, reader.report)
    variables = plugin_variables(node, reader.scope, reader.report)
    writes = read_writes(node.get("write"), variables, reader)
    kind = _kind(kind_name, node, writes, reader)
    test = node.get("boot_test")
    boot_test = None
    if test is not None and isinstance(test.value, dict) and kind_name in {"rootfs", "disk"}:
        disk = kind if isinstance(kind, Disk) else None
        boot_test = read_boot_test(test, disk, reader, is_rootfs=kind_name == "rootfs")
    gates = _gates(node.get("gates"), reader) if kind_name in {"rootfs", "disk"} else None
    epoch_s = _epoch(variables, reader)
    if kind is None:
        return None
    return Artifact(
        name=name,
        stalk=stalk,
        place=node.key_place,
        kind=kind,
        exclude=reader.excluded(node.get("exclude")),
        writes=writes,
        gates=gates,
        boot_test=boot_test,
        epoch_s=epoch_s,
        sbom=_sbom(node.get("sbom")) if kind_name in {"rootfs", "disk"} else (),
    )


# kinds


def _kind(
    kind: str, node: Node, writes: tuple[Write, ...], reader: ArtifactReader
) -> Rootfs | Files | Repo | Disk | None:
    given = node.get(kind)
    assert given is not None
    match kind:
        case "rootfs":
            file, boot = _file(given, TAR_ENDINGS, reader), _file(node.get("boot"), TAR_ENDINGS, reader)
            if file and file.lower() == boot.lower():
                child = node.get("boot")
                assert child is not None
                reader.report.problem(child.place, f"'{boot}' is the name of the root file system's tar, too")
            return Rootfs(file, boot) if file else None
        case "files":
            return _files(node, _file(given, TAR_ENDINGS, reader), reader)
        case "repo":
            return _repo(node, given, reader)
        case _:
            return read_disk(node, _file(given, (".img",), reader, _filled(given, reader)), writes, reader)


def _filled(node: Node, reader: ArtifactReader) -> str:
    """Return the name of a disk with `{NAME}` replaced by variables, and `{BASE}` by the name of the base's image."""
    settings = {name: one for name, one in reader.scope.settings.items() if f"{{{name}}}" in node.text}
    reader.scope.asked.update(settings)
    variables = [Variable(name, _in_name(one.value), one.place) for name, one in settings.items()]
    if reader.disk_base is not None:
        variables.append(Variable(BASE_NAME, image_stem(reader.disk_base.source), node.place))
    return substitute(node.text.encode(), variables).decode()


def _in_name(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9._+-]", "-", text)


def image_stem(source: str) -> str:
    """Return the name of an image's file or URL without what says how it is packed: `raspios` of `raspios.img.xz`."""
    name = re.split(r"[?#]", source)[0].rstrip("/").rpartition("/")[2]
    stem = re.sub(
        r"(?:\.(?:img|raw|wic|bin|iso))?(?:\.(?:xz|gz|zst|bz2|zip))?\Z", "", name, flags=re.IGNORECASE
    )
    return _in_name(stem) or "image"


def _files(node: Node, file: str, reader: ArtifactReader) -> Files | None:
    paths = reader.patterns(node.get("paths"))
    if node.get("paths") is None:
        hint = "a whole image is rootfs: FILE"
        reader.report.problem(node.key_place, "'files' needs 'paths': what of the image it holds", hint)
    for child in items_of(node.get("paths")):
        beginning = child.text.partition("*")[0].rpartition("/")[0]
        mount = reader.is_mounted(beginning)
        if mount and child.text.startswith("/"):
            reader.report.problem(child.place, *_not_in_image(beginning, mount))
    return Files(file, paths) if file and paths else None


def _repo(node: Node, given: Node, reader: ArtifactReader) -> Repo | None:
    folder = reader.told(given, names.published_name)
    source = node.get("from")
    path = reader.path(source)
    if source is None:
        reader.report.problem(node.key_place, "'repo' needs 'from': the folder as the steps see it")
    elif path == "/":
        reader.report.problem(
            source.place, "the whole root is not a repository", "a whole image is rootfs: FILE"
        )
        return None
    return Repo(folder, path) if folder and path else None


def _not_in_image(path: str, mount: str) -> tuple[str, str]:
    return (
        f"{path} is in no image: the steps have {mount} mounted",
        "publish it as repo: NAME, with from: the folder",
    )


def _file(node: Node | None, endings: tuple[str, ...], reader: ArtifactReader, text: str = "") -> str:
    """Return the name of a published file, empty where it is invalid, which is reported; `text` is what it became."""
    if node is None or not isinstance(node.value, str):
        return ""
    name = reader.told(node, lambda written: names.published_name(text or written))
    if name is None or (name.endswith(endings) and name not in endings):
        return name or ""
    stem = re.sub(r"\.(?:tar|tgz|txz|img|zip|raw|iso|bin|gz|xz|zst|bz2|zstd)(?:\..*)?\Z", "", name)
    is_disk = endings == (".img",)
    what = f"'{name}' does not end in {' or '.join((', '.join(endings[:-1]), endings[-1])) if not is_disk else '.img'}"
    hint = f"write {stem}{endings[0]}" + (", and the compressed ones in formats" if is_disk else "")
    reader.report.problem(node.place, what, hint)
    return ""


# gates, bills of materials


def _sbom(node: Node | None) -> tuple[str, ...]:
    """Return the forms; the schema reports one that is not known."""
    return tuple(dict.fromkeys(one.text for one in items_of(node) if one.value in BILLS))


def _gates(node: Node | None, reader: ArtifactReader) -> Gates:
    waive = node.get("waive") if node is not None else None
    waived = bind(waive, WAIVED_GATES, reader.report) or {}
    return Gates(tuple(waived.items()), reader.paths(node.get("setuid")) if node is not None else ())


# the whole


def _epoch(variables: tuple[Variable, ...], reader: ArtifactReader) -> int | None:
    reader.scope.asked.add(EPOCH)
    own = next((one for one in variables if one.name == EPOCH), None)
    setting = reader.scope.settings.get(EPOCH)
    if own is not None:
        value, place = own.value, own.place
    elif setting is not None and setting.value:
        value, place = setting
    else:
        return None
    if not value.isascii() or not value.isdigit() or int(value) > EPOCH_MAX:
        what = f"{EPOCH} is '{value}', which is not a Unix timestamp in seconds"
        reader.report.problem(place, what, "a whole number, like 1700000000")
        return None
    return int(value)


def _tell_clashes(artifacts: list[Artifact], reader: ArtifactReader) -> None:
    """Tell artifacts whose names, or whose files' names, are one on the host."""
    taken: dict[str, Place] = {}
    for artifact in artifacts:
        other = taken.setdefault(artifact.name.lower(), artifact.place)
        if other != artifact.place:
            what = f"'{artifact.name}' differs from another artifact in capital letters only"
            reader.report.problem(
                artifact.place, what, f"that one stands at {other}; not all disks tell them apart"
            )
    files: dict[str, Artifact] = {}
    for artifact in artifacts:
        for file in published_files(artifact):
            first = files.setdefault(file.lower(), artifact)
            if first is not artifact:
                what = f"'{file}' is published by '{first.name}', too"
                reader.report.problem(artifact.place, what, f"at {first.place}; give one another name")


def published_files(artifact: Artifact) -> tuple[str, ...]:
    """Return the names of what an artifact publishes, without checksums and manifest."""
    return (*_files_of_kind(artifact), *bill_files(artifact).values())


def _files_of_kind(artifact: Artifact) -> tuple[str, ...]:
    match artifact.kind:
        case Rootfs():
            return tuple(name for name in (artifact.kind.file, artifact.kind.boot_file) if name)
        case Files():
            return (artifact.kind.file,)
        case Repo():
            return (artifact.kind.folder,)
        case Disk():
            stem = artifact.kind.file.removesuffix(".img")
            return tuple(f"{stem}.{ending}" for ending in artifact.kind.formats)


_MODE = re.compile(r"0?[0-7]{3,4}\Z")
_BRACED = re.compile(r"(?<!\$)\{([A-Z_][A-Z0-9_]*)\}")


def read_writes(
    node: Node | None, variables: tuple[Variable, ...], reader: ArtifactReader
) -> tuple[Write, ...]:
    """Read the `write` of an artifact; `variables` are the artifact's own, under those of each file."""
    found: dict[str, Write] = {}
    for key, child in node.items() if node is not None else ():
        path = reader.report.attempt(child.key_place, _write_path, key) or ""
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


def _write_path(key: str) -> str:
    path = names.image_path(key)
    if path == "/" or key.endswith("/"):
        raise ValueError(f"'{key}' is a folder; files are written")
    first = path.split("/")[1]
    if first in {"dev", "proc", "sys"}:
        raise ValueError(f"/{first} is the kernel's and empty in every image")
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
                reader.report.problem(wanted.place, f"'{wanted.text}' is not a mode", hint)
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
            what = f"{{{name}}} stays as it is: {name} is not a variable of this artifact"
            reader.report.warning(text.place, what, f"{name}: '' beside 'write' puts its value in")
