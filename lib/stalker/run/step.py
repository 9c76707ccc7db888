"""One step: a session, the files placed, the script run, the files taken away, commit and tag.

A step either commits or leaves nothing behind. One that fails has its state committed beside, as
`<stalk>:<step>.failed`, under labels of its own that no look-up by fingerprint finds.
"""

from __future__ import annotations

import contextlib
import json
import secrets as random_source
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from stalker.errors import EngineError, NoEngine, NotThere, StalkerError, StepFailed
from stalker.model import events
from stalker.model.images import short_id
from stalker.model.masking import Masker
from stalker.run.commit import commit_failed, commit_step
from stalker.run.job import Job, Outcome, identity_variables
from stalker.run.mounts import prepare_mounts
from stalker.run.payload import Report, feed_text, make_payload
from stalker.run.placing import place

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Mapping

    from stalker.engine.interface import Engine
    from stalker.model.events import Event
    from stalker.run.payload import Payload
    from stalker.run.session import Session, Sessions

LAST_LINES = 20
TAIL_BYTES = 1 << 16
QUIET_S = 0.25
SERVICE_GRACE_S = 1.0
"""A daemonized script that still runs after this is taken to be up."""

RETRY_MAX_S = 60.0

KILLED = 128
"""Exit codes above this are the number of the signal that ended a program, and this."""

ASK_TIMES = 10
ASK_AGAIN_S = 0.2
"""An engine that goes away says for a moment that all is well."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all steps of a run share. `emit` may be called from any thread; `now` is Unix time."""

    engine: Engine
    sessions: Sessions
    secrets: Mapping[str, str]
    cancel: threading.Event
    emit: Callable[[Event], None]
    now: Callable[[], float] = time.time


@dataclass(slots=True)
class _Attempt:
    """What is known of the attempt under way."""

    number: int
    log: str
    started_s: float
    session: Session | None = None
    exit_code: int | None = None
    tail: bytearray = field(default_factory=bytearray)
    script_s: float = 0.0
    ran_out_of_time: bool = False
    in_place: Payload | None = None
    """What may have files in the container that have to go before anything is committed."""
    has_begun: bool = True
    """False when its files could not be placed: then there is nothing to keep but files of ours."""


def run_step(job: Job, around: Surroundings) -> Outcome:
    """Run a step, again from the clean image if it fails and has retries; never raises ours."""
    attempt = 1
    while True:
        outcome = _run_attempt(job, around, attempt)
        wants_retry = outcome.state in {"failed", "timeout"} and attempt <= job.step.retries
        if not wants_retry or isinstance(outcome.error, NoEngine) or around.cancel.is_set():
            return outcome
        around.cancel.wait(_pause_s(attempt))
        if around.cancel.is_set():
            return replace(outcome, state="cancelled")
        attempt += 1


def _pause_s(attempt: int) -> float:
    """Return the pause after a failed attempt: 1, 2, 4 ... 60 seconds."""
    return min(RETRY_MAX_S, 2.0 ** (attempt - 1))


def _run_attempt(job: Job, around: Surroundings, number: int) -> Outcome:
    suffix = "" if number == 1 else f"-{number}"
    attempt = _Attempt(number, f"{job.log_stem}{suffix}.txt", around.now())
    around.emit(
        events.StepStarted(attempt.started_s, job.step.id, number, attempt.log, service=job.is_service)
    )
    try:
        image, name, commit_s = _work(job, around, attempt)
    except StalkerError as error:
        return _ended_badly(job, around, attempt, error)
    except Exception as error:  # noqa: BLE001  a bug must not leave a container either
        _abandon(around, attempt)
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
        )
    )
    return Outcome(job.step.id, "done", image, attempt.script_s, names=(name,) if name else ())


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
    payload = make_payload(step, around.secrets, random_source.token_hex(8))
    attempt.in_place = payload
    if payload.archive:
        engine.put(session.container, payload.archive)
    if step.daemonize:
        report = _run_service(job, around, attempt, payload)
    else:
        report = _run_script(job, around, attempt, payload)
    _check(job, around, attempt, report)
    if job.is_service:
        around.sessions.serve(session, step.stalk, step.name)
        return job.image, "", 0.0
    began_s = around.now()
    image = commit_step(
        job, around.sessions, session, log=attempt.log, script_s=attempt.script_s, left=report.left
    )
    if step.daemonize:
        _leave_up(job, around, session, payload)
    elif job.is_last:
        around.sessions.drop(session)
    else:
        state = engine.state(session.container)
        around.sessions.keep(
            session, step.stalk, image, left=report.left, writable_bytes=state.writable_bytes
        )
    return image, f"{job.repository}:{step.name}", around.now() - began_s


