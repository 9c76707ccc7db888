"""What reading any part of an image's configuration needs: addresses, paths, checksums, sizes, secrets.

Each function tells what is wrong where it stands and returns a value that does no further harm, so that all
is reported at once. Values of a wrong kind were reported by their shape and are skipped.
"""

from __future__ import annotations

import os.path
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from stalker.config.card.conversions import CONTROL, DIGITS, SCHEME, checked_url
from stalker.config.schema.card import CHECKSUM, MIRRORS
from stalker.config.schema.types import Shape, bind
from stalker.config.syntax.document import Node, text_of
from stalker.config.syntax.report import Report
from stalker.model.card import Digest, SecretText, Source

SOURCE = ("content", "url", "file", "checksum", "mirrors")
"""Keys that say together where something comes from."""

SINGLE = frozenset({"direct", "base64"})
"""What becomes one file; all other ways extract an archive into a directory."""

_ENV = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

_Read = TypeVar("_Read")


@dataclass(slots=True)
class CreationReader:
    """Reads one configuration.

    `folder` is the absolute directory that it is in, None where it came from a server. `base_pattern` is the
    URL of a version of the official images.
    """

    report: Report
    folder: Path | None
    base_pattern: str

    def told(self, node: Node | None, read: Callable[[str], _Read]) -> _Read | None:
        """Return what `read` makes of a text; None where it raises ValueError, which is reported."""
        if node is None or not isinstance(node.value, str):
            return None
        return self.report.attempt(node.place, read, node.text)

    def source(self, node: Node) -> Source | None:
        """Return what `url` or `file` of a mapping names, with its `checksum` and `mirrors`; None without either."""
        url, file = node.get("url"), node.get("file")
        if url is not None and file is not None:
            self.report.problem(file.key_place, "'file' and 'url' say the same thing", "keep one")
        if url is not None:
            named = self.told(url, checked_url)
        elif file is not None:
            named = self.path(file)
        else:
            return None
        return self.checked_source(named or "", node)

    def missing(self, node: Node, known: Mapping[str, Shape], what: str, hint: str) -> None:
        """Tell that none of some keys is there; an unknown key, which was reported, may be the one that was meant."""
        if isinstance(node.value, dict) and node.value.keys() <= known.keys():
            self.report.problem(node.place, what, hint)

    def checked_source(self, named: str, node: Node) -> Source:
        """Return the source of that name with the `checksum` and `mirrors` of a mapping."""
        mirrors = bind(node.get("mirrors"), MIRRORS, self.report) or ()
        return Source(named, self.digest(node.get("checksum")), mirrors)

    def path(self, node: Node, *, takes_url: bool = True) -> str:
        """Return an absolute path of this machine, or a file:// URL; empty where there is none that can be."""
        text = text_of(node)
        if not text:
            if isinstance(node.value, str):
                self.report.problem(node.place, "the path is empty")
            return ""
        if SCHEME.match(text):
            if takes_url and text.lower().startswith("file:"):
                return self.told(node, checked_url) or ""
            hint = "an address is url, or of a base source" if takes_url else "write the path alone"
            self.report.problem(node.place, "an address is not a path", hint)
            return ""
        if CONTROL.search(text):
            self.report.problem(node.place, "a path here cannot hold control characters")
            return ""
        if text.startswith("~"):
            self.report.problem(
                node.place, f"'{text}': '~' is not known here", "write the path from / on, or a relative one"
            )
            return ""
        if text.startswith("/"):
            return os.path.normpath(text)
        if self.folder is None:
            self.report.problem(
                node.place,
                f"'{text}' is relative, and a configuration that was fetched stands in no folder",
                "write the path from / on",
            )
            return ""
        return os.path.normpath(self.folder / text)

    def digest(self, node: Node | None) -> Digest | None:
        """Return what a download must have."""
        if node is None or not isinstance(node.value, dict):
            return None
        algorithm = bind(node.get("algo"), CHECKSUM.keys["algo"], self.report)
        value = node.get("value")
        if value is None or not isinstance(value.value, str | int | float):
            return None
        if text_of(node.get("kind")) == "url":
            url = self.report.attempt(value.place, checked_url, value.text)
            return Digest(algorithm, url, is_url=True) if algorithm and url else None
        if SCHEME.match(value.text):
            self.report.problem(
                value.place, "an address is not a checksum", "add kind: url, if the checksum is read there"
            )
            return None
        if algorithm is None:
            return None
        digits = value.text.strip().lower()
        if not re.fullmatch(r"[0-9a-f]+", digits) or len(digits) != DIGITS[algorithm]:
            self.report.problem(
                value.place, f"'{value.text}' is not a valid {algorithm}", _digits(algorithm, digits)
            )
            return None
        return Digest(algorithm, digits)

    def secret(self, node: Node | None) -> SecretText | None:
        """Return a secret: a text or number as written, or where it is read. Its text is never shown."""
        if node is None or isinstance(node.value, list) or node.value is None:
            return None
        if not isinstance(node.value, dict):
            return SecretText(text=node.text, place=node.place)
        env, file = node.get("env"), node.get("file")
        if (env is None) == (file is None):
            self.report.problem(
                node.place, "a secret comes from either env or file", "{ env: NAME } or { file: path }"
            )
            return None
        if file is not None:
            return SecretText(path=self.path(file, takes_url=False), place=node.place)
        assert env is not None
        if isinstance(env.value, str) and not _ENV.fullmatch(env.text):
            # It may be the secret itself, so it is not shown.
            self.report.problem(env.place, "this is not an environment variable name", "A-Z, 0-9 and _")
            return None
        return SecretText(env=env.text, place=node.place)


def _digits(algorithm: str, value: str) -> str:
    """Return what a checksum looks like, and which one this would be."""
    wanted = f"it has {DIGITS[algorithm]} digits of 0-9a-f"
    if not re.fullmatch(r"[0-9a-f]+", value):
        return wanted
    others = [name for name, digits in DIGITS.items() if digits == len(value)]
    return f"{wanted}, this has {len(value)}" + (f", as {others[0]} has" if others else "")


def content_or_source(
    node: Node, known: Mapping[str, Shape], reader: CreationReader
) -> tuple[bytes | None, Source | None]:
    """Return what a file holds: `content`, or what `url` or `file` name."""
    content = _content_of(node, reader)
    source = reader.source(node) if content is None else None
    if content is None and source is None and node.get("content") is None:
        reader.missing(node, known, "nothing says what the file holds", "one of url, file and content")
    return content, source


def _content_of(node: Node, reader: CreationReader) -> bytes | None:
    """Return `content` exactly as it is; None where there is none, or only blanks next to a source.

    What else is there and says how to fetch or unpack it has no effect, as in image-creator, and is reported.
    """
    content = node.get("content")
    if content is None or not isinstance(content.value, str | int | float):
        return None
    has_source = node.get("url") is not None or node.get("file") is not None
    if has_source and not content.text.strip():
        return None
    for key in ("url", "file", "checksum", "mirrors", "via"):
        child = node.get(key)
        if child is not None and not (key == "via" and child.text in SINGLE):
            reader.report.warning(
                child.key_place, f"'{key}' has no effect beside content", "keep one of both"
            )
    return content.text.encode()
