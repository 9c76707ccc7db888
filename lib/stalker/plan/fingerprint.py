"""What a step is: a hash over its whole history, and the inputs it was made of, by name.

The inputs are a flat mapping `field -> value`: short values as they are, contents as digests. The
hash covers the fields sorted by name, each framed by its length, so that no two different sets of
inputs spell the same bytes. The same mapping is kept in a label of the image; comparing two of them
gives the reason why a step runs again.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from stalker.model.tree import File, Step, StepId
    from stalker.model.variables import Variable

FORMAT = "2"
"""Changes when the meaning of a field changes, so that older images are not taken for equal; `format_1` knows
what came before."""

_CODE = " (hmac-sha256 "
"""Begins the code of a secret that counts; `shown` keeps texts that look so out of such fields."""

SHOWN_MAX = 200
"""Longer values are kept as their beginning and a digest: labels travel with every listing."""

FILES_MAX = 256
"""More placed files than this are one field: a label of thousands of lines slows every listing."""


def digest(data: bytes) -> str:
    """Return the SHA-256 of some bytes in hex."""
    return hashlib.sha256(data).hexdigest()


def hash_fields(fields: Mapping[str, str]) -> str:
    """Return the SHA-256 (hex) over fields sorted by name, names and values framed by length."""
    texts = [text for pair in sorted(fields.items()) for text in pair]
    framed = "".join([f"{len(text)}:{text}" for text in texts])
    if framed.isascii():  # as most are: one encoding of all takes half the time
        return digest(framed.encode())
    encoded = (text.encode("utf-8", "surrogateescape") for text in texts)
    return digest(b"".join(b"%d:%s" % (len(data), data) for data in encoded))


def step_inputs(step: Step, shared: dict[tuple[int, ...], dict[str, str]] | None = None) -> dict[str, str]:
    """Return what of a step decides its result, except what it grows on.

    `shared` keeps the part that steps of a stalk have in common, by the identity of their tuples:
    10,000 steps are then read once a stalk.
    """
    fields = {"format": FORMAT, "script": step.script.digest}
    fields.update(_variables(step.variables, ""))
    fields.update(_stalk_part(step, shared if shared is not None else {}))
    fields.update(_files("copy", step.copies))
    fields.update(_files("late copy", step.late_copies))
    if step.daemonize:
        fields["daemonize"] = "true"
    return fields


def _stalk_part(step: Step, shared: dict[tuple[int, ...], dict[str, str]]) -> dict[str, str]:
    key = (id(step.files), id(step.mounts), id(step.options), id(step.environment))
    known = shared.get(key)
    if known is not None:
        return known
    fields = _files("file", step.files)
    for name, value in step.environment:
        fields[f"envplugin {name}"] = shown(value)
    for mount in step.mounts:
        how = "rw" if mount.writable else "ro"
        if mount.kind == "store" or mount.writable:
            fields[f"{mount.kind} {mount.target}"] = f"{mount.source} {how}"
        else:
            fields[f"directory {mount.target}"] = mount.digest
    for option in step.options:
        if option.counts:
            fields[f"option {option.name}"] = shown(option.value)
    shared[key] = fields
    return fields


def _variables(variables: Iterable[Variable], where: str) -> dict[str, str]:
    return {
        f"variable {variable.name}{where}": _secret(variable) if variable.secret else shown(variable.value)
        for variable in variables
    }


def _secret(variable: Variable) -> str:
    code = f"{_CODE}{variable.code})" if variable.code else ""
    return f"secret {variable.secret}{code}"


def without_code(value: str) -> str:
    """Return the field of a secret without the code of its value, any other field as it is."""
    name, code, _ = value.partition(_CODE)
    return name if code and name.startswith("secret ") else value


def _files(kind: str, files: tuple[File, ...]) -> dict[str, str]:
    fields: dict[str, str] = {}
    for file in files:
        fields[f"{kind} {file.target}"] = f"-> {file.link}" if file.link else f"{file.mode:04o} {file.digest}"
        fields.update(_variables(file.variables, f" in {file.plugin}"))
    if len(files) > FILES_MAX:
        return {f"{kind}s": hash_fields(fields)}
    return fields


def shown(value: str) -> str:
    """Return a value for a field of inputs: a long one as its beginning and a digest.

    So is one that reads as what else may be in its field, a secret's name or such a digest.
    """
    if len(value) <= SHOWN_MAX and not value.startswith("secret ") and " (sha256 " not in value:
        return value
    return f"{value[:60]}... (sha256 {digest(value.encode('utf-8', 'surrogateescape'))})"


def whole_history(
    inputs: Mapping[str, str],
    parent: StepId | None,
    parent_identity: str,
    needs: Mapping[StepId, str],
    platform: str,
) -> dict[str, str]:
    """Return the inputs with what the step grows on and runs as; its hash is the fingerprint.

    `parent_identity` is the parent's fingerprint, or the base's identity when there is no parent.
    """
    fields = {**inputs, "platform": platform}
    # Not by its name: two variants share all steps up to the first in which they differ.
    fields["base" if parent is None else "parent"] = parent_identity
    for need, identity in needs.items():
        fields[f"needs {need}"] = identity
    return fields


def differences(
    step: Step, old: Mapping[str, str], new: Mapping[str, str], parent: StepId | None = None
) -> list[str]:
    """Say in words which inputs differ, what the step grows on last; `parent` is the step's parent now."""
    said = []
    grown = []
    for name in sorted(set(old) | set(new)):
        if old.get(name) == new.get(name):
            continue
        kind, _, rest = name.partition(" ")
        if kind in {"parent", "needs", "base"}:
            if name in new:
                grown.append(_grown(kind, rest or parent or "", old.get(name, ""), new[name]))
        else:
            said.append(_said(step, kind, rest, old.get(name), new.get(name)))
    return said + grown


def _grown(kind: str, rest: str, old: str, new: str) -> str:
    if kind == "base":
        if not old:
            return "it starts from a base now"
        return f"base image is another one: {_short(old)} -> {_short(new)}"
    if not old:
        return f"{kind} {rest} is new"
    return f"{kind} {rest} is another one"


def _short(identity: str) -> str:
    return identity.removeprefix("sha256:")[:12]


def _said(step: Step, kind: str, rest: str, old: str | None, new: str | None) -> str:
    if kind == "script":
        return f"script changed ({step.script.place.short})"
    if kind == "format":
        return "it was made by another version of stalker"
    if kind in {"file", "copy", "late", "files", "copys"}:
        target = rest.removeprefix("copy ")
        return _said_of_file(step, target, old, new)
    if kind == "directory":
        return f"directory {rest} changed"
    if old and new and _CODE in old and _CODE in new and without_code(old) == without_code(new):
        return f"{without_code(new)} has another value"
    before = "(not set)" if old is None else old
    after = "(not set)" if new is None else new
    return f"{kind} {rest}: {before} -> {after}" if rest else f"{kind}: {before} -> {after}"


def _said_of_file(step: Step, target: str, old: str | None, new: str | None) -> str:
    if not target:
        return "files changed"
    place = next(
        (f.place.short for f in (*step.files, *step.copies, *step.late_copies) if f.target == target), ""
    )
    where = f" ({place})" if place else ""
    if old is None:
        return f"file {target} is new{where}"
    if new is None:
        return f"file {target} is gone"
    return f"file {target} changed{where}"
