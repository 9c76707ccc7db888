"""The name of one machine: /etc/hostname, and its line in /etc/hosts."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from stalker.errors import StalkerError

if TYPE_CHECKING:
    from stalker.card.inject.staged_changes import Draft

OWN = "127.0.1.1"
LOCAL = "127.0.0.1"
HOSTS = b"127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n"
NAME_MAX = 64
_LABEL = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?")


def put_hostname(root: Draft, name: str) -> list[str]:
    """Give the machine a name, and return what was done. Raises StalkerError."""
    if len(name) > NAME_MAX or not all(_LABEL.fullmatch(label) for label in name.split(".")):
        raise StalkerError(
            f"{name!r} cannot name a machine", "", "letters, digits, and - between them, at most 64 of them"
        )
    root.know(["/etc/hostname", "/etc/hosts"])
    before = (root.read("/etc/hostname") or b"").decode("utf-8", "replace").strip()
    root.write("/etc/hostname", f"{name}\n".encode())
    root.write("/etc/hosts", with_name(root.read("/etc/hosts") or b"", name))
    return [f"hostname: {name}" + (f", it was {before}" if before.isprintable() and before else "")]


def with_name(hosts: bytes, name: str) -> bytes:
    """Return /etc/hosts with the machine's own line; all others stay byte for byte."""
    short = name.partition(".")[0]
    line = f"{OWN}\t{name}{f' {short}' if short != name else ''}\n".encode()
    lines = (hosts if hosts.strip() else HOSTS).splitlines(keepends=True)
    if not lines[-1].endswith(b"\n"):
        lines[-1] += b"\n"
    addresses = [one.split()[0].decode("latin-1") if one.split() else "" for one in lines]
    if OWN in addresses:
        lines[addresses.index(OWN)] = line
    elif LOCAL in addresses:
        last = len(addresses) - 1 - addresses[::-1].index(LOCAL)
        lines.insert(last + 1, line)
    else:
        lines.append(line)
    return b"".join(lines)