def _run_script(job: Job, around: Surroundings, attempt: _Attempt, payload: Payload) -> Report:
    session = _session(attempt)
    user = _user(job, session)
    if user in {"", "0", "root", "0:0", "root:root"}:
        report = _exec(job, around, attempt, payload, payload.whole, "0", is_fed=True)
        if report.is_told:
            attempt.in_place = None
        return report
    place(around.engine, session.container, payload)
    report = _exec(job, around, attempt, payload, payload.run, user)
    if report.exit_code is not None:
        _clear(around, attempt, payload)
    return report


def _run_service(job: Job, around: Surroundings, attempt: _Attempt, payload: Payload) -> Report:
    """Start a daemonized script; it is up when it has ended well or still runs after a moment."""
    import threading

    session = _session(attempt)
    place(around.engine, session.container, payload)
    found: list[Report] = []

    def run() -> None:
        try:
            found.append(
                _exec(job, around, attempt, payload, payload.run, _user(job, session), is_service=True)
            )
        except StalkerError:
            return  # its container was removed at the end of the stalk

    thread = threading.Thread(target=run, name=f"stalker-{job.step.id}", daemon=True)
    thread.start()
    thread.join(SERVICE_GRACE_S)
    if found and found[0].exit_code is None:
        return found[0]
    report = found[0] if found else Report(payload.nonce, lambda _data, _err: None)
    if not found:
        report.exit_code, report.left = 0, 1
    attempt.exit_code = report.exit_code
    if not job.is_service or report.exit_code != 0:
        _clear(around, attempt, payload)
    return report


def _clear(around: Surroundings, attempt: _Attempt, payload: Payload) -> None:
    said = bytearray()
    container = _session(attempt).container
    attempt.in_place = None  # a second time would take away what was put back
    code = around.engine.exec(container, payload.leave, {}, lambda data, _: said.extend(data), user="0")
    if code != 0:
        raise EngineError(
            "could not take our files out of the container again", said.decode("utf-8", "replace")
        )


def _leave_up(job: Job, around: Surroundings, session: Session, payload: Payload) -> None:
    """Keep a daemonized step's container, with its files back in place."""
    if payload.archive:
        around.engine.put(session.container, payload.archive)
    place(around.engine, session.container, payload)
    around.sessions.serve(session, job.step.stalk, job.step.name)


def _exec(
    job: Job,
    around: Surroundings,
    attempt: _Attempt,
    payload: Payload,
    program: tuple[str, ...],
    user: str,
    *,
    is_service: bool = False,
    is_fed: bool = False,
) -> Report:
    """Run a program, passing on its output masked, until it ends, its time is up, or we are told to stop.

    `is_fed` gives it to the shell that the session keeps open, as root.
    """
    step = job.step
    masker = {False: Masker(around.secrets.values()), True: Masker(around.secrets.values())}
    last_s = time.monotonic()

    def show(data: bytes, is_stderr: bool) -> None:  # noqa: FBT001
        nonlocal last_s
        last_s = time.monotonic()
        pass_on(masker[is_stderr].feed(data), is_stderr)

    def pass_on(data: bytes, is_stderr: bool) -> None:  # noqa: FBT001
        if data:
            attempt.tail += data
            del attempt.tail[:-TAIL_BYTES]
            stream: Literal["stdout", "stderr"] = "stderr" if is_stderr else "stdout"
            around.emit(events.StepOutput(around.now(), step.id, data, stream))

    report = Report(payload.nonce, show)
    began_s = time.monotonic()
    end_s = None if step.timeout_s is None or is_service else began_s + step.timeout_s

    def stop() -> bool:
        now_s = time.monotonic()
        if report.exit_code is not None and not is_fed:
            return now_s - last_s > QUIET_S  # only what it left behind still holds the stream
        attempt.ran_out_of_time = end_s is not None and now_s > end_s
        return attempt.ran_out_of_time or around.cancel.is_set()

    environment = {**identity_variables(job), **dict(step.environment), **_variables(job, around)}
    workdir = str(_option(job, "working_dir") or "")
    session, engine = _session(attempt), around.engine
    code = None
    try:
        if is_fed:
            session.shell = session.shell or engine.open_shell(session.container)
            text = feed_text(program, environment, workdir, payload.nonce)
            if session.shell.run(text, report.feed, lambda: report.has_ended, stop):
                code = KILLED + 9  # only where the program did not live to report
        else:
            code = engine.exec(
                session.container, program, environment, report.feed, user=user, workdir=workdir, stop=stop
            )
    except NotThere:
        pass  # the container went with all that was asked of it; why is asked below
    report.flush()
    for is_stderr, one in masker.items():
        pass_on(one.flush(), is_stderr)
    attempt.script_s = time.monotonic() - began_s
    if report.exit_code is None and code:
        if code > KILLED and not (attempt.ran_out_of_time or around.cancel.is_set()):
            _ask_why_it_died(step.id, around, attempt, code)
        report.exit_code = code
    attempt.exit_code = report.exit_code
    return report


