"""Measure what the README claims, each figure beside a peer in the same run.

`make bench`, or `.venv/bin/python benchmarks/run.py [--only NAME] [--rounds N] [--json FILE]`.
Exit code 0 when every bar is met, 1 when one is missed, 2 when something could not be measured, 130 when
interrupted.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import IO

import branches
import completion
import create
import disk
import export
import machine
import peer as peers
import plan
import prune
import service
import trivial
import unchanged
import writes
from timing import ROOT, BenchError, Figure, run, say

ROWS = {
    # first, while the engine is empty of ours: listing images takes it longer the more there are,
    # and the other rows' leave hundreds
    "unchanged": unchanged,
    "trivial": trivial,
    "branches": branches,
    "writes": writes,
    "prune": prune,
    "plan": plan,
    "export": export,
    "disk": disk,
    "create": create,
    "service": service,
    "completion": completion,
}


def main() -> int:
    """Measure the rows asked for, print the table, and say by the exit code whether all bars are met."""
    asked = _arguments()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # clean up after that too
    rows = [name for name in ROWS if name in (asked.only or ROWS)]
    try:
        with (
            _engine(asked.engine),
            _alone(),
            tempfile.TemporaryDirectory(prefix="stalker-bench-", ignore_cleanup_errors=True) as path,
        ):
            os.environ["XDG_CACHE_HOME"] = f"{path}/cache"  # ours is not to fill the user's
            if asked.tiny:
                for name in rows:
                    vars(ROWS[name]).update(ROWS[name].TINY)
            about, figures, failures = _measure(rows, 1 if asked.tiny else asked.rounds, Path(path))
    except BenchError as error:
        say(f"benchmarks: {error}")
        return 2
    except KeyboardInterrupt:
        say("benchmarks: interrupted")
        return 130
    if asked.tiny:
        figures = [replace(figure, bar=None, aim=None) for figure in figures]
    print(_table(about, figures, failures))
    if asked.json:
        _write_json(asked.json, about, figures, failures)
    if failures:
        return 2
    return int(any(figure.mark == "MISSED" for figure in figures))


def _measure(
    rows: list[str], rounds: int | None, scratch: Path
) -> tuple[dict[str, str], list[Figure], dict[str, str]]:
    """Return what it was measured on, the figures, and why a row has none. Raises BenchError."""
    figures: list[Figure] = []
    failures: dict[str, str] = {}
    run([str(ROOT / "stalker"), "--version"])  # makes .venv where it is missing
    peer = peers.Peer.find(scratch)
    try:
        peer.remove_all()  # what a run that was killed left
        about = machine.describe(peer)
        peer.load_image(peers.BUSYBOX, [peers.busybox_layer(scratch)])
        for name in rows:
            began_s = time.monotonic()
            say(f"{name}: {(ROWS[name].__doc__ or '').splitlines()[0]}")
            try:
                figures += ROWS[name].measure(peer, scratch, rounds or ROWS[name].ROUNDS)
            except Exception as error:  # noqa: BLE001  one row is not to cost the figures of the others
                failures[name] = str(error) if isinstance(error, BenchError) else repr(error)
                say(f"{name}: {failures[name]}")
            say(f"  {name} took {time.monotonic() - began_s:.0f} s in all")
    finally:
        say("removing what was made; the builder keeps its cache (`docker builder prune` empties it)")
        peer.remove_all()
    return about, figures, failures


@contextlib.contextmanager
def _engine(name: str) -> Iterator[None]:
    """Measure on one of the engines that the tests start; an empty name is the engine that answers."""
    if not name:
        yield
        return
    sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "lib")]
    from further_engines import KINDS, started

    if name not in KINDS:
        raise BenchError(f"--engine {name}: one of {', '.join(KINDS)}")
    with started(name, oldest_api="") as engine:  # the peer may be an older docker
        os.environ["DOCKER_HOST"] = engine.url
        peers.Peer.network = "none"
        yield


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument(
        "--only", action="append", choices=list(ROWS), help="measure only this; may be given again"
    )
    parser.add_argument("--engine", default="", help="one of the engines of `make engines`, by its name")
    parser.add_argument(
        "--tiny", action="store_true", help="each row once, with little to do: whether all can be measured"
    )
    parser.add_argument("--rounds", type=_positive, help="rounds of each; default: what the row needs")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures with all rounds")
    return parser.parse_args()


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return number


def _alone() -> IO[str]:
    """Wait until no other benchmark runs here: names are shared, and two at once measure each other."""
    lock = (Path(tempfile.gettempdir()) / f"stalker-bench-{os.getuid()}.lock").open("a")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        say("waiting for another benchmark to end")
        fcntl.flock(lock, fcntl.LOCK_EX)
    return lock


def _table(about: dict[str, str], figures: list[Figure], failures: dict[str, str]) -> str:
    lines = [f"{name:8} {text}" for name, text in about.items()]
    lines.append("")
    width = max([len(figure.work) for figure in figures] + [4])
    peer_width = max([len(figure.peer_name) for figure in figures] + [4])
    lines.append(f"{'work':{width}}  {'ours':>9}  {'peer':>9} {'':{peer_width}}  ratio    bar    aim")
    for figure in figures:
        bar = "" if figure.bar is None else f"{figure.bar:.2f}"
        aim = "" if figure.aim is None else f"{figure.aim:.2f}"
        lines.append(
            f"{figure.work:{width}}  {_amount(figure.ours, figure.unit):>9}  "
            f"{_amount(figure.peer, figure.unit):>9} {figure.peer_name:{peer_width}}  "
            f"{figure.ratio:5.2f}  {bar:>5}  {aim:>5}  {figure.mark}".rstrip()
        )
    lines += [f"{name}: not measured: {text.splitlines()[0]}" for name, text in failures.items()]
    return "\n".join(lines)


def _amount(value: float, unit: str) -> str:
    if unit == "s":
        return f"{value:.3f} s" if value < 1 else f"{value:.2f} s"
    return f"{value:.0f} {unit}"


def _write_json(file: Path, about: dict[str, str], figures: list[Figure], failures: dict[str, str]) -> None:
    content = {
        "measured_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        **about,
        "figures": [{**asdict(figure), "ratio": figure.ratio, "mark": figure.mark} for figure in figures],
        "failures": failures,
    }
    file.write_text(json.dumps(content, indent=2) + "\n")


if __name__ == "__main__":
    sys.exit(main())
