"""Why a script was not run, or what it left was refused: what the container reports, in words and with places."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stalker.errors import StepFailed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stalker.model.tree import Step
    from stalker.run.script.payload import Payload
    from stalker.run.script.report import Trouble


PATHS_MAX = 3
"""More places of one file than this are counted, not named."""


def hindrance(step: Step, trouble: Trouble, payload: Payload, output: str) -> StepFailed:
    """Return the error for a script that was not run; `output` is what the shell printed of it."""
    kind, text = trouble.kind, trouble.text
    if kind == "meet":
        return _meeting(step, text, payload)
    if kind == "workdir":
        return StepFailed(
            f"{step.id}: the directory {payload.start.workdir} does not exist in the container",
            f"working_dir{_place_of_option(step, 'working_dir')}",
            "make it in an earlier step, or name one that exists",
        )
    if kind == "interpreter":
        return StepFailed(
            f"{step.id}: {step.script.interpreter[0]} does not exist in the container",
            f"the first line of the script names it ({step.script.place.short})",
            "install it in an earlier step, or begin the script with a program that the image has",
        )
    if kind == "unknown":
        return StepFailed(
            f"{step.id}: the image has no user or group named {text}",
            f"user{_place_of_option(step, 'user')}",
            "create it in an earlier step, or give its number",
        )
    if kind == "variable":
        return StepFailed(
            f"{step.id}: the shell of the image does not accept the variable {text}",
            f"{text}{_place_of_variable(step, text)}",
            "give the variable another name; shells keep some, as UID and PPID, for themselves",
        )
    return StepFailed(
        f"{step.id}: could not put {text} in its place",
        output,
        "is a directory of that name in the image, is the file system read-only, "
        "or does a link lead into a mount?",
    )


def survived(step: Step, survivors: Sequence[tuple[int, str, str]], payload: Payload) -> StepFailed:
    """Return the error for placed files that a script moved or linked to where an image would hold them."""
    briefs = []
    places = []
    is_secret = False
    for number, name, paths in survivors:
        file = payload.placed_at(number, name)
        target = file.target if file else name
        secret = ", which holds a secret," if file is not None and file.is_secret else ""
        found = paths.splitlines()
        more = [f"{len(found) - PATHS_MAX} other places"] if len(found) > PATHS_MAX else []
        where = " and ".join([*found[:PATHS_MAX], *more]) or "another place"
        briefs.append(f"{target}{secret} was moved or linked to {where}")
        places.append(_place_of_file(step, target))
        is_secret |= bool(secret)
    return StepFailed(
        f"{step.id}: {briefs[0]}",
        "; ".join([*briefs[1:], f"{places[0]} is placed for the step alone and is never part of an image"]),
        "leave the file where it is: a secret must not get into an image"
        if is_secret
        else "copy the file instead (cp), or place it with `copy` where the image is to have it",
    )


def _meeting(step: Step, text: str, payload: Payload) -> StepFailed:
    first, second, name = text.split(":", 2)
    files = [payload.placed_at(int(number), name) for number in (second, first)]
    said = " and ".join(f"{file.target} (plugin {file.plugin})" for file in files if file is not None)
    return StepFailed(
        f"{step.id}: {said} are one file in the image",
        "a link in the image leads one of the directories to the other",
        "place it once, under its real path",
    )


def _place_of_file(step: Step, target: str) -> str:
    return next(
        (f"{target} ({file.place.short})" for file in step.files if file.target == target), "the file"
    )


def _place_of_option(step: Step, name: str) -> str:
    return next(
        (f" ({option.place.short})" for option in step.options if option.name == name), " of the image"
    )


def _place_of_variable(step: Step, name: str) -> str:
    return next((f" ({one.place.short})" for one in step.variables if one.name == name), "")
