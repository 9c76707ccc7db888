"""OpenPGP keys made for one test run, in a home of their own."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path


class KeyRing:
    """A private gpg home that makes keys and signs."""

    def __init__(self, home: Path) -> None:
        self.home = home
        home.mkdir(mode=0o700)

    def gpg(self, *arguments: str, data: bytes = b"", at: str = "") -> bytes:
        fake = ["--faked-system-time", at] if at else []
        return subprocess.run(
            ["gpg", "--batch", "--no-tty", "--quiet", "--yes", "--passphrase", "", *fake, *arguments],
            input=data,
            env={**os.environ, "GNUPGHOME": str(self.home)},
            capture_output=True,
            check=True,
        ).stdout

    def new(self, name: str, *, expires: str = "never", at: str = "", usage: str = "sign") -> str:
        """Make a key and return its full fingerprint."""
        self.gpg("--quick-generate-key", f"{name} <{name}@example.org>", "ed25519", usage, expires, at=at)
        return self.fingerprint(name)

    def fingerprint(self, name: str) -> str:
        listed = self.gpg("--with-colons", "--list-keys", f"<{name}@example.org>").decode()
        return next(line.split(":")[9] for line in listed.splitlines() if line.startswith("fpr:"))

    def public(self, name: str, target: Path, *, armor: bool = True) -> Path:
        target.write_bytes(self.gpg("--export", *(["--armor"] if armor else []), f"<{name}@example.org>"))
        return target

    def sign(self, name: str, data: bytes, target: Path, *form: str, at: str = "") -> Path:
        """Sign as `form` says (`--detach-sign`, `--clear-sign`, `--sign`, with `--armor`)."""
        how = form or ("--detach-sign", "--armor")
        signed = self.gpg("--local-user", f"<{name}@example.org>", *how, "--output", "-", data=data, at=at)
        target.write_bytes(signed)
        return target

    def close(self) -> None:
        subprocess.run(
            ["gpgconf", "--kill", "all"], env={**os.environ, "GNUPGHOME": str(self.home)}, check=False
        )
