"""A plan of 10,000 steps on the fake engine, files read: time, memory, and growth from 1,000.

Each measurement is a process of its own, from its start to its end; for the growth, without its start.
"""

from __future__ import annotations

import json
import pickle
import resource
import sys
import time
from pathlib import Path

from inputs import Workspace
from peer import Peer
from timing import PYTHON, ROOT, Figure, in_turn, median, run

ROUNDS = 3
FEW, MANY = 1_000, 10_000
TINY = {"FEW": 100, "MANY": 1_000}
STALKS = 100
LIMIT_S = 3.0
LIMIT_MB = 300.0
GROWTH = 1.2
"""Ten times the steps in at most twelve times the time."""


def measure(peer: Peer, scratch: Path, rounds: int) -> list[Figure]:
    """Read and plan 100 stalks of 100 steps, and of 10; nothing there, then all of it there."""
    del peer
    memory: dict[str, list[float]] = {}
    inside: dict[str, list[float]] = {}
    files = {steps: _write(scratch / f"plan{steps}", steps) for steps in (FEW, MANY)}

    def side(steps: int, what: str) -> float:
        env = {"PYTHONPATH": str(ROOT / "lib")}
        words = [PYTHON, __file__, str(files[steps]), what, str(scratch / f"plan{steps}.images")]
        took_s, said = run(words, env=env)
        found = json.loads(said)
        assert found["steps"] == steps, found
        memory.setdefault(f"{steps} {what}", []).append(found["peak_mb"])
        inside.setdefault(f"{steps} {what}", []).append(found["read_s"] + found["plan_s"])
        return took_s

    for steps in files:
        side(steps, "prepare")
    found = in_turn(
        {
            f"{steps} {what}": lambda _, steps=steps, what=what: side(steps, what)  # type: ignore[misc]
            for steps in files
            for what in ("new", "done")
        },
        rounds,
    )
    figures = []
    for what, text in (("new", "nothing there"), ("done", "all there")):
        took_s = median(found[f"{MANY} {what}"])
        large_s, small_s = (median(inside[f"{steps} {what}"]) for steps in (MANY, FEW))
        work = f"plan of {MANY:,} steps, {text}"
        peak_mb = max(memory[f"{MANY} {what}"])
        figures += [
            Figure("plan", work, took_s, LIMIT_S, "the limit", bar=1.0, rounds=found),
            Figure("plan", f"{work}: peak memory", peak_mb, LIMIT_MB, "the limit", "MB", 1.0, rounds=memory),
            Figure(
                "plan",
                f"{work}: growth",
                large_s,
                10 * small_s,
                f"10 x {FEW:,} steps",
                bar=GROWTH,
                rounds=inside,
            ),
        ]
    return figures


def _write(folder: Path, steps: int) -> Path:
    workspace = Workspace(folder)
    nested: dict[str, object] = {}
    for stalk in range(STALKS):
        workspace.add_stalk(f"w{stalk}", [f"echo {stalk}.{step}" for step in range(steps // STALKS)])
        if stalk:
            nested[f"w{stalk}"] = {}
    workspace.add_tree("wide", {"w0": {"base": [{"tag": "stalker-bench/base:1"}], **nested}})
    return folder


# What follows runs in a process of its own, with the package on its path.


def child(folder: str, what: str, images: str) -> dict[str, object]:
    """Read and plan a tree on a fake engine; `done` with the images that `prepare` left."""
    from stalker.config.tree.load import read_tree
    from stalker.engine.fake import FakeEngine
    from stalker.plan.bases import find_bases
    from stalker.plan.graph import link_steps
    from stalker.plan.image_index import ImageIndex
    from stalker.plan.verdicts import make_plan, select

    engine = FakeEngine()
    engine.add_image("stalker-bench/base:1")
    if what == "done":
        engine.images_by_id.update(pickle.loads(Path(images).read_bytes()))
    began_s = time.perf_counter()
    tree = read_tree("trees/wide.hjson", folder)
    read_s = time.perf_counter() - began_s
    links = link_steps(tree)
    index = ImageIndex(engine.labelled_images(), engine.image)
    drawn = make_plan(links, index, find_bases(tree, index, lambda _base, _platform: ""), select(links))
    if what == "prepare":
        Path(images).write_bytes(pickle.dumps(_as_if_run(engine, drawn)))
    expected = len(drawn.actions) if what == "done" else 0
    assert sum(action.verdict == "REUSE" for action in drawn.actions.values()) == expected
    return {
        "steps": len(drawn.actions),
        "read_s": read_s,
        "plan_s": time.perf_counter() - began_s - read_s,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 * 1.048576,
    }


def _as_if_run(engine, drawn) -> dict[str, object]:
    """Return the images that a run of the plan would leave."""
    import hashlib

    from stalker.model import labels
    from stalker.model.images import Image

    made: dict[str, Image] = {}
    ids: dict[str, str] = {}
    base = engine.image("stalker-bench/base:1").id
    for action in drawn.actions.values():
        parent = ids[action.link.parent] if action.link.parent else base
        ids[action.id] = image = "sha256:" + hashlib.sha256(action.id.encode()).hexdigest()
        made[image] = Image(
            id=image,
            tags=(action.link.image_name,),
            parent_id=parent,
            created_s=float(len(made)),
            labels={
                labels.VERSION: "0",
                labels.FINGERPRINT: action.fingerprint,
                labels.STEP: action.link.image_name,
                labels.DURATION: "0.1",
                labels.INPUTS: json.dumps(action.inputs, sort_keys=True),
                labels.MADE_FROM: json.dumps(
                    {"start": parent, **{name: ids[name] for name in action.link.inputs}}
                ),
            },
        )
    return made


if __name__ == "__main__":
    print(json.dumps(child(*sys.argv[1:])))
