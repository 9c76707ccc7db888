"""`/api/v1`: projects, builds, steps, files, the queue and the events of a build."""

from __future__ import annotations

import asyncio
import functools
import time
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Header, Query
from fastapi.responses import PlainTextResponse, Response, StreamingResponse
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Gauge, generate_latest
from pydantic import BaseModel, Field
from sse_starlette import EventSourceResponse

from stalker.service.builds.events import read_events
from stalker.service.store import builds, files
from stalker.service.store.builds import QueueFull, Wish
from stalker.service.web import live
from stalker.service.web.context import Reader, Runner, TheWeb
from stalker.service.web.problems import Refused

if TYPE_CHECKING:
    from stalker.service.store.builds import Build
    from stalker.service.web.context import Web

router = APIRouter(prefix="/api/v1")

_STEP = r"[A-Za-z0-9_.-]{1,200}(?::[A-Za-z0-9_.-]{1,200})?"
BRANCH = r"^[A-Za-z0-9_][A-Za-z0-9_./-]*$"


class BuildOut(BaseModel):
    """A build. Times are Unix seconds."""

    number: int
    id: str
    project: str
    tree: str
    ref: str
    branch: str
    commit: str
    state: str = Field(description="queued, running, success, error, timeout, cancelled or replaced")
    cause: str
    start_from: str
    created: float
    started: float | None
    ended: float | None
    exit_code: int | None
    error: str
    tag: str
    attempts: int
    is_cancelled: bool


class FileOut(BaseModel):
    """A published file; `url` downloads it, `link_url` the newest of its kind."""

    build: str
    project: str
    name: str
    link: str
    size_bytes: int
    sha256: str
    url: str
    link_url: str


class StepOut(BaseModel):
    """A step with its verdict, the reason for it, and its state."""

    id: str
    verdict: str
    reason: str
    state: str
    duration_s: float | None
    estimate_s: float | None
    image: str
    error: str


class ProjectOut(BaseModel):
    """A project and its last build."""

    name: str
    tree: str
    repository: str
    after: list[str]
    last: BuildOut | None


class StartIn(BaseModel):
    """A build to start: the newest commit of a branch, or a commit."""

    project: str = Field(max_length=64)
    branch: str = Field(pattern=BRANCH, max_length=250)
    commit: str = Field("", pattern=r"^([0-9a-f]{40}|[0-9a-f]{64})?$")


class AgainIn(BaseModel):
    """A build to run again; `start_from` is STALK or STALK:STEP, empty to go on where it failed."""

    start_from: str = Field("", pattern=f"^({_STEP})?$")


@router.get("/projects", tags=["projects"])
def projects(web: TheWeb, _: Reader) -> list[ProjectOut]:
    """All projects, in the order of the configuration."""
    return [
        ProjectOut(
            name=one.name,
            tree=one.tree,
            repository=one.hook.repository if one.hook else "",
            after=list(one.after),
            last=next(iter(_listed(web, project=one.name, limit=1)), None),
        )
        for one in web.site.service.projects
    ]


@router.get("/builds", tags=["builds"])
def list_builds(
    web: TheWeb,
    _: Reader,
    project: str = "",
    branch: str = "",
    before: Annotated[int, Query(ge=0, le=2**62)] = 0,
    limit: Annotated[int, Query(ge=1, le=200)] = 25,
) -> list[BuildOut]:
    """Builds, newest first; `before` is the number of the last one of the page before."""
    return _listed(web, project=project, branch=branch, before=before, limit=limit)


@router.post("/builds", tags=["builds"], status_code=202)
def start(web: TheWeb, visitor: Runner, body: StartIn) -> BuildOut:
    """Start a build."""
    return out(enqueue_wish(web, wish_for(web, body.project, body.branch, body.commit, visitor.name)))


@router.get("/builds/{build_id}", tags=["builds"])
def get_build(web: TheWeb, _: Reader, build_id: str) -> BuildOut:
    """One build."""
    return out(web.build(build_id))


@router.post("/builds/{build_id}/cancel", tags=["builds"])
def cancel(web: TheWeb, _: Runner, build_id: str) -> BuildOut:
    """Cancel a build that waits or runs; 409 when it is over."""
    return out(cancel_build(web, build_id))


@router.post("/builds/{build_id}/again", tags=["builds"], status_code=202)
def again(web: TheWeb, visitor: Runner, build_id: str, body: AgainIn) -> BuildOut:
    """Run a build's commit again, from a step on if one is named."""
    return out(run_again(web, build_id, body.start_from, visitor.name))


@router.get("/builds/{build_id}/steps", tags=["builds"])
def steps(web: TheWeb, _: Reader, build_id: str) -> list[StepOut]:
    """The steps of a build, in the order of the plan."""
    web.build(build_id)
    return [
        StepOut(
            id=step.id,
            verdict=step.verdict,
            reason=step.reason,
            state=step.state,
            duration_s=step.duration_s,
            estimate_s=step.estimate_s,
            image=step.image,
            error=step.error,
        )
        for step in web.progress(build_id).steps.values()
    ]


@router.get("/builds/{build_id}/steps/{step}/log", tags=["builds"], response_class=PlainTextResponse)
def step_log(web: TheWeb, _: Reader, build_id: str, step: str) -> StreamingResponse:
    """What a step wrote so far, as text."""
    web.build(build_id)
    events = read_events(web.site.places.build(build_id).events)
    parts = (
        str(event["data"]) for _, event in events if event["event"] == "step_output" and event["step"] == step
    )
    return StreamingResponse(parts, media_type="text/plain; charset=utf-8")


