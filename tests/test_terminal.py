"""What a user sees: real runs on the engine of this host, looked at through a pseudo-terminal and in pipes."""

import contextlib
import fcntl
import json
import os
import re
import struct
import subprocess
import termios
import threading

import pyte
import pytest

from workspace import DEADLINE_S, space_on

pytestmark = pytest.mark.docker

GATE = {"path": "gate", "bind": "/gate", "mode": "rw"}
WAIT = "until [ -e /gate/%s ]; do usleep 20000; done"
"""A step goes on when the test has put a file there."""

RUN = ("run", "trees/t/t.hjson")


@pytest.fixture
def space(engine, busybox, tmp_path):
    """A workspace with a folder in which the test tells steps to go on."""
    with space_on(engine, tmp_path, busybox) as space:
        (tmp_path / "gate").mkdir()
        yield space


def containers_of(engine, space):
    """Containers of runs of this workspace's images."""
    ours = {
        image.id for image in engine.labelled_images() if any(tag.startswith(space.os) for tag in image.tags)
    }
    return [container.name for container in engine.containers({}) if container.image in ours]


class Terminal:
    """A program on a pseudo-terminal; `lines` is what stands on its screen now."""

    def __init__(self, space, arguments, columns, lines, **environ):
        self.screen = pyte.HistoryScreen(columns, lines, history=5000)
        self.raw = b""
        self.seen = threading.Condition()
        self.master, slave = os.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        # As in a terminal of its own: what is typed as Ctrl-C comes as SIGINT.
        self.process = subprocess.Popen(
            ["setsid", "-c", *space.command(*arguments)],
            cwd=space.path,
            env=space.environ(TERM="xterm-256color", **environ),
            stdin=slave,
            stdout=slave,
            stderr=slave,
        )
        os.close(slave)
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self):
        feed = pyte.ByteStream(self.screen)
        while True:
            try:
                data = os.read(self.master, 65536)
            except OSError:  # the last one who had it open has ended
                return
            with self.seen:
                self.raw += data
                feed.feed(data)
                self.seen.notify_all()

    @property
    def lines(self):
        """What stands on the screen, without empty lines at the end."""
        return "\n".join(line.rstrip() for line in self.screen.display).rstrip().splitlines()

    @property
    def history(self):
        """All lines, also those that went out at the top."""
        above = ["".join(line[column].data for column in sorted(line)) for line in self.screen.history.top]
        return [line.rstrip() for line in above] + self.lines

    def await_lines(self, *patterns):
        """Wait till each pattern is found in a line of one and the same screen; return its lines."""

        def are_there():
            return all(any(re.search(pattern, line) for line in self.lines) for pattern in patterns)

        with self.seen:
            if not self.seen.wait_for(are_there, timeout=30):
                pytest.fail(f"no lines with {patterns}:\n" + "\n".join(self.history))
            return self.lines

    def press(self, keys):
        os.write(self.master, keys)

    def end(self):
        """Wait for the end; return the exit code."""
        code = self.process.wait(DEADLINE_S)
        self.thread.join(DEADLINE_S)
        return code

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.thread.join(10)
        os.close(self.master)


@pytest.fixture
def terminal(space):
    """Start the program on a terminal of a size."""
    with contextlib.ExitStack() as stack:

        def start(*arguments, columns=100, lines=24, **environ):
            made = Terminal(space, arguments, columns, lines, **environ)
            stack.callback(made.close)
            return made

        yield start


def grow(space, **more):
    """Two stalks: b grows on a, and waits for the test in its first step."""
    space.tree({"a": {"b": {}}})
    space.stalk("a", {"one": "echo one says $((40 + 2))"})
    nap = f"#!/bin/sh\necho first line; echo last line of nap\n{WAIT % 'go'}\n"
    space.stalk("b", {"gate": GATE, "nap": {"exec": True, "text": nap}, "after": "echo after", **more})


SIZES = [(100, 24), (40, 12)]


@pytest.mark.parametrize(("columns", "lines"), SIZES)
def test_the_live_view(space, terminal, columns, lines):
    """Stalks and steps, which of them runs, and its last line; at the end the result, on any width."""
    grow(space)

    shown = terminal(*RUN, columns=columns, lines=lines)
    running = r"^ +[⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏] nap .* \d\.\d s"
    during = shown.await_lines(r"^✓ a\b", running, r"^ +│ last line of nap", r"^ +· after")
    hidden = shown.screen.cursor.hidden
    (space.path / "gate/go").touch()
    code = shown.end()

    assert hidden
    assert not any("first line" in line for line in during)
    assert code == 0
    assert not shown.screen.cursor.hidden
    assert shown.lines[-1].startswith("done: 3 steps ran in ")
    assert not any("nap" in line or "last line" in line for line in shown.lines)
    assert max(map(len, shown.history)) <= columns


