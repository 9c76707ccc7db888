"""Pieces of an image that are written all or not at all."""

import os

import pytest

from stalker.disk.edit import write_ahead
from stalker.disk.edit.write_ahead import changes_of, recover, write_pieces
from stalker.errors import StalkerError

OLD = b"o" * 8192
PIECES = [(100, b"N" * 1000), (4096, b"N" * 512)]


def with_pieces(old=OLD):
    new = bytearray(old)
    for start, data in PIECES:
        new[start : start + len(data)] = data
    return bytes(new)


class Killed(BaseException):
    """In the place of a kill."""


@pytest.fixture
def image(tmp_path):
    path = tmp_path / "card.img"
    path.write_bytes(OLD)
    return path


def killed_after(image, monkeypatch, writes):
    """Write the pieces, and be killed after some calls that write, each of which writes 512 bytes at most."""
    left = [writes]
    real = os.pwrite

    def pwrite(descriptor, data, start):
        if not left[0]:
            raise Killed
        left[0] -= 1
        return real(descriptor, data[: 512 - start % 512], start)

    with monkeypatch.context() as patch, image.open("r+b", buffering=0) as stream:
        patch.setattr(write_ahead.os, "pwrite", pwrite)
        with pytest.raises(Killed):
            write_pieces(image, stream.fileno(), PIECES)


def recovered(image):
    with image.open("r+b", buffering=0) as stream:
        return recover(image, stream.fileno())


def test_pieces_are_written_and_nothing_stays_beside_the_image(image):
    """What was begun is finished in one go."""
    with image.open("r+b", buffering=0) as stream:
        write_pieces(image, stream.fileno(), PIECES)
    assert image.read_bytes() == with_pieces()
    assert list(image.parent.iterdir()) == [image]
    assert recovered(image) == ""


@pytest.mark.parametrize("writes", [1, 2, 3])
def test_a_kill_in_the_middle_is_finished_by_the_next(image, monkeypatch, writes):
    """Half of it is never left."""
    killed_after(image, monkeypatch, writes)
    assert image.read_bytes() not in {OLD, with_pieces()}
    assert "finished" in recovered(image)
    assert image.read_bytes() == with_pieces()
    assert not changes_of(image).exists()


def test_a_kill_before_the_first_piece_leaves_the_old_image(image, monkeypatch):
    """What lay ready is not written into an image that may be a fresh copy of the same one."""
    killed_after(image, monkeypatch, 0)
    assert "forgotten" in recovered(image)
    assert image.read_bytes() == OLD
    assert not changes_of(image).exists()


def test_changes_are_not_written_into_a_fresh_copy(image, monkeypatch):
    """Of the copy nothing else was written: it would be half of what it was to be."""
    killed_after(image, monkeypatch, 2)
    image.unlink()
    image.write_bytes(OLD)
    assert "forgotten" in recovered(image)
    assert image.read_bytes() == OLD


def test_changes_are_not_written_into_another_image(image, monkeypatch):
    """An image that took the place since stays as it is."""
    killed_after(image, monkeypatch, 2)
    image.write_bytes(b"x" * 8192)
    assert "another image" in recovered(image)
    assert image.read_bytes() == b"x" * 8192


def test_an_image_that_was_changed_in_between_is_left_alone(image, monkeypatch):
    """Half of ours and something else: neither is known to be right."""
    killed_after(image, monkeypatch, 1)
    with image.open("r+b") as stream:
        stream.seek(4096)
        stream.write(b"x" * 512)
    was = image.read_bytes()
    with pytest.raises(StalkerError, match="cannot be finished"):
        recovered(image)
    assert image.read_bytes() == was


def test_changes_that_are_damaged_are_not_written(image, monkeypatch):
    """A record that is not whole tells nothing."""
    killed_after(image, monkeypatch, 1)
    with changes_of(image).open("r+b") as stream:
        stream.seek(100)
        stream.write(b"x")
    was = image.read_bytes()
    with pytest.raises(StalkerError, match="cannot be finished"):
        recovered(image)
    assert image.read_bytes() == was
