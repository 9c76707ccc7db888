"""Names in a FAT: refused, equal, short, and put together from their parts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stalker.formats.fs.fat.names import (
    LOWER_BASE,
    LOWER_EXTENSION,
    LongName,
    case_of,
    checksum,
    fold,
    fold_path,
    free_alias,
    long_entries,
    short_of,
    shown,
    trouble_of,
)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("a?b*", "it has * ?"),
        ('"', 'it has "'),
        ("a:b", "it has :"),
        ("a<b>|", "it has < > |"),
        ("a\\b", r"it has \\"),
        ("a\nb", r"it has \n"),
        ("\x7f", r"it has \x7f"),
        ("end.", "it ends in a dot or blank"),
        ("end ", "it ends in a dot or blank"),
        ("...", "it ends in a dot or blank"),
        ("\udc80", "it is not UTF-8"),
        ("😀" * 128, "it has 256 UTF-16 units, 255 fit"),
        ("😀" * 127 + "x", ""),
        (" a;b,c=d+[e].f", ""),
        (".profile", ""),
    ],
)
def test_an_invalid_name_is_refused_with_its_reason(name, why):
    """Each name that Linux refuses on a FAT is refused, and no other."""
    assert trouble_of(name) == why


@pytest.mark.parametrize(
    ("one", "other", "are_same"),
    [
        ("README.txt", "readme.TXT", True),
        ("äöü", "ÄÖÜ", True),
        ("end...", "END", True),
        ("ß", "SS", False),
        ("a", "á", False),
        ("i", "ı", True),
    ],
)
def test_names_are_equal_letter_by_letter(one, other, are_same):
    """Case does not count, and no letter becomes two."""
    assert (fold(one) == fold(other)) is are_same


@pytest.mark.parametrize(
    ("name", "short", "case"),
    [
        ("CONFIG.TXT", b"CONFIG  TXT", 0),
        ("config.txt", b"CONFIG  TXT", LOWER_BASE | LOWER_EXTENSION),
        ("config.TXT", b"CONFIG  TXT", LOWER_BASE),
        ("KERNEL8.img", b"KERNEL8 IMG", LOWER_EXTENSION),
        ("Config.txt", b"CONFIG  TXT", None),
        ("overlays", b"OVERLAYS   ", LOWER_BASE),
        ("1~2", b"1~2        ", 0),
        ("a.b.c", None, None),
        (".abc", None, None),
        ("a b", None, None),
        ("a+b", None, None),
        ("nine_long", None, None),
        ("x.text", None, None),
        ("ä", None, None),
    ],
)
def test_a_short_name_needs_no_long_one(name, short, case):
    """A name of 8 and 3 letters, each part of one case, is kept in eleven bytes and two bits, and read back."""
    assert short_of(name) == short
    if short:
        assert case_of(name) == case
    if case is not None and short:
        assert shown(short, case) == name


def test_short_names_of_others_are_read_in_the_code_page_of_linux():
    """0x05 stands for the letter whose code means a removed entry."""
    assert shown(b"\x8e\x99\x9a     TXT", LOWER_EXTENSION) == "ÄÖÜ.txt"
    assert shown(b"\x05BC        ", 0) == "σBC"


@pytest.mark.parametrize(
    ("name", "short"),
    [
        ("A long name.jpeg", b"ALONGN~1JPE"),
        (".profile", b"PROFIL~1   "),
        ("..a..b.c.d", b"A__B_C~1D  "),
        ("日本語.txt", b"___~1   TXT"),
        ("ä ", b"_~1        "),
        ("a+b", b"A_B~1      "),
        ("+", b"_~1        "),
    ],
)
def test_a_long_name_gets_a_short_one_with_a_number(name, short):
    """Of six letters at most, without blanks, and with _ for what cannot be in it."""
    assert free_alias(name, set(), {}) == short


def test_numbers_go_on_where_names_begin_alike():
    """A thousand names get a thousand short ones; more digits take letters away, taken ones are passed over."""
    taken, numbers = {b"ALONGN~2JPE"}, {}
    for number in range(1000):
        short = free_alias(f"a long name {number}.jpeg", taken, numbers)
        assert short not in taken
        taken.add(short)

    assert len(taken) == 1001
    assert b"ALONGN~1JPE" in taken
    assert b"ALON~999JPE" in taken
    assert b"ALO~1001JPE" in taken


def test_the_checksum_is_that_of_the_specification():
    """A value that was read from a card that Windows wrote would be the same: mcopy makes it too."""
    assert checksum(b"OTHER   TXT") == 0xB1


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=255))
def test_a_long_name_is_read_as_it_was_written(name):
    """Whatever its letters, in entries of 13 units each, the last first."""
    name = name.encode("utf-16-le")[:510].decode("utf-16-le", "ignore")
    parts = long_entries(name, b"SHORT   TXT")
    gathered = LongName()
    for part in parts:
        gathered.take(part)

    assert all(len(part) == 32 for part in parts)
    assert len(parts) == -(-len(name.encode("utf-16-le")) // 26)
    assert gathered.end(b"SHORT   TXT") == (name, len(parts))


@pytest.mark.parametrize(
    ("order", "short"),
    [
        ((0, 1, 2), b"OTHER   TXT"),
        ((0, 2), b"SHORT   TXT"),
        ((1, 2), b"SHORT   TXT"),
        ((0, 1), b"SHORT   TXT"),
        ((0, 1, 1, 2), b"SHORT   TXT"),
        ((2, 1, 0), b"SHORT   TXT"),
        ((0, 2, 1), b"SHORT   TXT"),
        ((0, 2, 2), b"SHORT   TXT"),
        ((0, 1, 3), b"SHORT   TXT"),
        ((), b"SHORT   TXT"),
    ],
)
def test_a_long_name_that_is_not_whole_is_none(order, short):
    """Parts that miss, stand twice or belong to another name leave the short name alone."""
    name = "a name of three entries, that is long"
    parts = [*long_entries(name, b"SHORT   TXT"), long_entries(name, b"OTHER   TXT")[2]]
    gathered = LongName()
    for number in order:
        gathered.take(parts[number])

    assert gathered.end(short) == ("", 0)


@pytest.mark.parametrize(
    ("path", "other", "are_same"),
    [
        ("/Conf/A.txt", "/conf/a.TXT", True),
        ("/conf./a", "/conf/a", True),
        ("/a/b", "/ab", False),
        ("\N{KELVIN SIGN}", "k", False),
    ],
)
def test_paths_are_equal_name_by_name(path, other, are_same):
    """Dots at the end of a directory's name do not count either."""
    assert (fold_path(path) == fold_path(other)) is are_same
