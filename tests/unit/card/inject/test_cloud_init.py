"""A base with cloud-init: what is injected stays after the first boot."""

from __future__ import annotations

import pytest
import yaml

from stalker.card.inject.cloud_init import DROP_IN
from stalker.card.inject.inject import inject
from stalker.model.card import InjectedFile, Injections, SecretText, User, Wifi
from stalker.model.diagnostics import Place
from unit.helpers.memory_editor import MemoryEditor, MemoryEditors

PLACE = Place("card.yaml", 12, 5)
CLOUD_CFG = """\
users:
 - default
preserve_hostname: false
system_info:
  default_user: { name: ubuntu, lock_passwd: true, groups: [adm] }
"""
ROOT = {
    "/etc/passwd": "root:x:0:0:root:/root:/bin/sh\n",
    "/etc/group": "root:x:0:\n",
    "/etc/shadow": "root:*:19000:0:99999:7:::\n",
    "/bin/sh": ("x", 0o755),
    "/usr/bin/cloud-init": "x",
    "/etc/cloud/cloud.cfg": CLOUD_CFG,
}
ANN = User("ann", PLACE, password=SecretText("pw"))
UBUNTU = User("ubuntu", PLACE, password=SecretText("pw"))
WIFI = Wifi(b"Reading room", PLACE, password=SecretText("correct horse"))


def root_with(**more: str) -> MemoryEditor:
    nodes = {path: node[0] if isinstance(node, tuple) else node for path, node in ROOT.items()}
    return MemoryEditor({**nodes, **more})


def injected(root: MemoryEditor, injections: Injections, boot: MemoryEditor | None = None) -> list[str]:
    editors = MemoryEditors(root=root) if boot is None else MemoryEditors(root=root, boot=boot)
    done = inject(editors, injections, lambda secret: secret.text, mtime_s=1)
    editors.take(done)
    return list(done.said)


def drop_in(root: MemoryEditor) -> dict:
    return yaml.safe_load(root.text(DROP_IN))


def test_the_name_of_the_machine_stays():
    """cloud-init would set the one of its seed, and write /etc/hosts again."""
    root = root_with()
    boot = MemoryEditor(
        {
            "/user-data": "#cloud-config\nhostname: raspberrypi # x\nfqdn: raspberrypi.lan\nmanage_etc_hosts: true\n",
            "/meta-data": "instance-id: rpi\nlocal-hostname: raspberrypi\n",
        }
    )

    said = injected(root, Injections(hostname="unit-10"), boot)

    assert drop_in(root) == {"preserve_hostname": True, "manage_etc_hosts": False}
    assert boot.text("/user-data") == '#cloud-config\nhostname: "unit-10" # x\nmanage_etc_hosts: true\n'
    assert boot.text("/meta-data") == 'instance-id: rpi\nlocal-hostname: "unit-10"\n'
    assert [one for one in said if one.startswith("cloud-init")] == [
        f"cloud-init: the host name stays; {DROP_IN}",
        "cloud-init: /user-data: hostname changed, fqdn removed",
        "cloud-init: /meta-data: local-hostname changed",
    ]


def test_other_accounts_of_the_base_are_made_as_before():
    """The configuration has ann; ubuntu is made by cloud-init, as the base wants it."""
    root = root_with()
    text = "#cloud-config\nchpasswd:\n  expire: true\n  users:\n  - {name: ubuntu, password: ubuntu, type: text}\n"
    boot = MemoryEditor({"/user-data": text})

    injected(root, Injections(users=(ANN,)), boot)

    assert not root.look([DROP_IN])
    assert boot.text("/user-data") == text


def test_an_account_of_the_configuration_is_left_alone():
    """cloud-init would lock its password, and then set the known one of the seed."""
    root = root_with()
    boot = MemoryEditor(
        {
            "/user-data": "#cloud-config\nchpasswd:\n  expire: true\n  users:\n"
            "  - {name: ubuntu, password: ubuntu, type: text}\n  - {name: pi, password: x}\nssh_pwauth: true\n"
        }
    )

    injected(root, Injections(users=(UBUNTU,)), boot)

    assert drop_in(root) == {"users": []}
    user_data = yaml.safe_load(boot.text("/user-data"))
    assert user_data == {
        "chpasswd": {"expire": True, "users": [{"name": "pi", "password": "x"}]},
        "ssh_pwauth": True,
    }


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("users: [default, {name: ann, sudo: x}]", "users: ['default']"),
        ("users: ann, bob", "users: [bob]"),
        ("users: {ann: {}, bob: {}}", "users: {bob: {}}"),
        ("user: ann", "users: []"),
        ("user: {name: ann}\nusers: [default, bob]", "users: [bob]"),
        ("user: ann\npassword: x\nssh_authorized_keys: [k]", "users: []"),
        ("password: x", "password: x"),
        ('chpasswd: {list: ["ann:x"]}', "{}"),
        ("chpasswd:\n  list: |\n    ann:x\n    bob:y\n", 'chpasswd: {list: "bob:y\\n"}'),
    ],
)
def test_every_way_to_name_an_account_in_user_data(before, after):
    """A list, a text, a mapping; `user` for the default one; passwords by `chpasswd` and `password`."""
    boot = MemoryEditor({"/user-data": f"#cloud-config\n{before}\n"})

    injected(root_with(), Injections(users=(ANN,)), boot)

    assert (yaml.safe_load(boot.text("/user-data")) or {}) == yaml.safe_load(after)


