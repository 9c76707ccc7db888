"""Arguments of reusable plugins: as a sidecar declares them, and as a stalk gives them.

They reach the script as environment variables in UPPER CASE (`user-name` as `USER_NAME`): text as it
is, numbers as written, booleans as `true` or `false`, a list with one item a line, a mapping with
one `key=value` a line, an argument not given as its default or as empty text.

Variables put into the arguments of a reusable plugin, before those are checked.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, TypeVar

from stalker.config.plugins.content import substitute
from stalker.config.schema.tree import ARGUMENT
from stalker.config.schema.types import VARIABLE, values
from stalker.config.syntax.document import Node
from stalker.config.syntax.report import Report, did_you_mean
from stalker.model.diagnostics import Place
from stalker.model.tree import secret_marker

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from stalker.model.variables import Variable


_TAKEN = (
    # by the engine, for each process in a container
    "PATH HOME HOSTNAME TERM "
    # by POSIX shells and their tools
    "_ SHELL USER LOGNAME UID EUID GID EGID PPID IFS ENV PWD OLDPWD LINENO OPTARG OPTIND OPTERR PS0 "
    "PS1 PS2 PS3 PS4 CDPATH TMOUT LANG LANGUAGE TZ TMPDIR POSIXLY_CORRECT COLUMNS LINES "
    # by bash
    "BASH BASHOPTS BASHPID HISTCMD GROUPS RANDOM SRANDOM SECONDS EPOCHSECONDS EPOCHREALTIME SHELLOPTS "
    "SHLVL DIRSTACK FUNCNAME PIPESTATUS REPLY MAPFILE GLOBIGNORE EXECIGNORE TIMEFORMAT HOSTTYPE "
    "MACHTYPE OSTYPE PROMPT_COMMAND COPROC COMP_WORDBREAKS "
    # by interpreters
    "PYTHONPATH PYTHONHOME PERL5LIB RUBYLIB "
)
TAKEN = frozenset(_TAKEN.split())
"""Variables that shells, engines or interpreters give a meaning to; no argument may become one.

