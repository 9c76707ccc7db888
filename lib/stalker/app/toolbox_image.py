"""Images of tools: made by the ordinary way of a run when an engine has none, from a tree of our own."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from stalker.app.environment import cache_dir
from stalker.app.execute import RunContext, draw_plan, execute_plan, record_run
from stalker.app.planner import Planner
from stalker.app.settings import Settings, StepRequest
from stalker.app.trees import read_tree
from stalker.engine.run_id import new_run_id
from stalker.errors import StepFailed
from stalker.io.cancel import Cancel
from stalker.journal.observers import Dispatcher
from stalker.journal.step_logs import StepLogs
from stalker.journal.writer import Journal
from stalker.model import events
from stalker.toolbox.container import Toolbox

if TYPE_CHECKING:
    from collections.abc import Callable

    from stalker.engine.docker.adapter import DockerEngine
    from stalker.model.events import Event
    from stalker.plan.plan import Plan
    from stalker.run.scheduler import RunResult

WORKSPACE = Path(__file__).resolve().parents[1] / "toolbox"
TREE = "trees/toolbox/toolbox.hjson"


def image_maker(
    engine: DockerEngine, say: Callable[[str], None], cancel: Cancel | None = None
) -> Callable[[str], str]:
    """Return a function from a stalk of the toolbox tree to its image id; an image is made once for an engine.

    `say` gets a line now and then while it is made. Two runs that need it at once make it once: the
    second one waits. The function raises what a run raises, StepFailed when a step did not succeed, Interrupted
    when `cancel` is set.
    """
    known: dict[str, str] = {}

    def image_of(stalk: str) -> str:
        if stalk not in known:
            known[stalk] = _image_of(engine, stalk, say, cancel or Cancel())
        return known[stalk]

    return image_of


def open_toolbox(engine: DockerEngine, say: Callable[[str], None], cancel: Cancel | None = None) -> Toolbox:
    """Return a toolbox of an engine outside of a run; its image is made when it is first opened."""
    return Toolbox(engine, image_maker(engine, say, cancel), new_run_id(time.time()), cache_dir=cache_dir())


def _image_of(engine: DockerEngine, stalk: str, say: Callable[[str], None], cancel: Cancel) -> str:
    settings = Settings(str(WORKSPACE))
    tree = replace(read_tree(settings, TREE), log_dir=str(cache_dir() / "logs"))
    planner = Planner.of(settings, tree, engine, StepRequest(until=(stalk,)), say)
    plan = planner.draw()
    last = next(one.id for one in plan.actions.values() if one.step.stalk == stalk and one.link.is_last)
    if not plan.to_run and not plan.blocked:
        return plan.actions[last].image
    result = _run(planner, stalk, say, cancel)
    return result.images[last] if last in result.images else planner.draw().actions[last].image


def _run(planner: Planner, stalk: str, say: Callable[[str], None], cancel: Cancel) -> RunResult:
    tree, run = planner.tree, new_run_id(time.time())
    journal, logs, lines = Journal(tree.log_dir, run), StepLogs(), _Lines(stalk, say)
    context = RunContext(run, Dispatcher([journal, logs, lines]).emit, {}, wait=True, cancel=cancel)
    planner.say = context.note

    def work() -> tuple[Plan, RunResult]:
        return execute_plan(planner, draw_plan(planner, context), context)

    try:
        outcome = record_run(tree, tree.workspace, (), context, work)
    finally:
        journal.close()
        logs.close()
    if outcome.error is not None:
        raise outcome.error
    assert outcome.result is not None
    if outcome.result.failed:
        raise StepFailed(
            f"the {stalk} could not be made", "\n".join(lines.last_lines), f"its logs are in {tree.log_dir}"
        )
    return outcome.result


@dataclass(slots=True)
class _Lines:
    """Reports progress in plain lines, and keeps the last output of a failed step."""

    stalk: str
    say: Callable[[str], None]
    last_lines: tuple[str, ...] = ()

    def on_event(self, event: Event) -> None:
        """Report an event of interest."""
        match event:
            case events.BaseStarted():
                self.say(f"making the {self.stalk}, once for this engine: {event.base}")
            case events.BaseProgress() | events.Note():
                self.say(event.text)
            case events.StepStarted():
                self.say(f"making the {self.stalk}: {event.step}")
            case events.StepFinished() if event.state != "done":
                self.last_lines = tuple(event.last_lines)
