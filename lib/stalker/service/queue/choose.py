"""Which waiting builds start now: pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from stalker.service.store.builds import Build


def choose(
    waiting: Sequence[Build], running: Sequence[Build], last_starts: Mapping[str, float], parallel: int
) -> list[Build]:
    """Return the builds to start, in order.

    Builds of one tree share image names, so one of them runs at a time; of a project's builds the oldest is first.
    Projects take turns: the one with the fewest running builds, then the one that started the longest ago.
    """
    chosen: list[Build] = []
    busy = {build.tree for build in running}
    counts: dict[str, int] = {}
    for build in running:
        counts[build.project] = counts.get(build.project, 0) + 1
    while len(running) + len(chosen) < parallel:
        free = [build for build in waiting if build.tree not in busy]
        if not free:
            break
        build = min(
            free,
            key=lambda one: (counts.get(one.project, 0), last_starts.get(one.project, 0.0), one.number),
        )
        chosen.append(build)
        busy.add(build.tree)
        counts[build.project] = counts.get(build.project, 0) + 1
    return chosen
