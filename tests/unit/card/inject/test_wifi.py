"""Wi-Fi of one machine: whatever stands in a name or password, the program that joins networks reads just that."""

from __future__ import annotations

import configparser
import hashlib
import re
import uuid

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from stalker.card.inject.inject import inject
from stalker.card.inject.wifi_formats import (
    Network,
    iwd,
    iwd_file,
    key_of,
    network_manager,
    network_manager_file,
    wpa_block,
    wpa_config,
)
from stalker.errors import StalkerError
from stalker.model.card import Injections, SecretText, Wifi
from stalker.model.diagnostics import Place
from unit.helpers.memory_editor import File, Folder, Link, MemoryEditor, MemoryEditors

PLACE = Place("card.yaml", 9, 3)
KEY = "f42c6fc52df0ebef9ebb4b90b38a5f902e83fe1b135a70e23aed762e9710a12e"
NASTY = [
    b"home",
    b" lead",
    b'quo"te',
    b"a\nb",
    b"$(reboot)",
    b"back\\slash",
    "Grüße ☃".encode(),
    b"\xff\xfe",
    b"#;",
    b"9",
]

SSIDS = st.binary(min_size=1, max_size=32) | st.text(min_size=1, max_size=8).map(
    lambda text: text.encode("utf-8", "replace")
)
WORDS = st.text(min_size=8, max_size=63).filter(
    lambda text: 8 <= len(text.encode("utf-8", "surrogateescape" if text.isascii() else "replace")) <= 63
)


def program():
    return File("elf", 0o755)


def manager(**more) -> MemoryEditor:
    return MemoryEditor(
        {
            "/usr/sbin/NetworkManager": program(),
            "/usr/sbin/wpa_supplicant": program(),
            "/sbin": Link("usr/sbin"),
        }
        | more
    )


def supplicant(**more) -> MemoryEditor:
    return MemoryEditor({"/sbin": Link("usr/sbin"), "/usr/sbin/wpa_supplicant": program()} | more)


def network(ssid: bytes = b"IEEE", password: str | None = "password", *, is_hidden=False) -> Wifi:
    return Wifi(ssid, PLACE, None if password is None else SecretText(password), is_hidden)


def join(*wifi: Wifi, country: str = "", **editors: MemoryEditor) -> list[str]:
    image = MemoryEditors(**editors)
    done = inject(image, Injections(wifi=wifi, country=country), lambda secret: secret.text)
    image.take(done)
    return list(done.said)


def keyfile(text: str) -> configparser.ConfigParser:
    """Read as GLib's GKeyFile does, as far as these files go."""
    parser = configparser.ConfigParser(delimiters="=", comment_prefixes="#", interpolation=None)
    parser.optionxform = str
    parser.read_string(text)
    return parser


def wpa_networks(text: str) -> tuple[dict[str, str], list[dict[str, str]]]:
    """Read as wpa_supplicant's config_file.c does: global settings, and the blocks."""
    common, blocks, block = {}, [], None
    for whole in text.split("\n"):
        line = whole.strip(" \t\r")
        if not line or line.startswith("#"):
            continue
        if block is None and re.fullmatch(r"network\s*=\s*\{", line):
            block = {}
        elif block is not None and line == "}":
            blocks.append(block)
            block = None
        else:
            key, _, value = line.partition("=")
            (common if block is None else block)[key] = value
    assert block is None
    return common, blocks


def wpa_ssid(value: str) -> bytes:
    return value[1:-1].encode("utf-8", "surrogateescape") if value.startswith('"') else bytes.fromhex(value)


def test_the_key_is_that_of_the_standard():
    """IEEE 802.11, J.4.2, test vectors 1 and 2."""
    assert key_of(b"IEEE", "password") == KEY
    assert key_of(b"ThisIsASSID", "ThisIsAPassword").startswith("0dc0d6eb90555ed6419756b9a15ec3e3")


def test_a_key_is_taken_as_it_is():
    """64 hexadecimal digits are one; 63 are a passphrase."""
    assert key_of(b"x", KEY.upper()) == KEY
    assert key_of(b"x", KEY[:63]) != KEY[:63]


