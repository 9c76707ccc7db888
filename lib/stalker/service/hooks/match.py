"""Which build a verified request asks of a project, or why it asks none."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from stalker.service.hooks import gitea, github, gitlab
from stalker.service.hooks.push import Signed
from stalker.service.store.builds import Wish

if TYPE_CHECKING:
    from stalker.model.service import Hook, Project
    from stalker.service.store.deliveries import Delivery

_VERIFY: Mapping[str, Callable[[Mapping[str, str], bytes, str], Signed]] = {
    "github": github.verify,
    "gitea": gitea.verify,
    "git": gitea.verify,
    "gitlab": gitlab.verify,
}
_READ: Mapping[str, Callable[[str, str, bytes], Signed]] = {
    "github": github.read,
    "gitea": gitea.read,
    "git": gitea.read,
    "gitlab": gitlab.read,
}


def verify(hook: Hook, headers: Mapping[str, str], body: bytes, secret: str) -> Signed:
    """Verify a request as the project's forge signs. Raises NotSigned, BadPush."""
    return _VERIFY[hook.forge](headers, body, secret)


def read_stored(hook: Hook, delivery: Delivery) -> Signed:
    """Return the event of a delivery that was verified when it came. Raises BadPush."""
    return _READ[hook.forge](delivery.event, delivery.delivery, delivery.body)


def wish_of(project: Project, signed: Signed) -> tuple[Wish | None, str]:
    """Return the build that a request asks for; None, and the reason, where it asks none."""
    hook, push = project.hook, signed.push
    assert hook is not None
    if push is None:
        return None, "a ping" if signed.event == "ping" else f"the event is '{signed.event}', not a push"
    if push.repository.lower() != hook.repository.lower():
        return None, f"repository not tracked: {push.repository}"
    if not push.commit:
        return None, f"{push.ref} was deleted"
    short = push.ref.removeprefix("refs/")
    if not any(fnmatch.fnmatchcase(short, pattern) for pattern in hook.refs):
        kind = "branch" if short.startswith("heads/") else "tag"
        return None, f"{kind} not tracked: {short.partition('/')[2]}"
    return Wish(project.name, project.tree, push.ref, push.commit, "push", push.details), ""
