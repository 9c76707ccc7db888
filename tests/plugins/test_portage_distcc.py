"""portage.distcc: what Portage compiles goes through distcc, by compilers that are called by their full name."""

from __future__ import annotations

import pytest

pytest_plugins = ["gentoo"]
# the first test on an engine makes the image with Portage
pytestmark = [pytest.mark.docker, pytest.mark.timeout(900)]

# the program itself: it says how it was called, and compiles here
DISTCC = '#!/bin/sh\necho "${0##*/} $(cat /etc/distcc/hosts)" >> /var/tmp/called\nexec tcc "$@"\n'


def test_hosts_compile_along(gentoo, built):
    """The compiler of an ebuild is distcc under the name of the architecture, and it knows the hosts."""
    machine = gentoo(built)
    machine.read(f"printf '%s' '{DISTCC}' > /usr/bin/distcc; chmod 755 /usr/bin/distcc")
    machine.read(
        'sed -i \'s/CC="tcc"/CC="gcc"/\' /etc/portage/make.conf; rm -rf /var/db/pkg/app-misc/hello-1.0'
    )
    machine.edit("app-misc/hello/files/hello.c", "return 0;", "return 0 * 1;")
    asked = {"hosts": ["10.0.0.2/8,lzo", "localhost/2"], "jobs": 12}

    first = machine.use("portage.distcc", **asked)
    listing = machine.listing()
    second = machine.use("portage.distcc", **asked)
    unchanged = machine.listing() == listing
    ran = machine.use("portage.build", packages=["app-misc/hello"])

    assert (first.code, second.code, ran.code) == (0, 0, 0), first.output + second.output + ran.output
    assert machine.read("cat /var/tmp/called") == "x86_64-pc-linux-gnu-gcc 10.0.0.2/8,lzo localhost/2"
    assert machine.read("portageq envvar MAKEOPTS").startswith("-j12 -l")
    assert unchanged
    assert "built app-misc/hello-1.0" in ran.output


def test_without_hosts_nothing_is_left_of_it(gentoo, built):
    """What an earlier run set in make.conf goes."""
    machine = gentoo(built)
    machine.read(f"printf '%s' '{DISTCC}' > /usr/bin/distcc; chmod 755 /usr/bin/distcc")
    before = machine.read("cat /etc/portage/make.conf")
    assert machine.use("portage.distcc", hosts=["10.0.0.2"]).code == 0
    assert "distcc" in machine.read("portageq envvar FEATURES")

    ran = machine.use("portage.distcc")

    assert ran.code == 0, ran.output
    assert machine.read("cat /etc/portage/make.conf") == before
