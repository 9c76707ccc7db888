from __future__ import annotations

import pytest

from stalker.config.tree import names


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
    assert names.platform_name(text) == text


@pytest.mark.parametrize("text", ["arm", "linux/", "Linux/arm", "linux/arm/v7/x", "linux arm"])
def test_what_is_no_platform_is_refused(text):
    """The form is in the message."""
    with pytest.raises(ValueError, match="linux/arm/v7"):
        names.platform_name(text)
