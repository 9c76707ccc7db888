"""Image hygiene: what must not be in a root file system that many machines are made of.

Looks at the members as they pass to the artifact, keeps what it found and no content. A gate that found
something blocks publishing, unless the tree waives it with a reason.

Sources: systemd, "Building Images Safely" (what must not be the same on two machines); Debian Policy and
the packages' own documentation for where credentials are kept.
"""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from stalker.artifacts.gates.passwords import Account, guess, guess_in_toolbox, read_accounts
from stalker.artifacts.gates.secrets_in_files import (
    PLACES,
    find_credential,
    is_gnupg_key,
    may_hold_credentials,
)
from stalker.artifacts.gates.setuid_allowlist import is_usual
from stalker.io.units import size_text
from stalker.model.artifacts import GATES
from stalker.model.escaping import path_text
from stalker.rootfs.patterns import matcher

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from concurrent.futures import Future

    from stalker.artifacts.gates.passwords import Guessed
    from stalker.formats.tar.header import Header
    from stalker.model.artifacts import Gates

ENGINE_RESOLVER = "127.0.0.11"
"""Docker's own resolver, which is nowhere but in its networks."""

SHOWN_MAX = 100
"""Of one gate more findings than this are counted, not listed."""

HEAPS_MAX = 200
ACCOUNTS_MAX = 1000
"""A hostile image costs no more memory than this."""

ACCOUNT_FILES = frozenset((b"etc/passwd", b"etc/passwd-", b"etc/shadow", b"etc/shadow-"))
IDENTITIES = frozenset((b"etc/machine-id", b"var/lib/dbus/machine-id"))
NO_IDENTITY = frozenset((b"", b"uninitialized"))
RESOLVERS_FILE = b"etc/resolv.conf"

READ = ACCOUNT_FILES | IDENTITIES | {RESOLVERS_FILE}
BUILT_IN = (b"var/", b"root/", b"home/", b"usr/portage/")
LOOKED_AT = (b"etc/", b"srv/", b"boot/", b"efi/", *BUILT_IN)

_HOST_KEY = re.compile(rb"etc/(?:ssh/ssh_host_[^/]*_key|dropbear/dropbear_[^/]*_host_key)\Z")
_SEED = re.compile(
    rb"var/lib/systemd/(?:random-seed|credential\.secret)\Z|(?:boot|efi)/(?:.*/)?loader/random-seed\Z"
)

_is_leftover = matcher(
    (
        "/var/lib/apt/lists/**", "/var/cache/apt/*.bin", "/var/cache/apt/archives/**/*.deb",
        "/var/cache/apk/**", "/var/cache/dnf/**", "/var/cache/pacman/pkg/**",
        "/var/cache/distfiles/**", "/var/cache/binpkgs/**", "/usr/portage/distfiles/**", "/usr/portage/packages/**",
        "/var/tmp/portage/**",  # noqa: S108  of the image, not of this host
    )
)  # fmt: skip
_is_log = matcher(
    (
        "/var/log/**", "/root/.*_history", "/home/*/.*_history", "/root/.cache/**", "/home/*/.cache/**",
        "/root/.lesshst", "/home/*/.lesshst", "/root/.viminfo", "/home/*/.viminfo", "/root/.wget-hsts",
        "/home/*/.wget-hsts", "/var/crash/**",
    )
)  # fmt: skip


REMEDIES = {
    "ssh_host_keys": "rm -f /etc/ssh/ssh_host_*_key* in the last step, and make them when a machine first starts",
    "machine_id": "in the last step: : >/etc/machine-id; rm -f /var/lib/dbus/machine-id /var/lib/systemd/random-seed",
    "apt_leftovers": "remove them in the last step (plugin `cleanup`), or `exclude` them of the artifact",
    "logs": "remove them in the last step (plugin `cleanup`), or `exclude` them of the artifact",
    "clear_passwords": "give it to the machine when it first starts, or `exclude` it of the artifact",
    "default_passwords": "set a password of your own from a secret, or lock the account: passwd --lock NAME",
    "setuid": "chmod u-s,g-s, or put it on the artifact's list: gates: { setuid: [PATH] }",
    "resolv_conf": "`write` one in the artifact, or let the machine's network make it",
}


