"""Change keys at the top of a YAML mapping and leave all other bytes as they are, comments too.

A file of people is not written again as a whole: PyYAML keeps no comments, no order of quotes, no line breaks.
Source: YAML 1.1 as PyYAML reads it; a value is written as JSON, which is YAML in one line.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    import yaml

REMOVED: Final = object()
"""As a value: the key is removed."""

SIZE_MAX_BYTES = 1 << 18
DEPTH_MAX = 50
"""PyYAML takes minutes for some ten thousand brackets."""


def read_mapping(content: bytes) -> dict[str, Any] | None:
    """Return the mapping of a YAML document; empty for one without content, None where it is something else.

    A document with aliases is None too: a few lines of them can be more than memory holds; so is one that is nested
    deeper than people write.
    """
    import yaml  # late: 30 ms, and only some images have such a file

    if len(content) > SIZE_MAX_BYTES:
        return None
    try:
        text = content.decode()
        depth = 0
        for event in yaml.parse(text, yaml.SafeLoader):
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            if depth > DEPTH_MAX or isinstance(event, yaml.AliasEvent):
                return None
        value = yaml.load(text, yaml.SafeLoader)
    except (UnicodeDecodeError, yaml.YAMLError, ValueError, RecursionError):
        return None
    if value is None:
        return {}
    return value if isinstance(value, dict) and all(isinstance(key, str) for key in value) else None


def with_keys(content: bytes, changes: Mapping[str, object]) -> bytes | None:
    """Return a YAML mapping with these keys set or REMOVED, None where that is not possible.

    A key that is repeated is set once. New keys are added at the end.
    """
    before = read_mapping(content)
    if before is None:
        return None
    text = content.decode()
    spans = _spans(text)
    new = dict(changes)
    for name, begin, end in sorted(spans, key=lambda span: -span[1]):
        if name not in changes:
            continue
        value = new.pop(name, REMOVED)
        if value is REMOVED:
            rest = text[end:]
            feed = rest.find("\n")
            # What is left of its line is a comment of the key, or the break.
            text = text[:begin] + (rest[feed + 1 :] if feed >= 0 else "")
        else:
            text = f"{text[:begin]}{_line(name, value)}{text[end:]}"
    added = [f"{_line(name, value)}\n" for name, value in new.items() if value is not REMOVED]
    if added and text and not text.endswith("\n"):
        text += "\n"
    result = (text + "".join(added)).encode()
    wanted = {**before, **changes}
    kept = {name: value for name, value in wanted.items() if value is not REMOVED}
    return result if read_mapping(result) == kept else None


def _line(name: str, value: object) -> str:
    return f"{name}: {json.dumps(value, ensure_ascii=False)}"


def _spans(text: str) -> list[tuple[str, int, int]]:
    """Return (name, begin, end) of each key at the top with its value, in characters."""
    import yaml

    node = yaml.compose(text, yaml.SafeLoader)
    if not isinstance(node, yaml.MappingNode) or node.flow_style:
        return []
    return [(key.value, key.start_mark.index, _end(value)) for key, value in node.value]


def _end(node: yaml.Node) -> int:
    """Return where a value ends: PyYAML counts comments and blank lines after a block to it."""
    last = node.value[-1] if isinstance(node.value, list) and node.value else None
    if last is None or getattr(node, "flow_style", False):
        end: int = node.end_mark.index
        # A block of text ends with its last line break, all others before it.
        return end - 1 if getattr(node, "style", None) in {"|", ">"} and end else end
    return _end(last[1] if isinstance(last, tuple) else last)