@settings(max_examples=60, deadline=None)
@given(SSIDS, WORDS, st.booleans())
@example(b" a;b ", "  lead $(x) '\"\\", True)
def test_any_name_and_password_survives_in_each_format(ssid, word, is_hidden):
    """Quotes, line breaks, any bytes; and nothing of the password is in the text."""
    secret = word.encode("utf-8", "surrogateescape" if word.isascii() else "replace").decode("utf-8")
    key = hashlib.pbkdf2_hmac("sha1", secret.encode(), ssid, 4096, 32).hex()
    one = Network(ssid, key_of(ssid, secret), is_hidden)

    connection = keyfile(network_manager(one))
    _, (block,) = wpa_networks(wpa_block(one))
    settings_ = keyfile(iwd(one))

    assert re.fullmatch(r"(\d+;)+", connection["wifi"]["ssid"])
    assert bytes(int(byte) for byte in connection["wifi"]["ssid"].split(";")[:-1]) == ssid
    assert (connection["wifi-security"]["psk"], connection["wifi-security"]["key-mgmt"]) == (key, "wpa-psk")
    assert connection["wifi"].get("hidden") == ("true" if is_hidden else None)
    assert uuid.UUID(connection["connection"]["uuid"]).version == 5
    assert network_manager(one).isascii()
    assert (bytes.fromhex(block["ssid"]), block["psk"]) == (ssid, key)
    assert block.get("scan_ssid") == ("1" if is_hidden else None)
    name, _, ending = iwd_file(one).rpartition(".")
    assert (bytes.fromhex(name[1:]) if name.startswith("=") else name.encode()) == ssid
    assert ending == "psk"
    assert settings_["Security"]["PreSharedKey"] == key
    assert settings_["Settings"].get("Hidden") == ("true" if is_hidden else None)
    assert "/" not in iwd_file(one) + network_manager_file(one)
    assert len(network_manager_file(one)) < 255


@pytest.mark.parametrize("ssid", NASTY)
def test_an_open_network_has_no_key(ssid):
    """In each format."""
    one = Network(ssid)

    assert "wifi-security" not in keyfile(network_manager(one))
    assert wpa_networks(wpa_block(one))[1][0] == {"ssid": ssid.hex(), "key_mgmt": "NONE"}
    assert iwd_file(one).endswith(".open")
    assert "Security" not in keyfile(iwd(one))


def test_a_key_is_not_shown():
    """Also not by somebody who prints the network."""
    assert KEY not in repr(Network(b"x", KEY))


def test_network_manager_comes_first():
    """wpa_supplicant is there too, and is started by it."""
    root = manager()

    said = join(network(), network(b"caf\xc3\xa9\n", None, is_hidden=True), root=root)

    path = "/etc/NetworkManager/system-connections/wifi-49454545.nmconnection"
    assert (root.found(path).mode, root.found(path).uid) == (0o600, 0)
    assert root.found("/etc/NetworkManager/system-connections").mode == 0o700
    assert keyfile(root.text(path))["wifi-security"]["psk"] == KEY
    assert "/etc/wpa_supplicant/wpa_supplicant.conf" not in root.paths
    assert said == [
        "Wi-Fi IEEE: by its key, for NetworkManager",
        r"Wi-Fi café\n: hidden, open, for NetworkManager",
    ]


def test_network_manager_is_switched_on_where_an_image_comes_without():
    """Raspberry Pi OS waits for somebody to say in which country it is."""
    state = "/var/lib/NetworkManager/NetworkManager.state"
    root = manager(**{state: "[main]\nWirelessEnabled=false\nOther=1\n"})

    said = join(network(), root=root)

    assert root.text(state) == "[main]\nWirelessEnabled=true\nOther=1\n"
    assert said[-1] == "Wi-Fi: switched on in NetworkManager's state"