def test_a_run_with_nothing_to_do_is_one_line(space, terminal):
    """A terminal is not cleared and nothing is drawn for it."""
    grow(space)
    (space.path / "gate/go").touch()
    space.run()

    for _ in range(2):
        shown = terminal(*RUN)

        assert shown.end() == 0
        assert [re.sub(r"\d\.\d s", "T", line) for line in shown.lines] == [
            "nothing to do: 3 steps are there (T)"
        ]
        assert b"\x1b" not in shown.raw


def test_a_failure_on_a_terminal(space, terminal):
    """The step, its exit code and last lines, the log, and the command that looks inside."""
    grow(space)
    space.stalk("b", {"nap": "echo some; echo words; exit 7", "after": "true"})

    shown = terminal(*RUN)

    assert shown.end() == 1
    text = "\n".join(shown.history)
    assert "b:nap  failed with exit code 7 after" in text
    assert "  | some\n  | words\n" in text
    assert "./stalker shell b:nap.failed --tree trees/t/t.hjson" in text
    (log,) = re.findall(r"log: (\S+)", text)
    assert (space.path / log).read_text() == "some\nwords\n"
    assert shown.lines[-1].startswith("failed: 1 step ran, 1 failed (b:nap), 1 blocked in ")


HELLO = {
    "hello_file": {
        "bind": "/tmp/hello_file",
        "F": "hello from f-string subsitution in a file",
        "text": "{F}\n",
    },
    "hello_from_sh": {
        "exec": True,
        "TREE_CONFIG_VAR": "",
        "STALK_CONFIG_VAR": "",
        "text": "#!/usr/bin/env sh\necho These are bash variables\n"
        "echo TREE_CONFIG_VAR is set to $TREE_CONFIG_VAR\necho STALK_CONFIG_VAR is set to $STALK_CONFIG_VAR\n"
        "echo\necho e.g. {F_STRING_VAR} in /tmp/hello_file is set to\ncat /tmp/hello_file\n",
    },
    "hello_from_env": {
        "exec": True,
        "HELLO_ENV": "hello from a plugin via environment variables",
        "text": "#!/bin/sh\necho $HELLO_ENV\n",
    },
    "hello_from_arg": {
        "exec": True,
        "HELLO_ARG": "hello from a plugin via arguments",
        "text": '#!/bin/awk -f\nBEGIN { print "{HELLO_ARG}" }\n',
    },
    "hello_from_explicit_env": {
        "exec": True,
        "HELLO_EXPLICIT": "hello from a plugin via explicit arguments",
        "text": '#!/bin/sh\nhello() { echo "$1"; }\nhello "$HELLO_EXPLICIT"\n',
    },
}
MESSAGES = {
    "hello_from_sh": [
        "These are bash variables",
        "TREE_CONFIG_VAR is set to hello from stalker config",
        "STALK_CONFIG_VAR is set to hello from dockerdriver config",
        "",
        "e.g. {F_STRING_VAR} in /tmp/hello_file is set to",
        "hello from f-string subsitution in a file",
    ],
    "hello_from_env": ["hello from a plugin via environment variables"],
    "hello_from_arg": ["hello from a plugin via arguments"],
    "hello_from_explicit_env": ["hello from a plugin via explicit arguments"],
}


def test_watch_stdout_shows_each_step_under_a_ruled_line(space, terminal):
    """The first tool's call: `--config TREE --watch_stdout`."""
    space.tree({"a": {"TREE_CONFIG_VAR": "hello from stalker config"}})
    space.stalk("a", HELLO, STALK_CONFIG_VAR="hello from dockerdriver config")

    shown = terminal("--config", "trees/t/t.hjson", "--watch_stdout", lines=40)

    assert shown.end() == 0
    expected = []
    for step, lines in MESSAGES.items():
        expected += [f"---- a:{step} ".ljust(80, "-"), "", *lines, ""]
    assert shown.lines[: len(expected)] == expected
    assert shown.lines[-1].startswith("done: 4 steps ran in ")
    assert len(shown.lines) == len(expected) + 1


FOUL = r"""
printf 'caf\303'; usleep 300000; printf '\251 done\n'
printf '\033[2J\033[10;10H\033]2;title\007\033[?25l\033(0 \033[31mred\n'
printf '\000\001\377\376\r\016 shift\n'
head -c 100000 /dev/urandom
printf '\nthe end\n'
"""


@pytest.mark.parametrize("options", [(), ("--watch-stdout",)])
def test_foul_output_does_the_terminal_no_harm(space, terminal, options):
    """Split UTF-8 is put together; what would clear, move, retitle or garble the terminal does not get there."""
    space.tree({"a": {}})
    nap = f"#!/bin/sh\n{FOUL}\n{WAIT % 'go'}\n"
    space.stalk("a", {"gate": GATE, "foul": {"exec": True, "text": nap}})

    shown = terminal(*RUN, *options, lines=30)
    shown.await_lines("the end")
    (space.path / "gate/go").touch()

    assert shown.end() == 0
    assert shown.lines[-1].startswith("done: 1 step ran in ")
    assert not shown.screen.cursor.hidden
    assert shown.screen.title == ""
    left = re.sub(rb"\x1b\[[0-9;?]*[A-Za-z]", b"", shown.raw)
    assert not re.search(rb"[\x00-\x08\x0b\x0c\x0e-\x1f]", left)
    assert b"\x1b[10;10H" not in shown.raw
    if options:
        assert "café done" in shown.raw.decode("utf-8")
        shown.raw.decode("utf-8")


