"""The rules of the house that docs/explanation.md and lib/README.md state: rooms, names, circles, mirrored tests."""

from __future__ import annotations

import ast
import re
from collections import Counter, defaultdict
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "lib/stalker"
UNIT = ROOT / "tests/unit"

MODULES_MAX = 20
"""In one directory, `__init__.py` aside."""

MODULES = sorted(file for file in PACKAGE.rglob("*.py") if file.name != "__init__.py")

ENTRIES = ("app", "cli", "library", "service")
"""Rooms whose functions are the start of a command: what one of them needs is loaded when it is called."""

LATE = {
    "artifacts/produce": "disks are loaded by runs that make one: 20 ms",
    "artifacts/proof": "gates and QEMU are loaded by artifacts that have them",
    "card/inject/image_file": "e2fsck is loaded when a journal has to be replayed",
    "card/payload": "archives are loaded by configurations that have some",
    "config/card/load": "PyYAML: 15 ms",
    "config/schema/service": "the schema is printed, not needed to read",
    "config/schema/card": "the schema is printed, not needed to read",
    "config/tree/cache": "a tree that is kept is not read again",
    "config/workspace": "PyYAML: 15 ms; only a file that is merged onto a tree may be YAML",
    "disk/edit/open": "one editor of several is loaded",
    "fetch/cache/policy_file": "PyYAML: 15 ms",
    "journal/views/choose": "one view of several is loaded; rich: 60 ms",
    "rootfs/export": "",
    "run/shell": "the shell is a command of its own",
}
"""Modules in which an import of our own comes late, and why."""

TESTED_ELSEWHERE = {
    "model/inputs": "unit/app/test_inputs.py",
    "app/card_images/lazy_tool": "docker/test_killed_toolbox.py",
    "app/environment": "docker/test_disk.py",
    "app/releases": "unit/history/test_changes.py",
    "app/run": "docker/test_benchmarks.py",
    "app/settings": "unit/cli/commands/test_engine.py",
    "app/toolbox_image": "docker/test_boot.py",
    "artifacts/context": "unit/artifacts/test_publish.py",
    "artifacts/disk/build": "docker/test_disk.py",
    "artifacts/disk/like_base": "docker/test_disk_base.py",
    "artifacts/store": "unit/artifacts/test_publish.py",
    "boot/qemu": "docker/test_boot.py",
    "boot/run": "docker/test_boot.py",
    "card/inject/account_files": "unit/card/inject/test_accounts.py",
    "card/inject/hostname": "unit/card/inject/test_inject.py",
    "card/inject/staged_changes": "unit/card/inject/test_inject.py",
    "card/inject/wifi_formats": "unit/card/inject/test_wifi.py",
    "cli/__main__": "unit/test_venv.py",
    "cli/commands/completion": "unit/cli/test_completion.py",
    "cli/commands/image": "test_docs.py",
    "cli/commands/release/lock": "unit/app/test_lock.py",
    "cli/commands/run": "docker/test_benchmarks.py",
    "cli/commands/serve": "unit/cli/test_serve.py",
    "config/schema/service": "unit/config/service/test_load.py",
    "disk/edit/ext4/libext2fs": "unit/disk/edit/ext4/test_filesystem.py",
    "disk/edit/ext4/worker": "unit/disk/edit/ext4/test_filesystem.py",
    "disk/edit/fsck": "docker/test_frame.py",
    "disk/edit/grow_ext4": "docker/test_frame.py",
    "disk/pack": "unit/formats/test_bmap.py",
    "engine/docker/adapter": "contract/test_engine.py",
    "engine/fake": "contract/test_engine.py",
    "engine/interface": "contract/test_engine.py",
    "formats/fs/entry": "unit/disk/edit/test_fat.py",
    "history/components": "unit/history/test_sbom.py",
    "history/look": "unit/history/test_blame.py",
    "history/system": "unit/history/test_changes.py",
    "host/start_engine": "docker/test_engine_up.py",
    "library/run": "docker/test_library.py",
    "library/workspace": "docker/test_library.py",
    "model/artifacts": "unit/config/artifacts/test_load.py",
    "model/card": "unit/config/card/test_load.py",
    "model/events": "unit/journal/test_record.py",
    "model/labels": "contract/test_engine.py",
    "model/service": "unit/config/service/test_load.py",
    "model/tree": "unit/config/tree/test_links.py",
    "model/variables": "unit/config/plugins/test_content.py",
    "service/builds/places": "unit/service/builds/test_checkout.py",
    "service/hooks/gitea": "unit/service/hooks/test_match.py",
    "service/hooks/github": "unit/service/hooks/test_match.py",
    "service/hooks/gitlab": "unit/service/hooks/test_match.py",
    "service/hooks/push": "unit/service/hooks/test_match.py",
    "service/outbox/statuses": "unit/service/outbox/test_sender.py",
    "service/store/tables": "unit/service/store/test_database.py",
    "toolbox/container": "docker/test_boot.py",
}
"""Modules without a test at their place: values alone, or code that only an engine or QEMU drives."""

