"""One step: a session, the files placed, the script run, the files taken away, commit and tag.

A step either commits or leaves nothing behind. One that fails has its state committed next to, as
`<stalk>:<step>.failed`, under labels of its own that no look-up by fingerprint finds.
"""

from __future__ import annotations

import contextlib
import json
import secrets as random_source
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from stalker.errors import EngineError, InputChanged, NoEngine, NotThere, StalkerError, StepFailed
from stalker.model import events
from stalker.model.images import short_id
from stalker.model.program import program
from stalker.run.changes import whiteout_names
from stalker.run.commit import commit_failed, commit_step
from stalker.run.job import Job, Outcome, identity_variables
from stalker.run.mounts import prepare_mounts, volumes_of
from stalker.run.script.inputs import Directories
from stalker.run.script.output import Output
from stalker.run.script.payload import Start, make_payload
from stalker.run.script.refusals import hindrance, survived
from stalker.run.script.report import Report, Usage
from stalker.run.script.run_script import KILLED, loses_at_commit, place, run_script, take_away
from stalker.run.script.service import start_service

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Mapping, Sequence

    from stalker.engine.interface import Engine
    from stalker.model.events import Event
    from stalker.run.script.payload import Payload
    from stalker.run.session import Session, Sessions

LAST_LINES = 20
RETRY_MAX_S = 60.0

ASK_TIMES = 15
ASK_AGAIN_S = 0.2
"""An engine that is being stopped stops its containers first, and answers for a moment still."""

FINAL = (NoEngine, InputChanged)
"""Errors after which another attempt ends the same way."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all steps of a run share. `emit` may be called from any thread; `now` is Unix time."""

    engine: Engine
    sessions: Sessions
    secrets: Mapping[str, str]
    cancel: threading.Event
    emit: Callable[[Event], None]
    now: Callable[[], float] = time.time
    directories: Directories = field(default_factory=Directories)


@dataclass(slots=True)
class _Attempt:
    """What is known of the attempt under way."""

    number: int
    log: str
    started_s: float
    output: Output
    session: Session | None = None
    exit_code: int | None = None
    script_s: float = 0.0
    usage: Usage = field(default_factory=Usage)
    added_bytes: int | None = None
    ran_out_of_time: bool = False
    in_place: Payload | None = None
    """What may have files in the container that have to go before anything is committed."""
    is_kept: bool = True
    """False where a failed state is not kept: its script never ran, or the image would be another thing."""


def run_step(job: Job, around: Surroundings) -> Outcome:
    """Run a step, again from the clean image if it fails and has retries; never raises ours."""
    attempt = 1
    while True:
        outcome = _run_attempt(job, around, attempt)
        wants_retry = outcome.state in {"failed", "timeout"} and attempt <= job.step.retries
        if not wants_retry or isinstance(outcome.error, FINAL) or around.cancel.is_set():
            return outcome
        around.cancel.wait(_pause_s(attempt))
        if around.cancel.is_set():
            return replace(outcome, state="cancelled")
        attempt += 1


def _pause_s(attempt: int) -> float:
    """Return the pause after a failed attempt: 1, 2, 4 ... 60 seconds."""
    return min(RETRY_MAX_S, 2.0 ** (attempt - 1))


def _run_attempt(job: Job, around: Surroundings, number: int) -> Outcome:
    job = replace(job, commit=random_source.token_hex(16))
    suffix = "" if number == 1 else f"-{number}"
    output = Output(job.step.id, around.secrets.values(), around.emit, around.now)
    attempt = _Attempt(number, f"{job.log_stem}{suffix}.txt", around.now(), output)
    around.emit(
        events.StepStarted(attempt.started_s, job.step.id, number, attempt.log, service=job.is_service)
    )
    try:
        image, name, commit_s = _work(job, around, attempt)
    except StalkerError as error:
        return _ended_badly(job, around, attempt, error)
    except Exception as error:  # noqa: BLE001  a bug must not leave a container either
        _abandon(job, around, attempt)
        wrong = StalkerError(f"{job.step.id}: {error!r}", "this is a bug in stalker")
        wrong.__cause__ = error
        return _ended_badly(job, around, attempt, wrong)
    around.emit(
        events.StepFinished(
            at=around.now(),
            step=job.step.id,
            attempt=number,
            state="done",
            duration_s=around.now() - attempt.started_s,
            exit_code=attempt.exit_code,
            image=image,
            name=name,
            log=attempt.log,
            commit_s=commit_s,
            script_s=attempt.script_s,
            added_bytes=attempt.added_bytes,
            cpu_s=attempt.usage.cpu_s,
            memory_bytes=attempt.usage.memory_bytes,
            memory_at_most=attempt.usage.memory_at_most,
        )
    )
    names = (name,) if name else ()
    return Outcome(job.step.id, "done", image, attempt.script_s, names=names, commit=job.commit)