Source: POSIX.1-2017, Shell, 2.5.3; bash(1), Shell Variables; environ(7).
"""

TAKEN_BEGINNINGS = ("LD_", "BASH_", "LC_")

_SENTENCE = re.compile(r"(?<=[.!?;])\s+(?=[A-Z(\"'`0-9])")
"""Between two sentences: behind the sign that ends one, before what begins the next."""


@dataclass(frozen=True, slots=True)
class Argument:
    """What a plugin takes under one name.

    `default` is None when there is none; then an argument not given is empty text.
    """

    name: str
    type: str
    place: Place
    required: bool = False
    default: str | None = None
    allowed: tuple[str, ...] = ()
    pattern: str = ""
    help: str = ""
    is_secret: bool = False
    """Only a secret of the tree will do: as text it would be in a file for all to read."""

    @property
    def variable(self) -> str:
        """The variable that the script gets."""
        return self.name.upper().replace("-", "_")

    @property
    def brief_help(self) -> str:
        """The first sentence of the help, on one line, as messages show it; the page has all of it."""
        paragraph = " ".join(self.help.strip().partition("\n\n")[0].split())
        return _SENTENCE.split(paragraph, maxsplit=1)[0]


def declared_argument(name: str, node: Node, report: Report) -> Argument | None:
    """Return an argument as a sidecar declares it; None when it is none, which is reported."""
    if not isinstance(node.value, dict):
        return None
    if not VARIABLE.match(name.upper().replace("-", "_")):
        report.problem(node.key_place, f"'{name}' cannot name an argument: the script gets it as a variable")
        return None
    _refuse_taken(name, node, report)
    fields = {"type": "string", **values(node, ARGUMENT.keys, report, without=("default",))}
    bare = Argument(name=name, place=node.key_place, **fields)
    default = node.get("default")
    if default is None:
        return bare
    if bare.required:
        report.problem(default.place, "a required argument has no default", "keep one of the two")
    if bare.is_secret:
        report.problem(default.place, "a secret has no default", "keep one of the two")
        return bare
    return replace(bare, default=argument_value(default, bare, report))


def _refuse_taken(name: str, node: Node, report: Report) -> None:
    variable = name.upper().replace("-", "_")
    if variable in TAKEN or variable.startswith(TAKEN_BEGINNINGS):
        report.problem(
            node.key_place,
            f"the script would get '{name}' as {variable}, which has a meaning to shells or other programs",
            "give it a name of its own: target_path for path, home_dir for home, account for user",
        )


def argument_value(node: Node, argument: Argument, report: Report) -> str | None:
    """Return a given argument as the script gets it; None when it is wrong, which is reported.

    A text that came from a variable counts as the number, the word, or the lines of a list or mapping
    that it spells.
    """
    if isinstance(node, Filled):
        if node.is_hidden:
            return node.text
        node = node.read_as(argument.type)
    if argument.is_secret and node.text:
        what = f"'{argument.name}' takes a secret, and this is text for all to read"
        report.problem(node.place, what, "declare it in the tree's secrets, inherit it, write '{NAME}'")
        return None
    value = node.value
    match argument.type:
        case "string":
            is_right = isinstance(value, str | int | float) and not isinstance(value, bool)
        case "integer":
            is_right = isinstance(value, int) and not isinstance(value, bool)
        case "boolean":
            is_right = isinstance(value, bool)
        case "list":
            is_right = isinstance(value, list)
        case _:
            is_right = isinstance(value, dict)
    if not is_right:
        names = {"string": "text", "integer": "a whole number", "boolean": "true or false"}
        what = f"must be {names.get(argument.type, 'a ' + argument.type)}, is"
        if isinstance(node, Filled) and not node.is_hidden:
            report.problem(node.place, f"{what} '{node.text}'", node.origin)
            return None
        is_bare = argument.type == "list" and node.text and not isinstance(node, Filled)
        hint = f"write [{node.text}]" if is_bare else argument.brief_help
        report.problem(node.place, f"{what} {node.kind}", hint)
        return None
    if isinstance(value, list):
        parts = [_checked(child, argument, report) for child in value]
    elif isinstance(value, dict):
        parts = [
            None if (text := _checked(child, argument, report)) is None else f"{key}={text}"
            for key, child in value.items()
        ]
    else:
        parts = [_checked(node, argument, report)]
    given = [part for part in parts if part is not None]
    return "\n".join(given) if len(given) == len(parts) else None


def _checked(node: Node, argument: Argument, report: Report) -> str | None:
    is_part = argument.type in {"list", "mapping"}
    origin = ""
    if isinstance(node, Filled):
        if node.is_hidden:
            return node.text
        origin = node.origin
    if isinstance(node.value, dict | list) or node.value is None:
        report.problem(node.place, f"must be text, a number, true or false, is {node.kind}")
    elif "\0" in node.text or (is_part and "\n" in node.text):
        report.problem(node.place, f"a {argument.type} cannot hold a line break or NUL here")
    elif argument.allowed and node.text not in argument.allowed:
        hint = _lines(did_you_mean(node.text, argument.allowed, "possible"), origin)
        report.problem(node.place, f"'{node.text}' is not possible here", hint)
    elif argument.pattern and not re.fullmatch(argument.pattern, node.text):
        report.problem(
            node.place,
            f"'{node.text}' is not of the form {argument.pattern}",
            _lines(argument.brief_help, origin),
        )
    else:
        return node.text
    return None


def _lines(*hints: str) -> str:
    return "\n  ".join(hint for hint in hints if hint)


def given_arguments(
    node: Node | None, plugin: str, arguments: Sequence[Argument], asked_at: Place, report: Report
) -> dict[str, tuple[str, Place]]:
    """Check the arguments of a use and return all variables for the script, with their places."""
    known = {argument.name: argument for argument in arguments}
    given = dict(node.items()) if node is not None else {}
    found: dict[str, tuple[str, Place]] = {}
    for name, child in given.items():
        argument = known.get(name)
        if argument is None:
            hint = did_you_mean(name, known, "arguments")
            report.problem(child.key_place, f"plugin '{plugin}' has no argument '{name}'", hint)
            continue
        value = argument_value(child, argument, report)
        if value is not None:
            found[argument.variable] = (value, child.key_place)
    for name, argument in known.items():
        if name in given:
            continue
        if argument.required:
            where = node.key_place if node is not None else asked_at
            report.problem(where, f"plugin '{plugin}' needs the argument '{name}'", argument.brief_help)
        else:
            found[argument.variable] = (argument.default or "", argument.place)
    return found


_Some = TypeVar("_Some", bound=Node)
_BRACED = re.compile(r"\{([A-Z_][A-Z0-9_]*)\}")
_WHOLE = re.compile(r"-?(?:0|[1-9][0-9]*)")
_WORDS = {"true": True, "false": False}


@dataclass(slots=True, eq=False)
class Filled(Node):
    """A text that held variables, with their values put in.

    `origin` says for messages which variables they were and where they were set. `is_hidden`: the value
    is not known yet (a secret, or a stalk that is checked without a tree), so nothing can be checked
    against it.
    """

    origin: str = ""
    is_hidden: bool = False

    def read_as(self, kind: str) -> Filled:
        """Return it as the file would have it: `2` and `true` without quotes, lines as a list or mapping.

        A list has one item a line, a mapping one `key=value` a line, as the script gets them.
        """
        lines = [line.strip() for line in self.text.splitlines() if line.strip()]
        value: Any = None
        if kind == "integer" and _WHOLE.fullmatch(self.text):
            value = int(self.text)
        elif kind == "boolean":
            value = _WORDS.get(self.text)
        elif kind == "list":
            value = [self._with_text(line) for line in lines]
        elif kind == "mapping" and all("=" in line for line in lines):
            value = {key: self._with_text(text) for key, _, text in (line.partition("=") for line in lines)}
        return self if value is None else _copy(self, value=value)

    def _with_text(self, text: str) -> Filled:
        return _copy(self, value=text, text=text)


def fill(node: Node, variables: Mapping[str, Variable], unknown: Collection[str]) -> Node:
    """Return an argument with `{NAME}` replaced for each of the plugin's own variables.

    Values are not looked into again, other braces stay. A secret stands as its marker; `unknown` are
    variables whose values are not known here.
    """
    if isinstance(node.value, list):
        return _copy(node, value=[fill(child, variables, unknown) for child in node.value])
    if isinstance(node.value, dict):
        children = {key: fill(child, variables, unknown) for key, child in node.value.items()}
        return _copy(node, value=children)
    if not isinstance(node.value, str):
        return node
    used = [variables[name] for name in dict.fromkeys(_BRACED.findall(node.text)) if name in variables]
    if not used:
        return node
    text = substitute(node.text.encode(), used).decode()
    origin = ", ".join(f"{one.name} is set at {one.place}" for one in used)
    is_hidden = any(one.secret or one.name in unknown for one in used)
    own = {one.name: getattr(node, one.name) for one in fields(Node)}
    return Filled(**{**own, "value": text, "text": text}, origin=origin, is_hidden=is_hidden)


def secret_of(value: str, variables: Mapping[str, Variable]) -> str:
    """Return the secret whose marker is in a filled argument, empty when there is none."""
    found = (one.secret for one in variables.values() if one.secret)
    return next((secret for secret in found if secret_marker(secret) in value), "")


def _copy(node: _Some, **changed: Any) -> _Some:
    return type(node)(**{one.name: getattr(node, one.name) for one in fields(node)} | changed)
