from __future__ import annotations

import pytest

from stalker.artifacts.packages import Package, Packages
from stalker.model.artifacts import Artifact, Rootfs
from stalker.model.diagnostics import Place
from stalker.rootfs.filter import Content
from unit.helpers.tars import folder, make_tar

STATUS = b"""Package: sed
Status: install ok installed
Architecture: armhf
Version: 4.9-1
Description: stream editor
 Version: no field

Package: gone
Status: deinstall ok config-files
Architecture: armhf
Version: 1.0

Package: half

Package: zlib1g
Status: hold ok installed
Version: 1:1.3
Architecture: armhf
"""
INSTALLED = b"C:Q1abc=\nP:musl\nV:1.2.4-r2\nA:x86_64\n\nP:noversion\n\nP:busybox\nV:1.36.1-r5\nA:x86_64\n\n"


def seen(*members):
    packages = Packages()
    artifact = Artifact("a", "s", Place("t"), Rootfs("r.tar"))
    content = Content(artifact, made_s=1, watchers=[packages])
    for _ in content.stream([make_tar(*members)]):
        pass
    return packages.all()


def test_dpkg_lists_what_is_installed():
    assert seen(("var/lib/dpkg/status", STATUS)) == (
        Package("dpkg", "sed", "4.9-1", "armhf"),
        Package("dpkg", "zlib1g", "1:1.3", "armhf"),
    )


def test_dpkg_in_parts_is_read_too():
    """As in images without a shell."""
    part = b"Package: tzdata\nVersion: 2024a\nArchitecture: all\n"

    found = seen(("var/lib/dpkg/status.d/tzdata", part), ("var/lib/dpkg/status.d/tzdata.md5sums", b"0 x\n"))

    assert found == (Package("dpkg", "tzdata", "2024a", "all"),)


@pytest.mark.parametrize("path", ["lib/apk/db/installed", "usr/lib/apk/db/installed"])
def test_apk_is_read(path):
    assert seen((path, INSTALLED)) == (
        Package("apk", "busybox", "1.36.1-r5", "x86_64"),
        Package("apk", "musl", "1.2.4-r2", "x86_64"),
    )


def test_portage_tells_by_its_folders():
    found = seen(
        folder("var/db/pkg"),
        folder("var/db/pkg/sys-apps"),
        folder("var/db/pkg/sys-apps/sed-4.9-r1"),
        folder("var/db/pkg/sys-apps/-MERGING-grep-3.11"),
        folder("var/db/pkg/dev-libs"),
        folder("var/db/pkg/dev-libs/libpcre2-10.42"),
        ("var/db/pkg/dev-libs/libpcre2-10.42/SLOT", b"0/3"),
    )

    assert found == (
        Package("portage", "dev-libs/libpcre2", "10.42"),
        Package("portage", "sys-apps/sed", "4.9-r1"),
    )


def test_pacman_tells_by_its_folders():
    assert seen(folder("var/lib/pacman/local/sed-4.9-3")) == (Package("pacman", "sed", "4.9-3"),)


@pytest.mark.parametrize("content", [b"", b"\n\n\n", b"\xff\xfe", b"Package", b": \n :", b"Package: x\n"])
def test_a_broken_list_is_no_list(content):
    assert seen(("var/lib/dpkg/status", content), ("lib/apk/db/installed", content)) == ()
