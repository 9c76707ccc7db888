"""Commands that write files of a workspace: init and new."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

import click

from stalker.cli.lazy import Group
from stalker.cli.terminal import say
from stalker.model.program import program
from stalker.templates.files import CI_FILES, NewFile, installed_from, workspace_files
from stalker.templates.new import other_script, plugin_files, stalk_files
from stalker.templates.table import TEMPLATES
from stalker.templates.write import write_new

if TYPE_CHECKING:
    from collections.abc import Sequence


@click.command()
@click.argument("directory", metavar="[DIR]", default=".", type=click.Path(file_okay=False))
@click.option(
    "--from",
    "source",
    type=click.Choice(list(TEMPLATES)),
    default="hello",
    help="What it makes; default: hello.",
)
@click.option(
    "--ci", type=click.Choice(list(CI_FILES)), help="Also a file for that CI, which checks and runs."
)
@click.option("--list", "is_list", is_flag=True, help="Only list what --from takes.")
def init(directory: str, source: str, ci: str | None, is_list: bool) -> None:
    """Make a workspace in DIR that runs at once; default: here.

    The files are copies of what comes with stalker, with their comments. None that exists is overwritten: then
    nothing is written.
    """
    if is_list:
        width = max(map(len, TEMPLATES))
        for one in TEMPLATES.values():
            print(f"{one.name.ljust(width)}  {one.summary}")
        return
    template = TEMPLATES[source]
    path = os.path.abspath(directory)  # noqa: PTH100
    files = workspace_files(template, os.path.basename(path) or source, ci or "")  # noqa: PTH119
    write_new(path, files)
    print(f"{directory}: {len(files)} files, {template.summary}")
    if ci and not installed_from():
        say(
            f"{CI_FILES[ci]}: set STALKER to what pip installs there; this stalker came from files of this machine"
        )
    changed = [] if directory == "." else [f"cd {directory}"]
    typed = [re.sub("^stalker ", f"{program()} ", one) for one in template.commands]
    print("\n".join(["next:", *(f"  {one}" for one in (*changed, *template.fetched, *typed))]))


@click.group(cls=Group)
def new() -> None:
    """Add a stalk or a plugin to the workspace; what exists is not overwritten."""


@new.command()
@click.argument("name")
@click.option("--no-tree", is_flag=True, help="Only the stalk: it gets a node in a tree that is there.")
@click.pass_context
def stalk(ctx: click.Context, name: str, no_tree: bool) -> None:
    """Write stalks/NAME/NAME.hjson, and a tree of that name that runs it."""
    _write(ctx.obj.workspace, stalk_files(name, with_tree=not no_tree))
    if no_tree:
        print(f"next, in a tree, below the stalk that it starts from:\n  {name}: {{}}")
    else:
        print(f"next:\n  {program()} run {name}")


@new.command()
@click.argument("name")
@click.option("--python", "is_python", is_flag=True, help="A Python script; default: a shell script.")
@click.pass_context
def plugin(ctx: click.Context, name: str, is_python: bool) -> None:
    """Write a reusable plugin: plugins/NAME.sh, and plugins/NAME.hjson, which declares its arguments."""
    besides = [other_script(name, is_python=is_python)]
    _write(ctx.obj.workspace, plugin_files(name, is_python=is_python), besides)
    print(f"next:\n  {program()} plugins {name}")


def _write(workspace: str, files: Sequence[NewFile], besides: Sequence[str] = ()) -> None:
    write_new(workspace, files, besides=besides)
    for file in files:
        print(file.path)