def _variables(job: Job, around: Surroundings) -> dict[str, str]:
    return {
        variable.name: around.secrets[variable.secret] if variable.secret else variable.value
        for variable in job.step.variables
    }


def _check(job: Job, around: Surroundings, attempt: _Attempt, report: Report) -> None:
    """Raise when the script did not end with 0."""
    name = job.step.id
    if report.exit_code == 0:
        return
    if around.cancel.is_set() and report.exit_code is None:
        raise StepFailed(f"{name} was cancelled")
    if attempt.ran_out_of_time:
        raise StepFailed(f"{name} did not end within {job.step.timeout_s:g} s")
    if report.trouble:
        attempt.has_begun = False
        raise StepFailed(
            f"{name}: could not put {report.trouble} in its place",
            _last_text(attempt),
            "is a folder there in the image, or is the file system read-only?",
        )
    if report.exit_code is None:
        _ask_why_it_died(name, around, attempt, None)
    raise StepFailed(f"{name} failed with exit code {report.exit_code}")


def _ask_why_it_died(name: str, around: Surroundings, attempt: _Attempt, code: int | None) -> None:
    """Raise what ended a script that did not end by itself: the engine, someone outside, the script."""
    for _ in range(ASK_TIMES):
        try:
            state = around.engine.state(_session(attempt).container)
        except NotThere:
            raise EngineError(
                f"{name}: its container was removed in the middle of the step",
                "stalker did not do that: somebody else removed it, or another program cleans up here",
                "run again: it goes on with this step",
            ) from None
        if not state.is_running:
            break
        around.cancel.wait(ASK_AGAIN_S)
    # An idle process that was killed from outside tells of a signal; it ends by itself, with 0, when a
    # script has killed all that it waits for.
    if state.is_running or state.exit_code == 0:
        attempt.exit_code = code
        raise StepFailed(
            f"{name} was killed" if code is None else f"{name} failed with exit code {code}",
            "something in the container ended the shell that ran the script, or memory ran out",
        )
    raise NoEngine(
        f"the container of {name} was stopped from outside in the middle of the step",
        "the engine was restarted, or somebody stopped the container, or memory ran out",
        "run again: it goes on with this step",
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
    if isinstance(error, StepFailed) and attempt.has_begun and not cancelled and not job.is_service:
        kept = _keep_failed(job, around, attempt)
    _abandon(around, attempt)
    lines = tuple(_last_text(attempt).splitlines()[-LAST_LINES:])
    will_retry = attempt.number <= step.retries and state != "cancelled" and not isinstance(error, NoEngine)
    if isinstance(error, NoEngine) and not error.brief.startswith(f"{step.id}"):
        wrapped = NoEngine(f"{step.id}: {error.brief}", error.details, error.resolution)
        wrapped.__cause__ = error
        error = wrapped
    resolution = error.resolution or (
        f"./stalker shell {step.id}.failed --tree {job.tree_file}  opens what it left" if kept else ""
    )
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
        )
    )
    return Outcome(step.id, state, kept, attempt.script_s, error)


def _keep_failed(job: Job, around: Surroundings, attempt: _Attempt) -> str:
    """Commit what a failed step left as `<step>.failed`; empty when that cannot be done."""
    try:
        if attempt.in_place is not None:  # it still runs, or was killed; secrets may be among its files
            _clear(around, attempt, attempt.in_place)
        return commit_failed(
            job, around.engine, _session(attempt), log=attempt.log, script_s=attempt.script_s
        )
    except StalkerError:
        return ""  # the step's own failure is what counts


def _abandon(around: Surroundings, attempt: _Attempt) -> None:
    if attempt.session is not None:
        around.sessions.drop(attempt.session)


def _session(attempt: _Attempt) -> Session:
    assert attempt.session is not None
    return attempt.session


def _last_text(attempt: _Attempt) -> str:
    return attempt.tail.decode("utf-8", "replace")


def _user(job: Job, session: Session) -> str:
    return str(_option(job, "user") or session.start.config.get("User") or "")


def _option(job: Job, name: str) -> object:
    for option in job.step.options:
        if option.name == name:
            return json.loads(option.value)
    return None
