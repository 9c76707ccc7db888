"""Accounts that are put into an image: names, passwords, keys."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from stalker.config.creation_keys import public_keys
from stalker.config.creation_reader import CreationReader, path_below
from stalker.config.document import is_true, items_of, text_of
from stalker.model.creation import SecretText, User

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stalker.config.document import Node

ROOT = "root"
OVERFLOW_UID = 65534
"""`nobody`; the number behind it stands for "no change" in old interfaces."""

_ACCOUNT = re.compile(r"[a-z_][a-z0-9_-]{0,31}\Z")
_CRYPT = r"[./0-9A-Za-z]"
_HASHES = (
    re.compile(rf"\$6\$(?:rounds=\d+\$)?[^$:\s]{{0,16}}\${_CRYPT}{{86}}\Z"),
    re.compile(rf"\$5\$(?:rounds=\d+\$)?[^$:\s]{{0,16}}\${_CRYPT}{{43}}\Z"),
    re.compile(rf"\$g?y\${_CRYPT}+\${_CRYPT}{{1,86}}\${_CRYPT}{{43}}\Z"),
    re.compile(rf"\$2[aby]\$\d\d\${_CRYPT}{{53}}\Z"),
)
"""SHA-512, SHA-256, yescrypt, bcrypt (crypt(5))."""

_HASH_BEGIN = re.compile(r"\$(?:6|5|y|gy|2[aby])\$")
_WEAK_HASH = re.compile(r"\$(?:1|md5|sha1|3)\$")
_LOCKED = frozenset({"*", "!", "!!", "x"})
_HOW = "{ env: NAME } or { file: path }; a hash is what `openssl passwd -6` prints"


def read_users(node: Node | None, reader: CreationReader) -> tuple[User, ...]:
    """Read `users`: a list, or a mapping of their names."""
    if node is None:
        return ()
    if isinstance(node.value, list):
        given = [(text_of(one.get("name")), one.get("name") or one, one) for one in node.value]
    else:
        given = [(name, one, one) for name, one in node.items()]
    found: dict[str, User] = {}
    numbers: dict[int, User] = {}
    for name, at, one in given:
        user = _read_user(name, at, one, reader)
        if user is None:
            continue
        if user.name in found:
            what = f"'{user.name}' is there twice; first in line {found[user.name].place.line}"
            reader.report.problem(user.place, what, "keep one")
            continue
        found[user.name] = user
        if user.uid is not None and numbers.setdefault(user.uid, user) is not user:
            uid = one.get("uid")
            assert uid is not None
            reader.report.problem(uid.place, f"'{numbers[user.uid].name}' has this number already", "")
    return tuple(found.values())


def _read_user(name: str, at: Node, node: Node, reader: CreationReader) -> User | None:
    if not isinstance(node.value, dict):
        return None
    place = at.key_place if at is node and isinstance(at.value, dict) else at.place
    is_name = bool(name) and account_problem(name) == ""
    if name and not is_name:
        reader.report.problem(place, account_problem(name))
    uid = _uid(node.get("uid"), name, reader)
    password = read_password(node.get("password"), reader)
    keys = read_keys(node.get("ssh_keys"), reader)
    groups = _groups(node.get("groups"), reader)
    shell, home = (_path(node.get(key), reader) for key in ("shell", "home"))
    if not is_name:
        return None
    return User(name, place, password, uid, groups, shell, home, keys, is_true(node.get("sudo")))


def account_problem(name: str) -> str:
    """Return what is wrong with the name of an account or group, empty where nothing is."""
    if _ACCOUNT.match(name):
        return ""
    lower = name.lower()
    hint = f"; did you mean '{lower}'?" if _ACCOUNT.match(lower) else ""
    return f"'{name}' cannot name an account: a-z, 0-9, _ and -, not beginning with a digit or -, at most 32{hint}"


def _uid(node: Node | None, name: str, reader: CreationReader) -> int | None:
    if node is None or isinstance(node.value, bool) or not isinstance(node.value, int):
        return None
    if (node.value == 0) != (name == ROOT):
        reader.report.problem(node.place, "0 is the number of root, and of nobody else", "leave it out")
    elif node.value in {OVERFLOW_UID, OVERFLOW_UID + 1}:
        reader.report.problem(node.place, f"{node.value} is no account's number", "1000 and up are people's")
    return node.value


def read_password(node: Node | None, reader: CreationReader) -> SecretText | None:
    """Read an account's password: where it is read, or its hash. What was written is never shown."""
    secret = reader.secret(node)
    if node is None or secret is None or secret.env or secret.path or isinstance(node.value, dict):
        return secret
    text = secret.text
    if any(form.match(text) for form in _HASHES):
        return secret
    if not text:
        what, hint = "the password is empty", "leave it out for an account that has none"
    elif text in _LOCKED:
        what, hint = "a locked account is one without a password", "leave it out"
    elif _HASH_BEGIN.match(text):
        what, hint = "this begins like a hash of a password and is none; is it cut off?", _HOW
    elif _WEAK_HASH.match(text):
        what, hint = "this hash is broken in minutes", "make one by `openssl passwd -6`"
    else:
        what = "a password in clear: configurations are shared, and write_config puts them on the card"
        hint = _HOW
    reader.report.problem(node.place, what, hint)
    return None


def _groups(node: Node | None, reader: CreationReader) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for child in items_of(node):
        if not isinstance(child.value, str):
            continue
        for name in child.text.split(","):
            wrong = account_problem(name.strip())
            if wrong:
                reader.report.problem(child.place, wrong.replace("an account", "a group"))
            found[name.strip()] = None
    return tuple(found)


def _path(node: Node | None, reader: CreationReader) -> str:
    return reader.told(node, _account_path) or ""


def _account_path(text: str) -> str:
    path = path_below(text, "/")
    if ":" in path:
        raise ValueError(f"'{text}' holds a colon, which separates the fields of /etc/passwd")
    if path == "/":
        raise ValueError("'/' is the whole system")
    return path


def read_keys(node: Node | None, reader: CreationReader) -> tuple[str, ...]:
    """Read public keys: a line, several in one text, or a list; each once."""
    found: dict[str, None] = {}
    for child in items_of(node):
        if isinstance(child.value, str):
            found.update(dict.fromkeys(reader.told(child, public_keys) or ()))
    return tuple(found)


def read_account_keys(
    node: Node | None, users: tuple[User, ...], reader: CreationReader
) -> Mapping[str, tuple[str, ...]]:
    """Read `ssh_keys`: name of an account -> its keys."""
    with_keys = {user.name: user for user in users if user.ssh_keys}
    found = {}
    for name, child in node.items() if node is not None else ():
        wrong = account_problem(name)
        if wrong:
            reader.report.problem(child.key_place, wrong)
        if name in with_keys:
            what = f"keys of '{name}' stand with the user, too (line {with_keys[name].place.line})"
            reader.report.problem(child.key_place, what, "put all of them there")
        found[name] = read_keys(child, reader)
    return found
