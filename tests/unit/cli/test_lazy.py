"""Groups whose commands are imported when they are used."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from click.testing import CliRunner

from stalker.cli.main import COMMANDS, stalker


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (["rnu"], "no command named 'rnu'; did you mean 'run'?"),
        (["xyz"], "no command named 'xyz'; `stalker --help` lists the commands"),
        (["image", "verfy"], "no command named 'verfy'; did you mean 'verify'?"),
        (["image", "xyz"], "no command named 'xyz'; `stalker image --help` lists the commands"),
        (["cache", "polcy"], "no command named 'polcy'; did you mean 'policy'?"),
        (["engine", "upp"], "no command named 'upp'; did you mean 'up'?"),
    ],
)
def test_a_misspelt_command_is_told_the_nearest_in_every_group(typed, said):
    """Whatever group it is in, a slip of the finger costs no look into --help."""
    done = CliRunner().invoke(stalker, typed)

    assert done.exit_code == 2
    assert said in done.output


def test_help_lists_the_commands_in_the_order_of_the_table():
    """What is used most stands first, not what begins with an a."""
    shown = CliRunner().invoke(stalker, ["--help"]).output.partition("Commands:")[2]

    listed = [line.split()[0] for line in shown.splitlines() if line.startswith("  ") and line[2] != " "]
    assert listed == list(COMMANDS)


def test_help_imports_no_command():
    """`stalker --help` reads the table, and none of the modules in it."""
    code = (
        "import sys; from click.testing import CliRunner; from stalker.cli.main import COMMANDS, stalker\n"
        "done = CliRunner().invoke(stalker, ['--help']); assert done.exit_code == 0, done.output\n"
        "assert CliRunner().invoke(stalker, ['image', '--help']).exit_code == 0\n"
        "used = {module for module, _, _ in COMMANDS.values()} - {'stalker.cli.commands.image'}\n"
        "print(sorted(used & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", code],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout == "[]\n"
