"""Bases: where a root stalk's first image comes from, each with what it is verified by."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from stalker.config.plugins.content import substitute, tell_missing, usable_path
from stalker.config.schema import tree
from stalker.config.schema.types import bind, check_kind, values
from stalker.config.syntax.document import is_true, items_of, text_of
from stalker.model.image_name import split_image_name
from stalker.model.tree import Base, BootstrapBase, DiskBase, DockerfileBase, ImageBase, TagBase, TarballBase
from stalker.model.variables import Variable

if TYPE_CHECKING:
    from collections.abc import Callable

    from stalker.config.syntax.document import Node
    from stalker.config.syntax.report import Report
    from stalker.config.tree.variables import Scope
    from stalker.config.workspace import Workspace

_COMMIT = re.compile(r"(?:[0-9a-f]{40}|[0-9a-f]{64})\Z")
_URL = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]*)://[^/\s]+")
_GIT = re.compile(r"(?:https?|git|ssh)://|[A-Za-z0-9_.-]+@[A-Za-z0-9_.-]+:")
STAGE3_VARIABLES = ("DIST", "ARCH", "SUBARCH", "STAGE3_ARCHIVE")


_NOT_IN_TAGS = re.compile(r"[^A-Za-z0-9_.-]")
_TAG_ENDS = re.compile(r"[-.]+")


def as_tag(text: str) -> str:
    """Return a branch as the tag of an image: what no tag can have becomes `-`."""
    return _NOT_IN_TAGS.sub("-", text).lstrip(".-")[:128]


def split_tag(name: str) -> tuple[str, str]:
    """Return the repository and the tag of an image's name, empty without one; a port is not a tag."""
    repository, _, tag = name.rpartition(":")
    return (repository, tag) if repository and "/" not in tag else (name, "")


def nearest_tags(tag: str) -> list[str]:
    """Return a tag and what remains of it at each `-` and `.`, the longest first."""
    ends = sorted({len(tag), *(match.start() for match in _TAG_ENDS.finditer(tag))}, reverse=True)
    return [tag[:end] for end in ends if end]


def read_bases(node: Node, scope: Scope, workspace: Workspace, report: Report) -> tuple[Base, ...]:
    """Read a node's `base`: one or a list, tried in order; what is wrong is reported and left out."""
    reader = _Reader(scope, workspace, report)
    children = items_of(node)
    if not children:
        report.problem(node.place, "the list of bases is empty", "leave it out, or name one")
    found = [base for child in children for base in reader.read(child)]
    return tuple(dict.fromkeys(found))


