r"""How a step's script and files get into a container, run, and leave it again.

A shell program that is written here puts the files in place, runs the script with its interpreter,
takes the files away, puts back what stood there before, counts the processes that were left running,
and reports on stderr. Small text travels as arguments of that program; what is large, binary or secret
is unpacked into a staging folder before, and moved from there. A session keeps one shell open and feeds
it a program a step, which is three times as fast as a new exec; a script of another user than root, or
one that stays up, has each part in an exec of its own.

    enter    directories made, old files moved aside, new ones placed; what was done is noted in /dev
    run      the interpreter with the script; its exit code kept
    leave    placed files removed, old ones moved back, made directories removed if empty; where the
             script put a folder in place of a file or removed the one above, its will is done
    report   \x01stalker:<nonce>:<exit code>:<processes left>\x01
    end      \x01stalker:<nonce>:end\x01 on both streams, from a shell that is fed: nothing follows
"""

from __future__ import annotations

import io
import os
import shlex
import tarfile
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stalker.config.substitution import fill_secrets
from stalker.engine.options import IDLE_FILE
from stalker.errors import EngineError
from stalker.model.tree import PLUGINS_DIR

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from stalker.model.tree import File, Step

STAGING = "/.stalker-in"
ASIDE = "/.stalker-aside"
MARKS_DIR = os.path.dirname(IDLE_FILE)  # noqa: PTH120

ARGUMENT_MAX = 96 * 1024
"""Linux takes at most 128 KiB an argument (MAX_ARG_STRLEN)."""

ARGUMENTS_MAX = 1024 * 1024
"""And 2 MiB in all with the environment (a quarter of the usual stack limit)."""


@dataclass(frozen=True, slots=True)
class Payload:
    """What to give the engine for one step: programs (`sh -c TEXT NAME ARGUMENT...`), and an archive.

    `whole` does everything in one go. `enter`, `run` and `leave` are its parts, for a script that
    runs as another user or stays up. `archive` is a tar to unpack at `/` first, empty when not needed.
    """

    nonce: str
    archive: bytes
    whole: tuple[str, ...]
    enter: tuple[str, ...]
    run: tuple[str, ...]
    leave: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Placed:
    number: int
    target: str
    mode: int
    content: bytes | None
    link: str
    stays: bool
    late: bool = False
    is_secret: bool = False


def make_payload(step: Step, secrets: Mapping[str, str], nonce: str) -> Payload:
    """Write the program of a step. Raises EngineError when a host file cannot be read."""
    script = f"{PLUGINS_DIR}/{step.name}"
    content = fill_secrets(step.script.content, secrets)
    is_secret = content != step.script.content
    placed = [_Placed(0, script, 0o755, content, "", stays=False, is_secret=is_secret)]
    for files, stays, late in (
        (step.files, False, False),
        (step.copies, True, False),
        (step.late_copies, True, True),
    ):
        for file in files:
            placed.append(_placed(len(placed), file, secrets, stays=stays, late=late))
    arguments: list[str] = []
    staged: list[tuple[str, bytes, int]] = []
    sources = [_source(item, arguments, staged) for item in placed]
    made = _directories(placed)
    put_early = _put([pair for pair in zip(placed, sources, strict=True) if not pair[0].late])
    put_late = _put([pair for pair in zip(placed, sources, strict=True) if pair[0].late])

    remember = _remember(placed, made)
    failed = f"printf '\\001stalker:{nonce}:%s:0\\001' \"enter:$1\" >&2; exit 125"
    fail = f"_stk_fail() {{ {remember}; {failed}; }}"
    enter = ["umask 022", fail, *_make_directories(made), *put_early, remember]
    run = [" ".join(shlex.quote(word) for word in (*step.script.interpreter, script)), "_stk_rc=$?"]
    put_late = ["[ $_stk_rc != 0 ] || {", *put_late, ":; }"] if put_late else []
    leave = [_BACK, *_take_away(placed), *_remove_directories(made)]
    if staged:
        leave.append(f"rm -rf {STAGING} || _stk_bad=1")
    leave.append('[ -z "$_stk_bad" ] || [ $_stk_rc != 0 ] || _stk_rc=125')
    report = [
        _COUNT,
        f'printf \'\\001stalker:{nonce}:%s:%s\\001\' "$_stk_rc" "$_stk_left" >&2',
        "exit $_stk_rc",
    ]

    def program(lines: list[str], *, with_arguments: bool = True) -> tuple[str, ...]:
        return ("/bin/sh", "-c", "\n".join(lines), "stalker", *(arguments if with_arguments else ()))

    # The parts run in shells of their own, `leave` also when a script was stopped in the middle of
    # `whole`, or the shell was killed: what `enter` made or moved it leaves as marks in /dev.
    return Payload(
        nonce=nonce,
        archive=_archive(staged),
        whole=program([*enter, *run, *put_late, *leave, *report]),
        enter=program(enter),
        run=program([*run, *report], with_arguments=False),
        leave=program([fail, _RECALL, "umask 022", "_stk_rc=0", *put_late, *leave, "exit $_stk_rc"]),
    )


