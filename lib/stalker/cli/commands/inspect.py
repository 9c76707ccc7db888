"""Commands that only look: graph, show, check, schema, plugins."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import click

from stalker.app.environment import connect
from stalker.app.planner import Planner
from stalker.app.settings import StepRequest
from stalker.app.trees import read_tree
from stalker.cli import draw
from stalker.cli.commands.log import aligned
from stalker.cli.options import SET, WITH, parse_overrides
from stalker.cli.terminal import say
from stalker.config.check import check_all
from stalker.config.plugins.reusable import list_plugins, plugin_page
from stalker.config.schema.card import creation_schema
from stalker.config.schema.json_schema import schema as schema_of
from stalker.config.schema.service import service_schema
from stalker.config.tree.resolved import resolved_text
from stalker.errors import ArgumentsError, NoEngine, PlanError, StalkerError
from stalker.plan.graph import split_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stalker.app.settings import Settings
    from stalker.cli.draw import Drawing
    from stalker.model.tree import Step, Tree
    from stalker.model.variables import Variable
    from stalker.plan.plan import Plan

FORMATS = ("svg", "png", "dot", "mermaid")
BY_ENDING = {
    ".svg": "svg",
    ".png": "png",
    ".dot": "dot",
    ".gv": "dot",
    ".mmd": "mermaid",
    ".mermaid": "mermaid",
}


@click.command()
@click.argument("tree")
@click.option(
    "--format", "form", type=click.Choice(FORMATS), help="Default: by the ending of FILE, else dot."
)
@click.option("-o", "--output", metavar="FILE", default="", help="Write to FILE instead of stdout.")
@SET
@WITH
@click.pass_context
def graph(
    ctx: click.Context,
    tree: str,
    form: str | None,
    output: str,
    overrides: tuple[str, ...],
    with_files: tuple[str, ...],
) -> None:
    """Draw the steps of TREE, coloured by verdict: amber runs, green is reused, red is blocked.

    A full line goes from an image to what starts from it, a dashed one to what needs it.
    """
    chosen = form or _format_of(output)
    if chosen == "png" and not output and sys.stdout.isatty():
        raise PlanError("a png cannot be shown in a terminal", "", "give it a file: -o graph.png")
    read = read_tree(ctx.obj, tree, parse_overrides(overrides), with_files)
    drawn = draw.draw(read, find_verdicts(ctx.obj, read))
    data = render(drawn, chosen)
    if output:
        _publish(output, data)
        return
    sys.stdout.flush()
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def _format_of(output: str) -> str:
    if not output:
        return "dot"
    ending = os.path.splitext(output)[1].lower()  # noqa: PTH122
    if ending not in BY_ENDING:
        raise PlanError(
            f"-o {output}: the ending is not that of a picture",
            f"known endings: {', '.join(BY_ENDING)}",
            "rename it, or say --format svg",
        )
    return BY_ENDING[ending]


def find_verdicts(settings: Settings, tree: Tree) -> Plan | None:
    """Return the plan of a tree; None, and a note, when no engine answers."""
    try:
        engine = connect()
        try:
            return Planner.of(settings, tree, engine, StepRequest(), say).draw()
        finally:
            engine.close()
    except NoEngine as error:
        say(f"drawn without verdicts: {error.brief}")
        return None


def render(drawn: Drawing, form: str) -> bytes:
    """Return a drawing as a file's content. Raises StalkerError when graphviz is missing or fails."""
    if form == "mermaid":
        return draw.as_mermaid(drawn).encode()
    text = draw.as_dot(drawn).encode()
    return text if form == "dot" else _graphviz(text, form)


def _graphviz(text: bytes, form: str) -> bytes:
    try:
        done = subprocess.run(["dot", f"-T{form}"], input=text, capture_output=True, check=False)
    except FileNotFoundError as error:
        raise StalkerError(
            f"a picture as {form} needs graphviz, which is not installed",
            "its program `dot` was not found; --format dot and --format mermaid need nothing",
            "apt-get install graphviz",
        ) from error
    if done.returncode != 0:
        raise StalkerError(
            f"graphviz could not draw the picture (exit code {done.returncode})",
            done.stderr.decode("utf-8", "replace").strip(),
        )
    return done.stdout


def _publish(output: str, data: bytes) -> None:
    """Write a file whole or not at all. Raises PlanError when it cannot be written."""
    from stalker.io.atomic import write_file

    try:
        write_file(output, data)
    except OSError as error:
        raise PlanError(f"-o {output}: cannot be written", error.strerror or str(error)) from error


