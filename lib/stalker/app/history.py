"""Use cases of the history of images: what a run keeps for later questions, and which step did what."""

from __future__ import annotations

import contextlib
import json
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stalker.errors import PlanError
from stalker.history.causes import causes
from stalker.history.run_record import read_record
from stalker.journal.inputs import InputStore
from stalker.journal.reader import RUNS, run_journal
from stalker.model.program import program

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stalker.app.settings import Settings
    from stalker.engine.interface import Engine
    from stalker.history.blame import Line, Touch
    from stalker.history.chain import State
    from stalker.history.layers import Layers, Seen
    from stalker.history.look import Looker, Sight
    from stalker.history.run_record import StepRecord
    from stalker.model.images import Image
    from stalker.model.tree import Step, StepId, Tree
    from stalker.plan.image_index import ImageIndex
    from stalker.plan.plan import Plan


def keep_inputs(plan: Plan) -> None:
    """Keep the inputs of the steps that run, their scripts and placed files, for later comparisons.

    A full disk does not end the run: what is missing is then shown by its digest.
    """
    tree = plan.links.tree
    store = InputStore(Path(tree.workspace) / tree.log_dir)
    with contextlib.suppress(OSError):
        for action in plan.to_run:
            step = action.step
            store.keep_fields(action.fingerprint, action.inputs)
            store.keep_text(step.script.digest, step.script.content)
            for file in (*step.files, *step.copies, *step.late_copies):
                if file.content is not None:
                    store.keep_text(file.digest, file.content)


# Blame


@dataclass(frozen=True, slots=True)
class Blame:
    """What each step did, the oldest first. `path` is the real one, links followed; empty for a whole image."""

    states: tuple[State, ...]
    touches: tuple[Touch, ...]
    path: str = ""


def blame_all(engine: Engine, image: Image, *, with_rewritten: bool, below: str = "") -> Blame:
    """Say of each path of an image, or of those below a directory, which step touched it last."""
    from stalker.history.blame import last_touches
    from stalker.history.chain import chain_of

    states = chain_of(engine, image)
    found = last_touches(states, known_layers().states(engine, states), with_rewritten=with_rewritten)
    inside = below.rstrip("/") + "/"
    return Blame(tuple(states), tuple(touch for touch in found if touch.path.startswith(inside)), below)


def blame_path(engine: Engine, image: Image, path: str, *, with_rewritten: bool) -> Blame:
    """Return which steps touched a path of an image; of a directory also what is below it.

    Raises:
        PlanError: no state ever had it.
    """
    from stalker.history.blame import touches

    states, real, sights = _looked(engine, image, path, with_content=False)
    found = touches(real, states, [sight.seen if sight else None for sight in sights])
    if not with_rewritten:
        found = [touch for touch in found if touch.letter != "="]
    last = sights[-1]
    if last is not None and last.seen.entry.kind == "folder":
        below = blame_all(engine, image, with_rewritten=with_rewritten, below=real)
        return Blame(below.states, (*found, *below.touches), real)
    return Blame(tuple(states), tuple(found), real)


def blame_lines(engine: Engine, image: Image, path: str) -> tuple[str, list[Line]]:
    """Return the real path of a text, and its lines, each with the step that brought it. Raises PlanError."""
    from stalker.history.blame import lines_of

    states, real, sights = _looked(engine, image, path, with_content=True)
    contents = [sight.content if sight and sight.seen.entry.kind == "file" else None for sight in sights]
    return real, lines_of(real, states, contents)


def _looked(
    engine: Engine, image: Image, path: str, *, with_content: bool
) -> tuple[list[State], str, list[Sight | None]]:
    """Return the states of an image, the real path, and what each state has there."""
    from stalker.history.chain import chain_of
    from stalker.history.look import resolved, sight_of

    if not path.startswith("/") or not path.strip("/"):
        raise PlanError(f"{path}: not an absolute path of a file or directory", "", "begin it with /")
    looker = looker_on(engine)
    with looker.opened(image.id) as container:

        def look(here: str) -> Seen | None:
            sight = sight_of(engine, container, here)
            return sight.seen if sight else None

        real = resolved(path, look)
    states = chain_of(engine, image)
    sights = looker.each([state.image.id for state in states], real, with_content=with_content)
    if not any(sights):
        raise _never_there(real, len(states))
    return states, real, sights


