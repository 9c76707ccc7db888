from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stalker.model.card import CONFIG_COPY, VIAS, Digest, Source
from unit.config.card.texts import created, refused

DIGEST = "sha256:" + "ab" * 32


def files(text, **options):
    return created(f"files:\n{text}", **options).files


# files


@pytest.mark.parametrize(
    "encoding", ["cp932", "CP866", "gbk", "iso8859-1", "utf-8", "shift_jis", "big5", "euc_kr"]
)
def test_the_encoding_of_names_in_a_zip(encoding):
    text = f"- {{to: /data/a, url: 'https://a.example/a.zip', via: zip, encoding: {encoding}}}\n"

    assert files(text)[0].encoding == encoding


@pytest.mark.parametrize(
    "encoding", ["utf-16", "cp037", "rot13", "base64", "utf-7", "unicode_escape", "'a\\0'", "''"]
)
def test_what_cannot_be_the_encoding_of_names_is_refused(encoding):
    """Without ASCII in it no path can be read, and codecs of Python that are not code pages are none."""
    text = f"- {{to: /data/a, url: 'https://a.example/a.zip', via: zip, encoding: {encoding}}}\n"

    (found,) = refused(f"files:\n{text}")
    assert "files.0.encoding" in found


def test_a_file_is_fetched_and_put_below_the_data_partition():
    """With all that is said of it."""
    (file,) = files(f"""\
- to: /data/books//novel.zip
  url: https://example.org/novel.zip
  via: zip
  size: 1.5GB
  checksum: {{algo: sha-1, value: {"a" * 40}}}
  mirrors: https://other.example/novel.zip
""")

    assert (file.to, file.via, file.size_bytes, file.content) == ("/books/novel.zip", "zip", 15 * 10**8, None)
    assert file.source == Source(
        "https://example.org/novel.zip", Digest("sha1", "a" * 40), ("https://other.example/novel.zip",)
    )
    assert (file.place.line, file.place.column) == (2, 7)


def test_a_file_of_this_machine_is_relative_to_the_configuration():
    """`file`, or a file:// address."""
    one, two = files("- {to: /data/a, file: ../a}\n- {to: /data/b, url: file:///b}\n")

    assert (one.source, two.source) == (Source("/srv/a"), Source("file:///b"))


@pytest.mark.parametrize("via", VIAS)
def test_all_ways_are_known(via):
    """Those of image-creator, and zstdtar."""
    assert files(f"- {{to: /data/a, url: 'https://a.example', via: {via}}}\n")[0].via == via


@pytest.mark.parametrize(
    ("text", "size"),
    [("size: -1", None), ("size: 0", 0), ("size: 12", 12), ("size: 1KiB", 1024), ("size:", None)],
)
def test_a_size_of_minus_one_is_unknown(text, size):
    """As image-creator writes it."""
    assert files(f"- to: /data/a\n  url: https://a.example\n  {text}\n")[0].size_bytes == size


@pytest.mark.parametrize(
    ("text", "content"),
    [
        ("content: |\n    hello\n    world\n", b"hello\nworld\n"),
        ('content: "  kept \\n"', b"  kept \n"),
        ("content: größe", "größe".encode()),
        ("content: 42", b"42"),
        ("content: 0042", b"0042"),
        ("content: 1.10", b"1.10"),
        ("content: yes", b"yes"),
        ("content: 2024-01-01", b"2024-01-01"),
        ("content: ''", b""),
        ("content: '-'\n  via: direct", b"-"),
        ("content: 'aGVs\n    bG8='\n  via: base64", b"hello"),
    ],
)
def test_content_is_kept_exactly(text, content):
    """Neither stripped nor made a number of; base64 is decoded."""
    (file,) = files(f"- to: /data/a\n  {text}\n")

    assert (file.content, file.source, file.via) == (content, None, "direct")


@given(st.binary(max_size=200))
def test_base64_holds_any_bytes(data):
    """In lines of any length."""
    text = base64.encodebytes(data).decode().replace("\n", "\n    ")

    assert files(f"- to: /data/a\n  via: base64\n  content: |\n    {text}\n")[0].content == data


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=80))
def test_content_of_any_text_arrives(text):
    """Quoted as YAML quotes."""
    quoted = "'" + text.replace("'", "''") + "'"
    expected = text if not set(text) & {"\u2028", "\u2029", "\x85", "\ufeff"} else None

    if expected is not None:
        assert files(f"- to: /data/a\n  content: {quoted}\n")[0].content == expected.encode()


