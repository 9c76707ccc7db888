"""A run of a tree, as a straight line.

The numbers are those of `lib/README.md`: 1 is the command line, 10 the images and the exit code.
"""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from stalker.app.environment import cache_dir, connect
from stalker.app.execute import RunContext, draw_plan, execute_plan, record_run
from stalker.app.nothing_to_do_note import note_for_next
from stalker.app.planner import Planner
from stalker.app.settings import StepRequest
from stalker.app.trees import read_tree
from stalker.engine.run_id import new_run_id
from stalker.errors import FilesError
from stalker.io.cancel import Cancel
from stalker.journal.observers import Dispatcher

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from stalker.app.execute import RunOutcome
    from stalker.app.settings import Settings
    from stalker.artifacts.scheduler import ArtifactScheduler
    from stalker.engine.interface import Engine
    from stalker.journal.observers import Observers
    from stalker.model.artifacts import Artifact
    from stalker.model.images import Image
    from stalker.model.tree import Tree
    from stalker.plan.plan import Plan
    from stalker.run.scheduler import RunResult

    Observe = Callable[[Tree, str, Sequence[str]], Observers]
    """Opens the observers of a run: of a tree, with a run id, and texts that must be masked."""


@dataclass(frozen=True, slots=True)
class RunRequest:
    """What a run is to do. `jobs` 0 is the number of cores; `command` is what the journal keeps as its call.

    `approve` may refuse the tree once it is read, by raising StalkerError. Secrets come from `environ`.
    """

    steps: StepRequest = field(default_factory=StepRequest)
    jobs: int = 0
    keep_going: bool = False
    wait: bool = False
    yes: bool = False
    command: Sequence[str] = ()
    approve: Callable[[Tree], None] | None = None
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    cancel: Cancel = field(default_factory=Cancel)


def run_tree(settings: Settings, config: str, request: RunRequest, observe: Observe) -> RunOutcome:
    """Read, plan, execute.

    Raises:
        FilesError: the tree's files have problems. PlanError: a requested step is unknown, or the steps form
            a circle. NoEngine: no engine answers. Later errors are in what is returned.
    """
    began_s = time.time()
    tree = read_tree(settings, config, request.steps.overrides, request.steps.with_files)  # 2
    if request.approve is not None:
        request.approve(tree)
    secrets = _readable_secrets(tree, request.environ)
    with contextlib.closing(connect()) as engine:
        planner = Planner.of(  # 3
            settings, tree, engine, request.steps, _ignore, yes=request.yes, secrets=secrets
        )
        with _observed(tree, request, observe, began_s, secrets) as context:
            planner.say = context.note
            if planner.lock_note:
                context.note(planner.lock_note)

            def work() -> tuple[Plan, RunResult]:
                drawn = draw_plan(planner, context, _platform_enabler(planner, context))  # 4 to 7
                return execute_plan(planner, drawn, context, _artifacts_of)  # 8 and 9

            outcome = record_run(tree, settings.workspace, request.command, context, work)
    _note_if_quick(settings, config, request, planner, outcome)
    return outcome  # 10


@contextlib.contextmanager
def _observed(
    tree: Tree, request: RunRequest, observe: Observe, began_s: float, secrets: dict[str, str]
) -> Iterator[RunContext]:
    """Open the observers of a run; all secrets that can be read are masked."""
    run = new_run_id(began_s)
    with contextlib.closing(observe(tree, run, list(secrets.values()))) as observers:
        yield RunContext(
            run,
            Dispatcher(observers.all).emit,
            secrets,
            request.jobs or os.cpu_count() or 1,
            keep_going=request.keep_going,
            wait=request.wait,
            began_s=began_s,
            environ=request.environ,
            cancel=request.cancel,
        )


def _ignore(_text: str) -> None:
    """Drop a line: before its observers are open a run has nothing to report."""


def _readable_secrets(tree: Tree, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the values of the tree's secrets that can be read here: all are masked, used or not."""
    if not tree.secrets:
        return {}
    # late: a tree from the cache needs no readers of files (15 ms)
    from stalker.config.tree.secrets import read_secrets

    values: dict[str, str] = {}
    for source in tree.secrets:
        with contextlib.suppress(FilesError):
            values.update(read_secrets(tree, [source.name], environ))
    return values


def _platform_enabler(planner: Planner, context: RunContext) -> Callable[[str], None] | None:
    """Return what registers an emulator, None where the user neither agreed nor can be asked."""
    if not (planner.yes or planner.settings.is_interactive):
        return None

    def enable(platform: str) -> None:
        from stalker.app.platform import enable_platform  # late: few trees need an emulator (20 ms)

        enable_platform(planner.settings, platform, context.note, yes=planner.yes)

    return enable


def _artifacts_of(planner: Planner, plan: Plan, context: RunContext) -> ArtifactScheduler | None:
    """Return the scheduler of a plan's artifacts, not started yet; None where it has none."""
    if not plan.artifacts:
        return None
    # late: most trees publish nothing (60 ms)
    from stalker.app.toolbox_image import image_maker
    from stalker.artifacts.context import Workshop
    from stalker.artifacts.produce import check_can_be_packed
    from stalker.artifacts.scheduler import ArtifactScheduler
    from stalker.toolbox.container import Toolbox

    check_can_be_packed([action.artifact for action in plan.to_make])
    engine, tree = planner.engine, planner.tree
    workshop = Workshop(engine, tree, tree.workspace, context.secrets, context.emit, context.run)
    workshop.bills = lambda artifact, image: _bills(engine, artifact, image)
    image_of = image_maker(engine, context.note, context.cancel)
    workshop.toolbox = Toolbox(engine, image_of, context.run, workshop.cancel, cache_dir())
    return ArtifactScheduler(
        plan, workshop, cache_dir(), jobs=context.jobs, keep_going=context.keep_going, wait=context.wait
    )


def _bills(engine: Engine, artifact: Artifact, image: Image) -> dict[str, str]:
    from stalker.app.releases import bill_texts  # late: few trees publish one

    return bill_texts(engine, artifact.id, image, artifact.epoch_s, artifact.sbom)[0]


def _note_if_quick(
    settings: Settings, config: str, request: RunRequest, planner: Planner, outcome: RunOutcome
) -> None:
    """Note what the next run of a whole tree can rest on, for it to be quick when nothing changed."""
    plan, result = outcome.plan, outcome.result
    # A secret that counts can change without any file that was read.
    has_counted = any(source.counts for source in planner.tree.secrets)
    # So can what a server has.
    can_change = has_counted or planner.has_moving_inputs
    is_whole = request.steps == StepRequest() and not planner.tree.warnings and not can_change
    if outcome.finished.exit_code == 0 and is_whole and plan is not None and result is not None:
        note_for_next(settings, config, planner, plan, result)
