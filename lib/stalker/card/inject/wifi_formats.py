"""Networks as the programs that join them have them written.

No name or password is quoted anywhere: names are written as numbers, and in place of a passphrase the key that is
made of it. WPA3 has no such key (IEEE 802.11-2020, 12.4): its passphrase is written in hexadecimal digits or with escapes.
So nothing that they hold can be taken for something else.

Sources: IEEE 802.11-2020, J.4; wpa_supplicant.conf(5); nm-settings-keyfile(5); iwd.network(5).
"""

from __future__ import annotations

import hashlib
import re
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stalker.model.card import Security

SPACE = uuid.UUID("3a7d1e0c-5b64-4e0f-9c39-2f5d8a6b1e47")
"""Of the numbers of connections, so that the same network always has the same one."""

SSID_MAX_BYTES = 32
PASSPHRASE_MIN_BYTES, PASSPHRASE_MAX_BYTES = 8, 63
_KEY = re.compile(r"[0-9A-Fa-f]{64}")
_PLAIN = re.compile(rb"[A-Za-z0-9 _-]+")
"""The names that iwd writes into the name of a file as they are."""

_BLOCK_BEGIN = re.compile(r"\s*network\s*=\s*\{")
_BLOCK_END = re.compile(r"\s*(?:network\s*=\s*\{)?\s*\}\s*(?:#.*)?$")
_BLOCK_SSID = re.compile(r'\s*ssid\s*=\s*(?:"(.*)"|([0-9A-Fa-f]+))\s*(?:#.*)?$')


@dataclass(frozen=True, slots=True)
class Network:
    """A network to join: `key` is 64 hexadecimal digits, empty for an open one.

    WPA3 has no such key: with `security` wpa3 and both the `passphrase` is written, too.
    """

    ssid: bytes
    key: str = field(default="", repr=False)
    is_hidden: bool = False
    security: Security = "wpa2"
    passphrase: str = field(default="", repr=False)

    @property
    def shown(self) -> str:
        """Its name for people."""
        text = self.ssid.decode("utf-8", "replace")
        return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


def key_of(ssid: bytes, passphrase: str, security: Security = "wpa2") -> str:
    """Return the key of a network in hexadecimal digits. A passphrase of 64 such digits is the key.

    Raises:
        ValueError: it is too short or too long, or a key where WPA3 needs a passphrase; it is not in the text.
    """
    if _KEY.fullmatch(passphrase) and security != "wpa2":
        raise ValueError("it is a key of WPA2, and WPA3 needs the passphrase itself")
    if _KEY.fullmatch(passphrase):
        return passphrase.lower()
    word = passphrase.encode("utf-8", "surrogateescape")
    if not PASSPHRASE_MIN_BYTES <= len(word) <= PASSPHRASE_MAX_BYTES:
        raise ValueError(
            f"it has {len(word)} bytes, and one of WPA2 has {PASSPHRASE_MIN_BYTES} to {PASSPHRASE_MAX_BYTES}"
        )
    return hashlib.pbkdf2_hmac("sha1", word, ssid, 4096, 32).hex()


def network_manager(network: Network) -> str:
    """Return a connection of NetworkManager."""
    name = network.ssid.decode() if _PLAIN.fullmatch(network.ssid) else network.ssid.hex()
    lines = [
        "[connection]",
        f"id=wifi-{name.strip()}",
        f"uuid={uuid.uuid5(SPACE, network.ssid.hex())}",
        "type=wifi",
        "",
        "[wifi]",
        "mode=infrastructure",
        f"ssid={''.join(f'{byte};' for byte in network.ssid)}",
        *(["hidden=true"] if network.is_hidden else []),
        "",
    ]
    if network.key:
        lines += ["[wifi-security]", *_manager_security(network), ""]
    lines += ["[ipv4]", "method=auto", "", "[ipv6]", "method=auto"]
    return "\n".join(lines) + "\n"


