from __future__ import annotations

import contextlib
import re

import hjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from stalker.config.syntax.document import Document, plain
from stalker.config.syntax.hjson import Broken, _Reader, read_hjson

VALID = {
    "root without braces": "\na: 1\nb: two words",
    "root with braces": "{a: 1, b: 2}",
    "json": '{"a": [1, 2.5, "x", null, true, false, {"b": "\\u00e9\\n"}]}',
    "comments": "# one\n// two\n/* three */ a: 1 # four\nb: true // five\nc: null /* six */",
    "comment in bare text": "\na: text # not a comment\nb: http://x/#y",
    "numbers": "{a: -1, b: 0.5, c: 1e3, d: 1E-2, e: 0}",
    "no numbers": "\na: 0644\nb: 1.2.3\nc: -\nd: 1.\ne: .5\nf: 2 apples\ng: +1",
    "words": "\na: true\nb: truely\nc: nullable\nd: false positive",
    "trailing commas": "{a: [1, 2,], b: {c: 1,},}",
    "list of lines": "\na: [\n  one two\n  three\n  4\n]",
    "quoted keys": '{"a b": 1, \'c:d\': 2, "": 3}',
    "single quotes": "{a: 'it is \"so\"', b: '\\'', c: 'x\\ty'}",
    "surrogate pair": '{a: "\\ud83d\\ude00"}',
    "escapes": '{a: "\\b\\f\\n\\r\\t\\/\\\\\\""}',
    "crlf": "\r\na: one\r\nb: [\r\n  two\r\n]\r\n",
    "bom": "\ufeffa: 1",
    "tabs": "\n\ta:\t1\n\tb:\ttwo\twords\t\n",
    "block": "\n  a:\n    '''\n    one\n      two\n\n    three\n    '''\n",
    "block on the key's line": "\na: '''\n   one\n   two\n   '''\nb: 2",
    "block in one line": "\na: '''one'''\nb: '''''' \n",
    "block with quotes": "\na:\n  '''\n  it's \"x\" and ''y'' too\n  '''",
    "block with crlf": "\r\na:\r\n  '''\r\n  one\r\n    two\r\n  '''\r\n",
    "block indented less": "\n    a:\n    '''\n  one\n      two\n    '''",
    "block with tabs": "\n\ta:\n\t'''\n\tone\n\t\ttwo\n\t'''",
    "block without last line end": "\na:\n  '''\n  one'''\n",
    "deep": "{a:" * 90 + "1" + "}" * 90,
    "bare text with brackets": "\na: echo ${X} [1] {y}, z\nb: 2",
    "key with odd letters": "\na.b-c/d: 1\n#e: 2\nf#g: 3",
    "value on the next line": "\na:\n  text\nb: 1",
    "wide letters": "\nä: ö\n日本: 語",
    "key on its own line": "\na\n: 1",
}


@pytest.mark.parametrize("text", VALID.values(), ids=VALID.keys())
def test_values_are_those_of_hjson_py(text):
    """What hjson-py reads, this reads to the same values."""
    document = read_hjson(text, "f")

    assert document.root is not None, document.problems
    assert plain(document.root) == hjson.loads(text, object_pairs_hook=dict)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), JSON, max_size=5))
def test_what_hjson_py_writes_is_read_as_hjson_py_reads_it(value):
    """Documents that hjson-py writes come out with the values that hjson-py gives."""
    for text in ("\n" + hjson.dumps(value, ensure_ascii=False), "\n" + hjson.dumpsJSON(value)):
        try:
            expected = hjson.loads(text, object_pairs_hook=dict)
        except hjson.HjsonDecodeError:  # it writes some texts, `[` and a backslash, without escapes
            continue
        document = read_hjson(text, "f")

        assert document.root is not None, (text, document.problems)
        assert plain(document.root) == expected


SCRAPS = st.lists(
    st.sampled_from(
        [*"ab:{}[],'\"#/*\n \t\r\\1.-u", "'''", "a: ", "b: x", "{ a: ", "[ x, ", "\na: b", " }\n", "]\n"]
    )
).map("".join)


