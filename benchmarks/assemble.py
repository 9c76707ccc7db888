"""Make one disk as a run does, in a process of its own: print the seconds of it and the peak memory in kB.

assemble.py IMAGE FOLDER CACHE fixed|auto
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "lib"))

from stalker.app.environment import connect
from stalker.app.toolbox_image import image_maker
from stalker.artifacts.context import Workshop
from stalker.artifacts.disk.build import make_disk
from stalker.engine.run_id import new_run_id
from stalker.model.artifacts import Artifact, Disk, Partition
from stalker.model.diagnostics import Place
from stalker.model.tree import Tree
from stalker.toolbox.container import Toolbox

MIB = 1 << 20
BOOT_MIB, ROOT_MIB = 64, 768
HERE = Place("benchmarks")


def main() -> None:
    """Make a disk of a FAT and an ext4."""
    image_name, folder, cache, size = sys.argv[1:]
    engine = connect()
    run = new_run_id(time.time())
    toolbox = Toolbox(engine, image_maker(engine, lambda text: print(text, file=sys.stderr)), run)
    toolbox.cache_dir = Path(cache)
    toolbox.image_of("toolbox")
    boot = Partition("boot", HERE, "vfat", BOOT_MIB * MIB, source="/boot", label="BOOT")
    root_bytes = ROOT_MIB * MIB if size == "fixed" else None
    root = Partition("root", HERE, "ext4", root_bytes, source="/", label="rootfs")
    artifact = Artifact("image", "bench", HERE, Disk("disk.img", "mbr", (boot, root)), epoch_s=1)
    tree = Tree("bench", "bench.hjson", "/", "logs", "a/b/c", "b-c", ())
    workshop = Workshop(engine, tree, "/", {}, lambda _event: None, run, toolbox)
    image = engine.image(image_name)
    assert image is not None
    began_s = time.perf_counter()
    made = make_disk(artifact, image, Path(folder), workshop)
    took_s = time.perf_counter() - began_s
    peak_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"took_s": took_s, "peak_kb": peak_kb, "disk": made.facts}))


if __name__ == "__main__":
    main()
