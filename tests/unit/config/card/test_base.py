from __future__ import annotations

import pytest

from stalker.config.card.base import tree_artifact
from stalker.config.card.load import BASE_PATTERN
from stalker.model.card import Digest, Output, Source, TreeArtifact
from unit.config.card.texts import created, refused

SHA256 = "0123456789abcdef" * 4


def base(text, file="card.yaml", **options):
    return created(f"base: {text}\n", file, **options).base


# versions


@pytest.mark.parametrize(
    "version", ["1.0.0", "1.10.0", "1.2.3-rc1", "1.2", "1.10", "10.0.0", "1.2.3.4", "1.0.0_beta-2", '"1.10"']
)
@pytest.mark.parametrize("form", ["%s", "{source: %s}"])
def test_a_version_is_an_address_of_the_official_images(version, form):
    """As written: 1.10 is not 1.1. Its MD5 is beside it."""
    url = BASE_PATTERN.replace("{version}", version.strip('"'))

    assert base(form % version).source == Source(
        url, Digest("md5", f"{url}.md5", is_url=True, is_optional=True)
    )


def test_a_version_in_hjson_is_as_written_too():
    """There 1.10 is a number as well."""
    assert base("1.10", "card.hjson").source.url.endswith("-1.10.img")


@pytest.mark.parametrize("form", ["1.2.3", "{source: 1.2.3}"])
def test_the_pattern_of_versions_can_be_given(form):
    """By who calls."""
    pattern = "https://example.org/{version}/card-{version}.img.xz"

    assert base(form, base_pattern=pattern).source.url == "https://example.org/1.2.3/card-1.2.3.img.xz"
    assert base(form, base_pattern="").source.url == BASE_PATTERN.replace("{version}", "1.2.3")


def test_the_pattern_of_the_file_wins():
    """`base.pattern`."""
    text = '{source: 1.2.3, pattern: "file:///images/{version}.img"}'

    assert base(text, base_pattern="https://example.org/{version}").source == Source(
        "file:///images/1.2.3.img",
        Digest("md5", "file:///images/1.2.3.img.md5", is_url=True, is_optional=True),
    )


def test_a_checksum_beside_a_version_wins():
    """Nothing is asked of the server then."""
    text = f"{{source: 1.2.3, checksum: {{algo: SHA-256, value: {SHA256.upper()}}}}}"

    assert base(text).source.digest == Digest("sha256", SHA256)


# addresses and paths


@pytest.mark.parametrize(
    "url",
    [
        "https://example.org/base.img.xz",
        "http://10.0.0.1:8080/base?name=a.img#x",
        "file:///images/base.img",
        "file://localhost/images/base.img",
        "https://[fe80::1]/a b.img",
    ],
)
@pytest.mark.parametrize("form", ["'%s'", "{source: '%s'}"])
def test_an_address_is_taken_as_written(url, form):
    """http, https and file."""
    assert base(form % url).source == Source(url)


@pytest.mark.parametrize("form", ["%s", "{source: %s}", "{file: %s}"])
@pytest.mark.parametrize(
    ("path", "absolute"),
    [
        ("base.img", "/srv/cards/base.img"),
        ("1.2.3.img.xz", "/srv/cards/1.2.3.img.xz"),
        ("images/base", "/srv/cards/images/base"),
        ("./base", "/srv/cards/base"),
        ("../base.IMG", "/srv/base.IMG"),
        ("/images//base.img", "/images/base.img"),
    ],
)
def test_a_path_is_relative_to_the_folder_of_the_file(form, path, absolute):
    """What ends as an image does, or has a slash."""
    assert base(form % path).source == Source(absolute)


def test_a_file_can_have_any_name():
    """With `file` nothing is guessed."""
    assert base("{file: raspi3}").source == Source("/srv/cards/raspi3")
    assert base("{file: file:///a/b}").source == Source("file:///a/b")


def test_mirrors_have_the_same():
    """Each once, in their order."""
    text = "{source: 'https://a.example/x.img', mirrors: [https://b.example/x.img, https://c.example/x, https://b.example/x.img]}"

    assert base(text).source.mirrors == ("https://b.example/x.img", "https://c.example/x")


@pytest.mark.parametrize("key", ["rootfs_size", "root_size"])
@pytest.mark.parametrize(
    ("size", "size_bytes"), [("2638217216", 2638217216), ("3GiB", 3 << 30), ("3G", 3 * 10**9)]
)
def test_the_size_of_the_system_has_two_names(key, size, size_bytes):
    """The manual has the one, the program the other."""
    assert base(f"{{source: 1.2.3, {key}: {size}}}").rootfs_bytes == size_bytes


