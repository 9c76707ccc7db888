"""What one machine has of its own, put into the file systems of its image: name, accounts, keys, Wi-Fi, files.

Files that are there are read, and given back whole, with what is asked for and nothing else changed. Nothing is
written here: `Stock.put` does that.
"""

from __future__ import annotations

import re
import secrets as randomness
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from stalker.card.inject.accounts import put_users
from stalker.card.inject.cloud_init import keep_injections
from stalker.card.inject.firmware_config import put_config_lines
from stalker.card.inject.hostname import put_hostname
from stalker.card.inject.regional import put_keymap, put_locale, put_timezone
from stalker.card.inject.ssh_keys import put_keys, server_words
from stalker.card.inject.staged_changes import Draft
from stalker.card.inject.wifi import put_wifi
from stalker.errors import Attempts, EngineError, Interrupted, NeedsRepair, StalkerError
from stalker.formats.sha512_crypt import LETTERS, SALT_MAX
from stalker.model.card import DATA, Injections

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from stalker.card.payload import Stock
    from stalker.formats.fs.entry import Editor
    from stalker.model.card import FetchedInjection, InjectedFile, SecretText

DAY_S = 86_400
LABELS = "/etc/selinux/config"
CHECKED = frozenset({"ext2", "ext3", "ext4", "vfat"})
"""File systems that a machine checks when it starts."""


class Editors(Protocol):
    """The file systems of an image by `boot`, `root`, `data`, or a number from 1."""

    def has(self, name: str) -> bool:
        """Return whether there is such a partition."""

    def of(self, name: str) -> Editor:
        """Return its file system, the same one for two names of it. Raises StalkerError."""


@dataclass(frozen=True, slots=True)
class Injected:
    """What is to be put into each file system, and what was done, in words without secrets."""

    stocks: Sequence[tuple[Editor, Stock]]
    said: Sequence[str]


class _Drafts:
    """A draft for each file system that is asked for."""

    def __init__(self, editors: Editors, mtime_s: int) -> None:
        self._editors = editors
        self._mtime_s = mtime_s
        self._drafts: dict[int, tuple[Editor, Draft]] = {}

    def of(self, name: str) -> Draft:
        editor = self._editors.of(name)
        return self._drafts.setdefault(id(editor), (editor, Draft(editor, mtime_s=self._mtime_s)))[1]

    def get(self, name: str) -> tuple[Draft | None, StalkerError | None]:
        """Return one that is of use where it can be changed, else why it cannot where there is one."""
        if not self._editors.has(name):
            return None, None
        try:
            return self.of(name), None
        except (EngineError, Interrupted, NeedsRepair):
            raise
        except StalkerError as error:
            return None, error

    def label_again(self) -> list[str]:
        """Have SELinux label all files when the machine starts: what was replaced has lost its label."""
        said = []
        for _, draft in self._drafts.values():
            config = (draft.read(LABELS) or b"") if draft.stock.parts else b""
            if re.search(rb"(?m)^SELINUX=(enforcing|permissive)\s*$", config):
                draft.write("/.autorelabel", b"")
                said.append("SELinux: all files get their labels again at the first start: /.autorelabel")
        return said

    def stocks(self) -> list[tuple[Editor, Stock]]:
        return [(editor, draft.stock) for editor, draft in self._drafts.values() if draft.stock.parts]