def _manager_security(network: Network) -> list[str]:
    """NetworkManager joins by `wpa-psk` what has WPA3 as well, when it knows the passphrase."""
    if network.security == "wpa2":
        return ["key-mgmt=wpa-psk", f"psk={network.key}"]
    method = "sae" if network.security == "wpa3" else "wpa-psk"
    return [f"key-mgmt={method}", f"psk={_escaped(network.passphrase)}"]


def _escaped(text: str) -> str:
    """Return a value of a key file, as GKeyFile and iwd read it."""
    return text.replace("\\", "\\\\").replace(" ", "\\s")


def network_manager_file(network: Network) -> str:
    """Return the name of the file of a connection."""
    return f"wifi-{network.ssid.hex()}.nmconnection"


def iwd(network: Network) -> str:
    """Return a network of iwd."""
    lines = ["[Security]", *_iwd_security(network), ""] if network.key else []
    lines += ["[Settings]", "AutoConnect=true", *(["Hidden=true"] if network.is_hidden else [])]
    return "\n".join(lines) + "\n"


def _iwd_security(network: Network) -> list[str]:
    """With a passphrase iwd joins by WPA3 what has it, unless that is switched off by WPA2 what has only that."""
    if network.security == "wpa2":
        return [f"PreSharedKey={network.key}"]
    lines = [f"Passphrase={_escaped(network.passphrase)}"]
    if network.security == "wpa3":
        lines += ["TransitionDisable=true", "DisabledTransitionModes=personal"]
    return lines


def iwd_file(network: Network) -> str:
    """Return the name of the file of a network, which is where iwd reads the network's name."""
    ending = "psk" if network.key else "open"
    if _PLAIN.fullmatch(network.ssid):
        return f"{network.ssid.decode()}.{ending}"
    return f"={network.ssid.hex()}.{ending}"


def wpa_block(network: Network) -> str:
    """Return a network of wpa_supplicant."""
    lines = [
        "network={",
        f"\tssid={network.ssid.hex()}",
        *(["\tscan_ssid=1"] if network.is_hidden else []),
        *(f"\t{line}" for line in _wpa_security(network)),
        "}",
    ]
    return "\n".join(lines) + "\n"


def _wpa_security(network: Network) -> list[str]:
    if not network.key:
        return ["key_mgmt=NONE"]
    if network.security == "wpa2":
        return [f"psk={network.key}"]
    password = f"sae_password={network.passphrase.encode('utf-8', 'surrogateescape').hex()}"
    if network.security == "wpa3":
        return ["key_mgmt=SAE", password, "ieee80211w=2"]
    return ["key_mgmt=WPA-PSK WPA-PSK-SHA256 SAE", f"psk={network.key}", password, "ieee80211w=1"]


def wpa_config(text: str, networks: list[Network], country: str) -> str:
    """Return the text of a wpa_supplicant.conf with these networks, in place of those of the same names."""
    kept: list[str] = []
    block: list[str] = []
    names = {network.ssid for network in networks}
    for line in re.findall(r"[^\n]*\n|[^\n]+", text):
        if not block and not _BLOCK_BEGIN.match(line):
            if not (country and re.match(r"\s*country\s*=", line)):
                kept.append(line)
            continue
        block.append(line)
        if _BLOCK_END.match(line):
            kept += block if _ssid_of(block) not in names else []
            block = []
    kept += block
    before = "".join(kept)
    if before and not before.endswith("\n"):
        before += "\n"
    head = f"country={country}\n" if country else ""
    return head + before + "".join(f"\n{wpa_block(network)}" for network in networks)


def _ssid_of(block: list[str]) -> bytes | None:
    for line in block:
        found = _BLOCK_SSID.match(line.rstrip("\n"))
        if found and found[1] is not None:
            return found[1].encode("utf-8", "surrogateescape")
        if found and len(found[2]) % 2 == 0:
            return bytes.fromhex(found[2])
    return None
