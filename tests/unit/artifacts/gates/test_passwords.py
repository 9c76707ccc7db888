"""Passwords of an image: well-known ones are found, whatever hashes them."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from stalker.artifacts.gates import passwords
from stalker.artifacts.gates.gates import Finding, Hygiene
from stalker.artifacts.gates.passwords import WELL_KNOWN, find_crypt
from stalker.formats.tar.header import new_header
from stalker.model.artifacts import Artifact, Gates, Rootfs
from stalker.model.diagnostics import Place
from stalker.rootfs.filter import Content
from unit.helpers.tars import folder, make_tar

if TYPE_CHECKING:
    from collections.abc import Sequence


PLACE = Place("trees/t/t.hjson")
RESOLVERS = frozenset({"10.1.2.3"})
ROOTFS = Rootfs("x.tar")
YESCRYPT = "$y$j9T$F5Jx5fExrKuPp53xLKQ..1$"


def crypt(word, setting):
    made = find_crypt()
    assert made is not None
    return made(word.encode(), setting.encode()).decode()


def look(*members, gates=None, writes=(), kind="pax") -> Sequence[Finding]:
    """Pass members through an artifact and return what its gates found."""
    hygiene = Hygiene(gates or Gates(), RESOLVERS)
    artifact = Artifact("a", "s", PLACE, ROOTFS, writes=writes)
    content = Content(artifact, made_s=1_000_000, watchers=[hygiene])
    for _ in content.stream([make_tar(folder("etc"), *members, kind=kind)]):
        pass
    return hygiene.findings()


@pytest.mark.parametrize("setting", ["$6$saltsalt$", "$5$saltsalt$", "$1$saltsalt$", YESCRYPT, "sa"])
@pytest.mark.parametrize(
    ("account", "word"), [("root", "raspberry"), ("pi", "pi"), ("operator", "operator"), ("root", "")]
)
def test_a_well_known_password_is_found_with_any_hash(setting, account, word):
    """Debian's yescrypt and Gentoo's SHA-512 among them; an account's own name is tried too."""
    (found,) = look(("etc/shadow", f"{account}:{crypt(word, setting)}:19000:0:99999:7:::\n".encode()))

    assert (found.gate, found.path) == ("default_passwords", "/etc/shadow")
    assert found.what.startswith(f"{account} has ")
    assert (f"'{word}'" if word else "an empty password") in found.what


@pytest.mark.parametrize("setting", ["$6$saltsalt$", YESCRYPT])
def test_a_password_of_ones_own_passes(setting):
    assert look(("etc/shadow", f"root:{crypt('correct horse', setting)}:19000::::::\n".encode())) == ()


def test_a_locked_account_may_have_any_hash():
    """Nobody gets in with a password, and unlocking is a deed of its own."""
    assert look(("etc/shadow", f"root:!{crypt('root', '$6$s$')}:19000::::::\n".encode())) == ()


def test_a_finding_contains_neither_hash_nor_password():
    """Findings are written to manifests and logs: they say what is wrong and keep the secret."""
    hashed = crypt("root", "$6$saltsalt$")
    found = look(("etc/shadow", f"root:{hashed}:1::::::\npi:hunter2:1::::::\n".encode()))

    assert len(found) == 2
    assert not any("hunter2" in str(one) or hashed in str(one) for one in found)


def test_a_hash_of_an_unknown_method_is_reported(monkeypatch):
    """A hash that could not be tried does not pass."""
    monkeypatch.setattr(passwords, "find_crypt", lambda: None)

    (found,) = look(("etc/shadow", b"root:$6$saltsalt$abc:19000::::::\n"))

    assert "so it was not tried" in found.what


def test_a_hash_that_this_host_does_not_know_is_tried_in_the_toolbox(monkeypatch):
    """By perl, whose crypt is that of Debian: the same words, the same answer."""
    monkeypatch.setattr(passwords, "find_crypt", lambda: None)
    lines = [f"root:{crypt('toor', YESCRYPT)}:1::::::", f"pi:{crypt('my own', YESCRYPT)}:1::::::"]

    def run(argv, stdin):
        return subprocess.run(argv, input=b"".join(stdin), capture_output=True, check=True).stdout

    hygiene = Hygiene(Gates(), RESOLVERS, run)
    header = new_header(b"etc/shadow", b"0", mode=0o640, mtime_s=0).filled(b"x")
    hygiene.see(b"etc/shadow", header, "\n".join(lines).encode())

    assert [one.what for one in hygiene.findings()] == [
        "root has the password 'toor', which a stranger tries first"
    ]


def test_the_list_has_no_password_twice():
    assert len(set(WELL_KNOWN)) == len(WELL_KNOWN)
