"""Make an engine of this host run containers of a platform: register an emulator with its kernel.

    runs already           ->  say so
    an emulator is here    ->  register it, with flags O, C and F
    we are root            ->  install one with the system's package manager; then as above
    an engine answers      ->  register one out of a toolbox image, in a container that may mount

Nothing is changed before a yes to all of it. What is registered holds for the whole machine and until it is switched off.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from stalker.engine.interface import ContainerSpec
from stalker.errors import EngineError
from stalker.formats.elf import MACHINES, needs_loader
from stalker.host import binfmt
from stalker.host.platform_support import MENDED, find_emulator, foreign_word, judge_platform, see_ground
from stalker.model.diagnostics import Place
from stalker.model.platforms import parse_platform
from stalker.model.program import program
from stalker.model.tree import Option

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from stalker.engine.interface import Engine
    from stalker.host.binfmt import Emulator
    from stalker.host.install_engine import Host

LIMIT_S = 1800.0
STALK = "toolbox_binfmt"
"""The stalk of the toolbox whose image holds emulators."""

IN_TOOLBOX = "/usr/libexec/qemu-binfmt/{0}-binfmt-P"

PACKAGES = {
    "apt-get": ("apt-get", "install", "-y", "--no-install-recommends", "qemu-user-static"),
    "dnf": ("dnf", "install", "-y", "qemu-user-static"),
    "zypper": ("zypper", "--non-interactive", "install", "qemu-linux-user"),
    "pacman": ("pacman", "-Sy", "--noconfirm", "qemu-user-static"),
}

WANTED = frozenset("CF")

_SCRIPT = """
set -eu
d=/tmp/binfmt_misc
mkdir -p $d
mount -t binfmt_misc binfmt_misc $d
[ -z "$BEFORE" ] || [ ! -e "$d/$BEFORE" ] || echo -1 >"$d/$BEFORE"
printf %s "$LINE" >$d/register
"""


@dataclass(frozen=True, slots=True)
class _Consent:
    """Who says whether this host may be changed for a platform: `yes` was given, or `ask` is a person's answer."""

    platform: str
    yes: bool
    ask: Callable[[str], bool] | None

    def require(self, changes: str) -> None:
        """Ask about all that will be changed. Raises EngineError."""
        if self.yes or (self.ask is not None and self.ask(f"For {self.platform}: {changes}. Do that now?")):
            return
        raise EngineError(
            f"no emulator for {self.platform} was registered",
            f"it takes: {changes}" if self.ask is None else "the answer was no",
            f"{program()} engine up --yes --platform {self.platform}",
        )


def platform_up(
    platform: str,
    engine: Engine,
    host: Host,
    *,
    yes: bool,
    ask: Callable[[str], bool] | None,
    say: Callable[[str], None],
    image_of: Callable[[str], str],
    labels: Mapping[str, str],
) -> None:
    """See to it that containers of `platform` run; `yes`, `ask` and `say` as in `engine_up`.

    `image_of` makes the image of a stalk of the toolbox and returns its id. `labels` are put on a
    container of ours.

    Raises:
        EngineError: it cannot be done, with the command that the user must run, if there is one.
    """
    name = str(parse_platform(platform))
    ground = see_ground(engine.info())
    word = foreign_word(platform, ground)
    if not word:
        say(f"{name}: the engine is {ground.architecture} and runs it by itself")
        return
    if ground.emulators is None:
        raise EngineError(
            f"{name}: nothing can be registered for this engine from here",
            "it is not on this host, or in a virtual machine with a kernel of its own",
            f"on its own host: {program()} engine up --platform {name}",
        )
    hazards, how = judge_platform(platform, ground)
    hazards = [hazard for hazard in hazards if hazard.name in MENDED]
    if not hazards:
        say(f"{name}: {how}")
        return
    if word not in MACHINES:
        raise EngineError(
            f"{name}: no emulator of it is known here", "", "use an engine of that architecture"
        )
    before = find_emulator(word, ground.emulators)
    for hazard in hazards:
        say(f"{name}: {hazard.what}")
    consent = _Consent(name, yes, ask)
    toolbox = _Toolbox(engine, image_of, labels)
    if host.is_root:
        _register_here(word, before, host, consent, say, toolbox)
    else:
        toolbox.register(word, before, consent, say)
    after, how = judge_platform(platform, see_ground(engine.info()))
    if any(hazard.state == "wrong" for hazard in after):
        raise EngineError(f"{name}: still does not run", after[0].what, after[0].remedy)
    say(f"{name}: {how}")
    say("it holds for the whole machine until that is switched off; then run this again")