def test_networks_are_the_network_managers_alone():
    """Where no seed configures them: NetworkManager takes a wired card by itself."""
    root = root_with(**{"/usr/sbin/NetworkManager": "x"})

    injected(root, Injections(wifi=(WIFI,)), MemoryEditor({"/network-config": "# nothing\n"}))

    assert drop_in(root) == {"network": {"config": "disabled"}}


@pytest.mark.parametrize("key", ["", "network"])
def test_a_wired_network_of_the_seed_stays_and_its_wifi_does_not(key):
    """Two profiles of one card would compete."""
    root = root_with(**{"/usr/sbin/NetworkManager": "x"})
    inner = {"version": 2, "ethernets": {"eth0": {"dhcp4": False}}, "wifis": {"wlan0": {"access-points": {}}}}
    boot = MemoryEditor({"/network-config": yaml.safe_dump({key: inner} if key else inner)})

    injected(root, Injections(wifi=(WIFI,)), boot)

    left = {name: value for name, value in inner.items() if name != "wifis"}
    assert yaml.safe_load(boot.text("/network-config")) == ({key: left} if key else left)
    assert not root.look([DROP_IN])


def test_time_zone_and_language_stay():
    """cloud-init would set those of its seed, or its own."""
    zone = {
        "/usr/share/zoneinfo/Europe/Berlin": "TZif",
        "/etc/default/locale": "LANG=C\n",
        "/etc/default/keyboard": "",
    }
    root = root_with(**zone)
    boot = MemoryEditor({"/user-data": "#cloud-config\ntimezone: UTC\nkeyboard: {layout: us}\n"})

    injected(root, Injections(timezone="Europe/Berlin", locale="C.UTF-8", keymap="de-nodeadkeys"), boot)

    assert drop_in(root) == {"timezone": "Europe/Berlin", "locale": "C.UTF-8"}
    seed = {"timezone": "Europe/Berlin", "keyboard": {"layout": "de", "variant": "nodeadkeys"}}
    assert yaml.safe_load(boot.text("/user-data")) == seed


def test_host_keys_of_ssh_stay():
    """cloud-init removes all, to make new ones."""
    root = root_with()
    key = InjectedFile("root", "/etc/ssh/ssh_host_ed25519_key", PLACE, content=b"k", mode=0o600)

    injected(root, Injections(files=(key,)))

    assert drop_in(root) == {"ssh_deletekeys": False}


@pytest.mark.parametrize(
    "content", ["#!/bin/sh\n", "#cloud-config\n- a\n", "## template: jinja\n#cloud-config\n"]
)
def test_a_seed_that_is_not_read_is_a_warning(content):
    """It may set what is injected, and wins over the settings of the root file system."""
    boot = MemoryEditor({"/user-data": content})

    said = injected(root_with(), Injections(hostname="pi"), boot)

    assert any(one.startswith("warning: cloud-init: /user-data is not changed") for one in said)
    assert boot.text("/user-data") == content


def test_a_seed_in_the_root_file_system_is_changed_too():
    """Where images of clouds without a boot partition have it."""
    path = "/var/lib/cloud/seed/nocloud/user-data"
    root = root_with(**{path: "#cloud-config\nhostname: a\n"})

    injected(root, Injections(hostname="pi"))

    assert yaml.safe_load(root.text(path)) == {"hostname": "pi"}


def test_a_second_injection_keeps_the_settings_of_the_first():
    """The name of the first stays when the second injects an account alone."""
    root = root_with()

    injected(root, Injections(hostname="pi"))
    injected(root, Injections(users=(UBUNTU,)))

    assert drop_in(root) == {"preserve_hostname": True, "manage_etc_hosts": False, "users": []}


def test_an_image_without_cloud_init_gets_no_file_of_it():
    """Nothing of cloud-init is written where it does not run, and the boot partition is not opened."""
    root = MemoryEditor({"/etc/hostname": "a\n"})
    boot = MemoryEditor({"/user-data": "#cloud-config\nhostname: a\n"})

    injected(root, Injections(hostname="pi"), boot)

    assert not root.look(["/etc/cloud"])
    assert boot.looks == 0
