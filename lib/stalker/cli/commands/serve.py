"""`stalker serve`."""

from __future__ import annotations

import importlib.util
import sys

import click

from stalker.config.shipped import is_installed
from stalker.errors import StalkerError

NEEDS = (
    "fastapi",
    "uvicorn",
    "sqlalchemy",
    "alembic",
    "sse_starlette",
    "prometheus_client",
    "apprise",
    "multipart",
)


@click.command()
@click.option("--file", metavar="FILE", default="", help="Default: service.hjson of the workspace.")
@click.pass_context
def serve(ctx: click.Context, file: str) -> None:
    """Build what is pushed, and show it on a page.

    Runs until it is stopped. Builds are processes of their own: they go on without it, and the next start takes
    them up.
    """
    missing = [name for name in NEEDS if importlib.util.find_spec(name) is None]
    if missing:
        raise StalkerError(
            "the service needs packages that are not installed",
            ", ".join(missing),
            "install stalker again with its extra: pipx install --force 'PATH_OR_URL[service]'"
            if is_installed()
            else f"{sys.executable} -m pip install --require-hashes --no-deps -r requirements-service.txt",
        )
    from stalker.service.serve import serve as run_service

    run_service(ctx.obj.workspace, file, lambda text: print(text, file=sys.stderr))
