"""apt.install: Debian packages in, nothing of apt left behind."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.docker


@pytest.fixture
def online(debian, start):
    """A fresh Debian with network."""
    return start(debian)


def test_a_package_is_there_and_nothing_of_apt_is_left(online):
    """The command works, and no list, no download, no log and no helper file is in the image."""
    ran = online.use("apt.install", packages=["less"])

    assert ran.code == 0, ran.output
    assert online.read("less --version").startswith("less ")
    assert online.read("find /var/lib/apt/lists /var/cache/apt -type f ! -name lock") == ""
    assert online.read("find /var/log/apt /var/log/dpkg.log -type f 2>/dev/null || true") == ""
    assert online.sh("test -e /usr/sbin/policy-rc.d").code == 1


def test_a_second_time_changes_nothing_and_needs_no_network(machine):
    """What is installed is not asked for again: this container has no network."""
    listing = machine.listing()

    ran = machine.use("apt.install", packages=["systemd", "locales"])

    assert ran.code == 0, ran.output
    assert "all there already" in ran.output
    assert machine.listing() == listing


def test_recommended_packages_come_only_when_asked(online):
    """A plain request takes what the package needs; apt, told to simulate, names what it would take."""
    online.read("printf 'APT::Get::Simulate \"true\";\\n' > /etc/apt/apt.conf.d/99simulate")

    plain = online.use("apt.install", packages=["python3-pip"], clean=False)
    rich = online.use("apt.install", packages=["python3-pip"], clean=False, update=False, recommends=True)

    assert (plain.code, rich.code) == (0, 0), plain.output + rich.output
    assert "Inst build-essential" not in plain.output
    assert "Inst build-essential" in rich.output


def test_no_service_starts_while_it_is_installed(online):
    """The package of cron asks for its daemon to be started, and is refused."""
    ran = online.use("apt.install", packages=["cron"])

    assert ran.code == 0, ran.output
    assert "policy-rc.d denied execution of start" in ran.output
    assert online.read("grep -lsx cron /proc/[0-9]*/comm || true") == ""
    assert online.sh("test -e /usr/sbin/policy-rc.d").code == 1


def test_a_policy_of_the_image_stays(online):
    """A policy-rc.d that is there already is neither used up nor removed."""
    online.read("printf '#!/bin/sh\\nexit 101\\n' > /usr/sbin/policy-rc.d; chmod 755 /usr/sbin/policy-rc.d")

    ran = online.use("apt.install", packages=["less"])

    assert ran.code == 0, ran.output
    assert online.read("cat /usr/sbin/policy-rc.d") == "#!/bin/sh\nexit 101"


def test_another_version_than_the_one_there_is_asked_for(online):
    """A version that does not exist fails, and the message of apt is shown."""
    ran = online.use("apt.install", packages=["bash=1.0-nowhere"])

    assert ran.code == 1
    assert "Version '1.0-nowhere' for 'bash' was not found" in ran.output


def test_an_unknown_package_fails_by_name(online):
    """The step fails with apt's own words and ours."""
    ran = online.use("apt.install", packages=["less", "no-such-package-anywhere"])

    assert ran.code == 1
    assert "Unable to locate package no-such-package-anywhere" in ran.output
    assert "apt.install: apt-get could not install: no-such-package-anywhere" in ran.output.replace(
        "less ", ""
    )
    assert online.sh("command -v less").code != 0
    assert online.sh("test -e /usr/sbin/policy-rc.d").code == 1


def test_no_network_is_told_after_three_tries(machine):
    """Without network the lists cannot be fetched; it tries again, then says what to look at."""
    machine.read(
        "printf '#!/bin/sh\\necho $1 >>/slept\\n' >/usr/local/bin/sleep; chmod 755 /usr/local/bin/sleep"
    )
    machine.read("printf 'Acquire::Retries::Delay \"false\";\\n' >/etc/apt/apt.conf.d/99hasty")

    ran = machine.use("apt.install", packages=["less"])

    assert ran.code == 1
    assert machine.read("cat /slept") == "5\n5"
    assert "the package lists could not be fetched" in ran.output
    assert "no network in this step" in ran.output


REFUSED = [
    ({"packages": ["less; reboot"]}, "'less;' is not a package name"),
    ({"packages": ["--allow-downgrades"]}, "is not a package name"),
    ({"packages": ["*"]}, "is not a package name"),
    ({"packages": ["dash-"]}, "tells apt to remove it"),
    ({"packages": []}, "the list is empty"),
    ({"packages": ["less"], "update": "maybe"}, "neither true nor false"),
    ({"packages": ["less"], "clean": ""}, "neither true nor false"),
    ({"packages": ["less"], "max_age_h": 24}, "must stay"),
    ({"packages": ["less"], "clean": False, "max_age_h": "a day"}, "is not a number of hours"),
]


@pytest.mark.parametrize(("arguments", "message"), REFUSED, ids=[row[1] for row in REFUSED])
def test_bad_arguments_are_refused(machine, arguments, message):
    """It fails at once and says which argument is wrong."""
    listing = machine.listing()

    ran = machine.use("apt.install", **arguments)

    assert ran.code == 1
    assert message in ran.output
    assert machine.listing() == listing


def test_lists_of_a_moment_ago_are_taken_as_they_are(online):
    """The second package comes without a question to the mirror; with other sources there is one again."""
    first = online.use("apt.install", packages=["less"], clean=False, max_age_h=1)
    second = online.use("apt.install", packages=["bc"], clean=False, max_age_h=1)
    online.read("echo '# another line' >>/etc/apt/sources.list")
    third = online.use("apt.install", packages=["ed"], clean=False, max_age_h=1)

    assert (first.code, second.code, third.code) == (0, 0, 0), first.output + second.output + third.output
    told = [("InRelease" in ran.output, "no older than 1 h" in ran.output) for ran in (first, second, third)]
    assert told == [(True, False), (False, True), (True, False)]
