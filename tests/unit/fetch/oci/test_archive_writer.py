"""Archives of images are as large as announced, the same each time, and readable by others."""

import hashlib
import json
import tarfile

import pytest

from stalker.fetch.oci.archive_writer import archive_bytes, layer_name, unique, write_archive
from stalker.fetch.oci.manifest import Layer
from stalker.model.image_name import parse_image_name

NAME = parse_image_name("docker.io/a/b:1")
CONFIG = b'{"rootfs": {}}'
CONFIG_DIGEST = f"sha256:{hashlib.sha256(CONFIG).hexdigest()}"


@pytest.fixture
def layers(tmp_path):
    """Two layers, one of them named twice, and their files."""
    found, files = [], {}
    for number, packing in ((1, "gzip"), (700, "")):
        data = bytes([number % 256]) * number
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        files[digest] = tmp_path / str(number)
        files[digest].write_bytes(data)
        found.append(Layer(digest, number, packing))
    return [*found, found[0]], files


def test_an_archive_is_as_large_as_announced_and_the_same_each_time(layers, tmp_path):
    """A plan counts on it."""
    found, files = layers
    for name in ("x", "y"):
        write_archive(tmp_path / name, NAME, CONFIG_DIGEST, CONFIG, found, files)

    assert (tmp_path / "x").stat().st_size == archive_bytes(NAME, CONFIG_DIGEST, CONFIG, found)
    assert (tmp_path / "x").read_bytes() == (tmp_path / "y").read_bytes()


def test_an_archive_has_the_manifest_first_and_each_layer_once(layers, tmp_path):
    """As `docker load` takes it; the manifest names a layer as often as the image has it."""
    found, files = layers
    write_archive(tmp_path / "x", NAME, CONFIG_DIGEST, CONFIG, found, files)

    with tarfile.open(tmp_path / "x") as archive:
        names = archive.getnames()
        (manifest,) = json.load(archive.extractfile("manifest.json"))
        content = archive.extractfile(layer_name(found[1])).read()
    assert names == ["manifest.json", manifest["Config"], *(layer_name(one) for one in unique(found))]
    assert manifest["Layers"] == [layer_name(one) for one in found]
    assert manifest["RepoTags"] == ["a/b:1"]
    assert content == b"\xbc" * 700


def test_the_size_is_unknown_where_a_layer_is_unpacked_for_it():
    """Docker 20 does not load Zstandard."""
    assert archive_bytes(NAME, CONFIG_DIGEST, CONFIG, [Layer(CONFIG_DIGEST, 5, "zstd")]) is None
