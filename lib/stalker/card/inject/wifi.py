"""Wi-Fi of one machine, written for the program of the image that joins networks."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from stalker.card.inject import wifi_formats as formats
from stalker.card.inject.wifi_formats import Network, key_of
from stalker.errors import Attempts, StalkerError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from stalker.card.inject.staged_changes import Draft
    from stalker.model.card import SecretText, Wifi

    Secrets = Callable[[SecretText], str]

MANAGER = ("/usr/sbin/NetworkManager", "/usr/bin/NetworkManager", "/sbin/NetworkManager")
WPA = ("/usr/sbin/wpa_supplicant", "/sbin/wpa_supplicant", "/usr/bin/wpa_supplicant")
IWD = ("/usr/libexec/iwd", "/usr/lib/iwd/iwd", "/usr/lib/iwd", "/usr/sbin/iwd")
NETWORKD = ("/usr/lib/systemd/systemd-networkd", "/lib/systemd/systemd-networkd")
NETPLAN = ("/usr/sbin/netplan", "/usr/bin/netplan")
CRDA = ("/usr/sbin/crda", "/sbin/crda", "/usr/lib/crda/setregdomain", "/lib/crda/setregdomain")
FIRMWARE = ("/cmdline.txt", "/config.txt", "/bootcode.bin")
"""What tells the boot partition of a Raspberry Pi."""

CONNECTIONS = "/etc/NetworkManager/system-connections"
STATE = "/var/lib/NetworkManager/NetworkManager.state"
WPA_CONFIG = "/etc/wpa_supplicant/wpa_supplicant.conf"
WPA_OF_WLAN0 = "/etc/wpa_supplicant/wpa_supplicant-wlan0.conf"
WPA_UNIT = "/etc/systemd/system/multi-user.target.wants/wpa_supplicant@wlan0.service"
WPA_START = "ctrl_interface=DIR=/run/wpa_supplicant GROUP=netdev\nupdate_config=1\n"
BOOT_CONFIG = "/wpa_supplicant.conf"
NETWORKD_FILE = "/etc/systemd/network/80-wifi.network"
NETWORKD_TEXT = "[Match]\nType=wlan\n\n[Network]\nDHCP=yes\nIgnoreCarrierLoss=3s\n"
MODPROBE = "/etc/modprobe.d/wifi-country.conf"
RADIOS = ("20300000.mmcnr", "3f300000.mmcnr", "fe300000.mmcnr", "1001100000.mmc")
RFKILL = tuple(f"/var/lib/systemd/rfkill/platform-{one}:wlan" for one in RADIOS)
"""Where it is kept that the radio of a Raspberry Pi is switched off."""

PARAMETER = "cfg80211.ieee80211_regdom"


def put_wifi(
    root: Draft | None,
    boot: Draft | None,
    wifi: Sequence[Wifi],
    country: str,
    secrets: Secrets,
    *,
    refused: StalkerError | None = None,
) -> list[str]:
    """Tell the image of networks and of the country they are in; return what was done, in words.

    `refused` is why there is no `root`, where there is a partition for it.

    Raises:
        StalkerError: nothing in the image joins networks, or a name or password is invalid.
    """
    attempts = Attempts()
    networks: list[Network] = []
    for one in wifi:
        with attempts.one():
            networks.append(_network(one, secrets))
    attempts.check("networks")
    if root is not None:
        own = [f"{CONNECTIONS}/{formats.network_manager_file(network)}" for network in networks]
        own += [f"{CONNECTIONS}/{name}.nmconnection" for one in networks for name in _usual_names(one)]
        own += [WPA_UNIT, STATE, WPA_CONFIG, WPA_OF_WLAN0, MODPROBE, "/etc/default/crda"]
        root.know([*RFKILL, *MANAGER, *WPA, *IWD, *NETWORKD, *NETPLAN, *CRDA, *own])
        if root.first_file(MANAGER):
            said = [*_by_manager(root, networks), *_country(root, boot, country)]
            return [*said, *_switch_on(root, networks)]
        if networks and root.first_file(NETPLAN):
            raise StalkerError(
                "the image's Wi-Fi is set up by netplan",
                "it keeps networks in files of its own, which are not written here",
                "put a file into /etc/netplan: injections.files",
            )
        if root.first_file(WPA):
            return [*_by_wpa(root, networks, country), *_switch_on(root, networks)]
        if root.first_file(IWD):
            said = [*_by_iwd(root, networks), *_country(root, boot, country, is_iwd=True)]
            return [*said, *_switch_on(root, networks)]
        if not networks:
            return _country(root, boot, country)
    if root is None and boot is not None and boot.first_file(FIRMWARE):
        return _by_boot(boot, networks, country, refused)
    if refused is not None:
        raise refused
    raise StalkerError(
        "nothing in the image joins a Wi-Fi" if networks else "nothing in the image keeps a country of Wi-Fi",
        "there is neither NetworkManager nor wpa_supplicant nor iwd",
        "install one in the base, or leave injections.wifi out",
    )


def _network(one: Wifi, secrets: Secrets) -> Network:
    name = Network(one.ssid).shown
    if not 1 <= len(one.ssid) <= formats.SSID_MAX_BYTES:
        what = f"a network's name has 1 to {formats.SSID_MAX_BYTES} bytes, this {len(one.ssid)}"
        raise StalkerError(f"'{name}' cannot be a network", f"{one.place}: {what}", "")
    if one.password is None and one.security != "wpa2":
        what = f"{one.place}: {one.security} needs a password"
        raise StalkerError(
            f"the network '{name}' cannot be joined", what, "leave security out for an open network"
        )
    if one.password is None:
        return Network(one.ssid, "", one.is_hidden)
    passphrase = secrets(one.password)
    try:
        key = key_of(one.ssid, passphrase, one.security)
    except ValueError as error:
        raise StalkerError(
            f"the password of the network '{name}' cannot be used",
            f"{one.place}: {error}",
            "64 hexadecimal digits are the key that is made of it",
        ) from None
    if one.security == "wpa2":
        return Network(one.ssid, key, one.is_hidden)
    return Network(one.ssid, key, one.is_hidden, one.security, passphrase)


def _by_manager(root: Draft, networks: Sequence[Network]) -> list[str]:
    said = []
    if networks:
        root.folder("/etc/NetworkManager", mode=0o755, uid=0, gid=0)
        root.folder(CONNECTIONS, mode=0o700, uid=0, gid=0)
    for network in networks:
        path = _profile(root, network)
        _keep_secret(root, path, formats.network_manager(network))
        said.append(f"Wi-Fi {network.shown}: {_kind(network)}, for NetworkManager")
    state = (root.read(STATE) or b"") if networks else b""
    # Raspberry Pi OS comes so, until its country is set.
    on = re.sub(rb"(?m)^WirelessEnabled=false$", b"WirelessEnabled=true", state)
    if on != state:
        root.write(STATE, on)
        said.append("Wi-Fi: switched on in NetworkManager's state")
    return said


def _profile(root: Draft, network: Network) -> str:
    """Return the file of the profile that joins a network, where it has a usual name; else that of a new one.

    Two profiles of one network would compete, and the older one may have another password.
    """
    new = f"{CONNECTIONS}/{formats.network_manager_file(network)}"
    usual = [f"{CONNECTIONS}/{one}.nmconnection" for one in _usual_names(network)]
    ssids = {network.ssid, "".join(f"{byte};" for byte in network.ssid).encode()}
    for path in usual:
        found = re.search(rb"(?m)^ssid=(.*)$", root.read(path) or b"")
        if found and found[1] in ssids:
            return path
    return new


def _usual_names(network: Network) -> list[str]:
    """Return the names that NetworkManager and Raspberry Pi Imager give to a profile."""
    own = [network.shown] if "/" not in network.shown and network.shown not in {"", ".", ".."} else []
    return [*own, "preconfigured"]


def _by_wpa(root: Draft, networks: list[Network], country: str) -> list[str]:
    path = WPA_CONFIG if root.at(WPA_UNIT) is None else WPA_OF_WLAN0
    before = root.read(path)
    text = WPA_START if before is None else before.decode("utf-8", "surrogateescape")
    root.folder("/etc/wpa_supplicant", mode=0o755, uid=0, gid=0)
    _keep_secret(root, path, formats.wpa_config(text, networks, country))
    said = [f"Wi-Fi {network.shown}: {_kind(network)}, for wpa_supplicant" for network in networks]
    return said + ([f"Wi-Fi: country {country} in {path}"] if country else [])


def _by_iwd(root: Draft, networks: Sequence[Network]) -> list[str]:
    said = []
    if networks:
        root.folder("/var/lib/iwd", mode=0o700, uid=0, gid=0)
    for network in networks:
        _keep_secret(root, f"/var/lib/iwd/{formats.iwd_file(network)}", formats.iwd(network))
        said.append(f"Wi-Fi {network.shown}: {_kind(network)}, for iwd")
    if networks and root.first_file(NETWORKD) and root.find(NETWORKD_FILE) is None:
        root.folder("/etc/systemd/network", mode=0o755, uid=0, gid=0)
        root.write(NETWORKD_FILE, NETWORKD_TEXT.encode())
        said.append(f"Wi-Fi: addresses by DHCP, {NETWORKD_FILE}")
    return said


def _switch_on(root: Draft, networks: Sequence[Network]) -> list[str]:
    """Switch the radio on, which Raspberry Pi OS keeps off until its country is set."""
    off = [path for path in RFKILL if networks and (root.read(path) or b"").strip() == b"1"]
    for path in off:
        root.write(path, b"0\n")
    return ["Wi-Fi: the radio is switched on: /var/lib/systemd/rfkill"] if off else []


def _by_boot(boot: Draft, networks: list[Network], country: str, refused: StalkerError | None) -> list[str]:
    """Leave it on the boot partition, where Raspberry Pi OS up to Bullseye takes it from."""
    before = boot.read(BOOT_CONFIG)
    text = WPA_START if before is None else before.decode("utf-8", "surrogateescape")
    boot.write(BOOT_CONFIG, formats.wpa_config(text, networks, country).encode("utf-8", "surrogateescape"))
    said = [f"Wi-Fi {network.shown}: {_kind(network)}, in {BOOT_CONFIG} of boot" for network in networks]
    why = refused.brief if refused is not None else "the image has no root file system"
    return [*said, f"Wi-Fi: {why}; Raspberry Pi OS 11 and older takes it from boot, no other does"]


def _country(root: Draft, boot: Draft | None, country: str, *, is_iwd: bool = False) -> list[str]:
    """Say in which country the radio is: to iwd, the kernel's command line, crda, or the kernel's module."""
    if not country:
        return []
    if is_iwd:
        before = (root.read("/etc/iwd/main.conf") or b"").decode("utf-8", "surrogateescape")
        root.folder("/etc/iwd", mode=0o755, uid=0, gid=0)
        text = _with_setting(before, "General", "Country", country)
        root.write("/etc/iwd/main.conf", text.encode("utf-8", "surrogateescape"))
        return [f"Wi-Fi: country {country} in /etc/iwd/main.conf"]
    line = boot.read("/cmdline.txt") if boot is not None else None
    if boot is not None and line is not None:
        boot.write("/cmdline.txt", _with_parameter(line, country))
        return [f"Wi-Fi: country {country} in cmdline.txt of boot"]
    crda = root.read("/etc/default/crda")
    if crda is not None and root.first_file(CRDA):
        rest = re.sub(rb"(?m)^\s*REGDOMAIN=.*\n?", b"", crda)
        rest += b"" if not rest or rest.endswith(b"\n") else b"\n"
        root.write("/etc/default/crda", rest + f"REGDOMAIN={country}\n".encode())
        return [f"Wi-Fi: country {country} in /etc/default/crda"]
    root.folder("/etc/modprobe.d", mode=0o755, uid=0, gid=0)
    root.write(MODPROBE, f"options cfg80211 ieee80211_regdom={country}\n".encode())
    return [f"Wi-Fi: country {country} in {MODPROBE}"]


def _with_parameter(line: bytes, country: str) -> bytes:
    """Return a kernel's command line with the country, which takes the place of another."""
    first, feed, rest = line.partition(b"\n")
    words = [one for one in first.split(b" ") if not one.startswith(PARAMETER.encode() + b"=")]
    ending = b"\r" if first.endswith(b"\r") else b""
    text = b" ".join(words).rstrip(b" \r")
    return text + b" " * bool(text) + f"{PARAMETER}={country}".encode() + ending + feed + rest


def _with_setting(text: str, section: str, key: str, value: str) -> str:
    """Return an ini file with a setting, which takes the place of another; other lines stay."""
    lines = text.removesuffix("\n").split("\n") if text else []
    begin = next((at for at, line in enumerate(lines) if line.strip() == f"[{section}]"), None)
    if begin is None:
        gap = [""] if lines else []
        return "\n".join([*lines, *gap, f"[{section}]", f"{key}={value}"]) + "\n"
    end = next((at for at in range(begin + 1, len(lines)) if lines[at].startswith("[")), len(lines))
    own = [line for line in lines[begin + 1 : end] if line.partition("=")[0].strip() != key]
    return "\n".join([*lines[: begin + 1], f"{key}={value}", *own, *lines[end:]]) + "\n"


def _keep_secret(draft: Draft, path: str, text: str) -> None:
    """Write a file that root alone reads, whatever mode it had."""
    draft.place(draft.real(path), text.encode("utf-8", "surrogateescape"), mode=0o600, uid=0, gid=0)


def _kind(network: Network) -> str:
    return ("hidden, " if network.is_hidden else "") + ("by its key" if network.key else "open")
