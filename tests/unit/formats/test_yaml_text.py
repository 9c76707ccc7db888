"""Keys at the top of a YAML mapping: changed, and all else stays as it was."""

from __future__ import annotations

import pytest

from stalker.formats.yaml_text import REMOVED, read_mapping, with_keys

TEXT = b"""#cloud-config
# the name
hostname: raspberrypi   # of the board
users:
- default
- name: ann   # somebody
  groups: [a,
    b]

# after
chpasswd:
  expire: true
  list: |
    pi:raspberry
    ann:x
fqdn: "a
  b"
last: 'x'"""


@pytest.mark.parametrize(
    ("changes", "old", "new"),
    [
        ({"hostname": "unit-10"}, b"hostname: raspberrypi ", b'hostname: "unit-10" '),
        ({"hostname": REMOVED}, b"hostname: raspberrypi   # of the board\n", b""),
        (
            {"users": []},
            b"users:\n- default\n- name: ann   # somebody\n  groups: [a,\n    b]\n",
            b"users: []\n",
        ),
        (
            {"chpasswd": REMOVED},
            b"chpasswd:\n  expire: true\n  list: |\n    pi:raspberry\n    ann:x\n",
            b"",
        ),
        (
            {"chpasswd": {"expire": False}},
            b"chpasswd:\n  expire: true\n  list: |\n    pi:raspberry\n    ann:x\n",
            b'chpasswd: {"expire": false}\n',
        ),
        ({"fqdn": REMOVED}, b'fqdn: "a\n  b"\n', b""),
        ({"last": REMOVED}, b"last: 'x'", b""),
        ({"other": "y: z"}, b"last: 'x'", b"last: 'x'\nother: \"y: z\"\n"),
        ({"nothing": REMOVED}, b"", b""),
    ],
)
def test_one_key_is_changed_and_all_other_bytes_stay(changes, old, new):
    """Comments, blanks and quotes of the other keys are those of the author."""
    assert with_keys(TEXT, changes) == TEXT.replace(old, new, 1)


def test_a_repeated_key_is_set_once():
    """PyYAML takes the last one."""
    assert read_mapping(with_keys(b"a: 1\nb: 2\na: 3\n", {"a": 4}) or b"") == {"a": 4, "b": 2}


@pytest.mark.parametrize("content", [b"", b"#cloud-config\n", b"# nothing\n\n"])
def test_a_file_with_comments_alone_takes_keys(content):
    """It is an empty mapping."""
    assert with_keys(content, {"a": "b"}) == content + b'a: "b"\n'


@pytest.mark.parametrize(
    "content",
    [
        b"- a\n", b"text", b"a: [", b"\xff", b"1: x\n", b"a: &a [x]\nb: *a\n", b"- " * 50_000, b"[" * 50_000,
        b"#" * (1 << 19), b"a: !!python/name:os.system x\n",
    ],
)  # fmt: skip
def test_what_is_not_a_plain_mapping_is_not_changed(content):
    """A script, a list, a damaged file, aliases, or one nested so deep that a reader would crash."""
    assert read_mapping(content) is None
    assert with_keys(content, {"a": 1}) is None


def test_a_mapping_in_braces_is_not_changed():
    """Its keys have no lines of their own; a key that is new cannot be added behind the brace."""
    assert with_keys(b"{a: 1}\n", {"a": 2}) is None
    assert with_keys(b"{a: 1}\n", {"b": 2}) is None
