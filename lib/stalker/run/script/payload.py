"""What a step's container is given: the programs that place its files, run its script and undo the placing.

The programs are calls of `shell_library`. Text travels in them, as quoted words; what is large or not text
travels in one archive, which the engine unpacks first.
"""

from __future__ import annotations

import io
import os
import shlex
import tarfile
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from stalker.config.plugins.content import fill_secrets
from stalker.model.tree import PLUGINS_DIR
from stalker.run.script.inputs import read_checked
from stalker.run.script.shell_library import ARCHIVE, DOCKER_FILES, LIBRARY, OLD, RUN_FILE, STATE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from stalker.model.tree import File, Step

TEXT_MAX_BYTES = 256 * 1024
TEXTS_MAX_BYTES = 4 << 20
"""Text of one file, and of all, in a program. To unpack an archive takes an engine about 40 ms, and twice as long for
each file as a shell takes to write it."""

NAMES_MAX = 500
"""Names given to one command: Linux takes 2 MiB of arguments."""

Way = Literal["bind", "copy", "late", "over"]
"""How a file is placed: to be taken away, to stay, to stay from the end of the step on, or written into a
file of Docker's."""


@dataclass(frozen=True, slots=True)
class Placed:
    """One file to place, its content as it will be in the container."""

    target: str
    plugin: str
    way: Way
    mode: int
    content: bytes
    link: str
    is_secret: bool

    @property
    def directory(self) -> str:
        """The directory of its target, as the plugin names it."""
        return os.path.dirname(self.target)  # noqa: PTH120

    @property
    def name(self) -> str:
        """The last part of its target."""
        return os.path.basename(self.target)  # noqa: PTH119


@dataclass(frozen=True, slots=True)
class Start:
    """How the script is started: its variables, its directory (empty: the image's own) and its user.

    `user` is empty for root. `stays_up` is a daemonized script. `stubs` are directories that the engine made
    above mount points of this container. `volumes` are the directories that the image declares as volumes:
    a container of it would have them. `mounted` are targets of files that are mounted in it.
    """

    environment: Mapping[str, str]
    workdir: str = ""
    user: str = ""
    tty: bool = False
    stays_up: bool = False
    stubs: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    mounted: frozenset[str] = frozenset()

    @property
    def has_own_exec(self) -> bool:
        """Return whether it cannot run in the shell that a session keeps open."""
        return bool(self.user) or self.tty or self.stays_up


@dataclass(frozen=True, slots=True)
class Payload:
    """The programs of one step, as text for a shell that has read the library, and what they report by number.

    `whole` does everything for a script of root. For one that needs an exec of its own there are its
    parts: `enter`, which also writes the script's program to `RUN_FILE`, and `leave`, which undoes the
    placing after success; `abandon` undoes it after a failure. `archive` is a tar to unpack at `/` first, empty when
    not needed. `directories` are the target directories by their number.
    """

    nonce: str
    archive: bytes
    whole: str
    enter: str
    leave: str
    abandon: str
    start: Start
    directories: tuple[str, ...]
    placed: tuple[Placed, ...]

    def placed_at(self, number: int, name: str) -> Placed | None:
        """Return the file that the shell reports by the number of its directory and its name."""
        target = os.path.join(self.directories[number], name)  # noqa: PTH118
        return next((item for item in self.placed if item.target == target), None)


