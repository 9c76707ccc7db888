from __future__ import annotations

import os
import stat
import time

import pytest

from stalker.config import read_tree, read_tree_cached
from stalker.config.tree import cache as compiled
from stalker.config.tree.evidence import stat_of
from stalker.errors import FilesError


@pytest.fixture
def cache(space, tmp_path_factory):
    """A workspace whose files are old, and an empty cache."""
    space.write("sysroot/etc/x", "1")
    space.write("data/y", "1")
    (space.root / "data/link").symlink_to("y")
    os.mkfifo(space.root / "data/pipe")
    space.write("run.sh", "#!/bin/sh\n")
    space.write("v1/z", "1")
    space.write("v2/z", "2")
    (space.root / "current").symlink_to("v1")
    (space.root / "sysroot/linked").symlink_to("../current")
    mounts = "d: { path: 'data', bind: '/data' }\n e: { path: 'current', bind: '/e' }\n"
    space.stalk(mounts + " go: { exec: true, V: '', path: 'run.sh' }")
    space.write("content/z", "1")
    partition = "a: { filesystem: 'ext4', directory: 'content' }"
    space.tree(f"V: 1\n artifacts: {{ d: {{ disk: 'd.img', partitions: {{ {partition} }} }} }}")
    return tmp_path_factory.mktemp("cache") / "trees"


def read(space, cache, **overrides):
    return read_tree_cached("t", str(space.root), overrides, cache=str(cache))


def count_readings(monkeypatch):
    """Count how often files are really read."""
    from stalker.config.tree import load

    calls = []
    real = load.load_tree
    monkeypatch.setattr(load, "load_tree", lambda *args: calls.append(args) or real(*args))
    return calls


def test_an_unchanged_tree_is_read_once(space, cache, monkeypatch):
    """The second run takes what the first one kept."""
    calls = count_readings(monkeypatch)

    first, second = read(space, cache), read(space, cache)

    assert first == second == read_tree("t", str(space.root))
    assert len(calls) == 2  # one by the cache, one by read_tree


def retarget(link, target):
    link.unlink()
    link.symlink_to(target)


