"""Transcripts of consoles, played as a machine would write them, and what comes of them."""

import itertools
import re
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stalker.boot.console import Console, Failed, Passed, PlainText, Type, command_line, too_long
from stalker.model.artifacts import Expectation
from stalker.model.diagnostics import Place

HERE = Place("trees/t/t.hjson", 1, 1, "boot_test")
TOKEN = "q7f3a"
KERNEL = "[   26.123456] IPv6: ADDRCONF(NETDEV_CHANGE): eth0: link becomes ready\r\n"
BOOTED = "[    0.000000] Booting Linux on physical CPU 0x0\r\n\x1b[0;32m  OK  \x1b[0m Reached target\r\n\r\npi login: "
SHELL = "sh"
"""What is typed is run by a shell of this host, from here on."""


def expect(kind, text="", **more):
    return Expectation(kind, text, HERE, **more)


def wait(text, **more):
    return expect("wait", text, **more)


def run(text, **more):
    return expect("run", text, **more)


EMERGENCY = (
    "[\x1b[0;1;31m TIME \x1b[0m] Timed out waiting for device /dev/sdb1.\r\n"
    "[DEPEND] Dependency failed for /data.\r\n[FAILED] Failed to mount /data\r\n"
    "You are in emergency mode. After logging in, type\r\n"
)

LOG_IN = (
    wait("login:"),
    expect("type", "root"),
    wait("Password:"),
    expect("type", "", secret="ROOT_PASSWORD"),
    wait("# "),
)
LOGGED_IN = [BOOTED, "root\r\nPassword: ", "\r\nLinux pi 6.1.0\r\n\x1b[?2004hroot@pi:~# "]


def play(expectations, dialogue, *, cut=None, timeout_s=300.0, ends=None):
    """Let a machine say each part of a dialogue after something was typed; return (verdict, typed lines).

    `cut` cuts a text into the pieces in which it comes. A part that is `SHELL` is the echo of what was typed and
    what a real shell makes of it. `ends` is the exit code with which QEMU ends after all that.
    """
    now_s = 0.0
    console = Console(
        expectations, timeout_s=timeout_s, now_s=now_s, token=TOKEN, secrets={"ROOT_PASSWORD": "s3cret"}
    )
    typed = []
    verdict = None
    for part in dialogue:
        text = run_in_shell(typed[-1]) if part == SHELL else part
        said = []
        for piece in cut(text.encode()) if cut else [text.encode()]:
            now_s += 0.001
            said += console.feed(piece, now_s)
        while not said and now_s < timeout_s + 2:
            now_s += 0.2
            said += console.tick(now_s)
        for one in said:
            if isinstance(one, Type):
                typed.append(one.data.decode())
            else:
                assert verdict is None, "one verdict is enough"
                verdict = one
        if verdict:
            break
    if verdict is None and ends is not None:
        said = console.ended(ends, "qemu: it broke" if ends else "", now_s)
        verdict = said[-1] if said else None
    return verdict, typed


def run_in_shell(line, shell="sh"):
    done = subprocess.run(
        [shell], input=line.replace("\r", "\n"), capture_output=True, text=True, check=False
    )
    return f"{line}\n{done.stdout}{done.stderr}root@pi:~# ".replace("\n", "\r\n")