# trees


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("raspi3", TreeArtifact("raspi3")),
        ("raspi3:stage4", TreeArtifact("raspi3", "stage4")),
        ("raspi3:stage4/image", TreeArtifact("raspi3", "stage4", "image")),
        ("trees/raspi3/raspi3.hjson", TreeArtifact("trees/raspi3/raspi3.hjson")),
        ("/t/raspi3.hjson:stage4_lite/image.1", TreeArtifact("/t/raspi3.hjson", "stage4_lite", "image.1")),
    ],
)
@pytest.mark.parametrize("form", ["%s", "{tree: '%s', rootfs_size: 2G}"])
def test_a_disk_of_a_tree_is_a_base(text, tree, form):
    """By name or path, with or without stalk and artifact."""
    found = base(form % text)

    assert (found.tree, found.source) == (tree, None)


def test_a_folder_of_a_tree_needs_the_key():
    """As text it is a path of an image."""
    assert base("{tree: trees/raspi3}").tree == TreeArtifact("trees/raspi3")
    assert base("trees/raspi3").source == Source("/srv/cards/trees/raspi3")


@pytest.mark.parametrize("text", ["", ":stage4", "a:b:c", "a:b/c/d", "a:", "a:b/", "a: b"])
def test_what_names_no_disk_of_a_tree_is_refused(text):
    """With the form."""
    with pytest.raises(ValueError, match="TREE, TREE:STALK or TREE:STALK/ARTIFACT"):
        tree_artifact(text)


# refusals


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "7",
            "1:7: base: '7' is not a version, address or path -- 1.2.3, https://..., or a path with a / in it",
        ),
        (
            "1.x",
            "1:7: base: '1.x' is not a version, address or path -- 1.2.3, https://..., or a path with a / in it",
        ),
        ("yes", "1:7: base: 'yes' is not an image -- a version, an address or a path"),
        ("[1.2.3]", "1:7: base: must be a mapping or text, a number, true or false, is a list"),
        ("ftp://example.org/a.img", "1:7: base: ftp addresses are not fetched; http, https or file"),
        ("https:///a.img", "1:7: base: the address names no server"),
        (
            "file://base.img",
            (
                "1:7: base: 'file://base.img' names no file: behind file:// stands a path from / on; "
                "a relative one is written alone, as ./base.img"
            ),
        ),
        (
            "~/base.img",
            "1:7: base: '~/base.img': '~' is not known here -- write the path from / on, or a relative one",
        ),
        (
            "{source: raspi3}",
            (
                "1:16: base.source: 'raspi3' is not a version, address or path"
                " -- 1.2.3, https://..., or a path with a / in it; a tree is base: { tree: raspi3 }"
            ),
        ),
        (
            "{source: ''}",
            "1:16: base.source: '' is not a version, address or path -- 1.2.3, https://..., or a path with a / in it",
        ),
        ("{file: ''}", "1:14: base.file: the path is empty"),
        (
            "{file: 'https://example.org/a'}",
            "1:14: base.file: an address is not a path -- an address is url, or of a base source",
        ),
        ('{file: "a\\nb"}', "1:14: base.file: a path here cannot hold control characters"),
        ("{}", "1:7: base: nothing says what the image grows from -- one of source, file and tree"),
        ("{sauce: 1.2.3}", "1:8: base.sauce: unknown key 'sauce' -- did you mean 'source'?"),
        ("{source: 1.2.3, file: a}", "1:23: base.file: source, file and tree exclude each other -- keep one"),
        ("{tree: a, mirrors: []}", "1:17: base.mirrors: 'mirrors' does not go with tree"),
        ("{tree: a, pattern: x}", "1:17: base.pattern: 'pattern' does not go with tree"),
        (
            "{tree: 'a:b:c'}",
            "1:14: base.tree: 'a:b:c' is not a disk of a tree; TREE, TREE:STALK or TREE:STALK/ARTIFACT",
        ),
        (
            "{source: 1.2.3, pattern: 'https://example.org/x.img'}",
            "1:32: base.pattern: 'https://example.org/x.img' has no {version} -- the version is put in its place",
        ),
        (
            "{source: 1.2.3, pattern: 'images/{version}'}",
            "1:32: base.pattern: 'images/1.2.3' is not an address; https://..., or file: with a path of this machine",
        ),
        (
            "{source: a.img, pattern: 'https://example.org/{version}'}",
            "1:23: base.pattern: 'pattern' goes with a version -- leave it out",
        ),
        (
            "{source: 1.2.3, rootfs_size: 1, root_size: 1}",
            "1:39: base.root_size: 'root_size' and 'rootfs_size' say the same thing -- keep one",
        ),
        (
            "{source: 1.2.3, root_size: -1}",
            "1:34: base.root_size: must lie between 0 and 1152921504606846976, is -1",
        ),
        (
            "{source: 1.2.3, mirrors: [x]}",
            "1:33: base.mirrors.0: 'x' is not an address; https://..., or file: with a path of this machine",
        ),
    ],
)
def test_what_is_no_base_is_told_where_it_stands(text, told):
    """With what to write."""
    assert refused(f"base: {text}\n") == [told]


