"""What is not a disk image is named, by the file that the user named."""

from __future__ import annotations

import pytest

from stalker.disk.inspect import read_disk
from stalker.errors import StalkerError


def test_a_decompressed_copy_is_called_as_the_file_of_the_user(tmp_path):
    copy = tmp_path / "disk.img"
    copy.write_text("404 not found\n" * 100)

    with pytest.raises(StalkerError) as caught:
        read_disk(copy, "/home/ann/pi.img.xz")

    assert caught.value.brief == "/home/ann/pi.img.xz is not a disk image"
    assert caught.value.details == "it holds text"