def make_payload(step: Step, secrets: Mapping[str, str], nonce: str, start: Start) -> Payload:
    """Write the programs of a step. Files that are mounted in the container are not placed again.

    Raises:
        EngineError: a host file cannot be read. InputChanged: it has other content than planned.
    """
    placed = [item for item in _all_placed(step, secrets) if item.target not in start.mounted]
    groups = _grouped(placed)
    texts, others = _by_way(groups)
    above = _directories((item for item in placed if item.way != "late"), start.volumes)
    late_above = _directories(item for item in placed if item.way == "late")
    numbered = {directory: number for number, directory in enumerate({**above, **late_above})}
    returning = [name for name, stays in above.items() if not stays and name not in late_above]
    ours = [name for name in returning if _is_of_plugins(name)]
    foreign = [name for name in returning if not _is_of_plugins(name)]
    stubs = {
        name: len(numbered) + number for number, name in enumerate(start.stubs) if not _is_of_plugins(name)
    }
    marked = [
        f": >{STATE}/m/{number}"
        for number in (*stubs.values(), *(numbered[name] for name in ours if name in start.stubs))
    ]
    watched = _pairs({**{name: numbered[name] for name in foreign}, **stubs})

    stage = [_call("_stk_stage", [str(number) for number in range(len(groups))]), *_written(texts)]
    enter = [
        "_stk_begin",
        "_stk_use",
        *_known_user(start.user),
        *stage,
        *_calls("_stk_dirs", _pairs({name: numbered[name] for name in above}), size=2),
        *_real(groups, is_late=False),
        *_put(groups, "bind", "_stk_linked"),
        '[ -z "$_stk_bad" ] || exit 125',
        *_put(groups, "bind"),
        *_put(groups, "copy"),
        *_put(groups, "over"),
        *marked,
        *_calls("_stk_note", watched, size=2, is_one=True),
    ]
    script = [
        "_stk_as_before",
        *(
            [f"cd -- {shlex.quote(start.workdir)} 2>/dev/null || {{ _stk_say workdir; exit 125; }}"]
            if start.workdir
            else []
        ),
        f"[ -e {shlex.quote(step.script.interpreter[0])} ] || {{ _stk_say interpreter; exit 127; }}",
        "trap _stk_refused EXIT",
        *(f"_stk_set {name} {shlex.quote(value)}" for name, value in start.environment.items()),
        "trap - EXIT",
        "exec " + " ".join(map(shlex.quote, (*step.script.interpreter, f"{PLUGINS_DIR}/{step.name}"))),
    ]
    late = [
        "if [ $_stk_rc = 0 ]; then",
        *_calls("_stk_dirs", _pairs({name: numbered[name] for name in late_above}), size=2),
        *_real(groups, is_late=True),
        "fi",
    ]
    leave = [
        *_calls("_stk_judge", watched, size=2),
        *reversed(_put(groups, "over", "_stk_restore")),
        *reversed(_put(groups, "bind", "_stk_away")),
        *_calls("_stk_survivors", [str(n) for n, (way, _, _) in enumerate(groups) if way == "bind"], size=1),
        *_calls("_stk_unmake", _pairs({name: numbered[name] for name in reversed(foreign)}), size=2),
        *_calls("_stk_stubs", _pairs(stubs), size=2),
    ]
    has_late = any(way == "late" for way, _, _ in groups)
    late = late if has_late else []
    copied = ["if [ $_stk_rc = 0 ]; then", *_put(groups, "late", "_stk_copy"), "fi"] if has_late else []
    end = [_call("_stk_end", _pairs({name: numbered[name] for name in reversed(ours)})), "_stk_done"]
    recall = _call("_stk_recall", [str(n) for n, (way, _, _) in enumerate(groups) if way != "late"])
    run = [LIBRARY, f"_stk_n={nonce}", "_stk_begin", "(", *script, ")", '_stk_say "exit:$?"', _end(nonce)]
    if start.stays_up:
        enter.append(f"touch -t {OLD} {shlex.quote(f'{PLUGINS_DIR}/{step.name}')}")  # shows when it is read
    if start.has_own_exec:
        enter.append(f"printf %s {shlex.quote(_joined(run))} >{RUN_FILE} || _stk_fail {RUN_FILE}")
    return Payload(
        nonce=nonce,
        archive=_archive(others) if others else b"",
        whole=_fed(nonce, [*enter, "(", *script, ")", "_stk_rc=$?", *late, *leave, *copied, *end]),
        enter=_fed(nonce, enter),
        leave=_fed(nonce, ["_stk_begin", *([recall, *late] if late else []), *leave, *copied, *end]),
        abandon=_fed(nonce, ["_stk_begin", *leave, *end]),
        start=start,
        directories=tuple(directory for _, directory, _ in groups),
        placed=tuple(placed),
    )


