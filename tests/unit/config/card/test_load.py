from __future__ import annotations

import contextlib
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stalker.config.card.load import BASE_PATTERN, check_creation, read_creation
from stalker.errors import FilesError
from stalker.model.card import BaseImage, Digest, Injections, Output
from unit.config.card.texts import FOLDER, HASH, created, refused

MANUAL = """\
---
base: 1.0.0
output:
  size: 8G
oci_images:
- registry.example.org/learn/library:dev
files:
- url: http://example.org/books/novel_2024-01.zim
  to: /data/contents/books/novel_2024-01.zim
  via: direct
- to: /data/conf/message.txt
  content: |
    hello reader
wite_config: true
offspot:
  timezone: Africa/Bamako
  ap:
    ssid: Library
    as-gateway: true
    domain: demo
    tld: offspot
  containers:
    services:
      library:
        image: registry.example.org/learn/library:dev
        command: /bin/sh -c "serve /data/*.zim"
        volumes:
          - "/data/contents/books:/data:ro"
        ports:
          - "80:80"
"""
"""Shaped as the sample of image-creator's manual, which its own program does not read."""

BUILT = """\
---
base:
  source: https://example.org/base/card-arm64-1.2.0.img
  rootfs_size: 2638217216
  checksum: null
output:
  size: auto
  compress: false
oci_images:
- ident: registry.example.org/learn/files:1.1
  filesize: 13629440
  fullsize: 13598399
  url: null
files:
- to: /data/contents/books/.touch
  content: |-
    -
  via: direct
  size: 1
- to: /data/contents/app.dmg
  url: https://example.org/app.dmg
  via: direct
  size: 16051402
  checksum:
    algo: md5
    value: 747fd0841b56d2d5158e0e65646b1be1
    kind: digest
- to: /data/contents/books/b_2024-02.zim
  url: https://example.org/b_2024-02.zim
  content: null
  via: direct
  size: 26634065
  checksum:
    algo: md5
    value: https://example.org/b_2024-02.zim.md5
    kind: url
write_config: null
offspot: null
"""
"""Shaped as what offspot-config writes for image-creator 1.1."""

OLD = """\
base: {source: 1.0.0, rootfs_size: 2.5GiB}
output: {size: 8 GB, shrink: true, compress: true}
oci_images: []
files:
- {url: "http://example.org/a.zip", to: /data/a, via: zip, size: 1.5GB}
"""
"""Shaped as what the first revision of image-creator read."""


# what was written for image-creator


def test_the_sample_of_the_manual_is_read():
    """A version as base, images as strings, and a key that is misspelt: three things its program refuses."""
    creation = read_creation(MANUAL, "image.yaml")

    assert creation.base.source.url == BASE_PATTERN.replace("{version}", "1.0.0")
    assert [image.ident for image in creation.images] == ["registry.example.org/learn/library:dev"]
    assert [(file.to, file.content) for file in creation.files] == [
        ("/contents/books/novel_2024-01.zim", None),
        ("/conf/message.txt", b"hello reader\n"),
    ]
    assert (creation.output.size_bytes, creation.writes_config) == (8 * 10**9, True)
    assert creation.offspot["containers"]["services"]["library"]["ports"] == ["80:80"]


def test_a_misspelt_write_config_and_the_label_of_a_card_are_warnings():
    """They stop nothing, and say what is better."""
    warnings = read_creation(MANUAL, "image.yaml").warnings

    assert [one.partition(": ")[0] for one in warnings] == ["image.yaml:4:9", "image.yaml:14:1"]
    assert '"8GB card" surely fits' in warnings[0]
    assert "write write_config" in warnings[1]


def test_what_offspot_config_writes_is_read():
    """Keys without a value are as good as not written, as there."""
    creation = read_creation(BUILT, "image.yaml")

    assert creation.base.rootfs_bytes == 2638217216
    assert creation.base.source.digest is None
    assert creation.output == Output()
    assert (creation.images[0].file_bytes, creation.images[0].full_bytes) == (13629440, 13598399)
    assert [file.size_bytes for file in creation.files] == [1, 16051402, 26634065]
    assert creation.files[0].content == b"-"
    assert creation.files[1].source.digest == Digest("md5", "747fd0841b56d2d5158e0e65646b1be1")
    assert creation.files[2].source.digest == Digest("md5", "https://example.org/b_2024-02.zim.md5", True)
    assert (creation.writes_config, creation.offspot, creation.warnings) == (False, None, ())


def test_what_the_first_revision_read_is_read():
    """Sizes in words, shrink, archives."""
    creation = read_creation(OLD, "image.yaml")

    assert creation.base.rootfs_bytes == 5 << 29
    assert (creation.output.shrinks, creation.output.compresses) == (True, True)
    assert (creation.files[0].via, creation.files[0].size_bytes) == ("zip", 1_500_000_000)


