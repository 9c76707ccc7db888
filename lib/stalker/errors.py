"""Every error that stalker raises on purpose.

    StalkerError                    exit code
    ├── FilesError      2           problems in files, all of them at once
    │   └── ArgumentsError  2       problems of what was typed: no file has a place for them
    ├── PlanError       2           an impossible graph or selection
    ├── StepFailed      1           a step ended with another exit code than 0, or out of time
    │   └── InputChanged 1          what a step is made of changed while it ran
    ├── LockHeld        1           another run works on the same image names
    ├── NeedsRepair     1           a file system is damaged, or was not unmounted: a checker may repair it
    ├── EngineError     1           the engine refused a call
    │   ├── NoEngine    3           there is none, or it went away
    │   ├── NotThere    1           an image or container is not there
    │   └── EngineFull  1           no space left where the engine keeps its images
    ├── InputError      4           a download, checksum or signature is bad
    └── Interrupted     130         Ctrl-C

Each has three parts: `brief`, one line on what happened and where; `details`, what is known of it;
`resolution`, what to do. `main` prints them so. An error must survive pickling: it crosses
threads and hosts.

Several things tried one after the other, so that all that is wrong is reported at once.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from stalker.model.diagnostics import Problem


class StalkerError(Exception):
    """What stalker could not do, in three parts."""

    exit_code = 1

    def __init__(self, brief: str, details: str = "", resolution: str = "") -> None:
        """Keep the three parts; `brief` is a sentence without a full stop."""
        super().__init__(brief)
        self.brief = brief
        self.details = details
        self.resolution = resolution

    def __reduce__(self) -> tuple[Any, ...]:
        """Rebuild from the three parts, whatever the subclass adds travels in `__dict__`."""
        return _rebuild, (type(self), self.brief, self.details, self.resolution, self.__dict__)


def _rebuild(
    kind: type[StalkerError], brief: str, details: str, resolution: str, state: dict[str, Any]
) -> StalkerError:
    error = kind.__new__(kind)
    StalkerError.__init__(error, brief, details, resolution)
    error.__dict__.update(state)
    return error


class FilesError(StalkerError):
    """Problems found in files, collected; nothing was asked of the engine yet."""

    exit_code = 2

    def __init__(self, problems: Sequence[Problem], resolution: str = "") -> None:
        """Take the problems in the order in which they are to be shown."""
        self.problems = tuple(problems)
        count = len(self.problems)
        super().__init__(
            f"{count} problem{'s' if count != 1 else ''} in the files",
            "\n".join(str(problem) for problem in self.problems),
            resolution,
        )


class ArgumentsError(FilesError):
    """What was typed names something that is not there, or cannot be meant."""

    def __init__(self, problems: Sequence[Problem], brief: str = "") -> None:
        """Take at least one problem; places are not shown, and the first is the brief if none is given."""
        first, *more = problems
        parts = [first.hint, *(part for problem in more for part in (problem.what, problem.hint))]
        StalkerError.__init__(self, brief or first.what, "\n".join(part for part in parts if part))
        self.problems = tuple(problems)


class PlanError(StalkerError):
    """An impossible graph, argument or selection."""

    exit_code = 2


class StepFailed(StalkerError):
    """A step ended badly; the details hold its last lines."""


class InputChanged(StepFailed):
    """What a step is made of changed while it ran: what it left is not the work that was planned."""


class LockHeld(StalkerError):
    """Another run works on the same image names."""


class NeedsRepair(StalkerError):
    """A file system is damaged, or was not unmounted; nothing of it was changed."""


class EngineError(StalkerError):
    """The engine refused a call."""


class NoEngine(EngineError):
    """There is no engine, or it went away in the middle."""

    exit_code = 3


class NotThere(EngineError):
    """An image, container or volume is not there."""


class EngineFull(EngineError):
    """No space is left where the engine keeps its images."""


class InputError(StalkerError):
    """A download, checksum or signature is bad."""

    exit_code = 4


def as_one(errors: Sequence[InputError], brief: str) -> InputError:
    """Return several errors as one that tells all of them; a single one is itself."""
    if len(errors) == 1:
        return errors[0]
    details = "\n".join(f"{error.brief}\n  {error.details}".rstrip() for error in errors)
    return InputError(brief, details, errors[0].resolution)


class Interrupted(StalkerError):
    """The user stopped the run."""

    exit_code = 130


class Attempts:
    """Keeps the errors of what was tried; `check` raises what there is."""

    def __init__(self) -> None:
        self._wrong: list[StalkerError] = []

    @contextlib.contextmanager
    def one(self) -> Iterator[None]:
        """Keep what goes wrong inside; what would stop all the others too is raised at once."""
        try:
            yield
        except (EngineError, Interrupted, NeedsRepair):
            raise
        except StalkerError as error:
            self._wrong.append(error)

    def check(self, what: str) -> None:
        """Raise StalkerError when something went wrong: that alone, or all of it as `2 accounts cannot be`."""
        if len(self._wrong) == 1:
            raise self._wrong[0]
        if self._wrong:
            raise StalkerError(
                f"{len(self._wrong)} {what} cannot be",
                "\n".join(_in_full(error) for error in self._wrong),
                self._wrong[0].resolution,
            )


def _in_full(error: StalkerError) -> str:
    more = [*error.details.splitlines(), *([error.resolution] if error.resolution else [])]
    return "\n".join([error.brief, *(f"  {line}" for line in more)])


class NotGenuine(InputError):
    """What was fetched is not what the tree says: it is to be forgotten, not used."""


class NotReached(InputError):
    """No server gave it, though one may the next time."""


class NoRoom(InputError):
    """The disk does not take it; another server would not help."""