def test_wpa_supplicant_gets_its_networks_and_country():
    """Made where it is not there; root's alone."""
    root = supplicant()

    said = join(
        network(), network(b"open", None), country="DE", root=root, boot=MemoryEditor({"/cmdline.txt": "a\n"})
    )

    path = "/etc/wpa_supplicant/wpa_supplicant.conf"
    common, blocks = wpa_networks(root.text(path))
    assert root.found(path).mode == 0o600
    assert common["country"] == "DE"
    assert common["update_config"] == "1"
    assert blocks == [{"ssid": "49454545", "psk": KEY}, {"ssid": b"open".hex(), "key_mgmt": "NONE"}]
    assert said[-1] == "Wi-Fi: country DE in /etc/wpa_supplicant/wpa_supplicant.conf"


def test_what_wpa_supplicant_knew_before_stays():
    """All but a network of the same name, and another country."""
    path = "/etc/wpa_supplicant/wpa_supplicant.conf"
    before = (
        "# mine\nctrl_interface=/run/x\ncountry=GB\n"
        'network={\n\tssid="IEEE"\n\tpsk="old}"\n}\n'
        'network={\n\tssid="other}"\n\tpsk="a#}"\n\t# }\n}\n'
        "network={\n  ssid=49454545 # hex\n  psk=" + "0" * 64 + "\n}\nlast=1"
    )
    root = supplicant(**{path: File(before, 0o644)})

    join(network(), country="FR", root=root)

    common, blocks = wpa_networks(root.text(path))
    assert common == {"country": "FR", "ctrl_interface": "/run/x", "last": "1"}
    assert [wpa_ssid(one["ssid"]) for one in blocks] == [b"other}", b"IEEE"]
    assert root.text(path).splitlines()[1] == "# mine"
    assert root.found(path).mode == 0o600


def test_wpa_supplicant_of_one_interface_has_its_own_file():
    """It is what systemd starts for it."""
    unit = "/etc/systemd/system/multi-user.target.wants/wpa_supplicant@wlan0.service"
    root = supplicant(**{unit: Link("/lib/systemd/system/wpa_supplicant@.service")})

    join(network(), root=root)

    assert "/etc/wpa_supplicant/wpa_supplicant-wlan0.conf" in root.paths


@settings(max_examples=50)
@given(st.lists(SSIDS, max_size=4, unique=True), st.lists(SSIDS, min_size=1, max_size=3, unique=True))
def test_a_second_creation_adds_no_second_network(first, second):
    """The file holds each name once, the later one."""
    text = wpa_config("", [Network(one, KEY) for one in first], "DE")

    again = wpa_config(text, [Network(one) for one in second], "DE")

    common, blocks = wpa_networks(again)
    assert common == {"country": "DE"}
    assert [bytes.fromhex(one["ssid"]) for one in blocks] == [
        one for one in first if one not in second
    ] + second


def test_iwd_gets_files_whose_names_are_the_networks():
    """With what systemd-networkd needs to ask for an address."""
    root = MemoryEditor({"/usr/libexec/iwd": program(), "/usr/lib/systemd/systemd-networkd": program()})

    said = join(network(), network(b"my net-1", None), network(b"a/b"), country="DE", root=root)

    assert {path for path in root.paths if path.startswith("/var/lib/iwd/")} == {
        "/var/lib/iwd/IEEE.psk",
        "/var/lib/iwd/my net-1.open",
        "/var/lib/iwd/=612f62.psk",
    }
    assert (root.found("/var/lib/iwd").mode, root.found("/var/lib/iwd/IEEE.psk").mode) == (0o700, 0o600)
    assert keyfile(root.text("/etc/iwd/main.conf"))["General"]["Country"] == "DE"
    assert keyfile(root.text("/etc/systemd/network/80-wifi.network"))["Network"]["DHCP"] == "yes"
    assert "Wi-Fi a/b: by its key, for iwd" in said


def test_settings_of_iwd_stay():
    """The country takes the place of another; a section is not made twice."""
    before = "# mine\n[General]\nCountry = GB\nAddressRandomization=network\n\n[Network]\nEnableIPv6=true\n"
    root = MemoryEditor({"/usr/libexec/iwd": program(), "/etc/iwd/main.conf": before})

    join(network(), country="DE", root=root)

    assert root.text("/etc/iwd/main.conf") == before.replace("Country = GB", "Country=DE")


