"""plugins/lib/bash/kantoo.sh: what shell scripts in containers may source. It runs here as well."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

HELPERS = Path(__file__).resolve().parents[2] / "plugins/lib/bash/kantoo.sh"
SHELLS = [shell for shell in ("dash", "bash", "sh") if shutil.which(shell)]


@pytest.fixture(params=SHELLS)
def run(request, tmp_path):
    """Run a script that has sourced the helpers, in each shell there is; return (code, stdout, stderr)."""

    def run_script(script):
        done = subprocess.run(
            [request.param, "-euc", f". {HELPERS}\n{script}"],
            cwd=tmp_path,
            env={"PATH": os.environ["PATH"], "KANTOO_NAME": "step"},
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout, done.stderr

    return run_script


def test_messages_name_the_script(run):
    """What goes on goes to stdout, what is odd to stderr."""
    assert run("info hello world; warn careful") == (
        0,
        "step: hello world\n",
        "step: warning: careful\n",
    )


def test_die_says_what_is_wrong_and_what_to_do(run):
    """The step ends with 1."""
    assert run("die 'no disk' 'add one'; echo not here") == (1, "", "step: no disk\n  add one\n")


def test_die_without_a_remedy_is_one_line(run):
    """Nothing is printed where there is nothing to say."""
    assert run("die 'no disk'") == (1, "", "step: no disk\n")


def test_retry_stops_at_the_first_success(run):
    """The third call works, and there is no fourth."""
    code, stdout, _ = run("try() { echo x >>log; [ $(wc -l <log) -eq 3 ]; }; retry 5 0 try; wc -l <log")

    assert (code, stdout.strip()) == (0, "3")


def test_retry_gives_the_last_exit_code(run):
    """Three tries, then 7."""
    code, stdout, _ = run("try() { echo x; return 7; }; retry 3 0 try")

    assert (code, stdout) == (7, "x\nx\nx\n")


def test_retry_keeps_arguments_whole(run):
    """A blank in an argument is part of it."""
    assert run("retry 1 0 printf '<%s>' 'a b' ''") == (0, "<a b><>", "")


def test_need_passes_what_is_there_and_names_what_is_not(run):
    """The remedy is the caller's."""
    assert run("need sh 'install it'; echo on")[:2] == (0, "on\n")
    assert run("need no-such-tool 'install it'") == (
        1,
        "",
        "step: there is no 'no-such-tool' in this image\n  install it\n",
    )


@pytest.mark.parametrize(("value", "code"), [("true", 0), ("false", 1)])
def test_is_true_of_a_boolean(run, value, code):
    """It answers as a condition does."""
    assert run(f"if is_true flag {value}; then exit 0; else exit 1; fi")[0] == code


def test_is_true_of_anything_else_ends_the_step(run):
    """The message names the argument."""
    assert run("if is_true flag yes; then :; fi; echo not here") == (
        1,
        "",
        "step: flag: 'yes' is neither true nor false\n",
    )


def test_replace_file_keeps_mode_and_link(run, tmp_path):
    """The content is new, all else is as it was, and nothing else is left in the folder."""
    (tmp_path / "real").write_text("old")
    (tmp_path / "real").chmod(0o640)
    (tmp_path / "link").symlink_to("real")

    code, _, stderr = run("echo new | replace_file $PWD/link")

    assert (code, stderr) == (0, "")
    assert (tmp_path / "real").read_text() == "new\n"
    assert (tmp_path / "real").stat().st_mode & 0o777 == 0o640
    assert (tmp_path / "link").readlink() == Path("real")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "real"]


def test_replace_file_makes_a_new_file_that_all_can_read(run, tmp_path):
    """Not the private mode of a temporary file."""
    code, _, _ = run("echo new | replace_file $PWD/fresh")

    assert code == 0
    assert (tmp_path / "fresh").stat().st_mode & 0o777 == 0o644
