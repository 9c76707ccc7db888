"""Logs and events of a build while it runs: each reader sees everything from the first line, or from its last id."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from stalker.service.builds.events import as_text, read_events

if TYPE_CHECKING:
    from pathlib import Path

    from stalker.service.web.context import Web

POLL_S = 0.3
"""Files have no end that could be awaited; the state of a build is asked only when nothing new was written."""

BATCH = 500
QUIET_MAX = 4
"""Polls without news between two looks at the state of the build; the first look is when all was read once."""


async def follow(web: Web, build_id: str, start: int = 0) -> AsyncIterator[tuple[int, dict[str, Any]]]:
    """Give the events of a build from an offset on, until it is over and all were given."""
    path = web.site.places.build(build_id).events
    offset, quiet, after_news = start, QUIET_MAX, QUIET_MAX
    while True:
        events = await asyncio.to_thread(_some, path, offset)
        for after, event in events:
            offset = after
            yield after, event
        if events:
            quiet, after_news = after_news, 0
            continue
        quiet += 1
        if quiet >= QUIET_MAX:
            quiet = 0
            build = await asyncio.to_thread(web.build, build_id)
            if build.is_ended and not await asyncio.to_thread(_some, path, offset):
                return
        await asyncio.sleep(POLL_S)


def _some(path: Path, offset: int) -> list[tuple[int, dict[str, Any]]]:
    found = []
    for item in read_events(path, offset):
        found.append(item)
        if len(found) == BATCH:
            break
    return found


async def text(web: Web, build_id: str) -> AsyncIterator[str]:
    """Give a build's log as text, until it is over; what no event tells (a refused tree) comes last."""
    async for _, event in follow(web, build_id):
        part = as_text(event)
        if part:
            yield part
    build = await asyncio.to_thread(web.build, build_id)
    yield f"=== {build.state}{f': {build.error}' if build.error else ''}\n"


async def server_sent(web: Web, build_id: str, start: int) -> AsyncIterator[dict[str, str]]:
    """Give events as sse-starlette takes them, and `end` with the state of the build as the last."""
    offset = start
    async for after, event in follow(web, build_id, start):
        offset = after
        yield {"id": str(after), "event": event["event"], "data": json.dumps(event)}
    build = await asyncio.to_thread(web.build, build_id)
    yield {"id": str(offset), "event": "end", "data": json.dumps({"state": build.state})}


def tail(path: Path, size_bytes: int) -> tuple[str, int]:
    """Return the end of a build's log as text, and the offset behind it; whole events only."""
    try:
        start = max(0, path.stat().st_size - size_bytes)
    except FileNotFoundError:
        return "", 0
    if start:
        with path.open("rb") as file:
            file.seek(start)
            start += len(file.readline())
    parts, offset = [], start
    for after, event in read_events(path, start):
        parts.append(as_text(event))
        offset = after
    return "".join(parts), offset
