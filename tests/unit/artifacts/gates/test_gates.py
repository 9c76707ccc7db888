"""Image hygiene: what each gate finds in a tar stream, and what it lets pass."""

from __future__ import annotations

import resource
from typing import TYPE_CHECKING

import pytest

from stalker.artifacts.gates.gates import REMEDIES, Finding, Hygiene, resolvers_of_host
from stalker.formats.tar.header import new_header
from stalker.model.artifacts import GATES, Artifact, Gates, Rootfs, Write
from stalker.model.diagnostics import Place
from stalker.rootfs.filter import Content
from unit.helpers.tars import folder, hard_link, link, make_tar, member

if TYPE_CHECKING:
    from collections.abc import Sequence

PLACE = Place("trees/t/t.hjson")
RESOLVERS = frozenset({"10.1.2.3"})
ROOTFS = Rootfs("x.tar")


def look(*members, gates=None, writes=(), kind="pax") -> Sequence[Finding]:
    """Pass members through an artifact and return what its gates found."""
    hygiene = Hygiene(gates or Gates(), RESOLVERS)
    artifact = Artifact("a", "s", PLACE, ROOTFS, writes=writes)
    content = Content(artifact, made_s=1_000_000, watchers=[hygiene])
    for _ in content.stream([make_tar(folder("etc"), *members, kind=kind)]):
        pass
    return hygiene.findings()


def told(found):
    return [(one.gate, one.path) for one in found]


CLEAN = [
    ("etc/machine-id", b""),
    ("etc/machine-id", b"uninitialized\n"),
    link("var/lib/dbus/machine-id", "/etc/machine-id"),
    ("etc/ssh/ssh_host_rsa_key.pub", b"ssh-rsa AAAA root@builder\n"),
    ("etc/ssh/ssh_host_rsa_key", b""),
    ("etc/ssh/sshd_config", b"HostKey /etc/ssh/ssh_host_rsa_key\n"),
    ("var/lib/apt/lists/lock", b""),
    ("var/cache/apt/archives/lock", b""),
    ("var/lib/apt/extended_states", b"Package: x\n"),
    ("var/log/dpkg.log", b""),
    folder("var/log/apt"),
    link("var/log/README", "../doc/README"),
    ("root/.bashrc", b"PS1=x\n"),
    (
        "etc/shadow",
        b"root:*:19000:0:99999:7:::\ndaemon:!:19000::::::\npi:!$6$abc$def:19000::::::\nbad line\n",
    ),
    ("etc/passwd", b"root:x:0:0:root:/root:/bin/bash\n+nis\n# note\n"),
    (
        "etc/wpa_supplicant/wpa_supplicant.conf",
        b'ctrl_interface=DIR=/run\n# psk="x"\nnetwork={\n  key_mgmt=NONE\n}\n',
    ),
    ("etc/apt/sources.list", b"deb https://mirror.example/debian bookworm main\n"),
    ("etc/apt/auth.conf", b"# machine x login y\n"),
    ("etc/ssl/certs/ca.pem", b"-----BEGIN CERTIFICATE-----\nMII\n-----END CERTIFICATE-----\n"),
    ("etc/ssl/public.key", b"-----BEGIN PUBLIC KEY-----\n"),
    ("root/.npmrc", b"//registry.example/:_authToken=${TOKEN}\n"),
    ("usr/share/doc/x/example.key", b"-----BEGIN PRIVATE KEY-----\n"),
    ("etc/ppp/chap-secrets", b"# client server secret IP\n* * * *\n"),
    ("etc/resolv.conf", b"nameserver 9.9.9.9\n"),
    ("etc/resolv.conf", b"# nameserver 10.1.2.3\nnameserver\n"),
    link("etc/resolv.conf", "../run/systemd/resolve/stub-resolv.conf"),
    member("usr/bin/passwd", mode=0o4755),
    member("bin/su", mode=0o4755),
    member("usr/sbin/unix_chkpwd", mode=0o2755),
    member("usr/lib/dbus-1.0/dbus-daemon-launch-helper", mode=0o4754),
    folder("var/mail", mode=0o2775),
    ("home/pi/.ssh/authorized_keys", b"ssh-ed25519 AAAA me\n"),
]


@pytest.mark.parametrize("entry", CLEAN, ids=lambda entry: getattr(entry, "name", None) or entry[0])
def test_what_belongs_into_an_image_passes(entry):
    """A gate that cries at every image would be waived by everybody."""
    assert look(entry) == ()


