"""A small tree and its images in a fake engine, for tests of what lists, finds and removes images."""

from __future__ import annotations

import json
from dataclasses import replace

from stalker.engine.fake import FakeEngine
from stalker.model import labels
from stalker.model.diagnostics import Place
from stalker.model.images import Image
from stalker.model.tree import BootstrapBase, Mount, Script, Stalk, Step, Tree
from stalker.run.shell import COMMENT as SHELL_COMMENT

PLACE = Place("trees/t.hjson")
DAY_S = 86400.0
NOW_S = 100 * DAY_S


def step(stalk: str, name: str, *stores: str) -> Step:
    mounts = tuple(Mount(f"/{store}", "store", store, True, PLACE) for store in stores)
    return Step(stalk, name, Script(("/bin/sh",), b"", "", PLACE), PLACE, mounts=mounts)


def stalk(name: str, *steps: str | Step, parent: str = "", **more) -> Stalk:
    made = tuple(one if isinstance(one, Step) else step(name, one) for one in steps)
    bases = () if parent else more.pop("bases", (BootstrapBase("bookworm", PLACE),))
    return Stalk(name, f"os/arch/sub/{name}", PLACE, "", made, parent=parent, bases=bases, **more)


TREE = Tree(
    "t",
    "trees/t.hjson",
    "/w",
    "logs",
    "os/arch/sub",
    "arch-sub",
    (
        stalk("base", "apt", "conf"),
        stalk("web", "nginx", step("web", "site", "cache", "shared"), parent="base"),
        stalk("db", step("db", "pg", "shared"), parent="base"),
        stalk("other", "x"),
    ),
)


class Forest:
    """A fake engine that is filled as runs would fill it."""

    def __init__(self) -> None:
        self.engine = FakeEngine()
        self.base = self.add(
            "os/arch/sub/base:initial", {labels.BASE: "key-of-base"}, "", "stalker base x", 50
        )

    def add(
        self,
        name: str,
        own: dict[str, str],
        parent: str,
        comment: str,
        age_days: float,
        size_bytes: int = 0,
    ) -> Image:
        image = self.engine.add_image(name, {labels.VERSION: "0", **own}, parent, comment)
        below = self.engine.images_by_id[parent].size_bytes if parent else 1000
        self.engine.images_by_id[image.id] = replace(
            image, created_s=NOW_S - age_days * DAY_S, size_bytes=below + size_bytes
        )
        return self.engine.images_by_id[image.id]

    def grow(
        self,
        name: str,
        on: Image,
        *,
        age_days: float = 1.0,
        after: Image | None = None,
        size_bytes: int = 100,
    ) -> Image:
        """Commit a step (`base:apt`) on an image, in the same session as `after` if that is given."""
        fingerprint = f"{len(self.engine.images_by_id):02d}".ljust(64, "0")
        made_from = {"start": on.id}
        before = after or on
        if before.labels.get(labels.STEP):
            made_from[before.labels[labels.STEP].removeprefix("os/arch/sub/")] = before.id
        return self.add(
            f"os/arch/sub/{name}",
            {
                labels.FINGERPRINT: fingerprint,
                labels.STEP: f"os/arch/sub/{name}",
                labels.MADE_FROM: json.dumps(made_from),
                labels.RUN: "20261121-020304-aaaaaa-1",
                labels.TREE: "trees/t.hjson",
            },
            on.id,
            labels.COMMENT + fingerprint,
            age_days,
            size_bytes,
        )

    def fail(self, name: str, on: Image, *, age_days: float = 1.0) -> Image:
        """Keep the state of a failed step."""
        own = {labels.FAILED: f"os/arch/sub/{name}", labels.RUN: "20261121-020304-aaaaaa-2"}
        return self.add(f"os/arch/sub/{name}.failed", own, on.id, f"stalker failed step {name}", age_days, 10)

    def keep(self, name: str, on: Image, step: str, *, age_days: float = 1.0) -> Image:
        """Keep what a shell in a step left, as `shell --commit` does."""
        cleared = {label: "" for label in on.labels if label.startswith(labels.PREFIX)}
        own = {**cleared, labels.VERSION: "0", labels.TREE: "trees/t.hjson"}
        return self.add(f"os/arch/sub/{name}", own, on.id, f"{SHELL_COMMENT}os/arch/sub/{step}", age_days, 5)

    def derive(self, name: str, on: Image) -> Image:
        """Build something on an image of ours, as another tool would: labels are inherited."""
        image = self.engine.add_image(name, on.labels, on.id, "")
        return self.engine.images_by_id[image.id]

    def tag(self, image: Image, name: str) -> None:
        self.engine.tag(image.id, f"os/arch/sub/{name}" if "/" not in name else name)

    def names(self) -> set[str]:
        found = {tag for image in self.engine.images_by_id.values() for tag in image.tags}
        return {name.removeprefix("os/arch/sub/") for name in found}


def grown() -> Forest:
    """Return base:apt <- base:conf <- web:nginx <- web:site, and base:conf <- db:pg; another tree beside."""
    forest = Forest()
    apt = forest.grow("base:apt", forest.base, age_days=10)
    conf = forest.grow("base:conf", forest.base, after=apt, age_days=10)
    forest.tag(conf, "base:final")
    for name in ("web", "db"):
        forest.tag(conf, f"{name}:initial")
    nginx = forest.grow("web:nginx", conf, age_days=8)
    site = forest.grow("web:site", nginx, age_days=2)
    forest.tag(site, "web:final")
    pg = forest.grow("db:pg", conf, age_days=5)
    forest.tag(pg, "db:final")
    return forest
