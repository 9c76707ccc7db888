"""A patch as a file: written whole, and refused when anything of it or of its base is not as it says."""

from __future__ import annotations

import hashlib
import json
import stat
from typing import TYPE_CHECKING, Any

import pytest

from stalker.card.patch import MAGIC, check_base, check_digest, opened_patch, patch_of, write_patch
from stalker.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

BASE = bytes(range(256)) * 32  # 8192 bytes
PIECES = [(512, b"a" * 512), (4096, b"b" * 1024)]


@pytest.fixture
def base(tmp_path: Path) -> Path:
    path = tmp_path / "base.img"
    path.write_bytes(BASE)
    return path


@pytest.fixture
def patch(base: Path, tmp_path: Path) -> Path:
    path = tmp_path / "one.patch"
    with base.open("rb") as stream:
        write_patch(path, patch_of(stream, PIECES, 1_700_000_000), PIECES)
    return path


def test_a_patch_is_read_as_it_was_written(base: Path, patch: Path) -> None:
    """Its header, its pieces; only its owner may read it, and nothing is left beside it."""
    with opened_patch(patch) as (found, pieces):
        assert list(pieces) == PIECES
        assert found.base.sha256 == hashlib.sha256(BASE).hexdigest()
        assert found.was == hashlib.sha256(BASE[512:1024] + BASE[4096:5120]).hexdigest()
        assert (found.size, found.made_at, found.changed_bytes) == (8192, 1_700_000_000, 1536)
        with base.open("rb") as stream:
            check_base(stream, found, "base.img")
            check_digest(stream, found, "base.img", lambda _: None)
    assert stat.S_IMODE(patch.stat().st_mode) == 0o600
    assert {one.name for one in patch.parent.iterdir()} == {"base.img", "one.patch"}


def test_a_failed_write_leaves_what_was_there(patch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The old patch, and no temporary file."""
    was = patch.read_bytes()
    with opened_patch(patch) as (found, _):
        header = found

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_patch(patch, header, [(512, b"x" * 512), PIECES[1]])

    assert patch.read_bytes() == was
    assert {one.name for one in patch.parent.iterdir()} == {"base.img", "one.patch"}


def test_any_byte_of_a_patch_that_differs_is_noticed(patch: Path) -> None:
    """Whatever it says then, it is not what was written."""
    was = patch.read_bytes()
    for at in [*range(40), *range(40, len(was), 7), len(was) - 1]:
        patch.write_bytes(was[:at] + bytes([was[at] ^ 1]) + was[at + 1 :])
        with pytest.raises(InputError), opened_patch(patch):
            pass


@pytest.mark.parametrize("length", [0, 5, 16, 20, 24, 100, -33, -32, -1])
def test_a_patch_that_is_cut_is_noticed(patch: Path, length: int) -> None:
    patch.write_bytes(patch.read_bytes()[:length])

    with pytest.raises(InputError, match=r"is damaged|is not a patch"), opened_patch(patch):
        pass


def test_a_patch_with_more_behind_it_is_noticed(patch: Path) -> None:
    patch.write_bytes(patch.read_bytes() + b"x")

    with pytest.raises(InputError, match="damaged"), opened_patch(patch):
        pass


@pytest.mark.parametrize(
    "changes",
    [
        {"pieces": [[4096, 1024], [512, 512]]},
        {"pieces": [[512, 1024], [1024, 512]]},
        {"pieces": [[513, 512], [4096, 1024]]},
        {"pieces": [[512, 511], [4096, 1025]]},
        {"pieces": [[512, 0], [4096, 1536]]},
        {"pieces": [[512, 512], [8192, 1024]]},
        {"pieces": [[512, 512], [-512, 1024]]},
        {"pieces": [["512", 512], [4096, 1024]]},
        {"pieces": [[512, 512, 1], [4096, 1024]]},
        {"pieces": {}},
        {"pieces": 7},
        {"size": 4096},
        {"size": True},
        {"base": {"sha256": "0" * 63, "size": 8192}},
        {"base": {"sha256": "Z" * 64, "size": 8192}},
        {"base": None},
        {"made_at": 1.5},
        {"was": None},
        {"tool": 1},
        {"more": 1},
    ],
    ids=repr,
)
def test_a_header_that_makes_no_sense_is_refused(patch: Path, changes: dict[str, Any]) -> None:
    """Though all its digests are right: somebody else may have made it."""
    whole = patch.read_bytes()
    start = len(MAGIC) + 8
    length = int.from_bytes(whole[len(MAGIC) : start], "little")
    header = json.loads(whole[start : start + length]) | changes
    text = json.dumps(header, sort_keys=True, separators=(",", ":")).encode()
    body = MAGIC + len(text).to_bytes(8, "little") + text + whole[start + length : -32]
    patch.write_bytes(body + hashlib.sha256(body).digest())

    with pytest.raises(InputError, match="is damaged"), opened_patch(patch):
        pass


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (BASE[:-512], "shorter"),
        (BASE + b"x", "longer"),
        (BASE[:600] + b"x" + BASE[601:], "where the patch changes it"),
        (BASE[:-1] + b"x", "its SHA-256"),
    ],
)
def test_another_image_than_the_base_is_refused(base: Path, patch: Path, content: bytes, words: str) -> None:
    base.write_bytes(content)

    def check() -> None:
        with opened_patch(patch) as (found, _), base.open("rb") as stream:
            check_base(stream, found, "base.img")
            check_digest(stream, found, "base.img", lambda _: None)

    with pytest.raises(InputError, match="not the base of this patch") as raised:
        check()
    assert words in raised.value.details


def test_a_last_sector_may_be_cut_by_the_end_of_the_image(tmp_path: Path) -> None:
    base, patch = tmp_path / "odd.img", tmp_path / "odd.patch"
    base.write_bytes(b"x" * 700)
    pieces = [(512, b"y" * 188)]
    with base.open("rb") as stream:
        write_patch(patch, patch_of(stream, pieces, 0), pieces)

    with opened_patch(patch) as (found, read):
        assert list(read) == pieces
        assert found.size == 700
