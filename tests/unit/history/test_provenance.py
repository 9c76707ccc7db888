"""Where a published version comes from."""

from __future__ import annotations

from stalker.disk.manifest import Manifest
from stalker.history.provenance import statement_of

D1, D2 = "1" * 64, "2" * 64
MANIFEST = Manifest(
    tree="raspi3",
    artifact="stage4/image",
    kind="disk",
    fingerprint="f" * 64,
    inputs={"name": "x"},
    proof_inputs={},
    step="stage4:clean",
    image=f"sha256:{D1}",
    run="run-1",
    made_at="2026-11-30T11:44:21Z",
    files=(),
    made_of={
        "bases": [{"stalk": "a", "base": "image debian:12", "image": f"sha256:{D1}"}],
        "steps": [{"step": "a:b", "fingerprint": "f"}],
        "files": {"trees/x.hjson": D2, "odd": "not a digest"},
        "directories": {"/srv": D1},
    },
    source={"commit": "c" * 40, "is_changed": True},
    tools={"stalker": "1.0"},
)


def test_the_statement_has_subjects_dependencies_and_the_run():
    """Each file with its digest; the base, the commit with its state, and what was read."""
    statement = statement_of(MANIFEST, {"pi.img.xz": D2})

    predicate = statement["predicate"]
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert statement["predicateType"] == "https://slsa.dev/provenance/v1"
    assert statement["subject"] == [{"name": "pi.img.xz", "digest": {"sha256": D2}}]
    assert predicate["buildDefinition"]["resolvedDependencies"] == [
        {"name": "image debian:12", "digest": {"sha256": D1}},
        {"name": "workspace", "digest": {"gitCommit": "c" * 40}, "annotations": {"is_changed": True}},
        {"name": "trees/x.hjson", "digest": {"sha256": D2}},
        {"name": "/srv", "digest": {"sha256": D1}},
    ]
    assert predicate["runDetails"]["metadata"] == {
        "invocationId": "run-1",
        "finishedOn": "2026-11-30T11:44:21Z",
    }
    assert predicate["runDetails"]["builder"]["version"] == {"stalker": "1.0"}
