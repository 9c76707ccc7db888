"""The configuration of `stalker image create`: YAML or Hjson in, a Creation out, or all problems at once.

Whatever image-creator reads in either of its revisions is read, and means the same.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from stalker.config.creation_base import read_base, read_output
from stalker.config.creation_files import read_files, read_images
from stalker.config.creation_injections import read_injections
from stalker.config.creation_reader import CreationReader
from stalker.config.creation_shapes import IMAGE
from stalker.config.creation_sizes import size_bytes
from stalker.config.document import is_true, items_of, plain, text_of
from stalker.config.file_systems import label_problem
from stalker.config.hjson_reader import read_hjson
from stalker.config.report import Report
from stalker.config.shape import check
from stalker.errors import FilesError
from stalker.model.creation import BaseImage, Creation
from stalker.model.places import Place, Problem

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path
    from typing import Any

    from stalker.config.document import Document, Node

__all__ = ["BASE_PATTERN", "YAML_ENDINGS", "check_creation", "read_creation", "size_bytes"]

BASE_PATTERN = "https://drive.offspot.it/base/offspot-base-arm64-{version}.img"
"""Where the official images are; their MD5 is at the same address with `.md5`."""

DATA_LABEL = "data"

_HJSON_ENDINGS = (".hjson", ".json")
YAML_ENDINGS = (".yaml", ".yml")
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

    `file` is its name in messages, and tells its syntax; `folder` is the absolute folder that relative paths in
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
    if root.value == {}:
        report.problem(
            Place(file), "the file is empty" if not text.strip() else "there is nothing in the file"
        )
        return None, report
    if not isinstance(root.value, dict):
        check(root, IMAGE, {}, report)
        return None, report
    halves = [node for node in _all(root) if _HALF_PAIR.search(node.text)]
    for node in halves:
        report.problem(node.place, "half of a surrogate pair, which is no character")
    _leave_out_empty(root)
    if needs_base is None:
        needs_base = root.value.keys() != {"injections"}
    check(root, IMAGE if needs_base else replace(IMAGE, required=()), {}, report)
    if halves:  # they cannot be written to any file
        return None, report
    creation = _creation(root, CreationReader(report, folder, base_pattern))
    if is_yaml and creation.offspot and not report.has_errors:
        from stalker.config.creation_offspot import offspot_of  # late: YAML takes 20 ms

        creation = replace(creation, offspot=offspot_of(text))
    return creation, report


def _document(text: str, file: str) -> tuple[Document, bool]:
    """Read a text by the ending of its name, else by what it looks like; return it, and whether it is YAML."""
    name = urlsplit(file).path.lower() if "://" in file else file.lower()
    if name.endswith(_HJSON_ENDINGS):
        return read_hjson(text, file), False
    from stalker.config.yaml_reader import read_yaml  # late: YAML takes 20 ms

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
    label, mounts = _data(root.get("data"), reader.report)
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
        data_label=label,
        mounts_data=mounts,
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


def _data(node: Node | None, report: Report) -> tuple[str, bool]:
    """Read `data`: the label of the partition, and whether fstab mounts it."""
    label = node.get("label") if node is not None else None
    if label is not None and isinstance(label.value, str):
        what, hint = label_problem(label.text, "ext4")
        if what:
            report.problem(label.place, what, hint)
    is_mounted = node is not None and is_true(node.get("mount"))
    return text_of(label) if label is not None else DATA_LABEL, is_mounted


def _leave_out_empty(root: Node) -> None:
    """Take keys of image-creator without a value as not written, as it does; of what is new they are slips."""
    assert isinstance(root.value, dict)
    for key in _THEIRS:
        if key in root.value and root.value[key].value is None:
            del root.value[key]
        elif key in root.value and key != "offspot":
            for node in _all(root.value[key]):
                if isinstance(node.value, dict):
                    node.value = {name: one for name, one in node.value.items() if one.value is not None}


def _all(node: Node) -> Iterator[Node]:
    yield node
    if isinstance(node.value, dict):
        for child in node.value.values():
            yield from _all(child)
    elif isinstance(node.value, list):
        for child in node.value:
            yield from _all(child)


def _without_secrets(document: Document) -> Iterator[Problem]:
    """Give what the reader of the syntax found; of passwords without what they are, which it shows."""
    for problem in document.problems:
        path = problem.place.path.split(".")
        if path[0] == "injections" and "password" in path:
            hint = "put it in quotes" if "'" in problem.hint else problem.hint
            yield replace(problem, what=_SHOWN.sub("'***'", problem.what), hint=hint)
        else:
            yield problem