def test_content_wins_over_an_address_with_a_warning():
    """As in image-creator, which says nothing."""
    creation = created("""\
        files:
        - to: /data/a
          content: here
          url: https://example.org/a
          via: tar
          checksum: {algo: md5, value: 00000000000000000000000000000000}
        """)

    (file,) = creation.files
    assert (file.content, file.source, file.via) == (b"here", None, "direct")
    assert [warning.splitlines()[0] for warning in creation.warnings] == [
        "card.yaml:4:3: files.0.url: 'url' has no effect beside content",
        "card.yaml:5:3: files.0.via: 'via' has no effect beside content",
        "card.yaml:6:3: files.0.checksum: 'checksum' has no effect beside content",
    ]


@pytest.mark.parametrize("content", ["''", "'  '", '"\\n"', ""])
def test_empty_content_leaves_the_address(content):
    """As in image-creator."""
    creation = created(f"files:\n- to: /data/a\n  content: {content}\n  url: https://example.org/a\n")

    assert (creation.files[0].content, creation.files[0].source) == (None, Source("https://example.org/a"))
    assert creation.warnings == ()


def test_an_archive_can_be_unpacked_into_the_partition_itself():
    """A file cannot be it."""
    assert files("- {to: /data, url: 'https://a.example', via: tar}\n")[0].to == "/"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{to: /data/a}", "2:3: files.0: nothing says what the file holds -- one of url, file and content"),
        ("{url: 'https://a.example'}", "2:3: files.0: the key 'to' is missing"),
        (
            "{to: /data/a, content: [x]}",
            "2:26: files.0.content: must be text, a number, true or false, is a list",
        ),
        (
            "{to: /data/a, url: a.zip}",
            "2:22: files.0.url: 'a.zip' is not an address; https://..., or file: with a path of this machine",
        ),
        (
            "{to: /data/a, url: ''}",
            "2:22: files.0.url: the address is empty; https://..., or file: with a path of this machine",
        ),
        (
            "{to: /data/a, url: 'magnet://x'}",
            "2:22: files.0.url: magnet addresses are not fetched; http, https or file",
        ),
        (
            "{to: /data/a, url: 'https://a.example', file: b}",
            "2:43: files.0.file: 'file' and 'url' say the same thing -- keep one",
        ),
        (
            "{to: /data/a, url: 'https://a.example', via: targz}",
            "2:48: files.0.via: 'targz' is not possible here -- did you mean 'tar'?",
        ),
        (
            "{to: /data/a, url: 'https://a.example', size: -2}",
            "2:49: files.0.size: must lie between -1 and 1152921504606846976, is -2",
        ),
        (
            "{to: /data/a, content: 'a', size: big}",
            "2:37: files.0.size: 'big' is not a size; write it like 512MiB, 8GiB, or in bytes",
        ),
        ("{to: /data/a, content: 'a b!', via: base64}", "2:26: files.0.content: this is not base64: "),
        (
            "{to: /data, content: x}",
            "2:8: files.0.to: '/data' is the partition itself -- name the file: /data/...",
        ),
        ("{to: a, content: x}", "2:8: files.0.to: 'a' is relative; did you mean /data/a?"),
        (
            "{to: /data/../etc/x, content: x}",
            "2:8: files.0.to: '/data/../etc/x', which is /etc/x, is not below /data",
        ),
        ("{to: 7, content: x}", '2:8: files.0.to: must be text, is a number -- write "7"'),
        (
            "{to: /data/a, url: 'https://a.example', encoding: cp866}",
            "2:43: files.0.encoding: 'encoding' is that of names in a zip -- leave it out, or write via: zip",
        ),
        (
            "{to: /data/a, url: 'https://a.example', via: zip, encoding: cp99}",
            "2:63: files.0.encoding: 'cp99' is not an encoding of names",
        ),
        ("text", "2:3: files.0: must be a mapping, is text"),
    ],
)
def test_what_is_no_file_is_told_where_it_stands(text, told):
    """With what is possible."""
    (found,) = refused(f"files:\n- {text}\n")

    assert found.startswith(told)


