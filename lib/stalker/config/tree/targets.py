"""Paths in a container, checked together: two plugins at one path, and paths that are in no layer.

Checked by name alone. That two names lead to one file through links of the image shows when a step
places its files.
"""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING, Literal, NamedTuple

from stalker.config.docker_options.table import value_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from stalker.config.syntax.report import Report
    from stalker.config.tree.sysroot import Ground
    from stalker.model.diagnostics import Place
    from stalker.model.tree import Option

KERNEL = ("/dev", "/proc", "/sys")
"""File systems that the engine makes for each container."""

DOCKERS_OWN = frozenset({"/etc/hosts", "/etc/hostname", "/etc/resolv.conf"})
"""Files that the engine mounts into each container."""

_ELSEWHERE = "choose another path for one of the two"


class Target(NamedTuple):
    """A path in a container and the plugin that wants it; a `copy` is a file that stays."""

    path: str
    place: Place
    kind: Literal["file", "copy", "mount"]


def check_targets(targets: Iterable[Target], options: tuple[Option, ...], report: Report) -> None:
    """Report what plugins of one stalk cannot have: a taken path, or one that no image would hold."""
    taken: dict[str, Target] = {}
    for target in targets:
        other = taken.setdefault(target.path, target)
        if other is not target:
            what = f"two plugins want {target.path} in the container"
            report.problem(target.place, what, f"the other one stands at {other.place}")
    _Checker(taken, options, report).check(taken.values())


def check_ground(
    ground: Ground, targets: Iterable[Target], options: tuple[Option, ...], report: Report
) -> None:
    """Report where the sysroot and the plugins of a stalk meet, other than at one path: there the plugin wins."""
    own = {target.path: target for target in targets}
    files = [
        Target(file.target, file.place, "file")
        for file in ground.files
        if file.plugin == "sysroot" and file.target not in own
    ]
    mounts = [
        Target(mount.target, mount.place, "mount") for mount in ground.mounts if mount.target not in own
    ]
    _Checker(own, options, report).check([*files, *mounts])
    _Checker({target.path: target for target in (*files, *mounts)}, (), report).check_around(own.values())


class _Checker:
    """Checks targets against `taken` paths, the tmpfs of `options` and what the engine mounts itself."""

    def __init__(self, taken: Mapping[str, Target], options: tuple[Option, ...], report: Report) -> None:
        self.taken = taken
        self.report = report
        self.tmpfs: dict[str, Place] = {}
        for option in options:
            if option.name == "tmpfs":
                self.tmpfs = {posixpath.normpath(path): option.place for path in value_of(option)}

    def check(self, targets: Iterable[Target]) -> None:
        for target in targets:
            if target.kind == "mount":
                self.check_mount(target)
            elif not self.is_in_memory(target) and not self.is_dockers(target):
                self.check_around([target])

    def check_around(self, targets: Iterable[Target]) -> None:
        """Report files below another target: in a mount, or in a file as if it were a directory."""
        for target in targets:
            around = next((self.taken[path] for path in _above(target.path) if path in self.taken), None)
            if around is None or (target.kind == "mount" and around.kind == "mount"):
                continue
            if around.kind == "mount":
                what = f"{target.path} would be written into what is mounted at {around.path}"
                self.report.problem(target.place, what, f"the mount is at {around.place}; {_ELSEWHERE}")
            else:
                what = f"{target.path} is below {around.path}, which is a file"
                self.report.problem(target.place, what, f"the file is at {around.place}; {_ELSEWHERE}")

    def is_in_memory(self, target: Target) -> bool:
        """Report a file in a tmpfs of DOCKER_OPTS or of the engine."""
        for path in (target.path, *_above(target.path)):
            if path in self.tmpfs:
                what = f"{target.path} is in the tmpfs {path}, which no image holds"
                self.report.problem(target.place, what, f"the tmpfs is at {self.tmpfs[path]}; {_ELSEWHERE}")
                return True
            if path in KERNEL:
                what = f"{target.path} is in {path}, which the engine makes for each container and no image holds"
                self.report.problem(target.place, what, "choose another path")
                return True
        return False

    def is_dockers(self, target: Target) -> bool:
        """Report a copy over a file that the engine mounts."""
        if target.kind != "copy" or target.path not in DOCKERS_OWN:
            return False
        self.report.problem(
            target.place,
            f"{target.path} is the engine's own file in each container, so no image holds a copy",
            f"`write` it in the artifact that is made of the image, or let the system write it at its start;"
            f" `bind: {target.path}` is there while steps run",
        )
        return True

    def check_mount(self, target: Target) -> None:
        """Report a mount that the engine refuses."""
        inside = next((path for path in _above(target.path) if path in {"/proc", "/sys"}), "")
        if target.path in self.tmpfs:
            what = f"a mount at {target.path}, which is a tmpfs too"
            self.report.problem(
                target.place, what, f"the tmpfs is at {self.tmpfs[target.path]}; {_ELSEWHERE}"
            )
        elif inside or target.path in {"/dev", "/proc"} or target.path in DOCKERS_OWN:
            what = f"the engine cannot mount a directory at {target.path}"
            self.report.problem(target.place, what, "choose another path")
        else:
            self.check_around([target])


def _above(path: str) -> Iterator[str]:
    """Yield the directories above a path, innermost first, without the root."""
    while (path := path.rpartition("/")[0]) not in {"", "/"}:
        yield path
