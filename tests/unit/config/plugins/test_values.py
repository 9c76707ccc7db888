from __future__ import annotations

import pytest


@pytest.mark.parametrize(
    ("plugin", "message"),
    [
        ("go: { exec: true, text: '#!/bin/sh', store: s }", "'store' does not go with exec"),
        ("go: { exec: true, text: '#!/bin/sh', copy: '/x' }", "what a script leaves behind is in the image"),
        ("f: { text: x, timeout: 3 }", "'timeout' does not go with a file"),
        ("s: { store: 'st', bind: '/s', copy: '/x' }", "'copy' does not go with a store"),
        ("go: { exec: true, text: '#!/bin/sh', path: 'x' }", "both 'text' and 'path'"),
        ("go: { exec: true }", "one of text, path, use is missing"),
        ("go: { exec: true, path: 'none.sh' }", "there is no none.sh"),
    ],
)
def test_keys_that_do_not_go_together_are_refused(space, plugin, message):
    """A key without effect is a slip."""
    space.stalk(plugin)

    assert message in "\n".join(space.problems())


def test_a_variable_of_a_mounted_directory_is_a_warning(space):
    """Nothing is put into what is mounted."""
    space.write("data/x", "x")
    space.stalk("go: { exec: true, text: '#!/bin/sh' }\n d: { path: 'data', bind: '/d', NAME: 'x' }")

    assert "the variable NAME has no effect on a folder" in "\n".join(space.warnings())
