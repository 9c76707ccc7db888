"""Files that an engine lays over an image in each container."""

import pytest

from stalker.formats.tar.header import new_header
from stalker.rootfs.overlay import is_left_out, is_stub


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (b".dockerenv", True),
        (b"dev/null", True),
        (b"dev", False),
        (b"devices/x", False),
        (b"etc/hosts", False),
    ],
)
def test_marks_and_the_content_of_runtime_directories_are_left_out(path, expected):
    """The directories themselves stay: a system mounts there."""
    assert is_left_out(path) is expected


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (new_header(b"etc/hosts", b"0", mode=0o644, mtime_s=0), True),
        (new_header(b"etc/hosts", b"2", mode=0o644, mtime_s=0).renamed(b"etc/hosts", b"x"), False),
        (new_header(b"etc/mtab", b"2", mode=0o644, mtime_s=0).renamed(b"etc/mtab", b"/proc/mounts"), True),
        (
            new_header(b"etc/mtab", b"2", mode=0o644, mtime_s=0).renamed(b"etc/mtab", b"/proc/self/mounts"),
            False,
        ),
        (new_header(b"etc/passwd", b"0", mode=0o644, mtime_s=0), False),
    ],
)
def test_empty_files_and_the_link_of_the_engine_are_stubs(header, expected):
    assert is_stub(header) is expected
