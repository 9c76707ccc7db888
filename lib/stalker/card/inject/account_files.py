"""The files of accounts: /etc/passwd, shadow, group and gshadow, changed line by line.

What is not changed stays byte for byte. Sources: passwd(5), shadow(5), group(5), gshadow(5).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from stalker.errors import StalkerError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stalker.card.inject.staged_changes import Draft

ACCOUNT_FILES = ("/etc/passwd", "/etc/group", "/etc/shadow", "/etc/gshadow")
FIRST_ID, LAST_ID = 1000, 59_999
"""Numbers of people, as login.defs(5) and Debian's policy have them."""


class Account(NamedTuple):
    """Who an account is."""

    name: str
    uid: int
    gid: int
    home: str
    shell: str


class Table:
    """Lines of fields with colons between them, found by their first one."""

    def __init__(self, content: bytes) -> None:
        self._lines = content.decode("utf-8", "surrogateescape").split("\n")
        if self._lines[-1] == "":
            self._lines.pop()

    @property
    def content(self) -> bytes:
        """The file."""
        return "".join(f"{line}\n" for line in self._lines).encode("utf-8", "surrogateescape")

    @property
    def rows(self) -> Iterator[list[str]]:
        """The fields of each line that names an account."""
        return (line.split(":") for line in self._lines if _names_somebody(line))

    def get(self, name: str) -> list[str] | None:
        """Return the fields of a line, None where there is none."""
        return next((row for row in self.rows if row[0] == name), None)

    def put(self, fields: list[str]) -> None:
        """Replace the line of that name, or add one: behind the others, before what asks a directory."""
        line = ":".join(fields)
        for place, old in enumerate(self._lines):
            if _names_somebody(old) and old.split(":")[0] == fields[0]:
                self._lines[place] = line
                return
        place = len(self._lines)
        while place and self._lines[place - 1].startswith(("+", "-")):
            place -= 1
        self._lines.insert(place, line)


class AccountFiles:
    """The accounts of an image. `write` puts what was changed into the draft."""

    def __init__(self, draft: Draft) -> None:
        self._draft = draft
        paths = {path.rpartition("/")[2]: path for path in ACCOUNT_FILES}
        draft.know(ACCOUNT_FILES)
        self._before = {name: draft.read(path) for name, path in paths.items()}
        self._paths = paths
        tables = {name: Table(content) for name, content in self._before.items() if content is not None}
        if "passwd" not in tables or "group" not in tables:
            raise StalkerError(
                "the image has no accounts: there is no /etc/passwd or no /etc/group",
                "",
                "take a base with a root file system",
            )
        self.passwd, self.group = tables["passwd"], tables["group"]
        self.shadow, self.gshadow = tables.get("shadow"), tables.get("gshadow")

    def write(self) -> None:
        """Put the files that were changed into the draft; each keeps mode and owner."""
        tables = {"passwd": self.passwd, "group": self.group, "shadow": self.shadow, "gshadow": self.gshadow}
        for name, table in tables.items():
            before = self._before[name]
            if table is not None and before is not None and table.content != Table(before).content:
                self._draft.write(self._paths[name], table.content)

    def account(self, name: str) -> Account | None:
        """Return who an account is, None where there is no such. Raises StalkerError for a line that is broken."""
        row = self.passwd.get(name)
        if row is None:
            return None
        if len(row) < 7 or not row[2].isdecimal() or not row[3].isdecimal():
            raise StalkerError(
                f"the line of {name} in /etc/passwd of the image is broken", "", "repair the base"
            )
        return Account(name, int(row[2]), int(row[3]), row[5], row[6])

    def edit(self, name: str, *, home: str, shell: str) -> None:
        """Change the home and the shell of an account that is there."""
        row = self.passwd.get(name)
        assert row is not None
        row[5:7] = [home, shell]
        self.passwd.put(row)

    def free_uid(self) -> int:
        """Return the first number that no account has, and no group where there is a choice."""
        users, groups = _numbers(self.passwd), _numbers(self.group)
        free = [uid for uid in range(FIRST_ID, LAST_ID + 1) if uid not in users]
        if not free:
            raise StalkerError("the image has no free number for an account", "", "give one: uid")
        return next((uid for uid in free if uid not in groups), free[0])

    def owner_of(self, uid: int) -> str:
        """Return the name of an account by its number, empty when it is free."""
        return next((row[0] for row in self.passwd.rows if len(row) > 2 and row[2] == str(uid)), "")

    def make_group(self, name: str, wanted: int) -> int:
        """Return the number of a group, which is made where it is not there, with the wanted one if that is free.

        Raises:
            StalkerError: it is a group of the system.
        """
        row = self.group.get(name)
        if row is not None:
            if len(row) < 3 or not row[2].isdecimal() or int(row[2]) < FIRST_ID:
                number = row[2] if len(row) > 2 else "none"
                raise StalkerError(
                    f"'{name}' is a group of the system", f"its number is {number}", "choose another name"
                )
            return int(row[2])
        taken = _numbers(self.group)
        gid = (
            wanted
            if wanted not in taken
            else next(one for one in range(FIRST_ID, 1 << 31) if one not in taken)
        )
        self.group.put([name, "x", str(gid), ""])
        if self.gshadow is not None:
            self.gshadow.put([name, "!", "", ""])
        return gid

    def join(self, name: str, group: str) -> None:
        """Make an account a member of a group that is there."""
        for table in (self.group, self.gshadow):
            row = table.get(group) if table is not None else None
            if table is None or row is None or len(row) < 4:
                continue
            members = [one for one in row[3].split(",") if one]
            if name not in members:
                row[3] = ",".join([*members, name])
                table.put(row)

    def has_password(self, name: str) -> bool:
        """Return whether an account has a password that is not locked."""
        row = (self.shadow or self.passwd).get(name)
        return row is not None and len(row) > 1 and row[1][:1] not in {"", "!", "*", "x"}

    def set_password(self, name: str, secret: str, day: int) -> None:
        """Set the field of an account's password; `day` is when that was, in days, 0 for unknown."""
        row = self.passwd.get(name)
        assert row is not None
        if self.shadow is None:
            row[1] = secret
            self.passwd.put(row)
            return
        if row[1] != "x":
            row[1] = "x"
            self.passwd.put(row)
        old = self.shadow.get(name) or [name, "", "", "0", "99999", "7", "", "", ""]
        # No day rather than 0, by which the first login asks for another password.
        old[1:3] = [secret, str(day) if day else ""]
        self.shadow.put(old)


def _names_somebody(line: str) -> bool:
    return ":" in line and not line.startswith(("#", "+", "-", ":"))


def _numbers(table: Table) -> set[int]:
    return {int(row[2]) for row in table.rows if len(row) > 2 and row[2].isdecimal()}
