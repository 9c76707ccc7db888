"""What says that an artifact may be published: its gates, which look at its files, and its boot test."""

from __future__ import annotations

import contextlib
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from stalker.image.produce import look_through
from stalker.image.rootfs_disk import rootfs_disk
from stalker.image.unpacked import raw_disk
from stalker.model.artifacts import Disk

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from stalker.image.content import Watcher
    from stalker.image.gates import Finding
    from stalker.image.workshop import Workshop
    from stalker.model.artifacts import Artifact
    from stalker.model.images import Image

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
            from stalker.image.gates import Hygiene, resolvers_of_host  # late: only where they are asked for

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
        from stalker.image.boot import boot_disk  # late: only where a boot test is asked for
        from stalker.image.boot_record import as_record

        workshop = self._workshop
        progress = workshop.progress(self.artifact.id)
        partitions = disk.get("partitions", [])
        log = folder / LOG
        with contextlib.ExitStack() as stack:
            if isinstance(kind, Disk):
                raw = stack.enter_context(raw_disk(folder, kind, workshop.check))
            else:
                made = rootfs_disk(self.artifact, image, folder, workshop)
                raw, partitions = stack.enter_context(made)
            result = boot_disk(test, raw, partitions, workshop, log, progress.begin)
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
        self.resolution = "look at its console, then mend the image, or the test in the tree file"


def remedies(findings: Iterable[Finding]) -> str:
    """Return what to do about each gate's findings, a line for each, and how to let one pass."""
    by_gate = {one.gate: one.remedy for one in findings if one.remedy}
    lines = [f"{gate}: {remedy}" for gate, remedy in by_gate.items()]
    gate = next(iter(by_gate), "NAME")
    return "\n".join([*lines, f"or waive it with a reason: gates: {{ waive: {{ {gate}: 'WHY' }} }}"])
