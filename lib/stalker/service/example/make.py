"""Make the example: `python -m stalker.service.example.make DIRECTORY`.

    DIRECTORY/service.hjson
    DIRECTORY/initramfs/     a git repository; its image is the base of core
    DIRECTORY/core/          a git repository
    DIRECTORY/hook.secret    signs pushes; made once

What exists stays as it is.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
NAMES = ("initramfs", "core")


def make(directory: Path) -> None:
    """Write what is missing of the example."""
    directory.mkdir(parents=True, exist_ok=True)
    secret = directory / "hook.secret"
    if not secret.exists():
        descriptor = os.open(secret, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(f"{secrets.token_hex(32)}\n")
    configuration = directory / "service.hjson"
    if not configuration.exists():
        text = (HERE / "service.hjson").read_text(encoding="utf-8")
        configuration.write_text(text.replace("EXAMPLE", str(directory.absolute())), encoding="utf-8")
    for name in NAMES:
        if not (directory / name / ".git").exists():
            _make_repository(directory / name, secret)


def _make_repository(repository: Path, secret: Path) -> None:
    shutil.copytree(HERE / repository.name, repository, dirs_exist_ok=True)
    _git(repository, "init", "--quiet", "--initial-branch=main")
    _git(repository, "config", "stalker.hook", f"http://127.0.0.1:8520/build/{repository.name}/hook")
    _git(repository, "config", "stalker.secret", str(secret.absolute()))
    _git(repository, "config", "stalker.repository", f"example/{repository.name}")
    identity = ("-c", "user.name=example", "-c", "user.email=example@example.org")
    _git(repository, "add", "--all")
    _git(repository, *identity, "commit", "--quiet", "--message", "the first commit")
    hook = repository / ".git/hooks/post-commit"
    hook.parent.mkdir(exist_ok=True)
    shutil.copyfile(HERE / "post-commit", hook)
    hook.chmod(0o755)


def _git(repository: Path, *arguments: str) -> None:
    subprocess.run(["git", *arguments], cwd=repository, check=True)


if __name__ == "__main__":
    make(Path(sys.argv[1]))
