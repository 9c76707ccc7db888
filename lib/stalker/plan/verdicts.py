"""Verdicts: what of a tree has to run, what is there already, and why, in words.

The rules, in the order in which they are asked:

1. A stalk with `pretend`, the steps before `skip_until`, and those outside `--only` are taken as they
   are committed, whatever made them.
2. A step runs when it was asked to (`--from`, `--no-cache`) or when a step that it grows on runs.
3. A step is reused when an image carries its fingerprint and grew on the very images that its
   inputs have now.
4. A step whose platform the engine cannot run is blocked, when it would have to run.
5. A step without an image runs, unless all that grows on it is there: a history that is no longer
   needed is not built again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from stalker.errors import PlanError
from stalker.model import labels
from stalker.model.identity import image_identity, platform_text
from stalker.model.images import Image, short_id
from stalker.plan import fingerprint, format_1
from stalker.plan.graph import reachable
from stalker.plan.image_index import ImageIndex, commit_of, duration_of, inputs_of, made_from
from stalker.plan.plan import Action, BaseAction, Plan, Selection

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from stalker.model.tree import Stalk, Step, StepId
    from stalker.plan.graph import Link, Links

REASONS_MAX = 3
"""More differences than this are counted, not listed."""


def select(
    links: Links,
    *,
    start: list[StepId] | None = None,
    until: list[StepId] | None = None,
    only: list[StepId] | None = None,
    no_cache: bool = False,
) -> Selection:
    """Turn `--from`, `--until`, `--only` and `--no-cache` into a selection.

    Raises:
        PlanError: `--from` names a step that the other options leave out.
    """
    considered = set(links.by_id) if until is None else links.ancestors(until)
    as_committed = {link.id for link in links if link.is_taken}
    if only is not None:
        considered &= links.ancestors(only)
        as_committed |= set(links.by_id) - set(only)
    runnable = considered - as_committed
    forced: set[StepId] = set()
    because = ""
    if start is not None:
        forced = links.descendants(start) & runnable
        because = f"asked for by --from {start[0]}"
        if not set(start) & runnable:
            raise PlanError(
                f"--from {start[0]}: nothing of it is left to run",
                "--until, --only, pretend or skip_until leave it out",
            )
    if no_cache:
        forced = runnable
        because = "asked for by --no-cache"
    return Selection(frozenset(considered), frozenset(as_committed & considered), frozenset(forced), because)


@dataclass(slots=True)
class _Draft:
    """One step while the plan is drawn."""

    link: Link
    inputs: dict[str, str]
    fingerprint: str
    candidates: list[Image]
    image: Image | None = None
    identity: str = ""
    platform: str = ""
    is_taken: bool = False
    before: format_1.History = format_1.UNKNOWN
    state: Literal["there", "missing", "stale"] = "missing"
    needed_by: str = ""
    must_run: bool = False


def make_plan(
    links: Links,
    index: ImageIndex,
    bases: Mapping[str, BaseAction],
    selection: Selection,
    obstacle: Callable[[str], str] = lambda _platform: "",
    asked: frozenset[StepId] = frozenset(),
) -> Plan:
    """Give each considered step its verdict; pure: everything it knows of the engine is in `index`.

    `obstacle` says why the engine cannot run a platform, empty when it can; it is asked for what must run.
    The images of `asked` are needed also where all that grows on them is there.
    """
    drafts = _draft(links, index, bases, selection)
    _settle(drafts, selection, asked)
    actions: dict[StepId, Action] = {}
    doers: dict[tuple[str, str], StepId] = {}
    for draft in drafts.values():
        action = _decide(draft, drafts, index, bases, selection, actions, obstacle)
        if action.verdict == "RUN" and action.fingerprint:
            above = actions.get(draft.link.parent) if draft.link.parent is not None else None
            grown_on = (above.commit or above.doer or "") if above is not None else ""
            first = doers.setdefault((action.fingerprint, grown_on), action.id)
            same = "" if first == action.id else f"; {first} is the same work, which runs once"
            action = replace(action, doer=first, reason=f"{action.reason}{same}")
        actions[action.id] = action
    used = {link.base_stalk for link in links if link.id in actions and link.base_stalk}
    return Plan(links, {name: base for name, base in bases.items() if name in used}, actions)


def _draft(
    links: Links, index: ImageIndex, bases: Mapping[str, BaseAction], selection: Selection
) -> dict[StepId, _Draft]:
    """Compute fingerprints and find the images that carry them, inputs before what grows on them."""
    shared: dict[tuple[int, ...], dict[str, str]] = {}
    drafts: dict[StepId, _Draft] = {}
    for link in links:
        if link.id not in selection.considered:
            continue
        draft = _Draft(link, {}, "", [], is_taken=link.id in selection.as_committed)
        drafts[link.id] = draft
        if draft.is_taken:
            draft.image = index.named(link.image_name)
            if draft.image is not None:
                _take(draft, draft.image, index)
            continue
        base = bases[link.base_stalk] if link.parent is None else None
        above = drafts[link.parent] if link.parent is not None else None
        grown_on = above.identity if above is not None else base.identity if base is not None else ""
        draft.platform = _platform(link.step, above, base)
        needs = {need: drafts[need].identity for need in link.needs}
        draft.inputs = fingerprint.whole_history(
            fingerprint.step_inputs(link.step, shared), link.parent, grown_on, needs, draft.platform
        )
        if not grown_on or not all(needs.values()):
            continue
        draft.fingerprint = draft.identity = fingerprint.hash_fields(draft.inputs)
        draft.candidates = index.with_fingerprint(draft.fingerprint, link.image_name)
        if not _accept(draft, drafts) and not draft.candidates and index.has_format_1:
            draft.before = format_1.history(
                link,
                draft.inputs,
                base.known if base is not None else None,
                {name: drafts[name].before for name in link.inputs},
            )
            if draft.before.fingerprint:
                draft.candidates = index.with_fingerprint(draft.before.fingerprint, link.image_name)
                _accept(draft, drafts)
    return drafts


def _take(draft: _Draft, image: Image, index: ImageIndex) -> None:
    """Take a step as it is committed, whatever made its image.

    An image that was derived from a step's image has its labels, but is another thing.
    """
    if image.labels.get(labels.FINGERPRINT) and not index.made_by_us(image):
        foreign = {name: text for name, text in image.labels.items() if not name.startswith(labels.PREFIX)}
        image = draft.image = replace(image, labels=foreign)
    draft.state = "there"
    made_as = image.labels.get(labels.FINGERPRINT)
    draft.platform = inputs_of(image).get("platform", "")
    if not made_as or not draft.platform:
        image = index.inspected(image)
        draft.platform = platform_text(draft.link.step.platform, image)
    draft.identity = made_as or image_identity(image)
    draft.before = format_1.History(made_as or image.id)


def _platform(step: Step, above: _Draft | None, base: BaseAction | None) -> str:
    """Return what a step runs as: its stalk's platform, else that of what it grows on."""
    if above is not None and not step.platform:
        return above.platform
    if base is None:
        return platform_text(step.platform, None)
    return platform_text(step.platform, base.known) or base.platform


