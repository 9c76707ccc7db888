"""The two whole examples of the formats, a tree and a stalk, load as they are written.

One spot of them does not: `platform: linux/arm/v7   # optional`. There the comment is part of the
text, by Hjson's rule, and the problem says to quote it.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from stalker.config import read_tree
from stalker.errors import FilesError
from stalker.model.tree import BootstrapBase, ImageBase

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = Path(__file__).parent / "data/formats"
GIVEN = {"WHO": "world"}
"""The stalk's example inherits WHO, which the tree's leaves to whoever runs it."""


@pytest.fixture
def workspace(tmp_path):
    shutil.copytree(EXAMPLES, tmp_path, dirs_exist_ok=True)
    shutil.copytree(ROOT / "plugins", tmp_path / "plugins")
    (tmp_path / "workspace/portage").mkdir(parents=True)
    (tmp_path / "sysroot").mkdir()
    return tmp_path


@pytest.fixture
def tree(workspace):
    """The tree of the examples, its platform in quotes."""
    file = workspace / "trees/kantoo.hjson"
    text = file.read_text()
    assert "platform: linux/arm/v7  " in text
    file.write_text(text.replace("platform: linux/arm/v7  ", 'platform: "linux/arm/v7"  '))
    return read_tree("kantoo", str(workspace), GIVEN)


@pytest.fixture
def steps(tree):
    """The steps of the stalk of the examples."""
    return {step.name: step for step in tree.stalk("stage4").steps}


def test_a_comment_behind_a_value_without_quotes_is_the_one_thing_to_mend(workspace):
    """It is reported at its place, with the remedy, and nothing else is wrong."""
    with pytest.raises(FilesError) as caught:
        read_tree("kantoo", str(workspace), GIVEN)

    (problem,) = caught.value.problems
    assert (str(problem.place), problem.place.path) == ("trees/kantoo.hjson:2:11", "platform")
    assert problem.hint == "put the text in quotes, or the comment on a line of its own"


def test_the_tree_has_the_names_and_edges_that_it_shows(tree):
    """Architecture, platform, nesting, needs, a variant, and a secret."""
    assert (tree.architecture, tree.arch_label, tree.log_dir) == (
        "debian/arm-32bit/raspi3",
        "arm-32bit-raspi3",
        "logs",
    )
    assert {stalk.platform for stalk in tree.stalks} == {"linux/arm/v7"}
    assert [(stalk.name, stalk.parent, stalk.file.split("/")[1]) for stalk in tree.stalks] == [
        ("stage3", "", "stage3"),
        ("build_repo", "stage3", "build_repo"),
        ("stage4", "stage3", "stage4"),
        ("stage4_lite", "stage3", "stage4"),
    ]
    assert [need for need, _ in tree.stalk("stage4").needs] == ["build_repo"]
    assert [(secret.name, secret.env) for secret in tree.secrets] == [("SIGNING_KEY", "SIGNING_KEY")]


def test_the_bases_are_tried_as_written(tree):
    """An image, then a bootstrap with one package."""
    image, bootstrap = tree.stalk("stage3").bases

    assert isinstance(image, ImageBase)
    assert isinstance(bootstrap, BootstrapBase)
    assert image.name == "debian:bookworm-slim"
    assert (bootstrap.suite, bootstrap.include) == ("bookworm", ("python3-minimal",))


def test_the_options_are_those_of_the_line(steps):
    """DOCKER_OPTS in one line, mappings and lists in it; `init` is how every container is started."""
    options = {option.name: option.value for option in steps["final"].options}

    assert options == {
        "tty": "true",
        "network_mode": '"none"',
        "cap_add": '["SYS_PTRACE"]',
        "tmpfs": '{"/var/tmp/portage": "size=8g"}',
        "extra_hosts": '{"repo": "10.0.0.1"}',
    }
    assert steps["final"].environment == (("LC_ALL", "C.UTF-8"),)


def test_the_files_and_mounts_are_those_of_the_lines(steps):
    """A file that steps see, one that stays, a folder of the host, and a store."""
    first = steps["say_hello"]
    bound = {file.target: (file.content, file.variables[0].value) for file in first.files if file.variables}

    assert bound == {"/tmp/hello_file": (b"hello", "hello")}
    assert [(file.target, file.content, file.mode) for file in first.copies] == [
        ("/etc/kantoo-release", b"###KANTOO###", 0o644)
    ]
    assert [(m.target, m.kind, m.source, m.writable) for m in first.mounts] == [
        ("/portage/packages", "directory", "workspace/portage", True),
        ("/var/cache/distfiles", "store", "distfiles", True),
    ]


def test_the_steps_are_those_of_the_lines(steps):
    """In their order, with timeout, retries, arguments, and the one that stays up."""
    hello, install, distccd, final = steps.values()

    assert list(steps) == ["say_hello", "install", "distccd", "final"]
    assert (hello.timeout_s, hello.retries) == (600.0, 2)
    assert [(v.name, v.value) for v in hello.variables] == [("WHO", "world")]
    assert hello.script.content == b"#!/usr/bin/env sh\necho hello $WHO\n"
    assert install.uses == "apt.install"
    assert {v.name: v.value for v in install.variables}["PACKAGES"] == "chrony\navahi-daemon"
    assert (distccd.daemonize, distccd.script.interpreter) == (True, ("/bin/sh",))
    assert final.script.content == b"#!/bin/sh\necho done\n"


def test_what_the_example_leaves_to_the_image_is_warned_of(tree):
    """Its `network: none` is kept, although two of its steps might miss the network."""
    warnings = [warning for warning in tree.warnings if "network: none" in warning]

    assert len(tree.warnings) == len(warnings) == 2
