"""Extended attributes, set in a finished ext4 by debugfs."""

from __future__ import annotations

import os
import subprocess

import pytest

from stalker.artifacts.disk.xattrs import put_xattrs
from stalker.errors import StalkerError

ENVIRONMENT = {"PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"}


class HostTool:
    """The tools of this host, in place of the container of tools."""

    def run(self, argv, stdin=None, environment=None):
        """Run a tool."""
        return subprocess.run(
            argv, input=b"".join(stdin or ()), capture_output=True, check=True, env=environment or ENVIRONMENT
        ).stdout


@pytest.fixture
def image(tmp_path):
    (tmp_path / "root").mkdir()
    (tmp_path / "root/a b").write_bytes(b"x")
    argv = [
        "mke2fs",
        "-q",
        "-F",
        "-t",
        "ext4",
        "-I",
        "256",
        "-d",
        f"{tmp_path}/root",
        f"{tmp_path}/x.img",
        "8M",
    ]
    subprocess.run(argv, check=True, env=ENVIRONMENT)
    (tmp_path / "work").mkdir()
    return tmp_path / "x.img"


def put(image, *xattrs):
    put_xattrs(HostTool(), str(image), str(image.parent / "work"), xattrs, ENVIRONMENT)


def test_a_binary_value_is_set_on_a_name_with_a_space(image):
    """All bytes arrive; the temporary files are removed."""
    put(image, (b"a b", b"user.note", b"\0\xff\n"))

    argv = ["debugfs", "-R", 'ea_get -f /dev/stdout "/a b" user.note', str(image)]
    said = subprocess.run(argv, check=True, capture_output=True, env=ENVIRONMENT).stdout
    assert said == b"\0\xff\n"
    assert list((image.parent / "work").iterdir()) == []


@pytest.mark.parametrize("path", [b'a"b', b"a\nb"])
def test_a_path_that_debugfs_cannot_take_is_refused(image, path):
    """A quote would end the path, a line break the command."""
    with pytest.raises(StalkerError, match="extended attributes"):
        put(image, (path, b"user.note", b"1"))


def test_a_refusal_of_debugfs_is_an_error(image):
    """The tool ends with 0 even then."""
    with pytest.raises(StalkerError, match="could not be kept"):
        put(image, (b"missing", b"user.note", b"1"))
