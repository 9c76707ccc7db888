"""Secrets with `counts: true`: a code of each value, which is in fingerprints where the value never is.

The code is an HMAC-SHA-256 under a key of the user: an image's label shows whether the value is the same as in
another image of this user, and without the key no guess of the value can be checked.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets as random_source
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from stalker.config.tree.secrets import is_to_be_generated, read_secrets
from stalker.errors import StalkerError
from stalker.io.atomic import create_file
from stalker.io.user_dirs import data_dir

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stalker.model.artifacts import Artifact
    from stalker.model.tree import File, Stalk, Step, Tree
    from stalker.model.variables import Variable

KEY_BYTES = 32

NOT_GENERATED = "not generated yet"
"""The code of a secret that the run will generate."""


def with_counted_secrets(tree: Tree, environ: Mapping[str, str], known: Mapping[str, str]) -> Tree:
    """Return the tree with the codes of its counted secrets; `known` are values that were read already.

    Raises:
        FilesError: a value cannot be read. StalkerError: the user's key cannot be read, or others can read it.
    """
    counted = [source for source in tree.secrets if source.counts]
    if not counted:
        return tree
    later = {one.name for one in counted if one.name not in known and is_to_be_generated(one, tree)}
    values = {one.name: known[one.name] for one in counted if one.name in known}
    missing = [one.name for one in counted if one.name not in {*values, *later}]
    values |= read_secrets(tree, missing, environ)
    key = _key(Path(data_dir(environ), "fingerprint-key"))
    codes = {name: _code(key, name, value) for name, value in values.items()}
    filling = _Filling(codes | dict.fromkeys(later, NOT_GENERATED))
    return replace(tree, stalks=tuple(filling.stalk(stalk) for stalk in tree.stalks))


def _code(key: bytes, name: str, value: str) -> str:
    """Return the code of a value; with the name in it, two secrets of one value do not look alike."""
    text = f"{name}\0{value}".encode("utf-8", "surrogateescape")
    return hmac.new(key, text, hashlib.sha256).hexdigest()


def _key(path: Path) -> bytes:
    """Return the user's key; made when it is missing, whole or not at all. Raises StalkerError."""
    try:
        if not path.exists():
            # Of two runs that make a key at once, the second takes the first one's.
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            create_file(path, random_source.token_bytes(KEY_BYTES), mode=0o600)
        with path.open("rb") as stream:
            state = os.fstat(stream.fileno())
            key = stream.read()
    except OSError as error:
        what = f"the key for secrets that count cannot be read: {path}"
        raise StalkerError(what, (error.strerror or str(error)).lower()) from error
    if state.st_mode & 0o077 or state.st_uid != os.getuid():
        raise StalkerError(
            f"the key for secrets that count is not private: {path}",
            "with it, guesses of a secret's value can be checked",
            f"remove it, and a new one is made; steps with such secrets run again then: rm {path}",
        )
    if len(key) != KEY_BYTES:
        raise StalkerError(
            f"the key for secrets that count has {len(key)} bytes instead of {KEY_BYTES}: {path}",
            "",
            f"remove it, and a new one is made: rm {path}",
        )
    return key


class _Filling:
    """Puts codes into variables; what has none stays the same object, as what steps share stays shared."""

    def __init__(self, codes: Mapping[str, str]) -> None:
        self.codes = codes
        self._files: dict[int, tuple[File, ...]] = {}

    def stalk(self, stalk: Stalk) -> Stalk:
        return replace(
            stalk,
            steps=tuple(self._step(step) for step in stalk.steps),
            artifacts=tuple(self._artifact(artifact) for artifact in stalk.artifacts),
        )

    def _step(self, step: Step) -> Step:
        return replace(step, variables=self._variables(step.variables), files=self._shared(step.files))

    def _artifact(self, artifact: Artifact) -> Artifact:
        writes = tuple(replace(one, variables=self._variables(one.variables)) for one in artifact.writes)
        return replace(artifact, writes=writes)

    def _shared(self, files: tuple[File, ...]) -> tuple[File, ...]:
        if not any(variable.secret in self.codes for file in files for variable in file.variables):
            return files
        if id(files) not in self._files:
            filled = (replace(file, variables=self._variables(file.variables)) for file in files)
            self._files[id(files)] = tuple(filled)
        return self._files[id(files)]

    def _variables(self, variables: tuple[Variable, ...]) -> tuple[Variable, ...]:
        if not any(one.secret in self.codes for one in variables):
            return variables
        return tuple(replace(one, code=self.codes.get(one.secret, "")) for one in variables)
