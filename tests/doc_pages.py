"""The pages of docs/ as data: their files, edits, commands and links, and how a page is followed in a terminal.

A page tells a story: files to write, edits to make, commands to type. A file or edit is a fenced block
with a comment above it (`<!-- file: PATH -->`, `<!-- edit: PATH -->`), commands are the lines of a
`console` block that begin with `$ `; what stands below one is what the terminal shows.
"""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pexpect
import pyte

ROOT = Path(__file__).resolve().parents[1]
DOCS = sorted((ROOT / "docs").rglob("*.md"))
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / "lib" / "README.md", *DOCS]
COLUMNS, LINES = 110, 300
"""The terminal whose screens the pages show."""

WIDE = 240
"""Wide enough for any line, so that none is broken or cut where names are longer than those of a page."""

DEADLINE_S = 120

_FENCE = re.compile(
    r"(?:^<!-- (?P<role>file|edit): (?P<path>\S+) -->\n)?"
    r"^(?P<ticks>```+)(?P<language>[\w-]*)\n(?P<body>.*?)^(?P=ticks)$",
    re.MULTILINE | re.DOTALL,
)
_PROMPT = re.compile(r"^\S+ /\S*[#$] ")


@dataclass
class Block:
    """A fenced block; `role` is file, edit or empty; `line` is that of its first line in the page."""

    language: str
    body: str
    line: int
    role: str = ""
    path: str = ""


@dataclass
class Command:
    """A command of a console block, what is typed into it, and what the page says it shows."""

    text: str
    typed: list[str] = field(default_factory=list)
    shown: list[str] = field(default_factory=list)


