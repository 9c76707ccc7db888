"""`stalker report`: a run as one HTML file, or as data."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from stalker.app.trees import read_tree

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
    from stalker.app.history import check_report_name, log_dir_of, write_report

    check_report_name(output)
    log_dir = log_dir_of(settings, read_tree(settings, tree) if tree else None)
    written = write_report(output, Path(settings.workspace), log_dir, run or "")
    click.echo(f"{output}: run {written}", err=True)