@settings(max_examples=500)
@given(SCRAPS)
@example("{ a: x, b: y }")
@example("[ { a: x }, [ y ] ]")
@example("{a: x\n}\n")
def test_no_text_makes_the_reader_fall_over(text):
    """Anything is either read or a problem with a place; and what is read agrees with hjson-py.

    Left out are files of one `'''` on the first line or a key given twice, and those where text without
    quotes stops before the end of its line; that happens only in a line that closes what it opened.
    """
    document = read_hjson(text, "f")

    if document.root is None:
        assert document.problems
        return
    stopped = [(node, around) for node, around in bare_texts(document.root) if stops_short(node)]
    for node, around in stopped:
        assert around is not None
        assert not set("\r\n") & set(text[around.at : node.at])
    if "'''" in text.split("\n")[0] or any(not p.is_warning for p in document.problems) or stopped:
        return
    assert plain(document.root) == hjson.loads(text, object_pairs_hook=dict)


@settings(max_examples=500)
@given(SCRAPS)
@example("{ a: x, b: y }\n}")
@example("{ a: x, b y }\n}")
@example("{ a: { b: x, c y }\n}}")
def test_what_hjson_py_reads_is_read(text):
    """A file that hjson-py reads is read, unless a line of it closes a bracket after text without quotes.

    Left out, too, are `'''` on the first line, which hjson-py indents in its own way, and files that
    are one value alone.
    """
    try:
        value = hjson.loads(text, object_pairs_hook=dict)
    except (hjson.HjsonDecodeError, IndexError):  # an open comment at the end of the file is the latter
        return
    if not isinstance(value, dict | list) or "'''" in text.split("\n")[0] or has_one_line_text(text):
        return

    document = read_hjson(text, "f")

    assert document.root is not None, document.problems
    if all(problem.is_warning for problem in document.problems):
        assert plain(document.root) == value


def bare_texts(node, around=None):
    """Give each text without quotes, with the mapping or list around it that has brackets."""
    if isinstance(node.value, dict | list):
        children = node.value.values() if isinstance(node.value, dict) else node.value
        brackets = node.document.text[node.at : node.at + 1] in {"{", "["}
        for child in children:
            yield from bare_texts(child, node if brackets else None)
    elif isinstance(node.value, str) and node.document.text[node.at] not in "\"'":
        yield node, around


def rest_of_line(text, at):
    return re.match(r"[^\r\n]*", text[at:])[0]


def stops_short(node):
    return rest_of_line(node.document.text, node.at).strip() != node.text


def has_one_line_text(text):
    """Whether a bracket is opened and one closed behind it on the same line, with more than quotes between."""
    return any(re.search(r"[{\[].*[^\s{}\[\]].*[}\]]", line) for line in re.split(r"[\r\n]", text))


IN_LINE = {
    "{ OS: debian, ARCH: arm-32bit }": {"OS": "debian", "ARCH": "arm-32bit"},
    "a: { suite: bookworm, include: [python3-minimal] }": {
        "a": {"suite": "bookworm", "include": ["python3-minimal"]}
    },
    "needs: [ build_repo ]": {"needs": ["build_repo"]},
    "a: [one, two words , three]": {"a": ["one", "two words", "three"]},
    "a: [{b: c}, {b: d}]": {"a": [{"b": "c"}, {"b": "d"}]},
    "{ exec: true, timeout: 10m, retries: 2, x: null }": {
        "exec": True,
        "timeout": "10m",
        "retries": 2,
        "x": None,
    },
    "{ a: truely, b: 1.2.3, c: 0644 }": {"a": "truely", "b": "1.2.3", "c": "0644"},
    '{ copy: /etc/kantoo-release, text: "###K###" }': {"copy": "/etc/kantoo-release", "text": "###K###"},
    "{ url: http://x/y#z, image: debian:12 }": {"url": "http://x/y#z", "image": "debian:12"},
    "{ a: it's, b: 'x}', c: '''y]''' }": {"a": "it's", "b": "x}", "c": "y]"},
    "{ a: echo ${X} [1], b: x{1,2} }": {"a": "echo ${X} [1]", "b": "x{1,2}"},
    "a: {\n  b: { c: x }   # six\n  d: [ y ]\n}": {"a": {"b": {"c": "x"}, "d": ["y"]}},
    "a: { b: { c: x, d: y }, e: {\n  f: z }\n}}": {"a": {"b": {"c": "x", "d": "y"}, "e": {"f": "z }"}}},
    "{ a: x /* y */ }": {"a": "x /* y */"},
    "{ /* x, */ a: y }": {"a": "y"},
    "[ x, ]": ["x"],
}


@pytest.mark.parametrize("text", IN_LINE)
def test_a_line_that_closes_its_brackets_is_read_as_it_looks(text):
    """`{ OS: debian, ARCH: arm }` needs no quotes: text ends before a comma or the closing bracket."""
    document = read_hjson(text, "f")

    assert document.root is not None, document.problems
    assert plain(document.root) == IN_LINE[text]