def _work(job: Job, around: Surroundings, attempt: _Attempt) -> tuple[str, str, float]:
    """Do one attempt; return the image id, its name, and how long the commit took in seconds."""
    step, engine = job.step, around.engine
    prepare_mounts(engine, step.mounts, job.workspace)
    if job.is_first:
        with contextlib.suppress(NotThere):  # the session will say it with its name
            engine.tag(job.image, f"{job.repository}:initial")
    session, is_reused = around.sessions.take(job)
    attempt.session = session
    if around.cancel.is_set():
        raise StepFailed(f"{step.id} was cancelled")
    around.emit(events.ContainerStarted(around.now(), step.id, session.name, short_id(job.image), is_reused))
    payload = make_payload(step, around.secrets, random_source.token_hex(8), _start(job, around, session))
    report = _run(job, around, attempt, payload)
    if report.linked:
        session, payload = _mount_over_links(job, around, attempt, payload, report)
        report = _run(job, around, attempt, payload)
    _check(job, around, attempt, report, payload)
    session.kept_stubs.update(report.kept)
    if job.is_service:
        around.sessions.serve(session, step.stalk, step.name)
        return job.image, "", 0.0
    changed = engine.changes(session.container)
    _refuse_whiteouts(job, attempt, changed)
    around.directories.check(step.mounts, job.workspace, attempt.started_s)
    began_s = around.now()
    image = commit_step(
        job, around.sessions, session, log=attempt.log, script_s=attempt.script_s, left=report.left
    )
    if step.daemonize:
        # Its files are there as long as it is up; its copies are there already, as it left them.
        bound = replace(step, copies=(), late_copies=())
        again = make_payload(bound, around.secrets, random_source.token_hex(8), payload.start)
        place(engine, session.container, again)
        around.sessions.serve(session, step.stalk, step.name)
    else:
        attempt.added_bytes = _keep(job, around, session, report, image, changed)
    return image, f"{job.repository}:{step.name}", around.now() - began_s


def _mount_over_links(
    job: Job, around: Surroundings, attempt: _Attempt, payload: Payload, report: Report
) -> tuple[Session, Payload]:
    """Return a session in which files are mounted over hard-linked ones, and what is placed besides."""
    around.sessions.discard(_session(attempt), job.step.stalk)
    files = [file for file in (payload.placed_at(*one) for one in report.linked) if file is not None]
    attempt.session = session = around.sessions.fresh(job, files)
    around.emit(events.ContainerStarted(around.now(), job.step.id, session.name, short_id(job.image), False))
    start = replace(_start(job, around, session), mounted=frozenset(file.target for file in files))
    return session, make_payload(job.step, around.secrets, random_source.token_hex(8), start)


def _start(job: Job, around: Surroundings, session: Session) -> Start:
    own = session.start.config
    user = str(_option(job, "user") or own.get("User") or "")
    return Start(
        environment={**identity_variables(job), **dict(job.step.environment), **_variables(job, around)},
        workdir=str(_option(job, "working_dir") or own.get("WorkingDir") or ""),
        user="" if user in {"0", "root", "0:0", "root:root"} else user,
        tty=bool(_option(job, "tty")),
        stays_up=job.step.daemonize,
        stubs=session.watched_stubs,
        volumes=volumes_of(session.start),
    )


