"""Completion of what is typed in a shell: click does it; here is what it does not know.

A completion imports no command, which takes up to 0.3 s: an outline of all of them, commands with their options, is
kept in the user's cache for as long as the code is the same. Names of trees, stalks and steps are read from the files
of the workspace, as far as they can be read: a completion shows no error.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import (
    BashComplete,
    CompletionItem,
    ShellComplete,
    add_completion_class,
    get_completion_class,
    split_arg_string,
)

from stalker.cli.lazy import Group, LazyGroup
from stalker.config.locate import find_tree, find_workspace
from stalker.config.syntax.document import is_true
from stalker.config.syntax.hjson import read_hjson
from stalker.config.tree.evidence import code_state
from stalker.io.atomic import write_file
from stalker.io.user_dirs import cache_dir

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from stalker.config.syntax.document import Node

Shown = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]

SHELLS = ("bash", "zsh", "fish")
VARIABLE = "_STALKER_COMPLETE"

FORM = 1
"""Of the outline in the cache: another number, another outline."""

KINDS = {"FILE": "file", "DIR": "dir", "DIRECTORY": "dir", "IMAGE": "file", "IMG": "file", "CONFIG": "file"}
"""What the shell completes where a value is shown as this."""

NODE_KEYS = {"artifacts", "base", "resources"}
"""Keys of a node that are mappings and not nested stalks."""

_BASH = """\
%(complete_func)s() {
    local IFS=$'\\n' reply type value
    while IFS= read -r reply; do
        type=${reply%%%%,*} value=${reply#*,}
        if [[ $type == dir || $type == file ]]; then
            compopt -o default
        elif [[ -n $reply ]]; then
            COMPREPLY+=("$value")
            if [[ $value == *: ]]; then compopt -o nospace; fi
        fi
    done < <(COMP_LINE="${COMP_LINE:0:COMP_POINT}" COMP_WORDBREAKS="$COMP_WORDBREAKS" \\
        %(complete_var)s=bash_complete "$1" 2>/dev/null)
}

complete -o nosort -F %(complete_func)s %(prog_name)s
"""


@add_completion_class
class Bash(BashComplete):
    """Completion for bash, which breaks words at `:`: the line is split here, and what bash has is not repeated."""

    source_template = _BASH

    @staticmethod
    def _check_version() -> None:
        """Check nothing: the script is for bash 4.4 and later, and may be made where another one is."""

    def get_completion_args(self) -> tuple[list[str], str]:
        """Return the words before the one that is completed, and that one."""
        line = os.environ.get("COMP_LINE", "")
        words = split_arg_string(line)[1:]
        if not line[-1:].isspace() and words:
            return words[:-1], words[-1]
        return words, ""

    def format_completion(self, item: CompletionItem) -> str:
        """Return a candidate without what bash takes for words of their own: all up to the last `:`."""
        _, incomplete = self.get_completion_args()
        begun = incomplete.rpartition("=")[2] if incomplete.startswith("--") else incomplete
        have = begun.rpartition(":")[0] + ":" if ":" in begun and ":" in _word_breaks() else ""
        return f"{item.type},{item.value.removeprefix(have)}"


def _word_breaks() -> str:
    return os.environ.get("COMP_WORDBREAKS", ":")


def outline_of(command: click.Command) -> dict[str, Any]:
    """Return what completion needs of a command and those in it, as JSON data."""
    found: dict[str, Any] = {"help": command.get_short_help_str(), "parameters": []}
    for one in command.params:
        choices = list(one.type.choices) if isinstance(one.type, click.Choice) else None
        found["parameters"].append(
            {
                "name": one.name,
                "words": [*one.opts, *one.secondary_opts] if isinstance(one, click.Option) else [],
                "help": one.help if isinstance(one, click.Option) else None,
                "flag": isinstance(one, click.Option) and one.is_flag,
                "multiple": one.multiple,
                "nargs": one.nargs,
                "choices": choices,
                "kind": _kind_of(one),
            }
        )
    if isinstance(command, click.Group):
        context = click.Context(command)
        names = command.list_commands(context)
        inside = {name: command.get_command(context, name) for name in names}
        found["commands"] = {name: outline_of(one) for name, one in inside.items() if one is not None}
    return found


def _kind_of(parameter: click.Parameter) -> str:
    """Return `file` or `dir` where the value is one, else empty."""
    if isinstance(parameter.type, click.Path):
        return "file" if parameter.type.file_okay else "dir"
    return KINDS.get(parameter.metavar or "", "")


def command_of(name: str, outline: dict[str, Any]) -> click.Command:
    """Return a command that completes as the one of an outline; it does nothing."""
    parameters = [_parameter_of(one) for one in outline["parameters"]]
    if "commands" not in outline:
        return click.Command(name, params=parameters, short_help=outline["help"])
    inside = {one: command_of(one, its) for one, its in outline["commands"].items()}
    return Group(name, params=parameters, commands=inside, short_help=outline["help"])


def _parameter_of(outline: dict[str, Any]) -> click.Parameter:
    given = outline["choices"] and click.Choice(outline["choices"])
    completed = None if given else (NAMES.get(outline["name"]) or _of_kind(outline["kind"]))
    if not outline["words"]:
        return click.Argument(
            [outline["name"]], type=given, nargs=outline["nargs"], required=False, shell_complete=completed
        )
    return click.Option(
        [*outline["words"], outline["name"]],
        type=given,
        is_flag=outline["flag"],
        multiple=outline["multiple"],
        help=outline["help"],
        shell_complete=completed,
    )


def _of_kind(kind: str) -> Shown | None:
    """Return what completes files or directories: the shell does."""
    return (
        (lambda _context, _parameter, incomplete: [CompletionItem(incomplete, type=kind)]) if kind else None
    )


def prepare(command: LazyGroup) -> None:
    """Let a group complete by its outline, which is made where the user's cache has none for this code."""
    path = os.path.join(cache_dir(os.environ), "completion.json")  # noqa: PTH118
    state = f"{code_state()} {FORM}"
    kept = _kept(path)
    if kept.get("state") != state:
        kept = {"state": state, "outline": outline_of(command)}
        with contextlib.suppress(OSError):
            os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)  # noqa: PTH103, PTH120
            write_file(path, json.dumps(kept), durable=False)
    command.complete_by({name: command_of(name, one) for name, one in kept["outline"]["commands"].items()})
    for parameter in command.params:
        if parameter.name == "config":
            parameter._custom_shell_complete = trees  # noqa: SLF001  click takes it in the constructor only


