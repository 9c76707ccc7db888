r"""The rules of a `.dockerignore` file, as Docker's reference states them.

docker-py's `docker.utils.build` is not used: it reads `[^a]`, `\*`, `..` and a byte order mark in another way than
Docker, so a file that has to stay behind would be sent, and the fingerprint of the same context would change. The test
compares the two; what they differ in is listed there.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class _Rule:
    regex: re.Pattern[str]
    is_exception: bool


class IgnoreRules:
    """Which paths of a build context stay behind; the last rule that fits a path decides."""

    def __init__(self, text: str, always: tuple[str, ...] = ()) -> None:
        """Read rules, one a line; the paths in `always` are sent whatever the rules say."""
        self._rules = tuple(_rules(text))
        self._always = frozenset(posixpath.normpath(path) for path in always)
        self._has_exceptions = any(rule.is_exception for rule in self._rules)

    def is_ignored(self, path: str) -> bool:
        """Return whether `path`, relative to the context, stays behind."""
        if path in self._always:
            return False
        parts = path.split("/")
        lineage = ["/".join(parts[: end + 1]) for end in range(len(parts))]
        is_out = False
        for rule in self._rules:
            if rule.is_exception == is_out and any(rule.regex.fullmatch(one) for one in lineage):
                is_out = not rule.is_exception
        return is_out

    def is_closed(self, folder: str) -> bool:
        """Return whether nothing below `folder` can be sent, so that it need not be looked at."""
        if any(path.startswith(f"{folder}/") for path in self._always):
            return False
        return not self._has_exceptions and self.is_ignored(folder)


def _rules(text: str) -> Iterator[_Rule]:
    for line in text.removeprefix("\ufeff").splitlines():
        if line.startswith("#"):
            continue
        pattern = line.strip()
        is_exception = pattern.startswith("!")
        pattern = pattern.removeprefix("!").strip()
        if not pattern:
            continue
        pattern = posixpath.normpath(pattern).lstrip("/")
        if pattern not in {"", "."}:
            yield _Rule(re.compile(_regex(pattern), re.DOTALL), is_exception)


def _regex(pattern: str) -> str:
    """Translate Go's filepath.Match with `**` (any number of directories, none too)."""
    out, at = [], 0
    while at < len(pattern):
        letter = pattern[at]
        if pattern.startswith("**", at):
            at += 2
            if at == len(pattern):
                out.append(".*")
            else:
                at += pattern.startswith("/", at)
                out.append("(?:.*/)?")
            continue
        at += 1
        if letter == "*":
            out.append("[^/]*")
        elif letter == "?":
            out.append("[^/]")
        elif letter == "\\" and at < len(pattern):
            out.append(re.escape(pattern[at]))
            at += 1
        elif letter == "[" and (end := pattern.find("]", at + 1)) > 0:
            inner = pattern[at:end]
            negated = inner.startswith("^")
            body = "".join(one if one in "-\\" else re.escape(one) for one in inner[negated:])
            out.append(f"(?!/)[{'^' if negated else ''}{body}]")
            at = end + 1
        else:
            out.append(re.escape(letter))
    return "".join(out)
