"""What is new between two root file systems, in the words of a release."""

from __future__ import annotations

import hashlib

import pytest

from stalker.app.releases import packages_in
from stalker.history.changes import SECTIONS, as_document, as_markdown, as_text, changes_between
from stalker.history.system import read_system
from unit.helpers.tars import folder, hard_link, link, make_tar, member

CONF = b"a=1\n"
MD5 = hashlib.md5(CONF).hexdigest()


def status(*packages):
    stanzas = [
        f"Package: {name}\nStatus: install ok installed\nVersion: {version}\nInstalled-Size: {size}\nConffiles:\n /etc/a.conf {MD5}\n"
        for name, version, size in packages
    ]
    return "\n".join(stanzas).encode()


OLD = make_tar(
    folder("etc"),
    ("etc/passwd", b"root:x:0:0:root:/root:/bin/sh\nold:x:100:100::/:/bin/sh\n"),
    ("etc/group", b"root:x:0:\nsudo:x:27:\n"),
    ("etc/shadow", b"root:$6$secret:1\n"),
    ("etc/apt/sources.list", b"# comment\ndeb  http://deb.debian.org/debian bookworm main\n"),
    ("etc/a.conf", CONF),
    link("etc/systemd/system/multi-user.target.wants/ssh.service", "/lib/systemd/system/ssh.service"),
    (member("usr/bin/su", mode=0o4755), b"1"),
    (member("usr/bin/mount", mode=0o4755), b"1"),
    hard_link("usr/bin/su2", "usr/bin/su"),
    ("var/lib/dpkg/status", status(("bash", "5.2-1", 100), ("gone", "1", 5), ("back", "2.0", 7))),
)
NEW = make_tar(
    folder("etc"),
    ("etc/passwd", b"root:x:0:0:root:/root:/bin/bash\npi:x:1000:1000::/home/pi:/bin/sh\n"),
    ("etc/group", b"root:x:0:\nsudo:x:27:pi\n"),
    ("etc/shadow", b"root:$6$other:1\n"),
    ("etc/apt/sources.list", b"deb http://deb.debian.org/debian trixie main\n"),
    ("etc/a.conf", b"a=2\n"),
    link("etc/systemd/system/multi-user.target.wants/cron.service", "/lib/systemd/system/cron.service"),
    (member("usr/bin/su", mode=0o755), b"1"),
    (member("usr/bin/mount", mode=0o4755), b"1"),
    hard_link("usr/bin/su2", "usr/bin/su"),
    (member("usr/bin/ping", pax_headers={"SCHILY.xattr.security.capability": "\x01"}), b"1"),
    ("var/lib/dpkg/status", status(("bash", "5.2-2", 200), ("new|one", "1", 3), ("back", "1.0", 7))),
)


@pytest.fixture(scope="module")
def found():
    old, new = read_system([OLD]), read_system([NEW])
    versions = [{one.name: one.version for one in packages_in(system)} for system in (old, new)]
    return changes_between(old, new, *versions)


def test_each_section_has_its_differences(found):
    """Nothing of /etc/shadow is among them."""
    assert {name: [(one.did, one.name) for one in items] for name, items in found.sections.items()} == {
        "packages": [("changed", "back"), ("changed", "bash"), ("removed", "gone"), ("added", "new|one")],
        "rights": [("added", "/usr/bin/ping"), ("removed", "/usr/bin/su"), ("removed", "/usr/bin/su2")],
        "users": [
            ("changed", "group sudo"),
            ("removed", "user old"),
            ("added", "user pi"),
            ("changed", "user root"),
        ],
        "units": [("added", "cron.service"), ("removed", "ssh.service")],
        "sources": [
            ("removed", "deb http://deb.debian.org/debian bookworm main"),
            ("added", "deb http://deb.debian.org/debian trixie main"),
        ],
        "configuration": [("added", "/etc/a.conf")],
    }
    assert "secret" not in as_text(found) + as_markdown(found, "a", "b") + str(as_document(found))


def test_a_package_shows_its_size_and_whether_it_went_back(found):
    notes = {one.name: one.note for one in found.sections["packages"]}

    assert notes == {"back": "older", "bash": "+100 KiB", "gone": "-5 KiB", "new|one": "+3 KiB"}


def test_changes_read_as_text_and_as_markdown(found):
    """A name cannot break a table."""
    text, page = as_text(found), as_markdown(found, "v1", "v2")

    assert "  ~ bash  5.2-1 -> 5.2-2  (+100 KiB)" in text
    assert "  + user pi  1000:1000::/home/pi:/bin/sh" in text
    assert "  + cron.service" in text
    assert page.startswith("# Changes from v1 to v2\n")
    assert "| new\\|one |  | 1 | +3 KiB |" in page
    assert "- removed: ssh.service" in page
    assert text.splitlines()[-1].startswith("2 paths added, 8 changed, 1 removed; ")


def test_a_system_is_the_same_as_itself():
    system = read_system([OLD])

    same = changes_between(system, system, {"a": "1"}, {"a": "1"})

    assert same.is_empty
    assert all(not same.sections[name] for name in SECTIONS)