@router.get("/builds/{build_id}/log", tags=["builds"], response_class=PlainTextResponse)
def build_log(web: TheWeb, _: Reader, build_id: str) -> StreamingResponse:
    """The whole log of a build as text, streamed while it runs."""
    web.build(build_id)
    return StreamingResponse(live.text(web, build_id), media_type="text/plain; charset=utf-8")


@router.get("/builds/{build_id}/events", tags=["builds"])
async def events(
    web: TheWeb,
    _: Reader,
    build_id: str,
    last_event_id: Annotated[str, Header()] = "",
    after: Annotated[int, Query(ge=0, le=2**62)] = 0,
) -> EventSourceResponse:
    """The events of a build as server-sent events, from the first, or after the last id that was seen."""
    await asyncio.to_thread(web.build, build_id)
    known = int(last_event_id) if last_event_id.isascii() and last_event_id.isdigit() else after
    return EventSourceResponse(live.server_sent(web, build_id, known), ping=15)


@router.get("/builds/{build_id}/files", tags=["files"])
def build_files(web: TheWeb, _: Reader, build_id: str) -> list[FileOut]:
    """The files that a build published."""
    web.build(build_id)
    found = web.site.database.read(lambda connection: files.of_build(connection, build_id))
    return [file_out(file) for file in found]


@router.get("/queue", tags=["builds"])
def queue(web: TheWeb, _: Reader) -> list[BuildOut]:
    """Builds that wait, the oldest first."""
    return [
        out(one) for one in web.site.database.read(lambda connection: builds.in_state(connection, "queued"))
    ]


@router.get("/health", tags=["service"])
def health() -> dict[str, str]:
    """200 as long as the process answers."""
    return {"status": "ok"}


@router.get("/ready", tags=["service"])
def ready(web: TheWeb) -> dict[str, str]:
    """200 when the database answers and builds can start, else 503."""
    web.site.database.read(builds.last_starts)
    if web.site.trouble:
        raise Refused(503, "no build starts", "the page says why")
    return {"status": "ok"}


@router.get("/metrics", tags=["service"], response_class=PlainTextResponse)
def metrics(web: TheWeb, _: Reader) -> Response:
    """Counts for Prometheus."""
    registry = CollectorRegistry()
    by_state = Gauge("stalker_builds", "Builds by state", ["state"], registry=registry)
    oldest = Gauge("stalker_queue_oldest_seconds", "Age of the build that waits longest", registry=registry)
    for state, count in web.site.database.read(builds.counts).items():
        by_state.labels(state).set(count)
    waiting = web.site.database.read(lambda connection: builds.in_state(connection, "queued"))
    oldest.set(time.time() - waiting[0].created if waiting else 0)
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)


def out(build: Build) -> BuildOut:
    """Return a build as the API shows it."""
    return BuildOut(**{name: getattr(build, name) for name in BuildOut.model_fields})


def file_out(file: files.File) -> FileOut:
    """Return a file as the API shows it."""
    url = f"/files/{file.project}"
    return FileOut(
        build=file.build,
        project=file.project,
        name=file.name,
        link=file.link,
        size_bytes=file.size_bytes,
        sha256=file.sha256,
        url=f"{url}/{quote(file.name)}",
        link_url=f"{url}/{quote(file.link)}" if file.link else "",
    )


def _listed(web: Web, **terms: Any) -> list[BuildOut]:
    return [out(one) for one in web.site.database.read(functools.partial(builds.listed, **terms))]


def wish_for(web: Web, project: str, branch: str, commit: str, visitor: str) -> Wish:
    """Return the wish of a visitor. Raises Refused where there is no such project."""
    own = web.site.service.project(project)
    if own is None:
        raise Refused(404, f"there is no project '{project}'")
    return Wish(own.name, own.tree, f"refs/heads/{branch}", commit, f"started by {visitor}")


def run_again(web: Web, build_id: str, start_from: str, visitor: str) -> Build:
    """Queue a build's commit again. Raises Refused."""
    old = web.build(build_id)
    if web.site.service.project(old.project) is None:
        raise Refused(409, f"the project {old.project} is not in the configuration any more")
    cause = f"again by {visitor}" + (f", from {start_from}" if start_from else "")
    wish = Wish(old.project, old.tree, old.ref, old.commit, cause, old.push, start_from)
    return enqueue_wish(web, wish)


def enqueue_wish(web: Web, wish: Wish) -> Build:
    """Put a build into the queue. Raises Refused when it is full."""
    limit = web.site.service.limits.queued
    try:
        build = web.site.database.write(
            functools.partial(builds.enqueue, wish=wish, queued_max=limit, is_newer=False)
        )
    except QueueFull:
        raise Refused(429, "the queue is full", "try again later", {"Retry-After": "60"}) from None
    web.site.wake.set()
    return build


def cancel_build(web: Web, build_id: str) -> Build:
    """Cancel a build. Raises Refused when it is over."""
    web.build(build_id)
    cancelled = web.site.database.write(lambda connection: builds.cancel(connection, build_id))
    if cancelled is None:
        raise Refused(409, "the build is over")
    web.site.wake.set()
    return cancelled
