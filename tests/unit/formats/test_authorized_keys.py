from __future__ import annotations

import shutil
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stalker.formats.authorized_keys import key_of, public_keys
from unit.config.card.texts import ED25519, public_key

POINT = {"nistp256": 65, "nistp384": 97, "nistp521": 133}
RSA = public_key("ssh-rsa", b"\1\0\1", b"\0" + b"\xff" * 256)


@pytest.mark.parametrize(
    "line",
    [
        ED25519,
        f"ssh-rsa {RSA}",
        f"ssh-rsa {RSA} ann@desk and more",
        *(
            f"ecdsa-sha2-{curve} {public_key(f'ecdsa-sha2-{curve}', curve.encode(), bytes(size))} x"
            for curve, size in POINT.items()
        ),
        "sk-ssh-ed25519@openssh.com " + public_key("sk-ssh-ed25519@openssh.com", bytes(32), b"ssh:"),
        f"no-pty {ED25519}",
        f'command="echo \\"hi there\\" #",from="10.0.0.*, *.example.org" {ED25519}',
        f'cert-authority,principals="ann"\t{ED25519}',
    ],
)
def test_a_public_key_is_taken_as_it_is(line):
    """With options before it and a comment behind it."""
    assert public_keys(line) == [line]


@pytest.mark.parametrize("kind", ["ed25519", "rsa", "ecdsa"])
def test_what_ssh_keygen_makes_is_a_key_and_its_other_half_is_refused(tmp_path, kind):
    """The real ones."""
    assert shutil.which("ssh-keygen"), "openssh-client is needed"
    file = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-C", "ann", "-f", file], check=True)
    line = file.with_suffix(".pub").read_text()

    assert public_keys(line) == [line.strip()]
    with pytest.raises(
        ValueError, match="this is a private key: whoever gets the card would have it"
    ) as error:
        public_keys(file.read_text())
    assert file.read_text().splitlines()[2] not in str(error.value)


@pytest.mark.parametrize(
    ("line", "key"),
    [
        (f"{ED25519}", " ".join(ED25519.split()[:2])),
        (f"  no-pty\t{ED25519}", " ".join(ED25519.split()[:2])),
        (f'command="x ssh-rsa {RSA} y" {ED25519}', " ".join(ED25519.split()[:2])),
        (f"ssh-rsa {RSA} {ED25519}", f"ssh-rsa {RSA}"),
        (f"# {ED25519}", ""),
        (f"#{ED25519}", ""),
        (f"some words {ED25519}", ""),
        ("", ""),
    ],
)
def test_a_line_has_the_one_key_that_sshd_reads(line, key):
    """Not a key in a comment, in the value of an option, or behind another one."""
    assert key_of(line) == key


def test_a_second_key_on_a_line_is_refused():
    """Sshd takes it for a comment, and its owner could not log in."""
    with pytest.raises(ValueError, match="a second key is on this line"):
        public_keys(f"ssh-rsa {RSA} ann@desk {ED25519}")


def test_a_text_has_a_key_on_each_line():
    """Comments and empty lines are left out."""
    assert public_keys(f"# of ann\n{ED25519}\n\n  ssh-rsa {RSA}\n") == [ED25519, f"ssh-rsa {RSA}"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "there is no key in it"),
        ("# nothing\n", "there is no key in it"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIE\n", "this is a private key"),
        ("PuTTY-User-Key-File-3: ssh-ed25519", "this is a private key"),
        ("b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQ", "this is a private key"),
        ("---- BEGIN SSH2 PUBLIC KEY ----", "in the form of RFC 4716"),
        ("~/.ssh/id_ed25519.pub", "a path is not a key"),
        ("id_ed25519.pub", "a path is not a key"),
        ("ssh-ed25519", "the key behind it is missing"),
        ("ssh-ed25518 AAAA", "'ssh-ed25518' is not a key type"),
        ("hello", "this is not a public key; a line has a type, the key and a comment"),
        ("ssh-ed25519 AAA!", "is not base64; is the key cut off"),
        (ED25519.split(maxsplit=2)[1][:-4], "this is not a public key"),
        ("ssh-ed25519 " + ED25519.split()[1][:-4], "this ssh-ed25519 is cut off"),
        ("ssh-ed25519 AAAA", "is not a key; is it cut off"),
        ("ssh-ed25519 " + public_key("ssh-ed25519", bytes(31)), "this ssh-ed25519 is damaged"),
        (
            "ssh-ed25519 " + public_key("ssh-ed25519", bytes(32), b"more"),
            "is cut off, or more stands behind it",
        ),
        (f"ssh-ed25519 {RSA}", "the line says ssh-ed25519, and the key in it is ssh-rsa"),
        ("ssh-rsa " + public_key("ssh-rsa", b"\1\0\1", b"\xff" * 96), "a key of 768 bits is too short"),
        ("ssh-dss AAAA", "no DSA keys any more"),
        (
            "ecdsa-sha2-nistp256 " + public_key("ecdsa-sha2-nistp256", b"nistp384", bytes(65)),
            "this ecdsa-sha2-nistp256 is damaged",
        ),
        (f'command="echo {ED25519}', "is a quotation mark missing"),
        (f"{ED25519}\x1b[31m", "control characters"),
    ],
)
def test_what_is_no_public_key_is_refused(text, told):
    """With what it is instead, and never with a private key."""
    with pytest.raises(ValueError, match=told):
        public_keys(text)


@given(st.integers(0, len(ED25519.split()[1]) - 1))
def test_a_key_that_is_cut_anywhere_is_refused(length):
    """Copied from a terminal that was too narrow."""
    with pytest.raises(ValueError, match=r"cut off|missing|no key|damaged"):
        public_keys("ssh-ed25519 " + ED25519.split()[1][:length])
