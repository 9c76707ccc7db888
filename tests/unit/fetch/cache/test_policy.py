import pytest

from stalker.fetch.cache.policy import Filter, Limits, Policy, Section

DAY = 86400.0


def policy(main=None, section=None, inner=None, **more):
    filters = (Filter("kiwix", inner),) if inner else ()
    return Policy(
        limits=main or Limits(),
        sections={"files": Section(limits=section or Limits(), filters=filters), "oci_images": Section()},
        **more,
    )


@pytest.mark.parametrize(
    ("main", "section", "inner", "check_after_s"),
    [
        (None, None, None, 0),
        (30 * DAY, None, None, 30 * DAY),
        (30 * DAY, 7 * DAY, None, 7 * DAY),
        (30 * DAY, 7 * DAY, 1 * DAY, 1 * DAY),
        (1 * DAY, 7 * DAY, 30 * DAY, 30 * DAY),
        (30 * DAY, 0, None, 0),
        (30 * DAY, 7 * DAY, 0, 0),
    ],
)
def test_check_after_is_that_of_the_innermost_level(main, section, inner, check_after_s):
    """The first tool took main over files over filter; it documents the opposite."""
    levels = [Limits(check_after_s=seconds) for seconds in (main, section, inner)]

    assert policy(*levels).ruling("file", "https://x/kiwix/a").check_after_s == check_after_s


@pytest.mark.parametrize(
    ("pattern", "source", "holds"),
    [
        ("/kiwix/", "https://x/kiwix/a", True),
        ("^https://x/", "https://x/kiwix/a", True),
        ("KIWIX", "https://x/kiwix/a", True),
        ("^kiwix", "https://x/kiwix/a", False),
    ],
)
def test_a_pattern_is_looked_for_anywhere_in_any_case(pattern, source, holds):
    """A regular expression as the first tool used it."""
    assert Filter(pattern).holds(source) is holds


def test_the_first_filter_that_fits_holds():
    """Later ones are not looked at."""
    filters = (Filter("a", Limits(check_after_s=1)), Filter("ab", Limits(check_after_s=2)))
    ruling = Policy(sections={"files": Section(filters=filters)}).ruling("file", "ab")

    assert [scope.name for scope in ruling.scopes] == ["files.filters.0", "files", ""]
    assert ruling.check_after_s == 1


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (Policy(enabled=False), "the cache is switched off"),
        (Policy(sections={"files": Section(enabled=False)}), "files.enabled: false"),
        (
            Policy(sections={"files": Section(filters=(Filter("x", ignore=True),))}),
            "files.filters.0.ignore: true",
        ),
    ],
)
def test_what_is_not_cached_is_said(made, said):
    """`enabled: false` of a section still cached in the first tool."""
    assert said in made.ruling("file", "http://x").refusal
