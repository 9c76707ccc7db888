"""What says that an artifact may be published: its gates, which look at its files, and its boot test.

A root file system as a disk that can be booted: an ext4 without a partition table, for a boot test.
"""

from __future__ import annotations

import contextlib
import shutil
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from stalker.artifacts.produce import look_through, raw_disk
from stalker.io.progress import Task
from stalker.io.sparse import place
from stalker.model.artifacts import Disk, Partition

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from stalker.artifacts.context import Workshop
    from stalker.artifacts.gates.gates import Finding
    from stalker.model.artifacts import Artifact
    from stalker.model.images import Image
    from stalker.rootfs.filter import Watcher


LOG = "boot.log"
FINDINGS_MAX = 20
"""More findings than this are counted: the manifest has all of them."""


class Proof:
    """The gates and the boot test of one artifact, and what they said.

    `refused` says in a sentence why it may not be published, empty when it may; `details` and `resolution`
    say more. `findings` and `boot` go to the manifest.
    """

    def __init__(self, artifact: Artifact, workshop: Workshop) -> None:
        self._workshop = workshop
        self.artifact = artifact
        self.refused = ""
        self.details = ""
        self.resolution = ""
        self.findings: tuple[dict[str, str], ...] = ()
        self.boot: dict[str, Any] = {}
        self.last_lines: tuple[str, ...] = ()
        self.has_log = False
        self._hygiene: Any = None
        if artifact.gates is not None:
            from stalker.artifacts.gates.gates import (  # late: only where they are asked for
                Hygiene,
                resolvers_of_host,
            )

            run = self._run if workshop.toolbox is not None else None
            self._hygiene = Hygiene(artifact.gates, resolvers_of_host(), run)

    @property
    def watchers(self) -> tuple[Watcher, ...]:
        """Who has to see the artifact's members."""
        return (self._hygiene,) if self._hygiene is not None else ()

    def _run(self, argv: Sequence[str], stdin: Iterable[bytes]) -> bytes:
        """Run a program in the toolbox for a gate."""
        assert self._workshop.toolbox is not None
        with self._workshop.toolbox.opened("toolbox") as tool:
            return tool.run(argv, stdin)

    def look(self, image: Image) -> None:
        """Show the members to the gates, where nothing is written."""
        look_through(self.artifact, image, self._workshop, self.watchers)

    def prove(self, folder: Path, disk: Mapping[str, Any], image: Image) -> None:
        """Ask the gates, then the boot test: an image that no gate lets through is not worth booting.

        `disk` is what the manifest says of a disk; `image` is what a root file system was made of.
        """
        self._close_gates()
        if not self.refused:
            self._boot(folder, disk, image)

    def _close_gates(self) -> None:
        """Take what the gates have found; a finding that nothing waives refuses the artifact."""
        if self._hygiene is None:
            return
        found = self._hygiene.findings()
        self.findings = tuple({name: text for name, text in asdict(one).items() if text} for one in found)
        open_ones = [one for one in found if not one.waived_by]
        if not open_ones:
            return
        gates = list(dict.fromkeys(one.gate for one in open_ones))
        self.refused = f"{'gate' if len(gates) == 1 else 'gates'} {', '.join(gates)}"
        lines = [f"{one.gate}: {one.path} {one.what}".rstrip() for one in open_ones[:FINDINGS_MAX]]
        if len(open_ones) > FINDINGS_MAX:
            lines.append(f"and {len(open_ones) - FINDINGS_MAX} more, see the manifest")
        self.details = "\n".join(lines)
        self.resolution = remedies(open_ones)

    def _boot(self, folder: Path, disk: Mapping[str, Any], image: Image) -> None:
        """Boot it; what does not come up as expected refuses the artifact."""
        test, kind = self.artifact.boot_test, self.artifact.kind
        if test is None:
            return
        from stalker.boot.record import as_record
        from stalker.boot.run import boot_disk  # late: only where a boot test is asked for

        workshop = self._workshop
        reporter = workshop.reporter(self.artifact.id)
        partitions = disk.get("partitions", [])
        log = folder / LOG
        with contextlib.ExitStack() as stack:
            if isinstance(kind, Disk):
                raw = stack.enter_context(raw_disk(folder, kind, workshop.check))
            else:
                made = rootfs_disk(self.artifact, image, folder, workshop)
                raw, partitions = stack.enter_context(made)
            result = boot_disk(test, raw, partitions, workshop, log, lambda doing: Task(doing, reporter))
        self.boot = {
            "passed": result.passed,
            "reason": result.reason,
            "duration_s": round(result.duration_s, 1),
            "machine": result.machine,
            "accelerator": result.accelerator,
            "test": as_record(test),
        }
        if result.passed:
            return
        self.refused = f"the boot test failed: {result.reason}"
        self.last_lines = result.last_lines
        self.has_log = True
        self.resolution = "look at its console, then fix the image, or the test in the tree file"


def remedies(findings: Iterable[Finding]) -> str:
    """Return what to do about each gate's findings, a line for each, and how to let one pass."""
    by_gate = {one.gate: one.remedy for one in findings if one.remedy}
    lines = [f"{gate}: {remedy}" for gate, remedy in by_gate.items()]
    gate = next(iter(by_gate), "NAME")
    return "\n".join([*lines, f"or waive it with a reason: gates: {{ waive: {{ {gate}: 'WHY' }} }}"])


FOLDER = ".boot"
ROOM_BYTES = 256 << 20
"""What a system that starts for the first time writes: keys, logs, its own growth."""


@contextlib.contextmanager
def rootfs_disk(
    artifact: Artifact, image: Image, folder: Path, workshop: Workshop
) -> Iterator[tuple[Path, list[dict[str, Any]]]]:
    """Give a raw disk that is one file system with what a `rootfs` holds, and its partitions as facts.

    It is made in a directory below `folder`, which goes at the end. For the machine it is /dev/vda.
    """
    from stalker.artifacts.disk.build import make_disk  # late: what it needs is only loaded for a disk

    root = Partition("root", artifact.place, "ext4", source="/", margin_bytes=ROOM_BYTES)
    kind = Disk("disk.img", "mbr", (root,))
    inside = folder / FOLDER
    inside.mkdir()
    try:
        made = make_disk(replace(artifact, kind=kind, gates=None), image, inside, workshop)
        facts = made.facts["partitions"][0]
        path = inside / "root.img"
        with (inside / kind.file).open("rb") as source, path.open("xb") as target:
            target.truncate(facts["size_bytes"])
            start, size = facts["start_bytes"], facts["size_bytes"]
            place(source.fileno(), target.fileno(), 0, size, source_start=start, check=workshop.check)
        (inside / kind.file).unlink()
        yield path, [{**facts, "start_bytes": 0}]
    finally:
        shutil.rmtree(inside, ignore_errors=True)