PASSING = {
    "a prompt": ([wait("login:")], [BOOTED]),
    "a login": (LOG_IN, LOGGED_IN),
    "a command": ([*LOG_IN, run("echo armv7l", matches="^armv7l$")], [*LOGGED_IN, SHELL]),
    "two commands": ([run("true"), run("echo b; false", matches="b", exit_code=1)], ["# ", SHELL, SHELL]),
    "a pattern that is also typed": ([run("echo $((6 * 7))", matches="42"), wait("# ")], ["# ", SHELL]),
    "a command that ends its shell": ([run("exit 3", exit_code=3)], ["# ", SHELL]),
    "a command with a wrong quote": ([run("echo 'it", exit_code=2)], ["# ", SHELL]),
    "a command in several lines": ([run("for i in 1 2; do\n\techo $i-\\\\\ndone", matches="1-.\n2-")], ["# ", SHELL]),
    "a command that reads its input": ([run("cat; echo read", matches="read")], ["# ", SHELL]),
    "output without an end of line": ([run("printf abc", matches="^abc$")], ["# ", SHELL]),
    "what is a panic in a log only": ([run("echo 'Login incorrect'", matches="correct")], ["# ", SHELL]),
    "kernel messages that are asked for": (
        [run("echo '[    0.000000] Booting Linux'", matches="Booting Linux")],
        ["# ", SHELL],
    ),
    "a kernel message within a word": ([wait("login:")], [f"pi lo{KERNEL}gin: "]),
    "two kernel messages within a word": ([wait("login:$")], [f"pi l{KERNEL}ogi{KERNEL}n:"]),
    "colours within a word": ([wait("login:")], ["pi lo\x1b[1;31mgi\x1b[0mn: "]),
    "a title": ([wait("^root@pi:~# $")], ["\x1b]0;root@pi: ~\x07root@pi:~# "]),
    "a panic that is expected": ([wait("Kernel panic"), wait("again")], ["Kernel panic - not syncing: x\r\nit boots again"]),
    "lines in order": ([wait("b"), wait("a")], ["a b a"]),
}  # fmt: skip

FAILING = {
    "a kernel panic": (
        [wait("login:")],
        "[    2.0] x\r\n[    2.123456] Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000100\r\n",
        r"^kernel panic: Attempted to kill init",
    ),
    "no root": (
        [wait("login:")],
        "[    2.123456][    T1] Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)\r\n",
        r"^the kernel found no root file system: Unable to mount root fs on unknown-block\(0,0\)$",
    ),
    "no init": (
        [wait("login:")],
        "Kernel panic - not syncing: No working init found.  Try passing init= option\r\n",
        r"^the root file system has no init",
    ),
    "a root that the initramfs does not find": (
        [wait("login:")],
        "ALERT!  PARTUUID=1234-05 does not exist.  Dropping to a shell!\r\n(initramfs) ",
        r"waited in vain for the root device PARTUUID=1234-05$",
    ),
    "an initramfs that gave up": ([wait("login:")], "sh: no job control\r\n(initramfs) ", r"^the initramfs gave up"),
    "emergency mode": (
        [wait("login:")],
        EMERGENCY,
        r"^systemd is in emergency mode: Timed out waiting for device /dev/sdb1.$",
    ),
    "emergency mode without a cause": (
        [wait("login:")],
        "You are in emergency mode. After logging in, type\r\n",
        r"^systemd is in emergency mode$",
    ),
    "a wrong password": (
        [wait("# ")],
        "\r\nLogin incorrect\r\npi login: ",
        r"^the login was refused: Login incorrect$",
    ),
    "a machine that cannot switch itself off": (
        [expect("power_off")],
        "# poweroff\r\n[   30.123456] reboot: System halted\r\n",
        r"^the machine halted without going off.*bcm2835_wdt",
    ),
    "a disk without a boot loader": ([wait("login:")], "Boot failed: not a bootable disk\r\n", r"^the firmware found"),
    "U-Boot without a system": ([wait("login:")], "No ethernet found.\r\n=> ", r"^U-Boot found nothing to boot"),
    "a silent machine": ([wait("login:")], "", r"^'login:' did not come within the 300 s .*: the console was silent"),
    "a machine that hangs": ([wait("login:")], "Starting\r\n", r"^'login:' did not come within the 300 s"),
    "a kernel that waits for its root": (
        [wait("login:", timeout_s=20)],
        "[    1.123456] Waiting for root device PARTUUID=1-2...\r\n",
        r"^'login:' did not come within 20 s: the kernel waits for the root device PARTUUID=1-2, which is not there$",
    ),
    "a kernel that waits for its root for ever": (
        [wait("login:")],
        "[    1.123456] Waiting for root device /dev/mmcblk0p9...\r\n",
        r"^the kernel waits for the root device /dev/mmcblk0p9, which is not there$",
    ),
    "a machine that is starved for longer than the test lasts": (
        [wait("login:")],
        "[  126.488051] watchdog: BUG: soft lockup - CPU#0 stuck for 24s! [kworker/0:1:16]\r\n",
        r"^'login:' did not come within the 300 s .*: the machine got too little of this host's time",
    ),
    "no shell": ([run("id", timeout_s=5)], "pi login: ", r"^`id` was typed, but no shell ran it within 5 s"),
}  # fmt: skip

