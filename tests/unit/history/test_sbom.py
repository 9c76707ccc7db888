"""Bills of materials, checked by the libraries of their formats."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from spdx_tools.spdx.parser.parse_anything import parse_file
from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document

from stalker.app.releases import packages_in
from stalker.artifacts.packages import Package
from stalker.history.components import Subject, components_of, purl_of, spdx_id
from stalker.history.sbom import cyclonedx, spdx
from stalker.history.system import read_system
from unit.helpers.tars import folder, make_tar

COPYRIGHT = b"""Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/

Files: *
License: GPL-2+ and Expat

Files: debian/*
License: Odd-1
"""
STATUS = b"""Package: bash
Status: install ok installed
Maintainer: Matthias Klose <doko@debian.org>
Architecture: armhf
Version: 5.2.15-2+b7
Pre-Depends: libc6 (>= 2.36)
Depends: debianutils | none, missing, awk

Package: libc6
Status: install ok installed
Architecture: armhf
Source: glibc (2.36-9)
Version: 2.36-9+deb12u4

Package: mawk
Status: install ok installed
Architecture: armhf
Provides: awk
Version: 1.3.4

Package: libc6
Status: install ok installed
Architecture: arm64
Source: glibc
Version: 2.36-9+deb12u4
"""
DEBIAN = make_tar(
    ("etc/os-release", b'ID=debian\nVERSION_ID="12"\n# x\n'),
    ("var/lib/dpkg/status", STATUS),
    ("usr/share/doc/bash/copyright", COPYRIGHT),
    ("usr/share/doc/libc6/copyright", b"no format, free words\nLicense: GPL\n"),
)
ALPINE = make_tar(
    ("etc/os-release", b"ID=alpine\nVERSION_ID=3.20.1\n"),
    (
        "lib/apk/db/installed",
        b"P:busybox\nV:1.36-r1\nA:x86_64\nL:GPL-2.0-only AND MIT\no:busybox\nD:so:libc.musl-x86_64.so.1\n\nP:musl\nV:1.2\nA:x86_64\np:so:libc.musl-x86_64.so.1=1\n",
    ),
)
GENTOO = make_tar(folder("var/db/pkg/sys-apps"), folder("var/db/pkg/sys-apps/sed-4.9-r1"))
EMPTY = make_tar(("etc/x", b""))
SUBJECT = Subject("debian/arm/pi/stage4:final", "0123456789ab", "0" * 64, 1_700_000_000, "debian", "12")
IMAGES = {"debian": DEBIAN, "alpine": ALPINE, "gentoo": GENTOO, "empty": EMPTY}


def components(tar):
    system = read_system([tar])
    return components_of(system, packages_in(system))


@pytest.mark.parametrize("name", IMAGES)
def test_a_cyclonedx_document_is_valid(name):
    """By the schema of version 1.6, strictly."""
    document = cyclonedx(SUBJECT, components(IMAGES[name]), "1.0")

    problem = JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(document))

    assert problem is None, problem
    refs = [one["bom-ref"] for one in document["components"]]
    assert len(refs) == len(set(refs))
    assert {to for one in document["dependencies"] for to in one["dependsOn"]} <= set(refs)


@pytest.mark.parametrize("name", IMAGES)
def test_an_spdx_document_is_valid(name, tmp_path):
    """By the specification of version 2.3."""
    file = tmp_path / "a.spdx.json"
    file.write_text(json.dumps(spdx(SUBJECT, components(IMAGES[name]), "1.0")))

    document = parse_file(str(file))

    assert validate_full_spdx_document(document) == []


def test_a_package_is_known_as_scanners_know_it():
    """By purl with architecture, distribution and source package; of alternatives the one that is installed."""
    found = {(one.name, one.architecture): one for one in components(DEBIAN)}

    bash = found["bash", "armhf"]
    assert bash.purl == "pkg:deb/debian/bash@5.2.15-2%2Bb7?arch=armhf&distro=debian-12"
    assert bash.depends_on == ("libc6", "mawk")
    assert (bash.licences, bash.other_licences) == (("GPL-2.0-or-later", "MIT"), ("Odd-1",))
    assert bash.supplier == "Matthias Klose <doko@debian.org>"
    assert found["libc6", "armhf"].purl.endswith("&upstream=glibc%402.36-9")
    assert found["libc6", "arm64"].purl.endswith("arch=arm64&distro=debian-12&upstream=glibc")
    assert found["libc6", "armhf"].licences == ()


def test_alpine_and_gentoo_are_read():
    alpine = {one.name: one for one in components(ALPINE)}
    (sed,) = components(GENTOO)

    assert alpine["busybox"].purl == "pkg:apk/alpine/busybox@1.36-r1?arch=x86_64&distro=alpine-3.20.1"
    assert alpine["busybox"].licences == ("GPL-2.0-only", "MIT")
    assert alpine["busybox"].depends_on == ("musl",)
    assert sed.purl == "pkg:ebuild/sys-apps/sed@4.9-r1"


@pytest.mark.parametrize("make", [cyclonedx, spdx])
def test_a_document_is_the_same_for_the_same_image(make):
    """And another one for another image."""
    first, second = (make(SUBJECT, components(DEBIAN), "1.0") for _ in range(2))
    other = make(replace(SUBJECT, key="1" * 64), components(DEBIAN), "1.0")

    assert first == second != other
    assert "2023-11-14T22:13:20Z" in json.dumps(first)


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("GPL-2", "GPL-2.0-only"),
        ("GPL-2+", "GPL-2.0-or-later"),
        ("LGPL-2.1+", "LGPL-2.1-or-later"),
        ("GFDL-1.3", "GFDL-1.3-only"),
        ("BSD-3-clause", "BSD-3-Clause"),
        ("Expat", "MIT"),
        ("GPL-9", ""),
        ("GFDL-2", ""),
        ("public-domain", ""),
        ("GPL", ""),
    ],
)
def test_licences_are_those_of_the_spdx_list(name, found):
    """What is not on it is a name."""
    assert spdx_id(name) == found


def test_a_name_with_odd_characters_stays_one_part_of_its_purl():
    assert purl_of(Package("pacman", "a/b?c", "1:2", "any"), {}) == "pkg:alpm/arch/a%2Fb%3Fc@1:2?arch=any"
