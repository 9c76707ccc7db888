import os
import select
import sys

import pytest

from stalker.errors import InputError
from stalker.fetch.base.subprocess_stream import program_output


def run(script, **more):
    return program_output(["sh", "-c", script], what="it", resolution="repair it", **more)


def ends(process):
    """Wait until a process has ended, reaped or not: it was sent a signal, and dies a moment later."""
    is_over, _, _ = select.select([process], [], [], 10)
    os.close(process)
    return bool(is_over)


def test_output_comes_whole_and_lines_are_heard():
    """Stdout is passed on byte for byte, stderr line by line, the last without an end too."""
    heard = []

    data = b"".join(run("head -c 3000000 /dev/zero; echo one >&2; printf 'two' >&2", on_line=heard.append))

    assert data == bytes(3000000)
    assert heard == ["one", "two"]


def test_a_failure_is_told_after_the_last_byte():
    """A program that fails at its end must not look complete."""
    stream = run("printf half; for i in $(seq 30); do echo line $i >&2; done; exit 7")

    assert next(stream) == b"half"
    with pytest.raises(InputError) as caught:
        list(stream)

    assert caught.value.brief == "it: sh ended with exit code 7"
    assert caught.value.details.splitlines() == [f"line {number}" for number in range(11, 31)]
    assert caught.value.resolution == "repair it"


def test_a_killed_program_is_told_by_its_signal():
    """Out of memory looks like this."""
    with pytest.raises(InputError, match="signal 9"):
        list(run("kill -9 $$"))


def test_closing_ends_the_program_and_what_it_started():
    """Nothing runs on when nobody wants the output."""
    stream = run("sleep 1000 & echo $!; echo $$; exec sleep 1000")
    pids = [int(pid) for pid in (next(stream) + b"").split()]
    while len(pids) < 2:
        pids += [int(pid) for pid in next(stream).split()]
    processes = [os.pidfd_open(pid) for pid in pids]

    stream.close()

    assert [ends(process) for process in processes] == [True, True]


def test_a_program_may_clean_up_before_it_ends(tmp_path):
    """It is asked first: its own handler runs."""
    script = (
        "import os, pathlib, signal, sys\n"
        f"tidy = lambda *_: (pathlib.Path({str(tmp_path / 'tidy')!r}).touch(), sys.exit(1))\n"
        "signal.signal(signal.SIGTERM, tidy)\n"
        "os.write(1, b'ready')\n"
        "signal.pause()\n"
    )
    stream = program_output([sys.executable, "-c", script], what="it", resolution="")
    next(stream)

    stream.close()

    assert (tmp_path / "tidy").exists()


def test_a_listener_that_raises_ends_the_program():
    """Ctrl-C comes out of the place where a line is shown."""
    pids = []

    def listen(line):
        pids.append(int(line))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(run("echo $$ >&2; exec sleep 1000", on_line=listen))

    with pytest.raises(ProcessLookupError):
        os.kill(pids[0], 0)


def test_a_missing_program_is_named():
    """What to install is said."""
    with pytest.raises(InputError) as caught:
        list(program_output(["no-such-program-here"], what="it", resolution=""))

    assert caught.value.brief == "no-such-program-here is not installed"


def test_lines_that_are_not_utf8_do_no_harm():
    """Foreign bytes in a message."""
    heard = []

    list(run(r"printf '\377\n10%%\r20%%\n' >&2", on_line=heard.append))

    assert heard == ["\ufffd", "20%"]
