"""`stalker changes`: what is new between two images or published versions, for a release."""

from __future__ import annotations

import json

import click

from stalker.app.environment import connect
from stalker.app.trees import read_tree
from stalker.errors import PlanError


@click.command()
@click.argument("old", metavar="REF")
@click.argument("new", metavar="REF")
@click.option("--tree", metavar="TREE", help="The tree whose `stalk:step` a REF is.")
@click.option("--markdown", is_flag=True, help="As a page of release notes.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.option("--exit-code", "with_code", is_flag=True, help="Exit with 1 when anything differs.")
@click.option(
    "--fail-on", metavar="SECTIONS", default="", help="Exit with 1 when one of these has a difference."
)
@click.pass_context
def changes(
    ctx: click.Context,
    old: str,
    new: str,
    tree: str | None,
    markdown: bool,
    as_json: bool,
    with_code: bool,
    fail_on: str,
) -> None:
    """Compare packages, files that give rights, users, services, sources and configuration.

    A REF is an image, or the directory of a published artifact, whose image is taken.
    """
    from stalker.app.committed.refs import find_ref
    from stalker.app.releases import compare_systems, image_of
    from stalker.history.changes import SECTIONS, as_document, as_markdown, as_text

    refused = [name for name in filter(None, fail_on.split(",")) if name not in SECTIONS]
    if refused:
        raise PlanError(f"--fail-on {refused[0]}: not a section", f"there are: {', '.join(SECTIONS)}")
    read = read_tree(ctx.obj, tree) if tree else None
    engine = connect()
    try:
        found = compare_systems(
            engine, *(image_of(engine, text, read, find_ref)[1].id for text in (old, new))
        )
    finally:
        engine.close()
    if as_json:
        click.echo(json.dumps(as_document(found), indent=2))
    else:
        click.echo(as_markdown(found, old, new) if markdown else as_text(found))
    failed = any(found.sections[name] for name in fail_on.split(",") if name)
    ctx.exit(1 if failed or (with_code and not found.is_empty) else 0)
