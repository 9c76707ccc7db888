"""Password hashes as the systems of the images verify them."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from stalker.formats.sha512_crypt import begins_as_hash, hashed, is_hash


@pytest.mark.skipif(not shutil.which("openssl"), reason="openssl is not installed")
@pytest.mark.parametrize("password", [b"a", b"Hello world!", "pässwörd".encode(), b"x" * 64, b"y" * 129])
@pytest.mark.parametrize("salt", ["s", "saltstring", "./0123456789abcd"])
def test_a_hash_is_that_of_openssl(password, salt):
    """With the rounds that are not written."""
    argv = ["openssl", "passwd", "-6", "-salt", salt, "-stdin"]
    said = (
        subprocess.run(argv, input=password + b"\n", capture_output=True, check=True).stdout.decode().strip()
    )

    assert hashed(password, salt, 5000) == said
    assert is_hash(said)


def test_other_rounds_are_in_the_hash():
    """A vector of the specification."""
    assert hashed(b"Hello world!", "saltstringsaltst", 10000) == (
        "$6$rounds=10000$saltstringsaltst$OW1/O6BYHV6BcXZu8QVeXbDWra3Oeqh0sbHbbMCVNSnCM/UrjmM0Dp8vOuZeHBy/YTBmSK6H9qs/"
        "y3RnOaw5v."
    )


@pytest.mark.parametrize("text", ["", "password", "$6$", "$6$salt$short", "$9$x$y"])
def test_what_is_not_a_whole_hash_is_not_taken_for_one(text):
    assert not is_hash(text)


def test_a_cut_hash_begins_as_one():
    """So it is not hashed again by mistake."""
    assert begins_as_hash("$6$salt$short")
    assert not begins_as_hash("pa$$word")
