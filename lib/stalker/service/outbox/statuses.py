"""Commit statuses of forges.

Sources: docs.github.com "Commit statuses", docs.gitea.com "repoCreateStatus", docs.gitlab.com "Commits API".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

import httpx

from stalker.model.service import Forge

CONTEXT = "stalker"
TIMEOUT_S = 20.0
_PUBLIC_API: Mapping[Forge, str] = {"github": "https://api.github.com", "gitlab": "https://gitlab.com/api/v4"}
_GITLAB_STATES = {"pending": "running", "success": "success", "error": "failed"}


class NotAccepted(Exception):
    """The forge did not take a status; `is_final` when it would not take it later either."""

    def __init__(self, text: str, *, is_final: bool) -> None:
        super().__init__(text)
        self.is_final = is_final


@dataclass(frozen=True, slots=True)
class CommitStatus:
    """A status of a commit: pending, success or error, with one line and an address."""

    repository: str
    commit: str
    state: str
    description: str
    target_url: str


def send_status(forge: Forge, api: str, token: str, status: CommitStatus) -> None:
    """Send a status. Raises NotAccepted."""
    url, headers, content = _request(forge, api or _PUBLIC_API.get(forge, ""), token, status)
    try:
        answer = httpx.post(url, headers=headers, json=content, timeout=TIMEOUT_S)
    except httpx.HTTPError as error:
        raise NotAccepted(f"{type(error).__name__}: {error}", is_final=False) from error
    if not answer.is_success:
        is_final = answer.is_client_error and answer.status_code not in {408, 425, 429}
        raise NotAccepted(f"{answer.status_code} {answer.text[:300]}", is_final=is_final)


def _request(
    forge: Forge, api: str, token: str, status: CommitStatus
) -> tuple[str, dict[str, str], dict[str, str]]:
    if forge == "gitlab":
        url = f"{api}/projects/{quote(status.repository, safe='')}/statuses/{status.commit}"
        content = {"state": _GITLAB_STATES[status.state], "name": CONTEXT}
        more = {"description": status.description, "target_url": status.target_url}
        return url, {"PRIVATE-TOKEN": token}, content | more
    url = f"{api}/repos/{quote(status.repository)}/statuses/{status.commit}"
    scheme = "Bearer" if forge == "github" else "token"
    content = {"state": status.state, "context": CONTEXT}
    more = {"description": status.description, "target_url": status.target_url}
    return url, {"Authorization": f"{scheme} {token}", "Accept": "application/json"}, content | more
