"""Accounts that are put into an image: names, passwords, keys."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from stalker.config.card.conversions import account_problem
from stalker.config.schema.card import KEY_LINES, USER
from stalker.config.schema.types import bind, values
from stalker.config.syntax.document import text_of
from stalker.model.card import SecretText, User

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stalker.config.card.values import CreationReader
    from stalker.config.syntax.document import Node

ROOT = "root"
OVERFLOW_UID = 65534
"""`nobody`; the number behind it stands for "no change" in old interfaces."""

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
    wrong = account_problem(name)
    if name and wrong:
        reader.report.problem(place, wrong)
    password = read_password(node.get("password"), reader)
    fields = values(node, USER, reader.report, without=("password",))
    uid = node.get("uid")
    if uid is not None and "uid" in fields:
        _check_uid(uid, name, reader)
    return None if wrong else User(name, place, password, **fields)


def _check_uid(node: Node, name: str, reader: CreationReader) -> None:
    if (node.value == 0) != (name == ROOT):
        reader.report.problem(node.place, "0 is the number of root, and of nobody else", "leave it out")
    elif node.value in {OVERFLOW_UID, OVERFLOW_UID + 1}:
        reader.report.problem(node.place, f"{node.value} is not a valid uid", "1000 and up are people's")


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
        found[name] = bind(child, KEY_LINES, reader.report) or ()
    return found
