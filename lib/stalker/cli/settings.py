"""What a command line settles for all that follows, and the straight line up to the plan."""

from __future__ import annotations

import os
import signal
import sys
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from stalker.engine.wire import Address
from stalker.errors import PlanError

if TYPE_CHECKING:
    from collections.abc import Callable

    from stalker.engine.docker import DockerEngine
    from stalker.engine.foreign import Ground
    from stalker.engine.interface import BaseProvider, Engine
    from stalker.model.tree import Base, Step, StepId, Tree
    from stalker.plan.actions import Plan, Selection
    from stalker.plan.graph import Links
    from stalker.plan.images import ImageIndex


@dataclass(frozen=True, slots=True)
class Settings:
    """Where the workspace is (absolute), and who may be asked."""

    workspace: str

    @property
    def is_interactive(self) -> bool:
        """Whether a person can answer a question."""
        return sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty()


@dataclass(frozen=True, slots=True)
class Wanted:
    """What of a tree was asked for, as typed."""

    start: str = ""
    until: str = ""
    only: str = ""
    no_cache: bool = False
    overrides: dict[str, str] = field(default_factory=dict)


def read_tree(settings: Settings, config: str, overrides: dict[str, str] | None = None) -> Tree:
    """Read a tree file with all that it names. Raises FilesError with all problems at once."""
    from stalker.config.compiled import read_tree_cached

    tree = read_tree_cached(config, settings.workspace, overrides or {})
    epoch_s = source_date_epoch() if any(stalk.artifacts for stalk in tree.stalks) else None
    return tree if epoch_s is None else _with_epoch(tree, epoch_s)


def _with_epoch(tree: Tree, epoch_s: int) -> Tree:
    """Give artifacts the latest time of the environment, where the tree does not say one."""
    stalks = tuple(
        replace(
            stalk,
            artifacts=tuple(
                replace(one, epoch_s=epoch_s) if one.epoch_s is None else one for one in stalk.artifacts
            ),
        )
        for stalk in tree.stalks
    )
    return replace(tree, stalks=stalks)


def source_date_epoch() -> int | None:
    """Return SOURCE_DATE_EPOCH of the environment, None when it is not set. Raises PlanError."""
    text = os.environ.get("SOURCE_DATE_EPOCH", "").strip()
    if not text:
        return None
    if not text.isascii() or not text.isdigit():
        raise PlanError(
            f"SOURCE_DATE_EPOCH={text} is no time", "", "set it to whole seconds since 1970, or unset it"
        )
    return int(text)


def read_names(settings: Settings, config: str) -> Tree:
    """Read a tree for its names; a note on stderr when stalk files have problems, which do not matter then.

    Raises FilesError when the tree's own file does not tell them.
    """
    from stalker.config.trees import read_names as names_of
    from stalker.errors import FilesError

    try:
        return read_tree(settings, config)
    except FilesError as error:
        tree = names_of(config, settings.workspace)
        print(f"stalker: {error.brief}, see `./stalker check {config}`; the names are known", file=sys.stderr)
        return tree


def connect() -> DockerEngine:
    """Reach the engine that answers. Raises NoEngine."""
    from stalker.engine.discovery import answering, find_address
    from stalker.engine.docker import DockerEngine
    from stalker.model.labels import CONTAINER, RUN, VERSION
    from stalker.run.owner import new_run_id

    address = answering(find_address(os.environ, os.path.expanduser("~"))).address  # noqa: PTH111
    return DockerEngine(address, {RUN: new_run_id(time.time()), VERSION: CONTAINER})


def end_as_by_ctrl_c() -> None:
    """Let whoever ends us politely (a service manager, a closed terminal) get the same clean stop as Ctrl-C."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:  # as under nohup
            signal.signal(number, signal.default_int_handler)


def cache_dir() -> Path:
    """Return the user's cache of ours."""
    root = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")  # noqa: PTH111
    return Path(root) / "stalker"


def bases_of(engine: Engine, settings: Settings, platform: str, *, yes: bool = False) -> BaseProvider:
    """Return who gets first images for a platform into the engine."""
    from stalker.fetch.bases import Bases

    ask = _ask if settings.is_interactive else None
    return Bases(engine, f"{cache_dir()}/downloads", settings.workspace, yes=yes, ask=ask, platform=platform)


def _ask(question: str) -> bool:
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in {"y", "yes"}


