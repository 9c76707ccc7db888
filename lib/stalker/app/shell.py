"""Restore for a shell what a step had when its image was committed, by the label of the image.

Values that the label has in full are restored. Of contents it has only digests: files, mounted directories and
the script are the current ones, and a note names each that differs.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from stalker.model.identity import platform_text
from stalker.model.variables import Variable
from stalker.plan import fingerprint, format_1

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from stalker.model.tree import Step

_SHORTENED = re.compile(r".{60}\.\.\. \(sha256 [0-9a-f]{64}\)", re.DOTALL)
_SECRET = "secret "  # noqa: S105
_NOT_IN_A_SHELL = ("parent", "needs ", "base", "format", "copy ", "copys", "late copy")
"""Inputs that are in the image itself, whatever the tree has now."""

SHOWN_MAX = 60


def restore_step(
    step: Step, inputs: Mapping[str, str], given: Collection[str], secrets: Collection[str]
) -> tuple[Step, list[str]]:
    """Return the step with the variables it had then, and a note for each thing that differs.

    `inputs` are of the image's label; without them the step stays as it is. `given` are
    variables that the user has set now: those keep their value. `secrets` are names that the tree knows.
    """
    if not inputs:
        return step, []
    now = fingerprint.step_inputs(step)
    inputs = {name: fingerprint.without_code(value) for name, value in inputs.items()}
    # A stalk that names no platform runs as its base does, and that is the same image.
    platform = platform_text(step.platform, None) or inputs.get("platform")
    now |= {"platform": platform} if platform else {}
    if inputs.get("format") == format_1.FORMAT:
        now, inputs = (
            {name: value for name, value in fields.items() if not name.startswith(("platform", "directory "))}
            for fields in (now, inputs)
        )
    kinds = ("variable ", "envplugin ")
    mine = {name for name in {*inputs, *now} if name.startswith(kinds) and " in " not in name}
    variables = {variable.name: variable for variable in step.variables}
    environment = dict(step.environment)
    notes = []
    for field in sorted(mine):
        kind, _, name = field.partition(" ")
        old, new = inputs.get(field), now.get(field)
        if old == new:
            continue
        if name in given:
            notes.append(
                f"{name} was {_value_text(old)} then; the shell has {_value_text(new)}, as --set says"
            )
            continue
        if not _is_whole(old, secrets):
            has = "that of now"
        elif old is None:
            has = "none"
            (variables if kind == "variable" else environment).pop(name, None)
        else:
            has = _value_text(old)
            if kind == "variable":
                variables[name] = _variable(step, name, old)
            else:
                environment[name] = old
        notes.append(
            f"{name} was {_value_text(old)} then, the tree says {_value_text(new)} now; the shell has {has}"
        )
    notes += [
        f"{text} since then; the shell has what the tree says now"
        for text in fingerprint.differences(step, _rest(inputs, mine), _rest(now, mine))
    ]
    return replace(step, variables=tuple(variables.values()), environment=tuple(environment.items())), notes


def _rest(fields: Mapping[str, str], taken: Collection[str]) -> dict[str, str]:
    return {
        name: value
        for name, value in fields.items()
        if name not in taken and not name.startswith(_NOT_IN_A_SHELL)
    }


def _is_whole(old: str | None, secrets: Collection[str]) -> bool:
    """Return whether the label has the value in full."""
    if old is None:
        return True
    if old.startswith(_SECRET):
        return old.removeprefix(_SECRET) in secrets
    return _SHORTENED.fullmatch(old) is None


def _variable(step: Step, name: str, old: str) -> Variable:
    if old.startswith(_SECRET):
        return Variable(name, "", step.place, secret=old.removeprefix(_SECRET))
    return Variable(name, old, step.place)


def _value_text(value: str | None) -> str:
    if value is None:
        return "not set"
    if not value:
        return "empty"
    line = value.replace("\n", "\\n")
    return line if len(line) <= SHOWN_MAX else f"{line[:SHOWN_MAX]}..."
