"""`stalker report`: a run as one HTML file, or as data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from stalker.app.trees import read_tree
from stalker.errors import PlanError

if TYPE_CHECKING:
    from stalker.app.settings import Settings


@click.command()
@click.argument("run", required=False)
@click.option("-o", "--output", required=True, metavar="FILE", help="FILE.html, or FILE.json for programs.")
@click.option("--tree", metavar="TREE", help="The tree whose LOG_DIR has the run.")
@click.pass_obj
def report(settings: Settings, run: str | None, output: str, tree: str | None) -> None:
    """Write what became of RUN, by default the newest: what failed, the graph, the times, each step.

    The page is one file that loads nothing. It comes from the journal, also of a run that was killed.
    """
    from stalker.app.history import log_dir_of, report_document
    from stalker.history.report import page_of

    if not output.endswith((".html", ".json")):
        raise PlanError(
            f"{output} ends neither in .html nor in .json", "", "name the kind of report by its ending"
        )
    log_dir = log_dir_of(settings, read_tree(settings, tree) if tree else None)
    document = report_document(Path(settings.workspace), log_dir, run or "")
    text = json.dumps(document, indent=1) + "\n" if output.endswith(".json") else page_of(document)
    Path(output).write_text(text, encoding="utf-8", errors="replace")
    click.echo(f"{output}: run {document['run']}", err=True)
