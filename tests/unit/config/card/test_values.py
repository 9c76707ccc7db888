from __future__ import annotations

import pytest

from stalker.config.card.conversions import DIGITS
from stalker.model.card import Digest
from unit.config.card.texts import created, refused

# checksums


@pytest.mark.parametrize("algorithm", sorted(DIGITS))
def test_a_checksum_has_the_digits_of_its_algorithm(algorithm):
    """In either spelling and case."""
    value = "0aF" * 50
    digits = value[: DIGITS[algorithm]]
    dashed = algorithm.replace("sha", "sha-")

    for name in (algorithm, algorithm.upper(), dashed, dashed.upper()):
        assert checksum(f"{{algo: {name}, value: {digits}}}") == Digest(algorithm, digits.lower())
    assert f"it has {DIGITS[algorithm]} digits of 0-9a-f" in told(f"{{algo: {dashed}, value: {digits}a}}")[0]


def checksum(text):
    return (
        created(f"files: [{{to: /data/a, url: 'https://a.example', checksum: {text}}}]\n")
        .files[0]
        .source.digest
    )


def told(text):
    return refused(f"files: [{{to: /data/a, url: 'https://a.example', checksum: {text}}}]\n")


def test_a_checksum_of_digits_alone_is_taken_as_written():
    """YAML would make a number of it, with or without the zero before it."""
    assert checksum("{algo: adler32, value: 01234567}") == Digest("adler32", "01234567")
    assert checksum("{algo: adler32, value: 12345678}") == Digest("adler32", "12345678")
    assert checksum("{algo: adler32, value: 1234e567}") == Digest("adler32", "1234e567")


def test_a_checksum_can_stand_at_an_address():
    """It is read when it is needed."""
    url = "https://example.org/a.md5"

    assert checksum(f"{{algo: md5, value: '{url}', kind: url}}") == Digest("md5", url, is_url=True)
    assert checksum(f"{{algo: md5, value: {'a' * 32}, kind: digest}}") == Digest("md5", "a" * 32)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "{algo: sha265, value: a}",
            "algo: 'sha265' is not a known checksum; did you mean 'sha256'?",
        ),
        ("{algo: crc, value: a}", "algo: 'crc' is not a known checksum; known: adler32, md5, sha1"),
        (
            "{algo: md5, value: abc}",
            "value: 'abc' is not a valid md5 -- it has 32 digits of 0-9a-f, this has 3",
        ),
        (
            "{algo: md5, value: %s}" % ("a" * 64),
            "is not a valid md5 -- it has 32 digits of 0-9a-f, this has 64, as sha256 has",
        ),
        ("{algo: md5, value: YOLO}", "value: 'YOLO' is not a valid md5 -- it has 32 digits of 0-9a-f"),
        ("{algo: md5, value: 'https://a.example'}", "value: an address is not a checksum -- add kind: url"),
        ("{algo: md5, value: a.md5, kind: url}", "value: 'a.md5' is not an address"),
        ("{algo: md5, value: a, kind: uri}", "kind: 'uri' is not possible here -- did you mean 'url'?"),
        ("{algo: md5}", "files.0.checksum: the key 'value' is missing"),
        ("{value: abc}", "files.0.checksum: the key 'algo' is missing"),
        ("{algo: md5, value: [a]}", "value: must be text, a number, true or false, is a list"),
        ("abc", "files.0.checksum: must be a mapping, is text"),
    ],
)
def test_what_is_no_checksum_is_told(text, expected):
    """Before anything is downloaded."""
    found = told(text)

    assert found
    assert expected in found[0] or expected in found[-1]
