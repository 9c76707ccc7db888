"""What says that an artifact may be published: its gates, which look at its files, and its boot test."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stalker.image.produce import look_through
from stalker.model.artifacts import Disk

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stalker.image.content import Watcher
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

    def __init__(self, artifact: Artifact) -> None:
        self.artifact = artifact
        self.refused = ""
        self.details = ""
        self.resolution = ""
        self.findings: tuple[dict[str, str], ...] = ()
        self.boot: dict[str, Any] = {}
        self.last_lines: tuple[str, ...] = ()
        self.log = ""
        self._hygiene: Any = None
        if artifact.gates is not None:
            from stalker.image.gates import Hygiene  # late: only where gates are asked for

            self._hygiene = Hygiene(artifact.gates)

    @property
    def watchers(self) -> tuple[Watcher, ...]:
        """Who has to see the artifact's members."""
        return (self._hygiene,) if self._hygiene is not None else ()

    def look(self, image: Image, workshop: Workshop) -> None:
        """Show the members to the gates, where nothing is written."""
        look_through(self.artifact, image, workshop, self.watchers)

    def close_gates(self, workshop: Workshop) -> None:
        """Take what the gates have found; a finding that nothing waives refuses the artifact."""
        if self._hygiene is None:
            return
        found = self._hygiene.findings(workshop)
        self.findings = tuple(
            {name: str(value) for name, value in asdict(one).items() if value} for one in found
        )
        open_ones = [one for one in found if not one.waived_by]
        if not open_ones:
            return
        gates = list(dict.fromkeys(one.gate for one in open_ones))
        self.refused = f"{'gate' if len(gates) == 1 else 'gates'} {', '.join(gates)}"
        lines = [f"{one.gate}: {one.path} {one.what}".rstrip() for one in open_ones[:FINDINGS_MAX]]
        if len(open_ones) > FINDINGS_MAX:
            lines.append(f"and {len(open_ones) - FINDINGS_MAX} more, see the manifest")
        self.details = "\n".join(lines)
        self.resolution = "\n".join(dict.fromkeys(one.remedy for one in open_ones if one.remedy))

    def boot_it(self, folder: Path, disk: Mapping[str, Any], workshop: Workshop) -> None:
        """Boot it; what does not come up as expected refuses the artifact."""
        test = self.artifact.boot_test
        if test is None:
            return
        from stalker.image.boot import boot_disk  # late: only where a boot test is asked for

        assert isinstance(self.artifact.kind, Disk)
        workshop.progress(self.artifact.id).begin(f"booting it on {test.machine}")
        log = folder / LOG
        result = boot_disk(test, folder / self.artifact.kind.file, disk.get("partitions", []), workshop, log)
        self.boot = {
            "passed": result.passed,
            "reason": result.reason,
            "duration_s": round(result.duration_s, 1),
            "machine": result.machine,
            "accelerator": result.accelerator,
        }
        if result.passed:
            return
        self.refused = f"the boot test failed: {result.reason}"
        self.last_lines = result.last_lines
        self.log = str(log)
        self.resolution = "look at its console, mend the image, or the test in the tree file"


def prove(proof: Proof, folder: Path, disk: Mapping[str, Any], workshop: Workshop) -> None:
    """Ask the gates, then the boot test: an image that no gate lets through is not worth booting."""
    proof.close_gates(workshop)
    if not proof.refused:
        proof.boot_it(folder, disk, workshop)
