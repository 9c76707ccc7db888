"""The files of a new workspace as values: what comes with stalker as it is, and a README, a CI file and more of `data/`."""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from json import loads
from pathlib import Path
from typing import TYPE_CHECKING

from stalker.config.shipped import shipped
from stalker.templates.table import LINKS

if TYPE_CHECKING:
    from stalker.templates.table import Template

DATA = Path(__file__).parent / "data"
DISTRIBUTION = "stalker-images"

CI_FILES = {
    "github": ".github/workflows/stalker.yml",
    "gitlab": ".gitlab-ci.yml",
    "woodpecker": ".woodpecker/stalker.yml",
}
"""Where each CI looks for its file."""

NO_SOURCE = "${STALKER:?is not set in the CI file}"


@dataclass(frozen=True, slots=True)
class NewFile:
    """A file to write, by its path in the workspace; with `link` a symbolic link to that."""

    path: str
    content: bytes = b""
    mode: int = 0o644
    link: str = ""


def workspace_files(template: Template, title: str, ci: str = "") -> list[NewFile]:
    """Return the files of a new workspace, sorted; `title` heads the README, `ci` is one of CI_FILES or empty."""
    found = [
        *(file for tree in template.trees for file in _shipped_files("trees", tree)),
        *(file for stalk in template.stalks for file in _shipped_files("stalks", stalk)),
        *(NewFile(name.rpartition("/")[2], (DATA / name).read_bytes()) for name in template.data),
        NewFile("sysroot/.gitkeep"),
        NewFile("README.md", _filled("README.md", _words(template, title)).encode()),
        NewFile(".gitignore", _filled("gitignore", _words(template, title)).encode()),
    ]
    if ci:
        found.append(NewFile(CI_FILES[ci], ci_text(template, ci, installed_from()).encode()))
    return sorted(found, key=lambda file: file.path)


def _shipped_files(kind: str, name: str) -> list[NewFile]:
    """Return the files below a directory of the shipped trees or stalks, links as links."""
    top = Path(shipped(kind)).parent
    found = [NewFile(path, link=link) for path, link in LINKS.items() if path.startswith(f"{kind}/{name}/")]
    for folder, folders, names in os.walk(top / kind / name):
        inside = {one: Path(folder, one).relative_to(top).as_posix() for one in (*folders, *names)}
        folders[:] = [one for one in folders if one != "__pycache__" and inside[one] not in LINKS]
        for one in names:
            if inside[one] not in LINKS:
                file = Path(folder, one)
                mode = 0o755 if file.stat().st_mode & 0o100 else 0o644
                found.append(NewFile(inside[one], _as_installed(file), mode))
    return found


def _as_installed(file: Path) -> bytes:
    """Return a file's content; comments of a checkout that say `./stalker` say `stalker`."""
    return file.read_bytes().replace(b"./stalker ", b"stalker ")


def _words(template: Template, title: str) -> dict[str, str]:
    commands = [*template.fetched, f"stalker check {template.checked}", *template.commands]
    return {
        "TITLE": title,
        "SUMMARY": template.summary,
        "COMMANDS": "\n".join(commands),
        "ABOUT": template.about,
        "IGNORED": "".join(f"{name}\n" for name in template.ignored),
    }


def ci_text(template: Template, ci: str, source: str) -> str:
    """Return the CI file of a workspace; `source` is what pip installs there, empty where that is not known."""
    is_root = ci != "github"
    prepared = [command if is_root else f"sudo sh -c '{command}'" for command in template.prepared]
    install = f'{"pip" if is_root else "pipx"} install "{NO_SOURCE}"'
    lines = {
        "INSTALL": [*prepared, install],
        "RUN": [*template.fetched, *template.commands],
    }
    text = (DATA / f"ci/{ci}.yml").read_text(encoding="utf-8")
    for name, commands in lines.items():
        (line,) = (one for one in text.splitlines(keepends=True) if f"@{name}@" in one)
        text = text.replace(line, "".join(line.replace(f"@{name}@", command) for command in commands))
    return text.replace("@CHECKED@", template.checked).replace("@STALKER@", source)


def _filled(name: str, words: dict[str, str]) -> str:
    text = (DATA / name).read_text(encoding="utf-8")
    for word, value in words.items():
        text = text.replace(f"@{word}@", value)
    return text


def installed_from() -> str:
    """Return what pip installed this stalker from, where another machine has it too; else empty.

    pip writes it down (PEP 610). A file of this machine is not for others.
    """
    try:
        noted = distribution(DISTRIBUTION).read_text("direct_url.json")
    except PackageNotFoundError:
        noted = None
    origin = loads(noted) if noted else {}
    url = str(origin.get("url", ""))
    if not url.startswith(("https://", "http://", "ssh://")):
        return ""
    version = origin.get("vcs_info")
    return f"{version['vcs']}+{url}@{version['commit_id']}" if version else url
