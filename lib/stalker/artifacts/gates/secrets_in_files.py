"""Files of an image that contain a readable password or key."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stalker.rootfs.patterns import matcher

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

LINE_FEED = b"\n"
PLACES = (b"etc/", b"root/", b"home/", b"boot/", b"srv/", b"var/lib/")


@dataclass(frozen=True, slots=True)
class Clear:
    """Files in which `pattern` is a readable credential."""

    paths: Callable[[bytes], bool]
    pattern: re.Pattern[bytes]
    what: str
    named: tuple[str, ...]


def _clear(paths: Sequence[str], pattern: bytes, what: str) -> Clear:
    return Clear(matcher(paths), re.compile(pattern, re.MULTILINE), what, tuple(paths))


_ASSIGNED = rb"^[ \t]*password[ \t]*[=:][ \t]*[\"']?[^\s\"'#]"
CLEAR = (
    _clear(
        ("/etc/wpa_supplicant/*.conf", "/boot/**/wpa_supplicant*.conf"),
        rb"^\s*(?:psk=\"|password=(?!hash:)|sae_password=|wep_key\d=)",
        "the password of a wireless network",
    ),
    _clear(
        ("/etc/NetworkManager/system-connections/*",),
        rb"^\s*(?:psk|password|leap-password|wep-key\d|private-key-password|secret)=.",
        "the password of a network",
    ),
    _clear(("/var/lib/iwd/*",), rb"^\s*(?:Passphrase|PreSharedKey)=.", "the password of a wireless network"),
    _clear(("/etc/ppp/*-secrets",), rb"^\s*[^#\s]+\s+\S+\s+[\"']?[^\s\"'*]", "the password of a dial-up line"),
    _clear(("/root/.netrc", "/home/*/.netrc", "/etc/netrc"), rb"\bpassword\s+\S", "a password"),
    _clear(("/root/.pgpass", "/home/*/.pgpass"), rb"^[^#\n]+:[^:\n]*:[^:\n]*:[^:\n]*:.", "a password"),
    _clear(("/root/.my.cnf", "/home/*/.my.cnf", "/etc/mysql/debian.cnf"), _ASSIGNED, "the password of a database"),
    _clear(("/root/.git-credentials", "/home/*/.git-credentials"), rb"://[^/\s:@]*:[^/\s@]+@", "a password"),
    _clear(
        ("/etc/apt/auth.conf", "/etc/apt/auth.conf.d/*"), rb"\bpassword\s+\S", "the password of a package source"
    ),
    _clear(
        ("/etc/apt/sources.list", "/etc/apt/sources.list.d/*", "/etc/apt/apt.conf.d/*"),
        rb"://[^/\s:@\"]*:[^/\s@\"]+@",
        "the password of a package source",
    ),
    _clear(("/root/.pypirc", "/home/*/.pypirc"), _ASSIGNED, "a password"),
    _clear(("/root/.npmrc", "/home/*/.npmrc"), rb"_(?:authToken|password|auth)\s*=\s*[^\s$]", "a token"),
    _clear(("/root/.docker/config.json", "/home/*/.docker/config.json"), rb"\"auth\"\s*:\s*\"[^\"]", "a password"),
    _clear(
        ("/root/.aws/credentials", "/home/*/.aws/credentials"), rb"^\s*aws_secret_access_key\s*=\s*\S", "a secret key"
    ),
    _clear(("/etc/wireguard/*.conf",), rb"^\s*PrivateKey\s*=\s*\S", "a private key"),
    _clear(
        (
            "/root/.ssh/*", "/home/*/.ssh/*", "/etc/ssl/**", "/etc/pki/**", "/etc/letsencrypt/**", "/etc/openvpn/**",
            "/root/*.key", "/root/*.pem", "/etc/*.key", "/etc/*.pem", "/etc/*/*.key", "/etc/*/*.pem", "/srv/**/*.key",
            "/boot/**/*.key",
        ),
        rb"^-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY-----",
        "a private key",
    ),
)  # fmt: skip
is_gnupg_key = matcher(
    (
        "/root/.gnupg/private-keys-v1.d/*", "/home/*/.gnupg/private-keys-v1.d/*", "/root/.gnupg/secring.gpg",
        "/home/*/.gnupg/secring.gpg", "/etc/pacman.d/gnupg/private-keys-v1.d/*",
    )
)  # fmt: skip


_is_looked_at = matcher([path for clear in CLEAR for path in clear.named])
"""One question in place of one for each kind."""


def may_hold_credentials(path: bytes) -> bool:
    """Return whether a file's content is to be looked at."""
    return _is_looked_at(path)


def find_credential(path: bytes, content: bytes) -> str:
    """Return what a file gives away, with the line: `a private key, in line 3`; empty when nothing."""
    for clear in CLEAR:
        found = clear.pattern.search(content) if clear.paths(path) else None
        if found:
            start = found.end() - len(found[0].lstrip())
            return f"{clear.what}, in line {content.count(LINE_FEED, 0, start) + 1}"
    return ""
