"""Make `.venv` from `requirements.txt`, for the launcher `./stalker` alone.

    .venv -> .venv.d/<key>     what the launcher and `make` use; switched as the very last act
    .venv.d/lock               held while one of these is made
    .venv.d/<key>/             a whole environment; the key is a digest of all that it depends on
        stamp                  written last: three lines for the launcher; without it the directory is debris
        requirements.txt       what it was made from

An environment knows its own path (scripts start with it), so it is made where it stays, and only the
link moves. Because the launcher runs Python by the path behind the link, a run that is under way keeps
its environment when a newer one comes; the last two, and what still runs, are kept.

A killed launcher leaves a directory without a stamp, which the next one removes. Its pip may outlive it:
pip inherits the lock, so the next one waits until that is over too.

Runs under any Python from 3.11 on, with the standard library alone.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

LINK = ".venv"
STORE = ".venv.d"
STAMP = "stamp"
KEEP = 2
"""How many environments stay: the one before may just be starting."""

MISDIRECTING = ("PIP_USER", "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_DRY_RUN", "PYTHONPATH", "PYTHONHOME")
"""Settings that would send packages elsewhere, or foreign packages into pip."""


def main(root: Path, asked: str) -> None:
    """Make the environment of the checkout `root` current; `asked` is the Python that was asked for."""
    requirements = (root / "requirements.txt").read_bytes()
    python = base_python()
    store = root / STORE
    store.mkdir(exist_ok=True)
    with locked(store / "lock") as lock:
        venv = store / key_of(requirements, python, root)
        if not (venv / STAMP).exists():
            build(venv, requirements, python, root, lock)
        write_atomically(venv / STAMP, f"{venv}\n{asked}\n{os.path.realpath(asked)}\n")
        switch(root / LINK, venv)
        remove_old(store, keep=venv)


def base_python() -> str:
    """Return the Python behind this one: the system's own, also when a virtual environment is active."""
    return str(getattr(sys, "_base_executable", "") or sys.executable)


def key_of(requirements: bytes, python: str, root: Path) -> str:
    """Digest all that an environment depends on; another key is another directory."""
    digest = hashlib.sha256()
    for part in (
        requirements,
        sys.version.encode(),
        os.fsencode(os.path.realpath(python)),
        os.fsencode(root),
    ):
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()[:16]


@contextmanager
def locked(file: Path) -> Iterator[int]:
    """Hold the lock, waiting for it; yields the open descriptor, for children to inherit."""
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"another start is making {LINK}; waiting for it")
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)


def build(venv: Path, requirements: bytes, python: str, root: Path, lock: int) -> None:
    """Make the whole environment in `venv`, all but the stamp."""
    began = time.monotonic()
    shutil.rmtree(venv, ignore_errors=True)
    say(f"making {LINK} from requirements.txt (once; needs the network, takes about 10 s)")
    command([python, "-I", "-m", "venv", str(venv)], lock, explain_venv)
    (venv / "requirements.txt").write_bytes(requirements)
    inside = str(venv / "bin" / "python")
    options = ["--quiet", "--no-input", "--no-cache-dir", "--disable-pip-version-check", "--no-compile"]
    pinned = ["--require-hashes", "--no-deps", "-r", str(venv / "requirements.txt")]
    command([inside, "-m", "pip", "install", *options, *pinned], lock, explain_pip)
    packages = next((venv / "lib").glob("python3*/site-packages"))
    # pip compiles one file after the other; this uses all cores. A file that does not compile is not an error.
    compile_all = [inside, "-m", "compileall", "-q", "-j", "0", str(packages)]
    subprocess.run(compile_all, check=False, capture_output=True, pass_fds=(lock,))
    (packages / "stalker.pth").write_text(f"{root / 'lib'}\n")
    say(f"{LINK} is ready ({time.monotonic() - began:.0f} s)")


def command(argv: Sequence[str], lock: int, explain: Callable[[str], tuple[str, ...]]) -> None:
    """Run a program quietly; when it fails, show its last lines and what to do."""
    environment = without(os.environ, MISDIRECTING)
    done = subprocess.run(
        argv,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
        pass_fds=(lock,),
    )
    if done.returncode == 0:
        return
    for line in done.stdout.splitlines()[-10:]:
        print(f"  {line}", file=sys.stderr)
    fail(*explain(done.stdout))