@pytest.mark.parametrize(
    ("first", "second", "told"),
    [
        (
            "/data/a",
            "/data/./a",
            ["3:8: files.1.to: '/data/a' is written twice; first in line 2 -- keep one"],
        ),
        (
            "/data/a",
            "/data/../data/a",
            ["3:8: files.1.to: '/data/a' is written twice; first in line 2 -- keep one"],
        ),
        (
            "/data/a",
            "/data/a/b/c",
            [
                (
                    "3:8: files.1.to: '/data/a/b/c' lies below '/data/a', which is a file (line 2)"
                    " -- a path is a file or a folder"
                )
            ],
        ),
        (
            "/data/a/b",
            "/data/a",
            [
                (
                    "2:8: files.0.to: '/data/a/b' lies below '/data/a', which is a file (line 3)"
                    " -- a path is a file or a folder"
                )
            ],
        ),
        ("/data/a", "/data/ab", []),
        ("/data/A", "/data/a", []),
    ],
)
def test_a_path_is_one_file(first, second, told):
    """However it is written, and nothing is below it."""
    assert refused(f"files:\n- {{to: {first}, content: x}}\n- {{to: {second}, content: x}}\n") == told


def test_files_can_be_put_into_what_was_unpacked():
    """An archive's path is a folder."""
    read = files("- {to: /data/a, url: 'https://a.example', via: zip}\n- {to: /data/a/b, content: x}\n")

    assert [file.to for file in read] == ["/a", "/a/b"]


def test_the_copy_of_the_configuration_has_its_place():
    """Where write_config puts it."""
    text = f"files: [{{to: /data{CONFIG_COPY}, content: x}}]\n"

    assert refused(text) == []
    assert refused(text + "write_config: true\n") == [
        (
            f"1:14: files.0.to: '/data{CONFIG_COPY}' is where write_config puts this configuration"
            " -- choose another path, or leave write_config out"
        )
    ]


# images


def images(text):
    return created(f"oci_images:\n{text}").images


def test_an_image_is_a_name_or_a_mapping():
    """With what its archive takes, where the author knows it."""
    one, two, three = images("""\
- alpine:3.20
- ident: registry.example.org/app
  filesize: 6MB
  fullsize: 5944584
- id: local
  url: https://example.org/local.tar
  checksum: {algo: md5, value: 00000000000000000000000000000000}
""")

    assert (one.ident, one.file_bytes, one.full_bytes, one.source) == (
        "docker.io/library/alpine:3.20",
        None,
        None,
        None,
    )
    assert (two.ident, two.file_bytes, two.full_bytes) == (
        "registry.example.org/app:latest",
        6 * 10**6,
        5944584,
    )
    assert (three.ident, three.source) == (
        "docker.io/library/local:latest",
        Source("https://example.org/local.tar", Digest("md5", "0" * 32)),
    )
    assert [image.place.line for image in (one, two, three)] == [2, 3, 6]


def test_an_archive_can_be_a_file_of_this_machine():
    """Relative to the configuration."""
    assert images("- {ident: app, file: app.tar}\n")[0].source == Source("/srv/cards/app.tar")


def test_two_tags_of_an_image_are_two_images():
    """image-creator once wrote them over each other (its issue 28)."""
    assert len(images("- registry.example.org/app:1\n- registry.example.org/app:2\n")) == 2


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "[alpine, 'docker.io/library/alpine:latest']",
            "1:22: oci_images.1: 'docker.io/library/alpine:latest' is there twice; first in line 1 -- keep one",
        ),
        (
            f"[alpine, 'alpine@{DIGEST}']",
            (
                "1:22: oci_images.1: 'docker.io/library/alpine:latest' is there twice; first in line 1"
                " -- two digests of it need two tags: name:tag@digest"
            ),
        ),
        ("[{ident: a, id: a}]", "1:25: oci_images.0.id: 'id' and 'ident' say the same thing -- keep one"),
        (
            "[{url: 'https://a.example'}]",
            "1:14: oci_images.0: the key 'ident' is missing -- the image's name",
        ),
        (
            "[{ident: a, mirrors: []}]",
            (
                "1:25: oci_images.0.mirrors: 'mirrors' goes with url or file;"
                " what a registry has is verified by its digests -- leave it out, or add url"
            ),
        ),
        (
            "[{ident: a, fullsize: big}]",
            "1:35: oci_images.0.fullsize: 'big' is not a size; write it like 512MiB, 8GiB, or in bytes",
        ),
        (
            "[{ident: a, filesize: -1}]",
            "1:35: oci_images.0.filesize: must lie between 0 and 1152921504606846976, is -1",
        ),
        ("[7]", "1:14: oci_images.0: must be text or a mapping, is a number"),
        ("alpine", '1:13: oci_images: must be a list, is text -- write ["alpine"]'),
    ],
)
def test_what_is_no_image_is_told_where_it_stands(text, told):
    """Each image once."""
    assert refused(f"oci_images: {text}\n") == [told]
