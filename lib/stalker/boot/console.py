"""A serial console: bytes in, what to type out, until a list of expectations has passed or failed.

Pure: it reads no clock, and types by returning what is to be typed. What comes in may be cut anywhere.
Escape sequences are dropped; kernel messages, which the kernel writes between any two characters of a
program's output, are taken out where a pattern is looked for, unless it matches as it stands.

A command is typed as `sh -c '...' </dev/null` between two marks that the typed line itself does not
contain, so its echo is not taken for output, and the exit code is the command's own.

The plain text of a console: no escape sequences, one kind of line end, kernel messages separated.

What is typed into a shell to run a command there, and to know what came of it.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stalker.boot.diagnose import find_hint, find_prompt, find_trouble

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stalker.model.artifacts import Expectation


QUIET_S = 0.3
"""Nothing is typed before the console was quiet for so long: a prompt throws away what came before it."""

PATIENCE_S = 3.0
"""A console that is never quiet is typed to nevertheless."""

LOOK_BACK = 1 << 11
"""How far back of what is new a pattern may begin, in characters."""

PROMPT_S = 1.0
"""An unexpected prompt counts when it stayed for so long."""

STUCK_S = 60.0
"""A kernel that waits for what is not there, or has stumbled, and then is silent for so long will stay so."""

KEPT = 1 << 17


@dataclass(frozen=True, slots=True)
class Type:
    """Type these bytes; `is_secret` says that they are not to be shown."""

    data: bytes
    is_secret: bool = False


@dataclass(frozen=True, slots=True)
class Passed:
    """All expectations have been met."""


@dataclass(frozen=True, slots=True)
class Failed:
    """An expectation was not met, or never can be; the reason is a sentence without a full stop."""

    reason: str


Instruction = Type | Passed | Failed


class Console:
    """Goes through a list of expectations.

    Times are seconds of any one clock that does not run backwards. After `Passed` or `Failed` it says nothing
    more.
    """

    def __init__(
        self,
        expectations: Sequence[Expectation],
        *,
        timeout_s: float,
        now_s: float,
        token: str,
        secrets: Mapping[str, str] | None = None,
    ) -> None:
        """Take what is expected; `token` are letters and digits that no output has."""
        self._expectations = tuple(expectations)
        self._timeout_s = timeout_s
        self._began_s = now_s
        self._secrets = secrets or {}
        self._mark = f"@{token}"
        self._plain = PlainText()
        self._text = ""
        self._at = 0  # what is before has been consumed
        self._heard_s = now_s
        self._index = 0
        self._since_s = now_s
        self._is_typed = False
        self._is_running = False
        self.verdict: Passed | Failed | None = None

    @property
    def waits_for(self) -> str:
        """What is expected next, in words; empty for nothing, and while a line is about to be typed."""
        return describe(self._now) if self._now and self._now.kind != "type" else ""

    @property
    def done(self) -> int:
        """How many expectations have been met."""
        return self._index

    def last_lines(self, count: int = 20) -> tuple[str, ...]:
        """Return the last lines that are not blank, without escape sequences."""
        tail = self._text[-(count * 400) :].split("\n")
        return tuple([line.rstrip() for line in tail if line.strip()][-count:])

    def feed(self, data: bytes, now_s: float) -> list[Instruction]:
        """Take what the machine wrote."""
        self._heard_s = now_s
        said: list[Instruction] = []
        # Line by line, so that it does not matter how the output was cut.
        for piece in self._plain.feed(data).splitlines(keepends=True):
            if self.verdict:
                break
            before = len(self._text)
            self._text += piece
            said += self._advance(now_s)
            self._look_for_trouble(before, said)
            self._trim()
        return said + self.tick(now_s)

    def tick(self, now_s: float) -> list[Instruction]:
        """Note that time has passed; call it a few times a second."""
        said = self._advance(now_s)
        now = self._now
        if self.verdict is None and now is not None:
            limit_s = now.timeout_s
            at_prompt = ""
            if now_s - self._heard_s >= PROMPT_S and not self._is_running:
                at_prompt = find_prompt(self._text[max(self._at, self._text.rfind("\n") + 1) :])
            stuck = find_hint(self._tail()) if self._text and now_s - self._heard_s >= STUCK_S else ""
            if at_prompt or stuck:
                self._fail(at_prompt or stuck, said)
            elif limit_s is not None and now_s - self._since_s >= limit_s:
                self._fail(self._missed(now, f"{limit_s:g} s"), said)
            elif now_s - self._began_s >= self._timeout_s:
                self._fail(self._missed(now, f"the {self._timeout_s:g} s of the boot test"), said)
        return said

    def ended(self, exit_code: int | None, complaint: str, now_s: float) -> list[Instruction]:
        """Note that the machine is off; `exit_code` is QEMU's and `complaint` what it wrote on stderr."""
        said = self._advance(now_s)
        now = self._now
        if self.verdict or now is None:
            return said
        if exit_code != 0:
            about = f": {complaint}" if complaint else ""
            self._fail(f"QEMU ended with {exit_code}{about}", said)
        elif now.kind == "power_off" and self._is_typed:
            self._next(now_s, said)
        else:
            self._fail(f"the machine went off, and {describe(now)} was still to come", said)
        return said

    @property
    def _now(self) -> Expectation | None:
        return self._expectations[self._index] if self._index < len(self._expectations) else None

    def _advance(self, now_s: float) -> list[Instruction]:
        said: list[Instruction] = []
        while self.verdict is None:
            now = self._now
            if now is None:
                self.verdict = Passed()
                said.append(self.verdict)
            elif now.kind == "wait":
                found = self._find(now.text)
                if not found:
                    break
                self._next(now_s, said)
            elif not self._is_typed:
                if not self._may_type(now_s):
                    break
                said.append(self._typed(now))
                self._is_typed = True
                if now.kind == "type":
                    self._next(now_s, said)
            elif now.kind != "run" or not self._has_run(now, now_s, said):
                break
        return said

    def _next(self, now_s: float, said: list[Instruction]) -> None:
        self._index += 1
        self._since_s = self._heard_s = now_s
        self._is_typed = self._is_running = False
        if self._now is None:
            self.verdict = Passed()
            said.append(self.verdict)

    def _fail(self, reason: str, said: list[Instruction]) -> None:
        self.verdict = Failed(reason)
        said.append(self.verdict)

    def _may_type(self, now_s: float) -> bool:
        return now_s - self._heard_s >= QUIET_S or now_s - self._since_s >= PATIENCE_S

    def _typed(self, now: Expectation) -> Type:
        if now.kind == "type":
            line = self._secrets[now.secret] if now.secret else now.text
            return Type(line.encode() + b"\r", is_secret=bool(now.secret))
        if now.kind == "power_off":
            return Type((now.text or "poweroff").encode() + b"\r")
        return Type(command_line(now.text, self._mark).encode() + b"\r")

    def _has_run(self, now: Expectation, now_s: float, said: list[Instruction]) -> bool:
        """Return whether a command that was typed has ended; if so it has passed or failed."""
        if not self._is_running:
            if not self._find(re.escape(f"{self._mark}<")):
                return False
            self._is_running = True
        began = self._at
        found = self._find(re.escape(self._mark) + r":(\d+)>")
        if not found:
            return False
        output = self._text[began : self._at]
        code = int(found[1])
        clean = without(kernel_messages(output), output)
        clean, output = (text.rpartition(f"{self._mark}:")[0] for text in (clean, output))
        if code != now.exit_code:
            self._fail(f"`{now.text}` ended with {code}, not with {now.exit_code}", said)
        elif now.matches and not any(_search(now.matches, one) for one in (clean, output)):
            shown = clean.strip()
            self._fail(f"`{now.text}` said {shown[-200:]!r}, which does not match '{now.matches}'", said)
        else:
            self._next(now_s, said)
        return True

    def _find(self, pattern: str) -> re.Match[str] | None:
        """Look for a pattern in what is new, and consume up to its end."""
        start = max(self._at, self._text.rfind("\n", 0, max(len(self._text) - LOOK_BACK, 0)) + 1)
        window = self._text[start:]
        found = _search(pattern, window)
        if found:
            self._at = start + found.end()
            return found
        messages = kernel_messages(window)
        if messages:
            found = _search(pattern, without(messages, window))
            if found:
                self._at = start + position_in(messages, found.end())
        return found

    def _look_for_trouble(self, before: int, said: list[Instruction]) -> None:
        if self.verdict:
            return
        start = max(self._at, self._text.rfind("\n", 0, before) + 1)
        text, came_before = self._text[start:], self._text[max(start - KEPT, 0) : start]
        reason = find_trouble(text, came_before, of_kernel_only=self._is_running)
        if reason:
            self._fail(reason, said)

    def _missed(self, now: Expectation, limit: str) -> str:
        hint = find_hint(self._tail(), out_of_time=True)
        return f"{self._not_met(now)} within {limit}" + (f": {hint}" if hint else "")

    def _tail(self) -> str:
        return "\n".join(self.last_lines())

    def _not_met(self, now: Expectation) -> str:
        if now.kind == "run" and self._is_typed and not self._is_running:
            return f"`{now.text}` was typed, but no shell ran it"
        if now.kind == "run":
            return f"`{now.text}` did not end"
        return "the machine did not go off" if now.kind == "power_off" else f"'{now.text}' did not come"

    def _trim(self) -> None:
        if len(self._text) > 2 * KEPT:
            cut = len(self._text) - KEPT
            self._text = self._text[cut:]
            self._at = max(self._at - cut, 0)


