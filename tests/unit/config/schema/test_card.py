from __future__ import annotations

import json

from stalker.config.schema.card import FILE, IMAGE, INJECTIONS, OUTPUT, creation_schema


def test_the_schema_is_json_with_all_keys():
    """For editors."""
    document = creation_schema()

    assert json.loads(json.dumps(document)) == document
    assert document["title"] == "stalker image"
    assert set(document["properties"]) == set(IMAGE.keys)
    assert document["required"] == ["base"]
    assert document["additionalProperties"] is False
    assert set(document["properties"]["injections"]["properties"]) == set(INJECTIONS)


def test_every_key_has_a_line_of_help():
    """The schema is documentation, too."""
    shapes = {**IMAGE.keys, **FILE, **INJECTIONS, **OUTPUT}

    assert [key for key, shape in shapes.items() if not shape.help] == []