def _register_here(
    word: str,
    before: Emulator | None,
    host: Host,
    consent: _Consent,
    say: Callable[[str], None],
    or_else: _Toolbox,
) -> None:
    """Register as root of this host, after one question about all that this changes."""
    is_off = before is not None and not before.is_enabled and set(before.flags) >= WANTED
    disabled = before if is_off else None
    interpreter, flags = ("", "") if disabled else _interpreter(word, before, host)
    command = next((command for program, command in PACKAGES.items() if host.program(program)), None)
    if not (disabled or interpreter or command):
        or_else.register(word, before, consent, say)
        return
    changes = [] if binfmt.is_mounted() else [f"mount binfmt_misc on {binfmt.BINFMT}"]
    if disabled is not None:
        changes.append(f"enable {disabled.name}")
    else:
        changes += [] if interpreter or command is None else [f"install emulators ({' '.join(command)})"]
        changes.append(f"register an emulator for {word} with this kernel")
    consent.require(", ".join(changes))
    binfmt.mount(host, say)
    if disabled is not None:
        binfmt.enable(disabled)
        say(f"enabled {disabled.name}; undo: echo 0 > {binfmt.BINFMT}/{disabled.name}")
        return
    if not interpreter:
        assert command is not None
        if not _installed(word, command, host, say):
            or_else.register(word, before, replace(consent, yes=True), say)
            return
    # Before the mount nothing was seen of what is registered; and a package may register its own, without flag C.
    before = find_emulator(word, binfmt.read_emulators())
    interpreter, flags = _interpreter(word, before, host)
    entry = binfmt.new_entry(word, interpreter, flags)
    binfmt.register(entry, before, word)
    _tell(entry, before, say)


def _interpreter(word: str, before: Emulator | None, host: Host) -> tuple[str, str]:
    """Return the emulator to register and its flags: the one that is registered now, when it is of use."""
    if (
        before is not None
        and Path(before.interpreter).is_file()
        and not needs_loader(Path(before.interpreter))
    ):
        return before.interpreter, "POCF" if "P" in before.flags else "OCF"
    return binfmt.find_interpreter(word, host)


def _installed(word: str, command: Sequence[str], host: Host, say: Callable[[str], None]) -> bool:
    """Install emulators with the package manager; False when that fails."""
    say(f"installing emulators: {' '.join(command)}")
    failure = host.run(command, LIMIT_S)
    if failure is not None and command[0] == "apt-get":
        failure = host.run(["apt-get", "update"], LIMIT_S) or host.run(command, LIMIT_S)
    if failure is not None:
        say(f"that failed: {failure.splitlines()[-1]}")
        return False
    return bool(binfmt.find_interpreter(word, host)[0])


class _Toolbox:
    """Registers out of an image of the toolbox: it needs no root of this host.

    Of root's rights its container has only that to mount, and no network.
    """

    def __init__(self, engine: Engine, image_of: Callable[[str], str], labels: Mapping[str, str]) -> None:
        self._engine = engine
        self._image_of = image_of
        self._labels = labels

    def register(
        self, word: str, before: Emulator | None, consent: _Consent, say: Callable[[str], None]
    ) -> None:
        """Register after a yes. The kernel keeps the emulator open when image and container are gone."""
        changes = (
            f"register an emulator for {word} with this kernel, from a container that may mount file systems"
        )
        consent.require(changes)
        say(f"registering an emulator for {word} from the toolbox, in a container with the right SYS_ADMIN")
        entry = binfmt.new_entry(word, IN_TOOLBOX.format(word), "POCF")
        spec = ContainerSpec(
            self._image_of(STALK),
            f"stalker-binfmt-{uuid.uuid4().hex[:12]}",
            self._labels,
            options=(
                _option("cap_drop", '["ALL"]'),
                _option("cap_add", '["SYS_ADMIN"]'),
                _option("security_opt", '["apparmor=unconfined"]'),
                _option("network", '"none"'),
            ),
        )
        said: list[bytes] = []
        container = self._engine.create(spec)
        try:
            self._engine.start(container)
            environment = {"LINE": entry.line, "BEFORE": before.name if before else ""}
            code = self._engine.exec(
                container, ["/bin/sh", "-c", _SCRIPT], environment, lambda data, _: said.append(data)
            )
        finally:
            self._engine.remove_container(container)
        if code != 0:
            raise EngineError(
                f"the kernel did not take an emulator for {word}",
                b"".join(said).decode("utf-8", "replace").strip(),
                "as root: apt-get install qemu-user-static, then run this again",
            )
        _tell(replace(entry, interpreter=f"{entry.interpreter} of the toolbox"), before, say)


def _option(name: str, value: str) -> Option:
    return Option(name, value, counts=False, place=Place("toolbox"))


def _tell(entry: Emulator, before: Emulator | None, say: Callable[[str], None]) -> None:
    """Return what was changed and how to undo it."""
    instead = f" in place of {before.name} with flags {before.flags or 'none'}" if before else ""
    say(f"registered {entry.interpreter} as {entry.name} with flags {entry.flags}{instead}")
    say(f"undo, as root: {binfmt.undo(entry, before)}")
