"""Several things tried one after the other, so that all that is wrong is told at once."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from stalker.errors import StalkerError

if TYPE_CHECKING:
    from collections.abc import Iterator


class Attempts:
    """Keeps the errors of what was tried; `check` raises what there is."""

    def __init__(self) -> None:
        self._wrong: list[StalkerError] = []

    @contextlib.contextmanager
    def one(self) -> Iterator[None]:
        """Keep what goes wrong inside."""
        try:
            yield
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