def probe_program(paths: Sequence[str], nonce: str) -> str:
    """Return a program that reports with its exit code whether paths have what a commit drops: 0 if so."""
    return _fed(nonce, ["_stk_begin", f"{_call('_stk_drops', paths)}; _stk_say exit:$(($? != 0))"])


def asking_program(call: str, nonce: str) -> str:
    """Return a program that reports the exit code of a call of the library."""
    return _fed(nonce, ["_stk_begin", f"{call}; _stk_say exit:$?"])


def session_program(tmpfs: Sequence[str]) -> str:
    """Return what the shell of a session reads first: the library, and how all is outside of the layer."""
    points = " ".join(map(shlex.quote, tmpfs))
    return f"{LIBRARY}\n_stk_base=$(_stk_begin; _stk_outside {points}) _stk_tmpfs={shlex.quote(points)}\n"


def _fed(nonce: str, lines: Sequence[str]) -> str:
    """Return a program for a shell that is fed; in a subshell, so that nothing of it stays in the shell."""
    return _joined(["(", f"_stk_n={nonce}", *lines, ") </dev/null", _end(nonce)])


def _end(nonce: str) -> str:
    mark = f"printf '\\001stalker:{nonce}:end\\001'"
    return f"{mark}; {mark} >&2\n"


def _joined(lines: Iterable[str]) -> str:
    return "\n".join(lines)


def _all_placed(step: Step, secrets: Mapping[str, str]) -> list[Placed]:
    content = fill_secrets(step.script.content, secrets)
    script = Placed(
        f"{PLUGINS_DIR}/{step.name}", step.name, "bind", 0o755, content, "", content != step.script.content
    )
    ways: tuple[tuple[tuple[File, ...], Way], ...] = (
        (step.files, "bind"),
        (step.copies, "copy"),
        (step.late_copies, "late"),
    )
    return [script, *(_placed(file, secrets, way) for files, way in ways for file in files)]


def _placed(file: File, secrets: Mapping[str, str], way: Way) -> Placed:
    own: Way = "over" if file.target in DOCKER_FILES and way == "bind" else way
    if file.link:
        return Placed(file.target, file.plugin, own, file.mode, b"", file.link, is_secret=False)
    content = read_checked(file) if file.content is None else file.content
    filled = fill_secrets(content, secrets)
    return Placed(file.target, file.plugin, own, file.mode, filled, "", is_secret=filled != content)


Group = tuple[Way, str, list[Placed]]
"""Files that go into one directory in one way. Its position is the number K of the library."""


def _grouped(placed: Iterable[Placed]) -> list[Group]:
    groups: dict[tuple[Way, str], list[Placed]] = {}
    for item in placed:
        groups.setdefault((item.way, item.directory), []).append(item)
    return [(way, directory, items) for (way, directory), items in groups.items()]


Numbered = tuple[int, Placed]
"""A file, and the number of its group."""


def _by_way(groups: Sequence[Group]) -> tuple[list[Numbered], list[Numbered]]:
    """Return the files that travel in a program, and those that travel in an archive."""
    texts: list[Numbered] = []
    others: list[Numbered] = []
    room_bytes = TEXTS_MAX_BYTES
    for number, (_, _, items) in enumerate(groups):
        for item in items:
            is_small = len(item.content) <= min(TEXT_MAX_BYTES, room_bytes)
            if is_small and _is_text(item.content):
                room_bytes -= len(item.content)
                texts.append((number, item))
            else:
                others.append((number, item))
    return texts, others


def _is_text(content: bytes) -> bool:
    if b"\0" in content:
        return False
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _is_of_plugins(directory: str) -> bool:
    return f"{PLUGINS_DIR}/".startswith(f"{directory}/") or directory.startswith(f"{PLUGINS_DIR}/")


