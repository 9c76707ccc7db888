"""Credentials in the files of an image, with the line that they are in."""

import pytest

from stalker.artifacts.gates.secrets_in_files import find_credential, may_hold_credentials


@pytest.mark.parametrize(
    ("path", "content", "expected"),
    [
        (b"root/.netrc", b"machine x\nlogin y\npassword z\n", "a password, in line 3"),
        (
            b"etc/wpa_supplicant/w.conf",
            b'network={\n\n  psk="x"\n}\n',
            "the password of a wireless network, in line 3",
        ),
        (b"root/.ssh/id", b"-----BEGIN OPENSSH PRIVATE KEY-----\n", "a private key, in line 1"),
        (b"root/.ssh/id.pub", b"ssh-ed25519 AAAA\n", ""),
        (b"opt/x", b"-----BEGIN PRIVATE KEY-----\n", ""),
    ],
)
def test_a_credential_is_reported_with_its_line(path, content, expected):
    """Only in files where programs look for credentials."""
    assert find_credential(path, content) == expected
    assert may_hold_credentials(path) or not expected
