"""Trees with artifacts, as tests write them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stalker.model.artifacts import Artifact
    from unit.config.space import Space

ROOT = "root: { filesystem: ext4, from: '/' }"
BOOT = "boot: { filesystem: vfat, from: '/boot', label: BOOT }"
STALK = "store: { store: 'store', bind: '/store' }\n go: { exec: true, text: '#!/bin/sh' }"
SECRETS = "secrets: { ROOT_PASSWORD: { env: X } }"


def disk(keys: str = "", partitions: str = ROOT) -> str:
    """An artifact `image` with more keys and with these partitions."""
    return f"image: {{ disk: 'x.img'\n {keys}\n partitions: {{ {partitions} }} }}"


def boot(keys: str, expect: str = "[{ wait: 'login:' }]") -> str:
    """A disk with a partition `boot` and a boot test with more keys."""
    return disk(f"boot_test: {{ {keys}, expect: {expect} }}", f"{BOOT}\n {ROOT}")


def expect(item: str) -> str:
    """A disk whose boot test expects one thing more."""
    return boot("machine: 'q35'", f"[{{ wait: 'login:' }}, {item}]")


def write(space: Space, artifacts: str, node: str = "", top: str = SECRETS) -> Space:
    """Write a tree whose stalk has a store mounted at /store, and these artifacts."""
    space.write("data/x", "x")
    space.stalk(STALK)
    space.tree(f"artifacts: {{\n{artifacts} }}\n{node}", top)
    return space


def read(space: Space, artifacts: str, node: str = "", top: str = SECRETS) -> Artifact:
    """Return the first artifact of such a tree."""
    return write(space, artifacts, node, top).read().stalks[0].artifacts[0]


def problems(space: Space, artifacts: str) -> list[str]:
    """Return what is wrong with artifacts, without the names of the file and of the stalk."""
    told = write(space, artifacts).problems()
    return [one.replace("trees/t/t.hjson:", "").replace(" stalks.web.artifacts.", " ") for one in told]