def _directories(placed: Iterable[Placed], volumes: Iterable[str] = ()) -> dict[str, bool]:
    """Return all directories above the targets, and volumes, outermost first, and whether each stays."""
    stays: dict[str, bool] = {}
    wanted = [(item.directory, item.way == "copy") for item in placed if item.way != "over"]
    for given, does_stay in [*wanted, *((volume.rstrip("/"), False) for volume in volumes)]:
        directory = given
        while directory not in {"/", ""}:
            stays[directory] = stays.get(directory, False) or does_stay
            directory = os.path.dirname(directory)  # noqa: PTH120
    return dict(sorted(stays.items(), key=lambda pair: pair[0].count("/")))


def _pairs(numbered: Mapping[str, int]) -> list[str]:
    return [text for name, number in numbered.items() for text in (str(number), name)]


def _call(function: str, arguments: Iterable[str]) -> str:
    return " ".join([function, *map(shlex.quote, arguments)])


def _calls(
    function: str, arguments: Sequence[str], *, size: int, first: str = "", is_one: bool = False
) -> list[str]:
    """Return calls of a function with a bounded number of arguments each; no call for no arguments."""
    step = len(arguments) if is_one else NAMES_MAX * size
    return [
        _call(function, [*([first] if first else []), *arguments[start : start + step]])
        for start in range(0, len(arguments), step or 1)
    ]


def _known_user(user: str) -> list[str]:
    """Return calls that look up the names of a user and a group in the image; numbers need no look-up."""
    name, _, group = user.partition(":")
    calls = [("/etc/passwd", name), ("/etc/group", group)]
    return [_call("_stk_known", [file, one]) for file, one in calls if one and not one.isdigit()]


def _written(texts: Sequence[Numbered]) -> list[str]:
    """Return the calls that write files as text, and give them their modes, those of one mode at once."""
    lines: list[str] = []
    modes: dict[int, list[str]] = {}
    for number, item in texts:
        place = f"{number}/{item.name}"
        if item.link:
            lines.append(f"ln -s -- {shlex.quote(item.link)} {shlex.quote(f'{STATE}/f/{place}')}")
            continue
        lines.append(f"_stk_write {shlex.quote(place)} {shlex.quote(item.content.decode('utf-8'))}")
        if item.mode != 0o644:
            modes.setdefault(item.mode, []).append(f"{STATE}/f/{place}")
    return lines + [
        f"{call} || _stk_fail {shlex.quote(paths[0])}"
        for mode, paths in modes.items()
        for call in _calls("chmod", paths, size=1, first=f"{mode:04o}")
    ]


def _real(groups: Sequence[Group], *, is_late: bool) -> list[str]:
    directories = [
        text
        for number, (way, directory, _) in enumerate(groups)
        if way != "over" and (way == "late") is is_late
        for text in (str(number), directory)
    ]
    return _calls("_stk_real", directories, size=2)


def _put(groups: Sequence[Group], way: Way, function: str = "") -> list[str]:
    return [
        call
        for number, (own, _, items) in enumerate(groups)
        if own == way
        for call in _calls(
            function or f"_stk_{way}", [item.name for item in items], size=1, first=str(number)
        )
    ]


def _archive(files: Sequence[Numbered]) -> bytes:
    buffer = io.BytesIO()
    now_s = int(time.time())
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:

        def add(name: str, kind: bytes, mode: int, content: bytes = b"") -> None:
            entry = tarfile.TarInfo(f"{ARCHIVE.lstrip('/')}{name}")
            entry.type, entry.mode, entry.mtime, entry.size = kind, mode, now_s, len(content)
            archive.addfile(entry, io.BytesIO(content))

        add("", tarfile.DIRTYPE, 0o700)
        add("/f", tarfile.DIRTYPE, 0o755)
        for number in sorted({number for number, _ in files}):
            add(f"/f/{number}", tarfile.DIRTYPE, 0o755)
        for number, item in files:
            add(f"/f/{number}/{item.name}", tarfile.REGTYPE, item.mode, item.content)
    return buffer.getvalue()
