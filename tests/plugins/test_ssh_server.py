"""ssh.server: an SSH server whose host keys are made at the first boot."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.docker

UNIT = "/etc/systemd/system/ssh-host-keys.service"


def test_a_server_is_installed_without_keys(debian, start):
    """The package makes none, and none is left that it was shown."""
    machine = start(debian)
    machine.read(
        "dpkg --purge openssh-server >/dev/null 2>&1; rm -rf /etc/ssh/ssh_host_* /etc/ssh/sshd_config*"
    )

    ran = machine.use("ssh.server")

    assert ran.code == 0, ran.output
    assert "Creating SSH2" not in ran.output
    assert machine.read("find /etc/ssh -name 'ssh_host_*'") == ""
    assert machine.read("systemctl --root=/ is-enabled ssh ssh-host-keys").split() == ["enabled", "enabled"]
    assert machine.read("dpkg --audit") == ""


def test_the_service_makes_keys_once_and_mends_what_a_cut_left(machine):
    """What the unit runs makes the keys that sshd is told to take; a half-made one is made again."""
    ran = machine.use("ssh.server", key_types=["ed25519", "ecdsa"])
    # systemd takes the quotes off and makes $ of $$
    command = f"sed -n 's/^ExecStart=//p' {UNIT} | sed 's/[$][$]/$/g'"

    machine.read(f'eval "$({command})"')
    first = machine.read("cat /etc/ssh/ssh_host_ecdsa_key.pub")
    machine.read(": >/etc/ssh/ssh_host_ed25519_key; echo half >/etc/ssh/ssh_host_ed25519_key.new")
    machine.read(f'eval "$({command})"')

    assert ran.code == 0, ran.output
    assert machine.read("ls /etc/ssh | grep host").split() == [
        *("ssh_host_ecdsa_key", "ssh_host_ecdsa_key.pub"),
        *("ssh_host_ed25519_key", "ssh_host_ed25519_key.pub"),
    ]
    assert machine.read("cat /etc/ssh/ssh_host_ecdsa_key.pub") == first
    assert machine.read("ssh-keygen -l -f /etc/ssh/ssh_host_ed25519_key").endswith("(ED25519)")
    machine.read("mkdir -p /run/sshd; sshd -t")
    listed = machine.read("sshd -T | grep -i '^hostkey ' | sort").splitlines()
    assert listed == ["hostkey /etc/ssh/ssh_host_ecdsa_key", "hostkey /etc/ssh/ssh_host_ed25519_key"]


def test_systemd_takes_the_unit(machine):
    """Nothing in it is unknown to systemd."""
    machine.use("ssh.server")

    said = machine.sh(f"systemd-analyze verify --man=no {UNIT}").output

    assert "ssh-host-keys.service" not in said


def test_who_may_log_in_is_what_sshd_says(machine):
    """The settings win over those of the package; a second time changes nothing."""
    arguments = {"root_login": "no", "password_login": False}

    first = machine.use("ssh.server", **arguments)
    listing = machine.listing()
    second = machine.use("ssh.server", **arguments)

    assert (first.code, second.code) == (0, 0), first.output + second.output
    assert machine.listing() == listing
    machine.read("mkdir -p /run/sshd; ssh-keygen -A >/dev/null")
    settings = machine.read("sshd -T").splitlines()
    assert {"permitrootlogin no", "passwordauthentication no", "kbdinteractiveauthentication no"} <= set(
        settings
    )


def test_unknown_types_of_keys_are_refused(machine):
    """DSA is no longer one."""
    ran = machine.use("ssh.server", key_types=["dsa"])

    assert ran.code == 1
    assert "'dsa' is none of" in ran.output
