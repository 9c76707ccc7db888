"""Plain English of the field: words that the glossary refuses are in no string or docstring of the product."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
REFUSED = {
    "is not a": r"(?<![Tt]here )\bis no (?!longer\b|more\b|older\b)\w+",
    "checked against": r"\bheld against\b",
    "is written": r"\bcomes? to stand\b",
    "available": r"\bto be had\b",
    "again": r"\banew\b",
    "repair, fix": r"\bmend(?:ed|s)?\b",
}
FILES = [*(ROOT / "lib").rglob("*.py"), *(ROOT / "plugins").rglob("*.py")]


def refused(source: str) -> list[str]:
    """Return the refused words of a module's strings, each with its line and what to write."""
    return [
        f"{node.lineno}: {match.group()!r}; write: {better}"
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        for better, pattern in REFUSED.items()
        for match in re.finditer(pattern, " ".join(node.value.split()))
    ]


def test_no_module_has_a_refused_word():
    """Each is named with its file, its line and the word to write."""
    assert FILES

    found = [f"{path.relative_to(ROOT)}:{line}" for path in FILES for line in refused(path.read_text())]

    assert not found, "\n".join(found)


@pytest.mark.parametrize("text", ["it is no file", "held against it", "is to be had", "made anew", "mended"])
def test_a_planted_word_is_found(text):
    """In a message, a docstring and an f-string."""
    assert len(refused(f'"""It\n{text}."""\nraise ValueError(f"{{x}}: {text}")')) == 2


def test_longer_and_there_is_no_are_english():
    """What every book of English has is not refused."""
    assert not refused('"""It is no longer there; there is no file."""')
