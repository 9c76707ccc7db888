"""Paths in a container that a stalk cannot have, by their names alone."""

from __future__ import annotations

import os

import pytest

GO = 'go: { exec: true, text: "#!/bin/sh\\n" }'
TMPFS = "DOCKER_OPTS: { tmpfs: { '/run/': '' } }"
IN_TMPFS = "which no image holds\n  the tmpfs is at stalks/web/web.hjson:2:18"
THE_ENGINES = "which the engine makes for each container and no image holds\n  choose another path"


@pytest.mark.parametrize("key", ["copy", "bind"])
@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/run/app/conf", f"plugins.a: /run/app/conf is in the tmpfs /run, {IN_TMPFS}"),
        ("/run", f"plugins.a: /run is in the tmpfs /run, {IN_TMPFS}"),
        ("/dev/shm/conf", f"plugins.a: /dev/shm/conf is in /dev, {THE_ENGINES}"),
        ("/dev", f"plugins.a: /dev is in /dev, {THE_ENGINES}"),
        ("/proc/sys/x", f"plugins.a: /proc/sys/x is in /proc, {THE_ENGINES}"),
        ("/sys/x", f"plugins.a: /sys/x is in /sys, {THE_ENGINES}"),
    ],
)
def test_a_file_where_no_layer_is_is_refused(space, key, path, message):
    """It would be there for a moment, or in no image, and nothing would say so."""
    space.stalk(f"a: {{ {key}: '{path}', text: 'x' }}\n {GO}", TMPFS)

    [problem] = space.problems()

    assert problem.startswith("stalks/web/web.hjson:4:5: ")
    assert message in problem


@pytest.mark.parametrize("path", ["/runner", "/etc/dev/x", "/devel", "/system/proc", "/run.d/x"])
def test_a_file_that_is_only_called_alike_is_placed(space, path):
    space.stalk(f"a: {{ copy: '{path}', text: 'x' }}\n {GO}", TMPFS)

    assert space.problems() == []


@pytest.mark.parametrize("path", ["/run/x", "/dev/shm/x", "/proc/x", "/sys/x"])
def test_a_file_of_the_sysroot_where_no_layer_is_is_refused(space, path):
    """Its own path on the host is named."""
    space.write(f"sysroot{path}", "x")
    space.stalk(GO, TMPFS)

    [problem] = space.problems()

    assert problem.startswith(f"sysroot{path}:1:1: {path} is in ")
    assert "no image holds" in problem


@pytest.mark.parametrize("path", ["/etc/hosts", "/etc/hostname", "/etc/resolv.conf"])
def test_a_copy_over_a_file_of_the_engine_is_refused(space, path):
    """No image holds it; the message says where it is written in its place."""
    space.stalk(f"a: {{ copy: '{path}', text: 'x' }}\n {GO}")

    [problem] = space.problems()

    assert f"plugins.a: {path} is the engine's own file in each container, so no image holds" in problem
    assert "`write` it in the artifact" in problem
    assert f"`bind: {path}` is there while steps run" in problem


@pytest.mark.parametrize("path", ["/etc/hosts", "/etc/hostname", "/etc/resolv.conf"])
def test_a_file_of_the_engine_can_be_bound(space, path):
    """By a plugin or the sysroot: it is there while steps run."""
    space.write("sysroot/etc/hosts", "x")
    space.stalk(f"a: {{ bind: '{path}', text: 'x' }}\n {GO}")

    assert space.problems() == []


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/run", "a mount at /run, which is a tmpfs too\n  the tmpfs is at stalks/web/web.hjson:2:18"),
        ("/proc", "the engine cannot mount a directory at /proc\n"),
        ("/proc/x", "the engine cannot mount a directory at /proc/x\n"),
        ("/sys/fs/x", "the engine cannot mount a directory at /sys/fs/x\n"),
        ("/dev", "the engine cannot mount a directory at /dev\n"),
        ("/etc/hosts", "the engine cannot mount a directory at /etc/hosts\n"),
    ],
)
@pytest.mark.parametrize("what", ["path: 'data'", "store: 'cache'"])
def test_a_mount_that_the_engine_refuses_is_refused_before(space, what, path, message):
    space.write("data/x", "1")
    space.stalk(f"a: {{ {what}, bind: '{path}' }}\n {GO}", TMPFS)

    [problem] = space.problems()

    assert f"plugins.a: {message}" in problem


@pytest.mark.parametrize("path", ["/run/x", "/dev/shm", "/dev/shm/x", "/dev/x", "/sys"])
def test_a_mount_in_a_tmpfs_is_taken(space, path):
    """The engine makes the directory there."""
    space.stalk(f"a: {{ store: 'cache', bind: '{path}' }}\n {GO}", TMPFS)

    assert space.problems() == []