def _accept(draft: _Draft, drafts: Mapping[StepId, _Draft]) -> bool:
    """Take the first candidate that grew on the images that its inputs have now; say whether one did."""
    image = next((image for image in draft.candidates if _fits(image, draft.link, drafts)), None)
    draft.image = image
    draft.state = "there" if image is not None else "stale" if draft.candidates else "missing"
    return image is not None


def _fits(image: Image, link: Link, drafts: Mapping[StepId, _Draft]) -> bool:
    """Return whether an image grew on the very images that its inputs have now."""
    grown_on = made_from(image)
    images = {before: drafts[before].image for before in link.inputs}
    return all(now is None or _grew_on(grown_on, before, now) for before, now in images.items())


def _grew_on(grown_on: Mapping[str, str], before: StepId, now: Image) -> bool:
    """Return whether the image of a step is one of those that another image was made from.

    What a step of another stalk left, which did the same work, names its parent by another name.
    """
    known = {grown_on[before]} if before in grown_on else set(grown_on.values())
    return commit_of(now) in known


def _settle(drafts: dict[StepId, _Draft], selection: Selection, asked: frozenset[StepId]) -> None:
    """Decide what must run: what is forced or stale, what is missing and needed, what grows on those."""
    has_children = {before for draft in drafts.values() for before in draft.link.inputs}
    starts = [
        name
        for name, draft in drafts.items()
        if not draft.is_taken
        and (
            name in selection.forced
            or draft.state == "stale"
            or (draft.state == "missing" and (name not in has_children or name in asked))
        )
    ]
    for name in reachable(_consequences(drafts), starts) if starts else ():
        drafts[name].must_run = True
    for draft in drafts.values():
        if draft.must_run:
            for before in draft.link.inputs:
                drafts[before].needed_by = drafts[before].needed_by or draft.link.id


def _consequences(drafts: Mapping[StepId, _Draft]) -> Any:
    """Return a `DiGraph` with an edge from each step to those that must run when it runs.

    What grows on it must, and what it grows on where that is missing.
    """
    import networkx as nx  # imported with the graph of the steps

    graph = nx.DiGraph()
    graph.add_nodes_from(drafts)
    pairs = [(before, name) for name, draft in drafts.items() for before in draft.link.inputs]
    graph.add_edges_from(pair for pair in pairs if not drafts[pair[1]].is_taken)
    missing = {name for name, draft in drafts.items() if draft.state == "missing" and not draft.is_taken}
    graph.add_edges_from((name, before) for before, name in pairs if before in missing)
    return graph


