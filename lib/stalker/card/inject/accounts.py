"""Accounts of one machine: made, or changed in what is asked for and nothing else."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING

from stalker.card.inject.account_files import ACCOUNT_FILES, Account, AccountFiles
from stalker.card.inject.ssh_keys import SERVERS, add_keys
from stalker.errors import Attempts, StalkerError
from stalker.formats.sha512_crypt import begins_as_hash, hashed, is_hash
from stalker.model.card import DATA

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from stalker.card.inject.staged_changes import Draft
    from stalker.model.card import SecretText, User

    Secrets = Callable[[SecretText], str]

NAME = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
PATH = re.compile(r"(?:/(?!\.\.?(?:/|\Z))[^/\x00-\x1f\x7f:]{1,255})+")
LOCKED = "!"
SHELLS = ("/bin/bash", "/bin/ash", "/bin/sh")
NO_LOGIN = frozenset({"nologin", "false", "true", "sync", "shutdown", "halt"})
"""Programs that are a shell in /etc/passwd of those who do not log in."""

SUDO = ("/usr/bin/sudo", "/bin/sudo", "/usr/local/bin/sudo")
ADMINS = ("sudo", "wheel", "admin")
UID_MAX = (1 << 32) - 2
NOBODY = (65534, 65535)
SKELETON = (
    ".bashrc", ".bash_profile", ".bash_login", ".bash_logout", ".bash_aliases", ".profile", ".zshrc", ".zprofile",
    ".kshrc", ".mkshrc", ".cshrc", ".tcshrc", ".login", ".logout", ".inputrc", ".vimrc", ".nanorc", ".screenrc",
    ".tmux.conf", ".emacs", ".face", ".xinitrc", ".xsession", ".Xdefaults", ".Xresources", ".dmrc", ".hushlogin",
    ".gitconfig", ".netrc", ".selected_editor",
)  # fmt: skip
"""What systems have in /etc/skel: a directory cannot be listed, only asked for names."""

WIZARD = ("/usr/lib/systemd/system/userconfig.service", "/lib/systemd/system/userconfig.service")
"""The unit of Raspberry Pi OS that asks for a first account, and waits for it, before anything is shown."""


def put_users(
    draft: Draft, users: Sequence[User], secrets: Secrets, salt: Callable[[], str], day: int
) -> list[str]:
    """Make or change accounts in a root file system, and return what was done, in words.

    `day` is the day of now, counted from 1970, 0 for unknown.

    Raises:
        StalkerError: an invalid name, number, shell, group or password, or an image without accounts.
    """
    draft.know(_asked_for(users))
    files = AccountFiles(draft)
    said: list[str] = []
    attempts = Attempts()
    passwords: dict[str, str] = {}
    for user in users:
        with attempts.one():
            _check(draft, files, user)
        if user.password is not None:
            with attempts.one():
                passwords[user.name] = _password(user, secrets(user.password), salt)
            with attempts.one():
                _check_login(draft, files, user)
    attempts.check("things of accounts")
    for user in users:
        said += _change(draft, files, user) if files.passwd.get(user.name) else _make(draft, files, user)
        if user.name in passwords:
            files.set_password(user.name, passwords[user.name], day)
            said.append(f"account {user.name}: its password is set")
        for group in user.groups:
            files.join(user.name, group)
        if user.groups:
            said.append(f"account {user.name}: member of {', '.join(user.groups)}")
        if user.has_sudo:
            said.append(_allow_sudo(draft, files, user))
        if user.ssh_keys:
            account = files.account(user.name)
            assert account is not None
            said.append(add_keys(draft, account, user.ssh_keys))
    files.write()
    if draft.first_file(WIZARD) and not any(_can_log_in(files, user) for user in users):
        said += (
            ["the image's question for a first account stays: no account here can log in"] if users else []
        )
    elif draft.first_file(WIZARD):
        draft.link("/etc/systemd/system/userconfig.service", "/dev/null")
        said.append("the image's question for a first account is switched off: userconfig.service")
    return said


def _asked_for(users: Sequence[User]) -> list[str]:
    """Return what is going to be looked at, so that it is one question."""
    homes = [user.home or f"/home/{user.name}" for user in users if NAME.fullmatch(user.name)]
    shells = [user.shell for user in users if user.shell]
    wanted = [
        *ACCOUNT_FILES, *SHELLS, *SUDO, *WIZARD, *SERVERS, *shells, "/usr/bin/bash", "/usr/bin/sh",
        "/etc/login.defs", "/etc/sudoers", *(f"/etc/skel/{one}" for one in SKELETON),
        *(f"{home.rstrip('/')}/.ssh/authorized_keys" for home in homes),
    ]  # fmt: skip
    return [path for path in wanted if PATH.fullmatch(path)]


def _check(draft: Draft, files: AccountFiles, user: User) -> None:
    """Raise StalkerError for invalid accounts."""
    place = str(user.place)
    if not NAME.fullmatch(user.name):
        raise StalkerError(
            f"{user.name!r} cannot name an account",
            place,
            "a-z, 0-9, _ and -, not beginning with a digit or -, at most 32",
        )
    for what, path in (("shell", user.shell), ("home", user.home)):
        if path and not PATH.fullmatch(path):
            raise StalkerError(f"{user.name}: {path!r} cannot be a {what}", place, "give an absolute path")
    if user.shell:
        found = draft.find(user.shell)
        if found is None or found.kind != "file" or not found.mode & 0o111:
            why = "there is no such program in the image" if found is None else "it is not a program"
            raise StalkerError(
                f"{user.name}: {user.shell} cannot be a shell", f"{place}: {why}", _try_shell(draft)
            )
    for group in user.groups:
        if files.group.get(group) is None:
            names = [row[0] for row in files.group.rows]
            near = difflib.get_close_matches(group, names, 1)
            raise StalkerError(
                f"{user.name}: the image has no group '{group}'",
                f"{place}: it has {', '.join(sorted(names))}",
                f"did you mean '{near[0]}'?" if near else "leave it out",
            )
    if user.uid is not None:
        owner = files.owner_of(user.uid)
        if not 0 <= user.uid <= UID_MAX or user.uid in NOBODY:
            raise StalkerError(
                f"{user.name}: {user.uid} is not a valid uid", place, "1000 and up are people's"
            )
        if owner and owner != user.name:
            raise StalkerError(
                f"{user.name}: the number {user.uid} is {owner}'s", place, "choose another one"
            )


def _check_login(draft: Draft, files: AccountFiles, user: User) -> None:
    """Raise StalkerError for a password of an account that cannot log in with it."""
    old = files.account(user.name)
    shell, home = user.shell or (old.shell if old else ""), user.home or (old.home if old else "")
    why, remedy = "", ""
    if _is_no_login(shell):
        why, remedy = (
            f"its shell is {shell}, which ends at once",
            "give it one: shell; or choose another account",
        )
    elif old is not None and old.uid and home == old.home and draft.find(home) is None:
        why, remedy = f"its home {home} does not exist", "give it one: home; or choose another account"
    if why:
        raise StalkerError(f"{user.name} cannot be given a password", f"{user.place}: {why}", remedy)


def _is_no_login(shell: str) -> bool:
    return shell.rpartition("/")[2] in NO_LOGIN


def _can_log_in(files: AccountFiles, user: User) -> bool:
    """Return whether an account, as it is now, has a shell and a password or a key."""
    account = files.account(user.name)
    if account is None or _is_no_login(account.shell):
        return False
    return bool(user.ssh_keys) or files.has_password(user.name)


def _change(draft: Draft, files: AccountFiles, user: User) -> list[str]:
    """Change the home and shell of an account that is there; its number stays."""
    old = files.account(user.name)
    assert old is not None
    if user.uid is not None and old.uid != user.uid:
        raise StalkerError(
            f"{user.name} has the number {old.uid} in the image, and not {user.uid}",
            f"{user.place}: its files would be nobody's",
            "leave uid out, or choose another name",
        )
    new = old._replace(home=user.home or old.home, shell=user.shell or old.shell)
    if new == old:
        return [f"account {user.name}: it is there"]
    files.edit(user.name, home=new.home, shell=new.shell)
    said = []
    if new.shell != old.shell:
        said.append(f"account {user.name}: its shell is {new.shell}, it was {old.shell}")
    if new.home != old.home:
        said.append(f"account {user.name}: its home is {new.home}, it was {old.home}")
        said += _make_home(draft, new)
    return said


def _make(draft: Draft, files: AccountFiles, user: User) -> list[str]:
    """Make an account without a password yet, with a group of its own and a home."""
    uid = files.free_uid() if user.uid is None else user.uid
    if uid == 0:
        raise StalkerError(f"{user.name}: 0 is the number of root", str(user.place), "leave uid out")
    gid = files.make_group(user.name, uid)
    home = user.home or f"/home/{user.name}"
    shell = user.shell or draft.first_file(SHELLS)
    if not shell:
        raise StalkerError(
            f"{user.name}: the image has no shell", f"looked for {', '.join(SHELLS)}", "give one: shell"
        )
    files.passwd.put([user.name, "x", str(uid), str(gid), "", home, shell])
    files.set_password(user.name, LOCKED, 0)
    made = Account(user.name, uid, gid, home, shell)
    return [f"account {user.name}: made, number {uid}, group {gid}, {shell}", *_make_home(draft, made)]


def _make_home(draft: Draft, account: Account) -> list[str]:
    name, uid, gid, home, _ = account
    if not draft.folder(home, mode=_home_mode(draft), uid=uid, gid=gid):
        found = draft.find(home)
        assert found is not None
        owner = "" if found.uid == uid else f", and belongs to the number {found.uid}"
        return [f"account {name}: {home} is there{owner}"]
    draft.know(f"/etc/skel/{one}" for one in SKELETON)
    copied = []
    for one in SKELETON:
        found, content = draft.find(f"/etc/skel/{one}"), draft.read(f"/etc/skel/{one}")
        if found is not None and content is not None:
            draft.place(f"{draft.real(home)}/{one}", content, mode=found.mode, uid=uid, gid=gid)
            copied.append(one)
    said = f"account {name}: {home} made" + (f", with {', '.join(copied)}" if copied else "")
    hidden = home.startswith(f"{DATA}/")
    return [f"{said}; a partition that is mounted at {DATA} hides it" if hidden else said]


def _home_mode(draft: Draft) -> int:
    """Return the mode of a new home as login.defs(5) has it, 0700 where it says nothing."""
    told = re.search(rb"(?m)^\s*HOME_MODE\s+0?([0-7]{3,4})\s*$", draft.read("/etc/login.defs") or b"")
    return int(told[1], 8) if told else 0o700


def _password(user: User, text: str, salt: Callable[[], str]) -> str:
    """Return the hash of a password, or the text where it is one."""
    why = ""
    if is_hash(text):
        return text
    if not text:
        why = "it is empty"
    elif begins_as_hash(text):
        why = "it begins as a hash and is none that is whole and strong: openssl passwd -6 makes one"
    elif any(ord(letter) < 32 or ord(letter) == 127 for letter in text):
        why = "it holds a line break or another control character, which nobody can type"
    if why:
        raise StalkerError(
            f"the password of {user.name} cannot be used", f"{user.place}: {why}", "give another one"
        )
    return hashed(text.encode("utf-8", "surrogateescape"), salt())


def _allow_sudo(draft: Draft, files: AccountFiles, user: User) -> str:
    """Let an account become root: by a file of sudo's, or where that is not installed by a group."""
    sudoers = draft.read("/etc/sudoers") or b""
    if draft.first_file(SUDO) and re.search(rb"(?m)^[#@]includedir\s+/etc/sudoers\.d\s*$", sudoers):
        rule = f"{user.name} ALL=(ALL:ALL) NOPASSWD: ALL\n"
        draft.write(f"/etc/sudoers.d/{user.name}", rule.encode(), mode=0o440)
        return f"account {user.name}: may use sudo without a password"
    group = next((one for one in ADMINS if files.group.get(one)), "")
    why = "sudo is not installed" if not draft.first_file(SUDO) else "its sudo reads no /etc/sudoers.d"
    if not group:
        raise StalkerError(
            f"{user.name} cannot be allowed to use sudo",
            f"{user.place}: {why} in the image",
            "install it in the base",
        )
    files.join(user.name, group)
    return f"account {user.name}: member of {group}; {why} in the image, so that may not be enough"


def _try_shell(draft: Draft) -> str:
    there = draft.first_file(SHELLS)
    return f"the image has {there}" if there else "take one that is there"
