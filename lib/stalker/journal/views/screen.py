"""The lines of the live view: what is shown of a run when there is little room.

A stalk that is over is one line, so is one that waits. Of the others, running steps are shown with
their last line of output, then failed ones, then those that come next. What finds no room is counted.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING

from stalker.io.units import duration_text
from stalker.journal.views.progress import BAD
from stalker.journal.views.stream import clean_line, last_line
from stalker.journal.views.wording import artifact_words, count, progress_words

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stalker.journal.views.progress import ArtifactView, Progress, StalkProgress, StepProgress

WIDEST = 100
"""Times are at most this far to the right: the eye loses the line else."""
NARROW = 60
"""Below this many columns less is said."""
ECHO_COLUMNS = 5
"""Left free in the last line: a terminal shows `^C` there, and a line that wraps would spoil the picture."""
MOST_FINAL_ROWS = 30
SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_SYMBOLS = {
    "waiting": "·", "pausing": "↻", "done": "✓", "reused": "✓", "failed": "✗", "timeout": "✗",
    "cancelled": "✗", "blocked": "-", "output": "│", "more": "…",
}  # fmt: skip
_ASCII = {
    "waiting": ".", "pausing": "~", "done": "+", "reused": "+", "failed": "x", "timeout": "x",
    "cancelled": "x", "blocked": "-", "output": "|", "more": "...",
}  # fmt: skip
STYLES = {
    "running": "bold", "failed": "red", "timeout": "red", "cancelled": "yellow", "blocked": "yellow",
    "pausing": "yellow", "done": "green", "reused": "dim", "waiting": "dim", "output": "dim", "stalk": "bold",
}  # fmt: skip
_RUNNING, _OUTPUT, _BAD, _NEXT, _WAITING, _OVER = range(6)


@dataclass(frozen=True, slots=True)
class Row:
    """One line: symbol and text on the left, a time on the right.

    `rank` is what it is worth, 0 the most. `hides` is how many steps are not seen when it is left out.
    """

    kind: str
    text: str
    right: str = ""
    indent: int = 0
    rank: int = 0
    hides: int = 1
    style: str = ""


def rows(progress: Progress, now: float, height: int, width: int) -> list[Row]:
    """Return at most `height` rows, the last one on the whole run."""
    every = [
        row
        for stalk in progress.stalks.values()
        for row in _stalk_rows(stalk, now, height, is_narrow=width < NARROW)
    ]
    every += [row for view in progress.artifacts.values() for row in _artifact_rows(view, now)]
    late = sum(max(0, _unseen_waiting(stalk, height)) for stalk in progress.stalks.values())
    room = max(height - 1, 1)
    shown = every
    hidden = late
    if len(every) + bool(late) > room:
        by_rank = sorted(range(len(every)), key=lambda index: every[index].rank)
        kept = set(by_rank[: room - 1])
        shown = [row for index, row in enumerate(every) if index in kept]
        hidden += sum(row.hides for index, row in enumerate(every) if index not in kept)
    more = [Row("more", f"{hidden} more", style="dim")] if hidden else []
    return [*shown, *more, _total(progress, now, is_narrow=width < NARROW)][-max(height, 1) :]


def final_rows(progress: Progress) -> list[Row]:
    """Return one row a stalk that something was done for, and one a step that went wrong.

    These stay on the screen. Stalks of which there is nothing to say are counted, and when there are
    very many, so are those that went well.
    """
    stalks = progress.stalks.values()
    untouched = [stalk for stalk in stalks if stalk.counts["reused"] == len(stalk.steps)]
    unreached = [
        stalk for stalk in stalks if not stalk.is_over and not (stalk.counts["done"] or stalk.is_bad)
    ]
    well = [stalk for stalk in stalks if stalk.is_over and stalk.counts["done"] and not stalk.is_bad]
    too_many = well if len(well) > MOST_FINAL_ROWS else []
    counted = {stalk.name for stalk in (*untouched, *unreached, *too_many)}
    found = []
    for stalk in stalks:
        if stalk.name not in counted:
            found.append(_closed_row(stalk))
            found += [_step_row(step, 0.0, stalk.depth + 1, is_narrow=True) for step in _bad(stalk)]
    found += [_published_row(view) for view in progress.artifacts.values() if view.finished]
    if too_many:
        found.append(Row("done", f"{count(len(too_many), 'stalk')} done", style="green"))
    if untouched and (found or unreached):
        found.append(Row("reused", f"{count(len(untouched), 'stalk')} already there", style="dim"))
    if unreached:
        found.append(Row("waiting", f"{count(len(unreached), 'stalk')} not reached", style="dim"))
    return found


def fit(row: Row, width: int, now: float, *, is_ascii: bool) -> tuple[str, str, str, str]:
    """Return a row as left part, symbol, text and right part that fill at most `width` columns."""
    from rich.cells import cell_len, set_cell_size  # late: only a live view needs it

    width = max(width - (ECHO_COLUMNS if row.kind == "total" else 0), 10)
    indent = " " * min(row.indent, 5) if width < NARROW else "  " * min(row.indent, 6)
    symbols = _ASCII if is_ascii else _SYMBOLS
    if row.kind == "running":
        symbol = "|/-\\"[int(now * 4) % 4] if is_ascii else SPINNER[int(now * 8) % len(SPINNER)]
    else:
        symbol = symbols.get(row.kind, "")
    left = f"{indent}{symbol} " if symbol else indent
    line = min(width, WIDEST) if row.right else width
    right = f"  {row.right}" if row.right else ""
    room = line - cell_len(left) - cell_len(right)
    if room < 8:
        right, room = "", width - cell_len(left)
    text = row.text
    if cell_len(text) > room:
        end = "..." if is_ascii else "…"
        text = set_cell_size(text, max(room - cell_len(end), 0)).rstrip() + end
    pad = " " * (room - cell_len(text)) if right else ""
    return indent, left[len(indent) :], text + pad, right


def _stalk_rows(stalk: StalkProgress, now: float, height: int, *, is_narrow: bool) -> Iterator[Row]:
    if not stalk.is_active and (stalk.is_over or not (stalk.counts["done"] or stalk.is_bad)):
        yield _closed_row(stalk)
        if stalk.is_bad:
            for step in _bad(stalk):
                yield _step_row(step, now, stalk.depth + 1, is_narrow=is_narrow)
        return
    ended = len(stalk.steps) - sum(stalk.counts[state] for state in ("waiting", "running", "pausing"))
    rank = _RUNNING if stalk.is_active else _NEXT
    ratio = f"{ended}/{len(stalk.steps)}" if stalk.steps else ""
    yield Row("stalk", stalk.name, ratio, stalk.depth, rank, 0, "stalk")
    if stalk.base:
        took = duration_text(now - stalk.base_started_at)
        yield Row(
            "running", f"initial: {clean_line(stalk.base)}", took, stalk.depth + 1, _RUNNING, 0, "running"
        )
        if stalk.base_text:
            yield Row("output", clean_line(stalk.base_text), "", stalk.depth + 2, _OUTPUT, 0, "output")
    waiting = 0
    for step in stalk.steps:
        if step.state in {"done", "reused"}:
            continue
        if step.state in {"waiting", "blocked"}:
            waiting += 1
            if waiting > height:
                continue
        yield _step_row(step, now, stalk.depth + 1, is_narrow=is_narrow)
        output = last_line(step.tail) if step.state == "running" else ""
        if output:
            yield Row("output", output, "", stalk.depth + 2, _OUTPUT, 0, "output")


def _unseen_waiting(stalk: StalkProgress, height: int) -> int:
    """Count the waiting steps for which no row was made at all."""
    if not stalk.is_active and (stalk.is_over or not (stalk.counts["done"] or stalk.is_bad)):
        return 0
    return stalk.counts["waiting"] + stalk.counts["blocked"] - height


def _bad(stalk: StalkProgress) -> Iterator[StepProgress]:
    return islice((step for step in stalk.steps if step.state in BAD), 20)


def _step_row(step: StepProgress, now: float, indent: int, *, is_narrow: bool) -> Row:
    text = step.name
    right = ""
    rank = _BAD
    if step.state == "running":
        rank = _RUNNING
        right = duration_text(now - step.started_at)
        left = step.left_s(now)
        if left and not is_narrow:
            right += f", about {duration_text(left)} left"
        text += f" (attempt {step.attempt})" if step.attempt > 1 else ""
    elif step.state == "pausing":
        text, rank = f"{step.name}: trying again", _RUNNING
    elif step.state in BAD:
        reason = {"timeout": "out of time", "cancelled": "cancelled"}.get(step.state, "failed")
        if step.state == "failed" and step.exit_code is not None:
            reason = f"exit code {step.exit_code}"
        text, right = f"{step.name}: {reason}", duration_text(step.duration_s)
    elif step.state in {"waiting", "blocked"}:
        rank = _NEXT
    return Row(step.state, text, right, indent, rank, 1, STYLES.get(step.state, ""))


def _closed_row(stalk: StalkProgress) -> Row:
    """Return the one row of a stalk that waits or is over."""
    steps = len(stalk.steps)
    took = duration_text(sum(step.duration_s for step in stalk.steps))
    reused = f", {stalk.counts['reused']} reused" if stalk.counts["reused"] else ""
    if not stalk.is_over:
        kind, text, right, rank = "waiting", f"{stalk.name}  {count(steps, 'step')}{reused}", "", _WAITING
    elif stalk.is_bad:
        failed = stalk.counts["failed"] + stalk.counts["timeout"]
        parts = [
            (failed, "failed"),
            (stalk.counts["cancelled"], "cancelled"),
            (stalk.counts["blocked"], "blocked"),
        ]
        said = ", ".join(f"{number} {word}" for number, word in parts if number)
        kind = "failed" if failed else "cancelled"
        text, right, rank = f"{stalk.name}  {said}", took, _BAD
    elif stalk.counts["blocked"]:
        kind, text, right, rank = "blocked", f"{stalk.name}  blocked", "", _OVER
    elif stalk.counts["reused"] == steps:
        kind, text, right, rank = "reused", f"{stalk.name}  {count(steps, 'step')}, all there", "", _OVER
    else:
        kind, text, right, rank = "done", f"{stalk.name}  {count(steps, 'step')}{reused}", took, _OVER
    return Row(kind, text, right, stalk.depth, rank, steps, STYLES.get(kind, ""))


def _artifact_rows(view: ArtifactView, now: float) -> Iterator[Row]:
    """Return the rows of an artifact: how far it is, or what became of it."""
    if view.finished is not None:
        yield replace(_published_row(view), rank=_OVER if view.finished.state == "done" else _BAD, hides=0)
        return
    took = duration_text(now - view.started_at)
    yield Row("running", f"artifact {view.id}", took, 0, _RUNNING, 0, "running")
    if view.progress is not None:
        yield Row("output", progress_words(view.progress, view.since_s), "", 1, _OUTPUT, 0, "output")


def _published_row(view: ArtifactView) -> Row:
    """Return the one row of an artifact that is over."""
    assert view.finished is not None
    kind = {"done": "done", "blocked": "blocked", "cancelled": "cancelled"}.get(view.finished.state, "failed")
    return Row(kind, f"{view.id}  {artifact_words(view.finished)}", "", 0, style=STYLES[kind])


def _total(progress: Progress, now: float, *, is_narrow: bool) -> Row:
    counts = progress.counts
    ended = counts["done"] + counts["reused"]
    there = f"{ended}/{len(progress.steps)}" if is_narrow else f"{ended} of {len(progress.steps)} there"
    parts = [there if progress.steps else "getting first images"]
    parts += [f"{counts['running']} running"] if counts["running"] else []
    failed = counts["failed"] + counts["timeout"]
    parts += [f"{failed} failed"] if failed else []
    making = sum(view.finished is None for view in progress.artifacts.values())
    parts += [f"{count(making, 'artifact')} being made"] if making else []
    left, is_known = progress.left_s(now)
    if left >= 1:
        about = ("~" if is_known else ">") if is_narrow else ("about " if is_known else "at least ")
        parts.append(f"{about}{duration_text(left)} left")
    took = f"{duration_text(now - progress.started_at)}: " if progress.started_at else ""
    return Row("total", took + ", ".join(parts))
