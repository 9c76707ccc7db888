"""Commands that only look: graph, show, check, schema, plugins."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any

import click

from stalker.cli.log import aligned
from stalker.cli.settings import Planner, Settings, Wanted, connect, parse_overrides, read_tree
from stalker.errors import ArgumentsError, NoEngine, PlanError, StalkerError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stalker.cli.drawing import Drawing
    from stalker.model.tree import Step, Tree, Variable
    from stalker.plan.actions import Plan

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
@click.option("--set", "overrides", multiple=True, metavar="VAR=VALUE", help="Set a variable.")
@click.pass_context
def graph(ctx: click.Context, tree: str, form: str | None, output: str, overrides: tuple[str, ...]) -> None:
    """Draw the steps of TREE, coloured by verdict: amber runs, green is reused, red is blocked.

    A full line goes from an image to what starts from it, a dashed one to what needs it.
    """
    from stalker.cli import drawing

    wanted = form or _format_of(output)
    if wanted == "png" and not output and sys.stdout.isatty():
        raise PlanError("a png is no text for a terminal", "", "give it a file: -o graph.png")
    read = read_tree(ctx.obj, tree, parse_overrides(overrides))
    drawn = drawing.draw(read, find_verdicts(ctx.obj, read))
    data = render(drawn, wanted)
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
            f"-o {output}: the ending does not tell what to draw",
            f"known endings: {', '.join(BY_ENDING)}",
            "rename it, or say --format svg",
        )
    return BY_ENDING[ending]


def find_verdicts(settings: Settings, tree: Tree) -> Plan | None:
    """Return the plan of a tree; None, and a note, when no engine can be asked."""
    try:
        engine = connect()
        try:
            return Planner.of(settings, tree, engine, Wanted(), yes=False).draw()
        finally:
            engine.close()
    except NoEngine as error:
        print(f"stalker: drawn without verdicts: {error.brief}", file=sys.stderr)
        return None


def render(drawn: Drawing, form: str) -> bytes:
    """Return a drawing as a file's content. Raises StalkerError when graphviz is missing or fails."""
    from stalker.cli import drawing

    if form == "mermaid":
        return drawing.as_mermaid(drawn).encode()
    text = drawing.as_dot(drawn).encode()
    return text if form == "dot" else _graphviz(text, form)


def _graphviz(text: bytes, form: str) -> bytes:
    import subprocess

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
    half = f"{output}.{os.getpid()}.part"
    try:
        with open(half, "wb") as file:  # noqa: PTH123
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(half, output)  # noqa: PTH105
    except OSError as error:
        if os.path.exists(half):  # noqa: PTH110
            os.unlink(half)  # noqa: PTH108
        raise PlanError(f"-o {output}: cannot be written", error.strerror or str(error)) from error


@click.command()
@click.argument("tree")
@click.argument("what", metavar="[STALK[:STEP]]", default="")
@click.option("--set", "overrides", multiple=True, metavar="VAR=VALUE", help="Set a variable.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_context
def show(ctx: click.Context, tree: str, what: str, overrides: tuple[str, ...], as_json: bool) -> None:
    """Print every variable of every step of TREE, and which file and line set it.

    A variable of a file plugin is shown as PLUGIN.NAME, one of envplugins as such.
    """
    from stalker.plan.graph import split_name

    read = read_tree(ctx.obj, tree, parse_overrides(overrides))
    wanted = set(split_name(what, read)) if what else None
    steps = [step for stalk in read.stalks for step in stalk.steps if wanted is None or step.id in wanted]
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
@click.pass_context
def check(ctx: click.Context, files: tuple[str, ...]) -> None:
    """Print all problems of trees, stalks, sidecars and card images; exit code 2 when there are any.

    FILE is also the name of a tree; a tree is checked with all that hangs on it. YAML is the configuration of
    a card image.
    """
    from stalker.config.checks import check_all

    checked = check_all(files, ctx.obj.workspace)
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
@click.argument("kind", type=click.Choice(["tree", "stalk", "plugin", "image"]))
def schema(kind: Any) -> None:
    """Print the JSON Schema of a kind of file, for editors."""
    from stalker.config.creation_shapes import creation_schema
    from stalker.config.schema import schema as schema_of

    document = creation_schema() if kind == "image" else schema_of(kind)
    print(json.dumps(document, indent=2))


@click.command()
@click.argument("name", required=False)
@click.pass_context
def plugins(ctx: click.Context, name: str | None) -> None:
    """List the reusable plugins of the workspace, or print the page of one."""
    from stalker.config.reusable import list_plugins, plugin_page

    if name:
        print(plugin_page(name, ctx.obj.workspace), end="")
        return
    found = list_plugins(ctx.obj.workspace)
    if not found:
        print("no plugins: plugins/ holds a script and a sidecar for each", file=sys.stderr)
        return
    print(aligned([(info.name, info.summary) for info in found]))
