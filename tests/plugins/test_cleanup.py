"""cleanup: an image without what belongs to its making or to one machine."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.docker

LITTER = """
mkdir -p /var/cache/apt/archives /var/lib/apt/lists/partial /var/log/apt /root /var/lib/dhcp
echo x | tee /var/cache/apt/pkgcache.bin /var/cache/apt/archives/a.deb /var/lib/apt/lists/b /var/log/apt/term.log \
    /var/log/wtmp /var/lib/dpkg/status-old /etc/passwd- /etc/shadow- /root/.bash_history /tmp/x /var/tmp/y \
    /etc/ssh/ssh_host_ed25519_key /etc/ssh/ssh_host_ed25519_key.pub /etc/machine-id /etc/x.dpkg-dist >/dev/null
mkdir -p /tmp/folder/empty
echo force-unsafe-io >/etc/dpkg/dpkg.cfg.d/build-unsafe-io
"""


def test_litter_goes_and_packages_stay_whole(machine):
    """Lists, downloads, logs, keys and identity are gone; folders that packages want are there; twice is once."""
    machine.read(LITTER)

    first = machine.use("cleanup")
    listing = machine.listing()
    second = machine.use("cleanup")

    assert (first.code, second.code) == (0, 0), first.output + second.output
    assert machine.listing() == listing
    folders = "/var/cache/apt /var/lib/apt/lists /var/log /tmp /var/tmp"
    assert machine.read(f"find {folders} ! -type d") == ""
    assert machine.read("find /tmp /var/tmp -mindepth 1") == ""
    assert machine.read("find /etc/ssh -name 'ssh_host_*'") == ""
    assert (
        machine.read(
            "find /etc /var/lib/dpkg /root -name '*-old' -o -name '*-' -o -name '*.dpkg-dist' -o -name .bash_history"
        )
        == ""
    )
    assert machine.read("stat -c %s /etc/machine-id") == "0"
    assert machine.sh("grep -r unsafe-io /etc/dpkg").code == 1
    assert machine.sh("test -d /var/lib/apt/lists/partial && test -d /var/log/apt").code == 0
    assert machine.read("dpkg --audit") == ""


def test_what_is_to_be_kept_is_kept_and_more_can_go(machine):
    """Keep and remove: paths with all below them."""
    machine.read(f"{LITTER}\nmkdir -p /srv/build/deep; touch /srv/build/deep/file")

    ran = machine.use("cleanup", keep=["/var/log/apt", "/etc/machine-id"], remove=["/srv/build"])

    assert ran.code == 0, ran.output
    assert machine.read("cat /var/log/apt/term.log /etc/machine-id").split() == ["x", "x"]
    assert machine.sh("test -e /var/log/wtmp -o -e /srv/build").code == 1


def test_packages_may_start_update_initramfs_again(machine):
    """Where kernel.debian had put it to sleep the package's own file is back."""
    machine.read(
        "mkdir -p /etc/initramfs-tools; cd /etc/initramfs-tools;"
        " echo 'update_initramfs=no # while the image is made; the plugin cleanup takes it back' >update-initramfs.conf;"
        " echo update_initramfs=yes >update-initramfs.conf.dpkg-dist"
    )

    ran = machine.use("cleanup")

    assert ran.code == 0, ran.output
    assert machine.read("cd /etc/initramfs-tools; ls; cat *") == "update-initramfs.conf\nupdate_initramfs=yes"


@pytest.mark.parametrize("path", ["/", "relative", "/etc/../usr"])
def test_a_path_that_says_too_much_is_refused(machine, path):
    """Nothing is removed."""
    listing = machine.listing()

    ran = machine.use("cleanup", remove=[path])

    assert ran.code == 1
    assert "remove" in ran.output
    assert machine.listing() == listing
