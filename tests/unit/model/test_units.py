from __future__ import annotations

import pytest

from stalker.model.units import age_text, duration_s, size_text


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (12_345, "12.3 kB"),
        (999_499, "999 kB"),
        (999_500, "1.0 MB"),
        (512_716_800, "513 MB"),
        (1_400_000_000, "1.4 GB"),
        (5 * 10**12, "5.0 TB"),
    ],
)
def test_sizes_read_as_docker_shows_them(size, text):
    assert size_text(size) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "0 s"),
        (59, "59 s"),
        (61, "1 min"),
        (3600, "1 h"),
        (47 * 3600, "47 h"),
        (48 * 3600, "2 d"),
        (21 * 86400, "3 weeks"),
        (800 * 86400, "2 years"),
    ],
)
def test_ages_are_one_number(seconds, text):
    assert age_text(seconds) == text


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("30m", 1800), ("12h", 43200), ("7d", 604800), ("1d12h", 129600)]
)
def test_durations_are_read(text, seconds):
    assert duration_s(text) == seconds


@pytest.mark.parametrize("text", ["", "7", "d", "7 days", "-7d", "7x"])
def test_what_is_no_duration_is_refused(text):
    with pytest.raises(ValueError, match="no duration"):
        duration_s(text)
