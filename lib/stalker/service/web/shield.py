"""What every request passes: its host and origin, the size of its body; and headers that every answer gets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.datastructures import Headers, MutableHeaders

from stalker.service.web.problems import problem

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from stalker.service.web.access import Access

BODY_MAX_BYTES = 1 << 20
HOOK_MAX_BYTES = 25 << 20
_CONTENT_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "content-security-policy": _CONTENT_POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "x-frame-options": "DENY",
    "cross-origin-opener-policy": "same-origin",
}
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


def is_hook(path: str) -> bool:
    """Return whether a path is that of a hook: signed by itself, and without a browser."""
    return path.startswith("/build/") and path.endswith("/hook")


class Shield:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app, self._access = app, access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse, or pass on and add headers."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                if not scope["path"].startswith("/static/"):
                    headers.setdefault("cache-control", "no-store")
            await send(message)

        refusal = self._refusal(scope)
        if refusal is not None:
            status, brief = refusal
            await problem(status, brief)(scope, receive, send_with_headers)
            return
        await self._app(scope, receive, send_with_headers)

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        headers = Headers(scope=scope)
        if not is_hook(scope["path"]) and not self._access.is_own_host(headers.get("host", "")):
            return 421, "this service has no such name; set public_url"
        if scope["method"] in _SAFE_METHODS:
            return None
        if not is_hook(scope["path"]) and not self._access.is_own_origin(headers):
            return 403, "the request comes from a page of another site"
        if "transfer-encoding" in headers:
            return 411, "a body needs Content-Length"
        if headers.get("content-encoding", "identity") != "identity":
            return 415, "a body is sent without Content-Encoding"
        length = headers.get("content-length", "0")
        limit = HOOK_MAX_BYTES if is_hook(scope["path"]) else BODY_MAX_BYTES
        if not length.isdigit() or int(length) > limit:
            return 413, f"the body is larger than {limit} bytes"
        return None
