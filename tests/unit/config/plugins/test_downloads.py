"""File plugins by URL: what is fetched, what counts, and what is refused with its place."""

from __future__ import annotations

import pytest

from stalker.errors import FilesError
from stalker.model.card import Digest
from stalker.model.tree import secret_marker

GO = 'go: { exec: true, text: "#!/bin/sh\\n" }'
SHA = "a" * 64
URL = "https://host.example.org/x.bin"


def problems(space):
    with pytest.raises(FilesError) as caught:
        space.read()
    return [str(one) for one in caught.value.problems]


def test_a_file_by_url_counts_by_its_checksum(space):
    """Nothing is fetched while files are read, and the address is no part of the digest."""
    space.stalk(f"a: {{ copy: '/opt/a', mode: '0755', url: '{URL}', sha256: '{SHA.upper()}' }}\n {GO}")

    [file] = space.go().copies

    assert (file.target, file.digest, file.mode, file.content, file.host_path) == (
        "/opt/a",
        SHA,
        0o755,
        None,
        "",
    )
    assert file.download.source.url == URL
    assert file.download.source.digest == Digest("sha256", SHA)
    assert space.read().warnings == ()


def test_a_checksum_is_spelled_as_in_card_images(space):
    """Other algorithms count with their name, so that no digits of two are taken for one."""
    space.stalk(
        f"a: {{ bind: '/a', url: '{URL}', checksum: {{ algo: SHA-512, value: '{'b' * 128}' }} }}\n"
        f" b: {{ bind: '/b', url: '{URL}', checksum: {{ algo: sha256, value: '{URL}.sha256', kind: url }} }}\n {GO}"
    )

    files = {file.plugin: file for file in space.go().files}

    assert files["a"].digest == "sha512:" + "b" * 128
    assert files["b"].digest == ""
    assert files["b"].download.source.digest == Digest("sha256", f"{URL}.sha256", is_url=True)


def test_variables_are_put_into_address_checksum_and_headers(space):
    """They are part of the request, not of the file: its own variables do not count."""
    space.tree(top="secrets: { TOKEN: { env: 'TOKEN' } }")
    space.stalk(
        f"""a: {{
      bind: '/a'
      V: '1.2'
      TOKEN: ''
      url: 'https://host.example.org/x-{{V}}.bin'
      mirrors: ['https://other.example.org/{{V}}']
      sha256: '{SHA}'
      headers: {{ Authorization: 'Bearer {{TOKEN}}' }}
    }}
    {GO}"""
    )

    [file] = space.go().files

    assert file.download.source.url == "https://host.example.org/x-1.2.bin"
    assert file.download.source.mirrors == ("https://other.example.org/1.2",)
    assert file.download.headers == (("Authorization", f"Bearer {secret_marker('TOKEN')}"),)
    assert file.download.secrets == ("TOKEN",)
    assert file.variables == ()


@pytest.mark.parametrize(
    ("keys", "what"),
    [
        ("", "a URL without a checksum"),
        (", checksum: { algo: md5, value: '" + "c" * 32 + "' }", "md5 is weak"),
    ],
)
def test_what_does_not_pin_the_content_is_a_warning(space, keys, what):
    space.stalk(f"a: {{ bind: '/a', url: '{URL}'{keys} }}\n {GO}")

    [warning] = space.read().warnings

    assert what in warning
    assert warning.startswith("stalks/web/web.hjson:")


