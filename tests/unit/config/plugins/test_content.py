from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stalker.config.plugins.content import TemplateProblem, fill_secrets, render, substitute
from stalker.model.diagnostics import Place
from stalker.model.tree import secret_marker
from stalker.model.variables import Variable

HERE = Place("f")
NAMES = st.from_regex(r"[A-Z_][A-Z0-9_]{0,5}", fullmatch=True)


def variables(**values: str) -> tuple[Variable, ...]:
    return tuple(Variable(name, value, HERE) for name, value in values.items())


@given(st.binary(), st.dictionaries(NAMES, st.text(st.characters(exclude_categories=["Cs"])), max_size=3))
def test_bytes_that_name_no_variable_survive(content, values):
    """Every brace that is not ours stays as it is, byte for byte."""
    foreign = re.sub(rb"\{([A-Z_][A-Z0-9_]*)\}", lambda f: b"" if f[1].decode() in values else f[0], content)
    left = foreign
    while any(b"{%s}" % name.encode() in left for name in values):
        left = re.sub(rb"\{([A-Z_][A-Z0-9_]*)\}", lambda f: b"" if f[1].decode() in values else f[0], left)

    assert substitute(left, variables(**values)) == left


@given(
    st.lists(
        st.sampled_from(
            [
                "{",
                "}",
                "{}",
                "{{",
                "}}",
                "${X}",
                "{x}",
                "{0}",
                "{A.b}",
                "{A!r}",
                "{ A }",
                "\0",
                "ÿ",
                "{A}",
                "{B}",
            ]
        )
    )
)
def test_only_the_named_braces_change(parts):
    """{A} and {B} become their values; what surrounds them, python's or C's, does not matter."""
    content = "|".join(parts)
    expected = "|".join({"{A}": "one", "{B}": "{A}"}.get(part, part) for part in parts)

    assert substitute(content.encode(), variables(A="one", B="{A}")) == expected.encode()


def test_attributes_of_values_cannot_be_walked():
    """What str.format would give away stays text."""
    assert substitute(b"{V.__class__}", variables(V="x")) == b"{V.__class__}"


@given(st.binary(), NAMES, st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_a_secret_is_filled_in_where_its_marker_stands(around, name, value):
    """Before it is placed, a content gets its secrets; other bytes stay."""
    marked = substitute(b"{%s}" % name.encode(), (Variable(name, "", HERE, secret=name),))

    assert marked == secret_marker(name).encode()
    assert fill_secrets(b"<" + marked + b">", {name: value}) == b"<" + value.encode() + b">"


def test_a_content_without_secrets_is_returned_as_it_is():
    """No marker, nothing to do."""
    assert fill_secrets(b"{KEY} \xee\x80\x80 \xff", {}) == b"{KEY} \xee\x80\x80 \xff"


def test_a_secret_that_was_not_read_is_never_left_as_a_marker():
    """Better no file than one with a marker for a key."""
    with pytest.raises(KeyError):
        fill_secrets(secret_marker("KEY").encode(), {})


@pytest.mark.parametrize(
    ("source", "line"),
    [
        ("a\n\n{% if %}", 3),
        ("a\n{{ B }}", 2),
        ("{% for x in A %}\n\n{{ x.y.z }}\n{% endfor %}", 3),
        ("{{ 1 // 0 }}", 1),
    ],
)
def test_a_template_that_fails_names_its_line(source, line):
    """Syntax, unknown names and anything else are reported with the template's own line."""
    with pytest.raises(TemplateProblem) as caught:
        render(source, variables(A="x"))

    assert caught.value.line == line


def test_a_template_keeps_its_last_newline():
    """What is rendered has the lines of its source."""
    assert render("{{ A }}\n", variables(A="x")) == "x\n"
