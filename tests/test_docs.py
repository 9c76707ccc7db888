"""The pages say what is true: links lead somewhere, files can be read, commands exist, and stories happen as told."""

from __future__ import annotations

import re
import shlex
import textwrap
import uuid
from dataclasses import fields
from importlib import import_module
from xml.etree import ElementTree as ET

import click
import pytest

from doc_pages import (
    DOCS,
    PAGES,
    ROOT,
    Reader,
    alike,
    at_once,
    base_environ,
    blocks,
    commands,
    prose,
    screen_text,
)
from doc_tables import with_tables
from engines import remove_all_below
from stalker import errors
from stalker.cli.commands.image import COMMANDS as IMAGE_COMMANDS
from stalker.cli.main import COMMANDS
from stalker.cli.main import stalker as program
from stalker.config import check_files
from stalker.config.schema import artifacts as declared_artifacts
from stalker.config.schema import tree
from stalker.config.syntax.hjson import read_hjson
from stalker.disk.manifest import Manifest
from stalker.fetch.cache import policy_file
from stalker.fetch.cache.policy import STRATEGIES
from stalker.model import artifacts, events, labels

REFERENCE = ROOT / "docs" / "reference"
STORIES = [page for page in DOCS if any(block.role for block in blocks(page))]


def named(page):
    return str(page.relative_to(ROOT))


# links and pictures


def anchors(page):
    titles = re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_each_link_leads_to_a_file_and_a_title(page):
    """No link of a page is broken."""
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if target.startswith(("https://", "http://")):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        if not file.exists() or (anchor and anchor not in anchors(file)):
            broken.append(target)

    assert broken == []


def test_each_page_is_linked():
    """Whoever begins at the README finds every page."""
    found, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        found.add(page)
        links = [(page.parent / link).resolve() for link in re.findall(r"\]\(([^)#\s]+\.md)", prose(page))]
        waiting += [link for link in links if link not in found and link.exists()]

    assert [named(page) for page in DOCS if page not in found] == []


@pytest.mark.parametrize("picture", sorted((ROOT / "docs" / "pictures").iterdir()), ids=named)
def test_each_picture_is_whole_and_loads_nothing(picture):
    """A picture is shown wherever the page is."""
    if picture.suffix == ".png":
        content = picture.read_bytes()
        assert content.startswith(b"\x89PNG\r\n\x1a\n")
        assert content.endswith(b"IEND\xaeB`\x82")
    else:
        text = picture.read_text(encoding="utf-8")
        assert ET.fromstring(text).tag == "{http://www.w3.org/2000/svg}svg"
        assert re.findall(r"(?:url\(|href=)[\"']?https?:", text) == []
    assert any(picture.name in page.read_text(encoding="utf-8") for page in PAGES)


# files


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_each_hjson_block_can_be_read(page):
    """What stands in a page can be copied into a file."""
    problems = [
        f"line {block.line}: {problem}"
        for block in blocks(page)
        if block.language == "hjson"
        for problem in read_hjson(block.body, named(page)).problems
    ]

    assert problems == []


def keys_of(shape):
    return set(shape.keys) | {key for child in shape.keys.values() for key in getattr(child, "keys", ())}


@pytest.mark.parametrize(
    "shape", ["TREE", "NODE", "BASE", "STALK", "PLUGIN", "SIDECAR", "ARGUMENT", "SECRET"], ids=str.lower
)
def test_each_key_of_a_file_is_in_the_reference(shape):
    """files.md names every key that a file may hold."""
    text = (REFERENCE / "files.md").read_text(encoding="utf-8")
    known = set(re.findall(r"\w+", " ".join(re.findall(r"`([^`\n]+)`", text))))

    assert keys_of(getattr(tree, shape)) - known == set()


