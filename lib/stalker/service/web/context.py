"""What every route is given: the service, and the visitor with the role that the route needs."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Annotated, cast

from fastapi import Depends, Form, Header, Request

from stalker.service.builds.events import Progress
from stalker.service.store import builds
from stalker.service.web.access import Access, Visitor
from stalker.service.web.problems import Refused

if TYPE_CHECKING:
    from stalker.service.site import Site
    from stalker.service.store.builds import Build

KEPT_PROGRESS = 64


@dataclass(slots=True)
class Web:
    """The service as its routes see it."""

    site: Site
    access: Access
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _progress: OrderedDict[str, Progress] = field(default_factory=OrderedDict)

    def progress(self, build_id: str) -> Progress:
        """Return what the events of a build say; those that were read before are not read again."""
        with self._lock:
            found = self._progress.pop(build_id, None) or Progress()
            self._progress[build_id] = found
            while len(self._progress) > KEPT_PROGRESS:
                self._progress.popitem(last=False)
            found.read_on(self.site.places.build(build_id).events)
            # The dictionaries change with the next call, which may come while this one's are walked through.
            return replace(
                found,
                steps=dict(found.steps),
                artifacts=dict(found.artifacts),
                notes=list(found.notes),
                console=found.console.copy(),
            )

    def build(self, build_id: str) -> Build:
        """Return a build. Raises Refused (404)."""
        build = self.site.database.read(lambda connection: builds.get(connection, build_id))
        if build is None:
            raise Refused(404, "there is no such build")
        return build


def web_of(request: Request) -> Web:
    """Return the service of a request."""
    return cast("Web", request.app.state.web)


def visitor_of(request: Request) -> Visitor:
    """Return the sender of a request."""
    return web_of(request).access.visitor(request.headers, request.cookies)


def _require(visitor: Visitor, role: str) -> Visitor:
    if visitor.may(role):
        return visitor
    if visitor.name:
        raise Refused(403, f"the token '{visitor.name}' may not do this", f"it needs the role {role}")
    headers = {"WWW-Authenticate": "Bearer"}
    raise Refused(401, "a token is needed", "Authorization: Bearer TOKEN, or log in at /login", headers)


def reader(visitor: Annotated[Visitor, Depends(visitor_of)]) -> Visitor:
    """Return a visitor that may read. Raises Refused."""
    return _require(visitor, "read")


def runner(
    request: Request,
    visitor: Annotated[Visitor, Depends(visitor_of)],
    x_csrf_token: Annotated[str, Header()] = "",
) -> Visitor:
    """Return a visitor of the API that may start and cancel builds. Raises Refused.

    A cookie alone does not do: a browser sends it also where a page of another site makes it.
    """
    _require(visitor, "run")
    access = web_of(request).access
    by_cookie = not visitor.has_bearer and visitor.name != "local"
    if by_cookie and not access.is_own_form(visitor, x_csrf_token):
        raise Refused(
            403, "the header X-CSRF-Token is missing or wrong", "use a token: Authorization: Bearer"
        )
    return visitor


def form_runner(
    request: Request, visitor: Annotated[Visitor, Depends(visitor_of)], csrf: Annotated[str, Form()] = ""
) -> Visitor:
    """Return a visitor of a page that may start and cancel builds. Raises Refused."""
    _require(visitor, "run")
    if not web_of(request).access.is_own_form(visitor, csrf):
        raise Refused(403, "the form is too old", "open the page again")
    return visitor


TheWeb = Annotated[Web, Depends(web_of)]
Reader = Annotated[Visitor, Depends(reader)]
Runner = Annotated[Visitor, Depends(runner)]
FormRunner = Annotated[Visitor, Depends(form_runner)]
