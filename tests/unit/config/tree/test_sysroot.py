from __future__ import annotations

import os

import pytest

GO = 'go: { exec: true, text: "#!/bin/sh\\n" }'


def test_the_whole_sysroot_is_placed_at_the_root(space):
    """Modes and binary content are kept; empty folders are nothing."""
    space.write("sysroot/etc/motd", "{{x}} {V}\n", 0o640)
    space.write("sysroot/usr/bin/tool", b"\x7fELF\0\xff", 0o755)
    (space.root / "sysroot/empty").mkdir()

    files = {file.target: file for file in space.go().files}

    assert sorted(files) == ["/etc/motd", "/usr/bin/tool"]
    assert (files["/etc/motd"].content, files["/etc/motd"].mode) == (b"{{x}} {V}\n", 0o640)
    assert (files["/usr/bin/tool"].content, files["/usr/bin/tool"].mode) == (None, 0o755)
    assert files["/usr/bin/tool"].host_path == str(space.root / "sysroot/usr/bin/tool")
    assert files["/etc/motd"].plugin == "sysroot"


def test_links_in_the_sysroot_are_what_they_lead_to(space):
    """A link to a folder is a read-only mount, one to a file that file, a broken one a warning."""
    space.write("data/git/x", "1")
    space.write("data/file", "content", 0o600)
    (space.root / "sysroot/var").mkdir(parents=True)
    os.symlink("../../data/git", space.root / "sysroot/var/git")
    os.symlink("../../data/file", space.root / "sysroot/var/file")
    os.symlink("../../nowhere", space.root / "sysroot/var/broken")

    step = space.go()

    assert [(m.target, m.source, m.writable, m.kind) for m in step.mounts] == [
        ("/var/git", "data/git", False, "directory")
    ]
    assert [(f.target, f.content, f.mode, f.link) for f in step.files] == [
        ("/var/file", b"content", 0o600, "")
    ]
    assert space.warnings() == ["sysroot/var/broken:1:1: warning: a link that leads nowhere is left out"]


def test_a_link_to_a_folder_that_holds_the_workspace_is_refused(space):
    """It would never have the same content twice."""
    (space.root / "sysroot").mkdir()
    os.symlink("/", space.root / "sysroot/host")

    assert "holds the workspace" in space.problems()[0]


def test_a_plugin_with_the_same_target_wins_over_the_sysroot(space):
    """Files, copies and mounts."""
    for path in ("etc/motd", "etc/other", "etc/copy", "srv"):
        space.write(f"sysroot/{path}", "sysroot")
    space.write("data/x", "1")
    space.stalk(
        "a: { bind: '/etc/motd', text: 'plugin' }\n b: { path: 'data', bind: '/srv' }\n"
        f" c: {{ copy: '/etc/copy', text: 'plugin' }}\n {GO}"
    )

    step = space.go()

    assert {f.target: f.content for f in step.files} == {"/etc/motd": b"plugin", "/etc/other": b"sysroot"}
    assert [m.target for m in step.mounts] == ["/srv"]
    assert [f.target for f in step.copies] == ["/etc/copy"]


@pytest.mark.parametrize(
    ("top", "count"), [("", 0), ("paths: { SYSROOT_DIR: 'none' }", 1), ("paths: { SYSROOT_DIR: '/none' }", 1)]
)
def test_a_sysroot_that_is_not_there_is_a_warning_where_it_was_named(space, top, count):
    """The default folder may be missing in silence."""
    space.tree(top=top)

    assert len(space.warnings()) == count
    assert space.problems() == []


def test_each_stalk_can_have_its_own_sysroot(space):
    """SYSROOT_DIR is a variable like any other."""
    space.write("one/x", "1")
    space.write("two/x", "2")
    space.tree("SYSROOT_DIR: two\n }\n db: {\n stalk: web", "paths: { SYSROOT_DIR: 'one' }")

    contents = [stalk.steps[0].files[0].content for stalk in space.read().stalks]

    assert contents == [b"2", b"1"]


def test_helper_libraries_stand_beside_the_scripts(space):
    """Python packages keep their folders; compiled files stay behind."""
    space.write("plugins/lib/bash/kantoo.sh", "f() { :; }")
    space.write("plugins/lib/python/kantoo/hello.py", "x = 1")
    space.write("plugins/lib/python/kantoo/__init__.py", "")
    space.write("plugins/lib/python/kantoo/__pycache__/hello.cpython-311.pyc", "x")

    files = space.go().files

    assert [(f.target, f.plugin) for f in files] == [
        ("/entropy/plugins/kantoo.sh", "helper"),
        ("/entropy/plugins/kantoo/__init__.py", "helper"),
        ("/entropy/plugins/kantoo/hello.py", "helper"),
    ]


def test_a_sysroot_that_brings_its_own_helpers_wins_over_ours(space):
    """The original's sysroot links the library to /entropy/plugins/kantoo."""
    space.write("plugins/lib/python/kantoo/hello.py", "x = 1")
    (space.root / "sysroot/entropy/plugins").mkdir(parents=True)
    os.symlink("../../../plugins/lib/python/kantoo", space.root / "sysroot/entropy/plugins/kantoo")

    step = space.go()

    assert step.files == ()
    assert [m.target for m in step.mounts] == ["/entropy/plugins/kantoo"]


def test_large_files_of_the_sysroot_stay_on_the_host(space):
    """They are read when they are placed."""
    space.write("sysroot/big", b"x" * (1024 * 1024 + 1))

    file = space.go().files[0]

    assert (file.content, file.host_path) == (None, str(space.root / "sysroot/big"))


NAMES_ONE = 'go: { exec: true, text: "#!/bin/sh\\n. /entropy/plugins/kantoo.sh\\n" }'


def test_helpers_that_come_with_stalker_are_placed_where_a_script_names_one(space):
    """All of them, for one needs another."""
    space.stalk(NAMES_ONE)

    targets = {file.target for file in space.go().files}

    assert {"/entropy/plugins/kantoo.sh", "/entropy/plugins/kantoo/portage.py"} <= targets


def test_a_stalk_that_names_no_helper_gets_none_of_stalkers(space):
    """A newer stalker does not run its steps again."""
    assert space.go().files == ()


def test_a_helper_of_the_workspace_wins_over_stalkers(space):
    """A package as a whole: never half of each."""
    space.write("plugins/lib/bash/kantoo.sh", "# own\n")
    space.write("plugins/lib/python/kantoo/own.py", "")
    space.stalk(NAMES_ONE.replace("kantoo.sh", "apt.sh"))

    files = {file.target.removeprefix("/entropy/plugins/"): file for file in space.go().files}

    assert files["kantoo.sh"].content == b"# own\n"
    assert sorted(files) == ["apt.sh", "kantoo.sh", "kantoo/own.py", "raspi.sh"]
