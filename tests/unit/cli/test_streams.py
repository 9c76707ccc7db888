"""Nothing foreign reaches a terminal, no encoding fails, and output that is lost is told of."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys

import pytest

from stalker.cli.streams import SafeStream
from workspace import LIB


def written(text, *, encoding="utf-8", is_terminal=False):
    """Return the bytes that a text becomes."""
    raw = io.BytesIO()
    inner = io.TextIOWrapper(raw, encoding=encoding, errors="strict")
    inner.isatty = lambda: is_terminal
    stream = SafeStream(inner)
    print(text, end="", file=stream)
    stream.flush()
    return raw.getvalue()


@pytest.mark.parametrize("is_terminal", [True, False])
@pytest.mark.parametrize("char", ["\x07", "\x1b]0;title\x07", "\x1b[2J", "\x9b", "\u202e", "\u2066", "\x7f"])
def test_what_changes_a_terminal_is_written_by_its_number(char, is_terminal):
    """Also in a pipe: `less -R` and a CI's page are terminals too."""
    found = written(f"a{char}b\n", is_terminal=is_terminal).decode()

    assert found.isprintable() or found[:-1].isprintable()
    assert found.startswith("a\\u")


def test_our_own_colours_and_progress_reach_a_terminal():
    line = "\r\x1b[31mred\x1b[0m 12 %\x1b[K"

    assert written(line, is_terminal=True).decode() == line
    assert "\x1b" not in written(line).decode()


def test_json_stays_json():
    """DEL is the one control character that JSON writes as it is."""
    document = {"name": "a\x7f\u202e\n\x1b"}

    assert json.loads(written(json.dumps(document))) == document
    assert json.loads(written(json.dumps(document, ensure_ascii=False))) == document


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_no_encoding_fails(encoding):
    assert written("é漢\udcff\ud800", encoding=encoding).decode(encoding)


def stalker(*arguments, stdout, **environ):
    return subprocess.run(
        [sys.executable, "-m", "stalker.cli", *arguments],
        env={**os.environ, "PYTHONPATH": str(LIB), **environ},
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("arguments", [("schema", "tree"), ("--help",), ("plugins",), ("log", "--json")])
def test_output_that_cannot_be_written_is_an_error(tmp_path, arguments):
    """A script that keeps what a command says must see that it is not whole."""
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins/a.sh").write_text("#!/bin/sh\n")
    (tmp_path / "plugins/a.hjson").write_text("{summary: does it}\n")
    with open("/dev/full", "w") as full:
        done = stalker("--workspace", str(tmp_path), *arguments, stdout=full)

    assert done.returncode == 1
    assert done.stderr == "stalker: No space left on device: not all of the output could be written\n"


def test_a_reader_that_goes_away_is_no_error():
    """`stalker schema tree | head -1`"""
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "w") as pipe:
        done = stalker("schema", "tree", stdout=pipe)

    assert (done.returncode, done.stderr) == (0, "")


HOSTILE = "stalks: {\n  s: { base: { image: 'a\\u202e:1' }, \u202ex: 1 }\n}\n"


@pytest.mark.parametrize(
    "environ",
    [
        {"PYTHONIOENCODING": "ascii"},
        {"PYTHONIOENCODING": "latin-1"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {},
    ],
)
def test_names_of_any_bytes_are_shown_in_any_encoding(tmp_path, environ):
    """A file named in latin-1 with an escape sequence in it, read by `check`."""
    file = os.path.join(os.fsencode(tmp_path), b"t\x1b[31m\xff\xe2\x80\xae\n.hjson")
    with open(file, "w", encoding="utf-8") as stream:
        stream.write(HOSTILE)

    done = stalker("check", os.fsdecode(file), stdout=subprocess.PIPE, **environ)

    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    text = done.stdout + done.stderr
    assert r"t\x1b[31m\xff" in text
    assert not {"\x1b", "\u202e", "\udcff"} & set(text)
