"""The shortest way to "nothing to do".

When a run of a tree had nothing to do, it notes what that rested on: what was seen of each file, and
which image each name pointed at. The next run of the same tree looks whether all of that still is so,
asking the engine once. If it is, there is nothing to do again; the journal it writes is the last one
at another time. If anything differs, or the note cannot be read, the long way is gone: images decide
in any case, the note only says which to look at.

Everything here is written to import little: a fully cached `docker build` takes 0.09 s, and that is
what a user compares with.
"""

# os.path is several times faster than pathlib.
# ruff: noqa: PTH100, PTH103, PTH105, PTH111, PTH114, PTH116, PTH118, PTH120, PTH123, PTH211

from __future__ import annotations

import hashlib
import json
import marshal
import os
import sys
import time

import stalker
from stalker.config.evidence import is_same
from stalker.config.locate import find_tree
from stalker.engine import wire
from stalker.errors import NotThere, StalkerError
from stalker.model.labels import CONTAINER, RUN, VERSION
from stalker.run.owner import is_left_over, new_run_id

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from stalker.config.evidence import Sight

MAGIC = b"stalker unchanged 4\n"

VARIABLES = (
    "DOCKER_HOST",
    "DOCKER_CONTEXT",
    "DOCKER_CONFIG",
    "DOCKER_TLS_VERIFY",
    "DOCKER_CERT_PATH",
    "XDG_RUNTIME_DIR",
    "HOME",
    "SOURCE_DATE_EPOCH",
)

HARMLESS = {
    "-q",
    "--quiet",
    "-k",
    "--keep-going",
    "--wait",
    "-y",
    "--yes",
    "--watch-stdout",
    "--watch_stdout",
}
"""Options that change nothing for a run with nothing to do, except that `--quiet` says nothing."""


def run_unchanged(argv: list[str], environ: Mapping[str, str]) -> bool:
    """Do a run that has nothing to do; False when it may have, and nothing was done or said."""
    began_s = time.time()
    asked = _asked(argv)
    if asked is None:
        return False
    config, workspace, is_quiet = asked
    note = _read(_note_path(config, workspace, environ))
    if note is None or not _holds(note, environ):
        return False
    try:
        _write_journal(note, new_run_id(began_s), began_s, argv)
    except OSError:
        return False
    if not is_quiet:
        print(f"{note['said']} ({time.time() - began_s:.1f} s)", file=sys.stderr)
    return True


def note_unchanged(
    config: str,
    workspace: str,
    environ: Mapping[str, str],
    *,
    evidence: dict[str, Sight],
    images: dict[str, str],
    bases: dict[str, tuple[str, list[str]]],
    address: wire.Address,
    said: str,
    log_dir: str,
    journal: str,
) -> None:
    """Note what "nothing to do" rested on.

    `images` maps names to the ids of images with our labels. `bases` has what the engine is asked for one by
    one: names, each with an id, empty for one that is not there, and the other names that its image has. `said` is what such a run says. `journal` is the text of the run's journal. Raises OSError.
    """
    note = {
        "evidence": evidence,
        "images": images,
        "bases": bases,
        "address": address.url,
        "answer": address.answer,
        "environ": [environ.get(name, "") for name in VARIABLES],
        "docker_config": _stat(_docker_config(environ)),
        "said": said,
        "log_dir": log_dir,
        "journal": journal,
    }
    payload = marshal.dumps(note)
    path = _note_path(config, workspace, environ)
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    temporary = f"{path}.{os.getpid()}"
    with open(temporary, "wb") as stream:
        stream.write(MAGIC + hashlib.sha256(payload).digest() + payload)
    os.replace(temporary, path)


def _asked(argv: list[str]) -> tuple[str, str, bool] | None:
    """Return tree, workspace and whether to be quiet; None when more than a plain run was asked for."""
    config = ""
    workspace = "."
    is_quiet = False
    words = iter(argv)
    for word in words:
        if word in {"run", "--config"} and not config:
            config = next(words, "")
        elif word == "--workspace":
            workspace = next(words, "")
        elif word in {"-j", "--jobs"}:
            jobs = next(words, "")
            if not jobs.isdecimal() or int(jobs) < 1:
                return None
        elif word in HARMLESS:
            is_quiet = is_quiet or word in {"-q", "--quiet"}
        else:
            return None
    if not config or config.startswith("-") or not workspace:
        return None
    return config, os.path.abspath(workspace), is_quiet


def _note_path(config: str, workspace: str, environ: Mapping[str, str]) -> str:
    root = environ.get("XDG_CACHE_HOME", "")
    folder = root if root.startswith("/") else os.path.expanduser("~/.cache")
    # Which file a name means depends on the current folder too.
    fields = [
        find_tree(config, workspace) or config,
        workspace,
        stalker.__version__,
        sys.version,
        str(_code()),
    ]
    framed = b"".join(b"%d:%s" % (len(data), data) for data in map(os.fsencode, fields))
    return os.path.join(folder, "stalker", "unchanged", hashlib.sha256(framed).hexdigest())