ACROSS = {
    "{ a: x\n}": {"a": "x"},
    "{ a: x, b: y\n}": {"a": "x, b: y"},
    "{ a: x, b: '}'\n}": {"a": "x, b: '}'"},
    "{ a: x # }\n}": None,
    "a: {\n b: x }\n}": {"a": {"b": "x }"}},
    "a: x, b: y }": {"a": "x, b: y }"},
    "{ a: x, b y }\n}": {"a": "x, b y }"},
    "[ x ] }\n]": None,
}


@pytest.mark.parametrize("text", ACROSS)
def test_elsewhere_text_goes_to_the_end_of_its_line(text):
    """Where a bracket is closed on a later line, or the line cannot be read as one, Hjson's rule holds."""
    document = read_hjson(text, "f")

    assert (document.root and plain(document.root)) == ACROSS[text]


def test_a_line_that_was_meant_as_one_says_where_it_slips():
    """A colon forgotten in `{ ... }` is named, with its column, and not only what came of it."""
    document = read_hjson("a: {\n  b: { OS: debian, ARCH arm }\n}\n", "f")

    assert str(document.problems[0]) == (
        "f:2:12: a.b.OS: text without quotes goes to the end of the line: this value is 'debian, ARCH arm }'\n"
        "  behind it, in column 20: expected 'key: value', found 'ARCH arm }'; "
        "put it in quotes, or each key on a line of its own"
    )


@pytest.mark.parametrize(
    "text",
    [
        "a: [\n" + "{ b: c }, " * 20_000 + "\n]",
        "a: [\n" + "[ x{ ], " * 20_000 + "\n]",
        "[" * 99 + "[ b ]," * 20_000 + "x",
    ],
    ids=["many", "none closed", "deep and never closed"],
)
def test_a_long_line_is_read_twice_at_most(text):
    """The time grows with the length of a line, not with its square."""
    reader = _Counting(Document("f", text))

    with contextlib.suppress(Broken):
        reader.read_root()

    values = 2 * 20_000  # lists or mappings, and what is in them
    assert reader.values <= 2 * values + 400


class _Counting(_Reader):
    values = 0

    def read_value(self, *arguments):
        self.values += 1
        return super().read_value(*arguments)


@pytest.mark.parametrize("written", ["1.10", "1e3", "-0.50", "10.0", "0", "1E+2"])
def test_a_number_stays_as_written(written):
    """`VERSION: 1.10` is 1.10 and not 1.1."""
    document = read_hjson(f"a: {written}  # comment", "f")

    assert document.root is not None
    assert document.root.get("a").text == written


def test_every_value_knows_its_place_and_its_keys():
    """Messages name line and column, counted in characters, and the keys that lead there."""
    text = "{\n  plugins: {\n    ünïx: { use: 'x', with: [1, {b: 2}] }\n  }\n}"
    root = read_hjson(text, "s.hjson").root
    assert root is not None
    use = root.get("plugins").get("ünïx").get("use")
    inner = root.get("plugins").get("ünïx").get("with").value[1].get("b")

    assert (str(use.key_place), str(use.place), use.place.path) == (
        "s.hjson:3:13",
        "s.hjson:3:18",
        "plugins.ünïx.use",
    )
    assert (str(inner.place), inner.place.path) == ("s.hjson:3:37", "plugins.ünïx.with.1.b")


def test_a_byte_order_mark_and_line_ends_of_windows_do_not_shift_lines():
    """Files saved on Windows have the same lines."""
    root = read_hjson("\ufeff{\r\n  a: 1\r\n  b: 2\r\n}", "f").root

    assert root is not None
    assert str(root.get("b").place) == "f:3:6"


def test_a_key_given_twice_is_told_with_both_places():
    """The second of two equal keys is an error that names the first; other keys are read on."""
    document = read_hjson("{\n  a: 1\n  b: 2\n  a: 3\n    b: 4\n}", "f")

    assert [str(p) for p in document.problems] == [
        "f:4:3: a: key 'a' is given twice\n  it stands first in line 2, column 3; keep one",
        "f:5:5: b: key 'b' is given twice\n  it stands first in line 3, column 3; keep one",
    ]