def feed_text(program: tuple[str, ...], environment: Mapping[str, str], workdir: str, nonce: str) -> bytes:
    """Return what makes an open shell run a program of a payload as an exec of its own would.

    It runs in a subshell, so that nothing of it stays in the shell; its input is empty.
    """
    lines = ["(", " ".join(["set --", *map(shlex.quote, program[4:])])]
    lines += [f"export {name}={shlex.quote(value)}" for name, value in environment.items()]
    if workdir:
        lines.append(f"cd {shlex.quote(workdir)} || exit 126")
    end = f"printf '\\001stalker:{nonce}:end\\001'"
    lines += [program[2], ") </dev/null", f"{end}; {end} >&2", ""]
    return "\n".join(lines).encode("utf-8", "surrogateescape")


class Report:
    """Reads what the program says at its end out of the streams, and passes on the rest.

    `exit_code` is None until the report came; `is_told` says that one did, with the script at its end;
    `left` counts processes that the script left running; `trouble` is what hindered the placing of
    files. `has_ended` says that a shell that is fed is through with the program, whether or not there
    was a report.
    """

    def __init__(self, nonce: str, on_output: Callable[[bytes, bool], None]) -> None:
        self._mark = f"\x01stalker:{nonce}:".encode()
        self._on_output = on_output
        self._held = {False: b"", True: b""}
        self._ended: set[bool] = set()
        self.exit_code: int | None = None
        self.is_told = False
        self.left = 0
        self.trouble = ""

    @property
    def has_ended(self) -> bool:
        """Whether the end came on both streams."""
        return len(self._ended) == 2

    def feed(self, data: bytes, is_stderr: bool) -> None:  # noqa: FBT001  the engine calls it so
        """Take some output."""
        data = self._held[is_stderr] + data
        self._held[is_stderr] = b""
        while (start := data.find(self._mark)) >= 0:
            end = data.find(b"\x01", start + 1)
            if end < 0:
                break
            self._pass(data[:start], is_stderr)
            self._read(data[start + len(self._mark) : end], is_stderr)
            data = data[end + 1 :]
        keep = len(data) - start if start >= 0 else self._beginning(data)
        if keep:
            self._held[is_stderr] = data[-keep:]
            data = data[:-keep]
        self._pass(data, is_stderr)

    def flush(self) -> None:
        """Pass on what was held back in case it was the beginning of a mark."""
        for is_stderr, data in self._held.items():
            self._pass(data, is_stderr)
            self._held[is_stderr] = b""

    def _beginning(self, data: bytes) -> int:
        """Return how many bytes at the end may be the beginning of a mark."""
        longest = min(len(self._mark), len(data))
        return next((n for n in range(longest, 0, -1) if data.endswith(self._mark[:n])), 0)

    def _pass(self, data: bytes, is_stderr: bool) -> None:  # noqa: FBT001
        if data:
            self._on_output(data, is_stderr)

    def _read(self, said: bytes, is_stderr: bool) -> None:  # noqa: FBT001
        code, _, left = said.decode("utf-8", "replace").rpartition(":")
        if left == "end":
            self._ended.add(is_stderr)
        elif code.startswith("enter:"):
            self.trouble = code.removeprefix("enter:")
            self.exit_code = 125
        else:
            self.exit_code, self.left, self.is_told = int(code), int(left), True


def _placed(number: int, file: File, secrets: Mapping[str, str], *, stays: bool, late: bool) -> _Placed:
    content = file.content
    is_secret = False
    if not file.link:
        if content is None:
            try:
                with open(file.host_path, "rb") as stream:  # noqa: PTH123
                    content = stream.read()
            except OSError as error:
                raise EngineError(f"could not read {file.host_path}", str(error)) from error
        filled = fill_secrets(content, secrets)
        content, is_secret = filled, filled != content
    return _Placed(number, file.target, file.mode, content, file.link, stays, late, is_secret)


def _source(item: _Placed, arguments: list[str], staged: list[tuple[str, bytes, int]]) -> str:
    """Return the shell word for where the content comes from: an argument or a staged file.

    What holds a secret is staged: the engine tells the arguments of an exec to whoever asks for its events.
    """
    if item.link:
        return ""
    content = item.content or b""
    room = ARGUMENTS_MAX - sum(len(argument) for argument in arguments)
    if not item.is_secret and len(content) <= min(ARGUMENT_MAX, room) and b"\0" not in content:
        try:
            text = content.decode("utf-8")
        except UnicodeDecodeError:
            pass
        else:
            arguments.append(text)
            return f"${{{len(arguments)}}}"
    staged.append((str(len(staged)), content, item.mode))
    return f"{STAGING}/{staged[-1][0]}"