CHANGES = {
    "the tree": lambda s: s.tree("V: 2"),
    "a stalk": lambda s: s.stalk("go: { exec: true, text: '#!/bin/sh' }"),
    "a script": lambda s: s.write("run.sh", "#!/bin/sh\necho\n"),
    "a script of the same length": lambda s: s.write("run.sh", "#!/bin/ah\n"),
    "a mode": lambda s: (s.root / "sysroot/etc/x").chmod(0o755),
    "a file of the sysroot": lambda s: s.write("sysroot/etc/x", "2"),
    "a new file of the sysroot": lambda s: s.write("sysroot/etc/new", "2"),
    "a mounted folder": lambda s: s.write("data/deep/z", "2"),
    "a content in a mounted folder": lambda s: s.write("data/y", "2"),
    "a mode in a mounted folder": lambda s: (s.root / "data/y").chmod(0o600),
    "the mode of a mounted folder": lambda s: (s.root / "data").chmod(0o711),
    "the mode of a pipe in a mounted folder": lambda s: (s.root / "data/pipe").chmod(0o600),
    "an owner in a mounted folder": lambda s: os.chown(s.root / "data/y", 7, 7),
    "where a link in a mounted folder leads": lambda s: retarget(s.root / "data/link", "z"),
    "where a link to a mounted folder leads": lambda s: retarget(s.root / "current", "v2"),
    "a content on a disk": lambda s: s.write("content/z", "2"),
    "an artifact": lambda s: s.tree("V: 1\n artifacts: { d: { rootfs: 'd.tar' } }"),
    "the folder of artifacts": lambda s: s.tree("V: 1", "paths: { ARTIFACTS_DIR: 'out' }"),
    "a new helper": lambda s: s.write("plugins/lib/bash/x.sh", "2"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
@pytest.mark.parametrize("age_s", [0, 3600], ids=["young", "old"])
def test_any_change_is_seen(space, cache, change, age_s):
    """Whatever decided the tree: contents, modes, what is in a folder; also within one tick of the clock."""
    then = time.time() - age_s
    for path in (space.root, *space.root.rglob("*")):
        if path.exists():
            os.utime(path, (then, then))
    before = read(space, cache)

    change(space)

    after = read(space, cache)
    assert after == read_tree("t", str(space.root))
    assert after != before


def test_a_change_that_stat_cannot_tell_is_seen_while_the_file_is_young(space, cache):
    """Same length, same times, same inode: the content of a young file is looked at."""
    read(space, cache)
    script = space.root / "run.sh"
    found = script.stat()
    real = compiled.is_same

    answers = []

    def as_if_stat_said_nothing(signed):
        path = str(script)
        what, value, _, is_young = signed[path]
        answers.append(real({**signed, path: (what, value, stat_of(path), is_young)}))
        return answers[-1]

    script.write_text("#!/bin/ah\n")
    os.utime(script, ns=(found.st_atime_ns, found.st_mtime_ns))
    compiled.is_same, keep = as_if_stat_said_nothing, compiled.is_same
    try:
        tree = read(space, cache)
    finally:
        compiled.is_same = keep

    assert answers == [False]
    assert tree.stalks[0].steps[0].script.interpreter == ("/bin/ah",)


@pytest.mark.parametrize("name", ["run.sh", "data/y", "sysroot/etc/x"])
def test_a_change_while_a_file_is_read_is_seen_by_the_next_reading(space, cache, monkeypatch, name):
    """The evidence is what was there before the reading, not after it."""
    path = space.root / name
    then = time.time() - 3600
    for one in (space.root, *space.root.rglob("*")):
        if one.exists():
            os.utime(one, (then, then))
    from stalker.config.tree import load

    real = load.load_tree

    def changing(*args):
        reading = real(*args)
        path.write_text("#!/bin/ah\n")
        return reading

    monkeypatch.setattr(load, "load_tree", changing)
    before = read(space, cache)
    monkeypatch.setattr(load, "load_tree", real)

    after = read(space, cache)

    assert after == read_tree("t", str(space.root)) != before


def test_what_happens_in_a_writable_folder_does_not_matter(space, cache, monkeypatch):
    """Steps write there in every run."""
    (space.root / "out").mkdir()
    space.stalk("d: { path: 'out', bind: '/d', mode: rw\n}\n go: { exec: true, text: '#!/bin/sh' }")
    read(space, cache)
    calls = count_readings(monkeypatch)

    space.write("out/new", "x")
    read(space, cache)

    assert calls == []


def test_overrides_are_kept_apart(space, cache):
    """--set gives another tree."""
    values = [
        read(space, cache, **o).stalks[0].steps[0].variables[0].value
        for o in ({}, {"V": "2"}, {}, {"V": "3"})
    ]

    assert values == ["1", "2", "1", "3"]


@pytest.mark.parametrize(
    "damage", [b"", b"x" * 100, None, "flip"], ids=["empty", "garbage", "cut", "flipped"]
)
def test_a_broken_cache_is_ignored(space, cache, damage):
    """Whatever stands there, the files are read."""
    whole = read(space, cache)
    (kept,) = cache.iterdir()
    data = kept.read_bytes()
    kept.write_bytes(
        data[:-10] if damage is None else data[:-1] + bytes([data[-1] ^ 1]) if damage == "flip" else damage
    )

    assert read(space, cache) == whole


def test_a_cache_that_others_could_write_is_ignored(space, cache, monkeypatch):
    """Unpickling what another user put there would run their code."""
    read(space, cache)
    (kept,) = cache.iterdir()
    kept.chmod(0o666)
    calls = count_readings(monkeypatch)

    read(space, cache)

    assert len(calls) == 1


def test_the_cache_is_for_its_owner_alone(space, cache):
    """The folder is 0700, the files 0600, and no half-written file is left."""
    read(space, cache)

    assert stat.S_IMODE(cache.stat().st_mode) == 0o700
    assert [stat.S_IMODE(file.stat().st_mode) for file in cache.iterdir()] == [0o600]


def test_a_cache_that_cannot_be_written_does_no_harm(space, tmp_path):
    """A full or read-only disk makes it slower, nothing else."""
    (tmp_path / "file").write_text("")

    assert read(space, tmp_path / "file" / "trees") == read_tree("t", str(space.root))


def test_a_tree_with_problems_is_never_kept(space, cache):
    """The second look tells the same."""
    space.tree("V: 1\n needs: nobody")

    for _ in range(2):
        with pytest.raises(FilesError, match="1 problem"):
            read(space, cache)

    assert not cache.exists()


def test_old_trees_make_room(space, cache, monkeypatch):
    """The cache does not grow for ever."""
    monkeypatch.setattr(compiled, "KEPT_MAX", 2)

    for value in "abcd":
        read(space, cache, V=value)

    assert len(list(cache.iterdir())) == 2
