"""Images that are made of a stream."""

from __future__ import annotations

import io
import tarfile

import pytest

from stalker.engine.fake import FakeEngine
from stalker.errors import InputError
from stalker.fetch.base.import_image import Maker


class Greedy(FakeEngine):
    """An engine that makes an image as soon as a tar is whole, whatever becomes of the stream."""

    seen = b""

    def import_rootfs(self, stream, *args, **more):
        for piece in stream:
            self.seen += piece
        return super().import_rootfs([self.seen], *args, **more)


def whole_tar(size):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        entry = tarfile.TarInfo("file")
        entry.size = size
        archive.addfile(entry, io.BytesIO(b"x" * size))
    return buffer.getvalue()


def in_pieces(data, size, failure=None):
    for start in range(0, len(data), size):
        yield data[start : start + size]
    if failure is not None:
        raise failure


@pytest.mark.parametrize("piece", [100, 4096, 1 << 20])
@pytest.mark.parametrize("size", [1, 200_000])
def test_a_program_that_fails_after_a_whole_tar_gives_the_engine_no_whole_tar(piece, size):
    """Its exit code comes after its last byte; until then the end of the archive is kept back."""
    engine, data = Greedy(), whole_tar(size)
    maker = Maker(engine, "base", "key", "stalker-test/base:1", "")

    with pytest.raises(InputError, match="exit code 25"):
        maker.import_rootfs(in_pieces(data, piece, InputError("exit code 25")), lambda _: None)

    assert data.startswith(engine.seen)
    assert len(engine.seen) < len(data.rstrip(bytes(1)))
    assert engine.labelled_images() == []


@pytest.mark.parametrize("piece", [100, 4096, 1 << 20])
def test_a_stream_that_ends_well_comes_whole(piece):
    """Byte for byte, however it is cut."""
    engine, data = Greedy(), whole_tar(200_000)

    Maker(engine, "base", "key", "stalker-test/base:1", "").import_rootfs(
        in_pieces(data, piece), lambda _: None
    )

    assert engine.seen == data


def test_an_empty_first_chunk_is_not_an_empty_stream():
    """A program may flush before its first byte."""
    engine, data = Greedy(), whole_tar(10)

    Maker(engine, "base", "key", "stalker-test/base:1", "").import_rootfs(iter([b"", data]), lambda _: None)

    assert engine.seen == data
