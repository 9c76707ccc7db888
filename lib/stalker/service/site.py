"""What all parts of the service share: the configuration as it is now, the database, directories."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from stalker.config.service.load import read_secret_values, read_service
from stalker.errors import FilesError, StalkerError
from stalker.model.diagnostics import Place, Problem
from stalker.service.builds.places import Places

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stalker.model.service import Service
    from stalker.service.store.database import Database

_FIXED = ("host", "port", "database", "storage", "work_directory")
"""What only a restart changes."""


def read_file(path: Path, workspace: str) -> Service:
    """Read a configuration. Raises FilesError, StalkerError when there is no such file."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise StalkerError(
            f"{path} cannot be read", str(error), "docs/reference/service.md has one"
        ) from error
    return read_service(text, str(path), workspace)


class Configuration:
    """The configuration file, read again when it changes; while it is wrong, the last right one is in force."""

    def __init__(self, path: Path, workspace: str) -> None:
        """Read the file. Raises FilesError, StalkerError."""
        self._path, self._workspace = path, workspace
        self._lock = threading.Lock()
        self._seen = self._state()
        self._service = read_file(path, workspace)
        self.problems: tuple[Problem, ...] = ()

    @property
    def service(self) -> Service:
        """The configuration in force; costs one `stat`."""
        with self._lock:
            state = self._state()
            if state != self._seen:
                self._seen = state
                self._read()
            return self._service

    def _read(self) -> None:
        try:
            new = read_file(self._path, self._workspace)
        except FilesError as error:
            self.problems = error.problems
            return
        except StalkerError as error:
            self.problems = (Problem(Place(str(self._path)), f"{error.brief}: {error.details}"),)
            return
        old = self._service
        changed = [name for name in _FIXED if getattr(old, name) != getattr(new, name)]
        self.problems = tuple(
            Problem(Place(str(self._path)), f"the new {name} counts after a restart") for name in changed
        )
        self._service = replace(
            new,
            host=old.host,
            port=old.port,
            database=old.database,
            storage=old.storage,
            work_directory=old.work_directory,
        )

    def _state(self) -> tuple[int, int, int]:
        try:
            found = self._path.stat()
        except OSError:
            return (0, 0, 0)
        return (found.st_mtime_ns, found.st_size, found.st_ino)


@dataclass(slots=True)
class Site:
    """A running service. `trouble` is why no build starts now, empty when nothing prevents it."""

    configuration: Configuration
    database: Database
    places: Places
    wake: threading.Event = field(default_factory=threading.Event)
    trouble: str = ""

    @property
    def service(self) -> Service:
        """The configuration in force."""
        return self.configuration.service

    @property
    def storage(self) -> Path:
        """The directory of published files."""
        return Path(self.service.storage)

    @property
    def public_url(self) -> str:
        """The address at which people reach the service."""
        service = self.service
        host = f"[{service.host}]" if ":" in service.host else service.host
        return service.public_url or f"http://{host}:{service.port}"

    def secrets(self) -> Mapping[str, str]:
        """Return the values of the secrets that exist, read now."""
        service = self.service
        return read_secret_values(service.secrets, os.environ, service.workspace)
