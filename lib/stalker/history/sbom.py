"""Bills of materials as documents: CycloneDX 1.6 and SPDX 2.3, both as JSON, the same for the same image.

Sources: cyclonedx.org/docs/1.6/json, spdx.github.io/spdx-spec/v2.3. Written by hand, as the libraries take up to a
second to import; tests check the documents with them.
"""

from __future__ import annotations

import re
import time
import uuid
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stalker.history.components import Component, Subject

NAMESPACE = uuid.UUID("6f1f6f0e-3c1c-5c1e-9a57-2c6f0d6a8b11")
"""Serial numbers of our documents are made in this one."""


def _serial(subject: Subject) -> uuid.UUID:
    return uuid.uuid5(NAMESPACE, subject.key)


def _time(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def cyclonedx(subject: Subject, components: Sequence[Component], version: str) -> dict[str, Any]:
    """Return a CycloneDX document; `version` is that of stalker."""
    refs = _refs(components)
    by_name: dict[str, list[str]] = {}
    for one, ref in zip(components, refs, strict=True):
        by_name.setdefault(one.name, []).append(ref)
    root = f"image:{_serial(subject)}"
    system = {"type": "operating-system", "bom-ref": f"{root}#os", "name": subject.distribution}
    if subject.release:
        system["version"] = subject.release
    systems = [system] if subject.distribution else []
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{_serial(subject)}",
        "version": 1,
        "metadata": {
            "timestamp": _time(subject.created_s),
            "tools": {"components": [{"type": "application", "name": "stalker", "version": version}]},
            "component": {
                "type": "firmware",
                "bom-ref": root,
                "name": subject.name,
                "version": subject.version,
            },
        },
        "components": [
            *systems,
            *(_of_cyclonedx(one, ref) for one, ref in zip(components, refs, strict=True)),
        ],
        "dependencies": [
            {"ref": root, "dependsOn": sorted([*(one["bom-ref"] for one in systems), *refs])},
            *(
                {
                    "ref": ref,
                    "dependsOn": sorted(
                        {to for name in one.depends_on for to in by_name.get(name, ())} - {ref}
                    ),
                }
                for one, ref in zip(components, refs, strict=True)
            ),
        ],
    }


def _refs(components: Sequence[Component]) -> list[str]:
    """Return a name for each component in its document: its purl, numbered where two are the same."""
    seen: dict[str, int] = {}
    refs = []
    for one in components:
        seen[one.purl] = seen.get(one.purl, 0) + 1
        refs.append(one.purl if seen[one.purl] == 1 else f"{one.purl}#{seen[one.purl]}")
    return refs


def _of_cyclonedx(one: Component, ref: str) -> dict[str, Any]:
    licences = [{"license": {"id": name}} for name in one.licences]
    licences += [{"license": {"name": name}} for name in one.other_licences]
    found: dict[str, Any] = {
        "type": "library",
        "bom-ref": ref,
        "name": one.name,
        "version": one.version,
        "purl": one.purl,
    }
    if one.supplier:
        found["supplier"] = {"name": one.supplier}
    if licences:
        found["licenses"] = licences
    return found


def spdx(subject: Subject, components: Sequence[Component], version: str) -> dict[str, Any]:
    """Return an SPDX document; `version` is that of stalker."""
    ids = [
        f"SPDXRef-{number}-{re.sub(r'[^A-Za-z0-9.-]', '-', one.name)}"
        for number, one in enumerate(components, 1)
    ]
    by_name: dict[str, list[str]] = {}
    for one, own in zip(components, ids, strict=True):
        by_name.setdefault(one.name, []).append(own)
    root = "SPDXRef-image"
    related = [("SPDXRef-DOCUMENT", "DESCRIBES", root), *((root, "CONTAINS", own) for own in ids)]
    related += [
        (own, "DEPENDS_ON", to)
        for one, own in zip(components, ids, strict=True)
        for name in one.depends_on
        for to in by_name.get(name, ())
        if to != own
    ]
    image = {
        "SPDXID": root,
        "name": subject.name,
        "versionInfo": subject.version,
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": False,
        "primaryPackagePurpose": "FIRMWARE",
    }
    return {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": subject.name,
        "documentNamespace": f"https://spdx.org/spdxdocs/stalker-{_serial(subject)}",
        "creationInfo": {"created": _time(subject.created_s), "creators": [f"Tool: stalker-{version}"]},
        "packages": [image, *(_of_spdx(one, own) for one, own in zip(components, ids, strict=True))],
        "relationships": [
            {"spdxElementId": one, "relationshipType": kind, "relatedSpdxElement": other}
            for one, kind, other in related
        ],
    }


def _of_spdx(one: Component, own: str) -> dict[str, Any]:
    declared = " AND ".join(one.licences) if one.licences and not one.other_licences else "NOASSERTION"
    found: dict[str, Any] = {
        "SPDXID": own,
        "name": one.name,
        "versionInfo": one.version,
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": False,
        "licenseConcluded": "NOASSERTION",
        "licenseDeclared": declared,
        "copyrightText": "NOASSERTION",
        "externalRefs": [
            {"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": one.purl}
        ],
    }
    supplier = re.fullmatch(r"([^<>()]+?)\s*<([^<>()\s]+@[^<>()\s]+)>", one.supplier)
    if supplier:
        found["supplier"] = f"Organization: {supplier[1]} ({supplier[2]})"
    return found