def blocks(page: Path) -> list[Block]:
    """Return the fenced blocks of a page, in order."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(
            found["language"],
            found["body"],
            text.count("\n", 0, found.start("body")) + 1,
            found["role"] or "",
            found["path"] or "",
        )
        for found in _FENCE.finditer(text)
    ]


def prose(page: Path) -> str:
    """Return a page without its fenced blocks."""
    return _FENCE.sub("", page.read_text(encoding="utf-8"))


def commands(body: str) -> list[Command]:
    """Return the commands of a console block."""
    found: list[Command] = []
    for line in body.splitlines():
        if line.startswith("$ "):
            found.append(Command(line[2:]))
            continue
        prompt = _PROMPT.match(line)
        if prompt:
            found[-1].typed.append(line[prompt.end() :])
        found[-1].shown.append(line.rstrip())
    return found


def edited(text: str, diff: str) -> str:
    """Return a text with a diff of a page made in it: the lines before must stand in it once."""
    lines = diff.splitlines()
    before = "".join(line[1:] + "\n" for line in lines if not line.startswith("+"))
    after = "".join(line[1:] + "\n" for line in lines if not line.startswith("-"))
    assert text.count(before) == 1, f"these lines stand {text.count(before)} times in the file:\n{before}"
    return text.replace(before, after)


def run_in_terminal(
    command: Command,
    folder: Path,
    environ: dict[str, str],
    columns: int = COLUMNS,
    before: tuple[str, ...] = (),
) -> list[str]:
    """Run a command in a terminal, type what is to be typed, and return what stands on the screen."""
    program, *arguments = [*before, "/bin/bash", "-c", command.text]
    child = pexpect.spawn(
        program,
        arguments,
        cwd=folder,
        env={**environ, "TERM": "xterm-256color"},
        dimensions=(LINES, columns),
        timeout=DEADLINE_S,
    )
    raw = b""
    for typed in command.typed:
        child.expect(rb"/\S*[#$] ")
        raw += child.before + child.after
        child.sendline(typed)
    child.expect(pexpect.EOF)
    raw += child.before
    child.close()
    return screen_text(raw, columns)


def screen_text(raw: bytes, columns: int = COLUMNS) -> list[str]:
    """Return the lines that a terminal shows in the end."""
    screen = pyte.Screen(columns, LINES)
    stream = pyte.ByteStream(screen)
    stream.feed(raw)
    lines = [line.rstrip() for line in screen.display]
    while lines and not lines[-1]:
        lines.pop()
    return lines


_ALIKE = (
    (re.compile(r"\d{8}-\d{6}-[0-9a-z-]*[0-9a-z]"), "RUN"),
    (re.compile(r"\d{8}-\d{6}(-\d+)?"), "TIMESTAMP"),
    (re.compile(r"\b[0-9a-f]{12}\b|sha256:[0-9a-f]+"), "ID"),
    (re.compile(r"\b\d+(\.\d+)? (KiB|MiB|GiB|B)(?!\w)"), "SIZE"),
    (re.compile(r"\b(\d+ h )?(\d+ min )?\d+(\.\d)? (s|min|h|d)(?!\w)"), "TIME"),
    (re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"), "DATE"),
    (re.compile(r"(:initial\s+REUSE).*"), r"\1 THE BASE"),
    (re.compile(r"the same work as \S+:"), "the same work as STALK:"),
    (re.compile(r"^removed .* of run .*"), ""),  # of others on the same engine
    (re.compile(r"^removed .*, left by run .*"), ""),
    (re.compile(r"^left alone: .*"), ""),
    (re.compile(r"^BusyBox v.*|^Enter 'help' .*|^exit$"), ""),
    (re.compile(r"about TIME.*|how long it takes is not known yet"), "ESTIMATE"),
    (re.compile(r"\s+"), " "),
)


def alike(lines: list[str]) -> list[str]:
    """Return lines without what differs from run to run: times, sizes, ids, the base and its shell, the width of columns."""
    found = []
    for line in lines:
        text = line
        for pattern, name in _ALIKE:
            text = pattern.sub(name, text)
        if text.strip():
            found.append(text.strip())
    return found


@dataclass
class Reader:
    """Someone who follows a page in a workspace, typing what it says."""

    folder: Path
    environ: dict[str, str]
    replace: tuple[tuple[str, str], ...] = ()
    """What stands otherwise in this reader's files, as patterns with their replacements."""
    before: tuple[str, ...] = ()
    """What comes in front of each program, to run it as another user."""

    @classmethod
    def with_program(
        cls, folder: Path, environ: dict[str, str], replace: tuple[tuple[str, str], ...] = ()
    ) -> Reader:
        """Return a reader in a new workspace, in which `stalker` is the program of this checkout."""
        folder.mkdir(parents=True, exist_ok=True)
        program = folder.with_name("bin") / "stalker"
        program.parent.mkdir()
        launched = 'STALKER_LAUNCHED_AS="$0" exec'
        program.write_text(f'#!/bin/sh\n{launched} {sys.executable} -P -m stalker.cli "$@"\n')
        program.chmod(0o755)
        path = f"{program.parent}:{environ['PATH']}"
        return cls(folder, {**environ, "PATH": path, "PYTHONPATH": str(ROOT / "lib")}, replace)

    def write(self, block: Block) -> None:
        """Write or edit a file as a block says."""
        file = self.folder / block.path
        if block.role == "file":
            file.parent.mkdir(parents=True, exist_ok=True)
            text = block.body
        else:
            text = edited(file.read_text(encoding="utf-8"), self.own(block.body))
        file.write_text(self.own(text), encoding="utf-8")
        if text.startswith("#!"):
            file.chmod(0o755)

    def own(self, text: str) -> str:
        """Return a text as it stands in this reader's files."""
        for pattern, replacement in self.replace:
            text = re.sub(pattern, replacement, text)
        return text

    def type(self, command: Command) -> list[str]:
        """Type a command and return what the terminal shows."""
        own = Command(self.own(command.text), command.typed)
        return run_in_terminal(own, self.folder, self.environ, WIDE, self.before)

    def follow(self, page: Path, own: str) -> None:
        """Write and type what a page says; fail where the terminal shows something else. `own` is the reader's OS."""
        for block in blocks(page):
            if block.role:
                self.write(block)
            elif block.language == "console":
                for command in commands(block.body):
                    shown = [line.replace(own, "debian") for line in self.type(command)]
                    shown = [line.replace(str(self.folder), "~/kiosk") for line in shown]

                    assert alike(shown) == alike(command.shown), f"{page.name}:{block.line}: {command.text}"


def at_once(own: str, busybox: str) -> tuple[tuple[str, str], ...]:
    """Return what stands otherwise in the files of a reader with images of its own, on a base that is there at once."""
    base = f'base: {{ tag: "{busybox}" }}'
    return (
        (r'OS: "?debian"?', f'OS: "{own}"'),
        (r"base: \[\n(?:.*\n)*?\+?\s*\]", base),
        (r"base: \{ bootstrap: \{.*?\} \}", base),
    )


def base_environ(folder: Path) -> dict[str, str]:
    """Return an environment with nothing of whoever runs this but the way to an engine."""
    names = {"PATH", "DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CERT_PATH", "DOCKER_TLS_VERIFY", "TMPDIR"}
    kept = {name: value for name, value in os.environ.items() if name in names}
    return {**kept, "HOME": str(folder / "home"), "XDG_CACHE_HOME": str(folder / "cache"), "PYTHONUTF8": "1"}
