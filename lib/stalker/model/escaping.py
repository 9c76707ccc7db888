"""Foreign text as it is shown: names of files, labels, comments, values and messages of other programs.

A name may hold a line break, the control sequences of a terminal, characters that turn the direction of
writing, and bytes that are not UTF-8. Data keep them (JSON, logs, fingerprints); what people read does not.
"""

from __future__ import annotations


def shown(text: str) -> str:
    r"""Return text on one line with all that is not printable by its number: `\n`, `\x1b`, `\u202e`, `\xff`.

    Printable is what Unicode calls so, and the space.
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _numbered(char) for char in text)


def shown_lines(text: str) -> str:
    """Return text of several lines with each of them as `shown` gives it; tabs stay."""
    if text.isprintable():
        return text
    return "\n".join("\t".join(map(shown, line.split("\t"))) for line in text.split("\n"))


def _numbered(char: str) -> str:
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is not UTF-8, as Python keeps it in names
        return f"\\x{code - 0xDC00:02x}"
    return char.encode("unicode_escape").decode("ascii")


def path_text(path: bytes) -> str:
    """Return a path of a tar for people: absolute, without what a terminal would obey."""
    text = path.decode("utf-8", "replace")
    return "/" + "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