def inject(
    editors: Editors,
    injections: Injections,
    secrets: Callable[[SecretText], str],
    *,
    fetched: Mapping[FetchedInjection, Path] | None = None,
    data_device: str = "",
    data_filesystem: str = "ext4",
    mtime_s: int = 0,
    salt: Callable[[], str] | None = None,
) -> Injected:
    """Return what is to be put where.

    `secrets` reads what must not be shown. `fetched` has the paths of the files with a source. With
    `data_device` (`PARTUUID=...`) the image's fstab is given a line for the data partition. `mtime_s` is now; `salt` makes
    salts of passwords, at random by default.

    Raises:
        StalkerError: requests that are impossible, all of them.
    """
    drafts = _Drafts(editors, mtime_s)
    attempts = Attempts()
    said: list[str] = []
    if injections.hostname:
        with attempts.one():
            said += put_hostname(drafts.of("root"), injections.hostname)
    if injections.users:
        with attempts.one():
            day = mtime_s // DAY_S
            said += put_users(drafts.of("root"), injections.users, secrets, salt or _salt, day)
    if injections.ssh_keys:
        with attempts.one():
            said += put_keys(drafts.of("root"), injections.ssh_keys)
    if injections.ssh_keys or any(user.ssh_keys for user in injections.users):
        with attempts.one():
            said += server_words(drafts.of("root"))
    if injections.wifi or injections.country:
        with attempts.one():
            (root, refused), (boot, _) = drafts.get("root"), drafts.get("boot")
            wifi, country = injections.wifi, injections.country
            said += put_wifi(root, boot, wifi, country, secrets, refused=refused)
    for value, put in (
        (injections.timezone, put_timezone), (injections.locale, put_locale), (injections.keymap, put_keymap)
    ):  # fmt: skip
        if value:
            with attempts.one():
                said += put(drafts.of("root"), value)
    if injections.config_txt:
        with attempts.one():
            said += put_config_lines(drafts.of("boot"), injections.config_txt)
    for name in dict.fromkeys(file.partition for file in injections.files):
        draft, _ = drafts.get(name)  # what is wrong there is reported for each file
        if draft is not None:
            draft.know([LABELS, *(file.to for file in injections.files if file.partition == name)])
    for file in injections.files:
        with attempts.one():
            said += _put_file(drafts, file, (fetched or {}).get(file))
    if data_device:
        with attempts.one():
            said += _mount(drafts.of("root"), data_device, data_filesystem)
    if injections != Injections(
        ssh_keys=injections.ssh_keys, config_txt=injections.config_txt, raw=injections.raw
    ):
        with attempts.one():
            root, _ = drafts.get("root")
            if root is not None:
                said += keep_injections(root, lambda: drafts.get("boot")[0], injections)
    attempts.check("injections")
    said += drafts.label_again()
    return Injected(drafts.stocks(), said)


def mount_data(root: Editor, device: str, filesystem: str, *, mtime_s: int = 0) -> tuple[Stock, list[str]]:
    """Return what mounts the data partition at /data when the machine starts, and what that is in words.

    Raises:
        StalkerError: something else than a directory is at /data.
    """
    draft = Draft(root, mtime_s=mtime_s)
    said = _mount(draft, device, filesystem)
    return draft.stock, said


def _mount(root: Draft, device: str, filesystem: str) -> list[str]:
    root.know(["/etc/fstab", DATA])
    root.folder(DATA, mode=0o755, uid=0, gid=0)
    line = f"{device} {DATA} {filesystem} defaults,noatime,nofail 0 {2 if filesystem in CHECKED else 0}"
    text = (root.read("/etc/fstab") or b"").decode("utf-8", "surrogateescape")
    lines = text.split("\n")
    if lines[-1] == "":
        lines.pop()
    own = [at for at, one in enumerate(lines) if _mounted_at(one) == DATA]
    if own and lines[own[0]] == line:
        return [f"fstab: {DATA} is in it"]
    if own:
        lines[own[0]] = line
    else:
        lines.append(line)
    root.write("/etc/fstab", "".join(f"{one}\n" for one in lines).encode("utf-8", "surrogateescape"))
    return [f"fstab: {line}" + (f", in place of another line for {DATA}" if own else "")]


def _mounted_at(line: str) -> str:
    words = line.split()
    return words[1].rstrip("/") if len(words) > 1 and not words[0].startswith("#") else ""


def _put_file(drafts: _Drafts, file: InjectedFile, source: Path | None) -> list[str]:
    draft = drafts.of(file.partition)
    real = draft.real(file.to, follows_last=False)
    found = draft.at(real)
    if found is not None and found.kind not in {"file", "link"}:
        kind = "folder" if found.kind == "folder" else "device"
        raise StalkerError(
            f"{file.to} cannot be put into {file.partition}",
            f"{file.place}: a {kind} stands there",
            "name a file",
        )
    for above in _above(real):
        stands = draft.at(above)
        if stands is not None and stands.kind != "folder":
            raise StalkerError(
                f"{file.to} cannot be put into {file.partition}",
                f"{file.place}: {above} is not a folder",
                "name another path",
            )
    other = draft.other_spelling(real)
    if other:
        raise StalkerError(
            f"{file.to} cannot be put into {file.partition}",
            f"{file.place}: {other} is put there, and case does not count in a FAT",
            "name another path",
        )
    if source is not None:
        draft.copy(real, source, mode=file.mode, uid=file.uid, gid=file.gid)
    else:
        assert file.content is not None
        draft.place(real, file.content, mode=file.mode, uid=file.uid, gid=file.gid)
    said = f"file {file.to} of {file.partition}: mode {file.mode:04o}, owner {file.uid}:{file.gid}"
    if real != file.to:
        said += f", at {real}"
    if found is not None:
        said += f", in place of a {found.kind}"
    return [said]


def _above(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:end]) for end in range(2, len(parts))]


def _salt() -> str:
    return "".join(randomness.choice(LETTERS) for _ in range(SALT_MAX))
