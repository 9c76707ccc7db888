"""OpenPGP signatures, checked by gpg against full fingerprints and nothing else.

gpg works in a private home made for one check from the key files that the tree names, so the user's
own keyring and trust decide nothing and no key is ever fetched. What counts is gpg's status lines
(doc/DETAILS of GnuPG), which come over a pipe of their own; its exit code and texts count for nothing.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from stalker.errors import InputError, NotGenuine

_STATUS = b"[GNUPG:] "
_FULL = re.compile(r"[0-9A-F]{40}|[0-9A-F]{64}")
_REASONS = {
    "EXPSIG": "the signature has expired",
    "EXPKEYSIG": "the key that signed has expired",
    "REVKEYSIG": "the key that signed was revoked",
    "BADSIG": "the signature does not fit the data",
    "ERRSIG": "the signature cannot be checked",
    "NO_PUBKEY": "no key file holds the key that signed",
    "NODATA": "it holds no OpenPGP signature",
    "UNEXPECTED": "it is not an OpenPGP signature",
    "BADARMOR": "its ASCII armor is damaged",
}


@dataclass(frozen=True, slots=True)
class _Signature:
    """What gpg says of one signature: its verdict words and the fingerprints of a valid one."""

    words: tuple[str, ...]
    signer: str = ""
    primary: str = ""

    def is_good(self) -> bool:
        """VALIDSIG alone is next to EXPKEYSIG and REVKEYSIG too, so GOODSIG must be with it."""
        return "GOODSIG" in self.words and bool(self.primary) and not _BAD.intersection(self.words)


_BAD = frozenset({"EXPSIG", "EXPKEYSIG", "REVKEYSIG", "BADSIG", "ERRSIG", "NO_PUBKEY"})


def gpg_obstacle() -> str:
    """Return why no signature can be checked here, empty when gpg is there."""
    return "" if shutil.which("gpg") else "gpg is not installed: apt-get install gpg"


def full_fingerprint(text: str) -> str:
    """Return a fingerprint without spaces, upper case.

    Raises:
        InputError: it is not a full one. Short ids are forged at will.
    """
    plain = "".join(text.split()).upper().removeprefix("0X")
    if not _FULL.fullmatch(plain):
        raise InputError(
            f"{text!r} is not a full OpenPGP fingerprint",
            f"it has {len(plain)} digits; a full one has 40 (or 64) hexadecimal digits",
            "write the full fingerprint that the signer states: gpg --show-keys --with-fingerprint KEYFILE",
        )
    return plain


def is_inline(signature: Path) -> bool:
    """Return whether a signature file holds the signed text itself (clear-signed, or one message)."""
    with signature.open("rb") as file:
        head = file.read(4096)
    if b"-----BEGIN PGP" in head:
        return b"-----BEGIN PGP SIGNATURE-----" not in head or b"-----BEGIN PGP SIGNED MESSAGE-----" in head
    if not head or not head[0] & 0x80:
        return False
    tag = head[0] & 0x3F if head[0] & 0x40 else (head[0] >> 2) & 0x0F
    return tag in {4, 8, 11}  # one-pass signature, compressed data, literal data (RFC 9580, 5)


def verify_detached(
    what: str, data: Iterable[bytes], signature: Path, keys: Sequence[Path], fingerprints: Sequence[str]
) -> str:
    """Check that one of `fingerprints` signed `data`; return the primary key's fingerprint.

    `what` names the data in errors. All of `data` is read.

    Raises:
        InputError: nothing but a good signature of such a key, not expired and not revoked, passes.
    """
    with _home(keys, fingerprints) as (home, wanted):
        _check_not_empty(signature)
        status = _run(home, ["--verify", "--", str(signature), "-"], data)[0]
        return _judge(what, signature, status, wanted)


def verified_text(
    signature: Path, keys: Sequence[Path], fingerprints: Sequence[str], *, limit_bytes: int = 16 << 20
) -> bytes:
    """Return the text inside a signed message, once one of `fingerprints` is known to have signed it.

    Raises:
        InputError: as `verify_detached`, or the file is larger than a list of checksums can be.
    """
    with _home(keys, fingerprints) as (home, wanted):
        _check_not_empty(signature)
        if signature.stat().st_size > limit_bytes:
            raise InputError(
                f"{signature.name} is too large for a list of checksums",
                f"it has {signature.stat().st_size} bytes, at most {limit_bytes} are read",
                "name the detached signature of the file",
            )
        output = home / "text"
        arguments = ["--max-output", str(4 * limit_bytes), "--output", str(output), "--decrypt", "--"]
        status, _ = _run(home, [*arguments, str(signature)], ())
        if sum(words[0] == "PLAINTEXT" for words in status) != 1:
            raise _refused(signature.name, signature, "it does not hold exactly one signed text")
        _judge(signature.name, signature, status, wanted)
        return output.read_bytes()


def _judge(what: str, file: Path, status: list[list[str]], wanted: Sequence[str]) -> str:
    found = _signatures(status)
    if any("BADSIG" in one.words for one in found):
        raise _refused(what, file, _REASONS["BADSIG"], "the data or the signature was changed on its way")
    for one in found:
        if one.is_good() and one.primary in wanted:
            return one.primary
    others = [one for one in found if one.is_good()]
    if others:
        by = "\n".join(
            f"signed by {one.primary}" + (f" (subkey {one.signer})" if one.signer != one.primary else "")
            for one in others
        )
        raise _refused(what, file, "another key signed it", by + "\nwanted    " + "\n       or ".join(wanted))
    words = [word for one in found for word in one.words] or [line[0] for line in status]
    reasons = list(dict.fromkeys(_REASONS[word] for word in words if word in _REASONS))
    if "ERRSIG" in words and "NO_PUBKEY" in words:
        reasons.remove(_REASONS["ERRSIG"])
    raise _refused(what, file, "; ".join(reasons) or "gpg found no good signature")


def _signatures(status: list[list[str]]) -> list[_Signature]:
    """Group status lines by signature; each group starts with NEWSIG."""
    groups: list[list[list[str]]] = []
    for words in status:
        if words[0] == "NEWSIG":
            groups.append([])
        elif groups:
            groups[-1].append(words)
    found = []
    for lines in groups:
        valid = next((words for words in lines if words[0] == "VALIDSIG" and len(words) >= 11), None)
        found.append(
            _Signature(
                words=tuple(words[0] for words in lines),
                signer=valid[1] if valid else "",
                primary=valid[-1].upper() if valid else "",
            )
        )
    return found


@contextlib.contextmanager
def _home(keys: Sequence[Path], fingerprints: Sequence[str]) -> Iterator[tuple[Path, list[str]]]:
    """Make a gpg home that holds `keys` only; yield it and the checked fingerprints."""
    if not shutil.which("gpg"):
        raise InputError("signatures cannot be checked", "gpg is not installed", "apt-get install gpg")
    wanted = [full_fingerprint(text) for text in fingerprints]
    if not wanted:
        raise InputError(
            "a signature is given, but not who may sign",
            "no fingerprint is named",
            "write the signer's full fingerprint beside the signature",
        )
    for key in keys:
        if not key.is_file() or not key.stat().st_size:
            raise InputError(
                f"no key in {key}",
                "the file is missing or empty",
                "export it: gpg --armor --export FINGERPRINT",
            )
    with tempfile.TemporaryDirectory(prefix="stalker-gpg-", ignore_cleanup_errors=True) as folder:
        home = Path(folder)
        _run(home, ["--import", "--", *map(str, keys)], ())
        there = _primary_fingerprints(home)
        missing = [one for one in wanted if one not in there]
        if missing:
            raise InputError(
                f"no key file holds the key {missing[0]}",
                "the key files hold " + (", ".join(sorted(there)) or "no key"),
                "name the file that holds the key, and its primary key's full fingerprint",
            )
        yield home, wanted


def _primary_fingerprints(home: Path) -> set[str]:
    _, output = _run(home, ["--with-colons", "--fixed-list-mode", "--list-keys"], ())
    found, is_primary = set(), False
    for line in output.decode("utf-8", "replace").splitlines():
        fields = line.split(":")
        if fields[0] in {"pub", "sub"}:
            is_primary = fields[0] == "pub"
        elif fields[0] == "fpr" and is_primary:
            found.add(fields[9].upper())
    return found


def _run(home: Path, arguments: Sequence[str], data: Iterable[bytes]) -> tuple[list[list[str]], bytes]:
    """Run gpg in its private home with `data` on stdin; return its status lines and stdout."""
    options = ["--homedir", str(home), "--no-options", "--batch", "--no-tty", "--no-autostart"]
    options += ["--no-auto-key-retrieve", "--trust-model", "always", "--status-file", str(home / "status")]
    environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "HOME": str(home)}
    (home / "status").unlink(missing_ok=True)
    with (
        tempfile.TemporaryFile(dir=home) as output,
        subprocess.Popen(
            ["gpg", *options, *arguments],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.DEVNULL,
            env=environment,
        ) as process,
    ):
        assert process.stdin is not None
        try:
            _feed(process.stdin.write, data)
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()
        except BaseException:
            process.kill()
            with contextlib.suppress(OSError):
                process.stdin.close()
            raise
        process.wait()
        output.seek(0)
        text = output.read()
    lines = (home / "status").read_bytes().splitlines() if (home / "status").exists() else []
    status = [line.removeprefix(_STATUS).decode("utf-8", "replace").split() for line in lines]
    return [words for words in status if words], text


def _feed(write: Callable[[bytes], object], data: Iterable[bytes]) -> None:
    """Write all of `data`; read on when gpg stops listening, since the reader may count what it reads."""
    is_open = True
    for chunk in data:
        if is_open:
            try:
                write(chunk)
            except BrokenPipeError:
                is_open = False


def _check_not_empty(signature: Path) -> None:
    if not signature.is_file():
        raise InputError(f"no signature {signature}", "the file is not there", "check the path")
    if not signature.stat().st_size:
        raise _refused(signature.name, signature, "the signature is empty")


def _refused(what: str, signature: Path, reason: str, details: str = "") -> NotGenuine:
    return NotGenuine(
        f"{what}: {reason}",
        "\n".join(filter(None, [details, f"signature: {signature}"])),
        "do not use it; get the file, its signature and the key's fingerprint from the publisher again",
    )
