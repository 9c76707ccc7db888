"""A step's state becomes an image: labels, the commit, and the sweeping of what mounts left.

A failed step's state is committed too, next to, under labels that no look-up by fingerprint finds.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

from stalker import __version__
from stalker.model import labels
from stalker.model.tree import Option
from stalker.run.mounts import remove_folders

if TYPE_CHECKING:
    from stalker.engine.interface import Engine
    from stalker.run.job import Job
    from stalker.run.session import Session, Sessions


def commit_step(
    job: Job, sessions: Sessions, session: Session, *, log: str, script_s: float, left: int
) -> str:
    """Commit and tag a step, the stalk's last also as `:final`; return the image id.

    `left` is how many processes the script left running: then the container is paused meanwhile.
    """
    engine, name = sessions.engine, job.step.name
    stubs = session.stubs_to_sweep
    if stubs:
        session = _swept(job, sessions, session, stubs)
    made = {
        **_history(job, log, script_s),
        labels.FINGERPRINT: job.fingerprint,
        labels.COMMIT: job.commit,
        labels.STEP: f"{job.repository}:{name}",
        labels.MADE_FROM: json.dumps({"start": session.spec.image, **job.parents}, sort_keys=True),
    }
    try:
        image = engine.commit(
            session.container,
            job.repository,
            name,
            {**_cleared(session), **made},
            session.start.config,
            labels.COMMENT + job.fingerprint,
            pause=left > 0,
        )
    finally:
        if stubs:
            sessions.drop(session)
    if job.is_last and name != "final":
        engine.tag(image, f"{job.repository}:final")
    return image


def commit_failed(job: Job, engine: Engine, session: Session, *, log: str, script_s: float) -> str:
    """Commit what a failed step left as `<step>.failed`; return the image id. Raises EngineError."""
    made = {**_history(job, log, script_s), labels.FAILED: f"{job.repository}:{job.step.name}"}
    return engine.commit(
        session.container,
        job.repository,
        f"{job.step.name}.failed",
        {**_cleared(session), **made},
        session.start.config,
        f"stalker failed step {job.step.id}",
        pause=True,
    )


def _history(job: Job, log: str, script_s: float) -> dict[str, str]:
    return {
        labels.VERSION: __version__,
        labels.TREE: job.tree_file,
        labels.RUN: job.run,
        labels.DURATION: f"{script_s:.3f}",
        labels.INPUTS: json.dumps(
            job.inputs, sort_keys=True
        ),  # ASCII: an engine keeps no bytes that are not UTF-8
        labels.LOG: log,
    }


def _cleared(session: Session) -> dict[str, str]:
    """Return our labels that the image would inherit, emptied: they are of another step or of a temporary image."""
    inherited = {name for name in session.start.labels if name.startswith(labels.PREFIX)}
    return dict.fromkeys(sorted({*inherited, labels.TEMPORARY}), "")


def _swept(job: Job, sessions: Sessions, session: Session, stubs: list[str]) -> Session:
    """Return a container without mounts in which the empty directories of mounts are gone.

    A mount point cannot be removed while it is mounted, so this takes a container of its own, without a network.
    """
    engine = sessions.engine
    temporary = engine.commit(
        session.container,
        "",
        "",
        {**_cleared(session), labels.VERSION: __version__, labels.RUN: job.run, labels.TEMPORARY: job.run},
        session.start.config,
        "",
        pause=False,
    )
    no_network = Option("network_mode", '"none"', counts=False, place=job.step.place)
    step = replace(job.step, mounts=(), options=(no_network,))
    bare = sessions.fresh(replace(job, step=step, image=temporary))
    remove_folders(engine, bare.container, stubs)
    return bare