def _run(job: Job, around: Surroundings, attempt: _Attempt, payload: Payload) -> Report:
    """Run the script until it ends, its time is up, or the run is to stop."""
    step = job.step
    report = Report(payload.nonce, attempt.output.show)
    began_s = time.monotonic()
    end_s = None if step.timeout_s is None or step.daemonize else began_s + step.timeout_s

    def stop() -> bool:
        attempt.ran_out_of_time = end_s is not None and time.monotonic() > end_s
        return attempt.ran_out_of_time or around.cancel.is_set()

    attempt.in_place = payload
    code = None
    # When the container went with all that was asked of it, why is asked below.
    with contextlib.suppress(NotThere):
        if step.daemonize:
            code = start_service(
                around.engine, _session(attempt), payload, step, attempt.output, report, stop
            )
        else:
            code = run_script(around.engine, _session(attempt), payload, report, stop)
    report.flush()
    attempt.output.flush()
    attempt.script_s, attempt.usage = time.monotonic() - began_s, report.usage
    if report.is_done and report.is_undone:
        attempt.in_place = None
    if report.exit_code is None and code:
        if code > KILLED and not (attempt.ran_out_of_time or around.cancel.is_set()):
            _ask_why_it_died(step.id, around, attempt, code)
        report.exit_code = code
    attempt.exit_code = report.exit_code
    return report


def _keep(
    job: Job,
    around: Surroundings,
    session: Session,
    report: Report,
    image: str,
    changed: Sequence[tuple[str, str]],
) -> int | None:
    """Keep the session for the stalk's next step where that one would find what a fresh container has.

    Return how many bytes the step added to the layer, None where that was not asked for.
    """
    sessions, stalk = around.sessions, job.step.stalk
    if job.is_last:
        sessions.drop(session)
        return None
    if not report.is_clean:
        sessions.discard(session, stalk)
        return None
    writable_bytes = around.engine.state(session.container).writable_bytes
    added_bytes = max(0, writable_bytes - session.writable_bytes)
    may_serve = sessions.keep(session, stalk, image, left=report.left, writable_bytes=writable_bytes)
    if may_serve and loses_at_commit(around.engine, session, changed, random_source.token_hex(8)):
        sessions.retire(stalk)
    return added_bytes


def _variables(job: Job, around: Surroundings) -> dict[str, str]:
    return {
        variable.name: around.secrets[variable.secret] if variable.secret else variable.value
        for variable in job.step.variables
    }


def _check(job: Job, around: Surroundings, attempt: _Attempt, report: Report, payload: Payload) -> None:
    """Raise unless the script ended with 0 and nothing that was placed is left."""
    name = job.step.id
    if around.cancel.is_set() and report.exit_code is None:
        raise StepFailed(f"{name} was cancelled")
    if attempt.ran_out_of_time:
        raise StepFailed(f"{name} did not end within {job.step.timeout_s:g} s")
    if report.trouble is not None:
        attempt.is_kept = False
        raise hindrance(job.step, report.trouble, payload, attempt.output.tail)
    if report.exit_code is None:
        _ask_why_it_died(name, around, attempt, None)
    if report.exit_code != 0:
        raise StepFailed(f"{name} failed with exit code {report.exit_code}")
    if report.survivors:
        raise survived(job.step, report.survivors, payload)
    if not report.is_undone:
        attempt.is_kept = False
        raise StepFailed(
            f"{name}: a file that was placed for the step could not be taken away",
            attempt.output.tail,
            "did the script remove /entropy/.stalker, make its directory read-only, or mount something there?",
        )


def _refuse_whiteouts(job: Job, attempt: _Attempt, changed: Sequence[tuple[str, str]]) -> None:
    """Raise when a file has a name that an image cannot hold."""
    names = whiteout_names(changed)
    if names:
        attempt.is_kept = False
        raise StepFailed(
            f"{job.step.id}: an image cannot hold {names[0]}",
            f"in a layer of an image, the name {names[0].rpartition('/')[2]} deletes its neighbour "
            f"{names[0].rpartition('/')[2].removeprefix('.wh.')}",
            "give the file a name that does not begin with .wh., or remove it at the end of the step",
        )


