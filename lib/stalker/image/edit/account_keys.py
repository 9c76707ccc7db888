"""Public keys by which an account is logged in to: sshd(8), "AUTHORIZED_KEYS FILE FORMAT"."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from stalker.errors import StalkerError
from stalker.image.edit.account_files import AccountFiles

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from stalker.image.edit.account_files import Account
    from stalker.image.edit.draft import Draft

KEY = re.compile(
    r"(?:^|\s)((?:ssh|ecdsa|sk-ssh|sk-ecdsa)-[A-Za-z0-9@.-]+\s+AAAA[0-9A-Za-z+/]+={0,3})(?=\s|$)"
)
SERVERS = ("/usr/sbin/sshd", "/sbin/sshd", "/usr/bin/sshd", "/usr/sbin/dropbear", "/usr/bin/dropbear")
NO_HOME = ("/", "/nonexistent", "/dev/null", "/var/empty", "")


def put_keys(draft: Draft, keys: Mapping[str, Sequence[str]]) -> list[str]:
    """Add keys to accounts that are there, and return what was done, in words. Raises StalkerError."""
    files = AccountFiles(draft)
    said = []
    for name, lines in keys.items():
        account = files.account(name)
        if account is None:
            rows = [row for row in files.passwd.rows if len(row) > 6]
            known = ", ".join(row[0] for row in rows if not row[6].endswith(("nologin", "false", "sync")))
            raise StalkerError(
                f"the image has no account '{name}' to give keys to",
                f"it has {known}",
                "make it: injections.users",
            )
        said.append(add_keys(draft, account, lines))
    if said and not draft.first_file(SERVERS):
        said.append("the image has no SSH server: the keys wait for one")
    return said


def add_keys(draft: Draft, account: Account, lines: Sequence[str]) -> str:
    """Add keys to an account, each once, and return what was done.

    Raises:
        StalkerError: a line is no public key, or the account has no home.
    """
    name, uid, gid, home, _ = account
    if home in NO_HOME:
        raise StalkerError(f"{name} has no home to put keys in", f"/etc/passwd says {home or 'nothing'}", "")
    given = {_key(line, name): line.strip() for line in lines}
    folder = f"{home.rstrip('/')}/.ssh"
    path = f"{folder}/authorized_keys"
    draft.know([path])
    draft.folder(home, mode=0o700, uid=uid, gid=gid)
    made = draft.folder(folder, mode=0o700, uid=uid, gid=gid)
    before = draft.read(path)
    text = (before or b"").decode("utf-8", "surrogateescape")
    there = {" ".join(found[1].split()) for line in text.splitlines() if (found := KEY.search(line))}
    new = [line for key, line in given.items() if key not in there]
    if new or before is None:
        start = text if not text or text.endswith("\n") else f"{text}\n"
        content = (start + "".join(f"{line}\n" for line in new)).encode("utf-8", "surrogateescape")
        draft.write(path, content, mode=0o600, uid=uid, gid=gid)
    said = f"account {name}: {len(new)} key{'' if len(new) == 1 else 's'} added to {path}"
    if len(given) > len(new):
        said += f", {len(given) - len(new)} there already"
    above = draft.find(folder)
    if not made and above is not None and above.mode & 0o022:
        said += f"; {folder} has the mode {above.mode:04o}, which sshd refuses"
    return said


def _key(line: str, name: str) -> str:
    """Return the kind and the key itself of a line, which may have options and a comment around them."""
    if "PRIVATE KEY" in line:
        raise StalkerError(f"a key for {name} is a private one", "", "give the public one: it ends with .pub")
    found = KEY.search(line.strip())
    if found is None or not line.strip().isprintable():
        raise StalkerError(
            f"a key for {name} is no public key of SSH", "", "give a line as ssh-keygen writes to .pub"
        )
    return " ".join(found[1].split())
