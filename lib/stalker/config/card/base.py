"""What an image grows from, and what is wanted of its file."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal, cast

from stalker.config.card.conversions import checked_url
from stalker.config.card.values import CreationReader
from stalker.config.schema.card import BASE, ROOTFS_SIZES
from stalker.config.schema.types import values
from stalker.config.syntax.document import is_true, text_of
from stalker.io.disk_sizes import card_of, output_bytes
from stalker.model.card import BaseImage, Digest, Output, OutputFormat, Source, TreeArtifact

if TYPE_CHECKING:
    from stalker.config.syntax.document import Node

_Format = OutputFormat | Literal[""]

VERSION = "{version}"
"""What a version is put in the place of."""

_VERSION = re.compile(r"\d+(?:\.\d+){1,3}[A-Za-z0-9._-]*\Z")
_IMAGE_ENDING = re.compile(r"\.(?:img|iso|raw|bin|wic|xz|zst|gz|bz2|zip|7z)\Z", re.IGNORECASE)
_NAME = r"[A-Za-z0-9_][A-Za-z0-9_.-]*"
_WORD = re.compile(rf"{_NAME}(?::{_NAME}(?:/{_NAME})?)?\Z")
_TREE = re.compile(rf"(?P<tree>[^:]+)(?::(?P<stalk>{_NAME})(?:/(?P<artifact>{_NAME}))?)?\Z")
_SOURCES = ("source", "file", "tree")


def read_base(node: Node, reader: CreationReader) -> BaseImage:
    """Read `base`: a version, an address, a path or a tree, as text or as a mapping."""
    if not isinstance(node.value, dict):
        return _read_text(node, reader)
    given = [node.value[key] for key in _SOURCES if key in node.value]
    if not given:
        reader.missing(node, BASE, "nothing says what the image grows from", "one of source, file and tree")
        return BaseImage(node.place)
    if len(given) > 1:
        reader.report.problem(given[1].key_place, "source, file and tree exclude each other", "keep one")
    sizes = values(node, ROOTFS_SIZES, reader.report)
    if len(node.value.keys() & ROOTFS_SIZES.keys()) == len(ROOTFS_SIZES):
        what = "'root_size' and 'rootfs_size' say the same thing"
        reader.report.problem(node.value["root_size"].key_place, what, "keep one")
    tree = node.get("tree")
    if tree is not None:
        for key in ("checksum", "mirrors", "pattern"):
            if key in node.value:
                reader.report.problem(node.value[key].key_place, f"'{key}' does not go with tree")
        return BaseImage(tree.place, tree=reader.told(tree, tree_artifact), **sizes)
    return BaseImage(given[0].place, source=_read_source(given[0], node, reader), **sizes)


def _read_text(node: Node, reader: CreationReader) -> BaseImage:
    text = node.text.strip()
    if isinstance(node.value, str) and (_is_tree_file(text) or _is_tree_name(text)):
        return BaseImage(node.place, tree=reader.told(node, tree_artifact))
    return BaseImage(node.place, source=_read_source(node, None, reader))


def _is_tree_file(text: str) -> bool:
    return "://" not in text and text.partition(":")[0].endswith(".hjson")


def _is_tree_name(text: str) -> bool:
    """Return whether a word is neither a version, right or wrong, nor the name of an image's file."""
    return bool(_WORD.match(text)) and not _IMAGE_ENDING.search(text) and not re.match(r"\d+\.", text)


def _read_source(node: Node, around: Node | None, reader: CreationReader) -> Source | None:
    """Read a version, an address or a path, with what is next to it."""
    pattern = around.get("pattern") if around is not None else None
    text = node.text.strip()
    if around is not None and around.get("file") is node:
        named, digest = reader.path(node), None
    elif isinstance(node.value, bool) or not isinstance(node.value, str | int | float):
        if isinstance(node.value, bool):
            reader.report.problem(
                node.place, f"'{node.text}' is not an image", "a version, an address or a path"
            )
        return None
    elif _VERSION.match(text) and not _IMAGE_ENDING.search(text):
        named = _of_version(node, pattern, reader)
        digest = Digest("md5", f"{named}.md5", is_url=True, is_optional=True)
        pattern = None
    else:
        named, digest = _of_address(node, reader), None
    if pattern is not None:
        reader.report.problem(pattern.key_place, "'pattern' goes with a version", "leave it out")
    if around is None:
        return Source(named, digest) if named else None
    source = reader.checked_source(named, around)
    return Source(named, source.digest or digest, source.mirrors) if named else None


