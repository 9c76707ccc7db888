"""Files of the data partition, and the container images that are put next to them."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING

from stalker.config.card.conversions import full_name
from stalker.config.card.values import SINGLE, SOURCE, CreationReader, content_or_source
from stalker.config.schema.card import FILE, OCI_IMAGE
from stalker.config.schema.types import values
from stalker.model.card import CONFIG_COPY, DATA, DataFile, OciImage

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from stalker.config.syntax.document import Node
    from stalker.model.diagnostics import Place


def read_files(nodes: Iterable[Node], reader: CreationReader, *, writes_config: bool) -> tuple[DataFile, ...]:
    """Read `files`; with `writes_config` the copy of the configuration has its place, too."""
    found = [_read_file(node, reader) for node in nodes if isinstance(node.value, dict)]
    files = tuple(file for file in found if file is not None)
    tell_covered([(one.to, one.place, one.via not in SINGLE) for one in files], DATA, reader)
    for file in files if writes_config else ():
        if file.to == CONFIG_COPY:
            what = f"'{DATA}{file.to}' is where write_config puts this configuration"
            reader.report.problem(file.place, what, "choose another path, or leave write_config out")
    return files


def _read_file(node: Node, reader: CreationReader) -> DataFile | None:
    content, source = content_or_source(node, FILE, reader)
    fields = values(node, FILE, reader.report, without=SOURCE)
    via = fields.get("via", "direct")
    if content is not None:
        fields["via"] = "direct"
        if via == "base64":
            content = decoded_content(content, node, reader)
    encoding = node.get("encoding")
    if encoding is not None and via != "zip":
        what = "'encoding' is that of names in a zip"
        reader.report.problem(encoding.key_place, what, "leave it out, or write via: zip")
    to = node.get("to")
    if to is None or "to" not in fields:
        return None
    if fields["to"] == "/" and fields.get("via", via) in SINGLE:
        reader.report.problem(to.place, f"'{DATA}' is the partition itself", f"name the file: {DATA}/...")
        return None
    return DataFile(place=to.place, content=content, source=source, **fields)


def decoded_content(content: bytes, node: Node, reader: CreationReader) -> bytes:
    """Return what the `content` of a mapping is in base64; empty where it is not, which is reported."""
    try:
        return base64.b64decode(b"".join(content.split()), validate=True)
    except binascii.Error as error:
        given = node.get("content")
        assert given is not None
        reader.report.problem(given.place, f"this is not base64: {str(error)[:1].lower()}{str(error)[1:]}")
        return b""


def tell_covered(files: Sequence[tuple[str, Place, bool]], root: str, reader: CreationReader) -> None:
    """Tell files that are at the same path, or below one that is not a directory.

    Each is its path below `root`, where it was written, and whether it is a directory.
    """
    first: dict[str, tuple[Place, bool]] = {}
    for path, place, is_folder in files:
        if path in first:
            what = f"'{root}{path}' is written twice; first in line {first[path][0].line}"
            reader.report.problem(place, what, "keep one")
        else:
            first[path] = (place, is_folder)
    for path, (place, _) in first.items():
        above = path.rpartition("/")[0]
        while above:
            at, is_folder = first.get(above, (place, True))
            if not is_folder:
                what = f"'{root}{path}' lies below '{root}{above}', which is a file (line {at.line})"
                reader.report.problem(place, what, "a path is a file or a folder")
                break
            above = above.rpartition("/")[0]


def read_images(nodes: Iterable[Node], reader: CreationReader) -> tuple[OciImage, ...]:
    """Read `oci_images`: names, or mappings with what is known of them; each image once."""
    found: dict[str, OciImage] = {}
    for node in nodes:
        image = _read_image(node, reader)
        if image is None:
            continue
        tag = image.ident.partition("@")[0]
        if tag not in found:
            found[tag] = image
            continue
        other = found[tag]
        what = f"'{tag}' is there twice; first in line {other.place.line}"
        hint = (
            "keep one" if image.ident == other.ident else "two digests of it need two tags: name:tag@digest"
        )
        reader.report.problem(image.place, what, hint)
    return tuple(found.values())


def _read_image(node: Node, reader: CreationReader) -> OciImage | None:
    if isinstance(node.value, str):
        ident = reader.told(node, full_name)
        return OciImage(ident, node.place) if ident is not None else None
    if not isinstance(node.value, dict):
        return None
    name, other = node.get("ident"), node.get("id")
    if name is not None and other is not None:
        reader.report.problem(other.key_place, "'id' and 'ident' say the same thing", "keep one")
    name = name if name is not None else other
    if name is None:
        reader.missing(node, OCI_IMAGE, "the key 'ident' is missing", "the image's name")
    source = reader.source(node)
    for key in ("checksum", "mirrors") if source is None else ():
        child = node.get(key)
        if child is not None:
            what = f"'{key}' goes with url or file; what a registry has is verified by its digests"
            reader.report.problem(child.key_place, what, "leave it out, or add url")
    fields = values(node, OCI_IMAGE, reader.report, without=SOURCE)
    return OciImage(place=name.place, source=source, **fields) if name and "ident" in fields else None
