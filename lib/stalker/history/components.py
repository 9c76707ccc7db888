"""The components of a bill of materials: installed packages with their purl, source, licences and dependencies.

Source of purls: github.com/package-url/purl-spec, types deb, apk, ebuild and alpm; the qualifiers are those that
vulnerability scanners look for.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from stalker.history.system import System

TYPES = {"dpkg": "deb", "apk": "apk", "portage": "ebuild", "pacman": "alpm"}
VENDORS = {"dpkg": "debian", "apk": "alpine", "pacman": "arch"}
"""The namespace of a purl where the image does not say its distribution."""

SPDX_IDS = {
    "apache-2.0": "Apache-2.0",
    "artistic": "Artistic-1.0-Perl",
    "artistic-2.0": "Artistic-2.0",
    "bsd-2-clause": "BSD-2-Clause",
    "bsd-3-clause": "BSD-3-Clause",
    "bsl-1.0": "BSL-1.0",
    "cc0-1.0": "CC0-1.0",
    "expat": "MIT",
    "mit": "MIT",
    "isc": "ISC",
    "mpl-1.1": "MPL-1.1",
    "mpl-2.0": "MPL-2.0",
    "openssl": "OpenSSL",
    "psf-2": "PSF-2.0",
    "zlib": "Zlib",
    "ofl-1.1": "OFL-1.1",
    "0bsd": "0BSD",
    "unlicense": "Unlicense",
    "curl": "curl",
}
_GNU = re.compile(r"(gpl|lgpl|agpl|gfdl)-(\d(?:\.\d)?)(\.0)?(\+|-or-later|-only)?", re.IGNORECASE)


class Installed(Protocol):
    """A package as a package manager lists it."""

    @property
    def manager(self) -> str:
        """`dpkg`, `apk`, `portage` or `pacman`."""

    @property
    def name(self) -> str:
        """Its name, of Portage with the category."""

    @property
    def version(self) -> str:
        """Its version, as the manager writes it."""

    @property
    def architecture(self) -> str:
        """Empty where the manager has one for all."""


@dataclass(frozen=True, slots=True)
class Component:
    """A package in a bill of materials.

    `licences` are identifiers of the SPDX list, `other_licences` names that are not on it. `depends_on` are names of
    other components.
    """

    name: str
    version: str
    purl: str
    architecture: str = ""
    supplier: str = ""
    licences: tuple[str, ...] = ()
    other_licences: tuple[str, ...] = ()
    depends_on: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Subject:
    """What a bill of materials is of. `created_s` is its time; `key` decides its serial number."""

    name: str
    version: str
    key: str
    created_s: int
    distribution: str = ""
    release: str = ""


def os_release(system: System) -> dict[str, str]:
    """Return the fields of /etc/os-release."""
    text = system.text("etc/os-release") or system.text("usr/lib/os-release")
    lines = (line.partition("=") for line in text.splitlines() if "=" in line and not line.startswith("#"))
    return {name.strip(): value.strip().strip("\"'") for name, _, value in lines}


def components_of(system: System, packages: Iterable[Installed]) -> list[Component]:
    """Return the components of a system, by name and architecture."""
    packages = list(packages)
    stated = _stanzas(system)
    known = os_release(system)
    provided = _provided(packages, stated)
    return [
        _component(one, stated.get((one.name, one.architecture), {}), known, provided, system)
        for one in packages
    ]


def _stanzas(system: System) -> dict[tuple[str, str], dict[str, str]]:
    """Return what dpkg and apk state of each package, by name and architecture."""
    found = {}
    for path, content in system.contents.items():
        if b"dpkg/status" in path:
            name, architecture, separator = "Package", "Architecture", ": "
        elif path.endswith(b"apk/db/installed"):
            name, architecture, separator = "P", "A", ":"
        else:
            continue
        for stanza in content.decode("utf-8", "replace").split("\n\n"):
            lines = [
                line.partition(separator) for line in stanza.splitlines() if line[:1] not in {" ", "\t", ""}
            ]
            fields = {key: value.strip() for key, _, value in reversed(lines)}
            if name in fields:
                found[fields[name], fields.get(architecture, "")] = fields
    return found


def _provided(
    packages: list[Installed], stated: Mapping[tuple[str, str], Mapping[str, str]]
) -> dict[str, str]:
    """Return the installed package for each name that one has or provides."""
    found: dict[str, str] = {}
    for one in packages:
        fields = stated.get((one.name, one.architecture), {})
        for text in re.split(r"[,\s]+", fields.get("Provides", "") or fields.get("p", "")):
            found.setdefault(re.split(r"[=(<>]", text)[0], one.name)
    return found | {one.name: one.name for one in packages}


def _component(
    one: Installed,
    fields: Mapping[str, str],
    release: Mapping[str, str],
    provided: Mapping[str, str],
    system: System,
) -> Component:
    names = _licence_names(one, fields, system)
    ids = [spdx_id(name) for name in names]
    return Component(
        name=one.name,
        version=one.version,
        purl=purl_of(one, release, _source(fields)),
        architecture=one.architecture,
        supplier=fields.get("Maintainer", "") or fields.get("m", ""),
        licences=tuple(dict.fromkeys(filter(None, ids))),
        other_licences=tuple(
            dict.fromkeys(name for name, known in zip(names, ids, strict=True) if not known)
        ),
        depends_on=_dependencies(one, fields, provided),
    )


def _source(fields: Mapping[str, str]) -> str:
    """Return the source package of dpkg, `name` or `name@version`, or apk's origin; empty for its own name."""
    text = fields.get("Source", "") or fields.get("o", "")
    match = re.fullmatch(r"(\S+)(?: \((\S+)\))?", text)
    if match is None or (match[1] in {fields.get("Package"), fields.get("P")} and not match[2]):
        return ""
    return f"{match[1]}@{match[2]}" if match[2] else match[1]


