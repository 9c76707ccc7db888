"""An ordinary container with the tools that file systems, boot tests and devices need.

It is as weak as a container can be: no capabilities, no network, nothing writable but what it is given.
What it makes lies in a directory of this host that it has mounted, and belongs to the user of stalker.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from stalker.engine.interface import ContainerSpec
from stalker.errors import EngineError, Interrupted, NoEngine, StalkerError
from stalker.model import labels
from stalker.model.diagnostics import Place
from stalker.model.tree import Mount, Option
from stalker.toolbox.feeding import Fed, PipeFed

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from stalker.engine.interface import Engine

PLACE = Place("the toolbox")
TAIL_BYTES = 4096
"""How much is kept of what a tool complains of."""

BOOT_ID = "/proc/sys/kernel/random/boot_id"

NOT_SEEN = (
    "disk images are made by the engine in a folder of this host; run stalker on the engine's own host, \
or put the workspace where the engine sees it (Docker Desktop: Settings, Resources, File sharing)"
)


@dataclass(slots=True)
class Toolbox:
    """Opens containers of toolbox images.

    `image_of` makes the image of a name when the engine has none, and returns its id. `run` is the id of the
    run whose containers these are: what a killed run leaves is swept by the next one. `cache_dir` keeps what was
    found out about this host, None for nowhere.
    """

    engine: Engine
    image_of: Callable[[str], str]
    run: str
    cancel: threading.Event | None = None
    cache_dir: Path | None = None

    @contextlib.contextmanager
    def opened(
        self,
        name: str = "toolbox",
        *,
        folder: Path | None = None,
        folder_target: str = "/out",
        writable: bool = True,
        tmpfs: Mapping[str, str] | None = None,
        network: bool = False,
        devices: Sequence[str] = (),
    ) -> Iterator[Tool]:
        """Start a container with `folder` of this host mounted; it is removed at the end, whatever happens.

        `tmpfs` are directories in memory and their mount options; /tmp is always one.
        `devices` are those of this host that it may read and write.

        Raises:
            EngineError: the engine does not see this host's directories.
        """
        user = _user_of(folder) if folder else f"{os.getuid()}:{os.getgid()}"
        if self.engine.info().is_rootless:
            user = "0:0"  # there, root is who runs the engine
        options: dict[str, object] = {
            "cap_drop": ["ALL"],
            "security_opt": ["no-new-privileges"],
            "read_only": True,
            "tmpfs": {"/tmp": "mode=1777", **(tmpfs or {})},  # noqa: S108  in the container
            **({} if network else {"network": "none"}),
        }
        if devices:
            options["devices"] = [f"{device}:{device}:rw" for device in devices]
            options["group_add"] = [str(Path(device).stat().st_gid) for device in devices]
        mounts = [Mount(folder_target, "directory", str(folder.resolve()), writable, PLACE)] if folder else []
        spec = ContainerSpec(
            image=self.image_of(name),
            name=f"stalker-{name}-{secrets.token_hex(6)}",
            labels={labels.RUN: self.run, labels.VERSION: labels.CONTAINER},
            mounts=tuple(mounts),
            options=tuple(
                Option(key, json.dumps(value), counts=False, place=PLACE) for key, value in options.items()
            ),
        )
        tool = Tool(self.engine, self._created(spec, folder), user, self.cancel)
        try:
            self.engine.start(tool.container)
            if folder and _is_same_kernel(tool, folder, folder_target, writable=writable):
                tool.pipes, tool.pipes_target = folder, folder_target
            yield tool
        finally:
            with contextlib.suppress(NoEngine):  # what it left is swept when it is up again
                self.engine.remove_container(tool.container)

    def _created(self, spec: ContainerSpec, folder: Path | None) -> str:
        try:
            return self.engine.create(spec)
        except EngineError as error:
            if folder and "bind source path does not exist" in error.details:
                raise EngineError(f"the engine does not see {folder}", error.details, NOT_SEEN) from error
            raise


@dataclass(slots=True)
class Tool:
    """A running toolbox container; programs run in it as `user`.

    `pipes` is a directory of this host where named pipes reach the container as `pipes_target`, None where
    they do not: then the engine carries what a tool is fed, at half the speed.
    """

    engine: Engine
    container: str
    user: str
    cancel: threading.Event | None = None
    pipes: Path | None = None
    pipes_target: str = ""

    def run(
        self,
        argv: Sequence[str],
        stdin: Iterable[bytes | memoryview] | None = None,
        environment: Mapping[str, str] | None = None,
        *,
        codes: Sequence[int] = (0,),
    ) -> bytes:
        """Run a tool and return what it wrote to stdout.

        Raises:
            StalkerError: its exit code is none of `codes`; the details are what it said.
            Interrupted: the run was cancelled; the tool may still run until its container is removed.
        """
        fed = None if stdin is None else self.start(argv, environment)
        if fed is None:
            return self._heard(argv, environment).execute(None, codes)
        try:
            for data in stdin or ():
                if not fed.write(data):
                    break
        finally:
            fed.end()
        return fed.wait(codes)

    def start(self, argv: Sequence[str], environment: Mapping[str, str] | None = None) -> FedTool:
        """Start a tool that is fed by `write`, `end` and `wait`, as others may be at the same time."""
        heard = self._heard(argv, environment)
        fed = (
            Fed(heard.program, argv)
            if self.pipes is None
            else PipeFed(heard.program, argv, self.pipes, self.pipes_target)
        )
        fed.start()
        return FedTool(fed, heard)

    def _heard(self, argv: Sequence[str], environment: Mapping[str, str] | None) -> _Heard:
        return _Heard(self, argv, {"LC_ALL": "C.UTF-8", "TZ": "UTC", **(environment or {})})


@dataclass(slots=True)
class _Heard:
    """A tool and what it says."""

    tool: Tool
    argv: Sequence[str]
    environment: Mapping[str, str]
    out: bytearray = field(default_factory=bytearray)
    said: bytearray = field(default_factory=bytearray)

    def take(self, data: bytes, is_stderr: bool) -> None:  # noqa: FBT001  the engine calls it so
        if is_stderr:
            self.said.extend(data)
            del self.said[:-TAIL_BYTES]
        else:
            self.out.extend(data)

    def program(self, argv: Sequence[str], stdin: Iterable[bytes | memoryview] | None) -> int | None:
        tool = self.tool
        return tool.engine.exec(
            tool.container,
            argv,
            self.environment,
            self.take,
            user=tool.user,
            workdir="/",
            stop=tool.cancel.is_set if tool.cancel else None,
            stdin=stdin,
        )

    def execute(self, stdin: Iterable[bytes | memoryview] | None, codes: Sequence[int]) -> bytes:
        return self.result(self.program(self.argv, stdin), codes)

    def result(self, code: int | None, codes: Sequence[int]) -> bytes:
        if code in codes:
            return bytes(self.out)
        cancel = self.tool.cancel
        if cancel is not None and cancel.is_set():
            raise Interrupted("interrupted", f"{self.argv[0]} was under way")
        text = (bytes(self.said) or bytes(self.out[-TAIL_BYTES:])).decode("utf-8", "replace").strip()
        ended = "its container went away" if code is None else f"it ended with {code}"
        raise StalkerError(f"{self.argv[0]} failed", text or ended)


@dataclass(slots=True)
class FedTool:
    """A tool that is being fed."""

    _fed: Fed
    _heard: _Heard

    def write(self, data: bytes | memoryview) -> bool:
        """Feed it; False when it takes no more: `wait` tells why."""
        return self._fed.write(data)

    def end(self) -> None:
        """Give it the end of its input."""
        self._fed.end()

    def wait(self, codes: Sequence[int] = (0,)) -> bytes:
        """Wait for its end and return what it wrote; raises as `Tool.run`."""
        return self._heard.result(self._fed.wait(), codes)


def _user_of(folder: Path) -> str:
    """Return who writes in a directory: its owner where we are root, for root has no privileges in there."""
    if os.getuid() != 0:
        return f"{os.getuid()}:{os.getgid()}"
    found = folder.stat()
    return f"{found.st_uid}:{found.st_gid}"


def _is_same_kernel(tool: Tool, folder: Path, target: str, *, writable: bool) -> bool:
    """Return whether the engine runs on this kernel, so that a named pipe joins its containers and us.

    Raises EngineError when what is mounted is not the directory of this host: the engine is elsewhere. Where
    nothing is to be written, something that is there is looked for.
    """
    mark = folder / f".seen-{secrets.token_hex(6)}" if writable else next(folder.iterdir(), folder)
    if writable:
        mark.touch()
    try:
        seen = f"{target}/{mark.relative_to(folder)}"
        told = tool.run(["sh", "-ec", f'test -e "$0"; cat {BOOT_ID}', seen])
    except Interrupted:
        raise
    except StalkerError as error:
        raise EngineError(
            f"the engine does not see {folder}", "it has another folder of that name", NOT_SEEN
        ) from error
    finally:
        if writable:
            mark.unlink()
    with contextlib.suppress(OSError):
        return told == Path(BOOT_ID).read_bytes()
    return False
