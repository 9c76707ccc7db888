"""Public keys by which an account is logged in to: sshd(8), "AUTHORIZED_KEYS FILE FORMAT"."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stalker.card.inject.account_files import AccountFiles
from stalker.errors import StalkerError
from stalker.formats.authorized_keys import key_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from stalker.card.inject.account_files import Account
    from stalker.card.inject.staged_changes import Draft

SERVERS = ("/usr/sbin/sshd", "/sbin/sshd", "/usr/bin/sshd", "/usr/sbin/dropbear", "/usr/bin/dropbear")
STARTS = (
    "/etc/systemd/system/multi-user.target.wants/ssh.service",
    "/etc/systemd/system/multi-user.target.wants/sshd.service",
    "/etc/systemd/system/multi-user.target.wants/dropbear.service",
    "/etc/systemd/system/sockets.target.wants/ssh.socket",
    "/etc/systemd/system/sockets.target.wants/sshd.socket",
    "/etc/systemd/system/ssh.service.requires/ssh.socket",
    "/etc/runlevels/default/sshd",
    "/etc/runlevels/default/dropbear",
    "/etc/rc2.d/S01ssh",
    "/etc/rc2.d/S02ssh",
    "/etc/rc2.d/S01dropbear",
    "/etc/init.d/S50sshd",
    "/etc/init.d/S50dropbear",
)
"""What is there when a server is started: of systemd, OpenRC, System V and Buildroot."""

SWITCH = ("/usr/lib/systemd/system/sshswitch.service", "/lib/systemd/system/sshswitch.service")
"""The unit of Raspberry Pi OS that starts the server when the boot partition says so."""

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
    return said


def server_words(draft: Draft) -> list[str]:
    """Return a warning about keys: that there is no server, or that nothing starts it."""
    draft.know([*SERVERS, *STARTS, *SWITCH])
    if not draft.first_file(SERVERS):
        return ["SSH: the image has no server, the keys wait for one"]
    if any(draft.at(path) is not None for path in STARTS):
        return []
    if draft.first_file(SWITCH):
        return ["SSH: the server is off until there is a file 'ssh' on the boot partition (injections.files)"]
    return ["SSH: nothing was found that starts the server"]


def add_keys(draft: Draft, account: Account, lines: Sequence[str]) -> str:
    """Add keys to an account, each once, and return what was done.

    Raises:
        StalkerError: a line is not a public key, or the account has no home.
    """
    name, uid, gid, home, _ = account
    if home in NO_HOME:
        raise StalkerError(f"{name} has no home to put keys in", f"/etc/passwd says {home or 'nothing'}", "")
    given: dict[str, str] = {}
    for line in lines:
        given.setdefault(_key(line, name), line.strip())  # of two lines with a key sshd takes the first
    folder = f"{home.rstrip('/')}/.ssh"
    path = f"{folder}/authorized_keys"
    draft.know([path])
    draft.folder(home, mode=0o700, uid=uid, gid=gid)
    made = draft.folder(folder, mode=0o700, uid=uid, gid=gid)
    before = draft.read(path)
    text = (before or b"").decode("utf-8", "surrogateescape")
    there = {key_of(line) for line in text.split("\n")}
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
    key = key_of(line)
    if not key or not line.strip().isprintable():
        raise StalkerError(
            f"a key for {name} is not an SSH public key", "", "give a line as ssh-keygen writes to .pub"
        )
    return key