def purl_of(one: Installed, release: Mapping[str, str], source: str = "") -> str:
    """Return the package URL: `pkg:deb/debian/bash@5.2-2?arch=armhf&distro=debian-12`."""
    kind = TYPES[one.manager]
    name, version = _quoted(one.name), _quoted(one.version)
    if kind == "ebuild":
        category, _, own = one.name.partition("/")
        return f"pkg:ebuild/{_quoted(category)}/{_quoted(own)}@{version}"
    vendor = release.get("ID") or VENDORS[one.manager]
    distro = "-".join(filter(None, (release.get("ID"), release.get("VERSION_ID"))))
    qualifiers = {"arch": one.architecture, "distro": distro, "upstream": source}
    text = "&".join(f"{key}={_quoted(value)}" for key, value in qualifiers.items() if value)
    return f"pkg:{kind}/{_quoted(vendor)}/{name}@{version}{'?' + text if text else ''}"


def _quoted(text: str) -> str:
    return quote(text, safe=":~-._")


def _dependencies(one: Installed, fields: Mapping[str, str], provided: Mapping[str, str]) -> tuple[str, ...]:
    """Return the installed packages that one needs; of alternatives the first that is installed."""
    found = []
    groups = [*fields.get("Pre-Depends", "").split(","), *fields.get("Depends", "").split(",")]
    wanted = [[re.split(r"[\s(:]", option.strip())[0] for option in group.split("|")] for group in groups]
    wanted += [[re.split(r"[<>=~]", option)[0]] for option in fields.get("D", "").split()]
    for options in wanted:
        met = next((provided[name] for name in options if name in provided), "")
        if met and met != one.name:
            found.append(met)
    return tuple(sorted(set(found)))


# Licences


def _licence_names(one: Installed, fields: Mapping[str, str], system: System) -> list[str]:
    """Return the licences that a package names: apk's own field, else Debian's machine-readable copyright."""
    if fields.get("L"):
        return [name for name in re.split(r"\s+(?:AND|OR|WITH)\s+|[()\s]+", fields["L"]) if name]
    text = system.text(f"usr/share/doc/{one.name}/copyright")
    if not re.match(r"\s*Format:", text):
        return []
    found = re.findall(r"^License:[ \t]*(\S[^\n]*)$", text, re.MULTILINE)
    names = (name for line in found for name in re.split(r",?\s+(?:and|or)\s+|,\s*", line.strip()))
    return list(dict.fromkeys(name.strip() for name in names if name.strip()))


def spdx_id(name: str) -> str:
    """Return the identifier of the SPDX list for a licence as Debian or Alpine names it; empty for others."""
    own = SPDX_IDS.get(name.lower())
    if own:
        return own
    if name in SPDX_IDS.values():
        return name
    match = _GNU.fullmatch(name)
    if match is None:
        return ""
    family, number = match[1].upper(), match[2] if "." in match[2] else f"{match[2]}.0"
    if family == "GFDL" and number not in {"1.1", "1.2", "1.3"}:
        return ""
    if (family, number) not in _GNU_VERSIONS and family != "GFDL":
        return ""
    return f"{family}-{number}-{'or-later' if match[4] in {'+', '-or-later'} else 'only'}"


_GNU_VERSIONS = {
    ("GPL", "1.0"), ("GPL", "2.0"), ("GPL", "3.0"), ("LGPL", "2.0"), ("LGPL", "2.1"), ("LGPL", "3.0"),
    ("AGPL", "1.0"), ("AGPL", "3.0"),
}  # fmt: skip