@pytest.mark.parametrize(
    ("keys", "what"),
    [
        (f"url: '{URL}', text: 'x'", "both 'text' and 'url'"),
        (f"url: '{URL}', template: 'jinja2'", "'template' does not go with url"),
        (f"url: '{URL}', sha256: 'abc'", "'abc' is not a SHA-256"),
        (
            f"url: '{URL}', sha256: '{SHA}', checksum: {{ algo: md5, value: '1' }}",
            "both 'sha256' and 'checksum'",
        ),
        (f"url: '{URL}', checksum: {{ algo: md4, value: '1' }}", "'md4' is not a known checksum"),
        ("url: 'ftp://host/x'", "ftp addresses are not fetched"),
        ("url: 'https://me:word@host/x'", "an address with a login"),
        ("url: 'https://host/{TOKEN}', TOKEN: ''", "a secret cannot be part of an address"),
        (f"url: '{URL}', headers: {{ 'a b': 'x' }}", "'a b' cannot name a header"),
        ("text: 'x', sha256: '1'", "'sha256' goes with url, which is missing"),
        (f"store: 's', url: '{URL}'", "'url' does not go with a store"),
    ],
)
def test_what_cannot_be_fetched_is_refused_with_its_place(space, keys, what):
    space.tree(top="secrets: { TOKEN: { env: 'TOKEN' } }")
    space.stalk(f"a: {{ bind: '/a', {keys} }}\n {GO}")

    found = [one for one in problems(space) if what in one]

    assert len(found) == 1
    assert found[0].startswith("stalks/web/web.hjson:4:")


def test_a_script_is_not_fetched(space):
    """A step's script is read and shown before anything runs."""
    space.stalk(f"go: {{ exec: true, url: '{URL}' }}")

    assert any("'url' does not go with exec" in one for one in problems(space))


def test_a_directory_of_a_repository_is_a_mount_that_counts_once_it_is_resolved(space):
    space.stalk(
        f"src: {{ git: 'https://host.example.org/{{V}}.git', V: 'linux', ref: 'v6.1', subdirectory: './kernel/',"
        f" submodules: true, bind: '/usr/src' }}\n {GO}"
    )

    [mount] = space.go().mounts

    assert (mount.target, mount.kind, mount.writable, mount.digest) == ("/usr/src", "directory", False, "")
    assert mount.git.url == "https://host.example.org/linux.git"
    assert (mount.git.ref, mount.git.subdirectory, mount.git.has_submodules) == ("v6.1", "kernel", True)
    assert mount.git.is_moving


@pytest.mark.parametrize(
    ("ref", "is_moving"), [("a" * 40, False), ("A" * 64, False), ("a" * 39, True), ("main", True)]
)
def test_only_a_full_commit_does_not_move(space, ref, is_moving):
    space.stalk(f"src: {{ git: 'git@host:x/y.git', ref: '{ref}' }}\n {GO}")

    assert space.go().mounts[0].git.is_moving is is_moving


@pytest.mark.parametrize(
    ("keys", "what"),
    [
        ("git: 'ext::sh -c x'", "is not an address of a repository"),
        ("git: 'ftp://a/b'", "cannot be fetched by ftp"),
        ("git: 'https://me:word@a/b'", "an address with a login"),
        ("git: 'https://a/{TOKEN}', TOKEN: ''", "a secret cannot be part of an address"),
        ("git: 'https://a/b', ref: '--upload-pack=x'", "is not a branch, a tag or a commit"),
        ("git: 'https://a/b', subdirectory: '../x'", "is not a directory in a repository"),
        ("git: 'https://a/b', mode: 'rw'", "'rw' is not possible here"),
        ("git: 'https://a/b', path: 'x'", "'path' does not go with git"),
        ("git: 'https://a/b', copy: '/x'", "'copy' does not go with git"),
        ("git: 'git@a:b', headers: { A: 'x' }", "headers go with http and https"),
        ("text: 'x', ref: 'main'", "'ref' goes with git, which is missing"),
    ],
)
def test_what_is_not_a_repository_is_refused_with_its_place(space, keys, what):
    space.tree(top="secrets: { TOKEN: { env: 'TOKEN' } }")
    space.stalk(f"a: {{ bind: '/a', {keys} }}\n {GO}")

    found = [one for one in problems(space) if what in one]

    assert len(found) == 1
    assert found[0].startswith("stalks/web/web.hjson:4:")
