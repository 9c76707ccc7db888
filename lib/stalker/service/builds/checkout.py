"""The files of a pushed commit: a mirror of the repository, and a checkout for each build.

Git reads no configuration of the pushed repository, runs no hook and no filter of it, and never asks a question. A
link in the checkout that leads out of it is refused: reading it would read this machine.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from stalker.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from stalker.service.builds.places import ProjectPlaces

TIMEOUT_S = 900
_SAFE = (
    "-c",
    "core.hooksPath=/dev/null",
    "-c",
    "protocol.ext.allow=never",
    "-c",
    "gc.auto=0",
    "-c",
    "safe.directory=*",
)
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


def fetch(url: str, mirror: Path) -> None:
    """Bring all branches and tags of a repository into the mirror. Raises InputError."""
    if not (mirror / "HEAD").exists():
        mirror.mkdir(parents=True, exist_ok=True)
        _git(["init", "--quiet", "--bare", str(mirror)])
    refs = ("+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*")
    _git(["--git-dir", str(mirror), "fetch", "--quiet", "--no-tags", "--prune", "--", url, *refs])


def default_branch(url: str) -> str:
    """Return the whole ref that the repository's HEAD is, `refs/heads/main` where it does not say."""
    said = _git(["ls-remote", "--symref", "--", url, "HEAD"])
    found = re.search(r"^ref: (refs/heads/\S+)\tHEAD$", said, re.MULTILINE)
    return found[1] if found else "refs/heads/main"


def commit_of(mirror: Path, ref: str) -> str:
    """Return the commit of a whole ref of the mirror, empty when there is no such ref."""
    return _git(
        ["--git-dir", str(mirror), "rev-parse", "--quiet", "--verify", f"{ref}^{{commit}}"], fails=True
    )


def fetch_commit(url: str, mirror: Path, commit: str) -> str:
    """Return the commit behind an id, fetching it by itself where no ref leads to it any more. Raises InputError."""
    if not _COMMIT.fullmatch(commit):
        raise InputError(f"'{commit}' is not a commit")
    if not commit_of(mirror, commit):
        _git(["--git-dir", str(mirror), "fetch", "--quiet", "--no-tags", "--", url, commit])
    return commit_of(mirror, commit)


def export(mirror: Path, commit: str, project: ProjectPlaces, target: Path) -> None:
    """Write the files of a commit to `target`, with the kept directories of the project in it.

    Raises:
        InputError: git failed, or a link leads out of the checkout.
    """
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    index = target.with_name("index")
    index.unlink(missing_ok=True)
    where = ["--git-dir", str(mirror), "--work-tree", str(target), "-c", "core.bare=false"]
    _git([*where, "checkout", "--quiet", "--force", commit, "--", "."], {"GIT_INDEX_FILE": str(index)})
    index.unlink(missing_ok=True)
    refuse_links_outside(target)
    for kept in project.kept:
        kept.mkdir(parents=True, exist_ok=True)
        if not os.path.lexists(target / kept.name):
            (target / kept.name).symlink_to(kept)


def refuse_links_outside(root: Path) -> None:
    """Raise InputError when a symbolic link below `root` leads out of it."""
    real = os.path.realpath(root)
    outside = [
        f"{path.relative_to(root)} -> {path.readlink()}"
        for path in _links(root)
        if os.path.commonpath([real, os.path.realpath(path)]) != real
    ]
    if outside:
        raise InputError(
            "the commit has links that lead out of the repository",
            "\n".join(sorted(outside)[:20]),
            "put the files into the repository",
        )


def _links(root: Path) -> Iterable[Path]:
    for directory, names, files in os.walk(root):
        for name in (*names, *files):
            path = Path(directory, name)
            if path.is_symlink():
                yield path


def _git(arguments: Sequence[str], more: dict[str, str] | None = None, *, fails: bool = False) -> str:
    """Run git; return its output, empty where it fails and `fails` allows that. Raises InputError."""
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": os.environ.get("HOME", "/"),
        "LC_ALL": "C",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "true",
        "GIT_SSH_COMMAND": os.environ.get("GIT_SSH_COMMAND", "ssh -oBatchMode=yes"),
        "GIT_LFS_SKIP_SMUDGE": "1",
        **(more or {}),
    }
    try:
        done = subprocess.run(
            ["git", *_SAFE, *arguments],
            env=environment,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=TIMEOUT_S,
            stdin=subprocess.DEVNULL,
        )
    except FileNotFoundError as error:
        raise InputError("git is not installed", "", "apt-get install git") from error
    except subprocess.TimeoutExpired as error:
        raise InputError(f"git {arguments[0]} took longer than {TIMEOUT_S} s") from error
    if done.returncode == 0:
        return done.stdout.strip()
    if fails:
        return ""
    verb = next((word for word in arguments if word in {"fetch", "checkout", "ls-remote", "init"}), "")
    raise InputError(f"git {verb} failed with exit code {done.returncode}", done.stderr.strip()[-2000:])