def _decide(
    draft: _Draft,
    drafts: Mapping[StepId, _Draft],
    index: ImageIndex,
    bases: Mapping[str, BaseAction],
    selection: Selection,
    actions: Mapping[StepId, Action],
    obstacle: Callable[[str], str],
) -> Action:
    link = draft.link
    if draft.is_taken:
        return _taken(draft)
    before = index.latest_of_step(link.image_name)
    action = Action(
        link,
        "REUSE",
        "unchanged",
        draft.fingerprint,
        draft.inputs,
        estimate_s=duration_of(before) if before is not None else None,
    )
    cause = next((name for name in link.inputs if actions[name].verdict == "BLOCKED"), None)
    if draft.must_run and cause:
        return replace(action, verdict="BLOCKED", reason=f"{cause} is blocked", cause=cause)
    if draft.must_run and link.step.platform and (refused := obstacle(link.step.platform)):
        return replace(action, verdict="BLOCKED", reason=refused)
    if draft.must_run and link.parent is None and bases[link.base_stalk].verdict == "BLOCKED":
        return replace(action, verdict="BLOCKED", reason=bases[link.base_stalk].reason)
    if draft.must_run:
        reason = _why_run(draft, drafts, index, bases, selection, before)
        return replace(action, verdict="RUN", reason=reason)
    if draft.image is None:
        return replace(action, reason="its image was removed, but what grows on it is there")
    start = _start(link, drafts, bases, index)
    return _with_names(_reuse(action, draft.image, index), draft.image, start, index)


def _taken(draft: _Draft) -> Action:
    link = draft.link
    if draft.image is not None:
        return Action(
            link,
            "REUSE",
            "taken as it is committed",
            image=draft.image.id,
            commit=commit_of(draft.image),
            made_as=draft.image.labels.get(labels.FINGERPRINT, ""),
        )
    if not draft.needed_by:
        return Action(link, "REUSE", f"there is no {link.image_name}, and nothing asks for it")
    return Action(
        link, "BLOCKED", f"{draft.needed_by} starts from {link.image_name}, which is not in the engine"
    )


def _reuse(action: Action, image: Image, index: ImageIndex) -> Action:
    name = action.link.image_name
    action = replace(action, commit=commit_of(image), made_as=image.labels[labels.FINGERPRINT])
    if action.made_as != action.fingerprint:
        action = replace(action, reason=format_1.recognised(image))
    action = replace(action, image=image.id)
    maker = image.labels.get(labels.STEP, "")
    is_new_here = maker != name and index.latest_of_step(name) is None
    if name not in image.tags and is_new_here and index.named(name) is None:
        # Within a tree the stalk's name says enough.
        is_near = maker.rpartition("/")[0] == name.rpartition("/")[0]
        shown = maker.rpartition("/")[2] if is_near else maker
        reason = f"the same work as {shown}, which is there ({short_id(image.id)})"
        return replace(action, reason=reason)
    return action


def _start(
    link: Link, drafts: Mapping[StepId, _Draft], bases: Mapping[str, BaseAction], index: ImageIndex
) -> Image | None:
    """Return what a stalk's first step started from, None for other steps and where that is gone."""
    if not link.is_first:
        return None
    if link.parent is not None:
        return drafts[link.parent].image
    base = bases[link.base_stalk]
    return base.known or (index.named(base.image) if base.image else None)


def _with_names(action: Action, image: Image, start: Image | None, index: ImageIndex) -> Action:
    """Add the names that have to be put back, and why; a tag is moved or removed by people, not by runs."""
    link = action.link
    due = {link.image_name: ("the tag", image)}
    if start is not None:
        due[f"{link.repository}:initial"] = ("the tag :initial", start)
    if link.is_last and link.step.name != "final":
        due[f"{link.repository}:final"] = ("the tag :final", image)
    wrong = {name: pair for name, pair in due.items() if name not in pair[1].tags}
    reasons = [action.reason]
    is_new_here = link.image_name in wrong and not action.reason.startswith("unchanged")
    for name, (called, there) in wrong.items():
        # Where the step's own name moved, `:final` went with it.
        if not is_new_here and not (name.endswith(":final") and link.image_name in wrong):
            reasons.append(_moved(called, name, there, index))
    names = tuple((name, there.id) for name, (_, there) in wrong.items())
    return replace(action, reason="; ".join(reasons), names=names)