def _archive(staged: list[tuple[str, bytes, int]]) -> bytes:
    if not staged:
        return b""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        folder = tarfile.TarInfo(STAGING.lstrip("/"))
        folder.type, folder.mode = tarfile.DIRTYPE, 0o700
        archive.addfile(folder)
        for name, content, mode in staged:
            entry = tarfile.TarInfo(f"{STAGING.lstrip('/')}/{name}")
            entry.size, entry.mode, entry.mtime = len(content), mode, int(time.time())
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def _directories(placed: Iterable[_Placed]) -> list[tuple[str, bool]]:
    """Return all folders above the targets, outermost first, and whether each stays."""
    stays: dict[str, bool] = {}
    for item in placed:
        folder = os.path.dirname(item.target)  # noqa: PTH120
        while folder not in {"/", ""}:
            stays[folder] = stays.get(folder, False) or item.stays
            folder = os.path.dirname(folder)  # noqa: PTH120
    return sorted(stays.items(), key=lambda pair: pair[0].count("/"))


def _make_directories(made: list[tuple[str, bool]]) -> list[str]:
    return [
        f"[ -d {shlex.quote(folder)} ] || {{ mkdir {shlex.quote(folder)} && _stk_d{number}=1; }}"
        f" || _stk_fail {shlex.quote(folder)}"
        for number, (folder, _) in enumerate(made)
    ]


def _put(items: list[tuple[_Placed, str]]) -> list[str]:
    lines = []
    for item, source in items:
        target = shlex.quote(item.target)
        is_folder = f"[ -d {target} ] && [ ! -L {target} ] && _stk_fail {target}"
        if item.stays:
            lines.append(f"{is_folder} || rm -f {target} || _stk_fail {target}")
        else:
            aside = f"{ASIDE}/{item.number}"
            lines.append(is_folder)
            lines.append(
                f"if [ -e {target} ] || [ -L {target} ]; then"
                f" mkdir -p {ASIDE} && mv -f {target} {aside} && _stk_s{item.number}=1"
                f" || _stk_fail {target}; fi"
            )
        if item.link:
            lines.append(f"ln -s {shlex.quote(item.link)} {target} || _stk_fail {target}")
        elif source.startswith("$"):
            lines.append(
                f'printf %s "{source}" >{target} && chmod {item.mode:04o} {target} || _stk_fail {target}'
            )
        else:
            lines.append(f"mv -f {source} {target} || _stk_fail {target}")
    return lines


def _take_away(placed: Iterable[_Placed]) -> list[str]:
    lines = []
    for item in placed:
        if item.stays:
            continue
        target, number = shlex.quote(item.target), item.number
        lines.append(f"_stk_away {target}")
        lines.append(f'[ -z "$_stk_s{number}" ] || _stk_back {ASIDE}/{number} {target}')
    lines.append(f"[ ! -d {ASIDE} ] || rmdir {ASIDE} || _stk_bad=1")
    return lines


def _remove_directories(made: list[tuple[str, bool]]) -> list[str]:
    """Remove what was made, innermost first; Python's caches of helper modules go with their folder."""
    lines = []
    for number, (folder, stays) in reversed(list(enumerate(made))):
        if stays:
            continue
        name = shlex.quote(folder)
        cache = f"rm -rf {name}/__pycache__; " if folder.startswith(PLUGINS_DIR) else ""
        lines.append(f'[ -z "$_stk_d{number}" ] || {{ {cache}rmdir {name} 2>/dev/null; }}')
    return lines


def _remember(placed: list[_Placed], made: list[tuple[str, bool]]) -> str:
    names = [f"_stk_d{number}" for number in range(len(made))]
    names += [f"_stk_s{item.number}" for item in placed if not item.stays]
    saved = " ".join(f"{name}=${name}" for name in names)
    # The idle process makes that folder too, and in a busy machine comes to it later.
    return f'[ -d {MARKS_DIR} ] || mkdir -p {MARKS_DIR}; echo "{saved}" >{MARKS_DIR}/marks'


_RECALL = f'read -r _stk_marks <{MARKS_DIR}/marks && eval "$_stk_marks"'

_BACK = """_stk_bad=
_stk_away() { [ -d "$1" ] && [ ! -L "$1" ] || rm -f "$1" || _stk_bad=1; }
_stk_back() {
if [ -e "$2" ] || [ -L "$2" ] || [ ! -d "${2%/*}/" ]; then rm -rf "$1"; else mv -f "$1" "$2"; fi || _stk_bad=1
}"""

_COUNT = f"""_stk_left=0
{{ read -r _stk_idle <{IDLE_FILE}; }} 2>/dev/null || _stk_idle=0
read -r _stk_self </proc/self/stat
_stk_self=${{_stk_self%% *}}
for _stk_p in /proc/[0-9]*; do
_stk_p=${{_stk_p#/proc/}}
case $_stk_p in 1|$$|$_stk_self|$_stk_idle) continue;; esac
read -r _stk_stat 2>/dev/null </proc/$_stk_p/stat || continue
case ${{_stk_stat##*) }} in Z*) ;; *) _stk_left=$((_stk_left + 1));; esac
done"""
