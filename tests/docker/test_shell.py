"""`stalker shell` on a real engine: in pipes, in a terminal, and what it keeps."""

import io
import json
import os
import re
import signal
import subprocess
import sys
import tarfile
import uuid
from pathlib import Path

import pexpect
import pytest

from engines import rootfs
from stalker.model import labels

pytestmark = pytest.mark.docker

ROOT = Path(__file__).parents[2]
PROMPT = r"box:make \S*# "
WAIT_S = 30

TREE = """{
  architecture: {
    OS: stalker-test
    ARCH: %(unique)s
    SUBARCH: shell
  }
  globals: { NAME: "world" }
  secrets: { TOKEN: { env: "SHELL_TOKEN" }, OTHER: { env: "SHELL_NOT_SET" } }
  stalks: { box: { base: { tag: "%(base)s" } } }
}
"""

STALK = """{
  envplugins: { LC_ALL: "C.UTF-8" }
  plugins: {
    motd: { bind: "/etc/motd", NAME: "", text: "hello {NAME}" }
    conf: { copy: "/etc/box.conf", text: "from the stalk" }
    data: { path: "data", bind: "/mnt/deep/data", mode: "rw" }
    make: {
      exec: true
      NAME: ""
      TOKEN: ""
      text: '''
      #!/bin/sh
      echo made for $NAME > /made
      echo edited >> /etc/box.conf
      '''
    }
    break: {
      exec: true
      text: '''
      #!/bin/sh
      echo half > /half
      exit 3
      '''
    }
  }
}
"""


class Box:
    """A workspace with one stalk whose first step is committed and whose second failed."""

    def __init__(self, root, engine):
        self.root, self.engine = root, engine
        unique = uuid.uuid4().hex[:10]
        self.base = f"stalker-test/{unique}:base"
        self.repository = f"stalker-test/{unique}/shell/box"
        self.environment = {**os.environ, "PYTHONPATH": str(ROOT / "lib"), "SHELL_TOKEN": "s3cret-token"}
        self.environment["TERM"] = "xterm"
        (root / "trees").mkdir()
        (root / "stalks/box").mkdir(parents=True)
        (root / "data").mkdir()
        (root / "data/given").write_text("from the host\n")
        (root / "trees/t.hjson").write_text(TREE % {"unique": unique, "base": self.base})
        (root / "stalks/box/box.hjson").write_text(STALK)
        engine.import_rootfs([rootfs({"etc/motd": b"the image's own\n"})], self.base, {}, "")

    def argv(self, *arguments):
        return [sys.executable, "-m", "stalker.cli", "--workspace", str(self.root), *arguments]

    def stalker(self, *arguments, stdin=b"", **more):
        return subprocess.run(
            self.argv(*arguments),
            input=stdin,
            capture_output=True,
            env={**self.environment, **more},
            timeout=120,
            check=False,
        )

    def shell(self, *arguments, **more):
        return self.stalker("shell", "box:make", "--tree", "t", *arguments, **more)

    def image(self, tag):
        return self.engine.image(f"{self.repository}:{tag}")

    def files(self, tag):
        """Map the paths of an image to contents; folders have none."""
        stream = io.BytesIO(b"".join(self.engine.export(self.image(tag).id)))
        with tarfile.open(fileobj=stream) as archive:
            return {
                "/" + entry.name: archive.extractfile(entry).read() if entry.isfile() else None
                for entry in archive
            }

    def containers(self):
        """Return the containers that shells of this box have left."""
        ours = {image.id for image in self.engine.labelled_images() if self.is_ours(image)}
        return [one for one in self.engine.containers({labels.RUN: ""}) if one.image in ours]

    def is_ours(self, image):
        return any(tag.startswith(self.repository) for tag in image.tags)

    def remove(self):
        for container in self.containers():
            self.engine.remove_container(container.id)
        tags = [tag for image in self.engine.labelled_images() for tag in image.tags]
        unlabelled = [f"{self.repository}:{tag}" for tag in ("initial", "byhand")]
        for tag in [*tags, *unlabelled, self.base]:
            if tag.startswith((self.repository, self.base)):
                self.engine.untag(tag)


