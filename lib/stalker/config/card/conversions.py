"""Texts of an image's configuration as values: addresses, paths, names, checksums, modes.

Each function takes the text and raises ValueError, which says what is wrong with it.
"""

from __future__ import annotations

import codecs
import posixpath
import re
from dataclasses import replace
from urllib.parse import urlsplit

from stalker.config.artifacts.partitions import label_problem
from stalker.config.syntax.report import Invalid, did_you_mean
from stalker.formats.authorized_keys import public_keys
from stalker.formats.partition_table.extent import SECTOR_BYTES
from stalker.io.units import decimal_bytes
from stalker.model.card import DATA
from stalker.model.image_name import parse_image_name

DIGITS = {"md5": 32, "sha1": 40, "sha224": 56, "sha256": 64, "sha384": 96, "sha512": 128, "adler32": 8}
"""Algorithm and its number of hexadecimal digits."""

NAME_MAX_BYTES = 255
"""Of one name in a path, on ext4 and FAT alike."""

FIRMWARE_LINE_MAX = 98
"""Raspberry Pi documentation, config.txt, "File format"."""

LABEL_MAX, HOSTNAME_MAX = 63, 64
"""Of a part of the name (RFC 1123, 2.1), and of all of it (Linux's utsname)."""

SSID_MAX_BYTES = 32
"""IEEE 802.11-2020, 9.4.2.2."""

DOCKER_HUB = "docker.io"
"""Where docker looks for a name without a registry; of one word, below `library`."""

PARTITIONS = ("boot", "root", "data")

SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_ACCOUNT = re.compile(r"[a-z_][a-z0-9_-]{0,31}\Z")
_LABEL = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?\Z")
_COUNTRY = re.compile(r"[A-Za-z]{2}\Z")
_MODE = re.compile(r"[0-7]{3,5}\Z")
_OWNER = re.compile(r"(\d{1,10}):(\d{1,10})\Z")
_OWNER_MAX = 2**32 - 2


def checked_url(text: str) -> str:
    """Return an address that can be fetched, as written.

    Raises:
        ValueError: it is none of http, https or file; the text says why.
    """
    found = SCHEME.match(text)
    if found is None:
        shown = f"'{text}' is not an address" if text else "the address is empty"
        raise ValueError(f"{shown}; https://..., or file: with a path of this machine")
    if CONTROL.search(text):
        raise ValueError("an address cannot hold control characters")
    scheme = found[1].lower()
    if scheme not in {"http", "https", "file"}:
        raise ValueError(f"{scheme} addresses are not fetched; http, https or file")
    parts = urlsplit(text)  # raises ValueError for a broken [host]
    if scheme == "file":
        if parts.netloc not in {"", "localhost"} or len(parts.path) < 2:
            raise ValueError(
                f"'{text}' names no file: behind file:// stands a path from / on; "
                f"a relative one is written alone, as ./{text[len('file://') :] or 'x.img'}"
            )
        return text
    if not parts.hostname or (parts.port is not None and parts.port < 1):
        raise ValueError("the address names no server")
    return text


def algorithm_of(text: str) -> str:
    """Return the name of an algorithm without the dash: `SHA-256` is `sha256`. Raises ValueError."""
    name = text.strip().lower().replace("-", "").replace("_", "")
    if name not in DIGITS:
        raise ValueError(f"'{text}' is not a known checksum; {did_you_mean(name, DIGITS, 'known')}")
    return name