@pytest.mark.parametrize("make", [manager, supplicant])
def test_the_radio_of_a_raspberry_pi_is_switched_on(make):
    """Its system keeps it off until somebody joins a network; what is on stays untouched."""
    off, on = (f"/var/lib/systemd/rfkill/platform-{one}.mmcnr:wlan" for one in ("3f300000", "fe300000"))
    root = make(**{off: "1\n", on: File("0", 0o600)})

    said = join(network(), root=root)

    assert (root.text(off), root.text(on)) == ("0\n", "0")
    assert said[-1] == "Wi-Fi: the radio is switched on: /var/lib/systemd/rfkill"


def test_the_boot_partition_takes_it_where_the_system_cannot_be_changed():
    """Raspberry Pi OS up to 11 reads it there."""
    boot = MemoryEditor({"/config.txt": "x"})

    said = join(network(), country="DE", boot=boot)

    common, blocks = wpa_networks(boot.text("/wpa_supplicant.conf"))
    assert (common["country"], blocks) == ("DE", [{"ssid": "49454545", "psk": KEY}])
    assert "Raspberry Pi OS 11 and older" in said[-1]


def test_why_the_system_cannot_be_changed_is_told():
    """In a line where the boot partition takes it, else as the error that it is."""

    class Unknown(MemoryEditors):
        def of(self, name):
            if name == "root":
                raise StalkerError("partition 'root' holds btrfs")
            return super().of(name)

    wish = Injections(wifi=(network(),))

    done = inject(
        Unknown(root=None, boot=MemoryEditor({"/config.txt": ""})), wish, lambda secret: secret.text
    )
    assert done.said[-1].startswith("Wi-Fi: partition 'root' holds btrfs; ")

    with pytest.raises(StalkerError, match="holds btrfs"):
        inject(Unknown(root=None, boot=MemoryEditor()), wish, lambda secret: secret.text)


@pytest.mark.parametrize(
    ("editors", "says"),
    [
        ({"root": MemoryEditor()}, "nothing in the image joins a Wi-Fi"),
        (
            {"root": MemoryEditor(), "boot": MemoryEditor({"/config.txt": ""})},
            "nothing in the image joins a Wi-Fi",
        ),
        ({"boot": MemoryEditor({"/efi/x": ""})}, "nothing in the image joins a Wi-Fi"),
        ({"data": MemoryEditor()}, "nothing in the image joins a Wi-Fi"),
        ({"root": supplicant(**{"/usr/sbin/netplan": program()})}, "set up by netplan"),
        (
            {"root": MemoryEditor({"/usr/sbin/wpa_supplicant": Folder()})},
            "nothing in the image joins a Wi-Fi",
        ),
    ],
)
def test_an_image_that_joins_no_wifi_is_refused(editors, says):
    """Better than a file that nobody reads."""
    with pytest.raises(StalkerError) as caught:
        join(network(), **editors)

    assert says in caught.value.brief


@pytest.mark.parametrize(
    ("wish", "says"),
    [
        (network(b""), "1 to 32 bytes, this 0"),
        (network(b"x" * 33), "1 to 32 bytes, this 33"),
        (network(password="geheim7"), "it has 7 bytes"),
        (network(password=""), "it has 0 bytes"),
        (network(password="y" * 64), "it has 64 bytes"),
        (network(password="☃" * 22), "it has 66 bytes"),
    ],
)
def test_a_name_or_password_that_cannot_be_is_refused_and_not_shown(wish, says):
    """With the place in the configuration."""
    with pytest.raises(StalkerError) as caught:
        join(wish, root=manager())

    text = f"{caught.value}\n{caught.value.details}\n{caught.value.resolution}"
    assert says in text
    assert "card.yaml:9:3" in text
    assert not wish.password or not wish.password.text or wish.password.text not in text


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"console=tty1 rootwait\n", b"console=tty1 rootwait cfg80211.ieee80211_regdom=DE\n"),
        (b"a cfg80211.ieee80211_regdom=GB b", b"a b cfg80211.ieee80211_regdom=DE"),
        (b"a \r\n# x\n", b"a cfg80211.ieee80211_regdom=DE\r\n# x\n"),
        (b"", b"cfg80211.ieee80211_regdom=DE"),
    ],
)
def test_the_country_stands_on_the_kernels_command_line(before, after):
    """It stays one line, and has the country once."""
    boot = MemoryEditor({"/cmdline.txt": File(before)})

    said = join(network(), country="DE", root=manager(), boot=boot)

    assert boot.read("/cmdline.txt") == after
    assert said[-1] == "Wi-Fi: country DE in cmdline.txt of boot"


