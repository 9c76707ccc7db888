from __future__ import annotations

import hashlib

import pytest

GO = 'go: { exec: true, text: "#!/bin/sh\\n" }'


def one(problems):
    assert len(problems) == 1, problems
    return problems[0]


def test_a_file_plugin_stands_where_bind_says_or_beside_the_scripts(space):
    """bind, or /entropy/plugins/<name>; text gets 0644 and no newline is added."""
    space.stalk(
        f"a: {{ bind: '/tmp//a', V: 1, text: 'x {{V}} {{{{V}}}} {{W}}' }}\n b: {{ text: 'y' }}\n {GO}"
    )

    files = {file.plugin: file for file in space.go().files}

    assert files["a"].target == "/tmp/a"
    assert files["a"].content == b"x 1 {1} {W}"
    assert files["a"].mode == 0o644
    assert [(v.name, v.value) for v in files["a"].variables] == [("V", "1")]
    assert files["b"].target == "/entropy/plugins/b"


def test_a_file_of_the_host_keeps_its_mode_and_every_byte(space):
    """Modes and binary content are not touched on the way."""
    binary = bytes(range(256)) * 10
    space.write("a.bin", binary, 0o755)
    space.write("b.txt", "x\r\n{V}\n", 0o640)
    space.stalk(
        f"a: {{ path: 'a.bin' }}\n b: {{ path: 'b.txt', V: 'ä' }}\n c: {{ path: 'b.txt', mode: 755 }}\n {GO}"
    )

    files = {file.plugin: file for file in space.go().files}

    assert (files["a"].mode, files["a"].content, files["a"].host_path) == (
        0o755,
        None,
        str(space.root / "a.bin"),
    )
    assert files["a"].digest == hashlib.sha256(binary).hexdigest()
    assert (files["b"].mode, files["b"].content) == (0o640, "x\r\nä\n".encode())
    assert (files["c"].mode, files["c"].content) == (0o755, b"x\r\n{V}\n")


def test_a_large_file_stays_on_the_host_until_it_is_placed(space):
    """More than 1 MiB is not kept in the tree."""
    space.write("big", "x" * (1024 * 1024 + 1))
    space.stalk(f"a: {{ path: 'big' }}\n {GO}")

    file = space.go().files[0]

    assert (file.content, file.host_path) == (None, str(space.root / "big"))
    assert dict(space.read().files_read)["big"] == file.digest


@pytest.mark.parametrize(
    ("mode", "writable", "locked"),
    [("", False, False), ("mode: ro", False, False), ("mode: rw", True, False), ("mode: locked", True, True)],
)
def test_a_store_is_read_written_or_locked(space, mode, writable, locked):
    """What is locked is writable, for one stalk at a time."""
    space.stalk(f"d: {{ store: 'dist', bind: '/d', {mode}\n}}\n {GO}")

    [mount] = space.go().mounts

    assert (mount.source, mount.writable, mount.is_locked) == ("dist", writable, locked)


def test_folders_and_stores_are_mounts(space):
    """Read-only unless mode: rw; inside the workspace by relative name, outside by absolute."""
    space.write("data/x", "1")
    space.stalk(
        "a: { path: 'data', bind: '/a' }\n b: { path: 'data/', bind: '/b', mode: rw\n}\n c: { path: 'new/er', bind: '/c', mode: rw\n}\n"
        f"d: {{ store: 'dist-files', bind: '/d', mode: rw\n}}\n e: {{ path: '{space.root}/data', bind: '/e' }}\n {GO}"
    )

    mounts = {mount.target: mount for mount in space.go().mounts}

    assert {t: (m.kind, m.source, m.writable) for t, m in mounts.items()} == {
        "/a": ("directory", "data", False),
        "/b": ("directory", "data", True),
        "/c": ("directory", "new/er", True),
        "/d": ("store", "dist-files", True),
        "/e": ("directory", "data", False),
    }
    assert mounts["/a"].digest == mounts["/e"].digest != ""
    assert mounts["/b"].digest == ""


def test_a_folder_outside_the_workspace_may_be_mounted_by_its_absolute_path(space, tmp_path_factory):
    """The plan shows it as it is."""
    away = tmp_path_factory.mktemp("away")
    space.stalk(f"a: {{ path: '{away}', bind: '/a' }}\n {GO}")

    assert space.go().mounts[0].source == str(away)


@pytest.mark.parametrize(
    ("plugins", "top", "message"),
    [
        (
            "a: { copy: '/a', KEY: '', text: 'x' }",
            "",
            "plugins.a.KEY: the secret KEY would stay in the image",
        ),
        ("", "envplugins: { KEY: '' }", "envplugins.KEY: the secret KEY would be seen by `docker inspect`"),
    ],
)
def test_a_secret_never_gets_into_an_image(space, plugins, top, message):
    """Copies and envplugins refuse secrets."""
    space.tree(top="secrets: { KEY: { env: 'KEY' } }")
    space.stalk(f"{plugins}\n {GO}", top)

    assert message in one(space.problems())