@pytest.fixture(scope="module")
def box(tmp_path_factory, engine):
    made = Box(tmp_path_factory.mktemp("box"), engine)
    ran = made.stalker("run", "t")
    assert ran.returncode == 1, ran.stderr.decode()
    assert made.image("make")
    assert made.image("break.failed")
    yield made
    made.remove()


@pytest.fixture
def terminal(box):
    """A shell of the host in a terminal of 80 columns and 24 lines."""
    child = pexpect.spawn(
        "/bin/sh",
        [],
        env={**box.environment, "PS1": "host> "},
        dimensions=(24, 80),
        encoding="utf-8",
        timeout=WAIT_S,
    )
    child.expect_exact("host> ")
    yield child
    child.close(force=True)


def enter(terminal, box, *arguments):
    """Open the shell in the terminal and wait for its prompt."""
    words = box.argv("shell", "box:make", "--tree", "t", *arguments)
    terminal.sendline(" ".join(words))
    terminal.expect(PROMPT)


def ask(terminal, line):
    """Type a line and return what it wrote.

    Between marks, because busybox draws its prompt again when it hears of the window's size.
    """
    terminal.sendline(f"{line}; echo e''nd")
    terminal.expect_exact("end\r\n")
    return terminal.before.replace("\r", "").rpartition("e''nd\n")[2].strip()


def stty(terminal):
    """The host terminal's settings, without its size."""
    return re.sub(r"rows \d+; columns \d+", "", ask(terminal, "stty -a"))


# A command in pipes


def test_a_command_has_the_environment_files_and_mounts_of_the_step(box):
    """What the script saw, the shell sees; the image is the state after the step."""
    script = "echo $NAME $TOKEN $LC_ALL; cat /etc/motd /made /mnt/deep/data/given; ls /entropy/plugins"

    ran = box.shell("--", "sh", "-c", script)

    assert ran.stdout.decode().splitlines() == [
        "world s3cret-token C.UTF-8",
        "hello worldmade for world",
        "from the host",
        "make",
    ]
    assert ran.returncode == 0


def test_what_the_step_did_to_its_copies_is_what_the_shell_finds(box):
    """A `copy` is in the image, so it is not placed again over what the script made of it."""
    ran = box.shell("--", "cat", "/etc/box.conf")

    assert ran.stdout == b"from the stalkedited\n"


@pytest.mark.parametrize(
    ("script", "code"), [("true", 0), ("exit 7", 7), ("kill -9 $$", 137), ("nothere", 127)]
)
def test_the_exit_code_of_a_command_is_that_of_stalker(box, script, code):
    """What exits with 7 in the container exits with 7 exit 7 here."""
    assert box.shell("--", "sh", "-c", script).returncode == code


def test_a_program_that_is_not_there_is_told_on_stderr(box):
    ran = box.shell("--", "nothere")

    assert (ran.returncode, ran.stdout) == (127, b"")
    assert b"nothere: not found" in ran.stderr


def test_output_and_errors_stay_apart(box):
    ran = box.shell("--", "sh", "-c", "echo out; echo err >&2")

    assert ran.stdout == b"out\n"
    assert ran.stderr == b"err\n"


def test_input_reaches_the_command_and_ends(box):
    """`sort` waits for the end of its input."""
    ran = box.shell("--", "sort", stdin=b"b\nc\na\n")

    assert ran.stdout == b"a\nb\nc\n"


def test_large_binary_data_goes_through_both_ways_at_once(box):
    """A program that answers while it is still asked does not lock up, and not a byte changes."""
    data = bytes(range(256)) * (1 << 16)

    ran = box.shell("--", "cat", stdin=data)

    assert ran.stdout == data


def test_without_a_command_the_shell_reads_its_input(box):
    ran = box.shell(stdin=b"cat /made\nexit 5\n")

    assert (ran.returncode, ran.stdout) == (5, b"made for world\n")


def test_a_command_that_leaves_a_process_behind_ends(box):
    """What runs on in the background does not keep the shell open."""
    ran = box.shell("--", "sh", "-c", "sleep 1000 & echo done")

    assert (ran.returncode, ran.stdout) == (0, b"done\n")


def test_a_failed_step_opens_with_what_it_left(box):
    ran = box.stalker("shell", "box:break.failed", "--tree", "t", "--", "cat", "/half", "/etc/motd")

    assert ran.stdout == b"half\nhello world"


