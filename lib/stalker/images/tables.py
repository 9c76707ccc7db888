"""What lists of images, changes and removals look like: tables for people, data for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stalker.io.units import age_text, size_text
from stalker.model import labels
from stalker.model.escaping import shown
from stalker.model.program import program

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stalker.images.listing import Row
    from stalker.images.prune_plan import Pruning
    from stalker.rootfs.diff import Change, Entry

SHORT = 12


def row_document(row: Row) -> dict[str, Any]:
    """Return a row of `images` as JSON data; the keys are a contract with programs."""
    known = row.image.labels
    return {
        "name": row.name,
        "kind": row.kind,
        "failed": row.kind == "failed",
        "step": row.step,
        "id": row.image.id,
        "fingerprint": known.get(labels.FINGERPRINT, ""),
        "tree": known.get(labels.TREE, ""),
        "run": known.get(labels.RUN, ""),
        "log": known.get(labels.LOG, ""),
        "created_s": row.image.created_s,
        "own_bytes": row.own_bytes,
        "total_bytes": row.image.size_bytes,
    }


def rows_table(
    rows: Sequence[Row], now_s: float, *, with_old: bool, tree: str = "", columns: int | None = None
) -> str:
    """Return the rows of `images` as a table; old builds as one line at the end unless asked for.

    `tree` is what the rows are of, as typed, empty for all. `columns` are those of a terminal, None for a
    pipe: a terminal gets of a run its time, of a step what the name does not say, and where that is still
    too wide no run.
    """
    old = [row for row in rows if not row.name]
    if not with_old:
        rows = [row for row in rows if row.name]
    lines: list[Sequence[str]] = [("NAME", "OWN", "TOTAL", "AGE", "FINGERPRINT", "STEP", "RUN")]
    lines += [_cells(row, now_s, is_short=columns is not None) for row in rows]
    table = aligned(lines, right={1, 2, 3})
    if columns is not None and any(len(line) > columns for line in table.splitlines()):
        table = aligned([line[:-1] for line in lines], right={1, 2, 3})
    if not old or with_old:
        return table
    return f"{table}\n\n{_old_builds(old, tree)}"


def _cells(row: Row, now_s: float, *, is_short: bool) -> tuple[str, ...]:
    known = row.image.labels
    step = row.step.rpartition("/")[2]
    named = row.name.rpartition("/")[2].removesuffix(".failed")
    short = "" if is_short and named == step else step
    what = {"failed": f"{short} FAILED".strip(), "shell": f"shell {step}".strip(), "step": short}
    run = known.get(labels.RUN, "")
    return (
        row.name or "(old build)",
        "" if row.own_bytes is None else size_text(row.own_bytes),
        size_text(row.image.size_bytes),
        age_text(now_s - row.image.created_s),
        known.get(labels.FINGERPRINT, "")[:SHORT],
        what.get(row.kind, row.kind if row.kind == "base" else ""),
        "-".join(run.split("-")[:2]) if is_short else run,
    )


def _old_builds(old: Sequence[Row], tree: str) -> str:
    """Return how much old builds hold, and the commands that list and remove them."""
    room = size_text(sum(row.own_bytes or 0 for row in old))
    one = len(old) == 1
    trees = [tree] if tree else sorted({row.image.labels.get(labels.TREE, "") for row in old} - {""})
    lines = [
        f"{len(old)} old build{'' if one else 's'} hold{'s' if one else ''} {room} more",
        f"  {program()} images {f'{tree} ' if tree else ''}--all  lists {'it' if one else 'them'}",
    ]
    lines += [f"  {program()} prune {name} --keep 1  removes {'it' if one else 'them'}" for name in trees[:1]]
    lines += [f"  {program()} prune {name} --keep 1" for name in trees[1:]]
    return "\n".join(lines)


def aligned(rows: Sequence[Sequence[str]], right: set[int]) -> str:
    """Return rows as a table, foreign text escaped; `right` are the columns that are aligned to the right."""
    rows = [tuple(map(shown, row)) for row in rows]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "  ".join(
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
    return "\n".join(line.rstrip() for line in lines)


def changes_table(changes: Sequence[Change]) -> str:
    """Return changes as `A  12.3 kB  /etc/foo`, a line each."""
    width = max((len(_sizes(change)) for change in changes), default=0)
    lines = []
    for change in changes:
        notes = f"  ({', '.join(change.notes)})" if change.notes else ""
        lines.append(f"{change.kind}  {_sizes(change).rjust(width)}  {shown(change.path + notes)}")
    return "\n".join(lines)


def _sizes(change: Change) -> str:
    """Return the sizes of a change: `1.2 kB -> 1.4 kB`; the kind of what has no size."""
    old, new = change.old, change.new
    if old is None or new is None:
        return _size(new or old)
    before, after = _size(old), _size(new)
    return before if not change.content_changed and before == after else f"{before} -> {after}"


def _size(entry: Entry | None) -> str:
    if entry is None:
        return ""
    return size_text(entry.size_bytes) if entry.kind == "file" else entry.kind


def change_document(change: Change) -> dict[str, Any]:
    """Return a line of `diff` as JSON data; the keys are a contract with programs."""

    def side(entry: Entry | None) -> dict[str, Any] | None:
        if entry is None:
            return None
        return {
            "kind": entry.kind,
            "size_bytes": entry.size_bytes,
            "mode": f"{entry.mode:04o}",
            "uid": entry.uid,
            "gid": entry.gid,
            "sha256": entry.digest.hex(),
            "target": shown(entry.target.decode("utf-8", "surrogateescape")),
        }

    return {
        "change": change.kind,
        "path": shown(change.path),
        "content": change.content_changed,
        "notes": [shown(note) for note in change.notes],
        "old": side(change.old),
        "new": side(change.new),
    }


def prune_report(pruning: Pruning, stores: Sequence[str], now_s: float) -> str:
    """Return what a prune takes away and what stays, a line each, and how much room that makes."""
    rows = [
        (
            "remove" if removal.goes else "untag",
            "" if not removal.goes or removal.own_bytes is None else size_text(removal.own_bytes),
            age_text(now_s - removal.image.created_s),
            removal.title if removal.names else f"{removal.title} ({removal.what})",
        )
        for removal in pruning.removals
    ]
    rows += [("remove", "", "", f"the store {store} with all that is in it") for store in stores]
    lines = [aligned(rows, right={1, 2})] if rows else []
    lines += [f"keep    {what}: {why}" for what, why in pruning.kept]
    if rows:
        count = sum(removal.goes for removal in pruning.removals)
        counted = counts_text(count, len(pruning.removals) - count)
        lines.append(f"{counted}, about {size_text(pruning.freed_bytes)}")
    else:
        lines.append("nothing to prune")
    return "\n".join(lines)


def counts_text(gone: int, untagged: int) -> str:
    """Return `7 images`, `1 image and 2 that only lose a name`."""
    images = f"{gone} image{'' if gone == 1 else 's'}"
    if not untagged:
        return images
    return f"{images} and {untagged} that only lose{'s' if untagged == 1 else ''} a name"
