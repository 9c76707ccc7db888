"""Each import of the product is pinned for users; what only tests import is not."""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def canonical(name):
    """A distribution's name as pip compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(file):
    """Name -> version of a file of pins."""
    found = re.findall(r"^([\w.-]+)(?:\[[\w,]+\])?==(\S+)", (ROOT / file).read_text(), re.MULTILINE)
    return {canonical(name): version for name, version in found}


def named(file):
    """The names in a file of requirements, without versions."""
    lines = (ROOT / file).read_text().splitlines()
    return {canonical(re.split(r"[\[<>=]", line)[0]) for line in lines if line and line[0] not in "#-"}


def foreign_imports(folder):
    """Module -> files of `folder` that import it, of modules neither ours nor Python's."""
    found = {}
    for file in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                modules = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level:
                modules = [node.module]
            else:
                continue
            for module in modules:
                found.setdefault(module.split(".")[0], set()).add(file.relative_to(ROOT).as_posix())
    ours = sys.stdlib_module_names | {
        "stalker",
        "_typeshed",
    }  # mypy has _typeshed; nothing imports it at run time
    return {module: files for module, files in found.items() if module not in ours}


def unpinned(imports, allowed):
    """Imported modules whose distribution is not in `allowed`, with the files that import them."""
    providers = packages_distributions()
    return {
        module: sorted(files)
        for module, files in imports.items()
        if not {canonical(name) for name in providers.get(module, [])} & allowed.keys()
    }


def test_a_run_imports_only_what_every_user_gets():
    """A new .venv holds all that the product imports; the service's packages are an extra."""
    imports = foreign_imports(ROOT / "lib/stalker")
    for_users = {
        module: {file for file in files if not file.startswith("lib/stalker/service/")}
        for module, files in imports.items()
    }

    assert (
        unpinned({module: files for module, files in for_users.items() if files}, pins("requirements.txt"))
        == {}
    )
    assert unpinned(imports, pins("requirements.txt") | pins("requirements-service.txt")) == {}


def test_an_import_of_a_test_package_is_noticed():
    """The rule fails when the product imports what only tests have."""
    assert unpinned({"pytest": {"lib/stalker/x.py"}}, pins("requirements.txt")) == {
        "pytest": ["lib/stalker/x.py"]
    }


@pytest.mark.parametrize("first", ["requirements.txt", "requirements-service.txt"])
def test_the_pins_of_one_environment_agree(first):
    """The tests' packages go into the same .venv as the others: no version differs."""
    tests = pins("requirements-test.txt")

    assert {
        name: version for name, version in pins(first).items() if tests.get(name, version) != version
    } == {}


@pytest.mark.parametrize(
    ("file", "extra"),
    [("requirements.in", None), ("requirements-service.in", "service"), ("requirements-test.in", "test")],
)
def test_a_wheel_asks_for_what_the_checkout_pins(file, extra):
    """`pip install 'stalker-images[test]'` gives what `make test` installs."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked = project["optional-dependencies"][extra] if extra else project["dependencies"]

    assert {canonical(re.split(r"[\[<>=]", line)[0]) for line in asked} == named(file)
    assert named(file) <= pins(file.replace(".in", ".txt")).keys()
