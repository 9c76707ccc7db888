"""The use case of a bisection: the states to search, the tests of a state, and a log that a search goes on from."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stalker.errors import EngineError, PlanError
from stalker.history.bisect import NOT_RUN, Bisection, Verdict, verdict_of
from stalker.history.chain import State, step_of
from stalker.model import labels
from stalker.model.diagnostics import Place
from stalker.model.tree import Option

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from stalker.engine.interface import Engine
    from stalker.history.look import Looker
    from stalker.history.versions import Requirement
    from stalker.model.images import Image

DPKG_FILES = ("/var/lib/dpkg/status",)
APK_FILES = ("/lib/apk/db/installed", "/usr/lib/apk/db/installed")


# The row


def row_of(engine: Engine, image: Image, good: Image | None, bad: Image | None) -> list[State]:
    """Return the states from the good end to the bad one. Raises PlanError."""
    from stalker.history.chain import chain_of

    return _between(chain_of(engine, bad or image), good, bad or image)


def builds_of(engine: Engine, image: Image, good: Image | None, bad: Image | None) -> list[State]:
    """Return the builds of the step that left an image, the oldest first. Raises PlanError."""
    from stalker.images.listing import owned_images

    name = image.labels.get(labels.STEP, "")
    owned = owned_images(engine.labelled_images(), engine.image)
    builds = [one.image for one in owned if one.kind == "step" and one.step == name]
    states = [State(one, step_of(one)) for one in sorted(builds, key=lambda one: (one.created_s, one.id))]
    if len(states) < 2:
        count = "no" if not states else "only one"
        raise PlanError(f"there is {count} build of {name or image.id}", "", "prune --keep keeps older ones")
    return _between(states, good, bad)


def _between(states: list[State], good: Image | None, bad: Image | None) -> list[State]:
    numbers = {state.image.id: number for number, state in enumerate(states)}
    for option, end in (("--good", good), ("--bad", bad)):
        if end is not None and end.id not in numbers:
            known = ", ".join(state.title for state in states)
            raise PlanError(f"{option}: that image is not in the row", f"the row is {known}")
    first = numbers[good.id] if good is not None else 0
    last = numbers[bad.id] if bad is not None else len(states) - 1
    if first >= last:
        raise PlanError("nothing is between the good end and the bad one", "", "give an older --good")
    return states[first : last + 1]


# Tests of a state


@dataclass(frozen=True, slots=True)
class CommandTest:
    """Runs a command in a container of the image alone: as root, without a network and without mounts."""

    engine: Engine
    looker: Looker
    command: Sequence[str]
    on_output: Callable[[bytes, bool], None]

    def __call__(self, state: State) -> int:
        """Return the exit code of the command in one state. Raises EngineError."""
        no_network = (Option("network_mode", '"none"', counts=False, place=Place("bisect")),)
        with self.looker.opened(state.image.id, no_network) as container:
            try:
                self.engine.start(container)
            except EngineError as error:
                if "no such file" not in error.details:
                    raise
                return max(NOT_RUN)  # it has no /bin/sh
            argv = ("/bin/sh", "-c", 'exec "$@"', "sh", *self.command)
            code = self.engine.exec(container, argv, {}, self.on_output, user="0")
        if code is None:
            raise EngineError(f"{state.title}: the container of the test was stopped")
        return code


@dataclass(frozen=True, slots=True)
class PathTest:
    """A state is good while a path exists, or with `is_absent` while it does not."""

    looker: Looker
    path: str
    is_absent: bool

    def __call__(self, state: State) -> int:
        """Test one state: 0 is good, 1 is bad."""
        (sight,) = self.looker.each([state.image.id], self.path, with_content=False)
        return 0 if (sight is None) == self.is_absent else 1


@dataclass(frozen=True, slots=True)
class PackageTest:
    """A state is good while an installed package meets a requirement."""

    engine: Engine
    looker: Looker
    requirement: Requirement

    def __call__(self, state: State) -> int:
        """Test one state: 0 is good, 1 is bad."""
        return 0 if self.requirement.is_met(versions_of(self.engine, self.looker, state)) else 1


def versions_of(engine: Engine, looker: Looker, state: State) -> dict[str, str]:
    """Return the installed packages of a state by name, also as `name:architecture`."""
    from stalker.app.history import known_layers
    from stalker.artifacts.packages import Packages
    from stalker.formats.tar.header import new_header
    from stalker.history.look import sight_of

    packages = Packages()
    with looker.opened(state.image.id) as container:
        for path in (*DPKG_FILES, *APK_FILES):
            sight = sight_of(engine, container, path, with_content=True)
            if sight is not None and sight.content is not None:
                inside = path.lstrip("/").encode()
                packages.see(inside, new_header(inside, b"0", mode=0o644, mtime_s=0), sight.content)
    if not packages.all():  # Portage and pacman: the names of directories
        (listing,) = known_layers().states(engine, [state])
        for inside, seen in listing.items():
            if seen.entry.kind == "folder":
                packages.see(inside, new_header(inside, b"5", mode=0o755, mtime_s=0), None)
    found = {f"{one.name}:{one.architecture}": one.version for one in packages.all() if one.architecture}
    return found | {one.name: one.version for one in packages.all()}


# The search


@dataclass(slots=True)
class Log:
    """The results of a search in a file, one JSON object a line; the first line says what is tested.

    Without a path nothing is written.
    """

    path: Path | None
    what: str
    known: dict[str, Verdict] = field(default_factory=dict)

    def begin(self) -> None:
        """Read what an interrupted search found, or begin the file. Raises PlanError."""
        if self.path is None:
            return
        if not self.path.exists():
            self._write({"test": self.what})
            return
        for line in self.path.read_text(encoding="utf-8").splitlines():
            message = _read(line)
            if message.get("test", self.what) != self.what:
                raise PlanError(
                    f"{self.path} is of another search: {message['test']}", "", "give --log another file"
                )
            if message.get("verdict") in {"good", "bad", "skip"} and isinstance(message.get("image"), str):
                self.known[message["image"]] = message["verdict"]

    def add(self, state: State, verdict: Verdict, took_s: float) -> None:
        """Write a result."""
        row = {"image": state.image.id, "state": state.title, "verdict": verdict, "took_s": round(took_s, 3)}
        self._write(row)

    def _write(self, message: dict[str, Any]) -> None:
        if self.path is not None:
            with self.path.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(message) + "\n")


def _read(line: str) -> dict[str, Any]:
    try:
        message = json.loads(line)
    except ValueError:
        return {}  # a line that a kill cut off
    return message if isinstance(message, dict) else {}


def tested(
    states: Sequence[State],
    test: Callable[[State], int],
    log: Log,
    tell: Callable[[str], None],
    *,
    every: bool,
) -> Bisection:
    """Search a row, or test all of it. `test` returns an exit code; `tell` gets a line for each test.

    Raises what the test does, and PlanError.
    """
    from stalker.history.bisect import search

    known = {
        number: log.known[state.image.id]
        for number, state in enumerate(states)
        if state.image.id in log.known
    }
    bisection = Bisection(len(states), known)

    def one(number: int) -> Verdict:
        state, began_s = states[number], time.monotonic()
        verdict = verdict_of(test(state), is_good_end=number == 0)
        took_s = time.monotonic() - began_s
        log.add(state, verdict, took_s)
        tell(f"{number + 1} of {len(states)}  {state.title}: {verdict} ({took_s:.1f} s)")
        return verdict

    if every:
        for number in range(len(states)):
            if number not in bisection.results:
                bisection.results[number] = one(number)
    else:
        search(bisection, one)
    return bisection
