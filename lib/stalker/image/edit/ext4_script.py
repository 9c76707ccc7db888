"""Text that debugfs obeys, and what it answers.

It ends with 0 whatever happened, so each command has a pattern of what is said when it went well: anything
else is a fault. A line that no image can foretell stands before each command, so that no name or link in a
file system can be taken for an answer.
"""

from __future__ import annotations

import io
import re
import secrets
import tarfile
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from stalker.errors import StalkerError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from stalker.image.edit.entries import Kind
    from stalker.image.toolbox import Tool

LINE_BYTES = 8000
"""debugfs reads lines of up to 8191 bytes, and takes the rest of a longer one for another command."""
BREAKS = frozenset(b"\n\r\0")
"""What no line can hold."""
FAULTS_SHOWN = 5

SILENT = re.compile(rb"")
EMPTY_LINE = re.compile(rb"\n")
ALLOCATED = re.compile(rb"Allocated inode: \d+\n")
EXTENT = re.compile(rb"extent: lblk [^\n]*\n")
STAT = re.compile(rb"Inode: \d+   Type: .*", re.DOTALL)
STAT_OR_NOTHING = re.compile(
    rb"Inode: \d+   Type: .*|[^\n]*: (?:File not found by ext2_lookup|Ext2 inode is not a directory) *\n",
    re.DOTALL,
)

_VERSION = re.compile(rb"debugfs [^\n]*\n")
_HEAD = re.compile(
    rb"Inode: (\d+)   Type: ([A-Za-z ]+?)    Mode:  (\d+)   Flags: 0x[0-9a-f]+\n"
    rb"Generation: [^\n]*\n"
    rb"User: *(-?\d+)   Group: *(-?\d+)(?:   Project: *-?\d+)?   Size: (\d+)\n"
    rb"File ACL: (\d+)\n"
    rb"Links: (\d+)   Blockcount: \d+\n"
)
_RUN = re.compile(rb"\((\d+)(?:-(\d+))?(\[u\])?\):(\d+)")
_XATTR = re.compile(rb"  (.+?) \(\d+\)(?: = |\Z)")
_KINDS: Mapping[bytes, Kind] = {b"regular": "file", b"directory": "folder", b"symlink": "link"}

_SHELL = """
mkdir "$1"
tar -x -f - -C "$1"
code=0
debugfs $3 -f "$1/commands" "$2" >"$1/said" 2>&1 || code=$?
cat "$1/said"
rm -rf "$1"
test "$code" -lt 128
"""
"""What it says goes into a file first: it says it in very many pieces, each of which the engine would pass on."""


class Run(NamedTuple):
    """Blocks of a file that lie in a row; what was not written to reads as zeros wherever it lies."""

    logical: int
    physical: int
    length: int
    is_written: bool


@dataclass(frozen=True, slots=True)
class Inode:
    """What stands at a path: `fast_target` is what a short link says, `xattrs` the names of its attributes."""

    number: int
    kind: Kind
    mode: int
    uid: int
    gid: int
    size_bytes: int
    links: int
    acl_block: int
    fast_target: bytes
    runs: tuple[Run, ...]
    xattrs: tuple[bytes, ...]


@dataclass(slots=True)
class Script:
    """Commands in a row, and the values that they take from files."""

    lines: list[bytes] = field(default_factory=list)
    answers: list[re.Pattern[bytes]] = field(default_factory=list)
    values: list[bytes] = field(default_factory=list)
    token: bytes = field(default_factory=lambda: secrets.token_hex(8).encode())
    folder: bytes = field(default_factory=lambda: b"/tmp/ext4-" + secrets.token_hex(6).encode())

    def add(self, *words: bytes, answer: re.Pattern[bytes] = SILENT) -> int:
        """Add a command and return its number. Raises StalkerError when debugfs cannot be told."""
        line = b" ".join(words)
        if len(line) > LINE_BYTES or BREAKS & set(line):
            raise StalkerError(
                "a path is too long or has a line break: no tool can be told of it",
                plain(line[:200]),
                "shorten or rename it",
            )
        self.lines.append(line)
        self.answers.append(answer)
        return len(self.lines) - 1

    def add_xattr(self, inode: int, name: bytes, value: bytes) -> None:
        """Add the setting of an extended attribute."""
        file = self.folder + b"/values/%d" % len(self.values)
        self.values.append(value)
        self.add(b"ea_set", b"-f", file, b"<%d>" % inode, quoted(name))

    def archive(self) -> bytes:
        """Return a tar of the commands and values."""
        mark = b"#%s\n" % self.token
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            _add(archive, "commands", mark + b"".join(line + b"\n" + mark for line in self.lines))
            for number, value in enumerate(self.values):
                _add(archive, f"values/{number}", value)
        return buffer.getvalue()

    def replies(self, said: bytes) -> list[bytes]:
        """Return what was answered to each command.

        Raises:
            StalkerError: an answer is not the one that was expected, or something was said beside.
        """
        head, *parts = said.split(b"#%s\n" % self.token)
        if not _VERSION.fullmatch(head) or len(parts) != len(self.lines) + 1 or parts[-1]:
            beside = _VERSION.sub(b"", head) + (parts[-1] if parts else b"")
            raise _fault([beside or b"debugfs ended before it had done everything"])
        replies, faults = [], []
        for line, answer, part in zip(self.lines, self.answers, parts[:-1], strict=True):
            reply = part.removeprefix(b"debugfs: %s\n" % line)
            if not answer.fullmatch(reply):
                faults.append(reply or line + b": nothing was answered")
            replies.append(reply)
        if faults:
            raise _fault(faults)
        return replies


