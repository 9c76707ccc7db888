"""stalker: operating-system images as a graph of committed, tagged, resumable steps.

As a library it gives the names of `__all__`, each loaded when it is first used. All else is private and may change.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from stalker.errors import (
        EngineError,
        FilesError,
        InputError,
        Interrupted,
        LockHeld,
        NoEngine,
        PlanError,
        StalkerError,
        StepFailed,
    )
    from stalker.library.run import Result, Run
    from stalker.library.workspace import CommittedImage, Plan, PublishedArtifact, Tree, Workspace
    from stalker.model import events

__version__ = "0.1.0"

__all__ = [
    "CommittedImage",
    "EngineError",
    "FilesError",
    "InputError",
    "Interrupted",
    "LockHeld",
    "NoEngine",
    "Plan",
    "PlanError",
    "PublishedArtifact",
    "Result",
    "Run",
    "StalkerError",
    "StepFailed",
    "Tree",
    "Workspace",
    "events",
]

_RUN = ("Result", "Run")


def __getattr__(name: str) -> object:
    """Load a public name at its first use (PEP 562): the import of this package costs nothing."""
    if name not in __all__:
        raise AttributeError(f"module 'stalker' has no attribute '{name}'")
    from importlib import import_module

    if name == "events":
        return import_module("stalker.model.events")
    errors = import_module("stalker.errors")
    if hasattr(errors, name):
        return getattr(errors, name)
    return getattr(import_module(f"stalker.library.{'run' if name in _RUN else 'workspace'}"), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
