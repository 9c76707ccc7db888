"""Bases: where a root stalk's first image comes from, each with what it is verified by."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from stalker.config import names, shapes
from stalker.config.contents import tell_missing, usable_path
from stalker.config.document import items_of, text_of
from stalker.model.tree import (
    Base,
    BootstrapBase,
    DockerfileBase,
    ImageBase,
    TagBase,
    TarballBase,
)

if TYPE_CHECKING:
    from stalker.config.document import Node
    from stalker.config.report import Report
    from stalker.config.scope import Scope
    from stalker.config.workspace import Workspace

_KINDS: dict[str, frozenset[str]] = {
    "image": frozenset({"digest"}),
    "tarball": frozenset({"sha256", "signature", "key", "keys", "fingerprints"}),
    "stage3": frozenset({"sha256", "signature", "key", "keys", "fingerprints"}),
    "bootstrap": frozenset(),
    "dockerfile": frozenset({"commit", "file", "args"}),
    "tag": frozenset(),
}
_SHA256 = re.compile(r"[0-9a-fA-F]{64}\Z")
_FINGERPRINT = re.compile(r"[0-9A-F]{40}\Z")
_COMMIT = re.compile(r"(?:[0-9a-f]{40}|[0-9a-f]{64})\Z")
_URL = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]*)://[^/\s]+")
_GIT = re.compile(r"(?:https?|git|ssh)://|[A-Za-z0-9_.-]+@[A-Za-z0-9_.-]+:")
_SUITE = re.compile(r"[a-z0-9][a-z0-9.+/-]*\Z")
_PACKAGE = re.compile(r"[a-z0-9][a-z0-9.+:-]*(?:=\S+)?\Z")
STAGE3_VARIABLES = ("DIST", "ARCH", "SUBARCH", "STAGE3_ARCHIVE")


def read_bases(node: Node, scope: Scope, workspace: Workspace, report: Report) -> tuple[Base, ...]:
    """Read a node's `base`: one or a list, tried in order; what is wrong is told and left out."""
    reader = _Reader(scope, workspace, report)
    children = items_of(node)
    if not children:
        report.problem(node.place, "the list of bases is empty", "leave it out, or name one")
    found = [reader.read(child) for child in children]
    return tuple(base for base in found if base is not None)


