"""Any single change of input changes a fingerprint; the order of keys does not."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from build import step
from stalker.model.diagnostics import Place
from stalker.model.tree import File, Mount, Option
from stalker.model.variables import Variable
from stalker.plan.fingerprint import differences, hash_fields, shown, step_inputs, whole_history

PLACE = Place("stalks/s/s.hjson", 7)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
FIELDS = st.dictionaries(TEXTS, TEXTS, max_size=6)


@given(FIELDS, st.randoms())
def test_the_order_of_fields_does_not_count(fields, random):
    items = list(fields.items())
    random.shuffle(items)

    assert hash_fields(dict(items)) == hash_fields(fields)


@given(FIELDS)
def test_fields_are_framed_by_their_length_in_bytes(fields):
    """A fingerprint never changes for the same fields, whatever letters are in them: images are found by it."""
    texts = [text.encode() for name in sorted(fields) for text in (name, fields[name])]
    framed = b"".join(str(len(text)).encode() + b":" + text for text in texts)

    assert hash_fields(fields) == hashlib.sha256(framed).hexdigest()


@given(FIELDS, FIELDS)
def test_different_fields_never_hash_alike(one, other):
    """Values are framed by length: no two sets of fields spell the same bytes."""
    assert (hash_fields(one) == hash_fields(other)) == (one == other)


@pytest.mark.parametrize(("one", "other"), [({"ab": "c"}, {"a": "bc"}), ({"a": "b", "c": ""}, {"a": "bc"})])
def test_moving_a_character_over_a_boundary_counts(one, other):
    assert hash_fields(one) != hash_fields(other)


FULL = step(
    "s",
    "echo\n",
    variables={"A": "1", "B": "2"},
    files=(File("/tmp/f", "f", "d1", PLACE, content=b"x"),),
    copies=(File("/etc/c", "c", "d2", PLACE, content=b"y"),),
    mounts=(
        Mount("/src", "directory", "src", False, PLACE, "d3"),
        Mount("/out", "directory", "out", True, PLACE),
        Mount("/cache", "store", "cache", True, PLACE),
    ),
    options=(Option("network", '"none"', True, PLACE), Option("mem_limit", "1", False, PLACE)),
    environment=(("LC_ALL", "C"),),
)

CHANGES = {
    "script": replace(FULL, script=replace(FULL.script, digest="other")),
    "variable value": replace(FULL, variables=(Variable("A", "9", PLACE), FULL.variables[1])),
    "variable gone": replace(FULL, variables=FULL.variables[:1]),
    "variable becomes secret": replace(FULL, variables=(Variable("A", "", PLACE, "KEY"), FULL.variables[1])),
    "file content": replace(FULL, files=(replace(FULL.files[0], digest="other"),)),
    "file mode": replace(FULL, files=(replace(FULL.files[0], mode=0o755),)),
    "file target": replace(FULL, files=(replace(FULL.files[0], target="/tmp/g"),)),
    "file becomes copy": replace(FULL, files=(), copies=(*FULL.copies, FULL.files[0])),
    "file variable": replace(FULL, files=(replace(FULL.files[0], variables=(Variable("G", "1", PLACE),)),)),
    "late copy": replace(FULL, copies=(), late_copies=FULL.copies),
    "read-only content": replace(FULL, mounts=(replace(FULL.mounts[0], digest="o"), *FULL.mounts[1:])),
    "store name": replace(FULL, mounts=(*FULL.mounts[:2], replace(FULL.mounts[2], source="other"))),
    "mount writable": replace(FULL, mounts=(replace(FULL.mounts[0], writable=True), *FULL.mounts[1:])),
    "option": replace(FULL, options=(Option("network", '"host"', True, PLACE), FULL.options[1])),
    "environment": replace(FULL, environment=(("LC_ALL", "C.UTF-8"),)),
    "daemonize": replace(FULL, daemonize=True),
}


@pytest.mark.parametrize("change", CHANGES)
def test_each_single_change_of_input_changes_the_fingerprint(change):
    assert hash_fields(step_inputs(CHANGES[change])) != hash_fields(step_inputs(FULL))


SAME = {
    "order of variables": replace(FULL, variables=FULL.variables[::-1]),
    "order of mounts": replace(FULL, mounts=FULL.mounts[::-1]),
    "an option that changes no result": replace(
        FULL, options=(FULL.options[0], Option("mem_limit", "2", False, PLACE))
    ),
    "where it stands": replace(FULL, place=Place("elsewhere", 1)),
    "timeout and retries": replace(FULL, timeout_s=5.0, retries=3),
    "a store that is locked": replace(
        FULL, mounts=(*FULL.mounts[:2], replace(FULL.mounts[2], is_locked=True))
    ),
    "content of what is writable": replace(
        FULL, mounts=(FULL.mounts[0], replace(FULL.mounts[1], digest="x"), FULL.mounts[2])
    ),
}


@pytest.mark.parametrize("change", SAME)
def test_what_cannot_change_a_result_does_not_count(change):
    assert step_inputs(SAME[change]) == step_inputs(FULL)


def test_no_secret_value_is_an_input():
    secret = replace(FULL, variables=(Variable("A", "", PLACE, "KEY"),))

    assert step_inputs(secret)["variable A"] == "secret KEY"


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (CHANGES["variable value"], "variable A: 1 -> 9"),
        (CHANGES["variable gone"], "variable B: 2 -> (not set)"),
        (CHANGES["script"], "script changed (stalks/s/s.hjson:3)"),
        (CHANGES["file content"], "file /tmp/f changed (stalks/s/s.hjson:7)"),
        (CHANGES["option"], 'option network: "none" -> "host"'),
        (CHANGES["environment"], "envplugin LC_ALL: C -> C.UTF-8"),
        (CHANGES["read-only content"], "directory /src changed"),
    ],
)
def test_the_reason_names_the_field_and_both_values(changed, said):
    assert differences(changed, step_inputs(FULL), step_inputs(changed)) == [said]


def grown(inputs, **changes):
    """Return the inputs of a step with all that it grows on."""
    usual = {"parent": None, "parent_identity": "b" * 64, "needs": {"n:x": "f"}, "platform": "linux/amd64"}
    return whole_history(inputs, **{**usual, **changes})


@pytest.mark.parametrize(
    "change",
    [
        {"parent_identity": "c" * 64},
        {"parent": "s:a"},
        {"needs": {"n:x": "g"}},
        {"needs": {}},
        {"platform": "linux/arm/v7"},
    ],
)
def test_each_change_of_what_a_step_grows_on_changes_the_fingerprint(change):
    assert hash_fields(grown({}, **change)) != hash_fields(grown({}))


def test_another_platform_is_a_reason():
    old, new = grown({}), grown({}, platform="linux/arm/v7")

    assert differences(FULL, old, new) == ["platform: linux/amd64 -> linux/arm/v7"]


def test_another_base_is_told_by_both_ids():
    old = grown({}, parent_identity="sha256:" + "a" * 64)
    new = grown({}, parent_identity="sha256:" + "b" * 64)

    assert differences(FULL, old, new) == ["base image is another one: aaaaaaaaaaaa -> bbbbbbbbbbbb"]


def test_a_long_value_is_kept_as_its_beginning_and_a_digest():
    """Labels travel with every listing."""
    one, other = (step("s", variables={"LIST": "x" * 5000 + end}) for end in "ab")

    assert len(step_inputs(one)["variable LIST"]) < 200
    assert step_inputs(one) != step_inputs(other)


def test_a_value_that_reads_as_a_secret_or_as_a_digest_is_neither():
    long = "x" * 5000
    pairs = [("secret KEY", Variable("A", "", PLACE, "KEY")), (shown(long), Variable("A", long, PLACE))]

    for text, other in pairs:
        lookalike = step("s", variables={"A": text})
        assert step_inputs(lookalike) != step_inputs(replace(lookalike, variables=(other,)))
