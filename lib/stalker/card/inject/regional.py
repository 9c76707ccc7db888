"""Where a machine is used: its time zone, language and keyboard.

Sources: localtime(5), locale.conf(5), vconsole.conf(5), keyboard(5), Debian's tzdata and locales (`/etc/timezone`,
`/etc/default/locale`, `/etc/locale.gen`).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from stalker.errors import StalkerError

if TYPE_CHECKING:
    from stalker.card.inject.staged_changes import Draft

ZONES = "/usr/share/zoneinfo"
DEBIAN = "/etc/debian_version"
LOCALES = "/usr/lib/locale"
ARCHIVE = f"{LOCALES}/locale-archive"
ARCHIVE_READ_BYTES = 16 << 20
BUILT_IN = frozenset({"C", "POSIX", "C.UTF-8"})
KEYBOARD = "/etc/default/keyboard"
CONSOLE = "/etc/vconsole.conf"
KEYBOARD_TEXT = 'XKBMODEL="pc105"\nXKBLAYOUT=""\nXKBVARIANT=""\nXKBOPTIONS=""\nBACKSPACE="guess"\n'


def put_timezone(root: Draft, zone: str) -> list[str]:
    """Let /etc/localtime lead to a time zone that the image has. Raises StalkerError."""
    root.know([f"{ZONES}/{zone}", f"{ZONES}/UTC", "/etc/localtime", "/etc/timezone", DEBIAN])
    found = root.find(f"{ZONES}/{zone}")
    if found is None or found.kind != "file":
        has_zones = root.find(f"{ZONES}/UTC") is not None
        raise StalkerError(
            f"the image has no time zone '{zone}'",
            f"there is no {ZONES}/{zone}" if has_zones else f"it has no time zones: no {ZONES}",
            "a zone is Area/City, as in Europe/Berlin" if has_zones else "install tzdata in the base",
        )
    root.link("/etc/localtime", f"..{ZONES}/{zone}")
    if root.find("/etc/timezone") is not None or root.find(DEBIAN) is not None:
        root.write("/etc/timezone", f"{zone}\n".encode())
    return [f"time zone: {zone}"]


def put_locale(root: Draft, locale: str) -> list[str]:
    """Set the language of the system, and say where the image may not have it."""
    path = "/etc/default/locale" if root.first_file(["/etc/default/locale", DEBIAN]) else "/etc/locale.conf"
    text = _with_value(_text(root, path), "LANG", locale)
    root.folder(path.rpartition("/")[0], mode=0o755, uid=0, gid=0)
    root.write(path, text.encode("utf-8", "surrogateescape"))
    said = [f"locale: {locale} in {path}"]
    if _has_locale(root, locale):
        return said
    generated = _text(root, "/etc/locale.gen")
    if generated:
        name = re.escape(locale)
        line = f"{locale} {locale.partition('.')[2] or 'UTF-8'}"
        changed, count = re.subn(rf"(?m)^#?[ \t]*{name}[ \t]", f"{locale} ", generated)
        if not count:
            changed = f"{generated.rstrip()}\n{line}\n"
        root.write("/etc/locale.gen", changed.encode("utf-8", "surrogateescape"))
    remedy = (
        "run locale-gen on the machine, or in a step of the base" if generated else "install it in the base"
    )
    return [*said, f"warning: the image does not have the locale {locale} yet: {remedy}"]


def put_keymap(root: Draft, keymap: str) -> list[str]:
    """Set the keyboard of the console: that of Debian's console-setup, and systemd's."""
    root.know([KEYBOARD, CONSOLE, DEBIAN, "/etc"])
    layout, _, variant = keymap.partition("-")
    said = []
    if root.first_file([KEYBOARD, DEBIAN]):
        text = _text(root, KEYBOARD) or KEYBOARD_TEXT
        text = _with_value(_with_value(text, "XKBLAYOUT", f'"{layout}"'), "XKBVARIANT", f'"{variant}"')
        root.folder("/etc/default", mode=0o755, uid=0, gid=0)
        root.write(KEYBOARD, text.encode("utf-8", "surrogateescape"))
        said.append(f"keyboard: {keymap} in {KEYBOARD}")
    if not said or root.first_file([CONSOLE]):
        text = _with_value(_text(root, CONSOLE), "KEYMAP", keymap)
        root.write(CONSOLE, text.encode("utf-8", "surrogateescape"))
        said.append(f"keyboard: {keymap} in {CONSOLE}")
    return said


def _has_locale(root: Draft, locale: str) -> bool:
    """Return whether the image has a locale, as far as that can be seen."""
    language, dot, charset = locale.partition(".")
    compiled = f"{language}{dot}{charset.lower().replace('-', '')}"
    if locale in BUILT_IN or root.find(f"{LOCALES}/{compiled}") is not None:
        return True
    archive = root.find(ARCHIVE)
    if archive is None or archive.kind != "file":
        return False
    # An archive so large has the locales of all languages.
    return archive.size_bytes > ARCHIVE_READ_BYTES or compiled.encode() in (root.read(ARCHIVE) or b"")


def _text(root: Draft, path: str) -> str:
    return (root.read(path) or b"").decode("utf-8", "surrogateescape")


def _with_value(text: str, name: str, value: str) -> str:
    """Return a file of NAME=VALUE lines with a value, which takes the place of another; other lines stay."""
    line = f"{name}={value}"
    changed, count = re.subn(rf"(?m)^[ \t]*{name}=.*$", lambda _: line, text, count=1)
    if count:
        return changed
    return f"{text}{'' if not text or text.endswith(chr(10)) else chr(10)}{line}\n"