@dataclass(slots=True)
class Planner:
    """Draws the plan of a tree on an engine; again whenever the engine's images have changed."""

    settings: Settings
    tree: Tree
    links: Links
    engine: Engine
    selection: Selection
    yes: bool = False
    address: Address = field(default_factory=lambda: Address(""))
    index: ImageIndex | None = None
    say: Callable[[str], None] = lambda text: print(f"stalker: {text}", file=sys.stderr)
    """Who is told of what takes long."""
    cautions: tuple[str, ...] = ()
    """What is doubtful of the platforms that have to run, told when the plan was drawn."""
    _providers: dict[str, BaseProvider] = field(default_factory=dict)
    _ground: Ground | None = None
    _lacking: set[str] = field(default_factory=set)
    """Platforms that have to run and that an emulator would run."""

    @classmethod
    def of(
        cls, settings: Settings, tree: Tree, engine: DockerEngine, wanted: Wanted, *, yes: bool
    ) -> Planner:
        """Link the tree's steps and turn names as typed into a selection. Raises PlanError."""
        from stalker.plan.actions import select
        from stalker.plan.graph import link_steps, split_name

        links = link_steps(tree)
        selection = select(
            links,
            start=split_name(wanted.start, tree) if wanted.start else None,
            until=split_name(wanted.until, tree) if wanted.until else None,
            only=split_name(wanted.only, tree) if wanted.only else None,
            no_cache=wanted.no_cache,
        )
        return cls(settings, tree, links, engine, selection, yes, engine.address)

    def provider(self, platform: str) -> BaseProvider:
        """Who gives bases for a platform; made when first asked."""
        if platform not in self._providers:
            made = bases_of(self.engine, self.settings, platform, yes=self.yes)
            self._providers[platform] = made
        return self._providers[platform]

    def draw(self) -> Plan:
        """Ask the engine what is there and give each step its verdict."""
        from stalker.plan.actions import make_plan, needed_bases
        from stalker.plan.bases import find_bases
        from stalker.plan.images import ImageIndex
        from stalker.plan.layers import check_layers

        check_layers(self.links, self.engine.layers_max)
        index = self.index = ImageIndex(self.engine.labelled_images(), self.engine.image)
        bases = find_bases(self.tree, index, self._obstacle)
        told: dict[str, str] = {}
        self.cautions = ()
        self._lacking.clear()

        def obstacle(platform: str) -> str:
            return self._refused(platform, told)

        plan = make_plan(self.links, index, bases, self.selection, obstacle)
        if needed := needed_bases(plan):
            bases = find_bases(self.tree, index, self._obstacle, needed)
            plan = make_plan(self.links, index, bases, self.selection, obstacle)
        if any(stalk.artifacts for stalk in self.tree.stalks):
            plan = self._with_artifacts(
                plan, lambda asked: make_plan(self.links, index, bases, self.selection, obstacle, asked)
            )
        self.cautions += tuple(text for action in plan.to_run if (text := self._vain_tracing(action.step)))
        return plan

    def _with_artifacts(self, plan: Plan, again: Callable[[frozenset[StepId]], Plan]) -> Plan:
        """Add the artifacts to a plan; it is drawn again when one needs an image that is gone."""
        from stalker.image.shelf import look_at_all
        from stalker.plan.artifacts import plan_artifacts, steps_wanted

        standing = look_at_all(self.tree, cache_dir(), self.say)
        found = plan_artifacts(plan, self.selection, standing)
        wanted = steps_wanted(found.values()) - {action.id for action in plan.to_run}
        if wanted:
            plan = again(wanted)
            found = plan_artifacts(plan, self.selection, standing)
        return replace(plan, artifacts=found)

    def platforms_up(self) -> bool:
        """Make the engine run platforms that it lacks an emulator for, after a yes; return whether it may run more now."""
        lacking = sorted(self._lacking)
        if not lacking or not (self.yes or self.settings.is_interactive):
            return False
        from stalker.cli.engine import see_to_platform

        for platform in lacking:
            see_to_platform(self.settings, platform, yes=self.yes)
        self._ground = None
        return True

    def _ground_of(self) -> Ground:
        from stalker.engine.ground import see_ground

        if self._ground is None:
            self._ground = see_ground(self.engine.info())
        return self._ground

    def _refused(self, platform: str, told: dict[str, str]) -> str:
        """Say why containers of a platform cannot run on the engine, nothing when they can."""
        from stalker.engine.foreign import MENDED, judge_platform

        if platform not in told:
            waived = dict(self.tree.hazards_waived)
            found = [one for one in judge_platform(platform, self._ground_of())[0] if one.name not in waived]
            wrong = [one for one in found if one.state == "wrong"]
            if any(one.name in MENDED for one in wrong):
                self._lacking.add(platform)
            self.cautions += tuple(
                f"{platform}: {one.what}; {one.remedy}" for one in found if one not in wrong
            )
            told[platform] = "; ".join(f"{platform}: {one.what}: {one.remedy}" for one in wrong)
        return told[platform]

    def _vain_tracing(self, step: Step) -> str:
        """Say that a step asks for what no emulator has, nothing when it does not."""
        if not step.platform or "ptrace" in dict(self.tree.hazards_waived):
            return ""
        if not any(option.name == "cap_add" and "PTRACE" in option.value for option in step.options):
            return ""
        from stalker.engine.foreign import foreign_word

        if not foreign_word(step.platform, self._ground_of()):
            return ""
        return f"{step.id}: SYS_PTRACE is of no use in an emulator: gdb, strace and sandboxes built on it fail there"

    def _obstacle(self, base: Base, platform: str) -> str:
        return self.provider(platform).obstacle(base)


def parse_overrides(pairs: tuple[str, ...]) -> dict[str, str]:
    """Turn `--set VAR=VALUE` into a mapping. Raises PlanError."""
    found: dict[str, str] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name or name != name.upper() or not name.replace("_", "A").isalnum():
            raise PlanError(
                f"--set {pair}: not of the form VAR=VALUE",
                "",
                "variables are in upper case: --set CONFIG_SERIAL=2",
            )
        found[name] = value
    return found
