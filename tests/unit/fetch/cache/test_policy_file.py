import re
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from stalker.errors import FilesError
from stalker.fetch.cache.policy import STRATEGIES, Filter, Limits, Policy, Section
from stalker.fetch.cache.policy_file import load_policy, parse_policy

GIB = 1024**3
DEFAULTS = """---
enabled: true
max_size: 10GiB
eviction: lru
oci_images:
  enabled: true
  eviction: lru
files:
  enabled: true
  eviction: lru
"""
DAY = 86400.0


def read(text):
    return parse_policy(text, "policy.yaml").policy


def problems(text):
    with pytest.raises(FilesError) as caught:
        parse_policy(text, "policy.yaml")
    return caught.value.details.splitlines()


def test_without_a_file_the_defaults_hold(tmp_path):
    """Enabled, 10 GiB, lru."""
    policy = load_policy(tmp_path / "policy.yaml").policy

    assert policy == Policy(True, Limits(max_size_bytes=10 * GIB, eviction="lru"))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "---\n",
        "# nothing\n",
        "files:\noci_images:\n",
        DEFAULTS,
    ],
)
def test_an_empty_file_and_the_default_policy_say_the_same(text):
    """An empty file ended in a traceback in the first tool."""
    assert read(text) == Policy()


def test_the_sample_of_the_first_tool():
    """As its manual prints it."""
    policy = read(
        "---\nenabled: true\nmax_size: 0\noci_images:\n  eviction: oldest\nfiles:\n  enabled: false\n"
    )

    assert policy.limits.max_size_bytes == 0
    assert policy.sections["oci_images"].limits.eviction == "oldest"
    assert not policy.sections["files"].enabled


def test_every_key_is_read():
    """With the values as people write them."""
    policy = read(
        "max_size: 20 GB\nmax_age: 1y\nmax_num: 100\ncheck_after: 30d\nkeep_identified_versions: 4\neviction: oldest\n"
        "files:\n  max_size: 2.5GiB\n  max_age: 4w\n  max_num: 50\n  check_after: '0'\n"
        "  keep_identified_versions: 2\n  eviction: largest\n"
        "  filters:\n    - pattern: ^https?://x/\n      max_size: 1000\n      max_age: 1d 12h\n      max_num: 3\n"
        "      check_after: 3600\n      keep_identified_versions: 1\n      eviction: smallest\n      ignore: false\n"
        "    - {pattern: y, ignore: yes}\n"
    )

    assert policy.limits == Limits(20 * 10**9, 365 * DAY, 100, 30 * DAY, 4, "oldest")
    assert policy.sections["files"] == Section(
        True,
        Limits(int(2.5 * GIB), 28 * DAY, 50, 0, 2, "largest"),
        (Filter("^https?://x/", Limits(1000, 1.5 * DAY, 3, 3600, 1, "smallest")), Filter("y", ignore=True)),
    )


def test_all_that_is_wrong_is_told_at_once_with_its_place():
    """Each with file, line and column, and with what was meant."""
    told = problems(
        "enabeld: true\nmax_size: 10 apples\nmax_age: -3\neviction: lur\n"
        "files:\n  max_num: many\n  filters:\n    - patern: x\n    - pattern: '['\n      ignore: 1\nother: {}\n"
    )
    text = "\n".join(told)

    for expected in (
        "policy.yaml:1:1: enabeld: unknown key 'enabeld'",
        "did you mean 'enabled'?",
        "policy.yaml:2:11: max_size: '10 apples' is not a size; write it like 512MiB, 8GiB, or in bytes",
        "policy.yaml:3:10: max_age: must lie between 0",
        "policy.yaml:4:11: eviction: 'lur' is not possible here",
        "did you mean 'lru'?",
        "policy.yaml:6:12: files.max_num: must be a whole number",
        "policy.yaml:8:7: files.filters.0.patern: unknown key 'patern'",
        "policy.yaml:8:7: files.filters.0: the key 'pattern' is missing",
        "policy.yaml:9:16: files.filters.1.pattern: '[' is not a valid regular expression",
        "policy.yaml:10:15: files.filters.1.ignore: must be true or false",
        "policy.yaml:11:1: other: unknown key 'other'",
    ):
        assert expected in text, text
    assert len([line for line in told if line.startswith("policy.yaml:")]) == 10, text


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("max_size: 1GiB\nfiles: {max_size: 2GiB}\n", "policy.yaml:2:19: files.max_size"),
        ("max_num: 3\noci_images:\n  max_num: 4\n", "policy.yaml:3:12: oci_images.max_num"),
        (
            "files:\n  max_age: 1d\n  filters: [{pattern: x, max_age: 2d}]\n",
            "policy.yaml:3:35: files.filters.0.max_age",
        ),
        (
            "max_age: 1d\nfiles:\n  filters: [{pattern: x, max_age: 2d}]\n",
            "policy.yaml:3:35: files.filters.0.max_age",
        ),
    ],
)
def test_an_inner_limit_lies_within_the_outer_one(text, place):
    """What is wider could never be reached."""
    (told, *_) = problems(text)

    assert told.startswith(place)
    assert "is more than" in told