CUTS = {
    "whole": None,
    "by the byte": lambda data: [data[i : i + 1] for i in range(len(data))],
    "in threes": lambda data: [data[i : i + 3] for i in range(0, len(data), 3)],
}


@pytest.mark.parametrize("cut", CUTS.values(), ids=CUTS)
@pytest.mark.parametrize(("expectations", "dialogue"), PASSING.values(), ids=PASSING)
def test_what_is_expected_is_found(expectations, dialogue, cut):
    """However the output comes, and whatever comes in between."""
    verdict, _ = play(expectations, dialogue, cut=cut)

    assert verdict == Passed()


@pytest.mark.parametrize("cut", CUTS.values(), ids=CUTS)
@pytest.mark.parametrize(("expectations", "output", "reason"), FAILING.values(), ids=FAILING)
def test_what_will_never_come_up_is_told_with_its_reason(expectations, output, reason, cut):
    """A panic, a missing root, a refused login: the reason is one sentence."""
    verdict, _ = play(expectations, [output, "", ""], cut=cut)

    assert isinstance(verdict, Failed)
    assert re.search(reason, verdict.reason)


@given(places=st.lists(st.integers(0, 400), max_size=12))
@settings(max_examples=60, deadline=None)
def test_it_does_not_matter_where_the_output_is_cut(places):
    """A read may end anywhere: in a word, an escape sequence, a character, a kernel message."""
    text = (
        f"\x1b[2J\x1b]0;título\x07{BOOTED[:-6]}{KERNEL}ogin: é\x1b(B\r\n"
        "[   30.123456] Kernel panic - not syncing: x\r\n"
    )

    def cut(data):
        edges = sorted({0, len(data), *(place for place in places if place < len(data))})
        return [data[a:b] for a, b in itertools.pairwise(edges)]

    verdict, _ = play([wait("pi l?ogin: é"), wait("never")], [text], cut=cut)

    assert verdict == Failed("kernel panic: x")


@given(data=st.binary(max_size=80), place=st.integers(0, 80))
def test_plain_text_is_the_same_in_one_piece_and_in_two(data, place):
    """An escape sequence that is not over yet is kept back."""
    data = data.replace(b"\xff", b"\x1b")
    whole, halves = PlainText(), PlainText()

    assert whole.feed(data + b"\x1b[m\n") == halves.feed(data[:place]) + halves.feed(
        data[place:] + b"\x1b[m\n"
    )


@pytest.mark.parametrize("shell", ["sh", "bash", "busybox"])
def test_the_echo_of_a_command_is_no_output(shell):
    """`run` tells what was typed from what came of it: the marks are not in the typed line."""
    line = command_line("echo 'a b' \"$HOME\" $((1 + 1))", f"@{TOKEN}")
    shell_argv = ["busybox", "sh"] if shell == "busybox" else [shell]
    output = subprocess.run([*shell_argv, "-c", line], capture_output=True, text=True, check=True).stdout

    assert f"@{TOKEN}" not in line
    assert re.fullmatch(rf"@{TOKEN}<\na b .* 2\n@{TOKEN}:0>\n", output)