@click.command()
@click.argument("tree")
@click.argument("what", metavar="[STALK[:STEP]]", default="")
@SET
@WITH
@click.option("--resolved", is_flag=True, help="Print the tree after all merging, as Hjson that runs.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_context
def show(
    ctx: click.Context,
    tree: str,
    what: str,
    overrides: tuple[str, ...],
    with_files: tuple[str, ...],
    resolved: bool,
    as_json: bool,
) -> None:
    """Print every variable of every step of TREE, and which file and line set it.

    A variable of a file plugin is shown as PLUGIN.NAME, one of envplugins as such.
    """
    given = parse_overrides(overrides)
    if resolved:
        if what or as_json:
            raise PlanError("--resolved prints the whole tree as Hjson", "", "leave STALK and --json out")
        print(resolved_text(tree, ctx.obj.workspace, given, with_files), end="")
        return
    read = read_tree(ctx.obj, tree, given, with_files)
    selected = set(split_name(what, read)) if what else None
    steps = [step for stalk in read.stalks for step in stalk.steps if selected is None or step.id in selected]
    found = [(step, list(variables_of(step, read))) for step in steps]
    if as_json:
        document = {
            "tree": read.name,
            "steps": [{"step": step.id, "variables": variables} for step, variables in found],
        }
        print(json.dumps(document, indent=2))
        return
    print("\n\n".join(as_text(step, variables) for step, variables in found))


def variables_of(step: Step, tree: Tree) -> Iterator[dict[str, Any]]:
    """Yield what a step sees, each as JSON data; a secret's value is `***`.

    `plugin` is the file plugin that has the variable, empty for the step's own, `envplugins` for the
    environment of the whole stalk.
    """
    for variable in step.variables:
        yield _document(variable, "")
    seen = set()
    for file in (*step.files, *step.copies, *step.late_copies):
        if file.plugin not in seen:
            seen.add(file.plugin)
            for variable in file.variables:
                yield _document(variable, file.plugin)
    stalk = tree.stalk(step.stalk)
    for name, value in step.environment:
        yield {
            "name": name,
            "value": value,
            "secret": False,
            "plugin": "envplugins",
            "file": stalk.file,
            "line": None,
            "column": None,
        }


def _document(variable: Variable, plugin: str) -> dict[str, Any]:
    place = variable.place
    is_typed = place.file.startswith("--")
    return {
        "name": variable.name,
        "value": "***" if variable.secret else variable.value,
        "secret": bool(variable.secret),
        "plugin": plugin,
        "file": place.file,
        "line": None if is_typed else place.line,
        "column": None if is_typed else place.column,
    }


def as_text(step: Step, variables: list[dict[str, Any]]) -> str:
    """Return a step's variables as columns: name, value, file:line."""
    if not variables:
        return f"{step.id}\n  no variables"
    rows = [
        (
            f"{one['plugin']}.{one['name']}" if one["plugin"] else one["name"],
            one["value"],
            f"{one['file']}:{one['line']}" if one["line"] else one["file"],
        )
        for one in variables
    ]
    return f"{step.id}\n{aligned(rows, '  ')}"


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@WITH
@click.pass_context
def check(ctx: click.Context, files: tuple[str, ...], with_files: tuple[str, ...]) -> None:
    """Print all problems of trees, stalks, sidecars, card images and service.hjson; exit code 2 when there are any.

    FILE is also the name of a tree; a tree is checked with all that hangs on it. YAML is the configuration of
    a card image.
    """
    checked = check_all(files, ctx.obj.workspace, with_files)
    for problem in checked.problems:
        print(problem)
    wrong = sum(not problem.is_warning for problem in checked.problems)
    warnings = len(checked.problems) - wrong
    if checked.files_read or checked.problems:
        parts = [f"{_count(checked.files_read, 'file')} read"]
        parts.append(_count(wrong, "problem") if wrong else "no problems")
        if warnings:
            parts.append(_count(warnings, "warning"))
        print(", ".join(parts))
    if checked.missing:
        sys.stdout.flush()
        names = " or ".join(f"'{problem.place.file}'" for problem in checked.missing)
        raise ArgumentsError(checked.missing[:1], f"there is no file or tree {names}")
    ctx.exit(2 if wrong else 0)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


@click.command()
@click.argument("kind", type=click.Choice(["tree", "stalk", "plugin", "image", "service"]))
def schema(kind: Any) -> None:
    """Print the JSON Schema of a kind of file, for editors."""
    own = {"image": creation_schema, "service": service_schema}
    document = own[kind]() if kind in own else schema_of(kind)
    print(json.dumps(document, indent=2))


@click.command()
@click.argument("name", required=False)
@click.pass_context
def plugins(ctx: click.Context, name: str | None) -> None:
    """List the reusable plugins, or print the page of one.

    They are those of the workspace's plugins/, then those that come with stalker. Of two with one name the
    workspace's is used, and a note says so.
    """
    if name:
        print(plugin_page(name, ctx.obj.workspace), end="")
        return
    found = list_plugins(ctx.obj.workspace)
    print(aligned([(info.name, info.origin, info.summary) for info in found]))
    for info in found:
        if info.hides_shipped:
            say(f"{info.name}: the workspace's is used, not the one that comes with stalker")