def test_a_step_opens_with_the_values_it_had_after_the_tree_was_changed(box):
    """What failed or was built with `world` is looked at with `world`; --set is stronger."""
    file = box.root / "trees/t.hjson"
    text = file.read_text()
    file.write_text(text.replace('NAME: "world"', 'NAME: "moon"'))
    try:
        then = box.shell("--", "sh", "-c", "echo $NAME")
        given = box.shell("--set", "NAME=sun", "--", "sh", "-c", "echo $NAME")
    finally:
        file.write_text(text)

    assert (then.stdout, given.stdout) == (b"world\n", b"sun\n")
    assert b"NAME was world then, the tree says moon now; the shell has world" in then.stderr
    assert b"NAME was world then; the shell has sun, as --set says" in given.stderr


def test_a_full_name_finds_its_tree_by_itself(box):
    """The image's label names the tree."""
    ran = box.stalker("shell", f"{box.repository}:make", "--", "sh", "-c", "echo $NAME; cat /etc/motd")

    assert ran.stdout == b"world\nhello world"


def test_an_image_that_no_step_left_opens_as_a_plain_shell(box):
    """And a note says that nothing of a step is in it."""
    ran = box.stalker("shell", box.base, "--", "cat", "/etc/motd")

    assert ran.stdout == b"the image's own\n"
    assert b"a plain shell" in ran.stderr


def test_a_secret_that_is_not_to_be_had_is_named(box):
    del box.environment["SHELL_TOKEN"]
    try:
        ran = box.shell("--", "sh", "-c", 'echo "${TOKEN-unset}"')
    finally:
        box.environment["SHELL_TOKEN"] = "s3cret-token"

    assert ran.stdout == b"unset\n"
    assert b"the secret TOKEN is missing in this shell" in ran.stderr


def test_no_container_is_left(box):
    box.shell("--", "false")

    assert box.containers() == []


# What is kept


def test_what_is_kept_holds_what_was_done_and_nothing_of_ours(box):
    """No file, folder or mount point of ours, and the image's own configuration."""
    ran = box.shell("--commit", "mine", "--", "sh", "-c", "echo new > /new; echo x > /mnt/deep/data/by-shell")

    before, after = box.files("make"), box.files("mine")
    assert ran.returncode == 0, ran.stderr
    assert after["/new"] == b"new\n"
    assert after["/etc/motd"] == b"the image's own\n"
    assert {path.rstrip("/") for path in after} - {path.rstrip("/") for path in before} == {"/new"}
    assert not [path for path in after if path.startswith(("/mnt", "/entropy", "/.stalker", "/root/."))]
    assert (box.root / "data/by-shell").read_text() == "x\n"
    config, base = box.image("mine").config, box.engine.image(box.base).config
    for field in ("Cmd", "Entrypoint", "Env", "User", "WorkingDir", "Volumes"):
        assert (config.get(field) or None) == (base.get(field) or None)


def test_what_is_kept_is_never_taken_for_a_step(box):
    """Neither by its labels nor by a plan."""
    box.shell("--commit", "mine", "--", "touch", "/another")

    planned = json.loads(box.stalker("plan", "t", "--json").stdout)

    ours = box.image("mine").labels
    assert not any(ours.get(name) for name in (labels.FINGERPRINT, labels.STEP, labels.INPUTS, labels.BASE))
    make = planned["steps"][0]
    assert (make["verdict"], make["reason"], make["image"]) == ("REUSE", "unchanged", box.image("make").id)


def test_what_is_kept_opens_with_the_surroundings_of_its_step(box):
    box.shell("--commit", "again", "--", "touch", "/one")

    ran = box.stalker("shell", "box:again", "--tree", "t", "--", "sh", "-c", "ls /one; cat /etc/motd")

    assert ran.stdout == b"/one\nhello world"


def test_a_command_that_failed_is_not_kept(box):
    ran = box.shell("--commit", "failed-one", "--", "false")

    assert ran.returncode == 1
    assert box.image("failed-one") is None
    assert b"not kept" in ran.stderr


@pytest.mark.parametrize("tag", ["make", "break", "initial", "final", "x.failed", "no tag", "-x"])
def test_the_name_of_a_step_is_refused_before_anything_starts(box, tag):
    before = box.image("make").id

    ran = box.shell(f"--commit={tag}", "--", "touch", "/never")

    assert ran.returncode == 2
    assert ran.stderr.startswith(f"stalker: --commit {tag}: ".encode())
    assert box.image("make").id == before


