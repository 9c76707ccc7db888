"""Where a published version comes from, as an in-toto statement with SLSA provenance.

Sources: in-toto.io/Statement/v1, slsa.dev/provenance/v1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stalker.disk.manifest import Manifest

BUILD_TYPE = "urn:stalker:tree:v1"
BUILDER = "urn:stalker:run"


def statement_of(manifest: Manifest, digests: Mapping[str, str]) -> dict[str, Any]:
    """Return the statement on a version; `digests` are the SHA-256 (hex) of its files by name."""
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": name, "digest": {"sha256": digest}} for name, digest in sorted(digests.items())],
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": {
                    "tree": manifest.tree,
                    "artifact": manifest.artifact,
                    "inputs": dict(manifest.inputs),
                },
                "internalParameters": {
                    "step": manifest.step,
                    "fingerprint": manifest.fingerprint,
                    "steps": manifest.made_of.get("steps", []),
                },
                "resolvedDependencies": _dependencies(manifest),
            },
            "runDetails": {
                "builder": {"id": BUILDER, "version": dict(manifest.tools)},
                "metadata": {"invocationId": manifest.run, "finishedOn": manifest.made_at},
            },
        },
    }


def _dependencies(manifest: Manifest) -> list[dict[str, Any]]:
    """Return the bases, the revision of the workspace, and the files and directories of the tree."""
    found: list[dict[str, Any]] = []
    for base in manifest.made_of.get("bases", []):
        image = str(base.get("image", ""))
        known = {"name": str(base.get("base") or base.get("name") or "base")}
        digest = _digest(image)
        found.append({**known, **({"digest": digest} if digest else {})})
    commit = manifest.source.get("commit")
    if commit:
        state = {"is_changed": True} if manifest.source.get("is_changed") else {}
        found.append(
            {
                "name": "workspace",
                "digest": {"gitCommit": commit},
                **({"annotations": state} if state else {}),
            }
        )
    for group in ("files", "directories"):
        for name, value in sorted(manifest.made_of.get(group, {}).items()):
            digest = _digest(str(value))
            if digest:
                found.append({"name": name, "digest": digest})
    return found


def _digest(text: str) -> dict[str, str]:
    digits = text.removeprefix("sha256:")
    return {"sha256": digits} if len(digits) == 64 else {}
