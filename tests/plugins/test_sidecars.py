"""Every reusable plugin has a sidecar that tells the truth about it."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from stalker.config import check_files, list_plugins

ROOT = Path(__file__).resolve().parents[2]
PLUGINS = {info.name: info for info in list_plugins(str(ROOT))}


def test_the_plugins_that_images_need_are_there():
    """At least these six."""
    assert set(PLUGINS) >= {
        "apt.install",
        "file.line",
        "hostname.set",
        "locale.set",
        "service.enable",
        "user.add",
    }


@pytest.mark.parametrize("name", PLUGINS)
def test_the_page_says_all(name):
    """A summary, help for each argument, and an example."""
    info = PLUGINS[name]

    assert info.summary.endswith(".")
    assert all(argument.help for argument in info.arguments)
    assert f'use: "{name}"' in info.example


@pytest.mark.parametrize("name", PLUGINS)
def test_the_example_works(name, tmp_path):
    """Pasted into a stalk it has no problems."""
    shutil.copytree(ROOT / "plugins", tmp_path / "plugins")
    stalk = tmp_path / "stalks/x/x.hjson"
    stalk.parent.mkdir(parents=True)
    stalk.write_text("{\n  plugins: {\n    " + PLUGINS[name].example + "\n  }\n}\n")

    problems = check_files([str(stalk)], str(tmp_path))

    assert [str(problem) for problem in problems] == []


@pytest.mark.parametrize("name", PLUGINS)
def test_each_argument_is_used_by_the_script(name):
    """What the sidecar offers, the script reads, or a helper that it sources."""
    info = PLUGINS[name]
    script = (ROOT / info.script).read_text()
    for helper in re.findall(r"^\. /entropy/plugins/(\w+\.sh)$", script, re.MULTILINE):
        script += (ROOT / "plugins/lib/bash" / helper).read_text()

    unused = [a.name for a in info.arguments if not re.search(rf"\b{a.variable}\b", script)]

    assert unused == []


@pytest.mark.skipif(not shutil.which("shellcheck"), reason="shellcheck is not installed")
def test_shellcheck_finds_nothing():
    """Plugins, helpers and the scripts of the shipped stalks are clean."""
    scripts = [*ROOT.glob("plugins/*.sh"), *ROOT.glob("plugins/lib/bash/*.sh"), *ROOT.glob("stalks/*/*.sh")]

    done = subprocess.run(
        ["shellcheck", "--external-sources", *map(str, scripts)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.stdout == ""