def _moved(called: str, name: str, image: Image, index: ImageIndex) -> str:
    """Return what became of a name that belongs to an image."""
    other = index.named(name)
    if other is None:
        return f"{called} was removed; it comes back on {short_id(image.id)}"
    is_ours = bool(other.labels.get(labels.FINGERPRINT)) and index.made_by_us(other)
    whose = "now" if is_ours else "now, which no run made"
    return f"{called} points at {short_id(other.id)} {whose}; it goes back to {short_id(image.id)}"


def _why_run(
    draft: _Draft,
    drafts: Mapping[StepId, _Draft],
    index: ImageIndex,
    bases: Mapping[str, BaseAction],
    selection: Selection,
    before: Image | None,
) -> str:
    link = draft.link
    reasons: list[str] = []
    if before is None and draft.state == "missing" and link.id not in selection.forced:
        return _why_missing(draft, drafts, index, before)
    running = [name for name in link.inputs if drafts[name].must_run]
    if before is not None:
        known = set(running)
        old, new = inputs_of(before), draft.inputs
        if old.get("format") == format_1.FORMAT:
            base = bases[link.base_stalk].known if link.parent is None else None
            old, new, doubts = format_1.reasons(link.step, before, base, old, draft.before.inputs or new)
            reasons += doubts
        if link.parent is None and old.get("base") != new.get("base"):
            # What a person can find in the engine is an image's id.
            old = {**old, "base": made_from(before).get("initial") or old.get("base", "")}
            new = {**new, "base": bases[link.base_stalk].image}
        if link.parent is None and bases[link.base_stalk].verdict == "RUN":
            # Neither is known before it is made.
            new = {name: value for name, value in new.items() if name not in {"base", "platform"}}
            old = {name: value for name, value in old.items() if name not in {"base", "platform"}}
        reasons += [
            text
            for text in fingerprint.differences(link.step, old, new, link.parent)
            if not any(text.startswith((f"parent {name} ", f"needs {name} ")) for name in known)
        ]
    if link.id in selection.forced:
        reasons.append(selection.because)
    reasons += [f"{'parent' if name == link.parent else 'needs'} {name} ran" for name in running]
    if link.parent is None and bases[link.base_stalk].verdict == "RUN":
        reasons.append("its base is made new")
    if not reasons:
        reasons.append(_why_missing(draft, drafts, index, before))
    if len(reasons) > REASONS_MAX:
        reasons[REASONS_MAX - 1 :] = [f"and {len(reasons) - REASONS_MAX + 1} more changes"]
    return "; ".join(reasons)


def _why_missing(
    draft: _Draft, drafts: Mapping[StepId, _Draft], index: ImageIndex, before: Image | None
) -> str:
    name = draft.link.image_name
    if draft.state == "stale":
        grown_on = made_from(draft.candidates[0])
        for parent in draft.link.inputs:
            image = drafts[parent].image
            if image is None or _grew_on(grown_on, parent, image):
                continue
            if parent not in grown_on:
                return f"the same work is there, but not on this image of {parent} ({short_id(image.id)})"
            return f"{parent} was run again since ({short_id(image.id)})"
        return "what it grows on was run again since"
    other = index.by_name.get(name)
    if before is None and other is not None and other.labels.get(labels.STEP) != name:
        maker = other.labels.get(labels.STEP, "") if other.labels.get(labels.FINGERPRINT) else ""
        whose = f"the work of {maker}" if maker and index.made_by_us(other) else "which no run made"
        return f"not built yet; the tag {name} points at {short_id(other.id)}, {whose}"
    if before is not None and inputs_of(before).get("format") == format_1.FORMAT:
        then = made_from(before)
        for parent in draft.link.inputs:
            image = drafts[parent].image
            if image is not None and then.get(parent) != commit_of(image):
                return format_1.run_again(before, parent)
    if before is not None:
        return "its image was removed"
    failed = index.by_name.get(f"{name}.failed")
    if failed is not None and failed.labels.get(labels.FAILED) == name and inputs_of(failed) == draft.inputs:
        return f"it failed in run {failed.labels.get(labels.RUN, '')}"
    return "not built yet"


def needed_bases(plan: Plan) -> frozenset[str]:
    """Return the stalks whose base is only remembered, though a step has to run on it."""
    return frozenset(
        base.stalk
        for base in plan.bases.values()
        if base.remembered
        and any(
            action.verdict != "REUSE" and action.link.parent is None and action.link.base_stalk == base.stalk
            for action in plan.actions.values()
        )
    )


def initial_name(stalk: Stalk) -> str:
    """Return the name of what a stalk starts from."""
    return f"{stalk.repository}:initial"
