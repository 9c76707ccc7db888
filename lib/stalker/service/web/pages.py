"""The pages, made by Jinja2. All is there without JavaScript; `static/live.js` adds what changes meanwhile."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Form, Request
from fastapi.responses import FileResponse, HTMLResponse, RedirectResponse, Response
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from stalker import __version__
from stalker.io.units import age_text, duration_text, size_text
from stalker.service.builds.events import read_events
from stalker.service.store import builds, files, messages
from stalker.service.web import live
from stalker.service.web.access import COOKIE, SESSION_S, Visitor
from stalker.service.web.ansi import to_html
from stalker.service.web.api import BRANCH, cancel_build, enqueue_wish, file_out, run_again, wish_for
from stalker.service.web.context import FormRunner, Reader, TheWeb, visitor_of
from stalker.service.web.problems import Refused

if TYPE_CHECKING:
    from stalker.service.store.builds import Build
    from stalker.service.web.context import Web

router = APIRouter(include_in_schema=False)

HERE = Path(__file__).parent
LOG_BYTES = 60_000
"""Events whose text is on the page of a build; the whole log is one link away."""
STEP_LOG_CHARACTERS = 2_000_000
PAGE = 25


def _duration(seconds: float | None) -> str:
    return duration_text(seconds) if seconds is not None else ""


def _ago(at: float | None) -> str:
    return f"{age_text(time.time() - at)} ago" if at else ""


_pages = Environment(
    loader=FileSystemLoader(HERE / "templates"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
)
_pages.filters.update(duration=_duration, ago=_ago, size=size_text, ansi=to_html)
_pages.globals["version"] = __version__


def render(web: Web, visitor: Visitor, page: str, status: int = 200, /, **values: Any) -> HTMLResponse:
    """Return a page."""
    problems = web.site.configuration.problems
    shown = {"visitor": visitor, "trouble": web.site.trouble, "problems": problems, **values}
    return HTMLResponse(_pages.get_template(page).render(shown), status)


@router.get("/")
@router.get("/monitor")
@router.get("/monitor/")
def overview(web: TheWeb, visitor: Reader) -> HTMLResponse:
    """What runs, what waits, and each project with its last result."""
    return render(web, visitor, "overview.html", **_overview(web))


@router.get("/fragments/overview")
def overview_fragment(web: TheWeb, visitor: Reader) -> HTMLResponse:
    """The part of the overview that changes."""
    return render(web, visitor, "overview_now.html", **_overview(web))


def _overview(web: Web) -> dict[str, Any]:
    read = web.site.database.read
    running = read(lambda connection: builds.in_state(connection, "running"))
    return {
        "running": [(build, web.progress(build.id)) for build in running],
        "queued": read(lambda connection: builds.in_state(connection, "queued")),
        "projects": [(project, _last(web, project.name)) for project in web.site.service.projects],
        "recent": read(lambda connection: builds.listed(connection, limit=10, only_ended=True)),
    }


def _last(web: Web, project: str) -> Build | None:
    found = web.site.database.read(lambda connection: builds.listed(connection, project=project, limit=1))
    return found[0] if found else None


@router.get("/builds")
def build_list(web: TheWeb, visitor: Reader, before: int = 0, project: str = "") -> HTMLResponse:
    """All builds, newest first, page by page."""
    found = web.site.database.read(
        lambda connection: builds.listed(connection, project=project, before=max(0, before), limit=PAGE + 1)
    )
    return render(
        web, visitor, "builds.html", found=found[:PAGE], has_more=len(found) > PAGE, project=project
    )


@router.get("/projects/{name}")
def project_page(web: TheWeb, visitor: Reader, name: str) -> HTMLResponse:
    """A project: its builds and its newest files."""
    own = web.site.service.project(name)
    if own is None:
        raise Refused(404, f"there is no project '{name}'")
    read = web.site.database.read
    found = read(lambda connection: builds.listed(connection, project=name, limit=PAGE))
    made = [file_out(file) for file in read(lambda connection: files.of_project(connection, name, PAGE))]
    return render(web, visitor, "project.html", project=own, found=found, files=made)


@router.get("/builds/{build_id}")
def build_page(web: TheWeb, visitor: Reader, build_id: str) -> HTMLResponse:
    """A build: its steps and why each ran, its log as far as it is, its files."""
    return render(web, visitor, "build.html", **_build(web, build_id), **_log(web, build_id))


@router.get("/fragments/builds/{build_id}")
def build_fragment(web: TheWeb, visitor: Reader, build_id: str) -> HTMLResponse:
    """The part of a build's page that changes, apart from the log."""
    return render(web, visitor, "build_now.html", **_build(web, build_id))


