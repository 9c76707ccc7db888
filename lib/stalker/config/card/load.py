"""The configuration of `stalker image create`: YAML or Hjson in, a Creation out, or all problems at once.

Whatever image-creator reads in either of its revisions is read, and means the same.

`offspot` of a YAML file as plain values, as a program that reads YAML has them.

The reader of positions keeps all but the simplest numbers as text; what is written to the card is read by other
programs, so here dates are dates and `0644` is 420. Only numbers to the base of 60 (`22:22`) stay text: who writes
ports means none, and quotes are put around them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import yaml
from yaml.nodes import ScalarNode

from stalker.config.card.base import read_base, read_output
from stalker.config.card.files import read_files, read_images
from stalker.config.card.injections import read_injections
from stalker.config.card.values import CreationReader
from stalker.config.schema.card import DATA, IMAGE
from stalker.config.schema.types import bind, check, values
from stalker.config.syntax.document import is_true, items_of, leave_out_nulls, plain, walk
from stalker.config.syntax.hjson import read_hjson
from stalker.config.syntax.report import Report
from stalker.config.workspace import YAML_ENDINGS
from stalker.errors import FilesError
from stalker.model.card import BaseImage, Creation
from stalker.model.diagnostics import Place, Problem

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path
    from typing import Any

    from stalker.config.syntax.document import Document, Node


__all__ = ["BASE_PATTERN", "check_creation", "read_creation"]

BASE_PATTERN = "https://drive.offspot.it/base/offspot-base-arm64-{version}.img"
"""Where the official images are; their MD5 is at the same address with `.md5`."""

_HJSON_ENDINGS = (".hjson", ".json")
_BEGINS_WITH_BRACE = re.compile(r"\ufeff?(?:\s+|#[^\n]*|//[^\n]*|/\*.*?\*/)*\{", re.DOTALL)
_SHOWN = re.compile(r"'(?!password').*'", re.DOTALL)
"""What a message shows of a file, but for the name of the key."""

_HALF_PAIR = re.compile("[\ud800-\udfff]")
_THEIRS = ("base", "output", "oci_images", "files", "write_config", "wite_config", "offspot")


def read_creation(
    text: str,
    file: str,
    *,
    base_pattern: str = BASE_PATTERN,
    folder: Path | None = None,
    needs_base: bool = True,
) -> Creation:
    """Return what a configuration asks for.

    `file` is its name in messages, and tells its syntax; `folder` is the absolute directory that relative paths in
    it begin at, None for one that was fetched. `base_pattern` is the URL of a version, with `{version}`; empty for
    that of the official images. Without `needs_base` a file that is put into a ready image is read, too; what it
    grows from is empty then.

    Raises:
        FilesError: all that is wrong, in the order of the file.
    """
    creation, report = _read(text, file, base_pattern or BASE_PATTERN, folder, needs_base=needs_base)
    if creation is None or report.has_errors:
        raise FilesError(report.errors(), "docs/reference/image-config.md lists the keys")
    return replace(creation, warnings=report.warnings())


def check_creation(text: str, file: str, folder: Path | None = None) -> list[Problem]:
    """Return all problems and warnings of a configuration, in the order of the file.

    One that holds nothing but injections is taken as what is put into a ready image.
    """
    return _read(text, file, BASE_PATTERN, folder, needs_base=None)[1].sorted()


def _read(
    text: str, file: str, base_pattern: str, folder: Path | None, *, needs_base: bool | None
) -> tuple[Creation | None, Report]:
    report = Report()
    document, is_yaml = _document(text, file)
    root = document.root
    report.take(_without_secrets(document))
    if root is None:
        return None, report
    if document.lack:
        report.problem(Place(file), document.lack)
        return None, report
    if not isinstance(root.value, dict):
        check(root, IMAGE, {}, report)
        return None, report
    halves = [node for node in walk(root) if _HALF_PAIR.search(node.text)]
    for node in halves:
        report.problem(node.place, "half of a surrogate pair, which is not a character")
    _leave_out_empty(root)
    if needs_base is None:
        needs_base = not {"injections"} <= root.value.keys() <= {"injections", "root"}
    check(root, IMAGE if needs_base else replace(IMAGE, required=()), {}, report)
    if halves:  # they cannot be written to any file
        return None, report
    creation = _creation(root, CreationReader(report, folder, base_pattern))
    if is_yaml and creation.offspot and not report.has_errors:
        creation = replace(creation, offspot=offspot_of(text))
    return creation, report


def _document(text: str, file: str) -> tuple[Document, bool]:
    """Read a text by the ending of its name, else by what it looks like; return it, and whether it is YAML."""
    name = urlsplit(file).path.lower() if "://" in file else file.lower()
    if name.endswith(_HJSON_ENDINGS):
        return read_hjson(text, file), False
    from stalker.config.syntax.yaml import read_yaml  # late: YAML takes 20 ms

    document = read_yaml(text, file)
    may_be_hjson = not name.endswith(YAML_ENDINGS) and _BEGINS_WITH_BRACE.match(text)
    if document.problems and may_be_hjson:
        return read_hjson(text, file), False
    return document, True


def _creation(root: Node, reader: CreationReader) -> Creation:
    base = root.get("base")
    writes_config = _writes_config(root, reader.report)
    files = read_files(items_of(root.get("files")), reader, writes_config=writes_config)
    injections = read_injections(root.get("injections"), files, reader)
    if writes_config:
        for wifi in injections.wifi:
            if wifi.password is not None and wifi.password.text:
                what = "write_config puts this file with the password of the Wi-Fi into the data partition"
                reader.report.warning(wifi.place, what, "write { env: NAME } or { file: path }")
    offspot = root.get("offspot")
    return Creation(
        file=root.document.file,
        text=root.document.text,
        base=read_base(base, reader) if base is not None else BaseImage(root.place),
        output=read_output(root.get("output"), reader),
        images=read_images(items_of(root.get("oci_images")), reader),
        files=files,
        writes_config=writes_config,
        offspot=_offspot(offspot),
        injections=injections,
        root_number=bind(root.get("root"), IMAGE.keys["root"], reader.report) or 0,
        **values(root.get("data"), DATA, reader.report),
    )


def _offspot(node: Node | None) -> Mapping[str, Any] | None:
    return plain(node) if node is not None and isinstance(node.value, dict) and node.value else None


def _writes_config(root: Node, report: Report) -> bool:
    node, misspelt = root.get("write_config"), root.get("wite_config")
    if misspelt is None:
        return is_true(node)
    if node is not None:
        what = "'wite_config' and 'write_config' say the same thing"
        report.problem(misspelt.key_place, what, "keep write_config")
    else:
        what = "'wite_config' is taken as write_config, as image-creator's manual has it"
        report.warning(misspelt.key_place, what, "write write_config")
    return is_true(node) or is_true(misspelt)


def _leave_out_empty(root: Node) -> None:
    """Take keys of image-creator without a value as not written, as it does; of what is new they are slips."""
    assert isinstance(root.value, dict)
    for key in _THEIRS:
        if key in root.value and root.value[key].value is None:
            del root.value[key]
        elif key in root.value and key != "offspot":
            leave_out_nulls(root.value[key])


def _without_secrets(document: Document) -> Iterator[Problem]:
    """Give what the reader of the syntax found; of passwords without what they are, which it shows."""
    for problem in document.problems:
        path = problem.place.path.split(".")
        if path[0] == "injections" and "password" in path:
            hint = "put it in quotes" if "'" in problem.hint else problem.hint
            yield replace(problem, what=_SHOWN.sub("'***'", problem.what), hint=hint)
        else:
            yield problem


def offspot_of(text: str) -> Any:
    """Return the value of `offspot` in a document that was read without problems."""
    loader = _Values(text)
    try:
        return loader.get_single_data()["offspot"]
    finally:
        loader.dispose()


class _Values(yaml.SafeLoader):
    """PyYAML's safe loader, but for numbers to the base of 60, and what it cannot make a value of."""


def _or_text(construct: Callable[[Any, ScalarNode], Any]) -> Callable[[Any, ScalarNode], Any]:
    def read(loader: Any, node: ScalarNode) -> Any:
        text = str(node.value)
        if ":" in text and not node.tag.endswith(":timestamp"):
            return text
        try:
            return construct(loader, node)
        except ValueError:  # the 31st of February
            return text

    return read


for _kind in ("int", "float", "timestamp"):
    _Values.add_constructor(
        f"tag:yaml.org,2002:{_kind}", _or_text(getattr(yaml.SafeLoader, f"construct_yaml_{_kind}"))
    )