@pytest.mark.parametrize(
    "text",
    [
        "max_size: 0\nfiles: {max_size: 2TiB}\n",
        "max_size: 1GiB\nfiles: {max_size: 0}\n",
        "max_size: 1GiB\nfiles: {max_size: 1GiB}\n",
        "max_num: 3\nfiles: {check_after: 9y}\n",
    ],
)
def test_a_limit_that_is_none_binds_nothing(text):
    """0 switches a limit off."""
    assert read(text)


def test_a_file_that_only_limits_a_section_is_not_bound_by_the_default():
    """20 GiB of files are more than the default of all; they are what was asked for."""
    policy = read("files: {max_size: 20GiB}\n")

    assert policy.limits.max_size_bytes == 20 * GIB


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- a\n", "must be a mapping"),
        ("a: [\n", "policy.yaml:2:1"),
        ("files: 3\n", "files: must be a mapping"),
        ("files: {filters: {pattern: x}}\n", "must be a list"),
        ("files: {filters: [x]}\n", "must be a mapping"),
        ("enabled: 'true'\n", "write true without quotes"),
        ("max_num: 1.5\n", "must be a whole number"),
        ("max_size: 10iB\n", "not a size"),
        ("max_age: 3 fortnights\n", "not a duration"),
    ],
)
def test_what_cannot_be_read_is_told(text, said):
    assert said in "\n".join(problems(text))


@pytest.mark.parametrize("data", [b"\xff\xfe\x00", None])
def test_a_file_that_cannot_be_read_is_told(tmp_path, data):
    path = tmp_path / "policy.yaml"
    path.write_bytes(data) if data else path.mkdir()

    with pytest.raises(FilesError):
        load_policy(path)


def test_sizes_and_durations_are_read_as_in_card_images():
    """20G has ten to the power of nine, 8GiB two to the power of thirty."""
    policy = parse_policy(
        "max_size: 20G\nmax_age: 2 weeks, 1 day\nfiles: {max_size: 8GiB}\n", "policy.yaml"
    ).policy

    assert (policy.limits.max_size_bytes, policy.limits.max_age_s) == (20 * 10**9, 15 * DAY)
    assert policy.sections["files"].limits.max_size_bytes == 8 * GIB


@settings(deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(
            [
                "enabled",
                "max_size",
                "max_age",
                "max_num",
                "check_after",
                "eviction",
                "files",
                "oci_images",
                "x",
            ]
        ),
        st.recursive(
            st.none()
            | st.booleans()
            | st.integers()
            | st.floats(allow_nan=False)
            | st.sampled_from([*STRATEGIES, "1d", "1G", "["]),
            lambda inner: (
                st.lists(inner, max_size=2)
                | st.dictionaries(
                    st.sampled_from(["filters", "pattern", "max_size", "max_age", "ignore", "enabled"]),
                    inner,
                    max_size=4,
                )
            ),
            max_leaves=8,
        ),
    )
)
def test_any_file_is_a_policy_or_a_list_of_problems(value):
    """Never a traceback, and every problem has a place."""
    told, scopes = (), ()
    try:
        scopes = parse_policy(yaml.safe_dump(value), "p").policy.ruling("file", "http://x/y").scopes
    except FilesError as error:
        told = error.problems

    assert bool(scopes) != bool(told)
    assert all(re.match(r"p:\d+:\d+: ", str(one)) for one in told)


def test_a_policy_file_is_found_in_its_folder(tmp_path: Path):
    (tmp_path / "policy.yaml").write_text("max_num: 7\n")

    read = load_policy(tmp_path / "policy.yaml")

    assert read.policy.limits.max_num == 7
    assert str(read.places["max_num"]) == f"{tmp_path}/policy.yaml:1:10"
