"""Format 1 of fingerprints, which stalker 0.1 computed: what it made is recognised where it is the same work.

Format 1 named a base by the engine's id of its image and a platform only where the stalk has one. Both can be
computed again. It did not count owners in mounted directories nor the mode of those, 0.1 lost what a step wrote
below a volume of its base, and its scripts had no terminal with `tty`: there nothing proves that the image is the
same work, and the step runs.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from stalker.model import labels
from stalker.plan.fingerprint import hash_fields

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stalker.model.images import Image
    from stalker.model.tree import Step, StepId
    from stalker.plan.graph import Link

FORMAT = "1"

_OF_FORMAT_2 = frozenset({"format", "platform", "base", "parent", "needs", "directory"})
"""The kinds of fields that mean something else today."""


@dataclass(frozen=True, slots=True)
class History:
    """A step's fingerprint as format 1 had it, and its inputs; both empty where nothing proves what it was."""

    fingerprint: str = ""
    inputs: dict[str, str] = field(default_factory=dict)


UNKNOWN = History()


def history(
    link: Link, inputs: Mapping[str, str], base: Image | None, before: Mapping[StepId, History]
) -> History:
    """Return what format 1 made of a step; `inputs` are those of today, `base` is its base's image.

    `before` has the steps that it grows on: the history of one that ran since is not known.
    """
    if _doubts(link.step, base) or not all(one.fingerprint for one in before.values()):
        return UNKNOWN
    fields = {name: value for name, value in inputs.items() if name.partition(" ")[0] not in _OF_FORMAT_2}
    fields["format"] = FORMAT
    if link.step.platform:
        fields["platform"] = link.step.platform
    if link.parent is not None:
        fields["parent"] = before[link.parent].fingerprint
    elif base is not None:
        fields["base"] = base.id
    for need in link.needs:
        fields[f"needs {need}"] = before[need].fingerprint
    return History(hash_fields(fields), fields)


def recognised(image: Image) -> str:
    """Return the reason why an image of format 1 is reused."""
    return f"unchanged; made by {_maker(image)} as the same work"


def reasons(
    step: Step, image: Image, base: Image | None, old: Mapping[str, str], new: Mapping[str, str]
) -> tuple[dict[str, str], dict[str, str], list[str]]:
    """Return what can be compared of a step's inputs then and now, and why its image proves nothing.

    `image` is what format 1 left of the step, `old` are its inputs; `new` those of today, of format 1 where
    its history is known.
    """
    if new.get("format") == FORMAT:
        return dict(old), dict(new), []
    said = [f"made by {_maker(image)}, which {doubt}" for doubt in _doubts(step, base)]
    now = {name: value for name, value in new.items() if name.partition(" ")[0] not in _OF_FORMAT_2}
    then = {name: value for name, value in old.items() if name.partition(" ")[0] not in _OF_FORMAT_2}
    if step.platform or "platform" in old:
        then |= {"platform": old["platform"]} if "platform" in old else {}
        now |= {"platform": step.platform} if step.platform else {}
    return then, now, said


def run_again(image: Image, parent: StepId) -> str:
    """Return the reason why an image of format 1 does not do: its parent ran since."""
    return f"made by {_maker(image)}, and {parent} was run again since"


def _doubts(step: Step, base: Image | None) -> list[str]:
    said = [
        f"did not count owners in {mount.target}"
        for mount in step.mounts
        if mount.kind == "directory" and not mount.writable
    ]
    volumes = base.config.get("Volumes") if base is not None else None
    if isinstance(volumes, dict) and volumes:
        said.append(f"did not keep what is written below {min(volumes)}, a volume of the base")
    if any(option.name == "tty" and option.value == "true" for option in step.options):
        said.append("gave scripts no terminal")
    return said


def _maker(image: Image) -> str:
    return f"stalker {image.labels.get(labels.VERSION) or '0.1'}"