def _build(web: Web, build_id: str) -> dict[str, Any]:
    build = web.build(build_id)
    read = web.site.database.read
    return {
        "build": build,
        "progress": web.progress(build_id),
        "files": [file_out(file) for file in read(lambda connection: files.of_build(connection, build_id))],
        "messages": read(lambda connection: messages.of_build(connection, build_id)),
        "now": time.time(),
    }


def _log(web: Web, build_id: str) -> dict[str, Any]:
    text, offset = live.tail(web.site.places.build(build_id).events, LOG_BYTES)
    return {"log": text, "offset": offset}


@router.get("/builds/{build_id}/steps/{step}")
def step_page(web: TheWeb, visitor: Reader, build_id: str, step: str) -> HTMLResponse:
    """The log of one step, with a link for each line."""
    build = web.build(build_id)
    parts, size = [], 0
    for _, event in read_events(web.site.places.build(build_id).events):
        if event["event"] == "step_output" and event["step"] == step and size < STEP_LOG_CHARACTERS:
            parts.append(event["data"])
            size += len(event["data"])
    found = web.progress(build_id).steps.get(step)
    if found is None and not parts:
        raise Refused(404, f"the build has no step '{step}'")
    lines = "".join(parts).splitlines()
    return render(web, visitor, "step.html", build=build, step=found, name=step, lines=lines)


@router.post("/builds/{build_id}/cancel")
def cancel(web: TheWeb, _: FormRunner, build_id: str) -> RedirectResponse:
    """Cancel a build."""
    cancel_build(web, build_id)
    return RedirectResponse(f"/builds/{build_id}", 303)


@router.post("/builds/{build_id}/again")
def again(
    web: TheWeb, visitor: FormRunner, build_id: str, start_from: Annotated[str, Form(max_length=400)] = ""
) -> RedirectResponse:
    """Run a build again, from a step on if one is named."""
    return RedirectResponse(f"/builds/{run_again(web, build_id, start_from, visitor.name).id}", 303)


@router.post("/projects/{name}/start")
def start(
    web: TheWeb,
    visitor: FormRunner,
    name: str,
    branch: Annotated[str, Form(max_length=250, pattern=BRANCH)],
) -> RedirectResponse:
    """Build the newest commit of a branch."""
    return RedirectResponse(
        f"/builds/{enqueue_wish(web, wish_for(web, name, branch, '', visitor.name)).id}", 303
    )


@router.get("/files/{project}/{name}")
def download(web: TheWeb, _: Reader, project: str, name: str) -> Response:
    """A published file, by its name or by the link to the newest; parts of it by Range."""
    file = web.site.database.read(lambda connection: files.find(connection, project, name))
    path = web.site.storage / file.project / file.name if file is not None else None
    if file is None or path is None or not path.is_file():
        raise Refused(404, "there is no such file")
    headers = {"ETag": f'"{file.sha256}"', "Cache-Control": "private, no-cache"}
    return FileResponse(path, filename=file.name, headers=headers, media_type="application/octet-stream")


@router.get("/login")
def login_page(request: Request, web: TheWeb, to: str = "/") -> HTMLResponse:
    """The form that takes a token."""
    return render(web, visitor_of(request), "login.html", to=_inside(to), wrong=False)


@router.post("/login")
def login(
    request: Request,
    web: TheWeb,
    token: Annotated[str, Form(max_length=1000)],
    to: Annotated[str, Form(max_length=1000)] = "/",
) -> Response:
    """Exchange a token for a cookie."""
    name = web.access.token_name(token.strip())
    if not name:
        return render(web, visitor_of(request), "login.html", 401, to=_inside(to), wrong=True)
    answer = RedirectResponse(_inside(to), 303)
    is_tls = request.url.scheme == "https" or web.site.public_url.startswith("https://")
    answer.set_cookie(
        COOKIE,
        web.access.new_session(name),
        max_age=SESSION_S,
        httponly=True,
        samesite="strict",
        secure=is_tls,
    )
    return answer


@router.post("/logout")
def logout() -> RedirectResponse:
    """Forget the cookie."""
    answer = RedirectResponse("/login", 303)
    answer.delete_cookie(COOKIE)
    return answer


@router.get("/api/docs")
def api_docs(request: Request, web: TheWeb, visitor: Reader) -> HTMLResponse:
    """The routes of the API, from its OpenAPI description."""
    paths = request.app.openapi()["paths"]
    routes = [
        (method.upper(), path, one.get("description", ""))
        for path, methods in paths.items()
        for method, one in methods.items()
    ]
    return render(web, visitor, "api.html", routes=routes)


def _inside(to: str) -> str:
    """Return a path of this service, `/` for an address of another."""
    return to if to.startswith("/") and not to.startswith(("//", "/\\")) else "/"
