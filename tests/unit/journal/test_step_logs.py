"""A step's output is kept as it came."""

from __future__ import annotations

from pathlib import Path

from stalker.journal.step_logs import StepLogs
from stalker.model.events import RunStarted, StepFinished, StepOutput, StepStarted
from unit.helpers.story import DB, WEB, T


def begin(tmp_path, masks=()):
    logs = StepLogs(masks)
    logs.on_event(RunStarted(T, "r1", "x", "x.hjson", str(tmp_path)))
    return logs


def test_bytes_are_kept_unchanged(tmp_path):
    """Binary output and cut characters are in the log as they were written."""
    logs = begin(tmp_path)
    logs.on_event(StepStarted(T, WEB, 1, "logs/web/a.txt"))
    for data in (bytes(range(256)), b"\xc3", b"\xa4\r\n"):
        logs.on_event(StepOutput(T, WEB, data))
    logs.on_event(StepFinished(T, WEB, 1, "done", 1.0))

    assert (tmp_path / "logs/web/a.txt").read_bytes() == bytes(range(256)) + b"\xc3\xa4\r\n"


def test_a_log_of_another_run_is_never_written_to(tmp_path):
    """Two runs that call their logs the same do not mix: the later one says why it has none."""
    first, second = begin(tmp_path), begin(tmp_path)
    for logs, data in ((first, b"first\n"), (second, b"second\n"), (first, b"more\n")):
        logs.on_event(StepStarted(T, WEB, 1, "logs/web/a.txt"))
        logs.on_event(StepOutput(T, WEB, data))
    first.close()
    second.close()

    assert (tmp_path / "logs/web/a.txt").read_bytes() == b"first\nmore\n"
    assert first.problem == ""
    assert "File exists" in second.problem


def test_what_a_service_writes_goes_on_in_the_log_of_its_step(tmp_path):
    """Its step has ended long before."""
    logs = begin(tmp_path)
    logs.on_event(StepStarted(T, WEB, 1, "logs/web/a.txt"))
    logs.on_event(StepFinished(T, WEB, 1, "done", 1.0))
    logs.on_event(StepOutput(T, WEB, b"still here\n"))
    logs.close()

    assert (tmp_path / "logs/web/a.txt").read_bytes() == b"still here\n"


def test_steps_at_the_same_time_do_not_mix(tmp_path):
    """Each step writes to its own file; an absolute path is taken as it is."""
    logs = begin(tmp_path)
    logs.on_event(StepStarted(T, WEB, 1, "logs/web/a.txt"))
    logs.on_event(StepStarted(T, DB, 1, str(tmp_path / "elsewhere/db.txt")))
    for number in range(3):
        logs.on_event(StepOutput(T, WEB, b"web %d\n" % number))
        logs.on_event(StepOutput(T, DB, b"db %d\n" % number))
    logs.close()

    assert (tmp_path / "logs/web/a.txt").read_bytes() == b"web 0\nweb 1\nweb 2\n"
    assert (tmp_path / "elsewhere/db.txt").read_bytes() == b"db 0\ndb 1\ndb 2\n"


def test_a_secret_in_two_chunks_is_masked(tmp_path):
    """Should a secret still be in the output, it is not in the log."""
    logs = begin(tmp_path, ["hunter2"])
    logs.on_event(StepStarted(T, WEB, 1, "a.txt"))
    for data in (b"pass: hun", b"ter2, hun"):
        logs.on_event(StepOutput(T, WEB, data))
    logs.on_event(StepFinished(T, WEB, 1, "done", 1.0))

    assert (tmp_path / "a.txt").read_bytes() == b"pass: ***, hun"


def test_what_a_step_wrote_can_be_followed(tmp_path):
    """Output older than a second is on disk while the step still runs."""
    logs = begin(tmp_path)
    logs.on_event(StepStarted(T, WEB, 1, "a.txt"))
    logs.on_event(StepOutput(T, WEB, b"first\n"))
    logs.on_event(StepOutput(T + 1.5, WEB, b"second\n"))

    assert (tmp_path / "a.txt").read_bytes() == b"first\nsecond\n"
    logs.close()


def test_a_service_goes_on_in_its_log_after_its_step_ended(tmp_path):
    """A daemon's later words are not lost."""
    logs = begin(tmp_path)
    logs.on_event(StepStarted(T, WEB, 1, "a.txt", service=True))
    logs.on_event(StepOutput(T, WEB, b"up\n"))
    logs.on_event(StepFinished(T, WEB, 1, "done", 1.0))
    logs.on_event(StepOutput(T, WEB, b"served\n"))
    logs.close()

    assert (tmp_path / "a.txt").read_bytes() == b"up\nserved\n"


def test_a_full_disk_never_ends_the_run(tmp_path, monkeypatch):
    """The first reason is kept for the user."""
    logs = begin(tmp_path)
    opened = Path.open
    monkeypatch.setattr(
        Path, "open", lambda path, mode: opened(path if mode == "xb" else Path("/dev/full"), mode)
    )
    logs.on_event(StepStarted(T, WEB, 1, "a.txt"))

    for _ in range(3):
        logs.on_event(StepOutput(T + 2, WEB, b"x" * 100_000))
    logs.on_event(StepFinished(T + 3, WEB, 1, "done", 1.0))
    logs.close()

    assert "No space left" in logs.problem