def test_only_base_is_required():
    """All else has a default: as small as possible, nothing in it, no data partition in fstab."""
    creation = read_creation("base: 1.2.3", "image.yaml")

    assert creation.output == Output(None, "auto")
    assert (creation.images, creation.files, creation.offspot) == ((), (), None)
    assert creation.injections == Injections()
    assert (creation.data_label, creation.mounts_data, creation.writes_config) == ("data", False, False)
    assert (creation.file, creation.text) == ("image.yaml", "base: 1.2.3")


@pytest.mark.parametrize("key", ["output", "oci_images", "files", "write_config", "offspot"])
def test_a_key_of_image_creator_without_a_value_is_not_written(key):
    """`files:` and nothing behind it."""
    creation = created(f"{key}:\n")

    assert (creation.output, creation.images, creation.files) == (Output(), (), ())
    assert (creation.writes_config, creation.offspot) == (False, None)


# which syntax


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("card.yaml", "base: a.img # the base\n"),
        ("card.YML", "base: a.img # the base\n"),
        ("card.hjson", "{\n  # the base\n  base: a.img\n}\n"),
        ("card.hjson", "base: a.img\n"),
        ("card.json", '{"base": "a.img"}'),
        ("card.conf", "base: a.img # the base\n"),
        ("card.conf", '{"base": "a.img"}'),
        ("card.conf", "# a card\n{ // here\n  /* and here */ base: a.img\n  output: {}\n}\n"),
        ("-", "\n{\n  base: a.img\n\n  output: {\n  }\n}\n"),
        ("https://example.org/card.hjson?token=x.yaml", "{\n  base: a.img\n  output: {}\n}"),
        ("https://example.org/card?as=x.hjson", "base: a.img # the base\n"),
        ("card.yaml", "\ufeffbase: a.img\n"),
        ("card.yaml", "base: a.img\r\noutput: {}\r\n"),
    ],
)
def test_the_ending_tells_the_syntax_else_the_text(file, text):
    """YAML and Hjson give the same creation."""
    assert read_creation(text, file, folder=FOLDER).base.source.url == "/srv/cards/a.img"


@pytest.mark.parametrize(
    ("file", "told"),
    [
        ("card", "4:1: the file ends inside a mapping -- its '{' of line 1 is never closed"),
        (
            "card.yaml",
            "3:9: expected ',' or '}', but got ':' -- while parsing a flow mapping that begins in line 1",
        ),
    ],
)
def test_a_text_that_is_neither_is_told_as_hjson_where_it_begins_with_a_brace(file, told):
    """Else as what its name says."""
    assert refused("{\n  base: a.img\n  output: {}\n", file) == [told]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "the file is empty"),
        ("# nothing\n", "there is nothing in the file"),
        ("- base: 1.2.3\n", "must be a mapping, is a list"),
        ("base: 1.2.3 text\n", "is not a version"),
        ("output: {}\n", "the key 'base' is missing"),
        ("base:\n", "the key 'base' is missing"),
        ('base: 1.2.3\noffspot: {a: "\\ud800"}\n', "half of a surrogate pair"),
    ],
)
def test_what_is_no_configuration_is_said(text, what):
    """Whatever else it is."""
    with pytest.raises(FilesError) as told:
        read_creation(text, "card.yaml")

    assert what in told.value.details


# problems


def test_all_problems_are_told_at_once_each_where_it_stands():
    """From the base to the last file, in the order of the file."""
    assert refused("""
        base: {source: 1.2.3, rootfs_size: many}
        otput: {}
        output: {size: 8 apples, shrink: "yes"}
        oci_images: [Library, {ident: library, filesiz: 1}]
        files:
        - {to: /etc/passwd, content: x}
        injections: {hostname: -x, country: Germany}
        data: {label: far too long for an ext4}
        """) == [
        "1:36: base.rootfs_size: 'many' is not a size; write it like 512MiB, 8GiB, or in bytes",
        "2:1: otput: unknown key 'otput' -- did you mean 'output'?",
        "3:16: output.size: '8 apples' is not a size; write it like 512MiB, 8GiB, or in bytes",
        "3:34: output.shrink: must be true or false, is text",
        "4:14: oci_images.0: 'Library' is not an image name: it has capital letters",
        "4:40: oci_images.1.filesiz: unknown key 'filesiz' -- did you mean 'filesize'?",
        "6:8: files.0.to: '/etc/passwd' is not below /data",
        "7:24: injections.hostname: '-x' cannot name a machine: letters, digits, and - between them",
        "7:37: injections.country: 'Germany' is not a country code: two letters, such as DE, GB, FR",
        "8:15: data.label: the label 'far too long for an ext4' has 24 characters; ext4 has room for 1 to 16",
    ]


def test_problems_are_told_though_the_base_is_missing():
    """One run tells all."""
    with pytest.raises(FilesError) as told:
        read_creation("files: [{to: x, content: a}]", "card.yaml")

    assert [problem.what for problem in told.value.problems] == [
        "the key 'base' is missing",
        "'x' is relative; did you mean /data/x?",
    ]


def test_problems_of_a_hjson_file_have_places_too():
    """The same reader, the same words."""
    assert refused(
        "{\n  base: 1.2.3\n  files: [\n    { to: /data/a, contnt: x }\n  ]\n}\n", "card.hjson"
    ) == ["4:20: files.0.contnt: unknown key 'contnt' -- did you mean 'content'?"]


