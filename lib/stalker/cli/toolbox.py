"""Images of tools: made by the ordinary way of a run when an engine has none, from a tree of our own."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from stalker import __version__
from stalker.errors import StalkerError, StepFailed
from stalker.model import events

if TYPE_CHECKING:
    from collections.abc import Callable

    from stalker.cli.settings import Planner
    from stalker.engine.docker import DockerEngine
    from stalker.image.toolbox import Toolbox
    from stalker.model.events import Event
    from stalker.run.scheduler import RunResult

WORKSPACE = Path(__file__).resolve().parents[1] / "toolbox"
TREE = "trees/toolbox/toolbox.hjson"


def image_maker(engine: DockerEngine, say: Callable[[str], None]) -> Callable[[str], str]:
    """Return who gives the image id of a stalk of the toolbox tree, and makes it once for an engine.

    `say` is told a line now and then while it is made. Two runs that need it at once make it once: the
    second one waits. Raises what a run raises, StepFailed when a step did not succeed.
    """
    known: dict[str, str] = {}

    def image_of(stalk: str) -> str:
        if stalk not in known:
            known[stalk] = _image_of(engine, stalk, say)
        return known[stalk]

    return image_of


def open_toolbox(engine: DockerEngine, say: Callable[[str], None]) -> Toolbox:
    """Return a toolbox of an engine outside of a run; its image is made when it is first opened."""
    from stalker.cli.settings import cache_dir
    from stalker.image.toolbox import Toolbox
    from stalker.run.owner import new_run_id

    return Toolbox(engine, image_maker(engine, say), new_run_id(time.time()), cache_dir=cache_dir())


def toolbox_image(stalk: str) -> str:
    """Make the image of a stalk of the toolbox tree in the engine that answers; return its id."""
    from stalker.cli.settings import connect

    engine = connect()
    try:
        return image_maker(engine, lambda text: print(f"stalker: {text}", file=sys.stderr))(stalk)
    finally:
        engine.close()


def _image_of(engine: DockerEngine, stalk: str, say: Callable[[str], None]) -> str:
    from stalker.cli.settings import Planner, Settings, Wanted, read_tree

    settings = Settings(str(WORKSPACE))
    tree = replace(read_tree(settings, TREE), log_dir=str(_log_dir()))
    planner = Planner.of(settings, tree, engine, Wanted(until=stalk), yes=False)
    plan = planner.draw()
    last = next(one.id for one in plan.actions.values() if one.step.stalk == stalk and one.link.is_last)
    if not plan.to_run and not plan.blocked:
        return plan.actions[last].image
    result = _run(planner, stalk, say)
    return result.images[last] if last in result.images else planner.draw().actions[last].image


def _run(planner: Planner, stalk: str, say: Callable[[str], None]) -> RunResult:
    from stalker.cli.execute import Terms, plan_and_execute
    from stalker.cli.told import Told
    from stalker.journal.steplogs import StepLogs
    from stalker.journal.writer import Journal
    from stalker.run.owner import new_run_id

    began_s = time.time()
    run = new_run_id(began_s)
    tree = planner.tree
    journal, logs, voice = Journal(tree.log_dir, run), StepLogs(), _Voice(stalk, say)
    told = Told([journal, logs, voice])
    result, error = None, None
    told.emit(events.RunStarted(began_s, run, tree.name, tree.file, tree.workspace, (), __version__))
    try:
        _, result = plan_and_execute(planner, Terms(run, told.emit, {}, wait=True))
        error = result.error
    except StalkerError as raised:
        error = raised
    finally:
        code = error.exit_code if error else result.exit_code if result else 1
        ran, failed, blocked = (result.done, result.failed, result.blocked) if result else ((), (), ())
        told.emit(
            events.RunFinished(
                time.time(), run, code, len(ran), 0, tuple(failed), tuple(blocked), time.time() - began_s
            )
        )
        journal.close()
        logs.close()
    if error is not None:
        raise error
    assert result is not None
    if result.failed:
        raise StepFailed(
            f"the {stalk} could not be made", "\n".join(voice.last_lines), f"its logs are in {tree.log_dir}"
        )
    return result


@dataclass(slots=True)
class _Voice:
    """Tells in plain lines what is done, and keeps what a step said last."""

    stalk: str
    say: Callable[[str], None]
    last_lines: tuple[str, ...] = ()

    def on_event(self, event: Event) -> None:
        """Tell of it if it is news."""
        match event:
            case events.BaseStarted():
                self.say(f"making the {self.stalk}, once for this engine: {event.base}")
            case events.BaseProgress() | events.Note():
                self.say(event.text)
            case events.StepStarted():
                self.say(f"making the {self.stalk}: {event.step}")
            case events.StepFinished() if event.state != "done":
                self.last_lines = tuple(event.last_lines)


def _log_dir() -> Path:
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")  # noqa: PTH111
    return Path(cache) / "stalker" / "logs"
