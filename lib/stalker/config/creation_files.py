"""Files of the data partition, and the container images that are put beside them."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, cast

from stalker.config.creation_reader import CreationReader, path_below
from stalker.config.creation_shapes import FILE, OCI_IMAGE
from stalker.config.document import text_of
from stalker.config.names import image_name
from stalker.model.creation import CONFIG_COPY, DATA, DataFile, OciImage, Via

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from stalker.config.document import Node
    from stalker.model.places import Place

DOCKER_HUB = "docker.io"
"""Where docker looks for a name without a registry; of one word, below `library`."""

_SINGLE = frozenset({"direct", "base64"})
"""What becomes one file; all other ways unpack a folder."""


def read_files(nodes: Iterable[Node], reader: CreationReader, *, writes_config: bool) -> tuple[DataFile, ...]:
    """Read `files`; with `writes_config` the copy of the configuration has its place, too."""
    found = [_read_file(node, reader) for node in nodes if isinstance(node.value, dict)]
    files = tuple(file for file in found if file is not None)
    tell_covered([(one.to, one.place, one.via not in _SINGLE) for one in files], DATA, reader)
    for file in files if writes_config else ():
        if file.to == CONFIG_COPY:
            what = f"'{DATA}{file.to}' is where write_config puts this configuration"
            reader.report.problem(file.place, what, "choose another path, or leave write_config out")
    return files


def _read_file(node: Node, reader: CreationReader) -> DataFile | None:
    to = reader.told(node.get("to"), lambda text: path_below(text, DATA))
    via = text_of(node.get("via")) or "direct"
    size_bytes = reader.size(node.get("size"))
    content = content_of(node, reader)
    source = None
    if content is None:
        source = reader.source(node)
        if source is None and node.get("content") is None:
            reader.missing(node, FILE, "nothing says what the file holds", "one of url, file and content")
    elif via == "base64":
        content = _decoded(content, node, reader)
    via = via if content is None else "direct"
    if to is None:
        return None
    at = node.get("to")
    place = at.place if at is not None else node.place
    if to == "/" and via in _SINGLE:
        reader.report.problem(place, f"'{DATA}' is the partition itself", f"name the file: {DATA}/...")
        return None
    known = None if size_bytes is not None and size_bytes < 0 else size_bytes
    return DataFile(to, place, content, source, cast("Via", via), known)


def content_of(node: Node, reader: CreationReader) -> bytes | None:
    """Return `content` exactly as it is; None where there is none, or only blanks beside a source.

    What else stands there and says how to fetch or unpack it has no effect, as in image-creator, and is told.
    """
    content = node.get("content")
    if content is None or not isinstance(content.value, str | int | float):
        return None
    has_source = node.get("url") is not None or node.get("file") is not None
    if has_source and not content.text.strip():
        return None
    for key in ("url", "file", "checksum", "mirrors", "via"):
        child = node.get(key)
        if child is not None and not (key == "via" and child.text in _SINGLE):
            reader.report.warning(
                child.key_place, f"'{key}' has no effect beside content", "keep one of both"
            )
    return content.text.encode()


def _decoded(content: bytes, node: Node, reader: CreationReader) -> bytes:
    try:
        return base64.b64decode(b"".join(content.split()), validate=True)
    except binascii.Error as error:
        given = node.get("content")
        assert given is not None
        reader.report.problem(given.place, f"this is no base64: {str(error)[:1].lower()}{str(error)[1:]}")
        return b""


def tell_covered(files: Sequence[tuple[str, Place, bool]], root: str, reader: CreationReader) -> None:
    """Tell files that stand at the same path, or below one that is no folder.

    Each is its path below `root`, where it was written, and whether it is a folder.
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
    if name is None and other is None:
        reader.missing(node, OCI_IMAGE, "the key 'ident' is missing", "the image's name")
    source = reader.source(node)
    for key in ("checksum", "mirrors") if source is None else ():
        child = node.get(key)
        if child is not None:
            what = f"'{key}' goes with url or file; what a registry has is verified by its digests"
            reader.report.problem(child.key_place, what, "leave it out, or add url")
    sizes = [reader.size(node.get(key)) for key in ("filesize", "fullsize")]
    name = name if name is not None else other
    ident = reader.told(name, full_name)
    if ident is None or name is None:
        return None
    return OciImage(ident, name.place, source, *sizes)


def full_name(text: str) -> str:
    """Return the whole name of an image, `registry/name:tag[@digest]`, completed as docker does.

    Raises:
        ValueError: it is none; the text says why.
    """
    text = text.strip()
    if "://" in text:
        raise ValueError(
            f"'{text}' is an address; an image's name has no {text.partition('://')[0]}:// before it"
        )
    name = image_name(text)
    registry, slash, path = name.repository.partition("/")
    is_registry = bool(slash) and ("." in registry or ":" in registry or registry == "localhost")
    if not is_registry and registry == registry.lower():
        registry, path = DOCKER_HUB, name.repository
    if registry == f"index.{DOCKER_HUB}":
        registry = DOCKER_HUB
    if registry == DOCKER_HUB and "/" not in path:
        path = f"library/{path}"
    return f"{registry}/{path}:{name.tag or 'latest'}" + (f"@{name.digest}" if name.digest else "")
