"""What one machine has of its own: its name, accounts, Wi-Fi, and files in any partition."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from stalker.config.card.accounts import read_account_keys, read_users
from stalker.config.card.files import decoded_content, tell_covered
from stalker.config.card.values import SINGLE, SOURCE, CreationReader, content_or_source
from stalker.config.schema.card import INJECTED_FILE, INJECTIONS, RAW_DATA, WIFI
from stalker.config.schema.types import values
from stalker.config.syntax.document import items_of
from stalker.model.card import DATA, DataFile, InjectedFile, Injections, RawData, SecretText, Wifi

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stalker.config.syntax.document import Node

PASSPHRASE_MIN, PASSPHRASE_MAX = 8, 63
"""IEEE 802.11-2020, J.4.1; 64 hexadecimal digits are the key itself."""

_KEY = re.compile(r"[0-9A-Fa-f]{64}\Z")


def read_injections(node: Node | None, files: Sequence[DataFile], reader: CreationReader) -> Injections:
    """Read `injections`; `files` are those of the data partition, which none here may cover."""
    if node is None or not isinstance(node.value, dict):
        return Injections()
    users = read_users(node.get("users"), reader)
    wifi = _read_wifi(node.get("wifi"), reader)
    if wifi and node.get("country") is None:
        what = "nothing says in which country the Wi-Fi is used; a Raspberry Pi keeps it switched off then"
        reader.report.warning(wifi[0].place, what, "add country: two letters")
    return Injections(
        users=users,
        ssh_keys=read_account_keys(node.get("ssh_keys"), users, reader),
        wifi=wifi,
        files=_read_files(node.get("files"), files, reader),
        raw=_read_raw(node.get("raw"), reader),
        **values(node, INJECTIONS, reader.report, without=("users", "ssh_keys", "wifi", "files", "raw")),
    )


def _read_wifi(node: Node | None, reader: CreationReader) -> tuple[Wifi, ...]:
    found: dict[bytes, Wifi] = {}
    for one in items_of(node):
        ssid = one.get("ssid")
        fields = values(one, WIFI.keys, reader.report, without=("password",))
        password = _passphrase(reader.secret(one.get("password")), one.get("password"), reader)
        name = fields.get("ssid")
        if ssid is None or name is None:
            continue
        if name in found:
            what = f"'{ssid.text}' is there twice; first in line {found[name].place.line}"
            reader.report.problem(ssid.place, what, "keep one")
        found.setdefault(name, Wifi(place=ssid.place, password=password, **fields))
    return tuple(found.values())


def _passphrase(secret: SecretText | None, node: Node | None, reader: CreationReader) -> SecretText | None:
    """Check what is known of a password against WPA2; it is never shown."""
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
        more = [(one.to, one.place, one.via not in SINGLE) for one in files]
        own = [(one.to, one.place, False) for one in found if one.partition == partition]
        if partition == "data":
            tell_covered([*more, *own], DATA, reader)
        else:
            tell_covered(own, f"{partition}:", reader)
    return found


def _read_file(node: Node, reader: CreationReader) -> InjectedFile | None:
    fields = values(node, INJECTED_FILE.keys, reader.report, without=SOURCE)
    target, to = node.get("to"), fields.get("to", "")
    if target is not None and fields.get("partition") == "data" and to.startswith(f"{DATA}/"):
        what = f"a path in the partition: on the machine this is {DATA}{to}"
        reader.report.warning(target.place, what, f"write {to.removeprefix(DATA)}")
    content, source = content_or_source(node, INJECTED_FILE.keys, reader)
    uid, gid = fields.pop("owner", (0, 0))
    if target is None or not {"to", "partition"} <= fields.keys():
        return None
    return InjectedFile(place=target.place, content=content, source=source, uid=uid, gid=gid, **fields)


def _read_raw(node: Node | None, reader: CreationReader) -> tuple[RawData, ...]:
    found = []
    for one in items_of(node):
        if not isinstance(one.value, dict):
            continue
        fields = values(one, RAW_DATA.keys, reader.report, without=SOURCE)
        content, source = content_or_source(one, RAW_DATA.keys, reader)
        given, offset = one.get("content"), one.get("offset")
        if content is not None and given is not None:
            content = decoded_content(content, one, reader)
            if not given.text.strip():
                reader.report.problem(given.place, "the content is empty", "the bytes in base64")
        if offset is not None and "offset" in fields:
            found.append(RawData(place=offset.place, content=content, source=source, **fields))
    return tuple(found)