def _kept(path: str) -> dict[str, Any]:
    try:
        with open(path, encoding="utf-8") as stream:  # noqa: PTH123
            found = json.load(stream)
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def script(shell: str, command: click.Command, program: str) -> str:
    """Return the script that a shell reads to complete the arguments of a program."""
    found = get_completion_class(shell)
    assert found is not None
    made: ShellComplete = found(command, {}, program, VARIABLE)
    return made.source()


def trees(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the name of a tree; with a `/` in it, a file."""
    del parameter
    if "/" in incomplete:
        return [CompletionItem(incomplete, type="file")]
    return _beginning(incomplete, tree_names(_workspace(ctx)))


def checked_files(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the name of a tree, or a file."""
    return trees(ctx, parameter, incomplete) or [CompletionItem(incomplete, type="file")]


def steps(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete STALK[:STEP] of the tree that is typed, of all trees where none is: steps after a `:`."""
    del parameter
    workspace = _workspace(ctx)
    named = ctx.params.get("tree") or ctx.params.get("config")
    names = [str(named)] if named else tree_names(workspace)
    found: set[str] = set()
    for name in names:
        for stalk, own in steps_of(name, workspace).items():
            found |= {f"{stalk}:{step}" for step in own} if ":" in incomplete else {stalk}
    return _beginning(incomplete, sorted(found))


NAMES: dict[str, Shown] = {
    "tree": trees,
    "config": trees,
    "files": checked_files,
    **dict.fromkeys(("start", "until", "only", "what", "stalk", "ref", "old", "new", "good", "bad"), steps),
}
"""What completes the parameters of that name, of any command."""


def _beginning(incomplete: str, names: Iterable[str]) -> list[CompletionItem]:
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


def _workspace(ctx: click.Context) -> str:
    """Return the workspace; the group's callback, which finds it otherwise, does not run for a completion."""
    given = ctx.find_root().params.get("workspace")
    return os.path.abspath(given) if given else find_workspace(".")  # noqa: PTH100


def tree_names(workspace: str) -> list[str]:
    """Return the names of the trees in `trees/`, sorted; a tree that is not in a directory of its name by its path."""
    top = os.path.join(workspace, "trees")  # noqa: PTH118
    found = []
    for name in _listing(top):
        if name.endswith(".hjson"):
            found.append(name.removesuffix(".hjson"))
        for file in _listing(os.path.join(top, name)):  # noqa: PTH118
            if file == f"{name}.hjson":
                found.append(name)
            elif file.endswith(".hjson"):
                found.append(f"trees/{name}/{file}")
    return sorted(found)


def _listing(path: str) -> list[str]:
    try:
        return os.listdir(path)  # noqa: PTH208
    except OSError:
        return []


def steps_of(tree: str, workspace: str) -> dict[str, list[str]]:
    """Return the stalks of a tree with the names of their steps, as far as its files can be read."""
    root = _read(find_tree(tree, workspace))
    if root is None:
        return {}
    return {
        name: _exec_plugins(_read(os.path.join(workspace, f"stalks/{stalk}/{stalk}.hjson")))  # noqa: PTH118
        for name, stalk in _nodes(root.get("stalks"))
    }


def _nodes(stalks: Node | None) -> Iterator[tuple[str, str]]:
    """Yield each node below `stalks` with the name of its stalk file."""
    for name, node in stalks.items() if stalks is not None else ():
        if name.upper() == name or not isinstance(node.value, dict) or name in NODE_KEYS:
            continue
        own = node.get("stalk")
        yield name, str(own.value) if own is not None else name
        yield from _nodes(node)


def _exec_plugins(root: Node | None) -> list[str]:
    plugins = root.get("plugins") if root is not None else None
    own = (
        [name for name, plugin in plugins.items() if is_true(plugin.get("exec"))]
        if plugins is not None
        else []
    )
    return ["initial", *own, "final"]


def _read(path: str) -> Node | None:
    """Return the root of a Hjson file; None where it cannot be read."""
    try:
        with open(path, encoding="utf-8") as stream:  # noqa: PTH123
            return read_hjson(stream.read(), path).root
    except (OSError, UnicodeDecodeError):
        return None
