"""The `git` program, called so that nothing of a repository is run on this host."""

from __future__ import annotations

import os
import re
from collections.abc import Generator, Iterable, Mapping, Sequence
from pathlib import Path

from stalker.errors import InputError
from stalker.fetch.base.subprocess_stream import program_output

PROTOCOLS = ("https", "http", "ssh", "git", "file")
SCP_STYLE = re.compile(r"[\w.-]+@[\w.-]+:(?!:)")

NO_ATTRIBUTES = "* -export-ignore -export-subst -filter -text -ident -eol -working-tree-encoding\n"
"""Attributes of a commit could leave files out, rewrite them, or run a filter of the user's configuration."""


def repository_address(address: str, workspace: Path) -> str:
    """Return what git is to fetch from, checked: git would run a program for some addresses. Raises InputError."""
    if "://" in address:
        scheme = address.partition("://")[0].lower()
        if scheme not in PROTOCOLS:
            raise InputError(
                f"a git repository cannot be fetched by {scheme}",
                f"allowed are {', '.join(PROTOCOLS)}",
                "use https or ssh",
            )
        return address
    if SCP_STYLE.match(address):
        return address
    path = workspace / address
    if not path.is_dir():
        raise InputError(
            f"there is no repository {path}", "it is neither a URL nor a directory", "correct the context"
        )
    return str(path.absolute())


def new_repository(directory: str, *, has_sha256: bool = False) -> None:
    """Make a bare repository in which attributes of commits have no effect."""
    kind = "sha256" if has_sha256 else "sha1"
    git(directory, "init", "--quiet", "--bare", f"--object-format={kind}", "--", directory)
    attributes = Path(directory, "info", "attributes")
    attributes.parent.mkdir(exist_ok=True)
    attributes.write_text(NO_ATTRIBUTES)


def git(
    directory: str,
    *arguments: str,
    headers: Iterable[tuple[str, str]] = (),
    environment: Mapping[str, str] | None = None,
) -> bytes:
    """Return the output of git on a bare repository. Raises InputError."""
    return b"".join(git_output(directory, *arguments, headers=headers, environment=environment))


def git_output(
    directory: str,
    *arguments: str,
    headers: Iterable[tuple[str, str]] = (),
    environment: Mapping[str, str] | None = None,
) -> Generator[bytes, None, None]:
    """Yield the output of git on a bare repository.

    `headers` are sent to a server that is asked; they are in the environment of git, not among its arguments,
    which other users see, and no redirect is followed with them. Raises InputError.
    """
    options = [("core.hooksPath", os.devnull), ("gc.auto", "0"), ("maintenance.auto", "false")]
    options += [("http.extraHeader", f"{name}: {value}") for name, value in headers]
    options += [("http.followRedirects", "false")] if headers else []
    return program_output(
        ["git", f"--git-dir={directory}", *arguments],
        what="the git repository could not be read",
        resolution="check its address and the commit, and that this user may read it",
        environment={**_environment(options), **(environment or {})},
    )


def _environment(options: Sequence[tuple[str, str]]) -> dict[str, str]:
    found = {
        "GIT_ALLOW_PROTOCOL": ":".join(PROTOCOLS),
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "true",
        "LC_ALL": "C",
        "GIT_SSH_COMMAND": os.environ.get("GIT_SSH_COMMAND", "ssh -oBatchMode=yes"),
        "GIT_CONFIG_COUNT": str(len(options)),
    }
    for number, (name, value) in enumerate(options):
        found[f"GIT_CONFIG_KEY_{number}"] = name
        found[f"GIT_CONFIG_VALUE_{number}"] = value
    return found
