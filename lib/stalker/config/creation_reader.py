"""What reading any part of an image's configuration needs: addresses, paths, checksums, sizes, secrets.

Each function tells what is wrong where it stands and returns a value that does no further harm, so that all
is told at once. Values of a wrong kind were told by their shape and are passed over.
"""

from __future__ import annotations

import os.path
import posixpath
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

from stalker.config.creation_sizes import size_bytes
from stalker.config.document import Node, items_of, text_of
from stalker.config.report import Report, did_you_mean
from stalker.config.shape import Shape
from stalker.model.creation import Digest, SecretText, Source

DIGITS = {"md5": 32, "sha1": 40, "sha224": 56, "sha256": 64, "sha384": 96, "sha512": 128, "adler32": 8}
"""Algorithm and its number of hexadecimal digits."""

NAME_MAX_BYTES = 255
"""Of one name in a path, on ext4 and FAT alike."""

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_ENV = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

_Read = TypeVar("_Read")


@dataclass(slots=True)
class CreationReader:
    """Reads one configuration.

    `folder` is the absolute folder that it stands in, None where it came from a server. `base_pattern` is the
    URL of a version of the official images.
    """

    report: Report
    folder: Path | None
    base_pattern: str

    def told(
        self, node: Node | None, read: Callable[[str], _Read], *, any_scalar: bool = False
    ) -> _Read | None:
        """Return what `read` makes of a text; None where it raises ValueError, which is told.

        With `any_scalar` numbers, true and false are texts, too: as written.
        """
        if node is None or not isinstance(node.value, str | int | float if any_scalar else str):
            return None
        try:
            return read(node.text)
        except ValueError as error:
            self.report.problem(node.place, str(error))
            return None

    def size(self, node: Node | None) -> int | None:
        """Return bytes; None where none are given, or they cannot be."""
        if node is None or isinstance(node.value, bool):
            return None
        if isinstance(node.value, int):
            return node.value
        return self.told(node, size_bytes)

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
        """Tell that none of some keys is there; an unknown key, which was told, may be the one that was meant."""
        if isinstance(node.value, dict) and node.value.keys() <= known.keys():
            self.report.problem(node.place, what, hint)

    def checked_source(self, named: str, node: Node) -> Source:
        """Return the source of that name with the `checksum` and `mirrors` of a mapping."""
        digest, mirrors = self.digest(node.get("checksum")), self.mirrors(node.get("mirrors"))
        return Source(named, digest, mirrors)

    def mirrors(self, node: Node | None) -> tuple[str, ...]:
        """Return other addresses of the same thing."""
        children = [child for child in items_of(node) if isinstance(child.value, str)]
        return tuple(dict.fromkeys(url for child in children if (url := self.told(child, checked_url))))

    def path(self, node: Node, *, takes_url: bool = True) -> str:
        """Return an absolute path of this machine, or a file:// URL; empty where there is none that can be."""
        text = text_of(node)
        if not text:
            if isinstance(node.value, str):
                self.report.problem(node.place, "the path is empty")
            return ""
        if _SCHEME.match(text):
            if takes_url and text.lower().startswith("file:"):
                return self.told(node, checked_url) or ""
            hint = "an address is url, or of a base source" if takes_url else "write the path alone"
            self.report.problem(node.place, "an address is no path", hint)
            return ""
        if _CONTROL.search(text):
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
        algorithm = self.told(node.get("algo"), algorithm_of)
        value = node.get("value")
        if value is None or not isinstance(value.value, str | int | float):
            return None
        if text_of(node.get("kind")) == "url":
            url = self.told(value, checked_url, any_scalar=True)
            return Digest(algorithm, url, is_url=True) if algorithm and url else None
        if _SCHEME.match(value.text):
            self.report.problem(
                value.place, "an address is no checksum", "add kind: url, if the checksum is read there"
            )
            return None
        if algorithm is None:
            return None
        digits = value.text.strip().lower()
        if not re.fullmatch(r"[0-9a-f]+", digits) or len(digits) != DIGITS[algorithm]:
            self.report.problem(value.place, f"'{value.text}' is no {algorithm}", _digits(algorithm, digits))
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
            self.report.problem(env.place, "this is no name of an environment variable", "A-Z, 0-9 and _")
            return None
        return SecretText(env=env.text, place=node.place)


def checked_url(text: str) -> str:
    """Return an address that can be fetched, as written.

    Raises:
        ValueError: it is none of http, https or file; the text says why.
    """
    found = _SCHEME.match(text)
    if found is None:
        shown = f"'{text}' is no address" if text else "the address is empty"
        raise ValueError(f"{shown}; https://..., or file: with a path of this machine")
    if _CONTROL.search(text):
        raise ValueError("an address cannot hold control characters")
    scheme = found[1].lower()
    if scheme not in {"http", "https", "file"}:
        raise ValueError(f"{scheme} addresses are not fetched; http, https or file")
    parts = urlsplit(text)  # raises ValueError for a broken [host]
    if scheme == "file":
        if parts.netloc not in {"", "localhost"} or len(parts.path) < 2:
            raise ValueError(
                f"'{text}' names no file: behind file:// stands a path from / on; "
                f"a relative one is written alone, as ./{text[len('file://') :] or 'x.img'}"
            )
        return text
    if not parts.hostname or (parts.port is not None and parts.port < 1):
        raise ValueError("the address names no server")
    return text


def algorithm_of(text: str) -> str:
    """Return the name of an algorithm without the dash: `SHA-256` is `sha256`. Raises ValueError."""
    name = text.strip().lower().replace("-", "").replace("_", "")
    if name not in DIGITS:
        raise ValueError(f"'{text}' is no checksum that is known here; {did_you_mean(name, DIGITS, 'known')}")
    return name


def _digits(algorithm: str, value: str) -> str:
    """Say what a checksum looks like, and which one this would be."""
    wanted = f"it has {DIGITS[algorithm]} digits of 0-9a-f"
    if not re.fullmatch(r"[0-9a-f]+", value):
        return wanted
    others = [name for name, digits in DIGITS.items() if digits == len(value)]
    return f"{wanted}, this has {len(value)}" + (f", as {others[0]} has" if others else "")


def path_below(text: str, root: str) -> str:
    """Return where a path leads below a folder: `/data/./a//b` below `/data` is `/a/b`, `/data` itself `/`.

    Raises:
        ValueError: it is relative, leads out of the folder, or holds what no path does; the text says so.
    """
    if not text.startswith("/"):
        hint = posixpath.normpath(posixpath.join(root, text))
        better = f"; did you mean {hint}?" if text and root != "/" and hint.startswith(root + "/") else ""
        raise ValueError(f"'{text}' is relative{better}")
    if _CONTROL.search(text):
        raise ValueError("a path cannot hold control characters")
    path = posixpath.normpath("/" + text.lstrip("/"))
    inside = path if root == "/" else path.removeprefix(root)
    if root != "/" and (not path.startswith(root) or inside[:1] not in {"", "/"}):
        shown = f"'{text}'" if path == text else f"'{text}', which is {path},"
        raise ValueError(f"{shown} is not below {root}")
    if any(len(name.encode()) > NAME_MAX_BYTES for name in inside.split("/")):
        raise ValueError(f"a name in this path has more than {NAME_MAX_BYTES} bytes")
    return inside or "/"