FOUND = [
    ("ssh_host_keys", "etc/ssh/ssh_host_ed25519_key", b"-----BEGIN OPENSSH PRIVATE KEY-----\n", "same"),
    ("ssh_host_keys", "etc/dropbear/dropbear_rsa_host_key", b"\0\0", "same"),
    ("machine_id", "etc/machine-id", b"0123456789abcdef0123456789abcdef\n", "same one"),
    ("machine_id", "var/lib/dbus/machine-id", b"0123456789abcdef0123456789abcdef\n", "same one"),
    ("machine_id", "var/lib/systemd/random-seed", b"\1\2", "random numbers"),
    ("apt_leftovers", "var/lib/apt/lists/deb.example_dists_x_InRelease", b"Origin: x\n", "1 file, 10 B"),
    ("apt_leftovers", "var/cache/apt/archives/x_1_armhf.deb", b"!<arch>\n", "1 file"),
    ("apt_leftovers", "var/cache/apt/archives/partial/x_1_armhf.deb", b"!<arch>\n", "1 file"),
    ("apt_leftovers", "var/cache/apt/pkgcache.bin", b"x", "1 file"),
    ("apt_leftovers", "var/cache/distfiles/hello-2.12.tar.gz", b"x", "1 file"),
    ("logs", "var/log/dpkg.log", b"2026-11-20 status\n", "1 file"),
    ("logs", "var/log/apt/term.log", b"Log started\n", "1 file"),
    ("logs", "root/.bash_history", b"passwd\n", "1 file"),
    ("logs", "home/pi/.python_history", b"x\n", "1 file"),
    ("logs", "root/.cache/pip/http/x", b"x\n", "1 file"),
    ("clear_passwords", "etc/wpa_supplicant/wpa_supplicant-wlan0.conf", b'network={\n  psk="secret"\n}\n', "line 2"),
    ("clear_passwords", "boot/firmware/wpa_supplicant.conf", b'\tpsk="secret"\n', "wireless"),
    ("clear_passwords", "etc/NetworkManager/system-connections/home.nmconnection", b"[wifi]\n\npsk=secret\n", "line 3"),
    ("clear_passwords", "root/.netrc", b"machine x login y password z\n", "password"),
    ("clear_passwords", "home/pi/.pgpass", b"# h\nhost:5432:db:me:secret\n", "line 2"),
    ("clear_passwords", "root/.my.cnf", b"[client]\npassword = 'secret'\n", "line 2"),
    ("clear_passwords", "root/.git-credentials", b"https://me:secret@git.example\n", "password"),
    ("clear_passwords", "etc/apt/auth.conf.d/x.conf", b"machine x login y\npassword z\n", "line 2"),
    ("clear_passwords", "etc/apt/sources.list.d/x.list", b"deb https://u:p@repo.example x main\n", "package source"),
    ("clear_passwords", "root/.npmrc", b"//registry.example/:_authToken=abc\n", "token"),
    ("clear_passwords", "root/.docker/config.json", b'{"auths": {"x": {"auth": "eHg6eHg="}}}', "password"),
    ("clear_passwords", "root/.aws/credentials", b"[default]\naws_secret_access_key = x\n", "secret key"),
    ("clear_passwords", "etc/wireguard/wg0.conf", b"[Interface]\nPrivateKey = x\n", "private key"),
    ("clear_passwords", "root/.ssh/id_ed25519", b"-----BEGIN OPENSSH PRIVATE KEY-----\n", "private key"),
    ("clear_passwords", "home/pi/.ssh/work", b"-----BEGIN RSA PRIVATE KEY-----\n", "private key"),
    ("clear_passwords", "etc/ssl/private/snakeoil.key", b"# x\n-----BEGIN PRIVATE KEY-----\n", "line 2"),
    ("clear_passwords", "root/.gnupg/private-keys-v1.d/AB.key", b"(21:protected", "private key"),
    ("clear_passwords", "etc/ppp/pap-secrets", b'me * "secret" *\n', "dial-up"),
    ("clear_passwords", "etc/shadow", b"root:hunter2:19000:0:99999:7:::\n", "of root is not a hash"),
    ("clear_passwords", "etc/shadow-", b"pi:hunter2:19000:0:99999:7:::\n", "of pi is not a hash"),
    ("default_passwords", "etc/shadow", b"root::19000:0:99999:7:::\n", "root has an empty password"),
    ("default_passwords", "etc/passwd", b"guest::1000:1000::/home/guest:/bin/sh\n", "guest has an empty password"),
    ("resolv_conf", "etc/resolv.conf", b"search corp.example\nnameserver 10.1.2.3\n", "10.1.2.3"),
    ("resolv_conf", "etc/resolv.conf", b"nameserver 127.0.0.11\noptions ndots:0\n", "127.0.0.11"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("gate", "path", "content", "what"), FOUND, ids=lambda v: v if isinstance(v, str) else None
)
def test_each_gate_finds_what_it_is_for(gate, path, content, what):
    """One file, one finding, with what to do about it."""
    (found,) = look((path, content))

    assert (found.gate, found.path, found.waived_by) == (gate, f"/{path}", "")
    assert what in found.what
    assert found.remedy == REMEDIES[gate]


def test_a_second_name_of_a_setuid_file_is_not_told_twice():
    """A hard link is the same file."""
    assert told(look(member("opt/a", mode=0o4755), hard_link("opt/b", "opt/a"))) == [("setuid", "/opt/a")]


def test_every_gate_has_a_remedy():
    """And there is a test of each."""
    assert set(REMEDIES) == set(GATES)
    assert {gate for gate, *_ in FOUND} | {"setuid"} == set(GATES)


def test_a_waived_gate_tells_what_it_found_and_why_it_does_not_block():
    """The reason stands in the manifest; the other gates are as strict as before."""
    gates = Gates(waived=(("logs", "wanted for support"),))

    found = look(("var/log/x", b"1"), ("etc/machine-id", b"1" * 32), gates=gates)

    assert [(one.gate, one.waived_by) for one in found] == [
        ("machine_id", ""),
        ("logs", "wanted for support"),
    ]


def test_many_files_of_a_folder_are_one_finding():
    """A hundred package lists need one line, with their number and size."""
    lists = [(f"var/lib/apt/lists/x_{number}", b"12345") for number in range(100)]

    (found,) = look(*lists)

    assert (found.gate, found.path) == ("apt_leftovers", "/var/lib/apt/lists")
    assert found.what == "100 files, 500 B, such as /var/lib/apt/lists/x_0"


def test_what_the_artifact_writes_is_looked_at_too():
    """A password does not get past by being written at the end."""
    write = Write("/root/.netrc", b"machine x login y password z\n", PLACE)

    assert told(look(writes=(write,))) == [("clear_passwords", "/root/.netrc")]


def test_what_the_artifact_leaves_out_is_not_looked_at():
    hygiene = Hygiene(Gates(), RESOLVERS)
    artifact = Artifact("a", "s", PLACE, ROOTFS, exclude=("/var/log/*",))
    stream = [make_tar(folder("var"), folder("var/log"), ("var/log/x", b"1"))]

    for _ in Content(artifact, made_s=1_000_000, watchers=[hygiene]).stream(stream):
        pass

    assert hygiene.findings() == ()


# hostile images


def test_names_that_a_terminal_would_obey_are_told_plainly():
    """A file name is not a way to write to the user's screen."""
    found = look(("var/log/\x1b[2J", b"x"), ("etc/shadow", b"a\x1b[2Jb::1::::::\n"))

    assert not any("\x1b" in one.path + one.what for one in found)


def test_a_thousand_findings_are_counted():
    """The list ends, the number does not."""
    found = look(*[member(f"opt/{number}", mode=0o4755) for number in range(1000)])

    assert len(found) == 101
    assert found[-1].what == "and 900 more"


def test_memory_does_not_grow_with_the_image():
    """Twenty thousand members in as many folders, and what is kept of them is a handful."""
    hygiene = Hygiene(Gates(), RESOLVERS)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for number in range(20_000):
        path = b"var/log/%d/%d" % (number, number)
        one = new_header(path, b"0", mode=0o4755, mtime_s=0).filled(b"x")
        hygiene.wants(one)
        hygiene.see(path, one, None)

    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 4 << 10
    assert len(hygiene.findings()) < 400


# the builder's own


@pytest.mark.parametrize(
    ("text", "servers"),
    [
        ("nameserver 10.0.0.1\nnameserver 10.0.0.2\n", {"10.0.0.1", "10.0.0.2"}),
        ("nameserver 127.0.0.53\nnameserver ::1\n", set()),
        ("search x\n", set()),
    ],
)
def test_the_builders_name_servers_are_known(tmp_path, text, servers):
    """Those on the builder itself are everybody's, and say nothing."""
    (tmp_path / "resolv.conf").write_text(text)

    assert resolvers_of_host(str(tmp_path / "resolv.conf")) == servers
    assert resolvers_of_host(str(tmp_path / "none")) == frozenset()
