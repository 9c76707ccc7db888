"""The process of a build: `python -m stalker.service.builds.worker DIRECTORY`.

It is `stalker run --json` with three differences: what the tree may ask is bounded, secrets come through a pipe
(stdin: one JSON object), and the exit code is written to a file, last. The lock of the directory is inherited and
held as long as this process lives, so a service that starts later knows whether it does.
"""

from __future__ import annotations

import functools
import io
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stalker.app.run import RunRequest, run_tree
from stalker.app.settings import Settings, StepRequest
from stalker.errors import Interrupted, StalkerError
from stalker.io.atomic import write_file
from stalker.io.signals import end_like_ctrl_c
from stalker.journal.observers import open_observers
from stalker.model.service import Allowed
from stalker.service.builds.allowed import refuse_beyond
from stalker.service.builds.places import BuildPlaces

if TYPE_CHECKING:
    from stalker.model.tree import Tree

EVENTS_MAX_BYTES = 256_000_000
"""Output of steps beyond this is left out of the events; the logs of the steps have all of it."""

_CRASH = 70
"""Exit code of an error that is not ours: EX_SOFTWARE."""


def main() -> None:
    """Run one build and write its exit code."""
    places = BuildPlaces(Path(sys.argv[1]))
    write_file(places.process, f"{os.getpid()}\n")
    secrets = json.loads(sys.stdin.buffer.read() or b"{}")
    sys.stdout = CappedEvents(places.events)
    code = _CRASH
    try:
        code = _run(json.loads(places.spec.read_text(encoding="utf-8")), secrets)
    finally:
        sys.stderr.flush()
        write_file(places.exit, f"{code}\n")


def _run(spec: dict[str, Any], secrets: dict[str, str]) -> int:
    def approve(tree: Tree) -> None:
        if spec["allow"] is not None:
            refuse_beyond(tree, Allowed(**spec["allow"]), spec["roots"])

    request = RunRequest(
        StepRequest(start=spec["start_from"], overrides=spec["set"]),
        wait=True,
        command=tuple(sys.argv),
        approve=approve,
        environ={**os.environ, **secrets},
    )
    end_like_ctrl_c()
    observe = functools.partial(open_observers, as_json=True)
    try:
        return run_tree(Settings(spec["workspace"]), spec["tree"], request, observe).finished.exit_code
    except StalkerError as error:
        print(shown(error), file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return Interrupted.exit_code


def shown(error: StalkerError) -> str:
    """Return an error as lines: what happened, what is known, what to do."""
    return "\n".join(part for part in (error.brief, error.details, error.resolution) if part)


class CappedEvents(io.TextIOBase):
    """A file of events, one a line; beyond the limit output of steps is left out, with one mark."""

    def __init__(self, path: Path, limit: int = EVENTS_MAX_BYTES) -> None:
        """Append to a file."""
        self._file = path.open("ab", buffering=0)
        self._size = self._file.tell()
        self._limit = limit
        self._is_marked = False

    def write(self, text: str) -> int:
        """Write whole lines."""
        data = text.encode("utf-8", "backslashreplace")
        if self._size + len(data) > self._limit and '"event": "step_output"' in text[:40]:
            if self._is_marked:
                return len(text)
            self._is_marked = True
            note = {
                "event": "note",
                "level": "warning",
                "text": "more output is only in the logs of the steps",
            }
            data = json.dumps(note).encode() + b"\n"
        self._size += len(data)
        self._file.write(data)
        return len(text)

    def flush(self) -> None:
        """Nothing is buffered."""

    def isatty(self) -> bool:
        """Report that this is a file."""
        return False


if __name__ == "__main__":
    main()
