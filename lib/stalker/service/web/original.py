"""The routes of 0-autobuilder, with its JSON fields. Its states are those that its pages know."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import APIRouter
from fastapi.responses import PlainTextResponse, StreamingResponse

from stalker.service.store import builds, files
from stalker.service.web import live
from stalker.service.web.context import Reader, TheWeb
from stalker.service.web.problems import Refused

if TYPE_CHECKING:
    from stalker.service.store.builds import Build
    from stalker.service.web.context import Web

router = APIRouter(tags=["original"])

SHORT = 25


@router.get("/build/status")
def status(web: TheWeb, _: Reader) -> dict[str, dict[str, Any]]:
    """Builds that wait or run, by id."""
    found = web.site.database.read(lambda connection: builds.in_state(connection, "queued", "running"))
    return {build.id: _fields(web, build) for build in found}


@router.get("/build/history")
def history(web: TheWeb, _: Reader) -> list[dict[str, Any]]:
    """The last 25 builds that are over, newest first."""
    return _history(web, SHORT)


@router.get("/build/history/full")
def full_history(web: TheWeb, _: Reader) -> list[dict[str, Any]]:
    """All builds that are over, newest first."""
    return _history(web, 0)


@router.get("/build/logs/{project}/{name}/{branch:path}", response_class=PlainTextResponse)
def logs(web: TheWeb, _: Reader, project: str, name: str, branch: str) -> StreamingResponse:
    """The log of the newest build of a repository and branch as text, streamed while it runs."""
    repository = f"{project}/{name}"
    own = next(
        (
            one
            for one in web.site.service.projects
            if one.hook is not None and one.hook.repository == repository
        ),
        None,
    )
    found = (
        web.site.database.read(
            lambda connection: builds.listed(connection, project=own.name, branch=branch, limit=1)
        )
        if own is not None
        else []
    )
    if not found:
        raise Refused(404, f"there is no build of {repository} at {branch}")
    return _log(web, found[0])


@router.get("/report/{build_id}", response_class=PlainTextResponse)
def report(web: TheWeb, _: Reader, build_id: str) -> StreamingResponse:
    """The log of a build as text, streamed while it runs."""
    return _log(web, web.build(build_id))


def _log(web: Web, build: Build) -> StreamingResponse:
    return StreamingResponse(live.text(web, build.id), media_type="text/plain; charset=utf-8")


def _history(web: Web, limit: int) -> list[dict[str, Any]]:
    found = web.site.database.read(lambda connection: builds.listed(connection, limit=limit, only_ended=True))
    return [{"id": build.id, **_fields(web, build), "baseimage": build.base_image} for build in found]


def _fields(web: Web, build: Build) -> dict[str, Any]:
    progress = web.progress(build.id) if build.state == "running" else None
    made = files.of_build if build.state == "success" else None
    published = web.site.database.read(lambda connection: made(connection, build.id)) if made else []
    return {
        "status": _state(web, build),
        "name": f"{build.project}/{build.branch}",
        "monitor": list(progress.console) if progress else list(build.console),
        "docker": progress.container if progress else build.container,
        "started": int(build.started or build.created),
        "ended": int(build.ended) if build.ended else None,
        "error": build.error or None,
        "commits": list(build.push.get("commits", [])),
        "artifact": f"{published[0].project}/{published[0].name}" if published else None,
        "tag": build.tag or None,
    }


def _state(web: Web, build: Build) -> str:
    if build.state == "queued":
        return "creating"
    if build.state == "running":
        phase = web.progress(build.id).phase
        return "committing" if phase == "finished" else phase
    return "success" if build.state == "success" else "error"
