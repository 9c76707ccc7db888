"""The container of a shell: started as for the step, its files placed, a program run, kept or not.

It is removed whatever happens. It carries the label of a run, so what a kill leaves is swept by the
next run. What is kept holds nothing of ours: files are taken away, mount points swept, and the labels
that described a step emptied.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets as random_source
import sys
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from stalker import __version__
from stalker.errors import EngineError
from stalker.model import labels
from stalker.model.images import Image, short_id
from stalker.run.mounts import folders_of_mounts, image_without_volumes, prepare_mounts, remove_folders
from stalker.run.script.run_script import take_away

if TYPE_CHECKING:
    from stalker.engine.docker.adapter import DockerEngine
    from stalker.engine.docker.attach import Program
    from stalker.engine.interface import ContainerSpec, Engine
    from stalker.model.tree import Step
    from stalker.run.script.payload import Payload

COMMENT = "stalker shell "
"""What the comment of a kept shell starts with; the step whose surroundings it had follows."""

RC = "/dev/.stalker/rc"
"""/dev is a tmpfs in each container, so neither this nor a history of commands is ever in an image."""

HISTORY = "/dev/.stalker/history"

INTERACTIVE = (
    "/bin/sh",
    "-c",
    f"if command -v bash >/dev/null 2>&1; then exec bash --rcfile {RC} -i; fi; export ENV={RC}; exec sh -i",
)
PLAIN = ("/bin/sh", "-c", "if command -v bash >/dev/null 2>&1; then exec bash; fi; exec sh")

TERMINALS = {"linux", "screen", "screen-256color", "tmux-256color", "vt100", "xterm", "xterm-256color"}
"""Terminals that a small image is likely to know; any other is taken for xterm."""


@dataclass(frozen=True, slots=True)
class Opening:
    """What is opened: an inspected image under its name, and what the step had around it.

    `title` is what the prompt shows. `step` is None where it is not known it. `user` and `workdir` are
    empty for the container's own. `repository` is empty where the image has no name. `reserved` are
    the names of the tree's steps: no tag for what a shell leaves.
    """

    image: Image
    title: str
    repository: str
    workspace: str
    tree_file: str = ""
    step: Step | None = None
    secrets: dict[str, str] = field(default_factory=dict)
    user: str = ""
    workdir: str = ""
    reserved: frozenset[str] = frozenset()

    @property
    def environment(self) -> dict[str, str]:
        """The variables that the step's script had, except secrets that are not available."""
        if self.step is None:
            return {}
        found = dict(self.step.environment)
        for variable in self.step.variables:
            if not variable.secret:
                found[variable.name] = variable.value
            elif variable.secret in self.secrets:
                found[variable.name] = self.secrets[variable.secret]
        return found


def open_shell(engine: DockerEngine, opening: Opening, command: tuple[str, ...], tag: str) -> int:
    """Run a shell, or a command, in a container of its own; return its exit code.

    With a `tag` the result is kept: always after a shell in a terminal, else when the exit code is 0.
    """
    from stalker.engine.run_id import new_run_id

    run = new_run_id(time.time())
    spec = container_spec(opening, run)
    spec = replace(spec, image=image_without_volumes(engine, opening.image, run))
    prepare_mounts(engine, opening.step.mounts if opening.step else (), opening.workspace)
    container = engine.create(spec)
    try:
        engine.start(container)
        payload = place_files(engine, container, opening)
        is_terminal = sys.stdin is not None and os.isatty(0) and os.isatty(1)
        code = _talk(engine, container, opening, command, is_terminal=is_terminal)
        is_kept = bool(tag) and (code == 0 or (is_terminal and not command))
        if payload is not None and is_kept:
            take_away(engine, container, payload)
        if is_kept:
            name = f"{opening.repository}:{tag}"
            image = keep(engine, container, spec, opening, tag)
            say(f"kept as {name} ({short_id(image)})")
        elif tag:
            say(f"not kept as {opening.repository}:{tag}: the command ended with {code}")
        return code
    finally:
        engine.remove_container(container)
        if spec.image != opening.image.id:
            with contextlib.suppress(EngineError):  # what was kept grows on it
                engine.untag(spec.image)


def container_spec(opening: Opening, run: str) -> ContainerSpec:
    """Return how the container is started: as the step's own, with the label of a run of its own."""
    from stalker.engine.interface import ContainerSpec

    step = opening.step
    return ContainerSpec(
        image=opening.image.id,
        name=f"stalker-shell-{random_source.token_hex(6)}",
        labels={labels.RUN: run, labels.VERSION: labels.CONTAINER},
        mounts=step.mounts if step else (),
        options=step.options if step else (),
        platform=step.platform if step else "",
        workspace=opening.workspace,
    )


