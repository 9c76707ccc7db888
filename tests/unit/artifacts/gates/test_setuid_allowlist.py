"""Setuid files: those of distributions and of the list of an artifact pass, others are found."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from stalker.artifacts.gates.gates import Finding, Hygiene
from stalker.model.artifacts import Artifact, Gates, Rootfs
from stalker.model.diagnostics import Place
from stalker.rootfs.filter import Content
from unit.helpers.tars import folder, make_tar, member

if TYPE_CHECKING:
    from collections.abc import Sequence


PLACE = Place("trees/t/t.hjson")
RESOLVERS = frozenset({"10.1.2.3"})
ROOTFS = Rootfs("x.tar")


def look(*members, gates=None, writes=(), kind="pax") -> Sequence[Finding]:
    """Pass members through an artifact and return what its gates found."""
    hygiene = Hygiene(gates or Gates(), RESOLVERS)
    artifact = Artifact("a", "s", PLACE, ROOTFS, writes=writes)
    content = Content(artifact, made_s=1_000_000, watchers=[hygiene])
    for _ in content.stream([make_tar(folder("etc"), *members, kind=kind)]):
        pass
    return hygiene.findings()


def told(found):
    return [(one.gate, one.path) for one in found]


@pytest.mark.parametrize("kind", ["ustar", "gnu", "pax"])
@pytest.mark.parametrize(
    ("mode", "what"), [(0o4755, "setuid, mode 4755"), (0o2755, "setgid"), (0o6755, "setuid")]
)
def test_a_setuid_file_that_no_distribution_has_is_found(mode, what, kind):
    """Whatever the archive's dialect."""
    (found,) = look(member("usr/local/bin/helper", mode=mode), kind=kind)

    assert (found.gate, found.path) == ("setuid", "/usr/local/bin/helper")
    assert found.what.startswith(what)


def test_a_setuid_file_on_the_artifacts_list_passes():
    """The tree names it, and that one alone."""
    files = [member("opt/a", mode=0o4755), member("opt/b", mode=0o4755)]

    assert told(look(*files, gates=Gates(setuid=("/opt/a",)))) == [("setuid", "/opt/b")]
