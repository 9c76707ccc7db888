"""Problems of all files, collected while reading goes on, and names that were meant."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from stalker.model.diagnostics import Place, Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_Given = TypeVar("_Given")
_Read = TypeVar("_Read")


class Invalid(ValueError):
    """A value that its rule refuses, with what to write in its place."""

    def __init__(self, what: str, hint: str = "") -> None:
        super().__init__(what)
        self.hint = hint


class Report:
    """What is wrong in the files, in the order found; the same thing is reported once."""

    def __init__(self) -> None:
        self._found: dict[Problem, None] = {}
        self._remedies: dict[Place, str] = {}

    def problem(self, place: Place, what: str, hint: str = "") -> None:
        """Add an error; the reader's doubt about a value is shown with what is wrong with the value."""
        hint = "\n  ".join(part for part in (hint, self._remedies.get(place, "")) if part)
        self._found[Problem(place, what, hint)] = None

    def problem_instead(self, place: Place, what: str, hint: str = "") -> None:
        """Add an error that replaces all that was reported of what is below: it was meant as something else."""
        below = f"{place.path}."
        self._found = {
            one: None
            for one in self._found
            if one.place.file != place.file or not one.place.path.startswith(below)
        }
        self.problem(place, what, hint)

    def attempt(self, place: Place, read: Callable[[_Given], _Read], given: _Given) -> _Read | None:
        """Return what `read` makes of a value; None where it raises ValueError, which is an error at `place`."""
        try:
            return read(given)
        except ValueError as error:
            self.refused(place, error)
            return None

    def refused(self, place: Place, error: ValueError) -> None:
        """Add an error that a conversion raised."""
        self.problem(place, str(error), error.hint if isinstance(error, Invalid) else "")

    def warning(self, place: Place, what: str, hint: str = "") -> None:
        """Add what stops nothing and may still be a slip."""
        self._found[Problem(place, what, hint, is_warning=True)] = None

    def take(self, problems: Iterable[Problem]) -> None:
        """Add problems found elsewhere."""
        for problem in problems:
            self._found[problem] = None
            if problem.is_warning and problem.hint:
                self._remedies[problem.place] = problem.hint

    @property
    def has_errors(self) -> bool:
        """Return whether anything but warnings was found."""
        return any(not problem.is_warning for problem in self._found)

    def sorted(self) -> list[Problem]:
        """Return all, by file, then line and column."""
        return sorted(self._found, key=lambda p: (p.place.file, p.place.line, p.place.column))

    def errors(self) -> list[Problem]:
        """Return the errors, by file, then line."""
        return [problem for problem in self.sorted() if not problem.is_warning]

    def warnings(self) -> tuple[str, ...]:
        """Return the warnings as text, without the word, by file, then line."""
        return tuple(str(Problem(p.place, p.what, p.hint)) for p in self.sorted() if p.is_warning)


def did_you_mean(name: str, known: Iterable[str], what: str = "") -> str:
    """Return a hint: the nearest known name, else all of them when they are few.

    `what` names the kind in the plural (`keys`) for the second form.
    """
    import difflib  # 10 ms; only a slip needs it

    names = sorted(set(known))
    near = difflib.get_close_matches(name, names, 1) or difflib.get_close_matches(
        name.lower(), [n for n in names if n.lower() == name.lower()] or [n.lower() for n in names], 1
    )
    near = [n for n in names if near and n.lower() == near[0].lower()]
    if near:
        return f"did you mean '{near[0]}'?"
    if not names:
        return f"there are no {what}" if what else ""
    if len(names) > 12:
        return ""
    return f"{what or 'known'}: {', '.join(names)}"
