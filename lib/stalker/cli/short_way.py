"""Recognise a plain run on the command line before click is imported: see `app.nothing_to_do`."""

from __future__ import annotations

import os

from stalker.config.locate import find_workspace

HARMLESS = {
    "-q",
    "--quiet",
    "-k",
    "--keep-going",
    "--wait",
    "-y",
    "--yes",
    "--watch-stdout",
    "--watch_stdout",
}
"""Options that change nothing for a run with nothing to do, except that `--quiet` prints nothing."""


def plain_run(argv: list[str]) -> tuple[str, str, bool] | None:
    """Return tree, absolute workspace, and whether to be quiet; None when more than a plain run is requested."""
    config = ""
    workspace: str | None = None
    is_quiet = False
    words = iter(argv)
    for word in words:
        if word in {"run", "--config"} and not config:
            config = next(words, "")
        elif word == "--workspace":
            workspace = next(words, "")
        elif word in {"-j", "--jobs"}:
            jobs = next(words, "")
            if not jobs.isdecimal() or int(jobs) < 1:
                return None
        elif word in HARMLESS:
            is_quiet = is_quiet or word in {"-q", "--quiet"}
        else:
            return None
    if not config or config.startswith("-") or workspace == "":
        return None
    # pathlib takes longer to import
    return config, os.path.abspath(workspace) if workspace else find_workspace("."), is_quiet  # noqa: PTH100
