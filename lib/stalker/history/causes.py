"""Why two builds of a step differ: the inputs that changed, by way of which steps.

The inputs of a step name its parent and its needs by fingerprint, so the way down is in them: no image is read.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

LINES_MAX = 200
"""Lines of a difference between two texts; more are counted."""

_DIGEST = re.compile(r"[0-9a-f]{64}")


class Texts(Protocol):
    """Knows the texts of scripts and placed files."""

    def text(self, digest: str) -> bytes | None:
        """Return a text by its digest, None where it was not kept."""


class Origins(Texts, Protocol):
    """Knows what was made under a fingerprint."""

    def fields(self, fingerprint: str) -> Mapping[str, str] | None:
        """Return the inputs, None where they are no longer known."""

    def name(self, fingerprint: str) -> str:
        """Return the step as `stalk:step`, empty where that is not known."""


@dataclass(frozen=True, slots=True)
class Cause:
    """One input that differs. `way` are the steps from the one that was asked about to the one that has it.

    `field` is a name of the inputs, empty where those of a step are no longer known. `old` and `new` are None
    where there is none.
    """

    way: tuple[str, ...]
    field: str
    old: str | None = None
    new: str | None = None

    @property
    def step(self) -> str:
        """The step whose input it is."""
        return self.way[-1]


def causes(step: str, old: str, new: str, origins: Origins) -> list[Cause]:
    """Return what differs between two fingerprints of a step, each cause once, by the shortest way to it."""
    found: dict[tuple[str, str], Cause] = {}
    seen: set[tuple[str, str]] = set()
    waiting: list[tuple[tuple[str, ...], str, str]] = [((step,), old, new)]
    while waiting:
        way, before, after = waiting.pop(0)
        if before == after or (before, after) in seen:
            continue
        seen.add((before, after))
        for cause in _of_step(way, before, after, origins):
            grows = cause.field == "parent" or cause.field.startswith("needs ")
            if grows and cause.old and cause.new:
                name = origins.name(cause.new) or cause.field.removeprefix("needs ")
                waiting.append(((*way, name), cause.old, cause.new))
                continue
            found.setdefault((cause.step, cause.field), cause)
    return list(found.values())


def _of_step(way: tuple[str, ...], old: str, new: str, origins: Origins) -> Iterator[Cause]:
    before, after = origins.fields(old), origins.fields(new)
    if before is None or after is None:
        yield Cause(way, "")
        return
    for name in sorted(before.keys() | after.keys()):
        if before.get(name) != after.get(name):
            yield Cause(way, name, before.get(name), after.get(name))


def cause_text(cause: Cause) -> str:
    """Return a cause in words: `variable PORT: 80 -> 8080`."""
    if not cause.field:
        return "its inputs are no longer known: neither the image nor logs/inputs has them"
    kind, _, rest = cause.field.partition(" ")
    if kind in {"parent", "needs"}:
        did = "is new" if cause.old is None else "was removed" if cause.new is None else "is another one"
        return f"{cause.field} {did}"
    if cause.old is None or cause.new is None:
        value = _short(cause.new or cause.old or "")
        return f"{cause.field} {'is new' if cause.old is None else 'was removed'}: {value}"
    if kind == "script" or (rest and _digest_in(cause.old) and _digest_in(cause.new)):
        modes = [value.split(" ")[0] for value in (cause.old, cause.new)]
        if _digest_in(cause.old) == _digest_in(cause.new):
            return f"{cause.field}: mode {modes[0]} -> {modes[1]}"
        return f"{cause.field} changed"
    return f"{cause.field}: {_short(cause.old)} -> {_short(cause.new)}"


def _short(value: str) -> str:
    """Return a value with digests at the length in which people compare them."""
    return _DIGEST.sub(lambda match: match[0][:12], value)


def _digest_in(value: str) -> str:
    match = _DIGEST.search(value)
    return match[0] if match else ""


def text_diff(cause: Cause, texts: Texts) -> list[str]:
    """Return the difference of a script or placed file as unified lines; empty where a text is not known."""
    old, new = _digest_in(cause.old or ""), _digest_in(cause.new or "")
    before, after = (texts.text(one) if one else b"" for one in (old, new))
    if not (old or new) or before is None or after is None or b"\0" in before + after:
        return []
    lines_before, lines_after = (one.decode("utf-8", "replace").splitlines() for one in (before, after))
    label = cause.field if cause.field != "script" else f"script of {cause.step}"
    lines = list(
        difflib.unified_diff(
            lines_before, lines_after, f"{label} (before)", f"{label} (after)", lineterm="", n=3
        )
    )
    if len(lines) > LINES_MAX:
        lines = [*lines[:LINES_MAX], f"... {len(lines) - LINES_MAX} more lines"]
    return lines
