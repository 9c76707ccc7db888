"""File systems that are damaged: an edit is made right, or refused, or ends its process, and nothing else."""

from __future__ import annotations

import os
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest

from stalker.disk.edit.ext4.editor import Ext4Editor
from stalker.disk.edit.ext4.worker import packed
from stalker.disk.edit.view import FileView
from stalker.errors import StalkerError
from unit.helpers import damaged_ext4

if TYPE_CHECKING:
    from pathlib import Path

ROUNDS = 75

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, bytes]]:
    folder = tmp_path_factory.mktemp("whole")
    return folder, damaged_ext4.make(folder)


@pytest.mark.parametrize("profile", damaged_ext4.PROFILES)
def test_no_damage_is_made_worse(whole: tuple[Path, dict[str, bytes]], profile: str) -> None:
    """No exception of ours; what e2fsck finds after an edit, it found before."""
    folder, images = whole
    blocks = damaged_ext4.interesting(images[profile], folder)
    made = 0
    for seed in range(ROUNDS):
        outcome = damaged_ext4.run(damaged_ext4.damaged(images[profile], blocks, seed), folder)
        assert outcome.how != "an exception", (seed, (folder / "exception").read_text())
        assert not outcome.harm, seed
        made += outcome.how == "made"
    assert made, "damage that an edit does not meet is not in its way"


def test_a_sound_one_stays_sound(whole: tuple[Path, dict[str, bytes]]) -> None:
    folder, images = whole
    for content in images.values():
        assert damaged_ext4.run(content, folder) == damaged_ext4.Outcome("made")


def test_blocks_that_belong_to_nobody_are_not_freed(whole: tuple[Path, dict[str, bytes]]) -> None:
    """A file whose map leads into the table of inodes is not replaced: the table would be given to others."""
    folder, images = whole
    image = folder / "crossed"
    image.write_bytes(images["ext2"])
    env = damaged_ext4.ENVIRON
    shown = subprocess.run(
        ["dumpe2fs", str(image)], capture_output=True, text=True, check=True, env=env
    ).stdout
    table = shown.split("Inode table at ")[1].split("-")[0]
    request = f"set_inode_field /etc/hostname block[0] {table}"
    subprocess.run(["debugfs", "-w", "-R", request, str(image)], capture_output=True, check=True, env=env)
    content = image.read_bytes()

    assert damaged_ext4.run(content, folder).how == "refused"


def test_an_editor_that_hangs_or_crashes_ends_that_edit_alone(
    whole: tuple[Path, dict[str, bytes]],
) -> None:
    """The error names it; the image is as it was, and the next edit works."""
    folder, images = whole
    image = folder / "hung"
    image.write_bytes(images["plain"])
    descriptor = os.open(image, os.O_RDWR)
    editor = Ext4Editor(FileView(descriptor), 0, damaged_ext4.SIZE, mtime_s=5)
    process = editor._worker._process
    os.kill(process.pid, signal.SIGSTOP)  # it stops, as one that hangs
    with pytest.raises(StalkerError, match="the editor of ext4 ended") as raised:
        editor._worker.ask(packed({"do": "look", "paths": []}), 0.2)
    assert "too long" in raised.value.details
    assert process.returncode == -signal.SIGKILL

    editor = Ext4Editor(FileView(descriptor), 0, damaged_ext4.SIZE, mtime_s=5)
    os.kill(editor._worker._process.pid, signal.SIGSEGV)
    with pytest.raises(StalkerError, match="the editor of ext4 ended") as raised:
        editor.look(["/etc"])
    assert "SIGSEGV" in raised.value.details
    assert image.read_bytes() == images["plain"]
    os.close(descriptor)


def test_the_package_of_a_missing_library_is_named(
    whole: tuple[Path, dict[str, bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, images = whole
    image = folder / "unread"
    image.write_bytes(images["plain"])
    monkeypatch.setattr("stalker.disk.edit.ext4.libext2fs.LIBRARY", "libext2fs.so.none")

    with pytest.raises(StalkerError, match=r"libext2fs.so.none is missing") as raised:
        damaged_ext4.edit_file(image)

    assert "libext2fs2" in raised.value.resolution
    assert "e2fsprogs-libs" in raised.value.resolution
