import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stalker.fetch.cache.entry import Entry
from stalker.fetch.cache.eviction import evictions, identify
from stalker.fetch.cache.policy import STRATEGIES, Filter, Limits, Policy, Section

DAY = 86400.0
NOW = 1000 * DAY


def entry(name, size=10, added=1.0, used=0.0, kind="file", content=""):
    return Entry(kind, name, content or name, size, NOW - added * DAY, NOW - added * DAY, NOW - used * DAY)


# name, size, days since it was added, days since it was used
THREE = [entry("a", 20, 30, 2), entry("b", 10, 20, 3), entry("c", 30, 10, 1)]


def only_main(**limits):
    return Policy(limits=Limits(**limits))


def gone(entries, policy):
    return [one.entry.source for one in evictions(entries, policy, NOW)]


def of(*, files=(), images=(), main=None, files_limits=None, **section):
    return Policy(
        limits=main or Limits(),
        sections={
            "oci_images": Section(filters=tuple(images)),
            "files": Section(filters=tuple(files), limits=files_limits or Limits(), **section),
        },
    )


@pytest.mark.parametrize(
    ("strategy", "first", "order"),
    [
        ("oldest", "a", "abc"),
        ("newest", "c", "cba"),
        ("largest", "c", "cab"),
        ("smallest", "b", "bac"),
        ("lru", "b", "bac"),
    ],
)
def test_each_strategy_takes_what_it_is_named_for(strategy, first, order):
    """`oldest` and `newest` did the opposite in the first tool."""
    assert gone(THREE, only_main(max_num=2, eviction=strategy)) == [first]
    assert gone(THREE, only_main(max_num=1, eviction=strategy)) == list(order[:2])


@pytest.mark.parametrize(
    ("limits", "left"),
    [
        ({}, "abc"),
        ({"max_num": 3}, "abc"),
        ({"max_num": 0}, "abc"),
        ({"max_size_bytes": 60}, "abc"),
        ({"max_size_bytes": 0}, "abc"),
        ({"max_size_bytes": 59}, "ac"),
        ({"max_size_bytes": 49}, "c"),
        ({"max_size_bytes": 25}, "a"),
        ({"max_size_bytes": 25, "eviction": "oldest"}, "b"),
        ({"max_size_bytes": 5}, ""),
        ({"max_age_s": 25 * DAY}, "bc"),
        ({"max_age_s": 20 * DAY}, "bc"),
        ({"max_age_s": 0}, "abc"),
        ({"max_age_s": 25 * DAY, "max_num": 1}, "c"),
    ],
)
def test_the_whole_cache_stays_within_its_limits(limits, left):
    """Size, number and age; 0 sets none."""
    went = gone(THREE, only_main(**limits))

    assert [one for one in "abc" if one not in went] == list(left)


def test_what_is_larger_than_the_cache_does_not_empty_it():
    """Nothing could make room for it, so nothing is tried."""
    assert gone([*THREE, entry("huge", 500, 0, 0)], only_main(max_size_bytes=60)) == ["huge"]


def test_a_file_of_two_sources_counts_once():
    """Content is stored by its digest."""
    twins = [entry("a", 10, 3, 3, content="x"), entry("b", 10, 2, 2, content="x")]

    assert gone(twins, only_main(max_size_bytes=10)) == []
    assert gone([*twins, entry("c", 10)], only_main(max_size_bytes=15)) == ["a", "b"]


def test_a_section_that_is_switched_off_keeps_nothing():
    """`files: {enabled: false}` still cached in the first tool."""
    entries = [entry("a"), entry("i:1", kind="image")]

    assert gone(entries, of(enabled=False)) == ["a"]


def test_a_cache_that_is_switched_off_loses_nothing():
    """It is not used, and not emptied either."""
    assert gone(THREE, Policy(enabled=False, limits=Limits(max_num=1))) == []


def test_a_filter_holds_for_its_sources_alone():
    """Options apply to all that the pattern is found in, together."""
    policy = of(files=[Filter("[ab]", Limits(max_num=1))])

    assert gone(THREE, policy) == ["b"]


def test_limits_hold_at_each_level():
    """A filter keeps two, the section one of all files, the whole nothing more than that."""
    policy = of(files=[Filter("[ab]", Limits(max_num=1, eviction="newest"))], files_limits=Limits(max_num=1))
    reasons = {one.entry.source: one.reason for one in evictions(THREE, policy, NOW)}

    assert reasons == {
        "b": "past files.filters.0.max_num (newest first)",
        "a": "past files.max_num (lru first)",
    }


def test_a_second_evaluation_is_like_the_first():
    """The first tool skipped its filters the second time, and limits of candidates came out wrong."""
    policy = of(files=[Filter("b", ignore=True)])

    assert gone(THREE, policy) == gone(THREE, policy) == ["b"]


def zims(*versions):
    return [entry(f"https://x/w_{version}.zim", added=number) for number, version in enumerate(versions)]


