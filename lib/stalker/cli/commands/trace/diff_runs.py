"""`stalker diff RUN RUN`: which inputs changed between two runs, and what followed. Part of `diff`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from stalker.model.escaping import shown
from stalker.model.program import program

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from stalker.app.compare_runs import Comparison, Result
    from stalker.app.history import ImageOrigins
    from stalker.engine.interface import Engine

FILES_MAX = 20
"""More changed files of an image are counted."""


def tell_runs(engine: Engine, log_dir: Path, old: str, new: str, *, as_json: bool) -> str:
    """Return what differs between two runs. Raises PlanError."""
    from stalker.app.compare_runs import compare_runs, results_of
    from stalker.app.history import ImageOrigins

    origins = ImageOrigins.of(engine, log_dir)
    found = compare_runs(log_dir, old, new, origins)
    results = results_of(engine, found)
    if as_json:
        return json.dumps(_document(found, results, origins), indent=2)
    lines = [*_inputs(found, origins), *(line for one in results for line in _result(one))]
    return "\n".join(lines) if lines else "the two runs were made of the same inputs"


def _inputs(found: Comparison, origins: ImageOrigins) -> list[str]:
    from stalker.history.causes import cause_text, text_diff

    lines = []
    for cause in found.causes:
        lines.append(shown(f"{cause.step}: {cause_text(cause)}"))
        lines += [f"    {shown(line)}" for line in text_diff(cause, origins)]
    for what, steps in (("is new", found.added), ("was removed", found.removed)):
        lines += [shown(f"{step} {what}") for step in steps]
    if found.followed:
        lines.append(shown(f"made again because of that: {', '.join(found.followed)}"))
    return lines


def _result(one: Result | str) -> list[str]:
    if isinstance(one, str):
        return ["", shown(one)]
    from stalker.images.tables import changes_table

    lines = ["", shown(f"{one.step}: {len(one.changes)} paths differ")]
    lines += [
        shown(f"  {name} {old or '(not installed)'} -> {new or '(not installed)'}")
        for name, old, new in one.packages
    ]
    if one.changes:
        table = changes_table(one.changes[:FILES_MAX]).splitlines()
        lines += [f"  {line}" for line in table]
    if len(one.changes) > FILES_MAX:
        lines.append(
            f"  and {len(one.changes) - FILES_MAX} more: `{program()} diff` of the two images lists all"
        )
    return lines


def _document(found: Comparison, results: Sequence[Result | str], origins: ImageOrigins) -> dict[str, Any]:
    """Return a comparison for programs; the keys are a contract with them."""
    from stalker.history.causes import cause_text, text_diff
    from stalker.images.tables import change_document

    return {
        "old": found.old.run,
        "new": found.new.run,
        "causes": [
            {
                "step": cause.step,
                "input": cause.field,
                "old": cause.old,
                "new": cause.new,
                "text": cause_text(cause),
                "diff": text_diff(cause, origins),
            }
            for cause in found.causes
        ],
        "followed": list(found.followed),
        "added": list(found.added),
        "removed": list(found.removed),
        "images": [
            {"problem": one}
            if isinstance(one, str)
            else {
                "step": one.step,
                "files": [change_document(change) for change in one.changes],
                "packages": [{"name": name, "old": old, "new": new} for name, old, new in one.packages],
            }
            for one in results
        ],
    }