def run_script(
    tool: Tool, device: str, script: Script, environment: Mapping[str, str], *, is_writing: bool
) -> list[bytes]:
    """Let debugfs do it all and return its answers.

    Raises:
        StalkerError: a command went wrong; those before and behind it were obeyed.
    """
    argv = ["sh", "-c", f"set -e{_SHELL}", "sh", script.folder.decode(), device, "-w" if is_writing else ""]
    return script.replies(tool.run(argv, [script.archive()], environment))


def quoted(text: bytes) -> bytes:
    """Return a word as debugfs reads it back."""
    return b'"%s"' % text.replace(b'"', b'""')


def plain(text: bytes) -> str:
    """Return what a tool said, or a path, without what a terminal would obey."""
    shown = text.decode("utf-8", "replace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in shown)


def parse_stat(reply: bytes) -> Inode | None:
    """Return the inode that the answer to `stat` tells of, None for one that is not there."""
    head = _HEAD.match(reply)
    if head is None:
        if reply.startswith(b"Inode: "):
            raise _fault([reply[:300]])
        return None
    number, mode, uid, gid, size, acl, links = (
        int(head[at], 8 if at == 3 else 10) for at in (1, 3, 4, 5, 6, 7, 8)
    )
    kind = _KINDS.get(head[2], "other")
    target = b""
    rest = reply[head.end() :]
    if kind == "link" and rest.endswith(b'"\n'):
        before, target = rest[: -size - 2], rest[-size - 2 : -2]
        if not before.endswith(b'Fast link dest: "'):
            raise _fault([reply[-300:]])
        rest = before
    return Inode(
        number,
        kind,
        mode,
        uid & 0xFFFFFFFF,
        gid & 0xFFFFFFFF,
        size,
        links,
        acl,
        target,
        _runs(rest),
        _xattrs(rest),
    )


def _runs(text: bytes) -> tuple[Run, ...]:
    """Return the runs of `(0-1496[u]):6696-8192, (1497):8451`; indirect blocks have words for numbers."""
    _, *parts = re.split(rb"^(?:EXTENTS|BLOCKS):\n", text, flags=re.MULTILINE)
    if not parts:
        return ()
    found = []
    for first, last, unwritten, physical in _RUN.findall(parts[-1]):
        length = int(last or first) - int(first) + 1
        found.append(Run(int(first), int(physical), length, not unwritten))
    return tuple(found)


def _xattrs(text: bytes) -> tuple[bytes, ...]:
    _, mark, rest = text.partition(b"Extended attributes:\n")
    names = []
    for line in rest.split(b"\n") if mark else ():
        match = _XATTR.match(line)
        if match is None:
            break
        names.append(match[1])
    return tuple(names)


def _fault(said: Sequence[bytes]) -> StalkerError:
    text = "\n".join(plain(one.strip()) for one in said[:FAULTS_SHOWN])
    more = len(said) - FAULTS_SHOWN
    if more > 0:
        text += f"\nand {more} more"
    return StalkerError(
        "a file system could not be changed",
        text,
        "when it says that nothing is free, make the file system larger; else check it: e2fsck -f",
    )


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    archive.addfile(entry, io.BytesIO(content))
