from __future__ import annotations

import pytest

from stalker.config.quantities import duration_s, size_bytes


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("10m", 600), ("1h30m", 5400), ("1h1m1s", 3661), ("5", 5), ("0.5", 0.5)],
)
def test_a_duration_is_seconds(text, seconds):
    """Hours, minutes, seconds, or a number."""
    assert duration_s(text) == seconds


@pytest.mark.parametrize("text", ["", "0", "0s", "-1", "ten", "1d", "1m1h", "1 m", "1e3", "9" * 12])
def test_what_is_no_duration_is_refused(text):
    """Zero is none either: a step would never run."""
    with pytest.raises(ValueError, match="duration"):
        duration_s(text)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1", 1),
        ("1k", 1024),
        ("2G", 2 * 1024**3),
        ("1.5m", 1572864),
        ("64MiB", 64 * 1024**2),
        ("1KB", 1024),
        ("3b", 3),
    ],
)
def test_a_size_is_bytes(text, size):
    """Units are powers of 1024, as the engine has them."""
    assert size_bytes(text) == size


@pytest.mark.parametrize("text", ["", "g", "-1", "1x", "1 2", "1gg"])
def test_what_is_no_size_is_refused(text):
    """The form is in the message."""
    with pytest.raises(ValueError, match="no size"):
        size_bytes(text)
