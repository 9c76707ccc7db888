"""`stalker blame`: which step made a path of an image what it is."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from stalker.app.environment import connect
from stalker.app.trees import read_tree
from stalker.errors import PlanError
from stalker.model import labels
from stalker.model.escaping import shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stalker.app.history import Blame
    from stalker.app.settings import Settings
    from stalker.history.blame import Line, Touch
    from stalker.history.layers import Seen

LOG_LINES_MAX = 5
"""Lines of a log that name the path; more are in the log."""


@click.command()
@click.argument("ref", metavar="REF")
@click.argument("path", required=False)
@click.option("--tree", metavar="TREE", help="The tree whose `stalk:step` REF is.")
@click.option("--all", "with_rewritten", is_flag=True, help="Also steps that wrote the same content again.")
@click.option("--lines", "by_line", is_flag=True, help="Each line of PATH with the step that brought it.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_obj
def blame(
    settings: Settings,
    ref: str,
    path: str | None,
    tree: str | None,
    with_rewritten: bool,
    by_line: bool,
    as_json: bool,
) -> None:
    """List the steps that touched PATH: added (A), changed (C), deleted (D), or wrote again (=, with --all).

    Without PATH, or for a directory, each path with the step that touched it last.
    """
    from stalker.app.committed.refs import find_ref
    from stalker.app.history import blame_all, blame_lines, blame_path

    if by_line and not path:
        raise PlanError("--lines needs the PATH of a text", "", "stalker blame REF PATH --lines")
    read = read_tree(settings, tree) if tree else None
    engine = connect()
    try:
        image = find_ref(engine, ref, read)[1]
        if path and by_line:
            real, lines = blame_lines(engine, image, path)
            click.echo(_lines_json(real, lines) if as_json else _lines_text(lines))
            return
        found = (
            blame_path(engine, image, path, with_rewritten=with_rewritten)
            if path
            else blame_all(engine, image, with_rewritten=with_rewritten)
        )
    finally:
        engine.close()
    if as_json:
        click.echo(json.dumps([_document(touch, found) for touch in found.touches], indent=2))
        return
    if path and found.path != path.rstrip("/"):
        click.echo(f"{shown(path)} is {shown(found.path)}", err=True)
    for text in _texts(settings, found, path or ""):
        click.echo(text)


def _texts(settings: Settings, found: Blame, path: str) -> list[str]:
    own = [touch for touch in found.touches if path and touch.path == found.path]
    others = [touch for touch in found.touches if touch not in own]
    return [*(_text(settings, touch, found) for touch in own), *_table(others, found)]


def _text(settings: Settings, touch: Touch, found: Blame) -> str:
    """Return what one step did to a path: the step, its run with the reason, its log with what that says of it."""
    from stalker.app.history import log_dir_of_state, titles
    from stalker.journal.reader import lines_about, reason_in

    image, state = touch.state.image, touch.state
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(image.created_s))
    title = titles(found.states)[image.id]
    what = _looks(touch.after) if touch.after is not None else "deleted"
    notes = f"  ({', '.join(map(shown, touch.notes))})" if touch.notes else ""
    lines = [f"{touch.letter} {shown(title)}  {when}  {what}{notes}"]
    if state.run:
        reason = reason_in(log_dir_of_state(settings, state), state.run, state.step.removesuffix(".failed"))
        lines.append(f"  run {shown(state.run)}{': ' + shown(reason) if reason else ''}")
    log = image.labels.get(labels.LOG, "") if state.step else ""
    if log:
        lines.append(f"  log {shown(log)}")
        about = lines_about(Path(settings.workspace) / log, touch.path, LOG_LINES_MAX)
        lines += [f"  {position:>6}  {shown(text)}" for position, text in about]
    return "\n".join(lines)


def _table(touches: Sequence[Touch], found: Blame) -> list[str]:
    from stalker.app.history import titles
    from stalker.images.tables import aligned

    named = titles(found.states)
    rows = [(touch.letter, named[touch.state.image.id], touch.path) for touch in touches]
    return [aligned(rows, right=set())] if rows else []


def _looks(seen: Seen) -> str:
    """Return an entry as `ls -l` begins a line: `-rw-r--r-- 0:0 3223`."""
    import stat

    entry = seen.entry
    kinds = {"folder": stat.S_IFDIR, "link": stat.S_IFLNK, "pipe": stat.S_IFIFO}
    kinds |= {"character device": stat.S_IFCHR, "block device": stat.S_IFBLK}
    mode = stat.filemode(kinds.get(entry.kind, stat.S_IFREG) | entry.mode)
    target = shown(entry.target.decode("utf-8", "surrogateescape"))
    more = {"link": f" -> {target}", "file": f" {entry.size_bytes}"}
    return f"{mode} {entry.uid}:{entry.gid}{more.get(entry.kind, f' {target}' if target else '')}"


def _document(touch: Touch, found: Blame) -> dict[str, Any]:
    """Return one touch for programs; the keys are a contract with them."""
    entry = touch.after.entry if touch.after is not None else None
    return {
        "did": touch.letter,
        "path": touch.path,
        "step": touch.state.step,
        "state": touch.state.title,
        "missing": list(touch.state.gap),
        "image": touch.state.image.id,
        "run": touch.state.run,
        "log": touch.state.image.labels.get(labels.LOG, "") if touch.state.step else "",
        "created_s": touch.state.image.created_s,
        "notes": list(touch.notes),
        "kind": entry.kind if entry else "",
        "mode": f"{entry.mode:04o}" if entry else "",
        "uid": entry.uid if entry else None,
        "gid": entry.gid if entry else None,
        "size_bytes": entry.size_bytes if entry else None,
        "sha256": entry.digest.hex() if entry else "",
        "target": entry.target.decode("utf-8", "surrogateescape") if entry else "",
        "is_last": touch.state is found.states[-1],
    }


def _lines_text(lines: Sequence[Line]) -> str:
    width = max((len(line.state.title) for line in lines), default=0)
    digits = len(str(len(lines)))
    return "\n".join(
        f"{shown(line.state.title):<{width}}  {position:>{digits}} {shown(line.text)}"
        for position, line in enumerate(lines, 1)
    )


def _lines_json(path: str, lines: Sequence[Line]) -> str:
    rows = [
        {"line": position, "text": line.text, "step": line.state.step, "image": line.state.image.id}
        for position, line in enumerate(lines, 1)
    ]
    return json.dumps({"path": path, "lines": rows}, indent=2)
