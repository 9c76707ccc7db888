"""make.conf and the files package.*, without Portage."""

from __future__ import annotations

import pytest
from kantoo.configuration import set_make_conf, set_package_file
from kantoo.utils import Failed


def test_owners_do_not_touch_each_others_lines(tmp_path):
    """Each has its own part of make.conf, what was there before stands first."""
    file = tmp_path / "make.conf"
    file.write_text('USE="a"')

    first = set_make_conf("one", {"USE": "${USE} b"}, str(tmp_path))
    set_make_conf("two", {"MAKEOPTS": "-j2"}, str(tmp_path))
    again = set_make_conf("two", {"MAKEOPTS": "-j2"}, str(tmp_path))
    text = file.read_text()
    set_make_conf("one", {}, str(tmp_path))

    assert (first, again) == (True, False)
    assert text == ('USE="a"\n# >>> one\nUSE="${USE} b"\n# <<< one\n# >>> two\nMAKEOPTS="-j2"\n# <<< two\n')
    assert file.read_text() == 'USE="a"\n# >>> two\nMAKEOPTS="-j2"\n# <<< two\n'


def test_a_make_conf_that_is_a_folder_gets_a_file(tmp_path):
    """It is read last."""
    (tmp_path / "make.conf").mkdir()

    set_make_conf("one", {"USE": "b"}, str(tmp_path))

    assert (tmp_path / "make.conf/99-kantoo").read_text() == '# >>> one\nUSE="b"\n# <<< one\n'


@pytest.mark.parametrize(
    ("name", "value"), [("A B", "x"), ("A", 'x"'), ("A", "x\\"), ("A", "`x`"), ("A", "x\ny")]
)
def test_what_would_break_out_of_its_quotes_is_refused(tmp_path, name, value):
    """make.conf is read by a shell's rules."""
    with pytest.raises(Failed):
        set_make_conf("one", {name: value}, str(tmp_path))

    assert list(tmp_path.iterdir()) == []


def test_lines_for_packages_come_and_go(tmp_path):
    """In a file of our own."""
    folder = tmp_path / "package.use"

    assert set_package_file("use", ["a/b c"], str(tmp_path)) is True
    assert set_package_file("use", ["a/b c"], str(tmp_path)) is False
    assert (folder / "kantoo").read_text() == "a/b c\n"
    assert set_package_file("use", [], str(tmp_path)) is True
    assert set_package_file("use", [], str(tmp_path)) is False
    assert list(folder.iterdir()) == []
