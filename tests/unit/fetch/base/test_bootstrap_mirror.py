import pytest

from stalker.fetch.base.bootstrap import deb_lines

DEB822 = """\
# comment
Types: deb deb-src
URIs: http://mirror.test/debian
# a comment inside
Suites: bookworm bookworm-updates
  bookworm-backports
Components: main contrib
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://mirror.test/debian-security/
Suites: bookworm-security
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
"""
ONE_LINE = """\
# deb http://old.test/debian bookworm main
deb [arch=amd64 signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://mirror.test/debian bookworm main # ours
deb-src http://mirror.test/debian bookworm main
deb http://mirror.test/debian bookworm-updates main
deb http://mirror.test/debian-security/ bookworm-security main
"""
ALL_THREE = [
    "deb http://mirror.test/debian bookworm main",
    "deb http://mirror.test/debian bookworm-updates main",
    "deb http://mirror.test/debian-security/ bookworm-security main",
]


def apt(tmp_path, **files):
    (tmp_path / "sources.list.d").mkdir()
    for name, text in files.items():
        path = name.replace("__", "sources.list.d/").replace("_", ".")
        (tmp_path / path).write_text(text)
    return tmp_path


@pytest.mark.parametrize("files", [{"__debian_sources": DEB822}, {"sources_list": ONE_LINE}])
def test_the_hosts_mirror_serves_with_updates_and_security(tmp_path, files):
    """Both styles of apt's files are read."""
    assert deb_lines("bookworm", ["main"], apt(tmp_path, **files)) == ALL_THREE


def test_another_suite_comes_from_the_same_mirror(tmp_path):
    """The host runs bookworm, the base is trixie with two components."""
    lines = deb_lines("trixie", ["main", "contrib"], apt(tmp_path, __debian_sources=DEB822))

    assert lines[0] == "deb http://mirror.test/debian trixie main contrib"
    assert lines[2] == "deb http://mirror.test/debian-security/ trixie-security main contrib"


def test_sid_has_no_security(tmp_path):
    """Suites that were never released have the one archive only."""
    lines = deb_lines("sid", ["main"], apt(tmp_path, __debian_sources=DEB822))

    assert lines == ["deb http://mirror.test/debian sid main"]


@pytest.mark.parametrize(
    "text",
    [
        "deb https://download.test/linux/debian bookworm stable\n",
        "deb https://apt.test/ bookworm main\n",
        "deb https://packages.test/tool/debian bookworm-pgdg main\n",
        "deb [signed-by=/etc/apt/keyrings/tool.gpg] https://packages.test/tool/debian bookworm main\n",
        "deb http://archive.test/ubuntu jammy main\n",
        "deb cdrom:[Debian]/ bookworm main\n",
        "nonsense\ndeb\n",
        "",
    ],
)
def test_a_third_party_is_no_mirror_of_debian(tmp_path, text):
    """Others use Debian's suite names too; then there is no mirror to name."""
    assert deb_lines("bookworm", ["main"], apt(tmp_path, __other_list=text)) == []


def test_debians_own_file_goes_before_others(tmp_path):
    """A file that sorts first does not win over debian.sources."""
    folder = apt(tmp_path, __a_list="deb http://other.test/debian bookworm main\n", __debian_sources=DEB822)

    assert deb_lines("bookworm", ["main"], folder) == ALL_THREE


def test_what_is_switched_off_does_not_count(tmp_path):
    """Enabled: no."""
    text = DEB822.replace("Types: deb", "Enabled: no\nTypes: deb")

    assert deb_lines("bookworm", ["main"], apt(tmp_path, __debian_sources=text)) == []


def test_no_apt_at_all(tmp_path):
    """A host that is not a Debian names no mirror."""
    assert deb_lines("bookworm", ["main"], tmp_path / "nothing") == []