def name_servers(content: str) -> frozenset[str]:
    """Return the name servers of a resolv.conf."""
    words = [line.split() for line in content.splitlines()]
    return frozenset(one[1] for one in words if one[:1] == ["nameserver"] and len(one) > 1)


def resolvers_of_host(file: str = "/etc/resolv.conf") -> frozenset[str]:
    """Return the name servers that this host asks, without those that mean the host itself."""
    try:
        found = name_servers(Path(file).read_text(encoding="utf-8", errors="replace"))
    except OSError:
        return frozenset()
    return frozenset(one for one in found if not one.startswith("127.") and one != "::1")


@dataclass(frozen=True, slots=True)
class Finding:
    """What a gate found: where, what it is, what to do; `waived_by` is the tree's reason why it does not block."""

    gate: str
    path: str
    what: str
    remedy: str
    waived_by: str = ""

    @property
    def blocks(self) -> bool:
        """Return whether nothing may be published because of it."""
        return not self.waived_by


@dataclass(slots=True)
class _Heap:
    """Files of one directory that are too many to be listed one by one."""

    count: int = 0
    size_bytes: int = 0
    example: bytes = b""


@dataclass(slots=True)
class Hygiene:
    """Watches the members of an artifact for what must not be published; one for each artifact.

    `resolvers` are the addresses that the builder asks for names. `run` runs a program in the toolbox, for
    hashes that this host's library does not know; None where there is no toolbox.
    """

    gates: Gates
    resolvers: frozenset[str] = frozenset()
    run: Callable[[Sequence[str], Iterable[bytes]], bytes] | None = None
    _found: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    _counts: dict[str, int] = field(default_factory=dict)
    _heaps: dict[tuple[str, bytes], _Heap] = field(default_factory=dict)
    _hashes: set[tuple[str, bytes]] = field(default_factory=set)
    _guesses: list[Future[Guessed]] = field(default_factory=list)
    _pool: ThreadPoolExecutor | None = None

    def wants(self, header: Header) -> bool:
        """Return whether a file's content decides: accounts, identities, and where credentials are kept."""
        path = header.path
        return path.startswith(PLACES) and (path in READ or may_hold_credentials(path))

    def see(self, path: bytes, header: Header, content: bytes | None) -> None:
        """Look at one member."""
        is_special = header.mode & 0o6000
        # Most of an image is in /usr, and asked of there is nothing else.
        if (not is_special and not path.startswith(LOOKED_AT)) or not header.is_file:
            return
        if is_special:
            self._see_setuid(path, header)
        size_bytes = header.size if header.content is None else len(header.content)
        if not size_bytes:
            return
        if path.startswith(BUILT_IN):
            self._see_leftovers(path, size_bytes)
        if _HOST_KEY.match(path):
            self._tell("ssh_host_keys", path, "a host key: every machine would have the same")
        elif _SEED.match(path):
            self._tell("machine_id", path, "every machine would start from the same random numbers")
        elif is_gnupg_key(path):
            self._tell("clear_passwords", path, "a private key")
        if content is not None:
            self._see_content(path, content)

    def _see_setuid(self, path: bytes, header: Header) -> None:
        if is_usual(path) or path_text(path) in self.gates.setuid:
            return
        kind = "setuid" if header.mode & 0o4000 else "setgid"
        owner = header.uid if kind == "setuid" else header.gid
        self._tell("setuid", path, f"{kind}, mode {header.mode:04o}, of {owner}")

    def _see_leftovers(self, path: bytes, size_bytes: int) -> None:
        if _is_leftover(path) and not path.endswith(b"/lock"):
            gate = "apt_leftovers"
        elif _is_log(path):
            gate = "logs"
        else:
            return
        # One line for a directory: package lists alone are a hundred files.
        key = (gate, b"/".join(path.split(b"/")[:-1][:4]))
        if key not in self._heaps and len(self._heaps) >= HEAPS_MAX:
            key = (gate, b"")
        heap = self._heaps.setdefault(key, _Heap())
        heap.count += 1
        heap.size_bytes += size_bytes
        heap.example = heap.example or path

    def _see_content(self, path: bytes, content: bytes) -> None:
        if path in IDENTITIES and content.strip() not in NO_IDENTITY:
            self._tell("machine_id", path, "it is set: every machine would be the same one")
        elif path == RESOLVERS_FILE:
            own = sorted(
                name_servers(content.decode("utf-8", "replace")) & {*self.resolvers, ENGINE_RESOLVER}
            )
            if own:
                self._tell("resolv_conf", path, f"it names the builder's own: {', '.join(own)}")
        elif path in ACCOUNT_FILES:
            self._see_accounts(path, content)
        elif path.startswith(PLACES) and (what := find_credential(path, content)):
            self._tell("clear_passwords", path, what)

    def _see_accounts(self, path: bytes, content: bytes) -> None:
        to_try: list[Account] = []
        for account in read_accounts(path, content):
            if not account.field:
                self._tell("default_passwords", path, f"{account.name} has an empty password")
            elif account.is_locked:
                continue
            elif not account.is_hash:
                self._tell("clear_passwords", path, f"the password of {account.name} is not a hash")
            elif (account.name, account.field) not in self._hashes and len(self._hashes) < ACCOUNTS_MAX:
                self._hashes.add((account.name, account.field))
                to_try.append(account)
        if to_try:
            # A hash is slow by design: it is tried while the rest of the image passes by.
            self._pool = self._pool or ThreadPoolExecutor(1, "passwords")
            self._guesses.append(self._pool.submit(guess, to_try))

    def _tell(self, gate: str, path: bytes, what: str) -> None:
        self._counts[gate] = self._counts.get(gate, 0) + 1
        if self._counts[gate] <= SHOWN_MAX:
            self._found.setdefault(gate, []).append((path_text(path), what))

    def findings(self) -> tuple[Finding, ...]:
        """Return all that was found, by gate and path; to be asked once, when all members were seen."""
        self._try_passwords()
        for (gate, folder), heap in self._heaps.items():
            files = f"{heap.count} file{'s' if heap.count != 1 else ''}, {size_text(heap.size_bytes)}"
            place = heap.example if heap.count == 1 else folder
            self._tell(
                gate, place, files if heap.count == 1 else f"{files}, such as {path_text(heap.example)}"
            )
        waived = dict(self.gates.waived)
        found = []
        for gate in GATES:
            told = sorted(self._found.get(gate, ()))
            more = self._counts.get(gate, 0) - len(told)
            if more:
                told.append(("", f"and {more} more"))
            found += [Finding(gate, path, what, REMEDIES[gate], waived.get(gate, "")) for path, what in told]
        return tuple(found)

    def _try_passwords(self) -> None:
        known: dict[Account, str] = {}
        unknown: list[Account] = []
        for one in self._guesses:
            known |= one.result()[0]
            unknown += one.result()[1]
        if unknown and self.run is not None:
            known |= guess_in_toolbox(unknown, self.run)
            unknown = []
        for account, word in known.items():
            said = "an empty password" if not word else f"the password '{word}', which a stranger tries first"
            self._tell("default_passwords", account.file, f"{account.name} has {said}")
        for account in unknown:
            kind = path_text(account.field[:3])[1:]
            said = f"no libcrypt here knows the hash of {account.name} ({kind}...), so it was not tried"
            self._tell("default_passwords", account.file, said)
        self._guesses.clear()
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None
