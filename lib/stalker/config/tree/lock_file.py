"""The lock file beside a tree, `<tree>.lock.hjson`: what its moving inputs were when they were looked at.

urls: { URL: sha256:DIGITS }
git: { URL: { REF: COMMIT } }
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from stalker.config.syntax.document import leave_out_nulls
from stalker.config.syntax.hjson import read_hjson
from stalker.config.syntax.report import Report
from stalker.config.tree.resolved import as_hjson
from stalker.errors import FilesError

if TYPE_CHECKING:
    from stalker.config.syntax.document import Node

HEAD = "# Written by `stalker lock` and `stalker upgrade`. Keep it in version control, beside the tree.\n"

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Lock:
    """URL -> digits of the SHA-256 of its content; URL and ref of a git repository -> commit."""

    urls: dict[str, str] = field(default_factory=dict)
    git: dict[tuple[str, str], str] = field(default_factory=dict)


def read_lock(text: str, file: str) -> Lock:
    """Return what a lock file says. Raises FilesError: all problems."""
    report = Report()
    document = read_hjson(text, file)
    report.take(document.problems)
    lock = Lock()
    if document.root is not None and not report.has_errors:
        leave_out_nulls(document.root)
        for section, node in _items(document.root, report):
            if section == "urls":
                for url, one in _items(node, report):
                    lock.urls[url] = _text(one, _DIGEST, "sha256: and 64 hexadecimal digits", report)[7:]
            elif section == "git":
                for url, refs in _items(node, report):
                    for ref, one in _items(refs, report):
                        lock.git[url, ref] = _text(one, _COMMIT, "a full commit", report)
            else:
                report.problem(node.key_place, f"unknown key '{section}'", "a lock file has urls and git")
    if report.has_errors:
        raise FilesError(
            report.errors(), "correct the lock file, or remove it and write it again with `lock`"
        )
    return lock


def lock_text(lock: Lock) -> str:
    """Return the text of a lock file, sorted, so that what changed is what a comparison shows."""
    document: dict[str, dict[str, object]] = {}
    if lock.urls:
        document["urls"] = {url: f"sha256:{digits}" for url, digits in sorted(lock.urls.items())}
    repositories: dict[str, dict[str, str]] = {}
    for (url, ref), commit in sorted(lock.git.items()):
        repositories.setdefault(url, {})[ref] = commit
    if repositories:
        document["git"] = dict(repositories)
    return HEAD + as_hjson(document)


def _items(node: Node, report: Report) -> list[tuple[str, Node]]:
    if not isinstance(node.value, dict):
        report.problem(node.place, f"a mapping is expected here, not {node.kind}")
        return []
    return list(node.items())


def _text(node: Node, form: re.Pattern[str], what: str, report: Report) -> str:
    if not form.fullmatch(node.text):
        report.problem(node.place, f"{what} is expected here")
    return node.text