def explain_venv(output: str) -> tuple[str, ...]:
    """Return why `python -m venv` failed."""
    if "ensurepip" in output:
        release = f"python3.{sys.version_info.minor}-venv"
        return (
            f"this Python ({base_python()}) comes without the venv module's pip",
            f"as root: apt-get install -y python3-venv        (or {release}, for a Python that is not the default)",
        )
    if "No space left" in output:
        return ("no space left on the disk", "free about 150 MB and start again")
    return ("python -m venv failed; what it said stands above",)


def explain_pip(output: str) -> tuple[str, ...]:
    """Return why pip failed."""
    if "DO NOT MATCH THE HASHES" in output:
        return (
            "a downloaded package is not the one that requirements.txt pins; nothing of it was kept",
            "look at the package index or proxy in between; try again",
        )
    if "No space left" in output:
        return ("no space left on the disk", "free about 150 MB and start again")
    if any(
        sign in output
        for sign in (
            "NewConnectionError",
            "name resolution",
            "Max retries",
            "timed out",
            "No matching distribution",
        )
    ):
        return (
            "the package index could not be reached, or does not have what requirements.txt pins",
            "look at the network, HTTPS_PROXY and pip's own settings (pip config list); start again",
        )
    return ("pip failed; what it said stands above",)


def switch(link: Path, venv: Path) -> None:
    """Point `link` at the environment in one step."""
    target = f"{STORE}/{venv.name}"
    if link.is_symlink() and str(link.readlink()) == target:
        return
    if link.is_dir() and not link.is_symlink():
        aside = link.with_name(f"{LINK}.old-{int(time.time())}")
        link.rename(aside)
        say(f"{link.name} was a folder of yours; it is now {aside.name}")
    fresh = link.parent / STORE / f"link-{os.getpid()}"
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(target)
    fresh.replace(link)


def remove_old(store: Path, *, keep: Path) -> None:
    """Remove environments that are neither recent nor in use, and what killed launchers left."""
    folders = [entry for entry in store.iterdir() if entry.is_dir() and not entry.is_symlink()]
    whole = [folder for folder in folders if (folder / STAMP).exists() and folder != keep]
    whole.sort(key=lambda folder: (folder / STAMP).stat().st_mtime, reverse=True)
    kept = {keep, *whole[: KEEP - 1]}
    for folder in folders:
        if folder not in kept and not is_running_from(folder):
            # The stamp first: a directory that is half removed must not pass for a whole one.
            (folder / STAMP).unlink(missing_ok=True)
            shutil.rmtree(folder, ignore_errors=True)
    for debris in store.glob("link-*"):
        debris.unlink(missing_ok=True)


def is_running_from(folder: Path) -> bool:
    """Is a program running whose first argument is in `folder`? False where /proc does not say."""
    prefix = os.fsencode(folder) + b"/"
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if entry.read_bytes().startswith(prefix):
                return True
        except OSError:
            continue
    return False


def write_atomically(file: Path, text: str) -> None:
    """Write a file so that readers see the old or the new one."""
    fresh = file.with_name(f"{file.name}.new")
    fresh.write_text(text)
    fresh.replace(file)


def without(environment: Mapping[str, str], names: Sequence[str]) -> dict[str, str]:
    """Copy an environment, leaving out `names`."""
    return {name: value for name, value in environment.items() if name not in names}


def say(text: str) -> None:
    """Tell the user a line; stdout belongs to results."""
    print(f"stalker: {text}", file=sys.stderr, flush=True)


def fail(*lines: str) -> NoReturn:
    """End with what happened and what to do."""
    for line in lines:
        say(line)
    sys.exit(1)


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]).resolve(), str(Path(sys.argv[2]).absolute()))
    except KeyboardInterrupt:
        say("interrupted")
        sys.exit(130)
    except OSError as problem:
        fail(
            f"{LINK} could not be made: {problem}", "is the checkout writable for you, and the disk not full?"
        )
