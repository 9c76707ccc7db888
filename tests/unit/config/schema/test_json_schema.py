from __future__ import annotations

import json

import pytest

from stalker.config.docker_options.table import TABLE
from stalker.config.schema.json_schema import schema
from stalker.config.schema.tree import KINDS, NODE, PLUGIN, STALK


@pytest.mark.parametrize("kind", ["tree", "stalk", "plugin"])
def test_the_schema_of_each_kind_is_json(kind):
    """`stalker schema KIND` prints it for editors."""
    document = schema(kind)

    assert json.loads(json.dumps(document)) == document
    assert document["$schema"].endswith("2020-12/schema")
    assert set(document["properties"]) == set(KINDS[kind].keys)


def test_the_schema_of_a_tree_nests():
    """A node holds nodes."""
    document = schema("tree")

    assert document["properties"]["stalks"]["additionalProperties"] == {"$ref": "#/$defs/node"}
    assert document["$defs"]["node"]["additionalProperties"] == {"$ref": "#/$defs/node"}
    assert set(document["$defs"]["node"]["properties"]) == set(NODE.keys)


def test_docker_opts_in_the_schema_are_those_that_are_not_refused():
    """An editor offers what the reader takes."""
    options = schema("stalk")["properties"]["DOCKER_OPTS"]

    assert set(options["properties"]) == {
        n for row in TABLE if row.fate != "refused" for n in (row.name, *row.aliases)
    }
    assert options["additionalProperties"] is False


@pytest.mark.parametrize("shape", [*KINDS.values(), NODE, PLUGIN, STALK])
def test_every_key_has_a_line_of_help(shape):
    """The schema is documentation, too."""
    assert [key for key, one in shape.keys.items() if not one.help] == []


def test_docker_opts_are_no_variable_in_the_schema():
    """DOCKER_OPTS is in upper case and holds a mapping."""
    import re

    (pattern,) = schema("stalk")["patternProperties"]

    assert not re.search(pattern, "DOCKER_OPTS")
    assert re.search(pattern, "CONFIG_SERIAL")
    assert re.search(pattern, "DOCKER_OPTS_X")