def test_a_mount_in_a_mount_is_taken(space):
    space.stalk(
        f"a: {{ store: 'cache', bind: '/x' }}\n b: {{ store: 'more', bind: '/x/y', mode: rw\n }}\n {GO}"
    )

    assert space.problems() == []


def test_a_file_in_a_mount_names_both(space):
    """In a store or a directory, whichever is written first."""
    space.write("data/x", "1")
    space.stalk(
        "a: { copy: '/x/y/z', text: '1' }\n"
        "b: { store: 'cache', bind: '/x' }\n"
        "c: { path: 'data', bind: '/d' }\n"
        f"d: {{ bind: '/d/x', text: '1' }}\n {GO}"
    )

    first, second = space.problems()

    assert first.startswith("stalks/web/web.hjson:4:5: plugins.a: /x/y/z would be written into what is")
    assert "the mount is at stalks/web/web.hjson:5:1" in first
    assert second.startswith("stalks/web/web.hjson:7:1: plugins.d: /d/x would be written into what is")
    assert "the mount is at stalks/web/web.hjson:6:1" in second


def test_a_file_of_the_sysroot_in_a_mount_names_both(space):
    space.write("sysroot/srv/a/b", "x")
    space.stalk(f"a: {{ store: 'cache', bind: '/srv' }}\n {GO}")

    [problem] = space.problems()

    assert problem.startswith("sysroot/srv/a/b:1:1: /srv/a/b would be written into what is mounted at /srv")
    assert "the mount is at stalks/web/web.hjson:4:5" in problem


def test_a_file_in_a_directory_that_the_sysroot_mounts_names_both(space):
    """A link to a directory in the sysroot is a mount."""
    space.write("data/x", "1")
    (space.root / "sysroot").mkdir()
    os.symlink("../data", space.root / "sysroot/git")
    space.stalk(f"a: {{ copy: '/git/y', text: 'x' }}\n {GO}")

    [problem] = space.problems()

    assert problem.startswith("stalks/web/web.hjson:4:5: plugins.a: /git/y would be written into what is")
    assert "the mount is at sysroot/git:1:1" in problem


@pytest.mark.parametrize(
    ("files", "plugins", "place"),
    [
        ([], "a: { bind: '/x/y', text: '' }\n b: { copy: '/x', text: '' }", "stalks/web/web.hjson:5:2"),
        (["x/y"], "a: { bind: '/x', text: '' }", "stalks/web/web.hjson:4:5"),
        (["x"], "a: { bind: '/x/y', text: '' }", "sysroot/x:1:1"),
        (["x"], "a: { store: 'cache', bind: '/x/y' }", "sysroot/x:1:1"),
    ],
)
def test_a_path_below_a_file_is_refused(space, files, plugins, place):
    """A file cannot be a directory too."""
    for file in files:
        space.write(f"sysroot/{file}", "x")
    space.stalk(f"{plugins}\n {GO}")

    [problem] = space.problems()

    assert "/x/y is below /x, which is a file" in problem
    assert f"the file is at {place}" in problem


@pytest.mark.parametrize(
    ("first", "second"),
    [("bind: '/x'", "copy: '/x/'"), ("copy: '/x'", "copy: '//x'"), ("bind: '/x'", "bind: '/./x'")],
)
def test_two_plugins_at_one_path_are_named(space, first, second):
    """By the path as it is meant, not as it is written."""
    space.stalk(f"a: {{ {first}, text: '1' }}\n b: {{ {second}, text: '2' }}\n {GO}")

    [problem] = space.problems()

    assert "plugins.b: two plugins want /x in the container" in problem
    assert "the other one stands at stalks/web/web.hjson:4:5" in problem


def test_a_stalk_file_is_checked_by_itself(space):
    """`check` of the file alone finds them too."""
    from stalker.config.check import check_files

    space.stalk(f"a: {{ copy: '/run/x', text: 'x' }}\n {GO}", TMPFS)

    [problem] = check_files(["stalks/web/web.hjson"], str(space.root))

    assert "/run/x is in the tmpfs /run" in str(problem)


def test_all_of_them_are_reported_at_once(space):
    space.write("sysroot/dev/x", "x")
    space.stalk(f"a: {{ copy: '/run/x', text: 'x' }}\n b: {{ copy: '/etc/hosts', text: 'x' }}\n {GO}", TMPFS)

    assert len(space.problems()) == 3


def test_a_helper_below_a_mount_is_left_out(space):
    """A stalk may bring helpers of its own."""
    space.write("plugins/lib/python/kantoo/hello.py", "x = 1")
    space.write("data/x", "1")
    space.stalk(f"kantoo: {{ path: 'data' }}\n {GO}")

    assert space.problems() == []
    assert space.go().files == ()
