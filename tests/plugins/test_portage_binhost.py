"""portage.eclean, portage.binhost, portage.install_binaries: from a store of packages to an installed system."""

from __future__ import annotations

import pytest

from portage_machine import PACKAGES

pytest_plugins = ["gentoo"]
# the first test on an engine makes the image with Portage
pytestmark = [pytest.mark.docker, pytest.mark.timeout(900)]

TARGET = "/srv/repository"
HELLO = "app-misc/hello-1.0.gpkg.tar"


def names(machine, folder):
    return machine.read(f"cd {folder} && find . -name '*.gpkg.tar' | sort").split()


def test_what_is_neither_installed_nor_listed_goes(gentoo, built):
    """The index knows; a package that is listed stays in all its versions."""
    machine = gentoo(built)
    machine.read("rm -rf /var/db/pkg/sys-kernel /var/db/pkg/app-misc/hello-1.0")

    ran = machine.use("portage.eclean", keep=["sys-kernel/standin-kernel"])

    assert ran.code == 0, ran.output
    assert names(machine, "/portage/packages") == [
        "./app-misc/greeting-1.0.gpkg.tar",
        "./sys-kernel/standin-kernel-6.1.gpkg.tar",
    ]
    assert "hello" not in machine.read("cat /portage/packages/Packages")
    assert "portage.eclean: 2 kept, 1 gone" in ran.output


def test_a_repository_holds_what_the_store_holds(gentoo, built):
    """New packages come, old ones go, and what is the same is not copied again."""
    machine = gentoo(built)

    first = machine.use("portage.binhost", target=TARGET)
    machine.read(f"touch -d @1000 {TARGET}/{HELLO}; rm -rf /var/db/pkg/sys-kernel")
    assert machine.use("portage.eclean").code == 0
    second = machine.use("portage.binhost", target=TARGET)

    assert f"{TARGET}: 3 packages, 3 new, 0 gone" in first.output
    assert f"{TARGET}: 2 packages, 0 new, 1 gone" in second.output
    assert machine.read(f"stat -c %Y {TARGET}/{HELLO}") == "1000"
    assert machine.read(f"diff /portage/packages/Packages {TARGET}/Packages && echo same") == "same"


def test_a_damaged_package_is_not_published(gentoo, built):
    """One byte more, and the repository stays as it was."""
    machine = gentoo(built)
    machine.read(f"echo >> /portage/packages/{HELLO}")

    ran = machine.use("portage.binhost", target=TARGET)

    assert ran.code == 1
    assert f"{HELLO} has 10241 bytes, 10240 by the index" in ran.output
    assert machine.sh(f"test -e {TARGET}").code == 1


def test_a_system_is_installed_from_the_repository_alone(gentoo, built):
    """Where the packages are not, nor a compiler; the repository is only read."""
    machine = gentoo(built)
    assert machine.use("portage.binhost", target=TARGET).code == 0
    machine.read(
        "rm -rf /portage /var/db/pkg /usr/bin/hello-standin /usr/share/greeting /boot/* /usr/bin/tcc"
    )
    listing = machine.read(f"find {TARGET} -printf '%p %s %T@\\n' | sort")

    ran = machine.use("portage.install_binaries", packages=PACKAGES, source=TARGET, world=True)

    assert ran.code == 0, ran.output
    assert "portage.install_binaries: app-misc/hello-1.0 is installed" in ran.output
    assert (
        machine.read("hello-standin; ls /boot/vmlinuz*") == "hello from a binary package\n/boot/vmlinuz-6.1"
    )
    assert machine.read(f"find {TARGET} -printf '%p %s %T@\\n' | sort") == listing


def test_what_a_step_published_stays_under_its_fingerprint(gentoo, built):
    """Another run changes the repository; who needs the first step installs what that one published."""
    machine = gentoo(built)
    machine.environment = {"STALKER_FINGERPRINT": "1" * 64}
    assert machine.use("portage.binhost", target=TARGET, versions="/srv/versions").code == 0
    machine.read("rm -rf /var/db/pkg /usr/bin/hello-standin")
    assert machine.use("portage.eclean", keep=["app-misc/greeting"]).code == 0
    machine.environment = {"STALKER_FINGERPRINT": "2" * 64}
    assert machine.use("portage.binhost", target=TARGET, versions="/srv/versions").code == 0

    asked = {"packages": ["app-misc/hello"], "versions": "/srv/versions"}
    machine.environment = {"STALKER_NEEDS": "build_repo:binhost " + "2" * 64}
    second = machine.use("portage.install_binaries", **asked)
    machine.environment = {"STALKER_NEEDS": "build_repo:binhost " + "3" * 64}
    third = machine.use("portage.install_binaries", **asked)
    machine.environment = {"STALKER_NEEDS": "build_repo:binhost " + "1" * 64}
    first = machine.use("portage.install_binaries", **asked)

    assert (second.code, third.code, first.code) == (1, 1, 0), first.output
    assert "not among the binary packages of /srv/versions/222" in second.output
    assert "what build_repo:binhost published is not in /srv/versions any more" in third.output
    assert machine.read("hello-standin") == "hello from a binary package"


REFUSED = [
    (
        {"packages": ["app-misc/hello", "app-misc/nothing"]},
        "",
        "not among the binary packages of /srv/repository: app-misc/nothing",
    ),
    ({"packages": PACKAGES}, f"rm {TARGET}/{HELLO}", f"{HELLO} is not there"),
    (
        {"packages": PACKAGES},
        f"printf x | dd of={TARGET}/{HELLO} seek=9 bs=1 conv=notrunc",
        f"{HELLO} is another file",
    ),
    ({"packages": PACKAGES}, f"rm -r {TARGET}/*", "there are no binary packages in /srv/repository"),
]


@pytest.mark.parametrize(("arguments", "damage", "message"), REFUSED, ids=[row[2] for row in REFUSED])
def test_what_cannot_be_installed_is_told_before_anything_changes(gentoo, built, arguments, damage, message):
    """A missing package, a changed one, an empty store."""
    machine = gentoo(built)
    assert machine.use("portage.binhost", target=TARGET).code == 0
    machine.read(f"rm -rf /var/db/pkg; {damage or 'true'} 2>&1")
    listing = machine.listing()

    ran = machine.use("portage.install_binaries", source=TARGET, **arguments)

    assert ran.code == 1
    assert message in ran.output
    assert machine.listing() == listing
