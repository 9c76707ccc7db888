"""Public keys of SSH, as lines of authorized_keys have them."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable

RSA_MIN_BITS = 1024
"""OpenSSH takes no shorter keys (sshd_config(5), RequiredRSASize)."""

_PRIVATE = re.compile(r"PRIVATE KEY|PuTTY-User-Key-File|b3BlbnNzaC1rZXktdjE")
"""The last is how OpenSSH's private keys begin in base64, without their first line."""

_BLANKS = re.compile(r"[ \t]+")
_OPTIONS = re.compile(r'(?:"(?:\\"|[^"])*"|[^" \t])+')
_KEY = re.compile(
    r"((?:ssh|ecdsa|sk-ssh|sk-ecdsa)-[A-Za-z0-9@.-]+)[ \t]+(AAAA[0-9A-Za-z+/]+={0,3})(?=[ \t]|\Z)"
)
_TYPE = re.compile(r"[a-z0-9@.-]+\Z")


def public_keys(text: str) -> list[str]:
    """Return the keys of a text, a line each; empty lines and comments are left out.

    Raises:
        ValueError: it holds a private key, or a line is not a public key; the text says why and shows no key.
    """
    if _PRIVATE.search(text):
        raise ValueError(
            "this is a private key: whoever gets the card would have it; write the line of the file that ends in .pub"
        )
    if "BEGIN SSH2 PUBLIC KEY" in text:
        raise ValueError("this is a key in the form of RFC 4716; `ssh-keygen -i -f FILE` makes a line of it")
    lines = [line.strip() for line in text.splitlines()]
    found = [_checked(line) for line in lines if line and not line.startswith("#")]
    if not found:
        raise ValueError("there is no key in it")
    return found


def key_of(line: str) -> str:
    """Return the type and the key that sshd reads from a line, empty where it reads none.

    It reads one: at the start of the line, else behind its options. A comment line has none, and what is behind
    the key is a comment, be it another key. Source: OpenSSH, auth2-pubkeyfile.c (auth_check_authkey_line).
    """
    line = line.strip(" \t\r\n")
    if line.startswith("#"):
        return ""
    found = _KEY.match(line)
    if found is None:
        options = _OPTIONS.match(line)
        found = _KEY.match(line[options.end() :].lstrip(" \t")) if options is not None else None
    return f"{found[1]} {found[2]}" if found is not None else ""


def _checked(line: str) -> str:
    if not line.replace("\t", " ").isprintable():
        raise ValueError("a key is one line without control characters")
    rest, kind = line, _BLANKS.split(line, maxsplit=1)[0]
    if kind not in _FIELDS:
        options = _OPTIONS.match(line)
        rest = line[options.end() :].lstrip() if options is not None else ""
        kind = _BLANKS.split(rest, maxsplit=1)[0]
    if kind not in _FIELDS:
        raise ValueError(_no_key(line))
    if kind == "ssh-dss":
        raise ValueError("OpenSSH takes no DSA keys any more; `ssh-keygen -t ed25519` makes a key")
    parts = _BLANKS.split(rest, maxsplit=2)
    if len(parts) < 2:
        raise ValueError(f"only the type {kind} is there, the key behind it is missing")
    try:
        blob = base64.b64decode(parts[1], validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(f"what stands behind {kind} is not base64; is the key cut off?") from None
    _check_blob(kind, blob)
    words = _BLANKS.split(parts[2]) if len(parts) > 2 else []
    if any(key_of(" ".join(words[at : at + 2])) for at in range(len(words))):
        raise ValueError(
            "a second key is on this line; sshd reads one of a line: give each a line of its own"
        )
    return line


def _no_key(line: str) -> str:
    form = "a line has a type, the key and a comment: ssh-ed25519 AAAA... name"
    if line.startswith(("/", "~", "./")) or line.endswith(".pub"):
        return f"a path is not a key; write what stands in the file: {form}"
    if any(word in _FIELDS for word in _BLANKS.split(line)):
        return f"what stands before the key does not end; is a quotation mark missing? {form}"
    words = [word for word in _BLANKS.split(line)[:2] if _TYPE.match(word) and "-" in word]
    return f"'{words[0]}' is not a key type; {form}" if words else f"this is not a public key; {form}"


def _check_blob(kind: str, blob: bytes) -> None:
    """Check a key against its type. Raises ValueError."""
    fields = _split(blob)
    inner = fields[0] if fields else b""
    if inner != kind.encode():
        shown = inner.decode("ascii", "replace")
        if fields and _TYPE.match(shown):
            raise ValueError(f"the line says {kind}, and the key in it is {shown}")
        raise ValueError(f"what stands behind {kind} is not a key; is it cut off?")
    if len(fields) != 1 + len(_FIELDS[kind]):
        raise ValueError(f"this {kind} is cut off, or more stands behind it")
    for field, is_right in zip(fields[1:], _FIELDS[kind], strict=True):
        if not is_right(field):
            raise ValueError(f"this {kind} is damaged" if kind != "ssh-rsa" else _rsa(fields))


def _rsa(fields: list[bytes]) -> str:
    bits = int.from_bytes(fields[2], "big").bit_length()
    return (
        f"a key of {bits} bits is too short; OpenSSH takes {RSA_MIN_BITS} and more"
        if bits
        else "it is damaged"
    )


def _split(blob: bytes) -> list[bytes]:
    """Return the parts of a key, each behind its length in four bytes (RFC 4251, 5); none where they do not fit."""
    found: list[bytes] = []
    at = 0
    while at < len(blob):
        end = at + 4 + int.from_bytes(blob[at : at + 4], "big")
        if at + 4 > len(blob) or end > len(blob):
            return found[:1]
        found.append(blob[at + 4 : end])
        at = end
    return found


def _any(field: bytes) -> bool:
    return bool(field)


def _of(length: int) -> Callable[[bytes], bool]:
    return lambda field: len(field) == length


def _curve(name: str) -> Callable[[bytes], bool]:
    return lambda field: field == name.encode()


def _modulus(field: bytes) -> bool:
    return int.from_bytes(field, "big").bit_length() >= RSA_MIN_BITS


_FIELDS: dict[str, tuple[Callable[[bytes], bool], ...]] = {
    "ssh-ed25519": (_of(32),),
    "ssh-rsa": (_any, _modulus),
    "ssh-dss": (_any, _any, _any, _any),
    "ecdsa-sha2-nistp256": (_curve("nistp256"), _of(65)),
    "ecdsa-sha2-nistp384": (_curve("nistp384"), _of(97)),
    "ecdsa-sha2-nistp521": (_curve("nistp521"), _of(133)),
    "sk-ssh-ed25519@openssh.com": (_of(32), _any),
    "sk-ecdsa-sha2-nistp256@openssh.com": (_curve("nistp256"), _of(65), _any),
}
"""Type -> what each part of its key behind the type must be (RFC 4253, 5656, 8709; OpenSSH's PROTOCOL.u2f)."""
