"""The layer rule: a module imports its own package or a lower layer, never a sibling, never upwards."""

import ast
from pathlib import Path

import networkx as nx
import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "lib/stalker"

LAYERS = {
    "model": 1,
    "io": 2,
    "formats": 3,
    "config": 4,
    "plan": 4,
    "journal": 4,
    "engine": 5,
    "templates": 5,
    "host": 6,
    "toolbox": 6,
    "run": 7,
    "fetch": 7,
    "rootfs": 7,
    "disk": 7,
    "images": 8,
    "boot": 8,
    "flash": 8,
    "card": 8,
    "artifacts": 9,
    "history": 9,
    "app": 10,
    "library": 11,
    "service": 11,
    "cli": 12,
}
"""What stands at the top of the package and its number; a lower one is imported by a higher one."""

WORDS = {"errors": "model"}
"""Modules at the top that are words as `model` is."""

ALONE = {"venv"}
"""What the launcher runs before there is anything to import: it imports nothing of ours."""

FOREIGN = {"docker": "engine", "eliot": "journal", "dask": "run", "distributed": "run", "click": "cli"}
"""Libraries that one layer alone knows."""

MODULES = sorted(PACKAGE.rglob("*.py"))


def layer_of(module):
    """`stalker.run.step` -> `run`; empty for the package itself, which holds its version alone."""
    top = [*module.split("."), ""][1]
    return WORDS.get(top, top)


def name_of(file):
    parts = ("stalker", *file.relative_to(PACKAGE).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(source, module, *, is_package=False):
    """Return (line, module) of each import, also in functions and below `if TYPE_CHECKING`."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            up = node.level - (1 if is_package else 0)
            parents = module.split(".")[: len(module.split(".")) - up] if node.level else []
            base = ".".join([*parents, *([node.module] if node.module else [])])
            # `from stalker import errors` names a module, `from stalker.errors import X` does not
            found += [(node.lineno, f"{base}.{a.name}" if base == "stalker" else base) for a in node.names]
    return found


def breaches(source, module, *, is_package=False):
    """Return what a module imports that it may not, in words."""
    own = layer_of(module)
    said = []
    for line, name in imports_of(source, module, is_package=is_package):
        top = name.split(".")[0]
        if top in FOREIGN and FOREIGN[top] != own:
            said.append(f"{module}:{line}: only {FOREIGN[top]}/ imports {top}")
        if top != "stalker" or name == "stalker" or name.startswith("stalker.__"):
            continue
        other = layer_of(name)
        if other == own and own not in ALONE:
            continue
        if own in ALONE:
            said.append(f"{module}:{line}: stands alone and imports {name}")
        elif own and LAYERS[other] >= LAYERS[own]:
            said.append(f"{module}:{line}: {own} ({LAYERS[own]}) imports {name} ({LAYERS[other]})")
    return said


def test_every_module_has_a_layer():
    """A new package gets its place in the order before anything imports it."""
    tops = {layer_of(name_of(file)) for file in MODULES} - {""}

    assert tops <= set(LAYERS) | ALONE


@pytest.mark.parametrize("file", MODULES, ids=name_of)
def test_a_module_imports_its_own_package_or_a_lower_layer(file):
    """Whoever reads a module needs to know what is below it, and nothing else."""
    said = breaches(file.read_text(encoding="utf-8"), name_of(file), is_package=file.name == "__init__.py")

    assert said == []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("stalker.model.tree", "import stalker.plan.graph"),
        ("stalker.config.tree.load", "from stalker.plan.graph import link_steps"),
        ("stalker.plan.graph", "def late():\n    from stalker.engine import wire"),
        ("stalker.journal.observers", "if TYPE_CHECKING:\n    from stalker.engine.interface import Engine"),
        ("stalker.run.step", "from stalker import cli"),
        ("stalker.rootfs.export", "from ..fetch import source"),
        ("stalker.run.step", "import docker.errors"),
        ("stalker.engine.docker.adapter", "def late():\n    import eliot"),
        ("stalker.app.run", "import click"),
        ("stalker.venv", "from stalker.errors import StalkerError"),
    ],
)
def test_the_rule_sees_an_import_wherever_it_stands(module, source):
    """An import in a function, below a condition or with dots is an import."""
    assert len(breaches(source, module)) == 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("stalker.run.step", "from stalker.run.job import Job\nfrom stalker import __version__"),
        ("stalker.run.step", "from stalker.engine.interface import Engine"),
        ("stalker.run.step", "from . import job"),
        ("stalker.engine.docker.adapter", "def late():\n    import docker"),
        ("stalker.app.run", "from stalker.fetch import bases\nimport networkx"),
    ],
)
def test_the_rule_lets_through_what_it_allows(module, source):
    """A lower layer, the own package and foreign libraries may be imported."""
    assert breaches(source, module) == []


def streams_used(source):
    """Return the lines that print, or use a standard stream or the arguments of the program."""
    used = []
    for node in ast.walk(ast.parse(source)):
        is_print = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
        is_stream = (
            isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and node.value.id == "sys"
            and node.attr in {"stdin", "stdout", "stderr", "argv"}
        )
        if is_print or is_stream:
            used.append(node.lineno)
    return sorted(used)


@pytest.mark.parametrize(
    "file", sorted([*PACKAGE.glob("app/*.py"), *PACKAGE.glob("card/**/*.py")]), ids=name_of
)
def test_a_use_case_knows_no_terminal(file):
    """What it reports goes through its reporter, so that a library or a service can call it."""
    assert streams_used(file.read_text(encoding="utf-8")) == []


def test_a_use_of_the_terminal_is_noticed():
    """By print, by a stream, by the command line."""
    assert streams_used("import sys\nprint(1)\nsys.stderr.write('')\nx = sys.argv\nsys.version") == [2, 3, 4]


def test_no_two_use_cases_import_each_other():
    """Of two modules that need each other neither can be read first."""
    imports = {
        name_of(file): {name for _, name in imports_of(file.read_text(encoding="utf-8"), name_of(file))}
        for file in PACKAGE.glob("app/*.py")
    }
    graph = nx.DiGraph(
        (one, other) for one, others in imports.items() for other in others if other in imports
    )

    assert list(nx.simple_cycles(graph)) == []