def test_the_tag_of_another_image_is_refused(box):
    """A tag that somebody made by hand is not moved."""
    box.engine.tag(box.base, f"{box.repository}:byhand")

    ran = box.shell("--commit", "byhand", "--", "true")

    assert ran.returncode == 2
    assert b"is there already, and no shell left it" in ran.stderr


# In a terminal


def test_a_shell_in_a_terminal_knows_where_it_is_and_passes_its_exit_code(box, terminal):
    """The prompt names the step, the variables are there, exit 7 comes out, the terminal is as it was."""
    before = stty(terminal)

    enter(terminal, box)

    assert ask(terminal, "echo $NAME; tty") == "world\n/dev/pts/0"
    assert ask(terminal, "env | grep -e PS1 -e ENV= -e HISTFILE") == ""
    terminal.sendline("exit 7")
    terminal.expect_exact("host> ")
    assert ask(terminal, "echo code $?") == "code 7"
    assert stty(terminal) == before
    assert box.containers() == []


def test_the_size_of_the_window_reaches_the_container(box, terminal):
    """At the start and when it changes."""
    enter(terminal, box)
    # The size comes beside the first prompt: ask until it is there.
    ask(terminal, "until [ \"$(stty size)\" = '24 80' ]; do :; done")

    terminal.setwinsize(33, 111)

    ask(terminal, "until [ \"$(stty size)\" = '33 111' ]; do :; done")
    assert ask(terminal, "stty size") == "33 111"
    terminal.sendline("exit")
    terminal.expect_exact("host> ")


def test_ctrl_c_ends_the_program_in_the_container_and_not_the_shell(box, terminal):
    enter(terminal, box)
    terminal.sendline("echo st''arted; sleep 1000")
    terminal.expect_exact("started")

    terminal.sendintr()

    terminal.expect(PROMPT)
    assert ask(terminal, "echo code $?") == "code 130"
    terminal.sendline("exit")
    terminal.expect_exact("host> ")


def test_ctrl_p_is_a_key_like_any_other(box, terminal):
    """It brings back the last line at once: no key is held back for detaching."""
    enter(terminal, box)
    ask(terminal, "echo on''ce")

    terminal.send("\x10")

    terminal.expect_exact("echo on''ce")
    terminal.send("\x15exit\r")
    terminal.expect_exact("host> ")


def test_a_shell_in_a_terminal_is_kept_whatever_its_exit_code(box, terminal):
    """The last command's code says nothing of what was done; no history of commands is kept."""
    enter(terminal, box, "--commit", "byhand2")
    ask(terminal, "touch /typed")
    terminal.sendline("exit 3")
    terminal.expect_exact("host> ")

    kept = box.files("byhand2")

    assert "/typed" in kept
    assert not [path for path in kept if "history" in path]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_shell_that_is_ended_from_outside_leaves_the_terminal_as_it_was(box, terminal, number):
    """And its container is gone."""
    before = stty(terminal)
    enter(terminal, box)

    os.kill(stalker_below(terminal.pid), number)

    terminal.expect_exact("host> ")
    assert ask(terminal, "echo code $?") == "code 130"
    assert stty(terminal) == before
    assert box.containers() == []


def test_a_container_removed_under_the_shell_is_told(box, terminal):
    before = stty(terminal)
    enter(terminal, box)

    (container,) = box.containers()
    box.engine.remove_container(container.id)

    terminal.expect_exact("the container was stopped under the program that ran in it")
    terminal.expect_exact("host> ")
    assert ask(terminal, "echo code $?") == "code 1"
    assert stty(terminal) == before


def test_what_a_kill_leaves_is_swept_by_the_next_run(box, terminal):
    """Nobody can clean up after kill -9; the next run does, and says so."""
    enter(terminal, box)
    os.kill(stalker_below(terminal.pid), signal.SIGKILL)
    terminal.expect("host> ")
    (left,) = box.containers()

    ran = box.stalker("run", "t", "--until", "box:make")

    assert ran.returncode == 0
    assert f"removed the container {left.name}" in (ran.stdout + ran.stderr).decode()
    assert box.containers() == []


def stalker_below(pid):
    """Return the process that a shell of the host is waiting for."""
    (child,) = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(child)
