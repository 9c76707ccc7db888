"""The shortest way to "nothing to do".

When a run of a tree had nothing to do, it notes what that rested on: the state of each file, and the image of
each name. The next run of the same tree checks all of that, with one query to the engine. If nothing changed,
there is nothing to do again; the journal it writes is the last one at another time. If anything differs, or the
note cannot be read, the run takes the long way: images decide in any case, the note only lists which to check.

Everything here is written to import little: a fully cached `docker build` takes 0.09 s, and that is
what a user compares with.
"""

# os.path is several times faster than pathlib.
# ruff: noqa: PTH103, PTH114, PTH116, PTH118, PTH120, PTH123

from __future__ import annotations

import hashlib
import json
import marshal
import os
import sys
import time

import stalker
from stalker.config.locate import find_tree
from stalker.config.tree.evidence import code_state, is_same
from stalker.engine.docker import http
from stalker.engine.run_id import is_left_over, new_run_id
from stalker.errors import NotThere, StalkerError
from stalker.io.atomic import replace_link, write_file
from stalker.io.user_dirs import cache_dir
from stalker.model.labels import CONTAINER, RUN, VERSION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from stalker.config.tree.evidence import Sight

MAGIC = b"stalker unchanged 5\n"

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


def run_unchanged(config: str, workspace: str, argv: list[str], environ: Mapping[str, str]) -> str | None:
    """Do a run that has nothing to do and return its summary; None when it may have, and nothing was done.

    `workspace` is absolute. `argv` is the call, for the journal.
    """
    began_s = time.time()
    note = _read(_note_path(config, workspace, environ))
    if note is None or not _holds(note, environ):
        return None
    try:
        _write_journal(note, new_run_id(began_s), began_s, argv)
    except OSError:
        return None
    return f"{note['summary']} ({time.time() - began_s:.1f} s)"


def note_unchanged(
    config: str,
    workspace: str,
    environ: Mapping[str, str],
    *,
    evidence: dict[str, Sight],
    images: dict[str, str],
    bases: dict[str, tuple[str, list[str]]],
    address: http.Address,
    summary: str,
    log_dir: str,
    journal: str,
) -> None:
    """Note what "nothing to do" rested on.

    `images` maps names to the ids of images with our labels. `bases` has the names that the engine is queried
    for one by one, each with an id, empty for a missing image, and the other names that its image has. `summary`
    is what such a run prints. `journal` is the text of the run's journal. Raises OSError.
    """
    note = {
        "evidence": evidence,
        "images": images,
        "bases": bases,
        "address": address.url,
        "answer": address.answer,
        "environ": [environ.get(name, "") for name in VARIABLES],
        "docker_config": _stat(_docker_config(environ)),
        "summary": summary,
        "log_dir": log_dir,
        "journal": journal,
    }
    payload = marshal.dumps(note)
    path = _note_path(config, workspace, environ)
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    write_file(path, MAGIC + hashlib.sha256(payload).digest() + payload, durable=False)


def _note_path(config: str, workspace: str, environ: Mapping[str, str]) -> str:
    # Which file a name means depends on the current directory too.
    fields = [
        find_tree(config, workspace) or config,
        workspace,
        stalker.__version__,
        sys.version,
        str(code_state()),
    ]
    framed = b"".join(b"%d:%s" % (len(data), data) for data in map(os.fsencode, fields))
    return os.path.join(cache_dir(environ), "unchanged", hashlib.sha256(framed).hexdigest())


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
    """Return whether all that the note rests on is unchanged."""
    same_place = note["environ"] == [environ.get(name, "") for name in VARIABLES]
    if not same_place or note["docker_config"] != _stat(_docker_config(environ)):
        return False
    if not is_same(note["evidence"]):  # type: ignore[arg-type]
        return False
    address = http.Address(str(note["address"]))
    address.answer = note["answer"]  # type: ignore[assignment]
    expected: dict[str, str] = note["images"]  # type: ignore[assignment]
    bases: dict[str, tuple[str, list[str]]] = note["bases"]  # type: ignore[assignment]
    try:
        if any(is_left_over(item["Labels"].get(RUN, ""), item["State"]) for item in _containers(address)):
            return False  # what a killed run left has to be removed
        there = dict(_named(address, expected))
        return all(there.get(name) == image for name, image in expected.items()) and all(
            _is_named(address, name, image, names) for name, (image, names) in bases.items()
        )
    except StalkerError:
        return False


def _named(address: http.Address, expected: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield name and id of the images in the repositories of some names.

    A store of containerd takes a millisecond for each layer of each image that it lists, so no others are listed.
    """
    filters = {"label": [VERSION]}
    if not http.is_podman(address):
        filters["reference"] = sorted({name.rpartition(":")[0] for name in expected})
    for item in http.get_json(address, "/images/json", {"filters": json.dumps(filters)}):
        for name in _names_of(address, item):
            yield name, http.image_id(item["Id"])


def _is_named(address: http.Address, name: str, image: str, names: list[str]) -> bool:
    """Return whether an image without our labels still has its names, or a name still no image."""
    try:
        found = http.get_json(address, f"/images/{name}/json", {})
    except NotThere:
        return not image
    return http.image_id(found["Id"]) == image and set(names).issubset(_names_of(address, found))


def _names_of(address: http.Address, item: dict[str, Any]) -> list[str]:
    names = item.get("RepoTags") or []
    return list(map(http.docker_name, names)) if http.is_podman(address) else names


def _containers(address: http.Address) -> list[dict[str, Any]]:
    query = {"all": "1", "filters": json.dumps({"label": [f"{VERSION}={CONTAINER}"]})}
    found: list[dict[str, Any]] = http.get_json(address, "/containers/json", query)
    return found


def _write_journal(note: dict[str, object], run: str, began_s: float, argv: list[str]) -> None:
    """Write the last journal again under this run's name, at this run's time."""
    log_dir = str(note["log_dir"])
    directory = os.path.join(log_dir, "runs", run)
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
    os.makedirs(directory, exist_ok=True)
    with open(os.path.join(directory, "eliot.txt"), "w", encoding="utf-8") as stream:
        stream.writelines(json.dumps(line) + "\n" for line in lines)
    link = os.path.join(log_dir, "eliot.txt")
    if os.path.lexists(link) and not os.path.islink(link):
        raise FileExistsError(link)  # the original kantoo-devkit's: the long way keeps it under another name
    replace_link(link, os.path.join("runs", run, "eliot.txt"))


def _docker_config(environ: Mapping[str, str]) -> str:
    directory = environ.get("DOCKER_CONFIG") or os.path.join(environ.get("HOME", "/"), ".docker")
    return os.path.join(directory, "config.json")


def _stat(path: str) -> tuple[int, ...]:
    try:
        found = os.stat(path)
    except OSError:
        return ()
    return (found.st_size, found.st_mtime_ns, found.st_ino)