BROKEN = {
    "no value": ("{a: }", "f:1:5: a: expected a value, found '}'"),
    "value missing at the end": ("a:", "f:1:3: a: the file ends where a value should stand"),
    "no colon": ("\nstalks {\n}", "f:2:1: expected 'key: value', found 'stalks {'"),
    "mapping never closed": (
        "{\n a: {\n  b: 1\n",
        "f:4:1: a: the file ends inside a mapping\n  its '{' of line 2",
    ),
    "list never closed": ("a: [\n 1\n", "f:3:1: a: the file ends inside a list\n  its '[' of line 1"),
    "one brace too many": ("{a: 1\n}\n}", "f:3:1: '}' after the end of the document\n  one '}' too many?"),
    "brace too many without root braces": ("a: 1\n}\n", "f:2:1: expected a key, found '}'"),
    "quote never closed": ('a: "x\nb: 1', "f:1:4: a: quoted text that does not end on its line"),
    "block never closed": ("a:\n'''\nx\n", "f:2:1: a: ''' text that never ends"),
    "comment never closed": ("a: 1 /* x", "f:1:6: a comment that never ends"),
    "comment never closed as value": ("a: /* x", "f:1:4: a: a comment that never ends"),
    "bad escape": (r'a: "\d"', r"f:1:5: a: '\d' is not an escape"),
    "bad unicode escape": (r'a: "\u12"', r"f:1:5: a: '\u' is not an escape"),
    "tab in quotes": ('a: "x\ty"', "f:1:6: a: a tab inside quoted text"),
    "control character in quotes": ('a: "x\x01y"', "f:1:6: a: the control character '\\x01'"),
    "half a pair": (r'a: "\ud800"', "f:1:4: a: half of a surrogate pair"),
    "key with a blank": ("a b: 1", "f:1:1: 'a b' is not a key"),
    "colon alone": (": 1", "f:1:1: ':' without a key before it"),
    "comma for a key": ("{, a: 1}", "f:1:2: expected a key, found ','"),
    "quoted key without colon": ('"a" 1', "f:1:5: expected ':' after the key 'a', found '1'"),
    "a thousand levels": ("{a:" * 1000, "nested deeper than 100 levels"),
    "a thousand lists": ("a: " + "[" * 1000, "nested deeper than 100 levels"),
    "a number of many digits": ("a: " + "1" * 5000, "f:1:4: a: a number of 5000 digits"),
}


@pytest.mark.parametrize(("text", "message"), BROKEN.values(), ids=BROKEN.keys())
def test_broken_syntax_is_told_where_it_is_and_what_was_expected(text, message):
    """A slip in the syntax names line, column and what should stand there."""
    document = read_hjson(text, "f")

    assert document.root is None
    assert message in str(document.problems[-1])


DOUBTFUL = {
    "{ OS: debian, ARCH arm }\n}": "f:1:7: warning: OS: text without quotes goes to the end of the line: this value is 'debian, ARCH arm }'",
    "{\n OS: debian }\n}": "this value is 'debian }'\n  put the '}' on the next line",
    "{\n OS: debian,\n}": "this value is 'debian,'\n  leave the comma out",
    "{ a: linux/arm # the board }": "a comment behind text without quotes is part of it",
    "{ a: x, b: y\n}": "this value is 'x, b: y'",
    "\na: linux/arm  # the board": "a comment behind text without quotes is part of it",
    "\na: x // y": "a comment behind text without quotes is part of it",
    "\na:\nb: 1": "no value on the line of its key, so the next line is the value: 'b: 1'",
}


@pytest.mark.parametrize("text", DOUBTFUL)
def test_text_that_swallowed_more_than_meant_is_warned_of(text):
    """Hjson's text without quotes takes the rest of the line; where that looks like a slip I am told."""
    document = read_hjson(text, "f")

    assert any(DOUBTFUL[text] in str(p) for p in document.problems)


def test_the_swallowed_bracket_is_told_with_the_error_it_caused():
    """When a brace is missing because a text swallowed it, the text is named, too, as an error."""
    document = read_hjson("{\n  a: {\n    OS: debian }\n}\n", "f")

    assert [(p.place.line, p.is_warning) for p in document.problems] == [(3, False), (5, False)]


@pytest.mark.parametrize(
    "text", ["a: http://x/y#z", "a: ${X}, y", "\na: one two\nb:\n  text", "a: ${X}", "{ a: b, c: [d] }"]
)
def test_plain_text_is_not_warned_of(text):
    """What is clearly meant gives no noise."""
    assert read_hjson(text, "f").problems == []
