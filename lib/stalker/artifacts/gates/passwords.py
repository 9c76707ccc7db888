"""Accounts of an image: whose password is empty, in clear, or one that everybody knows.

Hashes are tried against a short list with this host's libcrypt, which knows those of Debian (yescrypt)
and Gentoo (SHA-512); where it does not know one, with the toolbox's.
"""

from __future__ import annotations

import ctypes
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stalker.model.escaping import path_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    Guessed = tuple[dict["Account", str], list["Account"]]

WELL_KNOWN = (
    # what images of well-known systems come with, as their own documentation says
    "raspberry",  # Raspberry Pi OS until 2022
    "alarm",  # Arch Linux ARM: alarm; its root has "root"
    "root",
    "live",  # Debian Live
    "debian",
    "ubuntu",
    "kali",
    "toor",  # Kali until 2019
    "1234",  # Armbian
    "armbian",
    "dietpi",
    "odroid",
    "orangepi",
    "bananapi",
    "rock64",
    "pine64",
    "1111",  # images for Pine64
    "fa",  # FriendlyELEC
    "temppwd",  # BeagleBoard
    "libreelec",
    "openelec",
    "osmc",
    "volumio",
    "hypriot",
    "recalboxroot",
    "linux",
    "gentoo",
    "funtoo",
    # what people type while they build
    "password",
    "passwd",
    "admin",
    "administrator",
    "user",
    "pi",
    "test",
    "guest",
    "default",
    "changeme",
    "secret",
    "letmein",
    "qwerty",
    "12345",
    "123456",
    "12345678",
    "123456789",
    "toortoor",
    "rootroot",
)
"""Passwords that a stranger tries first; next to these the account's own name."""

LIBRARIES = ("libcrypt.so.1", "libcrypt.so.2", "libcrypt.so")
DATA_BYTES = 1 << 18
"""More than a `struct crypt_data` of any version."""

HASH = re.compile(rb"\$[A-Za-z0-9]+\$.|_[./0-9A-Za-z]{19}\Z|[./0-9A-Za-z]{13}\Z")
"""What crypt(5) takes for a hash: `$id$...`, BSDi's, and DES's 13 letters."""

IN_TOOLBOX = """
while (<STDIN>) { chomp; my ($hash, $word) = split /\\t/, $_, 2;
my $made = crypt($word, $hash); print defined $made && $made eq $hash ? "$.\\n" : ""; }
"""
"""For perl: reads lines of a hash, a tab and a word, and prints the numbers of those that fit."""


@dataclass(frozen=True, slots=True)
class Account:
    """An account and the second field of its line in `file`."""

    file: bytes
    name: str
    field: bytes

    @property
    def is_locked(self) -> bool:
        """Return whether no password opens it."""
        return self.field.startswith((b"!", b"*")) or self.field == b"x"

    @property
    def is_hash(self) -> bool:
        """Return whether its field is a hash, locked or not."""
        return bool(HASH.match(self.field.lstrip(b"!")))


def read_accounts(file: bytes, content: bytes) -> Iterator[Account]:
    """Yield the accounts of `/etc/passwd`, `/etc/shadow` and their like; other lines are skipped."""
    for line in content.splitlines():
        fields = line.split(b":")
        if len(fields) > 2 and fields[0] and not line.startswith((b"#", b"+", b"-")):
            yield Account(file, path_text(fields[0])[1:], fields[1])


def find_crypt() -> Callable[[bytes, bytes], bytes | None] | None:
    """Return this host's `crypt(word, hash)`, which gives None for a hash that it does not know.

    It may be called by several threads at once.
    """
    for name in LIBRARIES:
        try:
            library = ctypes.CDLL(name)
            crypt_r = library.crypt_r
        except (OSError, AttributeError):
            continue
        crypt_r.restype = ctypes.c_char_p
        crypt_r.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p]

        def crypt(
            word: bytes, setting: bytes, crypt_r: Callable[..., bytes | None] = crypt_r
        ) -> bytes | None:
            made = crypt_r(word, setting, ctypes.create_string_buffer(DATA_BYTES))
            return None if made is None or made.startswith(b"*") else made

        return crypt
    return None


def guess(accounts: Sequence[Account]) -> Guessed:
    """Return the accounts whose password is well known, with it, and those whose hash is of an unknown kind."""
    crypt = find_crypt()
    found: dict[Account, str] = {}
    unknown: list[Account] = []
    for account in accounts:
        if crypt is None or crypt(b"", account.field) is None:
            unknown.append(account)
            continue
        word = _first_fit(account, crypt)
        if word is not None:
            found[account] = word
    return found, unknown


def guess_in_toolbox(
    accounts: Sequence[Account], run: Callable[[Sequence[str], Iterable[bytes]], bytes]
) -> dict[Account, str]:
    """Return the accounts whose password is well known, by the toolbox's libcrypt.

    `run(argv, stdin)` runs a program there and returns its output.
    """
    asked = [(account, word) for account in accounts for word in candidates(account)]
    lines = b"".join(account.field + b"\t" + word.encode() + b"\n" for account, word in asked)
    fitting = [asked[int(number) - 1] for number in run(["perl", "-e", IN_TOOLBOX], [lines]).split()]
    return dict(reversed(fitting))


def candidates(account: Account) -> list[str]:
    """Return the passwords that a stranger tries first on an account."""
    return list(dict.fromkeys((account.name, *WELL_KNOWN, "")))


def _first_fit(account: Account, crypt: Callable[[bytes, bytes], bytes | None]) -> str | None:
    words = candidates(account)
    # The library lets go of the interpreter's lock, so all processors take part.
    with ThreadPoolExecutor() as pool:
        made = pool.map(lambda word: crypt(word.encode(), account.field), words)
        return next((word for word, one in zip(words, made, strict=True) if one == account.field), None)
