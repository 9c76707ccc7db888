"""A card is not touched before what can be known of the image is known."""

from __future__ import annotations

import gzip
import os
import zipfile

import pytest

from stalker.app.card_images.write import write_image_to_card
from stalker.disk.pack import bmap_text
from stalker.errors import InputError, PlanError, StalkerError
from unit.helpers.card_bases import BOOT, ROOT, make_base
from unit.helpers.loops import blank, loop_device

MIB = 1 << 20
CARD_BYTES = 48 * MIB
OLD = b"what was on the card before" * 1000


class Quiet:
    """Collects lines."""

    def __init__(self):
        self.lines = []

    def say(self, text):
        self.lines.append(text)

    def moved(self, *_task):
        pass

    def check(self):
        pass


@pytest.fixture
def card(tmp_path):
    return blank(tmp_path / "card", CARD_BYTES, OLD)


def write(image, card, **options):
    """Write an image without a question, and return what was reported."""
    reporter = Quiet()
    with loop_device(card) as device:
        write_image_to_card(image, device, lambda *_: None, reporter, allow_fixed=True, **options)
    return reporter.lines


def refused(image, card, error=StalkerError):
    """Return what is reported of an image that is refused; the card is as it was."""
    before = card.read_bytes()
    with pytest.raises(error) as caught:
        write(image, card)
    assert card.read_bytes() == before
    return f"{caught.value.brief}; {caught.value.details}; {caught.value.resolution}"


def zipped(path, members, **options):
    with zipfile.ZipFile(path, "w", **options) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def test_what_is_not_an_image_is_refused_and_forced(tmp_path, card):
    text = tmp_path / "x.img"
    text.write_text("404 not found\n")

    assert "it holds text" in refused(text, card, PlanError)
    write(text, card, force=True)
    assert card.read_bytes().startswith(b"404 not found\n")


def test_what_is_in_a_compressed_file_counts(tmp_path, card):
    text = tmp_path / "x.img.gz"
    text.write_bytes(gzip.compress(b"404 not found\n" * 10000))

    assert "it holds text" in refused(text, card, PlanError)


def test_a_zip_of_several_images_is_refused_with_their_names(tmp_path, card):
    archive = zipped(tmp_path / "x.zip", {"a.img": b"a", "b.IMG": b"b", "README": b"c"})

    assert "holds several images; a.img, b.IMG; extract" in refused(archive, card, InputError)


def test_an_encrypted_zip_is_refused(tmp_path, card):
    archive = zipped(tmp_path / "x.zip", {"a.img": b"a"})
    data = bytearray(archive.read_bytes())
    data[6] |= 1
    data[data.index(b"PK\1\2") + 8] |= 1
    archive.write_bytes(data)

    assert "a.img is encrypted" in refused(archive, card, InputError)


def test_a_zip_of_another_method_is_refused(tmp_path, card):
    archive = zipped(tmp_path / "x.zip", {"a.img": b"a"})
    data = bytearray(archive.read_bytes())
    for at in (8, data.index(b"PK\1\2") + 10):
        data[at] = 9
    archive.write_bytes(data)

    assert "a.img is compressed by method 9 deflate64" in refused(archive, card, InputError)


def test_what_macos_adds_to_a_zip_is_skipped(tmp_path, card):
    image = make_base(tmp_path / "x.img", [BOOT])
    members = {"X.IMG": image.read_bytes(), "__MACOSX/._X.IMG": b"Mac OS X", "._y.img": b"Mac OS X"}

    write(zipped(tmp_path / "x.zip", members, compression=zipfile.ZIP_DEFLATED), card)

    assert card.read_bytes().startswith(image.read_bytes())


def test_a_gzip_that_is_certainly_too_large_is_refused(tmp_path, card):
    image = tmp_path / "x.img.gz"
    image.write_bytes(gzip.compress(bytes(510) + b"\x55\xaa" + bytes(CARD_BYTES), 1))

    refused(image, card, PlanError)


@pytest.mark.parametrize("ending", ["", ".gz"])
def test_an_image_that_is_not_that_of_its_map_is_refused(tmp_path, card, ending):
    """It was changed after the map was made."""
    image = make_base(tmp_path / "x.img", [BOOT, ROOT])
    (tmp_path / "x.bmap").write_text(bmap_text(image))
    with image.open("r+b") as file:
        file.seek(100 * 512)
        file.write(b"changed")
    if ending:
        image.with_name("x.img.gz").write_bytes(gzip.compress(image.read_bytes(), 1))

    said = refused(image.with_name(f"x.img{ending}"), card, InputError)

    assert "x.bmap is the map of another image" in said
    assert "--whole" in said


def test_an_old_map_without_checksums_is_not_used(tmp_path, card):
    image = make_base(tmp_path / "x.img", [BOOT])
    blocks = image.stat().st_size // 4096
    old = tmp_path / "x.bmap"
    old.write_text(
        f"<bmap><ImageSize> {image.stat().st_size} </ImageSize><BlockSize> 4096 </BlockSize>"
        f"<BlocksCount> {blocks} </BlocksCount><Range> 0-1 </Range></bmap>"
    )
    os.utime(old, (1, 1))

    lines = write(image, card)

    assert lines == ["x.bmap has no checksums and is older than x.img: it is not used, all is written"]
    assert card.read_bytes().startswith(image.read_bytes())
