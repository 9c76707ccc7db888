"""The end of a build: what is published, recorded, reported and built next, in this order.

Publishing may be done twice and gives the same. The rest is one transaction: a build that is recorded as
successful has its files, its messages and the builds after it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from stalker.service.builds.events import Progress
from stalker.service.builds.publish import publish, tag_image
from stalker.service.queue.prepare import FALLS_BACK, artifacts_of
from stalker.service.store import builds, files, messages
from stalker.service.store.builds import QueueFull, State, Wish

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from stalker.model.service import Project
    from stalker.service.site import Site
    from stalker.service.store.builds import Build
    from stalker.service.store.files import File

FORGE_STATES: dict[str, Literal["pending", "success", "error"]] = {
    "queued": "pending",
    "running": "pending",
    "success": "success",
}
"""Commit statuses; every other state is an error."""


def succeed(site: Site, build: Build) -> None:
    """Tag and publish what a build made, and record it. Raises StalkerError, OSError."""
    project = site.service.project(build.project)
    progress = Progress().read_on(site.places.build(build.id).events)
    made: list[File] = []
    if project is not None:
        tag = tag_image(build, project, progress.last_image)
        made = publish(build, project, artifacts_of(site, project), site.storage)
        base = next((one["reason"] for one in progress.bases.values()), "")
        site.database.write(
            lambda connection: builds.set_fields(connection, build.id, tag=tag, base_image=base[:400])
        )
    record_end(site, build, "success", exit_code=0, made=made)


def record_end(
    site: Site,
    build: Build,
    state: State,
    *,
    exit_code: int | None = None,
    error: str = "",
    made: Sequence[File] = (),
) -> None:
    """Record the end of a build with its files, messages and dependents."""
    progress = Progress().read_on(site.places.build(build.id).events)

    def write(connection: Connection) -> None:
        ended = builds.finish(connection, build.id, state, exit_code=exit_code, error=error)
        if ended is None:
            return
        texts = {"container": progress.container, "console": json.dumps(list(progress.console))}
        builds.set_fields(connection, build.id, **texts)
        for file in made:
            files.add(connection, file)
        report(connection, site, ended)
        if state == "success":
            _enqueue_dependents(connection, site, ended)

    site.database.write(write)


def report(connection: Connection, site: Site, build: Build) -> None:
    """Store the messages on a build's state: a commit status, and notifications of its end."""
    project = site.service.project(build.project)
    if project is None:
        return
    if project.status is not None and build.commit:
        state = FORGE_STATES.get(build.state, "error")
        content = {"project": project.name, "commit": build.commit, "state": state, "said": said(build)}
        messages.add(connection, build.id, "status", content)
    if build.is_ended and build.state != "replaced":
        for secret in project.notify:
            title = f"{build.project} {build.branch}: {build.state}"
            url = f"{site.public_url}/builds/{build.id}"
            content = {"secret": secret, "title": title, "body": f"{said(build)}\n{url}"}
            messages.add(connection, build.id, "notify", content)


def said(build: Build) -> str:
    """Return the state of a build as one line."""
    first = build.error.splitlines()[0] if build.error else ""
    return f"{build.state}: {first}"[:140] if first else build.state


def _enqueue_dependents(connection: Connection, site: Site, build: Build) -> None:
    limits = site.service.limits
    for project in site.service.projects:
        if build.project in project.after:
            wish = _wish_after(project, build)
            try:
                builds.enqueue(connection, wish, queued_max=limits.queued * 2, is_newer=True)
            except QueueFull:
                text = f"{project.name} was not queued after it: the queue is full"
                builds.set_fields(connection, build.id, error=text)


def _wish_after(project: Project, build: Build) -> Wish:
    commit = "" if project.git else build.commit
    cause = f"after {build.project} #{build.number}"
    push = {"pusher": build.push.get("pusher", ""), FALLS_BACK: True}
    return Wish(project.name, project.tree, build.ref, commit, cause, push)