def describe(expectation: Expectation) -> str:
    """Return an expectation in a few words: `'login:'`, "the end of `uname -m`"."""
    match expectation.kind:
        case "wait":
            return f"'{expectation.text}'"
        case "type":
            return f"a prompt to type {expectation.secret or expectation.text} at"
        case "run":
            return f"the end of `{expectation.text}`"
        case "power_off":
            return "the end of the machine"


def _search(pattern: str, text: str) -> re.Match[str] | None:
    return re.search(pattern, text, re.MULTILINE)


Span = tuple[int, int]

_ESCAPE = re.compile(
    r"\x1b(?:"
    r"\[[0-?]*[ -/]*[@-~]"  # cursor, colours
    r"|[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)"  # titles and other strings
    r"|[ -/]+[0-~]"  # character sets
    r"|[0-OQ-WYZ\\`-~])"
)
_UNENDED = re.compile(r"\x1b(?:\[[0-?]*[ -/]*|[\]PX^_][^\x07\x1b]*\x1b?|[ -/]*)\Z")
_LONGEST = 4096
"""An escape sequence that is longer is none."""

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")

_KERNEL = re.compile(r"\[ *\d+\.\d{6}\](?:\[ *[TC]\d+\])?(?: [^\n]*)?\n")
"""A kernel message, wherever in a line it begins."""