def place_files(engine: Engine, container: str, opening: Opening) -> Payload | None:
    """Put the step's files where its script found them; its copies are in the image already.

    Raises:
        EngineError: one could not be placed.
    """
    from stalker.run.script.payload import Start, make_payload
    from stalker.run.script.run_script import place

    payload = None
    if opening.step is not None:
        step = replace(opening.step, copies=(), late_copies=())
        payload = make_payload(step, opening.secrets, random_source.token_hex(8), Start({}))
        place(engine, container, payload)
    program = (
        f'umask 022; mkdir -p {os.path.dirname(RC)} && printf %s "$1" >{RC}'  # noqa: PTH120
        f" && : >{HISTORY} && chmod 666 {HISTORY}"
    )
    argv = ("/bin/sh", "-c", program, "stalker", settings_of_shell(opening.title))
    said = bytearray()
    code = engine.exec(container, argv, {}, lambda data, _: said.extend(data), user="0")
    if code != 0:
        raise EngineError("could not prepare a shell in the container", _text(said))
    return payload


def settings_of_shell(title: str) -> str:
    """Return what bash or sh reads when it starts: the image's own settings, then our prompt."""
    name = re.sub(r"[^A-Za-z0-9_./:@-]", "_", title)
    return f"""\
if [ -n "${{BASH_VERSION-}}" ]; then
  if [ -r /etc/bash.bashrc ]; then . /etc/bash.bashrc; fi
  if [ -r /etc/bash/bashrc ]; then . /etc/bash/bashrc; fi
  if [ -r ~/.bashrc ]; then . ~/.bashrc; fi
else
  unset ENV
fi
HISTFILE={HISTORY}
if [ "$(id -u)" = 0 ]; then PS1='{name} $PWD# '; else PS1='{name} $PWD$ '; fi
"""


def _talk(
    engine: DockerEngine, container: str, opening: Opening, command: tuple[str, ...], *, is_terminal: bool
) -> int:
    """Run the shell or command with our terminal or our pipes; return its exit code."""
    from stalker.engine.docker import attach

    program = attach.Program(
        container,
        _argv(command, is_terminal=is_terminal),
        opening.environment,
        opening.user,
        opening.workdir,
    )
    if not is_terminal:
        stdin = None if sys.stdin is None else 0
        return attach.run_in_pipes(engine, program, stdin=stdin, stdout=1, stderr=2)
    if not command:
        say(f"{opening.title}: image {short_id(opening.image.id)}; `exit` ends it")
    return attach.run_in_terminal(engine, _with_term(program), stdin=0, stdout=1)


def _argv(command: tuple[str, ...], *, is_terminal: bool) -> tuple[str, ...]:
    if command:
        # By way of a shell: it says in one line what is not there, and ends with 127.
        return ("/bin/sh", "-c", 'exec "$@"', "sh", *command)
    return INTERACTIVE if is_terminal else PLAIN


def _with_term(program: Program) -> Program:
    term = os.environ.get("TERM", "")
    known = term if term in TERMINALS else "xterm"
    return replace(program, environment={"TERM": known, **program.environment})


def keep(engine: Engine, container: str, spec: ContainerSpec, opening: Opening, tag: str) -> str:
    """Commit what the shell left, with the image's own configuration; return the image id.

    Labels that described a step are emptied: no plan finds it by fingerprint, step or base.
    """
    from stalker.engine.docker.container_options import mount_points

    image = opening.image
    step = opening.step
    comment = f"{COMMENT}{opening.repository}:{step.name}" if step else COMMENT
    cleared = {name: "" for name in image.labels if name.startswith(labels.PREFIX)}
    made = {**cleared, labels.TEMPORARY: "", labels.VERSION: __version__, labels.TREE: opening.tree_file}
    points = mount_points(spec)
    if not points:
        return engine.commit(container, opening.repository, tag, made, image.config, comment, pause=True)
    run = spec.labels[labels.RUN]
    half = engine.commit(container, "", "", {**made, labels.TEMPORARY: run}, image.config, "", pause=True)
    half = image_without_volumes(engine, replace(image, id=half), run)
    bare = engine.create(replace(spec, image=half, name=f"{spec.name}-bare", mounts=(), options=()))
    try:
        engine.start(bare)
        _sweep_mount_points(engine, bare, points, opening)
        return engine.commit(
            bare, opening.repository, tag, {**made, labels.TEMPORARY: ""}, image.config, comment, pause=False
        )
    finally:
        engine.remove_container(bare)


def _sweep_mount_points(engine: Engine, container: str, points: list[str], opening: Opening) -> None:
    """Remove the empty directories that the engine made for mounts and that the stalk's start lacked."""
    initial = engine.image(f"{opening.repository}:initial")
    missing = engine.missing_paths((initial or opening.image).id, folders_of_mounts(points))
    remove_folders(engine, container, missing)


def _text(said: bytearray) -> str:
    return said.decode("utf-8", "replace").strip()


def say(text: str) -> None:
    """Tell the user; what a shell shows is on stdout."""
    print(f"stalker: {text}", file=sys.stderr)
