"""Passwords hashed by SHA-512 as crypt(3) does it, which every system knows.

Source: Ulrich Drepper, "Unix crypt using SHA-256 and SHA-512", version 0.6.
"""

from __future__ import annotations

import ctypes
import re
from hashlib import sha512

USUAL_ROUNDS = 5000
ROUNDS = 50_000
"""About half a second on the slowest Raspberry Pi: ten times the usual work for guessing."""

SALT_MAX = 16
LETTERS = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

_LETTER = r"[./0-9A-Za-z]"
_HASH = re.compile(
    rf"\$6\$(?:rounds=\d+\$)?[^$:\s]{{0,16}}\${_LETTER}{{86}}"
    rf"|\$5\$(?:rounds=\d+\$)?[^$:\s]{{0,16}}\${_LETTER}{{43}}"
    rf"|\$g?y\${_LETTER}+\${_LETTER}{{1,86}}\${_LETTER}{{43}}"
    rf"|\$2[aby]\$\d\d\${_LETTER}{{53}}"
)
_BEGIN = re.compile(r"\$(?:[1-9]|2[abxy]|y|gy|md5|sha1)\$")


def is_hash(text: str) -> bool:
    """Return whether a text is a whole hash: SHA-512, SHA-256, yescrypt or bcrypt."""
    return bool(_HASH.fullmatch(text))


def begins_as_hash(text: str) -> bool:
    """Return whether a text begins as hashes do, whole or not."""
    return bool(_BEGIN.match(text))


def hashed(password: bytes, salt: str, rounds: int = ROUNDS) -> str:
    """Return `$6$...` of a password. `salt` is up to 16 of LETTERS. libcrypt makes it where there is one."""
    told = "" if rounds == USUAL_ROUNDS else f"rounds={rounds}$"
    return _by_libcrypt(password, f"$6${told}{salt}$") or f"$6${told}{salt}${_hashed(password, salt, rounds)}"


def _by_libcrypt(password: bytes, setting: str) -> str:
    """Return what crypt(3) of this host makes, a tenth of the time; empty where there is none."""
    for name in ("libcrypt.so.1", "libcrypt.so.2"):
        try:
            crypt = ctypes.PyDLL(name).crypt  # it has one buffer for the process: the GIL stays held
        except (OSError, AttributeError):
            continue
        crypt.restype, crypt.argtypes = ctypes.c_char_p, (ctypes.c_char_p, ctypes.c_char_p)
        made = crypt(password, setting.encode()) or b""
        if b"\0" not in password and made.startswith(setting.encode()) and is_hash(made.decode("latin-1")):
            return str(made.decode())
    return ""


def _hashed(password: bytes, salt: str, rounds: int) -> str:
    key = salt.encode()
    second = sha512(password + key + password).digest()
    first = sha512(password + key + _cycled(second, len(password)))
    bits = len(password)
    while bits:
        first.update(second if bits & 1 else password)
        bits >>= 1
    digest = first.digest()
    word = _cycled(sha512(password * len(password)).digest(), len(password))
    grain = _cycled(sha512(key * (16 + digest[0])).digest(), len(key))
    for number in range(rounds):
        state = sha512(word if number & 1 else digest)
        if number % 3:
            state.update(grain)
        if number % 7:
            state.update(word)
        state.update(digest if number & 1 else word)
        digest = state.digest()
    return _letters(digest)


def _cycled(digest: bytes, length: int) -> bytes:
    return (digest * (length // len(digest) + 1))[:length]


def _letters(digest: bytes) -> str:
    text = ""
    places = (0, 21, 42)
    for _ in range(21):
        text += _group(digest[places[0]] << 16 | digest[places[1]] << 8 | digest[places[2]], 4)
        places = (places[1] + 1, places[2] + 1, places[0] + 1)
    return text + _group(digest[63], 2)


def _group(value: int, count: int) -> str:
    return "".join(LETTERS[value >> 6 * place & 63] for place in range(count))
