"""What the logs say of earlier runs; every file may be cut off, foreign or gone in the next moment.

Where the journal of a run and the logs of its steps are below the log directory.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HEAD_BYTES = 64 * 1024
TAIL_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class RunSummary:
    """One run as its journal tells it.

    `started_at` is Unix time. `duration_s` and `exit_code` are None for a run that was killed or still
    goes on; then the counts are 0. `failed` and `blocked` are step ids, `unmade` are those of artifacts.
    """

    run: str
    tree: str
    config: str
    started_at: float
    path: str
    duration_s: float | None = None
    exit_code: int | None = None
    ran: int = 0
    reused: int = 0
    failed: tuple[str, ...] = ()
    blocked: tuple[str, ...] = ()
    unmade: tuple[str, ...] = ()
    brief: str = ""


def list_runs(log_dir: str | Path) -> list[RunSummary]:
    """Return the runs below `log_dir`, the newest first; reads the ends of each journal only."""
    try:
        folders = list((Path(log_dir) / RUNS).iterdir())
    except OSError:
        return []
    found = [_summary(folder.name, folder / JOURNAL) for folder in folders]
    return sorted((run for run in found if run), key=lambda run: (run.started_at, run.run), reverse=True)


def logs_of_step(journal: str | Path, step: str) -> list[tuple[float, str]]:
    """Return the attempts of a step in one run, the newest first: Unix time and log, as its journal names it."""
    try:
        lines = Path(journal).read_bytes().splitlines()
    except OSError:
        return []
    # A journal may be long, and few of its lines begin an attempt.
    found = [_message(line) for line in lines if b'"log"' in line and b'"started"' in line]
    return [
        (float(one["timestamp"]), one["log"])
        for one in reversed(found)
        if one and one.get("of") == step and one.get("log")
    ]


def find_old_log(log_dir: str | Path, stalk: str, step: str, arch_label: str) -> Path | None:
    """Return the newest log of a step among those whose name has a time and no run; None if there is none.

    The original tool, and stalker at first, named logs so: of two trees with such a step either may be found.
    """
    beginning = f"{arch_label}-{step}-"
    newest: tuple[int, str] | None = None
    try:
        with os.scandir(Path(log_dir) / stalk) as entries:
            for entry in entries:
                stem = entry.name.removesuffix(".txt")
                if stem == entry.name or not stem.startswith(beginning):
                    continue
                if TIMESTAMP.fullmatch(stem.removeprefix(beginning)) and entry.is_file():
                    age = (entry.stat().st_mtime_ns, entry.name)
                    newest = max(newest, age) if newest else age
    except OSError:
        return None
    return Path(log_dir) / stalk / newest[1] if newest else None


def _summary(run: str, path: Path) -> RunSummary | None:
    try:
        first, last = _first_and_last(path)
    except OSError:
        return None
    if first is None or not isinstance(first.get("timestamp"), int | float):
        return None
    known = RunSummary(run, _text(first, "tree"), _text(first, "config"), first["timestamp"], str(path))
    is_end = last is not None and last.get("action_type") == "run" and last.get("action_status") != "started"
    if not is_end or last is None or not isinstance(last.get("timestamp"), int | float):
        return known
    return RunSummary(
        run=run,
        tree=known.tree,
        config=known.config,
        started_at=known.started_at,
        path=known.path,
        duration_s=last["timestamp"] - known.started_at,
        exit_code=_number(last, "exit_code", 1 if last["action_status"] == "failed" else 0),
        ran=_number(last, "ran", 0),
        reused=_number(last, "reused", 0),
        failed=_texts(last, "failed"),
        blocked=_texts(last, "blocked"),
        unmade=_texts(last, "unmade"),
        brief=_text(last, "brief"),
    )


def _first_and_last(path: Path) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    with path.open("rb") as file:
        first = file.readline(HEAD_BYTES)
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - TAIL_BYTES))
        lines = file.read().splitlines()
    return _message(first), next((found for line in reversed(lines) if (found := _message(line))), None)


def _message(line: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(line)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _text(message: dict[str, Any], name: str) -> str:
    value = message.get(name)
    return value if isinstance(value, str) else ""


def _texts(message: dict[str, Any], name: str) -> tuple[str, ...]:
    value = message.get(name)
    return tuple(map(str, value)) if isinstance(value, list) else ()


def _number(message: dict[str, Any], name: str, default: int) -> int:
    value = message.get(name)
    return value if isinstance(value, int) else default


JOURNAL = "eliot.txt"
RUNS = "runs"
TIMESTAMP = re.compile(
    r"(\d{4}-?\d\d-?\d\d|\d\d-\d\d-\d\d)[-_T]?\d\d[-:]?\d\d[-:]?\d\d([.-]\d{1,6})?Z?(-\d+)?"
)
"""How the name of a log that no journal names ends before `.txt`; colons and a short year are those of the
original tool, and the last number is that of an attempt."""


def run_journal(log_dir: str | Path, run: str) -> Path:
    """Return the journal of one run: `logs/runs/<run>/eliot.txt`."""
    return Path(log_dir) / RUNS / run / JOURNAL


def reason_in(log_dir: str | Path, run: str, step: str) -> str:
    """Return why a step ran in a run, as its plan said; empty where no journal tells."""
    if not run or "/" in run:
        return ""
    try:
        lines = run_journal(log_dir, run).read_bytes().splitlines()
    except OSError:
        return ""
    for line in lines:
        message = _message(line) if b'"plan"' in line else None
        steps = message.get("steps") if message and message.get("message_type") == "plan" else None
        if isinstance(steps, dict) and isinstance(steps.get(step), str):
            said: str = steps[step]
            return said.partition(": ")[2]
    return ""


def lines_about(log: Path, text: str, most: int) -> list[tuple[int, str]]:
    """Return the first lines of a log that have a text in them, with their numbers from 1."""
    found: list[tuple[int, str]] = []
    try:
        with log.open(encoding="utf-8", errors="replace") as stream:
            for position, line in enumerate(stream, 1):
                if text in line:
                    found.append((position, line.rstrip("\r\n")))
                    if len(found) == most:
                        break
    except OSError:
        return found
    return found