def path_below(text: str, root: str) -> str:
    """Return where a path leads below a directory: `/data/./a//b` below `/data` is `/a/b`, `/data` itself `/`.

    Raises:
        ValueError: it is relative, leads out of the directory, or holds what no path does; the text says so.
    """
    if not text.startswith("/"):
        hint = posixpath.normpath(posixpath.join(root, text))
        better = f"; did you mean {hint}?" if text and root != "/" and hint.startswith(root + "/") else ""
        raise ValueError(f"'{text}' is relative{better}")
    if CONTROL.search(text):
        raise ValueError("a path cannot hold control characters")
    path = posixpath.normpath("/" + text.lstrip("/"))
    inside = path if root == "/" else path.removeprefix(root)
    if root != "/" and (not path.startswith(root) or inside[:1] not in {"", "/"}):
        shown = f"'{text}'" if path == text else f"'{text}', which is {path},"
        raise ValueError(f"{shown} is not below {root}")
    if any(len(name.encode()) > NAME_MAX_BYTES for name in inside.split("/")):
        raise ValueError(f"a name in this path has more than {NAME_MAX_BYTES} bytes")
    return inside or "/"


def data_path(text: str) -> str:
    """Return where a path of the machine leads in the data partition. Raises ValueError."""
    return path_below(text, DATA)


def file_path(text: str) -> str:
    """Return the path of a file in a partition, normalised. Raises ValueError."""
    path = path_below(text, "/")
    if path == "/":
        raise Invalid("'/' is the partition itself", "name the file in it")
    return path


def partition_name(text: str) -> str:
    """Return boot, root, data, a number from 1, or `PARTLABEL=name`. Raises ValueError."""
    if text not in PARTITIONS and not re.fullmatch(r"[1-9]\d{0,2}|PARTLABEL=.{1,36}", text):
        hint = did_you_mean(text, PARTITIONS, "names")
        raise Invalid(f"'{text}' is not a partition", f"{hint}; or a number from 1, or PARTLABEL=name")
    return text


def data_label(text: str) -> str:
    """Return the label of the data partition. Raises ValueError."""
    what, hint = label_problem(text, "ext4")
    if what:
        raise Invalid(what, hint)
    return text


def raw_offset(text: str) -> int:
    """Return an offset in an image, in bytes. Raises ValueError when it is not that of a sector."""
    is_hexadecimal = re.fullmatch(r"0[xX][0-9a-fA-F]+", text)
    offset = int(text, 16) if is_hexadecimal else decimal_bytes(text)
    if offset % SECTOR_BYTES:
        raise Invalid(
            f"'{text}' is {offset} bytes, and not a multiple of {SECTOR_BYTES}", "8KiB is 8192, 8K is 8000"
        )
    return offset


def name_encoding(text: str) -> str:
    """Return the name of a code page that contains ASCII. Raises ValueError."""
    probe = rb"az09/.\x41+AGE-"
    try:
        is_known = codecs.lookup(text) and probe.decode(text) == probe.decode("ascii")
    except (LookupError, ValueError):
        is_known = False
    if not is_known:
        raise Invalid(f"'{text}' is not an encoding of names", "such as cp932, cp866, gbk, iso8859-1")
    return text


def known_size(text: str) -> int | None:
    """Return a size in bytes, None for the -1 of an unknown one."""
    return int(text) if int(text) >= 0 else None


def full_name(text: str) -> str:
    """Return the whole name of an image, `registry/name:tag[@digest]`, completed as docker does.

    Raises:
        ValueError: it is none; the text says why.
    """
    text = text.strip()
    if "://" in text:
        raise ValueError(
            f"'{text}' is an address; an image's name has no {text.partition('://')[0]}:// before it"
        )
    name = parse_image_name(text)
    return str(replace(name, tag=name.tag or "latest"))


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


def time_zone(text: str) -> str:
    """Return the name of a time zone, as in zoneinfo. Raises ValueError."""
    if not re.fullmatch(r"[A-Za-z0-9_+-]+(?:/[A-Za-z0-9_+-]+){0,2}", text):
        raise Invalid(f"'{text}' is not a time zone", "Area/City, as in Europe/Berlin")
    return text


def locale_name(text: str) -> str:
    """Return the name of a locale. Raises ValueError."""
    if not re.fullmatch(r"[A-Za-z]{1,8}(?:_[A-Z]{2})?(?:\.[A-Za-z0-9-]+)?(?:@[a-z]+)?", text):
        raise Invalid(f"'{text}' is not a locale", "language_COUNTRY.UTF-8, as in de_DE.UTF-8")
    return text


