"""The application: routes, handlers of errors, static files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from fastapi import FastAPI
from starlette.staticfiles import StaticFiles

from stalker import __version__
from stalker.service.web import api, hooks, original, pages
from stalker.service.web.access import Access, read_key
from stalker.service.web.context import Web
from stalker.service.web.problems import add_handlers
from stalker.service.web.shield import Shield

if TYPE_CHECKING:
    from stalker.service.site import Site


def create_app(site: Site) -> FastAPI:
    """Return the ASGI application of a service; its dispatcher is started by the caller."""
    app = FastAPI(
        title="stalker",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        openapi_url="/api/openapi.json",
    )
    access = Access(site, read_key(site.places.key))
    app.state.web = Web(site, access)
    add_handlers(app)
    for router in (hooks.router, original.router, api.router, pages.router):
        app.include_router(router)
    app.mount("/static", StaticFiles(directory=Path(__file__).parent / "static"), "static")
    app.add_middleware(Shield, access=access)
    return app