def _code() -> int:
    """Tell apart states of the code that decides what is to do: a checkout changes without a version."""
    root = os.path.dirname(os.path.abspath(stalker.__file__))
    newest = 0
    for folder in ("config", "model", "plan", "image", "cli"):
        with os.scandir(os.path.join(root, folder)) as listing:
            newest = max([newest, *(e.stat().st_mtime_ns for e in listing if e.name.endswith(".py"))])
    return newest


def _read(path: str) -> dict[str, object] | None:
    try:
        with open(path, "rb") as stream:
            owner = os.fstat(stream.fileno())
            if owner.st_uid != os.getuid() or owner.st_mode & 0o022:
                return None
            data = stream.read()
    except OSError:
        return None
    head = len(MAGIC) + 32
    if data[: len(MAGIC)] != MAGIC or hashlib.sha256(data[head:]).digest() != data[len(MAGIC) : head]:
        return None
    # Our own file, whole by its digest; pickle would take 8 ms to import.
    found: dict[str, object] = marshal.loads(data[head:])  # noqa: S302
    return found


def _holds(note: dict[str, object], environ: Mapping[str, str]) -> bool:
    """Say whether all that the note rests on still is so."""
    same_place = note["environ"] == [environ.get(name, "") for name in VARIABLES]
    if not same_place or note["docker_config"] != _stat(_docker_config(environ)):
        return False
    if not is_same(note["evidence"]):  # type: ignore[arg-type]
        return False
    address = wire.Address(str(note["address"]))
    address.answer = note["answer"]  # type: ignore[assignment]
    wanted: dict[str, str] = note["images"]  # type: ignore[assignment]
    bases: dict[str, tuple[str, list[str]]] = note["bases"]  # type: ignore[assignment]
    try:
        if any(is_left_over(item["Labels"].get(RUN, ""), item["State"]) for item in _containers(address)):
            return False  # what a killed run left has to be removed
        there = dict(_named(address, wanted))
        return all(there.get(name) == image for name, image in wanted.items()) and all(
            _is_named(address, name, image, names) for name, (image, names) in bases.items()
        )
    except StalkerError:
        return False


def _named(address: wire.Address, wanted: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield name and id of the images in the repositories of some names.

    A store of containerd takes a millisecond for each layer of each image that it lists, so no others are listed.
    """
    filters = {"label": [VERSION]}
    if not wire.is_podman(address):
        filters["reference"] = sorted({name.rpartition(":")[0] for name in wanted})
    for item in wire.get_json(address, "/images/json", {"filters": json.dumps(filters)}):
        for name in _names_of(address, item):
            yield name, wire.image_id(item["Id"])


def _is_named(address: wire.Address, name: str, image: str, names: list[str]) -> bool:
    """Say whether an image without our labels still has its names, or a name still none."""
    try:
        found = wire.get_json(address, f"/images/{name}/json", {})
    except NotThere:
        return not image
    return wire.image_id(found["Id"]) == image and set(names).issubset(_names_of(address, found))


def _names_of(address: wire.Address, item: dict[str, Any]) -> list[str]:
    names = item.get("RepoTags") or []
    return list(map(wire.docker_name, names)) if wire.is_podman(address) else names


def _containers(address: wire.Address) -> list[dict[str, Any]]:
    query = {"all": "1", "filters": json.dumps({"label": [f"{VERSION}={CONTAINER}"]})}
    found: list[dict[str, Any]] = wire.get_json(address, "/containers/json", query)
    return found


def _write_journal(note: dict[str, object], run: str, began_s: float, argv: list[str]) -> None:
    """Write the last journal again under this run's name, at this run's time."""
    log_dir = str(note["log_dir"])
    folder = os.path.join(log_dir, "runs", run)
    lines = [json.loads(line) for line in str(note["journal"]).splitlines()]
    task = os.urandom(16).hex()
    task = f"{task[:8]}-{task[8:12]}-4{task[13:16]}-a{task[17:20]}-{task[20:]}"
    shift_s = began_s - lines[0]["timestamp"]
    for line in lines:
        line["task_uuid"] = task
        line["timestamp"] = min(line["timestamp"] + shift_s, max(time.time(), began_s))
        if "run" in line:
            line["run"] = run
        if "command" in line:
            line["command"] = " ".join(["stalker", *argv])
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "eliot.txt"), "w", encoding="utf-8") as stream:
        stream.writelines(json.dumps(line) + "\n" for line in lines)
    link = os.path.join(log_dir, "eliot.txt")
    if os.path.lexists(link) and not os.path.islink(link):
        raise FileExistsError(link)  # the first tool's: the long way keeps it under another name
    new = os.path.join(log_dir, f".eliot.txt.{os.getpid()}.{run}")
    os.symlink(os.path.join("runs", run, "eliot.txt"), new)
    os.replace(new, link)


def _docker_config(environ: Mapping[str, str]) -> str:
    folder = environ.get("DOCKER_CONFIG") or os.path.join(environ.get("HOME", "/"), ".docker")
    return os.path.join(folder, "config.json")


def _stat(path: str) -> tuple[int, ...]:
    try:
        found = os.stat(path)
    except OSError:
        return ()
    return (found.st_size, found.st_mtime_ns, found.st_ino)