def test_an_exit_code_that_is_not_the_expected_one_fails():
    """The code is that of the command, not of what stands around it."""
    verdict, _ = play([run("sh -c 'exit 7'")], ["# ", SHELL])

    assert verdict == Failed("`sh -c 'exit 7'` ended with 7, not with 0")


def test_output_that_does_not_match_is_shown():
    """Who reads the reason sees what the command said."""
    verdict, _ = play([run("echo aarch64", matches="armv7l")], ["# ", SHELL])

    assert verdict == Failed("`echo aarch64` said 'aarch64', which does not match 'armv7l'")


def test_a_secret_is_typed_as_such():
    """What is typed in its place is the secret, marked so that nobody shows it."""
    console = Console(
        [expect("type", "", secret="PASSWORD")], timeout_s=9, now_s=0, token=TOKEN, secrets={"PASSWORD": "x"}
    )

    assert console.tick(1.0) == [Type(b"x\r", is_secret=True), Passed()]


def test_nothing_is_typed_while_the_machine_still_writes():
    """A program that asks for a password throws away what was typed before it asked."""
    console = Console([wait("ssword:"), expect("type", "root")], timeout_s=9, now_s=0, token=TOKEN)

    assert console.feed(b"Password: ", 1.0) == []
    assert console.feed(b" ", 1.25) == []
    assert console.tick(1.5) == []
    assert console.tick(1.6) == [Type(b"root\r"), Passed()]


def test_a_console_that_is_never_quiet_is_typed_to():
    """A daemon that logs to the console all the time does not keep a test from going on."""
    console = Console([expect("type", "root")], timeout_s=60, now_s=0, token=TOKEN)
    said = [one for tenth in range(1, 40) for one in console.feed(b"tick\r\n", tenth / 10)]

    assert said == [Type(b"root\r"), Passed()]


@pytest.mark.parametrize(
    ("code", "verdict"),
    [(0, Passed()), (1, Failed("QEMU ended with 1: qemu: it broke"))],
)
def test_power_off_waits_for_the_end(code, verdict):
    """The machine is off when QEMU has ended, and only an exit code of 0 is an end."""
    said, typed = play([expect("power_off")], ["# "], ends=code)

    assert (said, typed) == (verdict, ["poweroff\r"])


def test_a_machine_that_goes_off_too_early_fails():
    """What was still to come is named."""
    verdict, _ = play([wait("login:", timeout_s=999)], ["Starting\r\n"], timeout_s=300, ends=0)

    assert verdict.reason.startswith("'login:' did not come within the 300 s")
    assert Console([wait("login:")], timeout_s=9, now_s=0, token=TOKEN).ended(0, "", 1.0) == [
        Failed("the machine went off, and 'login:' was still to come")
    ]


def test_the_last_lines_are_kept_as_plain_text():
    """They are shown in a terminal, which must not act on what a machine wrote."""
    console = Console([wait("never")], timeout_s=9, now_s=0, token=TOKEN)
    console.feed("".join(f"\x1b[31mline {n}\x1b[0m\r\n\r\n" for n in range(50)).encode() + b"end\x07", 1.0)

    assert console.last_lines(3) == ("line 48", "line 49", "end")


def test_a_line_that_no_terminal_takes_is_known_before():
    """A terminal cuts a line at 4095 bytes, and a test would wait for ever."""
    short, long = run("true"), run("x" * 5000)

    assert too_long([short, wait("y" * 5000), long], TOKEN) is long
    assert too_long([short], TOKEN) is None


def test_much_output_takes_neither_much_memory_nor_time():
    """A machine that writes all day is read with a window."""
    console = Console([wait("never ever")], timeout_s=1e9, now_s=0, token=TOKEN)
    line = b"x" * 99 + b"\n"
    for number in range(100):
        console.feed(line * 100, number / 10)

    assert len(console._text) <= 1 << 18