def keymap_name(text: str) -> str:
    """Return the name of a keyboard layout, with a variant after a dash. Raises ValueError."""
    if not re.fullmatch(r"[a-z]{2,12}(?:-[A-Za-z0-9_]+)*", text):
        raise Invalid(f"'{text}' is not a keyboard layout", "as in de, us, fr-latin9")
    return text


def firmware_line(text: str) -> str:
    """Return a line of config.txt. Raises ValueError."""
    if not text.isprintable() or not text.isascii() or not text.strip() or text.startswith("["):
        raise Invalid(
            f"{text!r} is not a line of config.txt", "key=value; each line of its own, without a filter"
        )
    if len(text) > FIRMWARE_LINE_MAX:
        raise Invalid(
            f"a line of {len(text)} characters",
            f"the firmware reads {FIRMWARE_LINE_MAX} of a line of config.txt",
        )
    return text.strip()


def country_code(text: str) -> str:
    """Return a country as ISO 3166-1 has it: two capital letters. Raises ValueError."""
    if text.upper() == "UK":
        raise ValueError("'UK' is not a country code of ISO 3166; did you mean GB?")
    if not _COUNTRY.match(text):
        raise ValueError(f"'{text}' is not a country code: two letters, such as DE, GB, FR")
    return text.upper()


def network_name(text: str) -> bytes:
    """Return the bytes of a Wi-Fi network's name. Raises ValueError."""
    ssid = text.encode()
    if not 1 <= len(ssid) <= SSID_MAX_BYTES:
        raise ValueError(f"a network's name has 1 to {SSID_MAX_BYTES} bytes, this {len(ssid)}")
    return ssid


def account_problem(name: str) -> str:
    """Return what is wrong with the name of an account or group, empty where nothing is."""
    if _ACCOUNT.match(name):
        return ""
    lower = name.lower()
    hint = f"; did you mean '{lower}'?" if _ACCOUNT.match(lower) else ""
    return f"'{name}' cannot name an account: a-z, 0-9, _ and -, not beginning with a digit or -, at most 32{hint}"


def group_names(text: str) -> tuple[str, ...]:
    """Return the groups of `sudo` or `sudo,video`. Raises ValueError."""
    found = tuple(name.strip() for name in text.split(","))
    wrong = next((problem for name in found if (problem := account_problem(name))), "")
    if wrong:
        raise ValueError(wrong.replace("an account", "a group"))
    return found


def account_path(text: str) -> str:
    """Return a path as /etc/passwd can hold it. Raises ValueError."""
    path = path_below(text, "/")
    if ":" in path:
        raise ValueError(f"'{text}' holds a colon, which separates the fields of /etc/passwd")
    if path == "/":
        raise ValueError("'/' is the whole system")
    return path


def key_lines(text: str) -> tuple[str, ...]:
    """Return the public keys of a text, a line each. Raises ValueError."""
    return tuple(public_keys(text))


def mode_bits(text: str) -> int:
    """Return permission bits of `0644`. Raises ValueError."""
    if not _MODE.match(text) or int(text, 8) > 0o7777:
        raise ValueError(f"'{text}' is not a mode: three or four digits of 0-7, like \"0644\"")
    return int(text, 8)


def owner(text: str) -> tuple[int, int]:
    """Return the numbers of `1000:1000`. Raises ValueError."""
    found = _OWNER.match(text)
    if found is None:
        raise ValueError(
            f"'{text}' is not an owner: two numbers, \"1000:1000\"; names are known to the image alone"
        )
    uid, gid = int(found[1]), int(found[2])
    if max(uid, gid) > _OWNER_MAX:
        raise ValueError(f"'{text}': a number is at most {_OWNER_MAX}")
    return uid, gid


def refused_mode(text: str) -> int:
    """Refuse a mode that is a number: without a zero before it, it may be decimal."""
    raise Invalid(f"{text} is decimal", f'write "0{text.lstrip("0")}"')