@pytest.mark.parametrize("shape", ["ARTIFACT", "PARTITION", "BOOT_TEST", "EXPECTATION"], ids=str.lower)
def test_each_key_of_an_artifact_is_in_the_reference(shape):
    """artifacts.md names every key, and every gate, machine and format."""
    text = (REFERENCE / "artifacts.md").read_text(encoding="utf-8")
    known = set(re.findall(r"[\w.-]+", " ".join(re.findall(r"`([^`\n]+)`", text))))

    assert keys_of(getattr(declared_artifacts, shape)) - known == set()
    assert {*artifacts.GATES, *artifacts.MACHINES, *artifacts.FORMATS} - known == set()


def test_each_key_of_a_policy_is_in_the_reference_and_its_example_can_be_used():
    """cache.md names every key of policy.yaml and every strategy; what stands there can be copied."""
    text = (REFERENCE / "cache.md").read_text(encoding="utf-8")
    known = set(re.findall(r"\w+", " ".join(re.findall(r"`([^`\n]+)`", text))))
    filters = policy_file.POLICY.keys["files"].keys["filters"].item
    found = re.search(r"(?m)^    max_size: .*\n(?:    .*\n)+", text)

    assert (keys_of(policy_file.POLICY) | keys_of(filters) | set(STRATEGIES)) - known == set()
    assert (
        policy_file.parse_policy(textwrap.dedent(found[0]), "cache.md").policy.limits.check_after_s == 86400
    )


def test_the_tree_of_the_artifacts_page_is_right(tmp_path):
    """Who copies it has a tree without a problem."""
    example = next(block for block in blocks(REFERENCE / "artifacts.md") if block.language == "hjson")
    (tmp_path / "stalks/stage4").mkdir(parents=True)
    (tmp_path / "stalks/stage4/stage4.hjson").write_text(
        "plugins: {\n go: { exec: true, text: '#!/bin/sh' }\n}\n", encoding="utf-8"
    )
    (tmp_path / "t.hjson").write_text(example.body, encoding="utf-8")

    assert [str(problem) for problem in check_files([str(tmp_path / "t.hjson")], str(tmp_path))] == []


@pytest.mark.parametrize("page", DOCS, ids=lambda page: page.name)
def test_the_tables_of_the_reference_are_those_of_the_declarations(page):
    """After a change of a declaration: PYTHONPATH=lib .venv/bin/python tests/doc_tables.py"""
    text = page.read_text(encoding="utf-8")

    assert with_tables(text) == text


@pytest.mark.parametrize("shape", ["card.DATA_FILE", "tree.NODE", "tree.BASE"])
def test_a_table_has_each_key_of_its_declaration(shape):
    """A key that is declared is in the reference."""
    module, _, name = shape.partition(".")
    made = with_tables(f"<!-- keys: {shape} -->\n\n| stale row |\n")
    declared = getattr(import_module(f"stalker.config.schema.{module}"), name)

    assert "stale row" not in made
    assert set(re.findall(r"`(\w+)`", made)) >= set(declared.keys)


# commands


def command_of(name):
    found = program
    for word in name.split():
        found = found.get_command(click.Context(found), word)
        assert found is not None, f"there is no command '{word}'"
    return found


def options_of(command):
    options = [one for one in command.params if isinstance(one, click.Option)]
    return {name for option in options for name in option.opts} | {"-h", "--help"}


def calls_in(page):
    """Yield what a page tells a reader to type: `stalker ...` or `./stalker ...` in code, wherever it stands."""
    for block in blocks(page):
        lines = [command.text for command in commands(block.body)] if block.language == "console" else []
        yield from map(as_called, lines or block.body.splitlines())
    rest = prose(page)
    yield from map(as_called, re.findall(r"^ {4}((?:\./)?stalker .*)$", rest, re.MULTILINE))
    yield from map(as_called, re.findall(r"`([^`\n]+)`", rest))


def as_called(text):
    """Return a call of the program as that of a checkout."""
    return "./" + text if text.startswith("stalker ") else text


