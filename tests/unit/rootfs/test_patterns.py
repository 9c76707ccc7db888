"""Patterns over the paths of an image."""

import pytest

from stalker.errors import EngineError
from stalker.rootfs.patterns import check_name, matcher


@pytest.mark.parametrize(
    ("pattern", "path", "is_match"),
    [
        ("/etc/*.conf", b"etc/a.conf", True),
        ("/etc/*.conf", b"etc/d/a.conf", False),
        ("/etc/**/a", b"etc/a", True),
        ("/etc/**/a", b"etc/x/y/a", True),
        ("/etc/**/a", b"etcetera/a", False),
        ("/var/log", b"var/log/x/y", True),
        ("/var/log", b"var/logs", False),
        ("/var/log/**", b"var/log", False),
        ("/a?c", b"abc", True),
        ("/a?c", b"a/c", False),
        ("/a.c", b"abc", False),
        ("/[a]", b"a", False),
        ("/", b"anything", True),
        ("/x/*", b"x/two\nlines", True),
        ("/caf\udce9", b"caf\xe9", True),
    ],
)
def test_a_pattern_matches_a_path_or_a_directory_above_it(pattern, path, is_match):
    """`*` within a name, `**` over directories, `?` one character; all else literally."""
    assert matcher([pattern])(path) is is_match


def test_no_pattern_matches_nothing():
    assert not matcher([])(b"etc")


@pytest.mark.parametrize(("path", "is_refused"), [(b"a/../b", True), (b"..", True), (b"a/..b", False)])
def test_a_path_that_leads_out_of_the_image_is_refused(path, is_refused):
    if not is_refused:
        check_name(path)
        return
    with pytest.raises(EngineError):
        check_name(path)
