"""ssh.authorized_key: who may log in with an SSH key."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.docker

BLOB = "AAAAC3NzaC1lZDI1NTE5AAAAIJk0i2mmQd4L0ZsRtC0ZJhDnnOc0Cq0mGv2eVnHhYd7r"
KEY = f"ssh-ed25519 {BLOB} pi@example.org"
OTHER = f"ssh-ed25519 {BLOB[:-1]}s other@example.org"
KEYS = "/home/pi/.ssh/authorized_keys"


@pytest.fixture
def pi(machine):
    """A machine with the user pi."""
    machine.read("useradd -m pi")
    return machine


def test_a_key_is_added_privately_and_a_second_time_changes_nothing(pi):
    """Folder and file belong to the user alone, as sshd wants."""
    first = pi.use("ssh.authorized_key", account="pi", key=KEY)
    listing = pi.listing()
    second = pi.use("ssh.authorized_key", account="pi", key=KEY)

    assert (first.code, second.code) == (0, 0), first.output + second.output
    assert pi.read(f"cat {KEYS}") == KEY
    assert pi.read(f"stat -c '%a %U %G' /home/pi/.ssh {KEYS}") == "700 pi pi\n600 pi pi"
    assert pi.read(f"ssh-keygen -l -f {KEYS}").startswith("256 SHA256:")
    assert pi.listing() == listing


def test_other_keys_stay_and_options_are_replaced(pi):
    """The same key with options is one key; the neighbour and a comment are not touched."""
    pi.read(f"mkdir /home/pi/.ssh; printf '# mine\\n{OTHER}\\n{KEY}\\n{KEY} again\\n' > {KEYS}")

    ran = pi.use("ssh.authorized_key", account="pi", key=KEY, options='restrict,command="echo hi"')

    assert ran.code == 0, ran.output
    assert pi.read(f"cat {KEYS}") == f'# mine\n{OTHER}\nrestrict,command="echo hi" {KEY}'


def test_a_key_is_taken_out(pi):
    """With options or another comment it is the same key; a second time changes nothing."""
    pi.read(f"mkdir /home/pi/.ssh; printf '{OTHER}\\nno-pty {KEY} old\\n' > {KEYS}")

    first = pi.use("ssh.authorized_key", account="pi", key=KEY, state="absent")
    listing = pi.listing()
    second = pi.use("ssh.authorized_key", account="pi", key=KEY, state="absent")

    assert (first.code, second.code) == (0, 0), first.output + second.output
    assert pi.read(f"cat {KEYS}") == OTHER
    assert pi.listing() == listing


REFUSED = [
    ({"account": "nobody-here"}, "there is no 'nobody-here'"),
    ({"account": "nobody"}, "has no home directory"),
    ({"key": "-----BEGIN OPENSSH PRIVATE KEY-----\nabc"}, "this is a private key"),
    ({"key": f"{KEY}\n{OTHER}"}, "line break"),
    ({"key": "ssh-dss AAAAB3 a"}, "DSA"),
    ({"key": "hello"}, "not a public key type"),
    ({"key": "ssh-ed25519 hello"}, "not a public key"),
    ({"key": "ssh-ed25519 AAAA$(id)"}, "not a public key"),
    ({"key": ""}, "not a public key type"),
    ({"state": "on"}, "neither present nor absent"),
]


@pytest.mark.parametrize(("arguments", "message"), REFUSED, ids=[f"{row[0]}"[:40] for row in REFUSED])
def test_what_cannot_be_is_refused_and_nothing_changes(pi, arguments, message):
    """It fails, says why, and leaves everything as it was."""
    listing = pi.listing()

    ran = pi.use("ssh.authorized_key", **({"account": "pi", "key": KEY} | arguments))

    assert ran.code == 1
    assert message in ran.output
    assert pi.listing() == listing