class PlainText:
    """Turns a console's bytes into plain text; they may be cut anywhere."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._held = ""

    def feed(self, data: bytes) -> str:
        """Return the text of what came, but for the beginning of an escape sequence."""
        text = self._held + self._decoder.decode(data)
        text = _ESCAPE.sub("", text)
        self._held = ""
        unended = _UNENDED.search(text)
        if unended and len(unended[0]) <= _LONGEST:
            self._held = unended[0]
            text = text[: unended.start()]
        return _CONTROL.sub("", text)


def kernel_messages(text: str) -> list[Span]:
    """Return where the whole kernel messages of a text stand."""
    return [found.span() for found in _KERNEL.finditer(text)]


def without(spans: Sequence[Span], text: str) -> str:
    """Return a text without some parts of it."""
    parts = []
    at = 0
    for start, end in spans:
        parts.append(text[at:start])
        at = end
    return "".join([*parts, text[at:]])


def position_in(spans: Sequence[Span], position: int) -> int:
    """Return where in the whole text a position of what `without` left is: before a part that it touches."""
    for start, end in spans:
        if position <= start:
            break
        position += end - start
    return position


LONGEST_LINE = 4000
"""A terminal takes lines of 4095 bytes."""


def command_line(command: str, mark: str) -> str:
    """Return what is typed to run a command in any shell, so that its output is between two marks.

    The command gets a shell of its own: neither an `exit` nor a wrong quote in it takes the marks away. It reads
    no input: what is typed ahead is not for it. Characters that a line editor would act on are not typed.
    """
    if any(char < " " or char == "\x7f" for char in command):
        plain = "".join(f"\\0{ord(char):03o}" if char < " " or char in "\\\x7f" else char for char in command)
        program = f'"$(printf %b {_quoted(plain)})"'
    else:
        program = _quoted(command)
    first, rest = mark[:2], mark[2:]
    return f'echo "{first}""{rest}<"; sh -c {program} </dev/null; echo "{first}""{rest}:$?>"'


def too_long(expectations: Sequence[Expectation], token: str) -> Expectation | None:
    """Return the first expectation whose line no terminal would take."""
    for one in expectations:
        line = command_line(one.text, f"@{token}") if one.kind == "run" else one.text
        if one.kind != "wait" and len(line.encode()) > LONGEST_LINE:
            return one
    return None


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"
