"""The images that a Dockerfile builds on: FROM, and what is copied or mounted from other images."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)(?:(:[-+])([^}]*))?\})")
_FROM_OPTION = re.compile(r"(?:^|\s)--from=(\S+)|--mount=\S*?\bfrom=([^,\s]+)")
_ESCAPE = re.compile(r"#\s*escape\s*=\s*(\S)", re.IGNORECASE)


def images_of(text: str, arguments: Mapping[str, str]) -> tuple[str, ...]:
    """Return the names of all images that a Dockerfile builds on, in order; stages of its own are left out.

    `arguments` are those that the build gets. A name that needs an argument without a value is left out.
    """
    values: dict[str, str] = {}
    stages: set[str] = set()
    found: list[str] = []
    is_head = True
    for word, rest in _instructions(text):
        if word == "ARG" and is_head:
            for name, _, default in (one.partition("=") for one in rest.split()):
                values[name] = arguments.get(name, _plain(default, values))
        elif word == "FROM":
            is_head = False
            parts = [part for part in rest.split() if not part.startswith("--")]
            if parts:
                found.append(_plain(parts[0], values))
                if found[-1].lower() in stages:
                    found.pop()
            if len(parts) > 2 and parts[1].upper() == "AS":
                stages.add(parts[2].lower())
        elif word in {"COPY", "ADD", "RUN"}:
            named = [copied or mounted for copied, mounted in _FROM_OPTION.findall(rest)]
            found += [name for name in named if name.lower() not in stages and not name.isdecimal()]
    return tuple(name for name in dict.fromkeys(found) if name and name.lower() != "scratch")


def _instructions(text: str) -> Iterator[tuple[str, str]]:
    """Yield instructions in capitals, each with what follows; lines that go on are joined."""
    escape = _ESCAPE.match(text.lstrip("\ufeff"))
    going_on = escape[1] if escape else "\\"
    line = ""
    for part in text.lstrip("\ufeff").splitlines():
        if part.lstrip().startswith("#") or (line and not part.strip()):
            continue
        line += part.rstrip()
        if line.endswith(going_on):
            line = line[: -len(going_on)]
            continue
        word, _, rest = line.strip().partition(" ")
        line = ""
        if word:
            yield word.upper(), rest.strip()


def _plain(text: str, values: Mapping[str, str]) -> str:
    """Return a text with variables put in, without quotes."""

    def value(match: re.Match[str]) -> str:
        found = values.get(match[1] or match[2], "")
        if match[3] == ":-":
            return found or match[4]
        return (match[4] if found else "") if match[3] == ":+" else found

    return _VARIABLE.sub(value, text.strip("\"'"))
