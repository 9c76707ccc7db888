from __future__ import annotations

import pytest

from stalker.config import names

GOOD = {
    "debian": ("debian", "", ""),
    "debian:12": ("debian", "12", ""),
    "localhost:5000/a/b:c": ("localhost:5000/a/b", "c", ""),
    "reg.example.org/a": ("reg.example.org/a", "", ""),
    "a/b@sha256:" + "0" * 64: ("a/b", "", "sha256:" + "0" * 64),
    "a:b@sha256:" + "0" * 64: ("a", "b", "sha256:" + "0" * 64),
    "EXAMPLE.org/a": ("EXAMPLE.org/a", "", ""),
    "a__b/c.d/e---f": ("a__b/c.d/e---f", "", ""),
}


@pytest.mark.parametrize("text", GOOD)
def test_an_image_name_is_split(text):
    """Docker's grammar of references."""
    assert tuple(names.image_name(text)) == GOOD[text]


BAD = {
    "": "is no image name",
    "Debian": "capital letters",
    "a b": "is no image name",
    "a:": "is no tag",
    "a:.x": "is no tag",
    "a:" + "x" * 129: "is no tag",
    "a//b": "is no image name",
    "a/-b": "is no image name",
    "a..b": "is no image name",
    "a@sha256:12": "is no digest",
    "a@md5:12": "is no digest",
    "a" * 256: "is no image name",
    "a\n": "is no image name",
}


@pytest.mark.parametrize("text", BAD)
def test_a_name_that_no_image_can_have_is_refused(text):
    """Before the engine would."""
    with pytest.raises(ValueError, match=BAD[text]):
        names.image_name(text)


@pytest.mark.parametrize(
    ("text", "path"),
    [("/a", "/a"), ("//a//b/", "/a/b"), ("/a/./b", "/a/b"), ("/entropy/plugins/x", "/entropy/plugins/x")],
)
def test_a_path_in_a_container_is_normalised(text, path):
    """Two spellings are one path."""
    assert names.target_path(text) == path


@pytest.mark.parametrize(
    "text",
    ["", "a", "./a", "/", "//", "/.", "/a/..", "/a/../b", "/a\0b", "/entropy/plugins", "/entropy/./plugins/"],
)
def test_a_path_that_cannot_be_covered_is_refused(text):
    """Relative, leaving, the root, or the folder of the scripts."""
    with pytest.raises(ValueError, match=r"."):
        names.target_path(text)


@pytest.mark.parametrize("text", ["linux/arm/v7", "linux/amd64", "linux/riscv64"])
def test_a_platform_is_accepted(text):
    """os/architecture[/variant]."""
    assert names.check_platform(text) is None


@pytest.mark.parametrize("text", ["arm", "linux/", "Linux/arm", "linux/arm/v7/x", "linux arm"])
def test_what_is_no_platform_is_refused(text):
    """The form is in the message."""
    with pytest.raises(ValueError, match="linux/arm/v7"):
        names.check_platform(text)
