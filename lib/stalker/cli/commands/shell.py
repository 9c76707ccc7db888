"""`stalker shell`: a shell in the image that a step left, with what the step had around it.

image    the one that REF names: the state after the step, or what it left when it failed
step     from --tree, else from the tree that the image's label names, else none: a plain shell
around   mounts, options, platform; files placed as for the script; variables and secrets
inside   bash where there is one, else sh; or the command given
--commit a tag that no plan takes for a step's work
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from stalker.app.committed.refs import find_ref
from stalker.app.environment import connect
from stalker.app.inputs import has_unsettled, provided_inputs
from stalker.app.lock import settle_locked
from stalker.app.shell import restore_step
from stalker.app.trees import read_tree
from stalker.cli.options import WITH, need_tree, parse_overrides
from stalker.config.tree.secrets import read_secrets
from stalker.errors import FilesError, PlanError
from stalker.io.signals import ended_by_signals
from stalker.model import labels
from stalker.model.images import Image, short_id
from stalker.plan.image_index import inputs_of
from stalker.run.shell import COMMENT, Opening, open_shell, say

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stalker.app.settings import Settings
    from stalker.engine.interface import Engine
    from stalker.model.tree import Stalk, Step, Tree

TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")


@click.command(
    epilog="What follows -- is run instead of a shell, and its exit code passed on: "
    "stalker shell stage3:install --tree TREE -- ls -l /etc"
)
@click.argument("ref")
@click.argument("command", nargs=-1)
@click.option("--tree", metavar="TREE", help="The tree that REF belongs to; default: the image says it.")
@click.option(
    "--commit",
    metavar="TAG",
    default="",
    help="Keep the result under this tag; of a command only when it ends with 0.",
)
@click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="VAR=VALUE",
    help="Set a variable; else it has the value that the step had.",
)
@WITH
@click.pass_context
def shell(
    ctx: click.Context,
    ref: str,
    command: tuple[str, ...],
    tree: str | None,
    commit: str,
    overrides: tuple[str, ...],
    with_files: tuple[str, ...],
) -> None:
    """Open a shell in a committed or failed step.

    REF is `stalk:step`, a full image name, or a fingerprint; `stalk:step.failed` is what a failed step
    left. It opens in the state after that step, with the variables it had, its files and mounts.
    """
    given = parse_overrides(overrides)
    need_tree(tree, with_files, "--tree TREE")
    read = read_tree(ctx.obj, tree, given, with_files) if tree else None
    engine = connect()
    try:
        name, image = find_ref(engine, ref, read)
        image = engine.image(image.id) or image
        opening = find_opening(ctx.obj, name, image, read, given)
        if commit:
            check_tag(engine, opening, commit)
        with ended_by_signals(), _with_inputs(ctx.obj, opening, read, given) as ready:
            ctx.exit(open_shell(engine, ready, command, commit))
    finally:
        engine.close()


@contextlib.contextmanager
def _with_inputs(
    settings: Settings, opening: Opening, tree: Tree | None, given: dict[str, str]
) -> Iterator[Opening]:
    """Yield what a shell has, with the files that are fetched for its step."""
    if opening.step is None:
        yield opening
        return
    tree = tree or read_tree(settings, opening.tree_file, given)
    step = replace(opening.step, copies=(), late_copies=())  # they are in the image
    with provided_inputs(tree, [step], opening.secrets, os.environ, say) as prepare:
        yield replace(opening, step=prepare(step))


def find_opening(
    settings: Settings, name: str, image: Image, tree: Tree | None, given: dict[str, str] | None = None
) -> Opening:
    """Find out which step left an image and what it had around it.

    Says on stderr what is missing, and what is not as it was. `given` are variables that the user sets.

    Raises:
        FilesError: variables are given, and the tree that the image names cannot be read with them.
    """
    tree_file = tree.file if tree else image.labels.get(labels.TREE, "")
    if tree is None and tree_file:
        try:
            tree = read_tree(settings, tree_file, given)
        except FilesError as error:
            if given:
                raise
            say(f"{tree_file} cannot be read: {error.problems[0].what}")
    if tree is not None and has_unsettled(tree):
        tree, _ = settle_locked(tree, {}, os.environ, say)
    bare = Opening(
        image=image,
        title=name,
        repository=_repository(name),
        workspace=tree.workspace if tree else settings.workspace,
        tree_file=tree_file,
        user=_user(None, image),
        reserved=frozenset(step.name for stalk in tree.stalks for step in stalk.steps)
        if tree
        else frozenset(),
    )
    found = find_step(tree, name, image) if tree else None
    if tree is None or found is None:
        why = (
            f"tree {tree.name} has no step that left {name}"
            if tree
            else f"no tree has a step that made {name}"
        )
        say(f"{why}: a plain shell, without environment, files and mounts of a step")
        return bare
    stalk, step = found
    known = {secret.name for secret in tree.secrets}
    step, notes = restore_step(step, inputs_of(image), given or {}, known)
    for note in notes:
        say(note)
    for other in stalk.steps:
        if other.daemonize and other.name != step.name:
            say(f"{other.id} is not up here: a shell starts no daemonized step")
    return replace(
        bare,
        title=f"{step.id}.failed" if image.labels.get(labels.FAILED) else step.id,
        repository=stalk.repository,
        step=step,
        secrets=_read_secrets(tree, step),
        user=_user(step, image),
        workdir=str(_option(step, "working_dir") or ""),
    )


def find_step(tree: Tree, name: str, image: Image) -> tuple[Stalk, Step] | None:
    """Return the step that left an image: by its labels, else by its name; of a kept shell its step.

    An image whose labels name a step of another tree is that one's work, which a step of this tree shares.
    """
    known = image.labels.get(labels.STEP) or image.labels.get(labels.FAILED)
    for label in dict.fromkeys(filter(None, (known, name))):
        for stalk in tree.stalks:
            for step in stalk.steps:
                full = f"{stalk.repository}:{step.name}"
                if label in {full, f"{full}.failed"} or image.comment == f"{COMMENT}{full}":
                    return stalk, step
    return None


def check_tag(engine: Engine, opening: Opening, tag: str) -> None:
    """Refuse a tag that could be taken for a step's work, or that another image has.

    Raises:
        PlanError: with the reason.
    """
    if not TAG.fullmatch(tag):
        raise PlanError(
            f"--commit {tag}: not a valid tag", "a tag is at most 128 letters, digits, '_', '.' and '-'"
        )
    if not opening.repository:
        raise PlanError(
            f"--commit {tag}: {opening.title} has no repository for a tag",
            "",
            "open it by the name of a tag",
        )
    if tag in {"initial", "final"} or tag.endswith(".failed") or tag in opening.reserved:
        raise PlanError(
            f"--commit {tag}: that is the name of a step's own work",
            "what a shell left must never pass for what a step left",
            "take another tag",
        )
    there = engine.image(f"{opening.repository}:{tag}")
    if there is not None and not there.comment.startswith(COMMENT):
        raise PlanError(
            f"--commit {tag}: {opening.repository}:{tag} is there already, and no shell left it",
            f"image {short_id(there.id)}",
            "take another tag",
        )


def _read_secrets(tree: Tree, step: Step) -> dict[str, str]:
    """Return the step's secrets that are available, and report the others."""
    scopes = (step.variables, *(file.variables for file in step.files))
    found: dict[str, str] = {}
    for name in sorted(
        {variable.secret for variables in scopes for variable in variables if variable.secret}
    ):
        try:
            found |= read_secrets(tree, [name], os.environ)
        except FilesError as error:
            say(f"the secret {name} is missing in this shell: {error.problems[0].what}")
    return found


def _user(step: Step | None, image: Image) -> str:
    return str((_option(step, "user") if step else None) or image.config.get("User") or "")


def _option(step: Step, name: str) -> object:
    return next((json.loads(option.value) for option in step.options if option.name == name), None)


def _repository(name: str) -> str:
    """Return a name without its tag; empty for an id."""
    head, colon, tag = name.rpartition(":")
    if not colon or "/" in tag or head == "sha256" or "@" in name:
        return ""
    return head
