"""Errors as `application/problem+json` (RFC 9457), with our three parts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, RedirectResponse, Response
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException

from stalker.errors import StalkerError
from stalker.service.web.access import TooManyFailures

if TYPE_CHECKING:
    from collections.abc import Mapping


class Refused(Exception):
    """A request that is not done: status, what happened, what to do, and where to log in."""

    def __init__(
        self, status: int, brief: str, resolution: str = "", headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(brief)
        self.status, self.brief, self.resolution = status, brief, resolution
        self.headers = dict(headers or {})


def problem(
    status: int, brief: str, details: str = "", resolution: str = "", headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """Return an error as JSON."""
    content = {"title": brief, "status": status, "detail": details, "resolution": resolution}
    return JSONResponse(content, status, dict(headers or {}), "application/problem+json")


def add_handlers(app: FastAPI) -> None:
    """Show every error in the same form; a page without a login leads to the login."""

    @app.exception_handler(Refused)
    def _refused(request: Request, error: Refused) -> Response:
        wants_page = "text/html" in request.headers.get("accept", "") and request.method == "GET"
        if error.status == 401 and wants_page:
            return RedirectResponse(f"/login?to={request.url.path}", 303)
        return problem(error.status, error.brief, "", error.resolution, error.headers)

    @app.exception_handler(TooManyFailures)
    def _too_many(_request: Request, _error: TooManyFailures) -> Response:
        return problem(429, "too many wrong tokens", "", "try again in a minute", {"Retry-After": "60"})

    @app.exception_handler(StalkerError)
    def _own(_request: Request, error: StalkerError) -> Response:
        return problem(500, error.brief, error.details, error.resolution)

    @app.exception_handler(SQLAlchemyError)
    def _database(_request: Request, error: SQLAlchemyError) -> Response:
        if "is full" in str(error) or "No space left" in str(error):
            return problem(507, "no space left for the database", "", "free some space where the database is")
        return problem(503, "the database does not answer", "", "try again", {"Retry-After": "10"})

    @app.exception_handler(RequestValidationError)
    def _invalid(_request: Request, error: RequestValidationError) -> Response:
        lines = [f"{'.'.join(str(part) for part in one['loc'])}: {one['msg']}" for one in error.errors()]
        return problem(422, "the request is not of the documented form", "\n".join(lines), "see /api/docs")

    @app.exception_handler(HTTPException)
    def _http(_request: Request, error: HTTPException) -> Response:
        return problem(error.status_code, str(error.detail), headers=error.headers)
