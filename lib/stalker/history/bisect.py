"""Which state of a row is the first bad one: tests chosen by halving, as `git bisect` does.

It holds no state of its own but the results so far, so it is taken up again by giving it those.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from stalker.errors import PlanError

if TYPE_CHECKING:
    from collections.abc import Callable

Verdict = Literal["good", "bad", "skip"]

SKIP, STOPS_ABOVE, NOT_RUN = 125, 127, frozenset({126, 127})
"""Exit codes of a test command, as git's: 125 skips, what is above 127 ended by a signal. 126 and 127 are a
command that could not run: at the good end that is a mistake of the caller, later the fault that is looked for."""


def verdict_of(exit_code: int, *, is_good_end: bool) -> Verdict:
    """Return what an exit code of a test command means.

    Raises:
        PlanError: the command itself is at fault.
    """
    if exit_code > STOPS_ABOVE or exit_code < 0:
        raise PlanError(
            f"the test ended with {exit_code}: a signal ended it", "", "run it by hand with shell"
        )
    if is_good_end and exit_code in NOT_RUN:
        raise PlanError(
            f"the test ended with {exit_code} in the good state: the command cannot run there",
            "",
            "give a command that the good state has; what follows -- is run without a shell",
        )
    if exit_code == SKIP:
        return "skip"
    return "good" if exit_code == 0 else "bad"


@dataclass(slots=True)
class Bisection:
    """The search among `count` states, numbered from the oldest.

    The first is expected to be good and the last to be bad; both are tested before anything between them, the
    last one first.
    """

    count: int
    results: dict[int, Verdict] = field(default_factory=dict)

    @property
    def last_good(self) -> int | None:
        """The youngest state that is known to be good, older than the first bad one."""
        bad = self.first_bad
        found = [n for n, verdict in self.results.items() if verdict == "good" and (bad is None or n < bad)]
        return max(found, default=None)

    @property
    def first_bad(self) -> int | None:
        """The oldest state that is known to be bad."""
        return min((n for n, verdict in self.results.items() if verdict == "bad"), default=None)

    def next(self) -> int | None:
        """Return the state to test next, None when nothing is left to learn.

        Raises:
            PlanError: the ends are not as expected.
        """
        for end, expected in ((self.count - 1, "bad"), (0, "good")):
            found = self.results.get(end)
            if found is None:
                return end
            if found != expected:
                raise _wrong_end(end, found, expected)
        assert self.first_bad is not None
        assert self.last_good is not None
        left = [n for n in range(self.last_good + 1, self.first_bad) if n not in self.results]
        middle = (self.last_good + self.first_bad) / 2
        return min(left, key=lambda n: (abs(n - middle), n), default=None)

    def suspects(self) -> range:
        """Return the states of which one is the first bad one: more than one where some were skipped."""
        assert self.first_bad is not None
        assert self.last_good is not None
        return range(self.last_good + 1, self.first_bad + 1)


def _wrong_end(end: int, found: Verdict, expected: str) -> PlanError:
    which = "oldest" if end == 0 else "youngest"
    if found == "skip":
        return PlanError(f"the {which} state cannot be tested", "", "name another one with --good or --bad")
    return PlanError(
        f"the {which} state is {found}, where a {expected} one is expected",
        "" if end else "what is looked for was there from the beginning",
        "name the ends with --good and --bad, or turn the test round",
    )


def changes_of_verdict(results: dict[int, Verdict]) -> list[tuple[int, Verdict]]:
    """Return where the verdict changes, for a test of every state; what was skipped is passed over."""
    found: list[tuple[int, Verdict]] = []
    before: Verdict | None = None
    for number, verdict in sorted(results.items()):
        if verdict == "skip":
            continue
        if before is not None and verdict != before:
            found.append((number, verdict))
        before = verdict
    return found


def search(bisection: Bisection, test: Callable[[int], Verdict]) -> None:
    """Test until nothing is left to learn; results are in `bisection`. Raises what `test` does, and PlanError."""
    while (number := bisection.next()) is not None:
        bisection.results[number] = test(number)