def test_the_error_names_the_reference_and_crosses_threads():
    """Where all keys stand."""
    with pytest.raises(FilesError) as told:
        read_creation("bas: 1", "card.yaml")

    again = pickle.loads(pickle.dumps(told.value))
    assert again.exit_code == 2
    assert again.resolution == "docs/reference/image-config.md lists the keys"


def test_a_key_of_ours_without_a_value_is_a_slip():
    """An empty password would be an open network."""
    assert refused("injections: {country: DE, wifi: {ssid: home, password: }}") == [
        "1:55: injections.wifi.password: must be text, a number, true or false or a mapping, is null"
    ]


def test_both_spellings_of_write_config_are_one_too_many():
    """Which of them holds?"""
    assert refused("write_config: true\nwite_config: false\n") == [
        "2:1: wite_config: 'wite_config' and 'write_config' say the same thing -- keep write_config"
    ]


def test_what_is_put_into_a_ready_image_needs_no_base():
    """Only where it is asked for."""
    text = "injections: {hostname: kiosk}\n"

    assert read_creation(text, "x.yaml", needs_base=False).injections.hostname == "kiosk"
    assert read_creation(text, "x.yaml", needs_base=False).base == BaseImage(
        read_creation(text, "x.yaml", needs_base=False).base.place
    )
    assert check_creation(text, "x.yaml") == []
    with pytest.raises(FilesError):
        read_creation(text, "x.yaml")


def test_check_tells_warnings_among_the_problems():
    """`stalker check` shows both."""
    found = check_creation("base: 1.2.3\nwite_config: true\noutput: {size: x}\n", "x.yaml")

    assert [one.is_warning for one in found] == [True, False]


# offspot, data


def test_the_data_partition_has_a_label_and_a_line_in_fstab():
    """Where the base has none of its own."""
    creation = created("data: {label: books, mount: true}")

    assert (creation.data_label, creation.mounts_data) == ("books", True)


def test_offspot_of_a_hjson_file_is_plain():
    """Numbers, true and text."""
    text = "{\n  base: 1.2.3\n  offspot: { a: 1, b: [true, null, 1.5], c: { d: x } }\n}"

    assert created(text, "card.hjson").offspot == {"a": 1, "b": [True, None, 1.5], "c": {"d": "x"}}


@pytest.mark.parametrize("text", ["offspot: {}", "offspot:"])
def test_an_empty_offspot_is_none(text):
    """Nothing is written for it."""
    assert created(text + "\n").offspot is None


def test_offspot_is_a_mapping():
    """A list is none."""
    assert refused("offspot: [a]") == ["1:10: offspot: must be a mapping, is a list"]


# secrets


def test_nothing_that_is_secret_is_in_what_is_shown():
    """Neither in the repr nor in problems nor in warnings, whatever else is wrong."""
    creation = created(f"""
        write_config: true
        injections:
          users: {{ann: {{password: {HASH}}}}}
          wifi: {{ssid: home, password: open sesame}}
          files: [{{partition: root, to: /a, content: open sesame}}]
        files: [{{to: /data/a, content: open sesame}}]
        offspot: {{ap: {{passphrase: open sesame}}}}
        """)
    shown = repr(creation) + "".join(creation.warnings)

    assert "sesame" not in shown
    assert HASH not in shown
    assert creation.injections.wifi[0].password.text == "open sesame"


@pytest.mark.parametrize(
    "value",
    [
        "sesame # is it",
        "sesame }",
        "sesame,",
        "\n    sesame: open",
        "sesame",
        "12345678sesame\\n",
        "{ env: 'ses ame' }",
    ],
)
def test_no_message_on_a_password_shows_it(value):
    """Not even that of the reader of Hjson, which shows values that end in an unexpected way."""
    text = "{\n  base: 1.2.3\n  injections: {\n    users: { ann: {\n    password: VALUE\n    } }\n  }\n}\n".replace(
        "VALUE", value
    )
    shown = "\n".join(str(problem) for problem in check_creation(text, "card.hjson"))

    assert shown
    assert "same" not in shown


def test_a_wifi_password_that_is_copied_to_the_card_is_a_warning():
    """write_config copies this file into the data partition, which anybody can read."""
    text = "injections: {country: FR, wifi: {ssid: home, password: %s}}\nwrite_config: %s\n"

    assert len(created(text % ("open sesame", "true")).warnings) == 1
    assert created(text % ("open sesame", "false")).warnings == ()
    assert created(text % ("{env: WIFI}", "true")).warnings == ()


# schema


@given(st.text(max_size=60), st.sampled_from(["x.yaml", "x.hjson", "x"]))
def test_whatever_is_read_is_a_creation_or_problems_in_words(text, file):
    """No text ends in any other error."""
    for whole in (
        text,
        f"base: 1.2.3\nfiles: [{{to: {text}, content: {text}}}]\ninjections: {{hostname: {text}}}",
    ):
        with contextlib.suppress(FilesError):
            assert read_creation(whole, file).text == whole
