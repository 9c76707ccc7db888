"""A disk without a boot test: its machine is recognised by its files."""

from __future__ import annotations

import os
import subprocess

import pytest

from stalker.boot.guess_test import ARM64_MAGIC, guess_test
from stalker.boot.machines import Part
from stalker.errors import StalkerError

PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
ARM64 = bytes(ARM64_MAGIC[0]) + ARM64_MAGIC[1] + bytes(1000)


class HostTool:
    """The tools of this host, in place of the container of tools."""

    def run(self, argv, stdin=None, environment=None):
        """Run a tool; raise as the container of tools does."""
        done = subprocess.run(
            argv,
            input=b"".join(stdin or ()),
            capture_output=True,
            check=False,
            env={"PATH": PATH, **(environment or {})},
        )
        if done.returncode:
            raise StalkerError(f"{argv[0]} failed", done.stderr.decode())
        return done.stdout


def ext4_disk(tmp_path, files):
    """Return an image that is one ext4 with these files; None is a directory."""
    root = tmp_path / "root"
    root.mkdir()
    for name, content in files.items():
        if content is None:
            (root / name).mkdir()
        else:
            (root / name).write_bytes(content)
    image = tmp_path / "disk.img"
    subprocess.run(
        ["mke2fs", "-q", "-F", "-t", "ext4", "-d", str(root), str(image), "8M"],
        check=True,
        env={"PATH": PATH},
    )
    return str(image)


ROOT = Part(1, "root", "ext4", 0, 8 << 20)


@pytest.mark.parametrize("name", ["vmlinuz-6.1", "Image"])
def test_a_kernel_in_an_ext4_is_recognised_with_its_architecture(tmp_path, name):
    """Its first bytes give the architecture, and that the machine."""
    disk = ext4_disk(tmp_path, {name: ARM64, "initrd.img-6.1": b"x"})

    test = guess_test(HostTool(), disk, [ROOT])

    assert (test.machine, test.architecture) == ("virt", "aarch64")
    assert test.kernel.startswith("root:")
    assert test.initrd == "root:initrd*"


@pytest.mark.parametrize("files", [{"images": None}, {"Image": None}, {"image.txt": b"x"}])
def test_what_only_resembles_a_kernel_is_not_taken_for_one(tmp_path, files):
    """A directory `images` in the root directory: the user is asked for a machine, without a traceback."""
    disk = ext4_disk(tmp_path, files)

    with pytest.raises(StalkerError) as error:
        guess_test(HostTool(), disk, [ROOT])

    assert "--machine" in error.value.resolution
