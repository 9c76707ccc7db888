"""A program that is fed while others are fed: through the engine, or through a named pipe."""

from __future__ import annotations

import subprocess

import pytest

from stalker.toolbox.feeding import Fed, PipeFed


def execute(argv, stdin):
    """Run a program of this host, in place of one in a container."""
    data = b"".join(stdin) if stdin is not None else None
    return subprocess.run(argv, input=data, check=False).returncode


def fed(kind, argv, folder):
    made = Fed(execute, argv) if kind == "engine" else PipeFed(execute, argv, folder, str(folder))
    made.start()
    return made


@pytest.mark.parametrize("kind", ["engine", "pipe"])
def test_a_program_gets_all_that_is_written_in_order(tmp_path, kind):
    """Many small pieces and a large one; the pipe is removed."""
    pieces = [b"%d," % number for number in range(5000)] + [bytes(3 << 20)]
    program = fed(kind, ["sh", "-c", f"cat >{tmp_path}/out; exit 3"], tmp_path)

    assert all(program.write(piece) for piece in pieces)
    program.end()

    assert program.wait() == 3
    assert (tmp_path / "out").read_bytes() == b"".join(pieces)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_program_that_ends_early_takes_no_more(tmp_path):
    program = fed("pipe", ["true"], tmp_path)

    while program.write(bytes(1 << 20)):
        pass
    program.end()

    assert program.wait() == 0
    assert list(tmp_path.iterdir()) == []


def test_what_the_engine_raises_is_raised_to_the_caller():
    def fails(_argv, _stdin):
        raise OSError("the engine went away")

    program = Fed(fails, ["true"])
    program.start()

    with pytest.raises(OSError, match="went away"):
        program.wait()
