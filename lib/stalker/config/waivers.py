"""What a tree waives: hazards of foreign platforms that do not block here, each with a reason."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stalker.config.document import Node
    from stalker.config.report import Report


def waived_hazards(node: Node | None, report: Report) -> tuple[tuple[str, str], ...]:
    """Return (hazard, reason) of `hazards: { waive: {...} }`; one without a reason is a problem."""
    waive = node.get("waive") if node is not None else None
    found: list[tuple[str, str]] = []
    for name, reason in waive.items() if waive is not None else ():
        if not isinstance(reason.value, str):
            continue
        if not reason.text.strip():
            hint = "say why it does no harm here"
            report.problem(reason.place, f"the hazard {name} is waived without a reason", hint)
        found.append((name, reason.text))
    return tuple(found)
