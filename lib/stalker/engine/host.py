"""The host that an engine is brought up on: who we are, which programs are there, how they are run."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True, slots=True)
class Host:
    """What decides how an engine is brought up; `environ` is what programs are run with."""

    is_root: bool
    has_systemd: bool
    user: str
    environ: Mapping[str, str]

    def program(self, name: str) -> str:
        """Return where a program is, empty when it is not there."""
        path = self.environ.get("PATH", os.defpath)
        return shutil.which(name, path=f"{path}:/usr/local/sbin:/usr/sbin:/sbin") or ""

    def run(self, command: Sequence[str], timeout_s: float) -> str | None:
        """Run a command; return None when it went well, else its last lines.

        Its output goes to a file: a service that it starts may keep a pipe open for ever.
        """
        environ = {**self.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}
        with tempfile.TemporaryFile() as output:
            try:
                done = subprocess.run(
                    [self.program(command[0]) or command[0], *command[1:]],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    env=environ,
                    timeout=timeout_s,
                    check=False,
                )
            except OSError as error:
                return f"{command[0]}: {error.strerror}"
            except subprocess.TimeoutExpired:
                return f"{' '.join(command)}: no end after {timeout_s:.0f} s"
            if done.returncode == 0:
                return None
            output.seek(0)
            return last_lines(output.read()) or f"{' '.join(command)}: exit {done.returncode}"


def look_around(environ: Mapping[str, str]) -> Host:
    """See who we are and what runs services here."""
    return Host(
        is_root=os.geteuid() == 0,
        has_systemd=Path("/run/systemd/system").is_dir(),
        user=user_name(),
        environ=environ,
    )


def user_name() -> str:
    """Return who runs this; the number where the system has no name for it."""
    import pwd

    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def is_process(pid: str, program: str) -> bool:
    """Say whether a living process has this number and this name; a zombie has ended."""
    try:
        stat = Path(f"/proc/{int(pid)}/stat").read_text(encoding="utf-8", errors="replace")
    except (OSError, ValueError):
        return False
    head, _, rest = stat.rpartition(")")
    return head.partition("(")[2] == program and rest.split()[0] not in {"Z", "X", "x"}


def last_lines(data: bytes, count: int = 20) -> str:
    """Return the end of what a program wrote."""
    return "\n".join(data.decode("utf-8", "replace").strip().splitlines()[-count:])
