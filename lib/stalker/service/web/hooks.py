"""`POST /build/<project>/hook`: a push is verified, stored, and answered after it is on the disk."""

from __future__ import annotations

import asyncio
import functools
from typing import TYPE_CHECKING

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from stalker.service.hooks.match import verify, wish_of
from stalker.service.hooks.push import BadPush, NotSigned
from stalker.service.store import deliveries
from stalker.service.store.deliveries import Delivery, Receipt
from stalker.service.web.context import TheWeb
from stalker.service.web.problems import Refused
from stalker.service.web.shield import HOOK_MAX_BYTES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stalker.model.service import Project
    from stalker.service.web.context import Web

router = APIRouter()

SLOW_S = 30.0
"""A body has to be here after this time."""

_ANSWERS: Mapping[str, tuple[int, str]] = {
    "build": (202, "success"),
    "duplicate": (200, "success"),
    "ignored": (200, "success"),
    "waiting": (429, "error"),
}


@router.post("/build/{project}/hook", tags=["hooks"], status_code=202)
async def hook(request: Request, project: str, web: TheWeb) -> JSONResponse:
    """Take a signed push of a forge."""
    own, secret = _hook_of(web, project)
    body = await _body(request)
    assert own.hook is not None
    try:
        signed = verify(own.hook, request.headers, body, secret)
    except NotSigned:
        hint = "the secret of the hook and the one in service.hjson have to be the same"
        raise Refused(401, "the signature is missing or wrong", hint) from None
    except BadPush as error:
        raise Refused(400, str(error)) from None
    wish, reason = wish_of(own, signed)
    delivery = Delivery(own.name, signed.delivery, signed.event, body)
    write = functools.partial(
        deliveries.accept,
        delivery=delivery,
        wish=wish,
        reason=reason,
        queued_max=web.site.service.limits.queued,
    )
    receipt = await asyncio.wrap_future(web.site.database.submit(write))
    web.site.wake.set()
    return _answer(receipt)


def _answer(receipt: Receipt) -> JSONResponse:
    status, word = _ANSWERS[receipt.outcome]
    headers = {"Retry-After": "60"} if status == 429 else {}
    if receipt.build:
        headers["Location"] = f"/builds/{receipt.build}"
    message = receipt.reason or "queued"
    return JSONResponse({"status": word, "message": message, "build": receipt.build}, status, headers)


def _hook_of(web: Web, name: str) -> tuple[Project, str]:
    project = web.site.service.project(name)
    if project is None or project.hook is None:
        raise Refused(404, "no such project takes pushes")
    secret = web.site.secrets().get(project.hook.secret, "")
    if not secret:
        raise Refused(503, f"the secret {project.hook.secret} is not set", "set it where the service runs")
    return project, secret


async def _body(request: Request) -> bytes:
    """Return the body. Raises Refused when it is too large or too slow."""
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(SLOW_S):
            async for part in request.stream():
                size += len(part)
                if size > HOOK_MAX_BYTES:
                    raise Refused(413, "the body is too large")
                parts.append(part)
    except TimeoutError:
        raise Refused(408, "the body came too slowly") from None
    return b"".join(parts)