def wrong_in(call):
    """Say what of a call does not exist; empty when all does."""
    call = call.partition(" # ")[0]
    words = shlex.split(re.sub(r"[\[\]|]", " ", call.partition("./stalker ")[2]))
    names = [word for word in words if word.replace("_", "-") in COMMANDS]
    command = command_of(names[0]) if names else program
    is_group = bool(names) and isinstance(command, click.Group)
    below = [word for word in words if is_group and word in command.list_commands(click.Context(command))]
    if below:
        command = command_of(f"{names[0]} {below[0]}")
    known = options_of(command) | (options_of(program) if names else set())
    if not names and "--config" in words:
        known |= options_of(command_of("run"))
    before = words.index(names[0]) if names else 0
    if not names and words and not words[0].startswith("-") and words[0].islower():
        return f"{call}: no command"
    if is_group and not below:
        return f"{call}: {names[0]} has no such command"
    given = []
    for word in words:
        if word == "--":
            break
        if re.match(r"--?[a-z]", word):
            given.append(word.partition("=")[0].replace("_", "-"))
    unknown = [word for word in given if word not in known]
    late = [word for word in words[before:] if word == "--workspace"] if names else []
    return f"{call}: {', '.join(unknown + late)}" if unknown or late else ""


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_each_call_is_one_that_can_be_made(page):
    """Commands and options of the pages exist."""
    calls = [call for call in calls_in(page) if call.removeprefix("$ ").startswith("./stalker ")]

    assert [wrong for wrong in map(wrong_in, calls) if wrong] == []


@pytest.mark.parametrize(
    "call",
    ["./stalker rum t", "./stalker run t --frm x", "./stalker engine down", "./stalker run t --workspace d"],
)
def test_a_call_that_cannot_be_made_is_noticed(call):
    assert wrong_in(call)


