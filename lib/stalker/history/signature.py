"""A published version signed as a whole: `SHA256SUMS` over its files, signed with an SSH key.

Source: ssh-keygen(1), "-Y sign" and ALLOWED SIGNERS. Without stalker it is verified with ssh-keygen and
sha256sum alone.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from typing import TYPE_CHECKING

from stalker.disk.checksums import sha256_of
from stalker.errors import NotGenuine, PlanError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

NAMESPACE = "stalker"
"""What a signature is for: one that was made for something else is not accepted."""

SUMS, SIGNATURE = "SHA256SUMS", "SHA256SUMS.sig"
TIMEOUT_S = 60.0

_LINE = re.compile(r"([0-9a-f]{64})  (.+)")


def sums_of(directory: Path, names: Iterable[str]) -> str:
    """Return the lines of SHA256SUMS for some files, sorted by name. Raises OSError."""
    return "".join(f"{sha256_of(directory / name)}  {name}\n" for name in sorted(names))


def files_in(directory: Path) -> list[str]:
    """Return the names of the files of a version, without those that sign it. Raises OSError."""
    found = (
        path.relative_to(directory)
        for path in directory.rglob("*")
        if path.is_file() and not path.is_symlink()
    )
    return [
        str(path) for path in found if str(path) not in {SUMS, SIGNATURE} and not path.name.startswith(".")
    ]


def sign(directory: Path, key: Path) -> None:
    """Write SHA256SUMS and its signature; `key` is a private key, or a public one whose agent has the other.

    Raises:
        PlanError: the key cannot sign, or ssh-keygen is missing. OSError.
    """
    names = files_in(directory)
    odd = next((name for name in names if {"\n", "\r", "\\"} & set(name)), "")
    if odd:
        raise PlanError(f"{directory}: {odd!r} is a name that SHA256SUMS cannot hold", "", "rename the file")
    (directory / SUMS).write_text(sums_of(directory, names), encoding="utf-8", errors="surrogateescape")
    (directory / SIGNATURE).unlink(missing_ok=True)
    done = _ssh_keygen(["-Y", "sign", "-q", "-n", NAMESPACE, "-f", str(key), str(directory / SUMS)])
    if done.returncode != 0:
        (directory / SUMS).unlink()
        raise PlanError(f"{key} cannot sign", _said(done), "give the private key, or one that ssh-agent has")


def verify(directory: Path, allowed: Path) -> tuple[str, int]:
    """Verify a version's signature and each of its files; return who signed it and how many files there are.

    Raises:
        NotGenuine: with what is wrong. PlanError: a file cannot be read, or ssh-keygen is missing.
    """
    try:
        sums = (directory / SUMS).read_bytes()
        allowed.read_bytes()
    except OSError as error:
        raise PlanError(f"{error.filename} cannot be read: {error.strerror}") from error
    signature = str(directory / SIGNATURE)
    found = _ssh_keygen(["-Y", "find-principals", "-s", signature, "-f", str(allowed)], sums)
    names = found.stdout.decode("utf-8", "replace").splitlines()
    if found.returncode != 0 or not names:
        raise NotGenuine(f"{directory}: not signed by a key in {allowed}", _said(found))
    call = ["-Y", "verify", "-q", "-f", str(allowed), "-I", names[0], "-n", NAMESPACE, "-s", signature]
    done = _ssh_keygen(call, sums)
    if done.returncode != 0:
        raise NotGenuine(f"{directory}: its signature is not valid", _said(done))
    listed = _listed(sums, directory)
    wrong = [f"{name}: {what}" for name, what in _differences(directory, listed)]
    if wrong:
        raise NotGenuine(f"{directory}: {len(wrong)} files are not those that were signed", "\n".join(wrong))
    return names[0], len(listed)


def _listed(sums: bytes, directory: Path) -> dict[str, str]:
    found = {}
    for line in sums.decode("utf-8", "surrogateescape").splitlines():
        match = _LINE.fullmatch(line)
        parts = match[2].split("/") if match else []
        if match is None or {"", ".", ".."} & set(parts):
            raise NotGenuine(f"{directory / SUMS} has a line that names no file", line)
        found[match[2]] = match[1]
    return found


def _differences(directory: Path, listed: dict[str, str]) -> Iterable[tuple[str, str]]:
    for name, digest in listed.items():
        path = directory / name
        if path.is_symlink() or not path.is_file():
            yield name, "is missing"
        elif sha256_of(path) != digest:
            yield name, "has another content"
    for name in files_in(directory):
        if name not in listed:
            yield name, "was added"


def _ssh_keygen(arguments: Sequence[str], stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    program = shutil.which("ssh-keygen")
    if program is None:
        raise PlanError(
            "ssh-keygen is missing",
            "signatures are made and verified by it",
            "apt-get install openssh-client",
        )
    try:
        return subprocess.run(
            [program, *arguments], input=stdin, capture_output=True, timeout=TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise PlanError(
            "ssh-keygen did not end", "", "give a key without a passphrase, or use ssh-agent"
        ) from error


def _said(done: subprocess.CompletedProcess[bytes]) -> str:
    return done.stderr.decode("utf-8", "replace").strip()
