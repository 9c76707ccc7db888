"""A step's script in a session: its files placed, it run, its files taken away.

A session keeps one shell of root open and feeds it programs, which is three times as fast as an exec for
each. A script of root runs right there. One of another user, one that wants a terminal and one that stays
up each have an exec of their own, between two programs of the shell.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stalker.errors import EngineError
from stalker.run.script.payload import probe_program, session_program
from stalker.run.script.report import Report
from stalker.run.script.shell_library import LIBRARY, RUN_FILE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from stalker.engine.interface import Engine
    from stalker.run.script.payload import Payload
    from stalker.run.session import Session

RUN = ("/bin/sh", RUN_FILE)

KILLED = 128
"""Exit codes above this are the number of the signal that ended a program, and this."""

PROBE_MAX = 500
"""More changed paths than this are not looked at one by one."""


def run_script(
    engine: Engine,
    session: Session,
    payload: Payload,
    report: Report,
    stop: Callable[[], bool],
) -> int | None:
    """Do all of a step's programs; return the exit code of what ended without a report, if it has one.

    Placing, script and taking away are over when `report.is_done`; what hindered is in the report.

    Raises:
        NotThere: the container went away.
    """
    if not payload.start.has_own_exec:
        if payload.archive:
            engine.put(session.container, payload.archive)
        is_through = feed(engine, session, payload.whole, report, stop)
        return KILLED + 9 if is_through else None
    if not enter(engine, session, payload, report, stop):
        return None
    report.next_program()
    code = engine.exec(
        session.container,
        RUN,
        {},
        report.feed,
        user=payload.start.user or "0",
        stop=lambda: report.has_ended or stop(),  # what it left behind may hold the streams
        tty=payload.start.tty,
    )
    if report.exit_code is not None:
        undo(engine, session, payload, report)
    return code


def enter(
    engine: Engine, session: Session, payload: Payload, report: Report, stop: Callable[[], bool]
) -> bool:
    """Place the files for a script that has an exec of its own; False when something hinders it."""
    if payload.archive:
        engine.put(session.container, payload.archive)
    feed(engine, session, payload.enter, report, stop)
    return report.trouble is None and not report.linked and report.has_ended


def undo(engine: Engine, session: Session, payload: Payload, report: Report) -> None:
    """Take away what was placed for a script that had an exec of its own."""
    program = payload.leave if report.exit_code == 0 else payload.abandon
    feed(engine, session, program, report, lambda: False)


def feed(engine: Engine, session: Session, program: str, report: Report, stop: Callable[[], bool]) -> bool:
    """Give a program to the session's shell; False when `stop` said so or the shell is gone."""
    report.next_program()
    if session.shell is None:
        session.shell = engine.open_shell(session.container)
        program = session_program(session.tmpfs) + program
    return session.shell.run(_encoded(program), report.feed, lambda: report.has_ended, stop)


def feed_alone(engine: Engine, container: str, program: str, report: Report) -> None:
    """Give a program to a shell of its own, where a session has none or its shell was killed."""
    report.next_program()
    text = _encoded(LIBRARY + program)
    engine.exec(container, ("/bin/sh",), {}, report.feed, user="0", stdin=[text])
    report.flush()


def place(engine: Engine, container: str, payload: Payload) -> None:
    """Put the files of a payload in their places. Raises EngineError when one cannot be placed."""
    if payload.archive:
        engine.put(container, payload.archive)
    said = bytearray()
    report = Report(payload.nonce, lambda data, _: said.extend(data))
    feed_alone(engine, container, payload.enter, report)
    if report.exit_code is not None or not report.has_ended:
        what = report.trouble.text if report.trouble is not None else "see what the shell printed"
        raise EngineError(f"could not place files in the container: {what}", _text(said))


def take_away(engine: Engine, container: str, payload: Payload) -> Report:
    """Take placed files out of a container, with a shell that placed none.

    Raises:
        EngineError: something of ours may still be there.
    """
    said = bytearray()
    report = Report(payload.nonce, lambda data, _: said.extend(data))
    feed_alone(engine, container, payload.abandon, report)
    if not report.is_done or not report.is_undone:
        raise EngineError("could not take our files out of the container again", _text(said))
    return report


def loses_at_commit(engine: Engine, session: Session, changed: Sequence[tuple[str, str]], nonce: str) -> bool:
    """Return whether a container's layer has, or may have, what its commit lacks: sockets, ACLs, attributes.

    `changed` are the changes as the engine lists them.
    """
    paths = [path for kind, path in changed if kind != "D"]
    if not paths:
        return False
    if len(paths) > PROBE_MAX or any("\ufffd" in path for path in paths):
        return True
    report = Report(nonce, lambda _data, _err: None)
    feed(engine, session, probe_program(paths, nonce), report, lambda: False)
    return report.exit_code != 1


def _encoded(program: str) -> bytes:
    return program.encode("utf-8", "surrogateescape")


def _text(said: bytearray) -> str:
    return said.decode("utf-8", "replace").strip()