def _never_there(path: str, count: int) -> PlanError:
    from stalker.rootfs.overlay import MTAB, STUBS, is_left_out

    inside = path.lstrip("/").encode("utf-8", "surrogateescape")
    if is_left_out(inside) or inside in STUBS or inside == MTAB:
        why = "the engine puts it into each container, it is never in an image"
        return PlanError(f"no step touched {path}", why)
    why = f"none of its {count} states has it" if count > 1 else "its only state does not have it"
    return PlanError(f"no step touched {path}", why, "is the path spelled as in the image?")


def looker_on(engine: Engine) -> Looker:
    """Return what reads paths of images of an engine."""
    from stalker.engine.run_id import new_run_id
    from stalker.history.look import Looker
    from stalker.model.labels import CONTAINER, RUN, VERSION

    return Looker(engine, {RUN: new_run_id(time.time()), VERSION: CONTAINER})


def known_layers() -> Layers:
    """Return the listings of layers in the user's cache."""
    from stalker.app.environment import cache_dir
    from stalker.history.layers import Layers

    return Layers(cache_dir() / "layers")


def titles(states: Sequence[State]) -> dict[str, str]:
    """Return by image id what each state is called, with the missing steps before it where there are any."""
    found = {}
    before = ""
    for state in states:
        found[state.image.id] = state.title
        if state.gap:
            missing = f"{', '.join(state.gap)} {'is' if len(state.gap) == 1 else 'are'} missing"
            found[state.image.id] = f"between {before or 'nothing'} and {state.title} ({missing})"
        before = state.title
    return found


# Causes


@dataclass(frozen=True, slots=True)
class ImageOrigins:
    """What was made under a fingerprint, as images say, and where those are removed `logs/inputs`.

    `names` are further steps by fingerprint, as the journals of two runs have them.
    """

    images: dict[str, Image]
    store: InputStore
    names: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, engine: Engine | None, log_dir: Path, names: dict[str, str] | None = None) -> ImageOrigins:
        """Ask an engine, if there is one, for its images."""
        from stalker.model.labels import FINGERPRINT

        images = engine.labelled_images() if engine is not None else []
        by_fingerprint = {image.labels.get(FINGERPRINT, ""): image for image in images}
        return cls(by_fingerprint, InputStore(log_dir), names or {})

    def fields(self, fingerprint: str) -> dict[str, str] | None:
        """Return the inputs, None where they are no longer known."""
        from stalker.plan.image_index import inputs_of

        image = self.images.get(fingerprint)
        return (inputs_of(image) if image is not None else {}) or self.store.fields(fingerprint)

    def name(self, fingerprint: str) -> str:
        """Return the step as `stalk:step`, empty where that is not known."""
        from stalker.history.chain import step_of

        image = self.images.get(fingerprint)
        return self.names.get(fingerprint) or (step_of(image) if image is not None else "")

    def text(self, digest: str) -> bytes | None:
        """Return a script or placed file by its digest, None where it was not kept."""
        return self.store.text(digest)


def cause_lines(step: str, old: str, new: str, origins: ImageOrigins) -> list[str]:
    """Return why two builds of a step differ, as lines for people: each cause, its way, its difference."""
    from stalker.history.causes import cause_text, text_diff
    from stalker.model.escaping import shown

    lines = []
    for cause in causes(step, old, new, origins):
        way = "" if len(cause.way) == 1 else f" (by way of {' <- '.join(reversed(cause.way[:-1]))})"
        lines.append(shown(f"{cause.step}: {cause_text(cause)}{way}"))
        lines += [f"    {shown(line)}" for line in text_diff(cause, origins)]
    return lines


def log_dir_of(settings: Settings, tree: Tree | None = None) -> Path:
    """Return where logs are: as the tree says, else `logs`."""
    return Path(settings.workspace) / (tree.log_dir if tree is not None else "logs")


def log_dir_of_state(settings: Settings, state: State) -> Path:
    """Return where the logs of the tree are that left a state, as its image says; `logs` for a base."""
    from stalker.model.labels import LOG

    log = state.image.labels.get(LOG, "") if state.step else ""
    return Path(settings.workspace, log).parents[1] if log.count("/") > 1 else log_dir_of(settings)