def _of_version(node: Node, pattern: Node | None, reader: CreationReader) -> str:
    """Return the address of a version by the pattern of the file, else by the one that reading began with."""
    form, place = (reader.base_pattern, node.place) if pattern is None else (text_of(pattern), pattern.place)
    if not form:
        return ""
    if VERSION not in form:
        reader.report.problem(place, f"'{form}' has no {VERSION}", "the version is put in its place")
        return ""
    try:
        return checked_url(form.replace(VERSION, node.text.strip()))
    except ValueError as error:
        reader.report.problem(place, str(error))
        return ""


def _of_address(node: Node, reader: CreationReader) -> str:
    text = node.text.strip()
    if "://" in text:
        return reader.told(node, lambda _: checked_url(text)) or ""
    if "/" in text or _IMAGE_ENDING.search(text):
        return reader.path(node)
    hint = "1.2.3, https://..., or a path with a / in it"
    if _WORD.match(text) and not text[0].isdigit():
        hint += f"; a tree is base: {{ tree: {text} }}"
    reader.report.problem(node.place, f"'{text}' is not a version, address or path", hint)
    return ""


def tree_artifact(text: str) -> TreeArtifact:
    """Return what `TREE`, `TREE:STALK` or `TREE:STALK/ARTIFACT` names; TREE is a name or a path.

    Raises:
        ValueError: it has none of these forms.
    """
    found = _TREE.match(text.strip())
    if found is None:
        raise ValueError(f"'{text}' is not a disk of a tree; TREE, TREE:STALK or TREE:STALK/ARTIFACT")
    return TreeArtifact(found["tree"], found["stalk"] or "", found["artifact"] or "")


def read_output(node: Node | None, reader: CreationReader) -> Output:
    """Read `output`; without it the image is as small as its content allows."""
    if node is None or not isinstance(node.value, dict):
        return Output()
    size = node.get("size")
    size_bytes = _output_bytes(size, reader) if size is not None else None
    words = size.text if size is not None and size_bytes is not None else "auto"
    compresses, form = _format(node, reader)
    return Output(size_bytes, words, is_true(node.get("shrink")), compresses, form)


def _output_bytes(node: Node, reader: CreationReader) -> int | None:
    if node.value == "auto":
        return None
    size_bytes = reader.told(node, output_bytes)
    if isinstance(node.value, int) and not isinstance(node.value, bool):
        size_bytes = node.value
    if size_bytes == 0:
        reader.report.problem(node.place, "an image of no bytes is none", "auto: as small as possible")
        return None
    card = card_of(size_bytes or 0)
    if card and not node.text.lower().endswith("card"):
        reader.report.warning(
            node.place,
            f"cards sold as {card.removesuffix('GB card')} GB may hold less than {size_bytes} bytes",
            f'"{card}" surely fits',
        )
    return size_bytes


def _format(node: Node, reader: CreationReader) -> tuple[bool, _Format]:
    """Return whether the image is packed without saying how, and how it is packed; empty for by its name."""
    compress, form = node.get("compress"), cast("_Format", text_of(node.get("format")))
    if compress is None or compress.value is None:
        return False, form
    if isinstance(compress.value, bool):
        if form and compress.value != (form != "img"):
            reader.report.problem(compress.place, f"this contradicts format: {form}", "keep one of both")
        return compress.value and not form, form
    packed = cast("_Format", compress.text if compress.text == "zip" else f"img.{compress.text}")
    if form and form != packed:
        reader.report.problem(compress.place, f"this contradicts format: {form}", "keep one of both")
    return False, packed
