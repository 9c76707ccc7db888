"""The Debian mirror that this system uses itself, read from apt's own files."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

APT_DIR = Path("/etc/apt")
_POCKETS = ("", "-updates", "-security")
_UNRELEASED = frozenset({"sid", "unstable", "experimental", "rc-buggy"})
_MAIN_FILES = ("sources.list", "debian.sources")


@dataclass(frozen=True, slots=True)
class _Source:
    """One URI and suite of apt's files; `signed_by` is empty when the file does not say."""

    file: str
    uri: str
    suite: str
    components: tuple[str, ...]
    signed_by: str = ""

    def is_debian(self) -> bool:
        """Third parties use Debian's suite names too; path, component and keyring tell them apart."""
        path = urlsplit(self.uri).path
        return (
            urlsplit(self.uri).scheme in {"http", "https", "file", "copy", "ftp"}
            and "main" in self.components
            and re.search(r"(^|/)debian(-security|-archive)?(/|$)", path) is not None
            and ("debian-archive" in self.signed_by or not self.signed_by)
        )


def deb_lines(suite: str, components: Sequence[str], apt_dir: Path = APT_DIR) -> list[str]:
    """Return apt lines for `suite` on this system's own mirror, empty when it names none.

    Updates and security come along where this system has them. The suite itself need not be the
    system's: a mirror of Debian has them all.
    """
    sources = [source for source in _sources(apt_dir) if source.is_debian()]
    sources.sort(key=lambda source: source.file not in _MAIN_FILES)
    mains = [source for source in sources if _pocket(source.suite) == ""]
    if not mains:
        return []
    file = next((source for source in mains if source.suite == suite), mains[0]).file
    has_pockets = suite not in _UNRELEASED
    lines = []
    for pocket in _POCKETS if has_pockets else ("",):
        uri = next((one.uri for one in sources if one.file == file and _pocket(one.suite) == pocket), "")
        if uri:
            lines.append(f"deb {uri} {suite}{pocket} {' '.join(components)}")
    return lines


def _pocket(suite: str) -> str | None:
    """Return what follows the release's name in a suite; None for backports and the like."""
    match = re.fullmatch(r"[a-z]+(-updates|-security)?", suite)
    return None if match is None else match[1] or ""


def _sources(apt_dir: Path) -> Iterator[_Source]:
    folder = apt_dir / "sources.list.d"
    files = [apt_dir / "sources.list", *sorted(folder.glob("*.list")), *sorted(folder.glob("*.sources"))]
    for file in files:
        try:
            text = file.read_text("utf-8", "replace")
        except OSError:
            continue
        yield from _stanzas(file.name, text) if file.suffix == ".sources" else _lines(file.name, text)


def _lines(name: str, text: str) -> Iterator[_Source]:
    """Read the one-line style of sources.list(5)."""
    for line in text.splitlines():
        match = re.fullmatch(
            r"\s*deb\s+(?:\[([^\]]*)\]\s*)?(\S+)\s+(\S+)\s+([^#]+?)\s*(#.*)?", line.partition("\n")[0]
        )
        if match:
            signed = re.search(r"signed-by=(\S+)", match[1] or "", re.IGNORECASE)
            yield _Source(name, match[2], match[3], tuple(match[4].split()), signed[1] if signed else "")


def _stanzas(name: str, text: str) -> Iterator[_Source]:
    """Read the deb822 style of sources.list(5)."""
    plain = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    for stanza in re.split(r"\n\s*\n", plain):
        fields: dict[str, str] = {}
        key = ""
        for line in stanza.splitlines():
            if line[:1].isspace():
                fields[key] = fields.get(key, "") + " " + line.strip()
            elif ":" in line:
                key, _, value = line.partition(":")
                key = key.strip().lower()
                fields[key] = value.strip()
        if "deb" not in fields.get("types", "").split() or fields.get("enabled", "yes").lower() in {
            "no",
            "false",
        }:
            continue
        for uri in fields.get("uris", "").split():
            for suite in fields.get("suites", "").split():
                components = tuple(fields.get("components", "").split())
                yield _Source(name, uri, suite, components, fields.get("signed-by", ""))