def test_ctrl_c_gives_the_terminal_back(space, terminal, engine):
    """The run stops, says so, leaves the cursor and no container, and ends with 130; the next one goes on."""
    grow(space)
    shown = terminal(*RUN)
    shown.await_lines("last line of nap")

    shown.press(b"\x03")
    code = shown.end()
    (space.path / "gate/go").touch()
    again = space.run()

    assert code == 130
    assert not shown.screen.cursor.hidden
    assert shown.lines[-1].startswith("interrupted: 1 step ran")
    assert "Traceback" not in "\n".join(shown.history)
    assert containers_of(engine, space) == []
    assert again.verdicts == {"a:one": "REUSE", "b:nap": "RUN", "b:after": "RUN"}


COLOURS = re.compile(rb"\x1b\[[0-9;]*\b([349][0-7]|[34]8;[0-9;]+)m")


@pytest.mark.parametrize(("environ", "is_coloured"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_no_color_is_honoured(space, terminal, environ, is_coloured):
    """NO_COLOR keeps colours from a terminal that could show them."""
    grow(space)
    space.stalk("b", {"nap": "exit 7"})

    shown = terminal(*RUN, **environ)

    assert shown.end() == 1
    assert bool(COLOURS.search(shown.raw)) is is_coloured


@pytest.mark.parametrize("options", [(), ("--watch-stdout",), ("--json",), ("--quiet",), ("--eliot-info",)])
def test_a_pipe_gets_no_escape_codes(space, options):
    """Also when the environment says what terminal there is."""
    grow(space)
    space.stalk("b", {"nap": "echo words; exit 7"})

    done = space.stalker(*RUN, *options, TERM="xterm-256color")

    assert done.code == 1
    assert "\x1b" not in done.out + done.err
    assert "\r" not in done.out + done.err
    assert "b:nap" in done.err


def test_in_a_pipe_a_line_an_event(space):
    """A log of CI reads from top to bottom: messages on stderr, nothing on stdout."""
    grow(space)
    (space.path / "gate/go").touch()

    done = space.stalker(*RUN)

    assert (done.code, done.out) == (0, "")
    assert [re.sub(r"\d+\.\d s", "T", line) for line in done.err.splitlines()] == [
        "plan: 3 steps to run",
        "a:one  running",
        "a:one  done in T",
        "b:nap  running",
        "b:nap  done in T",
        "b:after  running",
        "b:after  done in T",
        "done: 3 steps ran in T",
    ]


def test_json_tells_everything(space):
    """Each line is an event; together they say what was read, planned, run, written and committed."""
    grow(space)
    (space.path / "gate/go").touch()

    done = space.run()

    assert done.code == 0
    kinds = [event["event"] for event in done.events]
    assert kinds[0] == "run_started"
    assert kinds[-1] == "run_finished"
    assert {event["file"] for event in done.of("file_read")} == {
        "trees/t/t.hjson",
        "stalks/a/a.hjson",
        "stalks/b/b.hjson",
    }
    assert done.verdicts == {"a:one": "RUN", "b:nap": "RUN", "b:after": "RUN"}
    for step in done.verdicts:
        # Output comes in as many pieces as it was written in, or fewer.
        own = list(dict.fromkeys(event["event"] for event in done.events if event.get("step") == step))
        assert own == ["variables_set", "step_started", "container_started", "step_output", "step_finished"]
    finished = {event["step"]: event for event in done.of("step_finished")}
    assert {event["state"] for event in finished.values()} == {"done"}
    assert finished["b:nap"]["name"] == f"{space.os}/x/y/b:nap"
    assert finished["b:nap"]["image"].startswith("sha256:")
    assert [event["at"] for event in done.events] == sorted(event["at"] for event in done.events)
    assert "".join(event["data"] for event in done.of("step_output")).splitlines() == [
        "one says 42",
        "first line",
        "last line of nap",
        "after",
    ]


def test_json_of_foul_output_is_still_json(space):
    """Whatever a step writes, each line parses, and text that came in pieces is whole."""
    space.tree({"a": {}})
    space.stalk("a", {"foul": FOUL})

    done = space.run()

    assert done.out.isascii()
    assert "café done\n" in "".join(json.loads(line).get("data", "") for line in done.out.splitlines())


def test_quiet_is_silent_when_all_is_well(space):
    """And says what failed when it is not."""
    grow(space)
    (space.path / "gate/go").touch()

    done = space.stalker(*RUN, "--quiet")
    space.stalk("b", {"nap": "echo words; exit 7"})
    failed = space.stalker(*RUN, "--quiet")

    assert (done.code, done.out, done.err) == (0, "", "")
    assert (failed.code, failed.out) == (1, "")
    assert failed.err.splitlines()[0].startswith("b:nap  failed with exit code 7")
