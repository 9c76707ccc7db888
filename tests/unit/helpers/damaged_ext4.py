"""File systems of the ext family that are damaged at random, and what an edit makes of each.

    PYTHONPATH=lib:tests python tests/unit/helpers/damaged_ext4.py 10000 [FIRST]

Each edit runs in a process of its own, as it does in the worker. An edit may be refused, or made; it may end its
process; no other exception may leave it; and where e2fsck found nothing before, it finds nothing after. What it finds
after in one that was damaged before is compared by kind: an edit does not bring a new one, but for those that follow
of what was there: a block that two files had, or an inode with fewer names counted than it has, is freed with the one,
and a block that a damaged file has and the map calls free is given to another. To see that, all inodes would have to be
read, as a checker does.
"""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from stalker.disk.edit.ext4.filesystem import FileSystem
from stalker.disk.edit.view import Overlay
from stalker.errors import StalkerError
from stalker.formats.fs.entry import Entry

if TYPE_CHECKING:
    from collections.abc import Sequence

PROFILES = {
    "checksums": ("-t", "ext4", "-b", "1024", "-O", "metadata_csum,64bit"),
    "plain": ("-t", "ext4", "-b", "4096", "-O", "^metadata_csum,^64bit,^huge_file"),
    "ext3": ("-t", "ext3", "-b", "1024"),
    "ext2": ("-t", "ext2", "-b", "1024", "-I", "128", "-O", "^dir_index"),
}
SIZE = 3 << 20
LIMIT_S = 20
FOLLOWS = {
    "Multiplyclaimed block": ("Block bitmap differences:", "Fix? no"),
    "Block bitmap differences:": ("Multiplyclaimed block", "Running additional", "Clone", "Delete file?"),
    "Inode ref count is ,": ("Entry in", "Clear? no"),
}
"""Kind of a problem -> those that come of it once one of the two is freed."""
ENVIRON = {**os.environ, "PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin", "LC_ALL": "C.UTF-8"}
ENTRIES = [
    Entry("/etc/hostname", size_bytes=7),
    Entry("/etc/many/new name", size_bytes=5000, xattrs=((b"user.long", b"v" * 600),)),
    Entry("/home/ann/.ssh/authorized_keys", size_bytes=100, mode=0o600, uid=1000),
    Entry("/etc/large", size_bytes=300_000),
    Entry("/etc/link", "link", target="x" * 80),
    Entry("/etc/linked", "hardlink", target="/etc/hostname"),
    Entry("/etc/passwd", size_bytes=2000),
]


class Outcome(NamedTuple):
    """What an edit came to: made, refused, a signal or an exception; and what e2fsck says again."""

    how: str
    harm: tuple[str, ...] = ()


def make(folder: Path) -> dict[str, bytes]:
    """Make a sound file system of each profile, with files in it."""
    root = folder / "root"
    (root / "etc/many").mkdir(parents=True)
    (root / "home").mkdir()
    for number in range(300):
        (root / f"etc/many/{number} {'n' * 20}").write_bytes(b"%d" % number)
    (root / "etc/large").write_bytes(os.urandom(200_000))
    for name in ("hostname", "passwd", "link"):
        (root / "etc" / name).write_text(name * 10)
    os.link(root / "etc/passwd", root / "etc/same")
    found = {}
    for name, options in PROFILES.items():
        image = folder / name
        argv = ["mke2fs", "-q", "-F", *options, "-d", str(root), str(image), f"{SIZE >> 10}k"]
        subprocess.run(argv, check=True, env=ENVIRON, capture_output=True)
        found[name] = image.read_bytes()
    return found