def input_diffs(plan: Plan, index: ImageIndex, log_dir: Path) -> dict[StepId, list[str]]:
    """Return for each step that runs again how its script and placed files differ from those of its last image.

    What earlier runs had is in `logs/inputs`; a text that is missing there has no lines.
    """
    from stalker.history.causes import Cause, text_diff
    from stalker.plan.image_index import inputs_of

    found: dict[StepId, list[str]] = {}
    for action in plan.to_run:
        image = index.latest_of_step(action.link.image_name)
        old = inputs_of(image) if image is not None else {}
        if not old or not action.inputs:
            continue
        texts = _StepTexts(action.step, InputStore(log_dir))
        for name in sorted(old.keys() | action.inputs.keys()):
            if old.get(name) != action.inputs.get(name):
                cause = Cause((action.id,), name, old.get(name), action.inputs.get(name))
                found.setdefault(action.id, []).extend(text_diff(cause, texts))
    return {step: lines for step, lines in found.items() if lines}


@dataclass(frozen=True, slots=True)
class _StepTexts:
    """The texts of a step as its files have them now, else as an earlier run had them."""

    step: Step
    store: InputStore

    def text(self, digest: str) -> bytes | None:
        """Return a script or placed file by its digest."""
        if digest == self.step.script.digest:
            return self.step.script.content
        files = (*self.step.files, *self.step.copies, *self.step.late_copies)
        own = next((file.content for file in files if file.digest == digest), None)
        return own if own is not None else self.store.text(digest)


# Reports


def report_document(workspace: Path, log_dir: Path, run: str) -> dict[str, Any]:
    """Return a run as data: by its id or the beginning of one, the newest for an empty one. Raises PlanError."""
    from stalker.history.report import Sources, document_of
    from stalker.journal.reader import JOURNAL, run_journal

    found = find_run(log_dir, run) if run else ""
    if run and not found:
        raise PlanError(f"there is no run {run}", "", f"`{program()} log` lists the runs")
    journal = run_journal(log_dir, found) if found else log_dir / JOURNAL
    store = InputStore(log_dir)

    def script(step: StepRecord) -> str:
        digest = (store.fields(step.fingerprint) or {}).get("script", "")
        return (store.text(digest) or b"").decode("utf-8", "replace")

    return document_of(read_record(journal), Sources(script, lambda log: last_lines(workspace / log)))


REPORT_ENDINGS = (".html", ".json")


def check_report_name(output: str) -> None:
    """Raise PlanError unless a report can be written to a file of this name."""
    if not output.endswith(REPORT_ENDINGS):
        raise PlanError(
            f"{output} ends neither in .html nor in .json", "", "name the kind of report by its ending"
        )
    if not Path(output).parent.is_dir():
        raise PlanError(f"{output} cannot be written: there is no directory {Path(output).parent}")


def write_report(output: str, workspace: Path, log_dir: Path, run: str) -> str:
    """Write the report of a run, as a page or as data by the ending of `output`; return the run's id.

    `run` is as for `report_document`. Raises PlanError.
    """
    from stalker.history.report import page_of

    document = report_document(workspace, log_dir, run)
    text = json.dumps(document, indent=1) + "\n" if output.endswith(".json") else page_of(document)
    try:
        Path(output).write_text(text, encoding="utf-8", errors="replace")
    except OSError as error:
        raise PlanError(f"{output} cannot be written: {error.strerror}") from error
    return str(document["run"])


LOG_END_BYTES = 8192


def last_lines(log: Path) -> list[str]:
    """Return the last lines of a log, none where it does not exist."""
    try:
        with log.open("rb") as stream:
            stream.seek(0, os.SEEK_END)
            stream.seek(max(0, stream.tell() - LOG_END_BYTES))
            return stream.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return []


def find_run(log_dir: Path, text: str) -> str:
    """Return the run that is meant by its id or the beginning of one, empty when none is.

    Raises:
        PlanError: more than one begins so.
    """
    if not text or "/" in text or text.startswith("."):
        return ""
    if run_journal(log_dir, text).exists():
        return text
    found = sorted(path.parent.name for path in (log_dir / RUNS).glob(f"{_literal(text)}*/eliot.txt"))
    if len(found) > 1:
        raise PlanError(f"{len(found)} runs begin with {text}", "\n".join(found), "give more of the id")
    return found[0] if found else ""


def _literal(text: str) -> str:
    return "".join(f"[{char}]" if char in "*?[" else char for char in text)