class _Reader:
    def __init__(self, scope: Scope, workspace: Workspace, report: Report) -> None:
        self.scope, self.workspace, self.report = scope, workspace, report

    def read(self, node: Node) -> tuple[Base, ...]:
        """Return the bases that an entry names: several for the nearest tag, none where it has a problem."""
        if isinstance(node.value, dict) and [key for key in node.value if key in tree.BASES] == ["tag"]:
            check_kind(node, tree.BASE.keys, "tag", self.report)
            return self.tags(node.value["tag"], node)
        base = self.single(node)
        return (base,) if base is not None else ()

    def single(self, node: Node) -> Base | None:
        if isinstance(node.value, str):
            return self.image(node, None)
        if not isinstance(node.value, dict):
            return None
        kinds = [key for key in node.value if key in tree.BASES]
        if not kinds and not node.value.keys() <= tree.BASE.keys.keys():
            return None  # an unknown key, which was reported
        if len(kinds) != 1:
            what = f"a base is one of {', '.join(tree.BASES)}" + (
                f", not {' and '.join(kinds)}" if kinds else ""
            )
            self.report.problem(node.place, what, "several bases are a list, tried in order" if kinds else "")
            return None
        kind = kinds[0]
        check_kind(node, tree.BASE.keys, kind, self.report)
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
            case "disk":
                return self.disk(child)
            case _:
                return self.dockerfile(child, node)

    def image(self, node: Node, digest: Node | None) -> Base | None:
        if not isinstance(node.value, str):
            return None
        try:
            parts = split_image_name(node.text)
            wanted = digest.text if digest is not None else parts.digest
            if wanted:
                split_image_name(f"x@{wanted}")
        except ValueError as error:
            self.report.problem(node.place, str(error))
            return None
        if parts.digest and digest is not None and parts.digest != digest.text:
            self.report.problem(digest.place, "another digest than the one in the image's name", "keep one")
        name = parts.repository + (f":{parts.tag}" if parts.tag else "")
        return ImageBase(name, node.place, wanted)

    def tags(self, node: Node, around: Node) -> tuple[Base, ...]:
        """Return the image of a name; with `nearest` those of its shorter tags too, then the fallback."""
        if not isinstance(node.value, str):
            return ()
        repository, tag = split_tag(node.text)
        tag = self.filled(tag, as_tag)
        wanted = nearest_tags(tag) if is_true(around.get("nearest")) else [tag]
        fallback = around.get("fallback")
        if fallback is not None and isinstance(fallback.value, str):
            wanted.append(self.filled(fallback.text, as_tag))
        repository = self.filled(repository, str)
        found = [f"{repository}:{one}" if one else repository for one in wanted]
        if any(self.report.attempt(node.place, split_image_name, name) is None for name in found):
            return ()
        return tuple(TagBase(name, node.place) for name in found)

    def filled(self, text: str, form: Callable[[str], str]) -> str:
        """Replace `{NAME}` for each variable of the node by its value in another form."""
        settings = {name: one for name, one in self.scope.settings.items() if f"{{{name}}}" in text}
        self.scope.asked.update(settings)
        variables = [Variable(name, form(one.value), one.place) for name, one in settings.items()]
        return substitute(text.encode(), variables).decode()

    def tarball(self, node: Node, around: Node) -> Base | None:
        if not isinstance(node.value, str) or not self.is_source(node):
            return None
        return self.verified(node.text, node, around, "")

    def stage3(self, node: Node, around: Node) -> Base | None:
        if isinstance(node.value, bool) and not node.value:
            self.report.problem(node.place, "'stage3: false' is not a base", "leave it out")
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
            what = f"DIST is '{values['DIST']}', which is not an http or https URL"
            place = self.scope.settings["DIST"].place if "DIST" in self.scope.settings else node.place
            self.report.problem(place, what, "a stage3 is fetched from DIST/ARCH/SUBARCH/STAGE3_ARCHIVE")
            return None
        return self.verified(url, node, node if isinstance(node.value, dict) else around, url + ".gpg")

    def verified(self, source: str, node: Node, around: Node, usual_signature: str) -> Base | None:
        """Make a tarball base of a source and the keys next to it, which say how it is verified."""
        checksum, signature = around.get("sha256"), around.get("signature")
        keys = self.key_files(around)
        found = values(around, tree.BASE.keys, self.report, without=("stage3", "bootstrap"))
        has_keys = around.get("key") is not None or around.get("keys") is not None
        has_fingerprints = around.get("fingerprints") is not None
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
            sha256=found.get("sha256", ""),
            signature=signed,
            keys=keys,
            fingerprints=found.get("fingerprints", ()),
        )

    def is_source(self, node: Node) -> bool:
        """Return whether a path or URL is possible; reported where not."""
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
                self.report.problem(child.place, f"{child.text} is not a file")
        return tuple(found)

    def bootstrap(self, node: Node) -> Base | None:
        found = bind(node, tree.BOOTSTRAP, self.report) or {}
        return BootstrapBase(place=node.place, **found) if found.get("suite") else None

    def disk(self, node: Node) -> Base | None:
        """Return the base of a disk image: a file of this host counts by its content, a URL needs a checksum."""
        found = bind(node, tree.DISK_BASE, self.report) or {}
        image = node.get("image")
        if image is None or not found.get("image"):
            return None
        source, checksum = self.filled(image.text, str), found.get("checksum", "")
        root = found.get("root") or 0
        if _URL.match(source) and not source.startswith("file://"):
            if not source.lower().startswith(("http://", "https://")):
                self.report.problem(
                    image.place, f"{shown_scheme(source)} addresses are not fetched", "http or https"
                )
            elif not checksum:
                self.report.problem(
                    image.place,
                    "nothing verifies this image",
                    "add checksum: sha256:DIGITS, which its publisher states",
                )
            else:
                return DiskBase(source, image.place, checksum, root)
            return None
        path = source.removeprefix("file://")
        kind = self.workspace.kind(path)
        if kind and kind != "file":
            self.report.problem(image.place, f"{path} is not a file", "name a file, or a URL")
            return None
        own = self.workspace.digest(path, image.place) if kind and not checksum else ""
        digest = checksum or (f"sha256:{own}" if own else "")  # a file that is missing is found by the plan
        return DiskBase(path, image.place, digest, root)

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
            self.report.problem(
                node.place, f"{node.text} is not a folder", "name the folder of the Dockerfile"
            )
        elif kind == "directory":
            if self.workspace.kind(f"{node.text}/{file}") != "file":
                self.report.problem(node.place, f"there is no {file} in {node.text}")
            digest = self.workspace.context_digest(node.text, file, node.place)
            return DockerfileBase(self.workspace.shown(node.text), node.place, "", file, arguments, digest)
        return None


def shown_scheme(source: str) -> str:
    """Return the scheme of an address."""
    return source.partition("://")[0]


def _texts(node: Node | None) -> list[Node]:
    return [child for child in items_of(node) if isinstance(child.value, str)]
