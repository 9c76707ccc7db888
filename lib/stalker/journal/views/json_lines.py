"""`--json`: one JSON object an event, one a line.

Each has `event`, the event's name in snake case (`step_finished`), `at`, Unix time in seconds, and the
fields of that event in `stalker.model.events` under their own names:

    file_read          file, digest
    run_started        run, tree, config, workspace, argv, version
    note               text, level (info, warning)
    variables_set      step, variables: [[name, value, place]]
    planned            steps: [{step, verdict (RUN, REUSE, BLOCKED), reason, parent, needs, estimate_s, image,
                       fingerprint}],
                       bases: [{stalk, verdict, reason, image}],
                       artifacts: [{artifact, verdict (MAKE, REUSE, PROVE, BLOCKED), reason}]
    base_started       stalk, base
    base_progress      stalk, text
    base_finished      stalk, base, image, duration_s, error
    step_started       step, attempt, log, service
    container_started  step, container, image, is_reused
    step_output        step, data, stream (stdout, stderr)
    step_finished      step, attempt, state (done, failed, timeout, cancelled), duration_s, exit_code, image,
                       name, brief, details, resolution, last_lines, log, commit_s, will_retry_in_s, script_s,
                       added_bytes, cpu_s, memory_bytes, memory_at_most (null where not known)
    step_reused        step, image, reason, shared_with
    step_blocked       step, cause
    artifact_started   artifact, verdict (MAKE, PROVE), reason
    artifact_progress  artifact, doing, done_bytes, total_bytes
    artifact_finished  artifact, state (done, unproven, failed, cancelled, blocked), duration_s, path,
                       size_bytes, brief, details, resolution, last_lines, log
    run_finished       run, exit_code, ran, reused, failed, blocked, duration_s, brief, details, resolution,
                       made, kept, unmade

`data` is text: UTF-8, U+FFFD for what is none, and a character that comes in two pieces is in the
second one. Names may be added, none is taken away. Nothing but ASCII is written.
"""

from __future__ import annotations

import codecs
import json
import re
import threading
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any, TextIO

from stalker.journal.views.stream import Sink
from stalker.model import events as ev

if TYPE_CHECKING:
    from stalker.model.tree import StepId


class JsonView:
    """Observer that writes events for programs."""

    def __init__(self, stream: TextIO | Sink) -> None:
        """Write to `stream`."""
        self._sink = stream if isinstance(stream, Sink) else Sink(stream)
        self._lock = threading.Lock()
        self._decoders: dict[tuple[StepId, str], codecs.IncrementalDecoder] = {}

    def on_event(self, event: ev.Event) -> None:
        """Take one event; never raises."""
        with self._lock:
            if isinstance(event, ev.StepOutput):
                self._write_output(event)
                return
            if isinstance(event, ev.StepFinished):
                self._write_rest(event)
            self._write(_plain(event))

    def close(self) -> None:
        """Nothing is held back that could still come."""

    def _write_output(self, event: ev.StepOutput) -> None:
        key = (event.step, event.stream)
        if key not in self._decoders:
            self._decoders[key] = codecs.getincrementaldecoder("utf-8")("replace")
        text = self._decoders[key].decode(event.data)
        if text:
            self._write(_plain(event) | {"data": text})

    def _write_rest(self, event: ev.StepFinished) -> None:
        """Write what a step's output ended in the middle of."""
        for step, stream in [key for key in self._decoders if key[0] == event.step]:
            text = self._decoders.pop((step, stream)).decode(b"", final=True)
            if text:
                name = "step_output"
                self._write({"event": name, "at": event.at, "step": step, "data": text, "stream": stream})

    def _write(self, message: dict[str, Any]) -> None:
        self._sink.write_line(json.dumps(message, default=str))


def _plain(event: ev.Event) -> dict[str, Any]:
    name = re.sub(r"(?<!^)(?=[A-Z])", "_", type(event).__name__).lower()
    return {"event": name} | _fields(event)


def _fields(value: Any) -> dict[str, Any]:
    return {field.name: _value(getattr(value, field.name)) for field in fields(value)}


def _value(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, list | tuple):
        return [_value(each) for each in value]
    return _fields(value) if is_dataclass(value) else value
