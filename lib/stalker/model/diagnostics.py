"""Where things are in the files of a workspace."""

from __future__ import annotations

from dataclasses import dataclass

from stalker.model.escaping import shown, shown_lines


@dataclass(frozen=True, slots=True)
class Place:
    """A spot in a file: `stalks/web/web.hjson:14:5`, and the path of keys that leads there.

    `line` and `column` count from 1; `path` is dotted (`plugins.install.use`), empty for the file itself.
    """

    file: str
    line: int = 1
    column: int = 1
    path: str = ""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"

    @property
    def short(self) -> str:
        """File and line, as reasons show it."""
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong in a file, with what to do about it."""

    place: Place
    what: str
    hint: str = ""
    is_warning: bool = False

    def __str__(self) -> str:
        path = f"{shown(self.place.path)}: " if self.place.path else ""
        kind = "warning: " if self.is_warning else ""
        hint = f"\n  {shown_lines(self.hint)}" if self.hint else ""
        return f"{shown(str(self.place))}: {kind}{path}{shown_lines(self.what)}{hint}"