def _ask_why_it_died(name: str, around: Surroundings, attempt: _Attempt, code: int | None) -> None:
    """Raise what ended a script that did not end by itself: the engine, another process, the script.

    An engine that answers all the while has not gone: the step has failed, whatever stopped its container.
    """
    for _ in range(ASK_TIMES):
        try:
            state = around.engine.state(_session(attempt).container)
        except NotThere:
            raise EngineError(
                f"{name}: its container was removed in the middle of the step",
                "stalker did not do that: somebody else removed it, or another program cleans up here",
                "run again: it goes on with this step",
            ) from None
        around.cancel.wait(ASK_AGAIN_S)
    attempt.exit_code = code
    # The first process ends by itself, with 0, when a script has killed all that it waits for.
    if state.is_running or state.exit_code == 0:
        raise StepFailed(
            f"{name} was killed" if code is None else f"{name} failed with exit code {code}",
            "something in the container ended the shell that ran the script, or memory ran out",
        )
    ended = f"exit code {state.exit_code}"
    if (state.exit_code or 0) > KILLED:
        ended = f"signal {(state.exit_code or 0) - KILLED}"
    raise StepFailed(
        f"{name}: its container was stopped in the middle of the step",
        "memory ran out: the kernel ended its first process"
        if state.is_out_of_memory
        else f"its first process ended with {ended}: by the script, or by `docker stop` or `docker kill`",
    )


def _ended_badly(job: Job, around: Surroundings, attempt: _Attempt, error: StalkerError) -> Outcome:
    """Keep the failed state for `shell`, let go of the container, tell."""
    step = job.step
    cancelled = around.cancel.is_set() and attempt.exit_code is None
    state: Literal["failed", "timeout", "cancelled"] = "failed"
    if cancelled:
        state = "cancelled"
    elif attempt.ran_out_of_time:
        state = "timeout"
    kept = ""
    began_s = around.now()
    is_worth_a_look = isinstance(error, StepFailed) and not isinstance(error, InputChanged)
    if is_worth_a_look and attempt.is_kept and not cancelled and not job.is_service:
        kept = _keep_failed(job, around, attempt)
    _abandon(job, around, attempt)
    lines = tuple(attempt.output.tail.splitlines()[-LAST_LINES:])
    will_retry = attempt.number <= step.retries and state != "cancelled" and not isinstance(error, FINAL)
    if isinstance(error, NoEngine) and not error.brief.startswith(f"{step.id}"):
        wrapped = NoEngine(f"{step.id}: {error.brief}", error.details, error.resolution)
        wrapped.__cause__ = error
        error = wrapped
    opener = f"{program()} shell {step.id}.failed --tree {job.tree_file}  opens what it left" if kept else ""
    resolution = "\n".join(filter(None, (error.resolution, opener)))
    around.emit(
        events.StepFinished(
            at=around.now(),
            step=step.id,
            attempt=attempt.number,
            state=state,
            duration_s=around.now() - attempt.started_s,
            exit_code=attempt.exit_code,
            image=kept,
            name=f"{job.repository}:{step.name}.failed" if kept else "",
            brief=error.brief,
            details=error.details,
            resolution=resolution,
            last_lines=lines if state != "cancelled" else (),
            log=attempt.log,
            commit_s=around.now() - began_s if kept else 0.0,
            will_retry_in_s=_pause_s(attempt.number) if will_retry else None,
            script_s=attempt.script_s,
            cpu_s=attempt.usage.cpu_s,
            memory_bytes=attempt.usage.memory_bytes,
            memory_at_most=attempt.usage.memory_at_most,
        )
    )
    return Outcome(step.id, state, kept, attempt.script_s, error)


def _keep_failed(job: Job, around: Surroundings, attempt: _Attempt) -> str:
    """Commit what a failed step left as `<step>.failed`; empty when that cannot be done."""
    try:
        if attempt.in_place is not None:  # it still runs, or was killed; secrets may be among its files
            take_away(around.engine, _session(attempt).container, attempt.in_place)
        return commit_failed(
            job, around.engine, _session(attempt), log=attempt.log, script_s=attempt.script_s
        )
    except StalkerError:
        return ""  # the step's own failure is what counts


def _abandon(job: Job, around: Surroundings, attempt: _Attempt) -> None:
    if attempt.session is not None:
        around.sessions.discard(attempt.session, job.step.stalk)


def _session(attempt: _Attempt) -> Session:
    assert attempt.session is not None
    return attempt.session


def _option(job: Job, name: str) -> object:
    for option in job.step.options:
        if option.name == name:
            return json.loads(option.value)
    return None