def section(name):
    text = (REFERENCE / "commands.md").read_text(encoding="utf-8")
    found = re.search(rf"^## {re.escape(name)}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    assert found, f"commands.md has no section '{name}'"
    return found[1]


GROUPS = {
    "engine": ["engine up"],
    "image": [f"image {name}" for name in IMAGE_COMMANDS],
    "new": ["new stalk", "new plugin"],
    "cache": ["cache show", "cache prune", "cache verify", "cache policy"],
}


@pytest.mark.parametrize("name", [one for name in COMMANDS for one in GROUPS.get(name, [name])])
def test_each_command_is_in_the_reference_with_its_options(name):
    """commands.md names every option, and none that is not there."""
    text = section(name)
    written = set(
        re.findall(r"(?<![\w-])(--[a-z][a-z-]*|-[a-zA-Z])(?![\w-])", " ".join(re.findall(r"`([^`]+)`", text)))
    )

    assert {one.replace("_", "-") for one in written} == options_of(command_of(name)) - {"-h", "--help"}


def test_each_helper_for_shell_scripts_is_in_its_page():
    """write-a-plugin.md lists what kantoo.sh has, with the arguments."""
    library = (ROOT / "plugins/lib/bash/kantoo.sh").read_text(encoding="utf-8")
    page = (ROOT / "docs/how-to/write-a-plugin.md").read_text(encoding="utf-8")
    page = page.partition("## Helpers for Python scripts")[0]
    found = re.findall(r"^(\w+)\(\) \{ # (?:((?:\[[^]]*\]|[^:\na-z])*):)?", library, re.MULTILINE)
    helpers = [f"{name} {arguments}".strip() for name, arguments in found]

    assert helpers == re.findall(r"^\| `([a-z_]+[^`]*)` \|", page, re.MULTILINE)


def test_each_helper_for_python_scripts_is_in_its_page():
    """write-a-plugin.md lists what kantoo.utils has."""
    library = (ROOT / "plugins/lib/python/kantoo/utils.py").read_text(encoding="utf-8")
    page = (ROOT / "docs/how-to/write-a-plugin.md").read_text(encoding="utf-8")
    part = page.partition("## Helpers for Python scripts")[2].partition("\n## ")[0]
    (names,) = re.findall(r"^__all__ = \[([^]]*)\]", library, re.MULTILINE)
    rows = " ".join(re.findall(r"^\| (`.*?) \|", part, re.MULTILINE))

    assert sorted(re.findall(r'"(\w+)"', names)) == sorted(re.findall(r"`(\w+)", rows))


# logs, labels, exit codes


def test_each_event_is_in_the_reference_with_its_fields():
    """Programs that read --json can rely on logs.md."""
    text = (REFERENCE / "logs.md").read_text(encoding="utf-8")
    rows = {
        name: set(re.findall(r"`([a-z_]+)`", cell))
        for name, cell in re.findall(r"^\| `([a-z_]+)` \| (.*) \|$", text, re.MULTILINE)
    }
    kinds = events.Event.__args__
    words = {"info", "warning", "stdout", "stderr", "done", "failed", "timeout", "cancelled"}
    words |= {"artifact", "unproven", "blocked"}

    for kind in kinds:
        name = re.sub(r"(?<!^)(?=[A-Z])", "_", kind.__name__).lower()
        own = {field.name for field in fields(kind)} - {"at"}
        assert own <= rows[name], name
        parts = (events.PlannedStep, events.PlannedBase) if kind is events.Planned else ()
        nested = {field.name for part in parts for field in fields(part)}
        assert rows[name] - own - nested <= words, name


def test_each_field_of_a_manifest_is_in_the_reference():
    """Programs that read manifest.json can rely on artifacts.md."""
    text = (REFERENCE / "artifacts.md").read_text(encoding="utf-8")
    found = re.search(r"^### The manifest\n(.*?)(?=^##)", text, re.MULTILINE | re.DOTALL)
    assert found
    rows = re.findall(r"^\| (`.*?`) \|", found[1], re.MULTILINE)

    assert {name for row in rows for name in re.findall(r"`([a-z_]+)`", row)} == {
        "schema",
        *(field.name for field in fields(Manifest)),
    }


def test_each_label_is_in_the_reference():
    """Labels are how other programs find out about an image."""
    text = (REFERENCE / "logs.md").read_text(encoding="utf-8")
    known = {
        value
        for name, value in vars(labels).items()
        if name.isupper() and isinstance(value, str) and value.startswith(labels.PREFIX) and name != "PREFIX"
    }

    assert set(re.findall(r"^\| `(io\.stalker\.[a-z-]+)` \|", text, re.MULTILINE)) == known


def test_each_exit_code_is_in_the_reference():
    text = (REFERENCE / "errors.md").read_text(encoding="utf-8")
    kinds, waiting = set(), [errors.StalkerError]
    while waiting:
        kind = waiting.pop()
        kinds.add(kind.exit_code)
        waiting += kind.__subclasses__()

    assert {int(code) for code in re.findall(r"^\| (\d+) \|", text, re.MULTILINE)} == kinds | {0}


# stories


@pytest.fixture
def reader(engine, busybox, tmp_path):
    """Someone whose images nobody else has, on a base that is there at once."""
    own = f"stalker-test-{uuid.uuid4().hex[:8]}"
    folder = tmp_path / "kiosk"
    yield Reader.with_program(folder, base_environ(tmp_path), at_once(own, busybox)), own
    remove_all_below(engine, f"{own}/")


@pytest.mark.docker
@pytest.mark.parametrize("page", STORIES, ids=named)
def test_a_story_happens_as_it_is_told(page, reader):
    """Who follows a page step by step sees on the terminal what the page shows."""
    someone, own = reader

    someone.follow(page, own)


def test_a_screen_is_read_as_it_looks():
    """A line that was drawn over is not seen twice."""
    raw = b"one\r\ntwo\x1b[1A\rnew\x1b[K\r\n\x1b[32mtwo\x1b[0m\r\n"

    assert screen_text(raw) == ["new", "two"]


def test_what_differs_from_run_to_run_is_left_out():
    first = ["kiosk:a  RUN  0.4 s  x (a1b2c3d4e5f6)", "A  12 B  /x", "log: l/a-20261121-031418.txt"]
    second = [
        "kiosk:a RUN     1 min 02 s  x (ffffffffffff)",
        "A  9.1 KiB  /x",
        "log: l/a-20270101-000000.txt",
    ]

    assert alike(first) == alike(second)
    assert alike(["kiosk:a  RUN"]) != alike(["kiosk:a  REUSE"])