def interesting(content: bytes, folder: Path) -> list[int]:
    """Return the blocks of 1 KiB that an edit reads: damage elsewhere is not met."""
    seen: set[int] = set()

    class Spy(Overlay):
        def pread(self, count: int, at: int) -> bytes:
            seen.update(range(at // 1024, (at + count - 1) // 1024 + 1))
            return super().pread(count, at)

    image = folder / "spied"
    image.write_bytes(content)
    with image.open("rb") as stream:
        _edit(Spy(stream.fileno()))
    return sorted(seen)


def damaged(content: bytes, blocks: Sequence[int], seed: int) -> bytes:
    """Return a file system with some bytes changed, or a block lost or misplaced."""
    chance = random.Random(seed)
    data = bytearray(content)
    for _ in range(chance.choice((1, 1, 1, 2, 3, 10, 40))):
        at = chance.choice(blocks) * 1024
        match chance.randrange(8):
            case 0:
                data[at : at + 1024] = bytes(1024)
            case 1:
                other = chance.choice(blocks) * 1024
                data[at : at + 1024] = data[other : other + 1024]
            case 2:
                start = at + chance.randrange(255) * 4
                data[start : start + 4] = chance.choice(
                    (b"\xff\xff\xff\xff", b"\0\0\0\x80", chance.randbytes(4))
                )
            case _:
                data[at + chance.randrange(1024)] = chance.randrange(256)
    return bytes(data)


def run(content: bytes, folder: Path) -> Outcome:
    """Edit a file system in a process of its own, and say what it became."""
    image, made = folder / f"before{os.getpid()}", folder / f"after{os.getpid()}"
    image.write_bytes(content)
    child = os.fork()
    if not child:
        os._exit(_child(image, made))
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return Outcome(signal.Signals(os.WTERMSIG(status)).name)
    how = {0: "made", 3: "refused"}.get(os.WEXITSTATUS(status), "an exception")
    if how != "made":
        return Outcome(how)
    after = _problems(made)
    before = _problems(image) if after else set()
    follows = tuple(more for kind, later in FOLLOWS.items() if _has(before, kind) for more in later)
    return Outcome(how, tuple(sorted(one for one in after - before if not one.startswith(follows))))


def _has(problems: set[str], kind: str) -> bool:
    return any(one.startswith(kind) for one in problems)


def _child(image: Path, made: Path) -> int:
    signal.alarm(LIMIT_S)
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 2)
    try:
        with image.open("rb") as stream:
            overlay = Overlay(stream.fileno())
            _edit(overlay)
            changes = overlay.changes()
        whole = bytearray(image.read_bytes())
        for at, data in changes:
            whole[at : at + len(data)] = data
        made.write_bytes(whole)
    except StalkerError:
        return 3
    except BaseException:  # noqa: BLE001 - told by the exit code
        import traceback

        (image.parent / "exception").write_text(traceback.format_exc())
        return 4
    return 0


def edit_file(image: Path) -> None:
    """Edit an image in this process, and forget it."""
    with image.open("rb") as stream:
        _edit(Overlay(stream.fileno()))


def _edit(overlay: Overlay) -> None:
    files = FileSystem(overlay, 0, SIZE, mtime_s=1_700_000_000)
    files.look(["/etc/passwd", "/etc/link", "/nothing/here"])
    files.read("/etc/passwd")
    files.put(ENTRIES)
    files.finish()


def _problems(image: Path) -> set[str]:
    """Return the kinds of problems that e2fsck finds, without numbers and names."""
    done = subprocess.run(
        ["e2fsck", "-fn", str(image)],
        capture_output=True,
        text=True,
        check=False,
        env=ENVIRON,
        errors="replace",
    )
    if not done.returncode:
        return set()
    text = done.stdout.replace(str(image), str(image.parent))
    lines = re.sub(r"['\"<(].*?['\">)]|\d+|[+-]", "", text).splitlines()
    skipped = (
        "Pass",
        "File ",
        "has multiplyclaimed",
        "(There are",
        str(image.parent),
    )  # they go with another one
    return {" ".join(line.split()[:6]) for line in lines if line.strip() and not line.startswith(skipped)}


def main() -> None:
    """Run as many as were asked for."""
    count, first = int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0
    memory = "/dev/shm"
    with tempfile.TemporaryDirectory(dir=memory if os.path.isdir(memory) else None) as at:
        folder = Path(at)
        whole = make(folder)
        blocks = {name: interesting(content, folder) for name, content in whole.items()}
        found: dict[str, Counter[str]] = {name: Counter() for name in whole}
        for seed in range(first, first + count):
            name = list(whole)[seed % len(whole)]
            outcome = run(damaged(whole[name], blocks[name], seed), folder)
            found[name][outcome.how] += 1
            if outcome.harm or outcome.how not in {"made", "refused"}:
                found[name]["harm"] += bool(outcome.harm)
                text = (folder / "exception").read_text() if outcome.how == "an exception" else ""
                print(seed, name, *outcome, text, flush=True)
        for name, counts in found.items():
            print(name, dict(counts))


if __name__ == "__main__":
    main()
