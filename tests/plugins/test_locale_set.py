"""locale.set: language and character set of the system."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.docker


def test_a_locale_is_generated_and_set(machine):
    """Dates are German with it, and a second time changes nothing."""
    first = machine.use("locale.set", locale="de_DE.UTF-8")
    listing = machine.listing()
    second = machine.use("locale.set", locale="de_DE.UTF-8")

    assert (first.code, second.code) == (0, 0), first.output + second.output
    assert machine.read("LC_ALL=de_DE.UTF-8 date -d 2024-03-01 +%B") == "März"
    assert machine.read("cat /etc/default/locale").splitlines()[-1] == "LANG=de_DE.UTF-8"
    assert machine.read("grep -c '^de_DE.UTF-8 UTF-8$' /etc/locale.gen") == "1"
    assert machine.listing() == listing


def test_c_utf8_needs_no_package(machine):
    """It is in the C library: nothing is generated."""
    machine.read("rm /usr/sbin/locale-gen /usr/share/i18n/SUPPORTED")

    ran = machine.use("locale.set", locale="C.UTF-8")

    assert ran.code == 0, ran.output
    assert machine.read("grep '^LANG' /etc/default/locale") == "LANG=C.UTF-8"


def test_other_settings_of_the_file_stay(machine):
    """LANG changes; LC_TIME and the comment do not."""
    machine.read("printf '# by hand\\nLANG=C\\nLC_TIME=C\\n' > /etc/default/locale")

    ran = machine.use("locale.set", locale="C.UTF-8")

    assert ran.code == 0, ran.output
    assert machine.read("cat /etc/default/locale") == "# by hand\nLC_TIME=C\nLANG=C.UTF-8"


@pytest.mark.parametrize(
    ("prepare", "place"),
    [("mkdir /etc/env.d", "/etc/env.d/02locale"), ("rm /etc/debian_version", "/etc/locale.conf")],
    ids=["gentoo", "others"],
)
def test_each_distribution_has_its_own_file(machine, prepare, place):
    """Gentoo and Funtoo read env.d, systemd elsewhere reads locale.conf."""
    machine.read(prepare)

    ran = machine.use("locale.set", locale="C.UTF-8")

    assert ran.code == 0, ran.output
    assert machine.read(f"cat {place}") == "LANG=C.UTF-8"


REFUSED = [
    ({"locale": "de_XX.UTF-8"}, "there are: de_AT.UTF-8"),
    ({"locale": "xx_XX.UTF-8"}, "there is no locale 'xx_XX.UTF-8'"),
    ({"locale": ""}, "not a locale name"),
    ({"locale": "../../etc"}, "not a locale name"),
    ({"locale": "de_DE.UTF-8", "generate": False}, "is not in this image"),
    ({"locale": "de_DE.UTF-8", "generate": "perhaps"}, "neither true nor false"),
]


@pytest.mark.parametrize(("arguments", "message"), REFUSED, ids=[row[1] for row in REFUSED])
def test_what_cannot_be_is_refused_and_nothing_changes(machine, arguments, message):
    """It fails, says why, and leaves everything as it was."""
    listing = machine.listing()

    ran = machine.use("locale.set", **arguments)

    assert ran.code == 1
    assert message in ran.output
    assert machine.listing() == listing


def test_no_locales_package_is_told(machine):
    """The message names the package."""
    machine.read("rm /usr/sbin/locale-gen")

    ran = machine.use("locale.set", locale="de_DE.UTF-8")

    assert ran.code == 1
    assert "install the package locales" in ran.output
