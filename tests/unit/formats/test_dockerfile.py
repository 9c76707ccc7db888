"""Which images a Dockerfile builds on."""

from __future__ import annotations

import pytest

from stalker.formats.dockerfile import images_of


@pytest.mark.parametrize(
    ("text", "images"),
    [
        ("FROM debian:12\nRUN true\n", ["debian:12"]),
        ("from debian:12", ["debian:12"]),
        (
            "# FROM no\n\nFROM --platform=linux/arm64 \\\n# a comment\n  debian:12 \\\n  AS build\n",
            ["debian:12"],
        ),
        ("FROM a AS one\nFROM one\nFROM b AS Two\nFROM two\n", ["a", "b"]),
        ("FROM a AS one\nFROM b\nCOPY --chown=1 --from=one /x /\nCOPY --from=c:1 /x /\n", ["a", "b", "c:1"]),
        ("FROM a\nCOPY --from=0 /x /\n", ["a"]),
        ("FROM a\nRUN --mount=type=bind,from=d,source=/x true\n", ["a", "d"]),
        ("FROM scratch\n", []),
        ("ARG V=1\nARG W=$V-slim\nFROM debian:${W}\n", ["debian:1-slim"]),
        ("ARG V\nFROM debian:${V:-7}\n", ["debian:7"]),
        ("ARG ASKED=1\nFROM x:$ASKED\n", ["x:9"]),
        ('ARG V="1"\nFROM x:$V${V:+-full}\n', ["x:1-full"]),
        ("ARG NAME\nFROM $NAME\n", []),
        ("FROM a\nARG V=1\nRUN echo --from=no\n", ["a", "no"]),
        ("# escape=`\nFROM `\n  a\n", ["a"]),
        ("\ufeffFROM a\r\nFROM a\r\n", ["a"]),
        ("FROM\n", []),
        ("", []),
    ],
)
def test_from_and_what_is_copied_from_elsewhere(text, images):
    """A name too many costs a look; one too few would be a base that stays old."""
    assert images_of(text, {"ASKED": "9"}) == tuple(images)
