"""Disk images of this host: verified, and decompressed where they are packed."""

import gzip
import hashlib
import lzma
import zipfile

import pytest

from stalker.errors import InputError, NotGenuine
from stalker.fetch.base.disk_image import published_image, raw_image
from stalker.model.diagnostics import Place
from stalker.model.tree import DiskBase

HERE = Place("trees/t/t.hjson", 3, 9)
RAW = b"a disk" * 10_000 + bytes(1 << 20)


def quiet(_):
    pass


def base_of(path, checksum=""):
    return DiskBase(str(path), HERE, checksum or f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}")


def pack(path, ending):
    target = path / f"x{ending}"
    match ending:
        case ".img":
            target.write_bytes(RAW)
        case ".img.gz":
            target.write_bytes(gzip.compress(RAW))
        case ".img.xz":
            target.write_bytes(lzma.compress(RAW))
        case _:
            with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
                archive.writestr("x.img", RAW)
    return target


@pytest.mark.parametrize("ending", [".img", ".img.gz", ".img.xz", ".zip"])
def test_an_image_is_decompressed_whatever_packs_it(tmp_path, ending):
    """And nothing of it is left in the cache; one that is raw is not copied."""
    path, cache = pack(tmp_path, ending), tmp_path / "cache"
    said = []

    with raw_image(base_of(path), tmp_path, cache, said.append) as raw:
        assert raw.read_bytes() == RAW
        assert (raw == path) == (ending == ".img")

    assert not cache.exists() or list(cache.iterdir()) == []
    assert said[0] == f"verifying {path.name}"


def test_an_image_that_is_another_one_is_refused(tmp_path):
    """With both digests; another algorithm counts as well."""
    path = pack(tmp_path, ".img")
    right = f"sha512:{hashlib.sha512(RAW).hexdigest()}"
    with published_image(base_of(path, right), tmp_path, tmp_path, quiet) as found:
        assert found == path

    with (
        pytest.raises(NotGenuine, match=r"x\.img"),
        published_image(base_of(path, "sha256:" + "0" * 64), tmp_path, tmp_path, quiet),
    ):
        pass


def test_an_image_that_is_missing_is_told_with_its_place(tmp_path):
    """The error leads to the line of the tree."""
    with (
        pytest.raises(InputError, match="cannot be read") as error,
        published_image(DiskBase("no.img", HERE, ""), tmp_path, tmp_path, quiet),
    ):
        pass

    assert str(HERE) in error.value.resolution