@pytest.mark.parametrize(
    ("levels", "left"),
    [
        ((None, None, None), 4),
        ((2, None, None), 2),
        ((2, 3, None), 3),
        ((2, 3, 1), 1),
        ((1, None, 3), 3),
        ((1, 0, None), 4),
    ],
)
def test_versions_kept_are_those_of_the_innermost_level(levels, left):
    """Two of 2024-01 to 2024-04 are 03 and 04, whenever they were added."""
    main, section, inner = (Limits(keep_identified_versions=count) for count in levels)
    policy = of(main=main, files_limits=section, files=[Filter("/w_", inner)])
    names = ["2024-03", "2024-01", "2024-04", "2024-02"]
    went = gone(zims(*names), policy)

    assert sorted(went) == [f"https://x/w_{version}.zim" for version in sorted(names)[: 4 - left]]


def test_tags_are_versions_of_an_image():
    """1.10 is newer than 1.9; a digest behind the tag changes nothing; a port is not a tag."""
    names = ["r:5000/n:1.9", "r:5000/n:1.10@sha256:00", "r:5000/n:1.2", "r:5000/n", "r:5000/other:1.0"]
    entries = [entry(name, kind="image") for name in names]

    assert sorted(gone(entries, only_main(keep_identified_versions=1))) == ["r:5000/n:1.2", "r:5000/n:1.9"]


@pytest.mark.parametrize(
    ("kind", "source", "found"),
    [
        ("file", "https://x/a_b_2024-05.zim", ("https://x/a_b", "2024-05")),
        ("file", "https://x/a_2024-05.zim?y=1", ("https://x/a", "2024-05")),
        ("file", "https://x/a_2024-5.zim", None),
        ("file", "https://x/a_2024-05.zim.xz", None),
        ("image", "ghcr.io/k/s:3.1", ("ghcr.io/k/s", "3.1")),
        ("image", "localhost:5000/s", None),
    ],
)
def test_an_identified_version(kind, source, found):
    assert identify(entry(source, kind=kind)) == found


LIMITS = st.builds(
    Limits,
    max_size_bytes=st.none() | st.integers(0, 60),
    max_age_s=st.none() | st.integers(0, 30).map(lambda days: days * DAY),
    max_num=st.none() | st.integers(0, 6),
    check_after_s=st.none(),
    keep_identified_versions=st.none() | st.integers(0, 3),
    eviction=st.sampled_from(STRATEGIES),
)
SECTIONS = st.builds(
    Section,
    enabled=st.sampled_from([True, True, True, False]),
    limits=LIMITS,
    filters=st.lists(
        st.builds(Filter, st.sampled_from(["a", "b", "1", "."]), LIMITS, st.booleans()), max_size=3
    ).map(tuple),
)
POLICIES = st.builds(
    Policy, st.just(value=True), LIMITS, st.fixed_dictionaries({"oci_images": SECTIONS, "files": SECTIONS})
)
ENTRIES = st.lists(
    st.builds(
        lambda kind, name, version, size, added, used: entry(
            f"{name}:{version}" if kind == "image" else f"{name}_2024-0{version}.zim",
            size,
            added,
            min(added, used),
            kind,
            content=f"{size}",
        ),
        st.sampled_from(["file", "image"]),
        st.sampled_from("abc"),
        st.integers(1, 5),
        st.integers(0, 30),
        st.integers(0, 40),
        st.integers(0, 40),
    ),
    unique_by=lambda one: one.key,
    max_size=12,
)


@settings(deadline=None, max_examples=300)
@given(ENTRIES, POLICIES, st.randoms())
def test_what_is_left_is_within_all_limits(entries, policy, chance):
    """Whatever the policy: each entry goes once, the order given does not matter, and then nothing more goes."""
    went = evictions(entries, policy, NOW)
    keys = [one.entry.key for one in went]
    left = [one for one in entries if one.key not in keys]
    shuffled = chance.sample(entries, len(entries))

    assert len(set(keys)) == len(keys)
    assert all(one.reason for one in went)
    assert evictions(shuffled, policy, NOW) == went
    assert evictions(left, policy, NOW) == ()
    for scope in policy.scopes():
        inside = [
            one
            for one in left
            if scope.name in {level.name for level in policy.ruling(one.kind, one.source).scopes}
        ]
        limits = scope.limits
        assert not limits.max_num or len(inside) <= limits.max_num
        total = sum({one.sha256: one.size_bytes for one in inside}.values())
        assert not limits.max_size_bytes or total <= limits.max_size_bytes
        assert all(not limits.max_age_s or NOW - one.added_s <= limits.max_age_s for one in inside)


@settings(deadline=None, max_examples=200)
@given(ENTRIES, POLICIES)
def test_nothing_goes_without_a_limit_that_says_so(entries, policy):
    """One entry less would still be too much for the level that took it, in the order of its strategy."""
    unbound = Policy(limits=Limits(), sections={"oci_images": Section(), "files": Section()})

    assert evictions(entries, unbound, NOW) == ()
    went = {one.entry.key for one in evictions(entries, policy, NOW)}
    for one in entries:
        ruling = policy.ruling(one.kind, one.source)
        bound = ruling.refusal or any(
            scope.limits.max_num or scope.limits.max_size_bytes or scope.limits.max_age_s
            for scope in ruling.scopes
        )
        assert bound or ruling.kept_versions[1] or one.key not in went