class _Reader:
    def __init__(self, scope: Scope, workspace: Workspace, report: Report) -> None:
        self.scope, self.workspace, self.report = scope, workspace, report

    def read(self, node: Node) -> Base | None:
        if isinstance(node.value, str):
            return self.image(node, None)
        if not isinstance(node.value, dict):
            return None
        kinds = [key for key in node.value if key in _KINDS]
        if not kinds and not node.value.keys() <= shapes.BASE.keys.keys():
            return None  # an unknown key, which was told
        if len(kinds) != 1:
            what = f"a base is one of {', '.join(_KINDS)}" + (f", not {' and '.join(kinds)}" if kinds else "")
            self.report.problem(node.place, what, "several bases are a list, tried in order" if kinds else "")
            return None
        kind = kinds[0]
        for key, child in node.items():
            if key != kind and key not in _KINDS[kind] and any(key in keys for keys in _KINDS.values()):
                self.report.problem(child.key_place, f"'{key}' does not go with {kind}")
        child = node.value[kind]
        match kind:
            case "image":
                return self.image(child, node.get("digest"))
            case "tarball":
                return self.tarball(child, node)
            case "stage3":
                return self.stage3(child, node)
            case "bootstrap":
                return self.bootstrap(child)
            case "dockerfile":
                return self.dockerfile(child, node)
            case _:
                return self.tag(child)

    def image(self, node: Node, digest: Node | None) -> Base | None:
        if not isinstance(node.value, str):
            return None
        try:
            parts = names.image_name(node.text)
            wanted = digest.text if digest is not None else parts.digest
            if wanted:
                names.image_name(f"x@{wanted}")
        except ValueError as error:
            self.report.problem(node.place, str(error))
            return None
        if parts.digest and digest is not None and parts.digest != digest.text:
            self.report.problem(digest.place, "another digest than the one in the image's name", "keep one")
        name = parts.repository + (f":{parts.tag}" if parts.tag else "")
        return ImageBase(name, node.place, wanted)

    def tag(self, node: Node) -> Base | None:
        if not isinstance(node.value, str):
            return None
        try:
            names.image_name(node.text)
        except ValueError as error:
            self.report.problem(node.place, str(error))
            return None
        return TagBase(node.text, node.place)

    def tarball(self, node: Node, around: Node) -> Base | None:
        if not isinstance(node.value, str) or not self.is_source(node):
            return None
        return self.verified(node.text, node, around, "")

    def stage3(self, node: Node, around: Node) -> Base | None:
        if isinstance(node.value, bool) and not node.value:
            self.report.problem(node.place, "'stage3: false' is no base", "leave it out")
            return None
        values = {name: self.scope.value(name) for name in STAGE3_VARIABLES}
        unset = [name for name, value in values.items() if not value]
        if unset:
            what = f"a stage3 comes from {', '.join(STAGE3_VARIABLES)}; nobody set {', '.join(unset)}"
            self.report.problem(node.place, what, "set them in the tree's architecture")
            return None
        url = "/".join((values["DIST"].rstrip("/"), *(values[name] for name in STAGE3_VARIABLES[1:])))
        found = _URL.match(url)
        if found is None or found[1] not in {"http", "https"}:
            what = f"DIST is '{values['DIST']}', which is no http or https address"
            place = self.scope.settings["DIST"].place if "DIST" in self.scope.settings else node.place
            self.report.problem(place, what, "a stage3 is fetched from DIST/ARCH/SUBARCH/STAGE3_ARCHIVE")
            return None
        return self.verified(url, node, node if isinstance(node.value, dict) else around, url + ".gpg")

    def verified(self, source: str, node: Node, around: Node, usual_signature: str) -> Base | None:
        """Make a tarball base of a source and the keys beside it, which say how it is verified."""
        checksum, signature = around.get("sha256"), around.get("signature")
        keys = self.key_files(around)
        fingerprints = self.fingerprints(around.get("fingerprints"))
        has_keys = around.get("key") is not None or around.get("keys") is not None
        has_fingerprints = around.get("fingerprints") is not None
        if checksum is not None and not _SHA256.match(checksum.text):
            self.report.problem(checksum.place, f"'{checksum.text}' is no SHA-256: 64 digits of 0-9a-f")
        if signature is not None and not self.is_source(signature):
            return None
        signed = signature.text if signature is not None else ""
        if usual_signature and not signed and checksum is None:
            signed = usual_signature
        if usual_signature and signed and not (has_keys and has_fingerprints):
            what = "nothing says whose signature of the stage3 to trust"
            self.report.problem(node.place, what, "add fingerprints: [...] and keys: [...], or sha256")
            return None
        if signed and not has_keys:
            self.report.problem(
                node.place, "a signature is verified with a key, which is missing", "add key: file"
            )
            return None
        if checksum is None and not signed:
            self.report.problem(
                node.place, "nothing verifies this tarball", "add sha256, or signature and key"
            )
            return None
        return TarballBase(
            source=source,
            place=node.place,
            sha256=checksum.text.lower() if checksum is not None else "",
            signature=signed,
            keys=keys,
            fingerprints=fingerprints,
        )

    def is_source(self, node: Node) -> bool:
        """Whether a path or URL is possible; told where not."""
        found = _URL.match(node.text)
        if found is not None:
            if found[1].lower() in {"http", "https"}:
                return True
            self.report.problem(node.place, f"{found[1]} addresses are not fetched", "http or https")
            return False
        return usable_path(node, self.workspace, self.report) != "bad"

    def key_files(self, around: Node) -> tuple[str, ...]:
        found: list[str] = []
        for child in [*_texts(around.get("key")), *_texts(around.get("keys"))]:
            kind = usable_path(child, self.workspace, self.report)
            if not kind:
                tell_missing(child, self.workspace, self.report)
            elif kind == "file" and self.workspace.read(child.text, child.place) is not None:
                found.append(child.text)
            elif kind != "bad":
                self.report.problem(child.place, f"{child.text} is no file")
        return tuple(found)

    def fingerprints(self, node: Node | None) -> tuple[str, ...]:
        found: list[str] = []
        for child in _texts(node):
            name = child.text.upper().replace(" ", "").removeprefix("0X")
            if _FINGERPRINT.match(name):
                found.append(name)
            elif re.fullmatch(r"[0-9A-F]{8}|[0-9A-F]{16}", name):
                what = f"'{child.text}' is a short key id, which anybody can forge"
                self.report.problem(child.place, what, "write the full fingerprint, 40 digits")
            else:
                self.report.problem(child.place, f"'{child.text}' is no fingerprint: 40 digits of 0-9A-F")
        return tuple(found)

    def bootstrap(self, node: Node) -> Base | None:
        suite = text_of(node.get("suite"))
        if not suite:
            return None
        self.hold(node, "suite", _SUITE, "suite")
        include = self.hold(node, "include", _PACKAGE, "package")
        components = self.hold(node, "components", _SUITE, "component")
        mirror = node.get("mirror")
        if mirror is not None and _URL.match(mirror.text) is None:
            self.report.problem(mirror.place, f"'{mirror.text}' is no address")
        return BootstrapBase(
            suite=suite,
            place=node.place,
            include=include,
            variant=text_of(node.get("variant")) or "minbase",
            mirror=text_of(node.get("mirror")),
            components=components or ("main",),
            architecture=text_of(node.get("architecture")),
        )

    def hold(self, node: Node, key: str, form: re.Pattern[str], what: str) -> tuple[str, ...]:
        children = _texts(node.get(key))
        for child in children:
            if not form.match(child.text):
                self.report.problem(child.place, f"'{child.text}' is no {what}'s name")
        return tuple(child.text for child in children)

    def dockerfile(self, node: Node, around: Node) -> Base | None:
        if not isinstance(node.value, str):
            return None
        commit, file, args = (
            around.get("commit"),
            text_of(around.get("file")) or "Dockerfile",
            around.get("args"),
        )
        arguments = tuple(sorted((key, child.text) for key, child in (args.items() if args else ())))
        if _GIT.match(node.text) or node.text.endswith(".git"):
            if commit is None or not _COMMIT.match(commit.text):
                at = commit.place if commit is not None else node.place
                self.report.problem(
                    at, "a git address needs the full commit", "commit: 40 digits; a branch moves"
                )
                return None
            return DockerfileBase(node.text, node.place, commit.text, file, arguments)
        if commit is not None:
            self.report.problem(commit.key_place, "'commit' goes with a git address, not with a folder")
        kind = usable_path(node, self.workspace, self.report)
        if not kind:
            tell_missing(node, self.workspace, self.report)
        elif kind in {"file", "other"}:
            self.report.problem(node.place, f"{node.text} is no folder", "name the folder of the Dockerfile")
        elif kind == "directory":
            if self.workspace.kind(f"{node.text}/{file}") != "file":
                self.report.problem(node.place, f"there is no {file} in {node.text}")
            digest = self.workspace.context_digest(node.text, file, node.place)
            return DockerfileBase(self.workspace.shown(node.text), node.place, "", file, arguments, digest)
        return None


def _texts(node: Node | None) -> list[Node]:
    return [child for child in items_of(node) if isinstance(child.value, str)]
