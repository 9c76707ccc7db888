"""The plan of a tree on an engine: from the read tree to a verdict for each step and artifact."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from stalker.app.environment import cache_dir
from stalker.app.inputs import has_moving, has_unsettled
from stalker.plan.artifacts import plan_artifacts, steps_wanted
from stalker.plan.bases import find_bases
from stalker.plan.graph import link_steps, split_name
from stalker.plan.image_index import ImageIndex
from stalker.plan.layers import check_layers
from stalker.plan.verdicts import make_plan, needed_bases, select

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from stalker.app.settings import Settings, StepRequest
    from stalker.engine.docker.adapter import DockerEngine
    from stalker.engine.interface import BaseProvider
    from stalker.host.platform_support import Ground
    from stalker.model.tree import Base, Step, StepId, Tree
    from stalker.plan.graph import Links
    from stalker.plan.plan import Plan, Selection


@dataclass(slots=True)
class Planner:
    """Draws the plan of a tree on an engine; again whenever the engine's images have changed."""

    settings: Settings
    tree: Tree
    links: Links
    engine: DockerEngine
    selection: Selection
    say: Callable[[str], None]
    """Called with a line about what takes long."""
    yes: bool = False
    has_moving_inputs: bool = False
    """Inputs that no checksum pins: what they are was asked of their servers, or is in a lock file."""
    lock_note: str = ""
    """How much is taken from the tree's lock file, empty for nothing."""
    index: ImageIndex | None = None
    cautions: tuple[str, ...] = ()
    """Doubts about the platforms that have to run, found when the plan was drawn."""
    missing_platforms: set[str] = field(default_factory=set)
    """Platforms that have to run, and that the engine could run with an emulator."""
    _providers: dict[str, BaseProvider] = field(default_factory=dict)
    _ground: Ground | None = None

    @classmethod
    def of(
        cls,
        settings: Settings,
        tree: Tree,
        engine: DockerEngine,
        request: StepRequest,
        say: Callable[[str], None],
        *,
        yes: bool = False,
        secrets: Mapping[str, str] | None = None,
    ) -> Planner:
        """Link the tree's steps and turn names as typed into a selection; `secrets` are values read already.

        Raises:
            PlanError: a name is unknown, or an input is not in the lock where it has to be. FilesError: a secret that counts cannot be read. InputError: an input that
                no checksum pins is not available.
        """
        if any(source.counts for source in tree.secrets):
            # late: few trees have secrets that count, and the readers of files take 15 ms
            from stalker.config.tree.counted_secrets import with_counted_secrets

            tree = with_counted_secrets(tree, os.environ, secrets or {})
        is_moving = has_moving(tree)
        lock_note = ""
        if has_unsettled(tree):
            # late: few trees have inputs that are fetched, and the readers of files take 15 ms
            from stalker.app.lock import settle_locked

            tree, lock_note = settle_locked(tree, secrets or {}, os.environ, say, locked=request.locked)
        links = link_steps(tree)
        selection = select(
            links,
            start=split_name(request.start, tree) if request.start else None,
            until=[step for name in request.until for step in split_name(name, tree)]
            if request.until
            else None,
            only=split_name(request.only, tree) if request.only else None,
            no_cache=request.no_cache,
        )
        return cls(settings, tree, links, engine, selection, say, yes, is_moving, lock_note)

    def provider(self, platform: str) -> BaseProvider:
        """Return what provides bases for a platform, created on first use."""
        if platform not in self._providers:
            # late: httpx and what else a download takes (80 ms)
            from stalker.fetch.base.provider import Bases

            self._providers[platform] = Bases(
                self.engine,
                f"{cache_dir()}/downloads",
                self.settings.workspace,
                yes=self.yes,
                ask=self.settings.ask,
                platform=platform,
                read_system=_read_system,
            )
        return self._providers[platform]

    def draw(self) -> Plan:
        """Query the engine for its images and give each step its verdict."""
        check_layers(self.links, self.engine.layers_max)
        index = self.index = ImageIndex(self.engine.labelled_images(), self.engine.image)
        bases = find_bases(self.tree, index, self._obstacle)
        obstacles: dict[str, str] = {}
        self.cautions = ()
        self.missing_platforms.clear()

        def obstacle(platform: str) -> str:
            return self._platform_obstacle(platform, obstacles)

        plan = make_plan(self.links, index, bases, self.selection, obstacle)
        if needed := needed_bases(plan):
            bases = find_bases(self.tree, index, self._obstacle, needed)
            plan = make_plan(self.links, index, bases, self.selection, obstacle)
        if any(stalk.artifacts for stalk in self.tree.stalks):
            plan = self._with_artifacts(
                plan,
                lambda requested: make_plan(self.links, index, bases, self.selection, obstacle, requested),
            )
        self.cautions += tuple(text for action in plan.to_run if (text := self._vain_tracing(action.step)))
        return plan

    def _with_artifacts(self, plan: Plan, redraw: Callable[[frozenset[StepId]], Plan]) -> Plan:
        """Add the artifacts to a plan; it is drawn again when one needs an image that is missing."""
        # late: only trees that publish something need it (15 ms)
        from stalker.artifacts.store import look_at_all

        published = look_at_all(self.tree, cache_dir(), self.say)
        artifacts = plan_artifacts(plan, self.selection, published)
        missing = steps_wanted(artifacts.values()) - {action.id for action in plan.to_run}
        if missing:
            plan = redraw(missing)
            artifacts = plan_artifacts(plan, self.selection, published)
        return replace(plan, artifacts=artifacts)

    def forget_ground(self) -> None:
        """Query the engine again for the platforms that it runs: an emulator may have been registered."""
        self._ground = None

    def _ground_of(self) -> Ground:
        # late: only containers of another platform need it (15 ms)
        from stalker.host.platform_support import see_ground

        if self._ground is None:
            self._ground = see_ground(self.engine.info())
        return self._ground

    def _platform_obstacle(self, platform: str, known: dict[str, str]) -> str:
        """Return why containers of a platform cannot run on the engine, empty when they can."""
        from stalker.host.platform_support import MENDED, judge_platform  # late, as above

        if platform not in known:
            waived = dict(self.tree.hazards_waived)
            findings = [
                one for one in judge_platform(platform, self._ground_of())[0] if one.name not in waived
            ]
            wrong = [one for one in findings if one.state == "wrong"]
            if any(one.name in MENDED for one in wrong):
                self.missing_platforms.add(platform)
            self.cautions += tuple(
                f"{platform}: {one.what}; {one.remedy}" for one in findings if one not in wrong
            )
            known[platform] = "; ".join(f"{platform}: {one.what}: {one.remedy}" for one in wrong)
        return known[platform]

    def _vain_tracing(self, step: Step) -> str:
        """Return a warning for a step that requests what no emulator provides, else an empty text."""
        if not step.platform or "ptrace" in dict(self.tree.hazards_waived):
            return ""
        if not any(option.name == "cap_add" and "PTRACE" in option.value for option in step.options):
            return ""
        from stalker.host.platform_support import foreign_word  # late, as above

        if not foreign_word(step.platform, self._ground_of()):
            return ""
        return f"{step.id}: SYS_PTRACE is of no use in an emulator: gdb, strace and sandboxes built on it fail there"

    def _obstacle(self, base: Base, platform: str) -> str:
        return self.provider(platform).obstacle(base)


def _read_system(image: Path, called: str, root: int) -> Iterator[bytes]:
    from stalker.disk.system.find import find_system  # late: few trees start from a disk image (15 ms)
    from stalker.disk.system.members import system_tar

    return system_tar(find_system(image, called, root))