def test_a_relative_path_needs_a_folder():
    """A configuration that was fetched stands in none."""
    assert refused("base: ./a.img", "https://example.org/card.yaml", folder=None) == [
        (
            "1:7: base: './a.img' is relative, and a configuration that was fetched stands in no folder"
            " -- write the path from / on"
        )
    ]


def test_a_pattern_that_was_typed_is_told_at_the_version():
    """No place of the file is wrong."""
    assert refused("base: 1.2.3", base_pattern="https://example.org/") == [
        "1:7: base: 'https://example.org/' has no {version} -- the version is put in its place"
    ]


# output


@pytest.mark.parametrize(
    ("text", "output"),
    [
        ("{}", Output()),
        ("{size: auto}", Output(None, "auto")),
        ("{size: 8GiB}", Output(8 << 30, "8GiB")),
        ("{size: 7000000000}", Output(7 * 10**9, "7000000000")),
        ("{size: 8GB card}", Output(7679770624, "8GB card")),
        ("{size: auto, shrink: true}", Output(shrinks=True)),
        ("{compress: true}", Output(compresses=True)),
        ("{compress: false}", Output()),
        ("{compress: zst}", Output(format="img.zst")),
        ("{compress: xz}", Output(format="img.xz")),
        ("{compress: gz}", Output(format="img.gz")),
        ("{compress: zip}", Output(format="zip")),
        ("{format: img.xz}", Output(format="img.xz")),
        ("{format: img, compress: false}", Output(format="img")),
        ("{format: zip, compress: true}", Output(format="zip")),
        ("{format: img.gz, compress: gz}", Output(format="img.gz")),
    ],
)
def test_what_is_wanted_of_the_file(text, output):
    """Every key, alone and with others."""
    creation = created(f"output: {text}\n")

    assert creation.output == output
    assert creation.warnings == ()


@pytest.mark.parametrize("size", ["8G", "8GB", "8000000000", "16 GB", "2048G"])
def test_a_size_that_is_a_label_of_cards_is_a_warning(size):
    """Cards sold so may hold less; one of the form `8GB card` surely fits."""
    (warning,) = created(f"output: {{size: {size}}}\n").warnings

    assert warning.startswith("card.yaml:1:16: output.size: cards sold as ")
    assert 'GB card" surely fits' in warning


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{size: 0}", "1:16: output.size: an image of no bytes is none -- auto: as small as possible"),
        ("{size: 9GB card}", "1:16: output.size: no card is sold as 9 GB; they are 1, 2, 4, 8, 16, ... 2048"),
        (
            "{size: large}",
            "1:16: output.size: 'large' is not a size; write it like 512MiB, 8GiB, or in bytes",
        ),
        ("{size: 1.5}", "1:16: output.size: must be a whole number or text, is a number"),
        ("{shrink: 1}", "1:18: output.shrink: must be true or false, is a number"),
        ("{compress: zstd}", "1:20: output.compress: 'zstd' is not possible here -- did you mean 'zst'?"),
        (
            "{format: raw}",
            "1:18: output.format: 'raw' is not possible here -- known: img, img.gz, img.xz, img.zst, zip",
        ),
        (
            "{format: img, compress: true}",
            "1:33: output.compress: this contradicts format: img -- keep one of both",
        ),
        (
            "{format: zip, compress: xz}",
            "1:33: output.compress: this contradicts format: zip -- keep one of both",
        ),
        (
            "{format: img.xz, compress: no}",
            "1:36: output.compress: this contradicts format: img.xz -- keep one of both",
        ),
        ("8G", "1:9: output: must be a mapping, is text"),
    ],
)
def test_what_no_file_can_be_is_told_where_it_stands(text, told):
    """With what is possible."""
    assert refused(f"output: {text}\n") == [told]
