"""portage.build: binary packages by the real Portage, built again exactly when what they are made of changes."""

from __future__ import annotations

import pytest

from portage_machine import PACKAGES

pytest_plugins = ["gentoo"]
# the first test on an engine makes the image with Portage
pytestmark = [pytest.mark.docker, pytest.mark.timeout(900)]

STORE = "cd /portage/packages && find . -type f ! -name 'Packages*' | sort | xargs sha256sum"


def built_by(ran):
    """Return the packages that a run built, after seeing that it went well."""
    assert ran.code == 0, ran.output
    return sorted(
        line.partition("built ")[2]
        for line in ran.output.splitlines()
        if line.startswith("portage.build: built ")
    )


def test_packages_and_what_they_need_are_built_and_installed(gentoo, built):
    """Three packages in the form gpkg, an index that tells of them, and a program that runs."""
    machine = gentoo(built)

    assert machine.read("cd /portage/packages && ls */*.gpkg.tar").split() == [
        "app-misc/greeting-1.0.gpkg.tar",
        "app-misc/hello-1.0.gpkg.tar",
        "sys-kernel/standin-kernel-6.1.gpkg.tar",
    ]
    assert (
        machine.read("tar -tf /portage/packages/app-misc/hello-1.0.gpkg.tar")
        .splitlines()[0]
        .endswith("gpkg-1")
    )
    assert machine.read("grep -c ^CPV: /portage/packages/Packages") == "3"
    assert machine.read("hello-standin") == "hello from a binary package"


def test_a_second_run_builds_nothing(gentoo, built):
    """No package is another file than before."""
    machine = gentoo(built)
    before = machine.read(STORE)

    ran = machine.use("portage.build", packages=PACKAGES)

    assert built_by(ran) == []
    assert machine.read(STORE) == before


def test_in_another_image_packages_come_from_the_store(gentoo, built):
    """The image knows nothing of them; the store has them, so nothing is compiled."""
    machine = gentoo(built)
    machine.read("rm -rf /var/db/pkg /usr/bin/hello-standin /usr/share/greeting; rm /usr/bin/tcc")

    ran = machine.use("portage.build", packages=PACKAGES)

    assert built_by(ran) == []
    assert machine.read("hello-standin") == "hello from a binary package"


CHANGES = {
    "app-misc/hello/files/hello.c": (
        "putchar(sign);",
        "putchar(sign == 'e' ? 'a' : sign);",
        ["app-misc/hello-1.0"],
    ),
    "app-misc/greeting/greeting-1.0.ebuild": ("hello from", "good day from", ["app-misc/greeting-1.0"]),
    "eclass/standin.eclass": (
        "KEYWORDS=",
        "PROPERTIES=\nKEYWORDS=",
        ["app-misc/greeting-1.0", "app-misc/hello-1.0", "sys-kernel/standin-kernel-6.1"],
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_an_ebuild_is_made_of_decides_what_is_built_again(gentoo, built, name):
    """Its files and eclasses count, although the version is the same; Portage alone would not see it."""
    old, new, expected = CHANGES[name]
    machine = gentoo(built)
    machine.read("rm -rf /var/db/pkg")  # as in a run, where the image before the step has none of it
    machine.edit(name, old, new)

    ran = machine.use("portage.build", packages=PACKAGES)

    assert built_by(ran) == expected
    said = machine.read("hello-standin")
    assert ("hallo" in said, "good day" in said) == (
        name.endswith("hello.c"),
        name.endswith("greeting-1.0.ebuild"),
    )


def test_a_use_flag_builds_its_package_again(gentoo, built):
    """And no other one."""
    machine = gentoo(built)
    machine.read("mkdir -p /etc/portage/package.use; echo 'app-misc/hello loud' > /etc/portage/package.use/x")

    ran = machine.use("portage.build", packages=PACKAGES)

    assert built_by(ran) == ["app-misc/hello-1.0"]
    assert machine.read("hello-standin") == "HELLO FROM A BINARY PACKAGE"


def test_what_is_installed_and_has_no_package_gets_one(gentoo, built):
    """A stage3 has packages whose binaries nobody has: those that are asked for are built."""
    machine = gentoo(built)
    machine.read("rm /portage/packages/app-misc/hello-1.0.gpkg.tar")

    ran = machine.use("portage.build", packages=PACKAGES)

    assert built_by(ran) == ["app-misc/hello-1.0"]


def test_a_package_without_ebuild_goes(gentoo, built):
    """Portage would go on installing it."""
    machine = gentoo(built)
    machine.read("rm -rf /var/db/pkg/sys-kernel")
    (machine.ebuilds / "sys-kernel/standin-kernel/standin-kernel-6.1.ebuild").unlink()

    ran = machine.use("portage.build", packages=["app-misc/hello"])

    assert ran.code == 0, ran.output
    assert "sys-kernel/standin-kernel-6.1: it has no ebuild, so it goes" in ran.output
    assert machine.sh("test -e /portage/packages/sys-kernel/standin-kernel-6.1.gpkg.tar").code == 1


def test_a_package_that_does_not_compile_fails_the_step(gentoo, built):
    """With what the compiler said; the packages that are there stay whole."""
    machine = gentoo(built)
    machine.edit("app-misc/hello/files/hello.c", "return 0;", "return nothing;")

    ran = machine.use("portage.build", packages=PACKAGES)

    assert ran.code == 1
    assert "'nothing' undeclared" in ran.output
    assert "portage.build: emerge --ask=n --color=n ended with 1" in ran.output
    machine.edit("app-misc/hello/files/hello.c", "return nothing;", "return 0;")
    assert built_by(machine.use("portage.build", packages=PACKAGES)) == ["app-misc/hello-1.0"]


def test_an_unknown_package_is_told(gentoo, built):
    """In Portage's words."""
    machine = gentoo(built)

    ran = machine.use("portage.build", packages=["app-misc/nothing"])

    assert ran.code == 1
    assert 'no ebuilds to satisfy "app-misc/nothing"' in ran.output
