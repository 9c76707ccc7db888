"""Block maps: ours, those of bmap-tools, and broken ones."""

import hashlib

import pytest

from stalker.disk.pack import bmap_text
from stalker.errors import InputError
from stalker.formats.bmap import Range, find_map, read_map

OLD = """<?xml version="1.0" ?>
<bmap version="1.3">
    <ImageSize> 20000 </ImageSize>
    <BlockSize> 4096 </BlockSize>
    <BlocksCount> 5 </BlocksCount>
    <MappedBlocksCount> 2 </MappedBlocksCount>
    <BlockMap>
        <Range sha1="AB"> 0 </Range>
        <Range> 3-4 </Range>
    </BlockMap>
</bmap>
"""


@pytest.fixture
def image(tmp_path):
    path = tmp_path / "x.img"
    with path.open("wb") as file:
        file.write(b"a" * 5000)
        file.seek(1 << 20)
        file.write(b"b")
    return path


def test_a_map_of_ours_is_read_as_it_was_written(image):
    """Ranges in bytes, the last one no longer than the image, each with its checksum."""
    file = image.with_suffix(".bmap")
    file.write_text(bmap_text(image))

    found = read_map(file)

    assert (found.image_bytes, found.checksum) == ((1 << 20) + 1, "sha256")
    assert [(one.begin, one.end) for one in found.ranges] == [(0, 8192), (1 << 20, (1 << 20) + 1)]
    assert found.ranges[1].digest == hashlib.sha256(b"b").hexdigest()
    assert found.mapped_bytes == 8193


def test_an_older_map_is_read_too(tmp_path):
    """Of version 1.3: SHA-1, and ranges without one."""
    file = tmp_path / "x.bmap"
    file.write_text(OLD)

    found = read_map(file)

    assert found.checksum == "sha1"
    assert found.ranges == (Range(0, 4096, "ab"), Range(3 * 4096, 20000))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("<ImageSize> 20000 </ImageSize>", ""),
        ("20000", "many"),
        ("<BlockSize> 4096", "<BlockSize> 0"),
        ("3-4", "0-4"),
        ("3-4", "4-3"),
        ("3-4", "9-12"),
        ("<BlockMap>", "<ChecksumType> crc32 </ChecksumType><BlockMap>"),
    ],
)
def test_a_broken_map_is_an_error_of_the_input(tmp_path, old, new):
    """It would be written wrongly to a card: better not at all."""
    file = tmp_path / "x.bmap"
    file.write_text(OLD.replace(old, new))

    with pytest.raises(InputError, match="no whole block map"):
        read_map(file)


def test_a_map_that_was_changed_is_noticed(image):
    """It has a checksum of itself."""
    file = image.with_suffix(".bmap")
    file.write_text(bmap_text(image).replace("</bmap>", "\n</bmap>"))

    with pytest.raises(InputError) as caught:
        read_map(file)

    assert "its own checksum is wrong" in caught.value.details


@pytest.mark.parametrize("image", ["x.img", "x.img.zst", "x.img.xz", "x.img.gz", "x.zip"])
@pytest.mark.parametrize("name", ["x.bmap", "x.img.bmap"])
def test_the_map_beside_an_image_is_found(tmp_path, image, name):
    """However it is packed."""
    (tmp_path / name).touch()

    expected = None if (image, name) == ("x.zip", "x.img.bmap") else tmp_path / name
    assert find_map(tmp_path / image) == expected
