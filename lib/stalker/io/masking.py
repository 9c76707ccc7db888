r"""Secrets replaced by `***`, in whole texts and in streams that come in pieces.

Every occurrence of every secret is covered, overlapping ones too, and each run of overlapping
occurrences becomes one `***`. Replacing the leftmost match alone would not do: with the secrets `ab`
and `bcdef`, the text `abcdef` would keep `cdef`.

A secret of several lines is also known by each of its lines, because programs print line by line and
a terminal turns `\n` into `\r\n`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, AnyStr

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MASK = "***"
SHORTEST_LINE = 8
"""Shorter lines of a longer secret are not secrets by themselves: `}`, `EOF`."""

Span = tuple[int, int]
"""Start and end of what is covered; a start of -1 says that its `***` has been passed on already."""


class Masker:
    """Replaces secrets in one stream of bytes, and in texts (`mask_text`, which keeps no state).

    Of a stream it holds back only what may be the beginning of a secret: at most the length of the
    longest one less one byte.
    """

    def __init__(self, values: Iterable[str]) -> None:
        """Take the secrets; those that are empty or blank are none."""
        self._texts = _known_forms(values)
        self._secrets = tuple(_encoded(text) for text in self._texts)
        self._held = b""
        self._covered = 0

    def feed(self, data: bytes) -> bytes:
        """Take the next piece and return what can be passed on."""
        if not self._secrets:
            return data
        buffer = self._held + data
        keep_from = _first_possible_beginning(buffer, self._secrets)
        return self._pass_on(buffer, keep_from)

    def flush(self) -> bytes:
        """Return what was held back, at the end of the stream; a new one may follow."""
        return self._pass_on(self._held, len(self._held))

    def mask_text(self, text: str) -> str:
        """Return a whole text with its secrets replaced."""
        spans = _spans(text, self._texts)
        return _replaced(text, len(text), spans, MASK) if spans else text

    def _pass_on(self, buffer: bytes, end: int) -> bytes:
        spans = _spans(buffer, self._secrets, self._covered)
        self._held = buffer[end:]
        self._covered = max((stop - end for start, stop in spans if start < end and stop > end), default=0)
        return _replaced(buffer, end, spans, MASK.encode())


def _known_forms(values: Iterable[str]) -> tuple[str, ...]:
    forms = set()
    for value in values:
        stripped = value.strip()
        if not stripped:
            continue
        forms |= {value, stripped, *_quoted(stripped)}
        lines = [line.strip() for line in stripped.splitlines()]
        if len(lines) > 1:
            forms.add("\r\n".join(stripped.splitlines()))
            forms |= {line for line in lines if len(line) >= SHORTEST_LINE}
    return tuple(sorted(forms, key=lambda form: (-len(form), form)))


def _quoted(text: str) -> tuple[str, ...]:
    """Return how `set -x` of dash and busybox, and of bash, shows a text, without the outer quotes."""
    return text.replace("'", "'\"'\"'"), text.replace("'", "'\\''")


def _encoded(text: str) -> bytes:
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")


def _spans(text: AnyStr, secrets: Sequence[AnyStr], covered: int = 0) -> list[Span]:
    """Return the stretches to cover, in order, overlapping ones joined."""
    found = [(-1, covered)] if covered else []
    for secret in secrets:
        at = text.find(secret)
        while at >= 0:
            found.append((at, at + len(secret)))
            at = text.find(secret, at + 1)
    found.sort()
    joined: list[Span] = []
    for start, stop in found:
        if joined and start < joined[-1][1]:
            joined[-1] = (joined[-1][0], max(stop, joined[-1][1]))
        else:
            joined.append((start, stop))
    return joined


def _replaced(text: AnyStr, end: int, spans: Sequence[Span], mask: AnyStr) -> AnyStr:
    """Return `text[:end]` with the spans that begin there replaced."""
    parts = []
    done = 0
    for start, stop in spans:
        if start >= end:
            break
        if start >= 0:
            parts += [text[done:start], mask]
        done = stop
    parts.append(text[min(done, end) : end])
    return text[:0].join(parts)


def _first_possible_beginning(buffer: bytes, secrets: Sequence[bytes]) -> int:
    """Return where the earliest tail starts that a secret goes on from, else the buffer's length."""
    first = len(buffer)
    for secret in secrets:
        at = buffer.find(secret[:1], max(0, len(buffer) - len(secret) + 1))
        while 0 <= at < first:
            if secret.startswith(buffer[at:]):
                first = at
                break
            at = buffer.find(secret[:1], at + 1)
    return first
