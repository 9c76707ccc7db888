"""JSON Schema of the three kinds of files, for editors; made from the declarations of this package."""

from __future__ import annotations

from typing import Any, Literal

from stalker.config.docker_options.table import options_schema
from stalker.config.schema import tree
from stalker.config.schema.types import Either, Flag, Items, Keys, Named, Options, Scalar, Shape, Text, Whole

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schema(kind: Literal["tree", "stalk", "plugin"]) -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of a kind of file."""
    document = document_schema(tree.KINDS[kind], f"stalker {kind}")
    if kind == "tree":
        document["$defs"] = {name: _schema(named) for name, named in tree.NAMED.items()}
    return document


def document_schema(shape: Keys, title: str) -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of a file of one shape."""
    return {"$schema": DIALECT, "title": title, **_schema(shape)}


def _schema(shape: Shape) -> dict[str, Any]:
    found = _bare(shape)
    parts = [f"with {shape.of.replace(' ', ', ')}" * bool(shape.of), shape.help]
    description = ": ".join(part for part in parts if part)
    if shape.default:
        description += f"; default: {shape.default}"
    return {**found, "description": description} if description else found


def _bare(shape: Shape) -> dict[str, Any]:
    match shape:
        case Text():
            found: dict[str, Any] = {"type": "string"}
            if shape.pattern:
                found["pattern"] = f"^(?:{shape.pattern})$"
            if shape.allowed:
                found["enum"] = list(shape.allowed)
            return found
        case Scalar():
            return {"type": ["string", "number", "boolean"]}
        case Flag():
            return {"type": "boolean"}
        case Whole():
            return {"type": "integer", "minimum": shape.minimum, "maximum": shape.maximum}
        case Items():
            many = {"type": "array", "items": _schema(shape.item)}
            return {"anyOf": [_schema(shape.item), many]} if shape.or_one else many
        case Keys():
            return _keys(shape)
        case Either():
            return {"anyOf": [_schema(one) for one in shape.shapes]}
        case Named():
            return {"$ref": f"#/$defs/{shape.name}"}
        case Options():
            return options_schema()
        case _:
            return {}


def _keys(shape: Keys) -> dict[str, Any]:
    found: dict[str, Any] = {"type": "object"}
    if shape.keys:
        found["properties"] = {key: _schema(one) for key, one in shape.keys.items()}
    if shape.required:
        found["required"] = list(shape.required)
    if shape.variables:
        found["patternProperties"] = {"^[A-Z_][A-Z0-9_]*$": {"type": ["string", "number", "boolean"]}}
        known = sorted(key for key in shape.keys if key.isupper())
        if known:  # DOCKER_OPTS is not a variable
            alternatives = "|".join(known)
            found["patternProperties"] = {
                f"^(?!(?:{alternatives})$)[A-Z_][A-Z0-9_]*$": {"type": ["string", "number", "boolean"]}
            }
    found["additionalProperties"] = _schema(shape.others) if shape.others is not None else False
    return found
