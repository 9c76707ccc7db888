"""What one machine has of its own: its name, accounts, Wi-Fi, and files in any partition."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from stalker.config.creation_accounts import read_account_keys, read_users
from stalker.config.creation_files import content_of, tell_covered
from stalker.config.creation_reader import CreationReader, path_below
from stalker.config.creation_shapes import INJECTED_FILE
from stalker.config.document import is_true, items_of
from stalker.config.report import did_you_mean
from stalker.model.creation import DATA, DataFile, InjectedFile, Injections, SecretText, Wifi

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stalker.config.document import Node

LABEL_MAX, HOSTNAME_MAX = 63, 64
"""Of a part of the name (RFC 1123, 2.1), and of all of it (Linux's utsname)."""

SSID_MAX_BYTES = 32
"""IEEE 802.11-2020, 9.4.2.2."""

PASSPHRASE_MIN, PASSPHRASE_MAX = 8, 63
"""IEEE 802.11-2020, J.4.1; 64 hexadecimal digits are the key itself."""

PARTITIONS = ("boot", "root", "data")

_LABEL = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?\Z")
_KEY = re.compile(r"[0-9A-Fa-f]{64}\Z")
_COUNTRY = re.compile(r"[A-Za-z]{2}\Z")
_MODE = re.compile(r"[0-7]{3,5}\Z")
_OWNER = re.compile(r"(\d{1,10}):(\d{1,10})\Z")
_OWNER_MAX = 2**32 - 2


def read_injections(node: Node | None, files: Sequence[DataFile], reader: CreationReader) -> Injections:
    """Read `injections`; `files` are those of the data partition, which none here may cover."""
    if node is None or not isinstance(node.value, dict):
        return Injections()
    users = read_users(node.get("users"), reader)
    wifi = _read_wifi(node.get("wifi"), reader)
    country = reader.told(node.get("country"), country_code, any_scalar=True) or ""
    if wifi and node.get("country") is None:
        what = "nothing says in which country the Wi-Fi is used; a Raspberry Pi keeps it switched off then"
        reader.report.warning(wifi[0].place, what, "add country: two letters")
    return Injections(
        hostname=reader.told(node.get("hostname"), hostname) or "",
        users=users,
        ssh_keys=read_account_keys(node.get("ssh_keys"), users, reader),
        wifi=wifi,
        country=country,
        files=_read_files(node.get("files"), files, reader),
    )


def hostname(text: str) -> str:
    """Return the name of a machine (RFC 1123). Raises ValueError."""
    for label in text.split("."):
        if not _LABEL.match(label):
            shown = f"'{label}' in '{text}'" if label != text else f"'{text}'"
            raise ValueError(f"{shown} cannot name a machine: letters, digits, and - between them")
        if len(label) > LABEL_MAX:
            raise ValueError(f"a name of {len(label)} characters; between two dots stand at most {LABEL_MAX}")
    if len(text) > HOSTNAME_MAX:
        raise ValueError(f"a name of {len(text)} characters; Linux has room for {HOSTNAME_MAX}")
    return text


def country_code(text: str) -> str:
    """Return a country as ISO 3166-1 has it: two capital letters. Raises ValueError."""
    if text.upper() == "UK":
        raise ValueError("'UK' is no country in ISO 3166; did you mean GB?")
    if not _COUNTRY.match(text):
        raise ValueError(f"'{text}' is no country: two letters, as DE, GB, FR")
    return text.upper()


def _read_wifi(node: Node | None, reader: CreationReader) -> tuple[Wifi, ...]:
    found: dict[bytes, Wifi] = {}
    for one in items_of(node):
        ssid = one.get("ssid")
        name = reader.told(ssid, _ssid, any_scalar=True)
        secret = reader.secret(one.get("password"))
        password = _passphrase(secret, one.get("password"), reader)
        if ssid is None or name is None:
            continue
        if name in found:
            what = f"'{ssid.text}' is there twice; first in line {found[name].place.line}"
            reader.report.problem(ssid.place, what, "keep one")
        found.setdefault(name, Wifi(name, ssid.place, password, is_true(one.get("hidden"))))
    return tuple(found.values())


def _ssid(text: str) -> bytes:
    ssid = text.encode()
    if not 1 <= len(ssid) <= SSID_MAX_BYTES:
        raise ValueError(f"a network's name has 1 to {SSID_MAX_BYTES} bytes, this {len(ssid)}")
    return ssid


def _passphrase(secret: SecretText | None, node: Node | None, reader: CreationReader) -> SecretText | None:
    """Hold what is known of a password against WPA2; it is never shown."""
    if secret is None or node is None or isinstance(node.value, dict):
        return secret
    text = secret.text
    length = len(text.encode())
    hint = ""
    if not text:
        what, hint = "the password is empty", "leave it out for an open network"
    elif _KEY.match(text):
        return secret
    elif not text.isprintable():
        what = "a password of Wi-Fi has no line breaks or control characters"
    elif not PASSPHRASE_MIN <= length <= PASSPHRASE_MAX:
        what = f"a password of Wi-Fi has {PASSPHRASE_MIN} to {PASSPHRASE_MAX} characters, this {length}"
        hint = "64 hexadecimal digits are the key that is made of it"
    else:
        if not text.isascii():
            what = "a password beyond ASCII is not known to every access point"
            reader.report.warning(node.place, what, "IEEE 802.11 has the characters 32 to 126")
        return secret
    reader.report.problem(node.place, what, hint)
    return None


def _read_files(
    node: Node | None, files: Sequence[DataFile], reader: CreationReader
) -> tuple[InjectedFile, ...]:
    read = [_read_file(one, reader) for one in items_of(node) if isinstance(one.value, dict)]
    found = tuple(one for one in read if one is not None)
    for partition in dict.fromkeys(one.partition for one in found):
        more = [(one.to, one.place, one.via not in {"direct", "base64"}) for one in files]
        own = [(one.to, one.place, False) for one in found if one.partition == partition]
        if partition == "data":
            tell_covered([*more, *own], DATA, reader)
        else:
            tell_covered(own, f"{partition}:", reader)
    return found


def _read_file(node: Node, reader: CreationReader) -> InjectedFile | None:
    partition = _partition(node.get("partition"), reader)
    target = node.get("to")
    to = reader.told(target, lambda text: path_below(text, "/"))
    if target is not None and to == "/":
        reader.report.problem(target.place, "'/' is the partition itself", "name the file in it")
        to = None
    if target is not None and partition == "data" and to is not None and to.startswith(f"{DATA}/"):
        what = f"a path in the partition: on the machine this is {DATA}{to}"
        reader.report.warning(target.place, what, f"write {to.removeprefix(DATA)}")
    content = content_of(node, reader)
    source = reader.source(node) if content is None else None
    if content is None and source is None and node.get("content") is None:
        reader.missing(
            node, INJECTED_FILE.keys, "nothing says what the file holds", "one of url, file and content"
        )
    mode = _mode(node.get("mode"), reader)
    uid, gid = reader.told(node.get("owner"), owner, any_scalar=True) or (0, 0)
    if target is None or to is None or not partition:
        return None
    return InjectedFile(partition, to, target.place, content, source, mode, uid, gid)


def _partition(node: Node | None, reader: CreationReader) -> str:
    if node is None or not isinstance(node.value, str | int) or isinstance(node.value, bool):
        return ""
    if node.text in PARTITIONS or re.fullmatch(r"[1-9]\d{0,2}", node.text):
        return node.text
    if isinstance(node.value, str):
        hint = did_you_mean(node.text, PARTITIONS, "names")
        reader.report.problem(node.place, f"'{node.text}' is no partition", f"{hint}; or a number from 1")
    return ""


def _mode(node: Node | None, reader: CreationReader) -> int:
    """Read permission bits; a number without a zero before it may be decimal, and is refused."""
    if node is None:
        return 0o644
    if isinstance(node.value, int) and not isinstance(node.value, bool):
        reader.report.problem(node.place, f"{node.text} is decimal", f'write "0{node.text.lstrip("0")}"')
        return 0o644
    mode = reader.told(node, mode_bits)
    return 0o644 if mode is None else mode


def mode_bits(text: str) -> int:
    """Return permission bits of `0644`. Raises ValueError."""
    if not _MODE.match(text) or int(text, 8) > 0o7777:
        raise ValueError(f"'{text}' is no mode: three or four digits of 0-7, like \"0644\"")
    return int(text, 8)


def owner(text: str) -> tuple[int, int]:
    """Return the numbers of `1000:1000`. Raises ValueError."""
    found = _OWNER.match(text)
    if found is None:
        raise ValueError(
            f"'{text}' is no owner: two numbers, \"1000:1000\"; names are known to the image alone"
        )
    uid, gid = int(found[1]), int(found[2])
    if max(uid, gid) > _OWNER_MAX:
        raise ValueError(f"'{text}': a number is at most {_OWNER_MAX}")
    return uid, gid