UNTESTED = (
    "app/bisect",
    "app/card_images/base",
    "app/card_images/config",
    "app/card_images/create",
    "app/card_images/injection",
    "app/card_images/patches",
    "app/compare_runs",
    "app/execute",
    "app/history",
    "app/nothing_to_do_note",
    "app/planner",
    "app/platform",
    "app/prune",
    "app/shell",
    "app/trees",
    "card/assemble",
    "card/describe",
    "card/inject/ssh_keys",
    "app/committed/states",
    "app/inventory",
    "cli/commands/artifacts",
    "cli/commands/image_boot",
    "cli/commands/image_patch",
    "cli/commands/release/changes",
    "cli/commands/release/provenance",
    "cli/commands/release/sbom",
    "cli/commands/trace/bisect",
    "cli/commands/trace/blame",
    "cli/commands/trace/diff_runs",
    "cli/commands/trace/report",
    "config/shipped",
    "engine/docker/attach",
    "formats/fs/ext4_top",
    "service/example/make",
    "service/queue/ending",
    "service/queue/prepare",
    "service/store/migrations/env",
    "service/store/migrations/versions/v1_first",
    "service/web/api",
    "service/web/context",
    "service/web/hooks",
    "service/web/live",
    "service/web/original",
    "service/web/pages",
    "service/web/problems",
    "service/web/shield",
)
"""Modules that no test imports: driven through other modules only. Each needs a test at its place."""


def mirrored(module: str) -> Path:
    path = UNIT / module
    return path.with_name(f"test_{path.name}.py")


def is_named_in(module: str, test: str) -> bool:
    dotted = f"stalker.{module.replace('/', '.')}"
    parent, _, name = dotted.rpartition(".")
    wanted = rf"{re.escape(dotted)}\b|from {re.escape(parent)} import [^\n]*\b{name}\b|\b{name}\.py\b"
    return re.search(wanted, (ROOT / "tests" / test).read_text(encoding="utf-8")) is not None


def name_of(file: Path) -> str:
    return file.relative_to(PACKAGE).with_suffix("").as_posix()


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


@cache
def imports_of(file: Path) -> list[tuple[str, bool]]:
    """Return (module of ours as a path, whether it is imported in a function)."""
    found: list[tuple[str, bool]] = []

    def walk(node: ast.AST, *, is_late: bool) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.ImportFrom) and (child.module or "").split(".")[0] == "stalker":
                base = PACKAGE.parent / (child.module or "").replace(".", "/")
                for alias in child.names:
                    inside = base / f"{alias.name}.py"
                    module = inside if inside.exists() else base.with_suffix(".py")
                    if module.exists():
                        found.append((name_of(module), is_late))
            walk(child, is_late=is_late or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef))

    walk(ast.parse(file.read_text(encoding="utf-8")), is_late=False)
    return found


def test_a_directory_holds_twenty_modules_at_most():
    """A room that a newcomer can look over."""
    sizes = Counter(file.parent for file in MODULES)

    assert {name_of(room): size for room, size in sizes.items() if size > MODULES_MAX} == {}


def test_a_module_is_known_by_the_last_two_parts_of_its_path():
    """`card/load` and `tree/load` are two; two modules `tree/load` would be mistaken for each other."""
    ends = defaultdict(list)
    for file in MODULES:
        ends["/".join(name_of(file).split("/")[-2:])].append(name_of(file))

    assert {end: names for end, names in ends.items() if len(names) > 1} == {}


def test_no_two_modules_import_each_other():
    """Types included: of two modules one is below the other."""
    edges = {(name_of(file), other) for file in MODULES for other, _ in imports_of(file)}

    assert sorted((one, other) for one, other in edges if one < other and (other, one) in edges) == []


@pytest.mark.parametrize("file", MODULES, ids=name_of)
def test_our_own_modules_are_imported_at_the_top(file):
    """Late imports are for heavy libraries, and for commands that load what they need."""
    late = [other for other, is_late in imports_of(file) if is_late]

    assert not late or name_of(file).startswith(ENTRIES) or name_of(file) in LATE, late


def test_each_exception_is_needed():
    """A reason for a late import that is gone is gone too."""
    late = {name_of(file) for file in MODULES if any(is_late for _, is_late in imports_of(file))}

    assert set(LATE) <= late


@pytest.mark.parametrize("file", MODULES, ids=name_of)
def test_a_module_has_its_test_at_the_same_place_and_name(file):
    """`lib/stalker/plan/graph.py` is tested in `tests/unit/plan/test_graph.py`."""
    name = name_of(file)
    is_excepted = name in TESTED_ELSEWHERE or name in UNTESTED

    assert is_excepted or mirrored(name).is_file()


@pytest.mark.parametrize(("module", "test"), TESTED_ELSEWHERE.items())
def test_a_module_tested_elsewhere_is_named_by_that_test(module, test):
    """The file imports it, or names it."""
    assert is_named_in(module, test)


def test_no_exception_has_a_test_at_its_place():
    """A module that exists, and whose test has come, leaves the tables."""
    names = {name_of(file) for file in MODULES}
    excepted = {*TESTED_ELSEWHERE, *UNTESTED}

    assert excepted <= names
    assert [name for name in sorted(excepted) if mirrored(name).is_file()] == []