def test_the_country_stands_where_crda_reads_it():
    """On older systems without a command line that is a file."""
    root = manager(**{"/etc/default/crda": "# x\nREGDOMAIN=GB", "/usr/sbin/crda": program()})

    join(network(), country="DE", root=root)

    assert root.text("/etc/default/crda") == "# x\nREGDOMAIN=DE\n"


def test_the_country_is_told_to_the_kernels_module_elsewhere():
    """Also where no network is asked for."""
    root = MemoryEditor()

    said = join(country="DE", root=root)

    assert root.text("/etc/modprobe.d/wifi-country.conf") == "options cfg80211 ieee80211_regdom=DE\n"
    assert said == ["Wi-Fi: country DE in /etc/modprobe.d/wifi-country.conf"]


def secured(security, password="pass word\\"):
    return Wifi(b"IEEE", PLACE, SecretText(password), security=security)


@pytest.mark.parametrize(("security", "method"), [("wpa3", "sae"), ("both", "wpa-psk")])
def test_networkmanager_joins_wpa3_by_the_passphrase(security, method):
    """It has no key: a space and a backslash are escaped as in a key file."""
    root = manager()

    join(secured(security), root=root)

    text = root.text("/etc/NetworkManager/system-connections/wifi-49454545.nmconnection")
    found = dict(keyfile(text)["wifi-security"])
    assert found == {"key-mgmt": method, "psk": "pass\\sword\\\\"}


@pytest.mark.parametrize(
    ("security", "more"),
    [
        ("wpa3", {"key_mgmt": "SAE", "ieee80211w": "2"}),
        (
            "both",
            {
                "key_mgmt": "WPA-PSK WPA-PSK-SHA256 SAE",
                "ieee80211w": "1",
                "psk": key_of(b"IEEE", "pass word\\"),
            },
        ),
    ],
)
def test_wpa_supplicant_joins_wpa3_by_the_passphrase(security, more):
    root = supplicant()

    join(secured(security), root=root)

    (block,) = wpa_networks(root.text("/etc/wpa_supplicant/wpa_supplicant.conf"))[1]
    assert bytes.fromhex(block.pop("sae_password")) == b"pass word\\"
    assert block == {"ssid": b"IEEE".hex()} | more


def test_a_key_of_wpa2_does_not_do_for_wpa3():
    with pytest.raises(StalkerError) as caught:
        join(secured("wpa3", KEY), root=manager())

    assert "WPA3 needs the passphrase itself" in caught.value.details


def test_a_profile_of_the_same_network_is_replaced():
    """Raspberry Pi Imager names it so; one of another network stays."""
    folder = "/etc/NetworkManager/system-connections"
    same = {f"{folder}/preconfigured.nmconnection": "[wifi]\nssid=IEEE\n[wifi-security]\npsk=old\n"}
    root, other = manager(**same), manager(**{f"{folder}/preconfigured.nmconnection": "[wifi]\nssid=Else\n"})

    join(network(), root=root)
    join(network(), root=other)

    assert KEY in root.text(f"{folder}/preconfigured.nmconnection")
    with pytest.raises(KeyError):
        root.found(f"{folder}/wifi-49454545.nmconnection")
    assert other.text(f"{folder}/preconfigured.nmconnection") == "[wifi]\nssid=Else\n"
